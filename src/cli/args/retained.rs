//! Arguments of the commands about what keeps what alive, and what would go: `dominators`, `free-if` (`cuts` takes a core alone).

use clap::Args;
use std::path::PathBuf;

/// `dominators`.
#[derive(Debug, Args)]
pub struct DominatorsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Only what this dominates: an object by address or Python path, or a type, which stands for all its instances
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    /// Take a class for the object it is, not for its instances
    #[arg(long, requires = "target")]
    pub class_itself: bool,

    /// How deep the tree is shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub depth: u8,
}

/// `free-if`.
#[derive(Debug, Args)]
pub struct FreeIfArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// A reference by its Python path, an object by its address, or a type, which stands for all its instances
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// The object itself, with every reference to it, though a path or a class names it
    #[arg(long)]
    pub object: bool,

    /// Take a class for the object it is, not for its instances
    #[arg(long, conflicts_with = "object")]
    pub class_itself: bool,

    /// List what would be freed, by address
    #[arg(long)]
    pub list: bool,
}
