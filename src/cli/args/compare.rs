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
