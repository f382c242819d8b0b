//! Arguments of the commands that look for savings and compare heaps.

use clap::Args;
use std::path::PathBuf;

/// `waste`.
#[derive(Debug, Args)]
pub struct WasteArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Show the values that exist more than once; they may be secrets
    #[arg(long)]
    pub values: bool,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The earlier core: a core file, plain or compressed, or a saved heap
    #[arg(value_name = "A")]
    pub before: PathBuf,

    /// The later one
    #[arg(value_name = "B")]
    pub after: PathBuf,

    /// Compare them although they are of different programs
    #[arg(long)]
    pub force: bool,
}

/// `trend`.
#[derive(Debug, Args)]
pub struct TrendArguments {
    /// Cores or saved heaps, the earliest first; at least two
    #[arg(value_name = "CORE", required = true, num_args = 2..)]
    pub cores: Vec<PathBuf>,

    /// Compare them although they are of different programs
    #[arg(long)]
    pub force: bool,
}
