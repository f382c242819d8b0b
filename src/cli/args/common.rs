//! Options that every command takes: where files are, and how it is written.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The program the process ran, where it is not at the path the core names
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where files are")]
    pub exe: Option<PathBuf>,

    /// File system the process saw: a directory, a tar of it, or a saved image (docker save, OCI layout)
    #[arg(long, value_name = "DIR|TAR", global = true, help_heading = "Where files are")]
    pub sysroot: Option<PathBuf>,

    /// Directory with separate debug files (.build-id/); may be given several times
    #[arg(long, value_name = "DIR", global = true, help_heading = "Where files are")]
    pub debug_dir: Vec<PathBuf>,

    /// Open no file of the process: what the core itself holds must do
    #[arg(long, global = true, help_heading = "Where files are", conflicts_with_all = ["exe", "sysroot", "debug_dir"])]
    pub core_only: bool,

    /// Layout table to use where there is no debug information (see `exuvia layouts`)
    #[arg(long, value_name = "FILE", global = true, help_heading = "Where files are")]
    pub layout: Option<PathBuf>,

    /// From where to learn how structs are laid out [default: the best there is]
    #[arg(long, value_name = "SOURCE", value_enum, global = true, help_heading = "Where files are")]
    pub layouts: Option<LayoutChoice>,

    /// Neither use nor keep an index: what one command works out is not there for the next
    #[arg(long, global = true, help_heading = "Where files are")]
    pub no_index: bool,

    /// Where indexes are kept [default: beside the core, else in the user's cache directory]
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        help_heading = "Where files are",
        conflicts_with = "no_index"
    )]
    pub index_dir: Option<PathBuf>,

    /// Write one JSON document (docs/json-schema.md) instead of text
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// Most entries of each list [default: what fits one screen, 20 to 50]
    #[arg(long, value_name = "N", global = true, help_heading = "Output")]
    pub limit: Option<usize>,

    /// When to use colours; `auto` heeds NO_COLOR
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, global = true, help_heading = "Output")]
    pub color: ColorChoice,

    /// Worker threads [default: one for each processor]
    #[arg(short = 'j', long = "threads", value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Output")]
    pub threads: Option<u16>,

    /// Say on stderr what is being done and how long it took
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
}

/// A source of layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// Debug information of the interpreter's own file
    Dwarf,
    /// What the process says of itself (3.13 and later), and a table for the rest
    Runtime,
    /// A layout table: the one given with --layout, else an embedded one
    Table,
}

impl From<LayoutChoice> for crate::layout::Origin {
    fn from(choice: LayoutChoice) -> Self {
        match choice {
            LayoutChoice::Dwarf => Self::Dwarf,
            LayoutChoice::Runtime => Self::Runtime,
            LayoutChoice::Table => Self::Table,
        }
    }
}

/// When to colour text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}
