//! Arguments of `capture` and `save`, and the form in which both write a heap.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `capture`.
#[derive(Debug, Args)]
pub struct CaptureArguments {
    /// Process id
    #[arg(value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub pid: i32,

    /// File to write, readable for its owner only; it is there when it is complete
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,

    /// Write all memory as it is, as an uncompressed core, whatever the process is
    #[arg(long, conflicts_with_all = ["redact", "level"])]
    pub raw: bool,

    /// How the heap is written.
    #[command(flatten)]
    pub form: SavedForm,
}

/// `save`.
#[derive(Debug, Args)]
pub struct SaveArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// File to write, readable for its owner only: an ELF core, compressed with zstd
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,

    /// How the heap is written.
    #[command(flatten)]
    pub form: SavedForm,
}

/// How a heap is written: options of `save` and `capture`.
#[derive(Clone, Copy, Debug, Args)]
pub struct SavedForm {
    /// Overwrite what objects contain (text, bytes, numbers, buffers) and all memory that no answer needs; with `names`,
    /// names too
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "values")]
    pub redact: Option<RedactChoice>,

    /// How hard to compress: 1 is fastest, 19 is smallest [default: 19 for small heaps, down to 3 for large ones]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=19))]
    pub level: Option<i32>,
}

/// What is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RedactChoice {
    /// Contents; names of types, modules, functions and attributes stay
    Values,
    /// Names as well, each by the same other name throughout; those of Python itself stay
    Names,
}

impl From<RedactChoice> for crate::corefile::Redaction {
    fn from(choice: RedactChoice) -> Self {
        match choice {
            RedactChoice::Values => Self::Values,
            RedactChoice::Names => Self::Names,
        }
    }
}
