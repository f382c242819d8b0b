//! Arguments of the commands that show what is there: types, objects, threads, references.

use crate::report::types::TypeSort;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `info`.
#[derive(Debug, Args)]
pub struct InfoArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// List every struct and field with offset, size and where that was learnt
    #[arg(long)]
    pub show_layouts: bool,
}

/// `types`.
#[derive(Debug, Args)]
pub struct TypesArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Order of the rows [default: bytes, or retained with --retained]
    #[arg(long, value_enum)]
    pub sort: Option<SortKey>,

    /// Only types whose qualified name matches: `*` stands for any text, `?` for one character
    #[arg(long, value_name = "GLOB")]
    pub filter: Option<String>,

    /// One row for each module instead of each type
    #[arg(long)]
    pub by_module: bool,

    /// One row for each top-level package, by the files of the modules in sys.modules
    #[arg(long, conflicts_with = "by_module")]
    pub by_package: bool,

    /// What would be freed if all instances of the row's types went, each object counted once
    #[arg(long, conflicts_with_all = ["garbage", "generation"])]
    pub retained: bool,

    /// Only what a full collection would free
    #[arg(long)]
    pub garbage: bool,

    /// Only objects on this list of the collector
    #[arg(long, value_name = "GENERATION", value_enum)]
    pub generation: Option<GenerationChoice>,
}

/// `objects`.
#[derive(Debug, Args)]
pub struct ObjectsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Type: `app.cache.Entry`, the end of its name, or a pattern such as `app.*`
    #[arg(value_name = "TYPE")]
    pub target: String,

    /// Least sys.getsizeof() in bytes
    #[arg(long, value_name = "BYTES")]
    pub min_size: Option<u64>,

    /// Greatest sys.getsizeof() in bytes
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<u64>,

    /// Least refcount
    #[arg(long, value_name = "N")]
    pub min_refcount: Option<u64>,

    /// Greatest refcount; leaves out immortal objects
    #[arg(long, value_name = "N")]
    pub max_refcount: Option<u64>,

    /// Only objects on this list of the collector
    #[arg(long, value_name = "GENERATION", value_enum)]
    pub generation: Option<GenerationChoice>,
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Object: an address, or a Python path such as `sys.modules["app"].BUS`
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// How deep attributes and items are followed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: u8,

    /// Types and lengths instead of values
    #[arg(long)]
    pub hide_values: bool,
}

/// `threads`.
#[derive(Debug, Args)]
pub struct ThreadsArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Show the values of variables, not only their types; they may be secrets
    #[arg(long)]
    pub values: bool,
}

/// `referrers`, `referents` and `paths`.
#[derive(Debug, Args)]
pub struct TargetArguments {
    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: PathBuf,

    /// Object, by address or Python path, or a type, which stands for all its instances
    #[arg(value_name = "TARGET")]
    pub target: String,

    /// Take a class for the object it is, not for its instances
    #[arg(long)]
    pub class_itself: bool,
}

/// Order of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Most objects first
    Count,
    /// Largest first
    Bytes,
    /// Alphabetically
    Name,
    /// What keeps most bytes alive first (needs --retained)
    Retained,
}

impl From<SortKey> for TypeSort {
    fn from(key: SortKey) -> Self {
        match key {
            SortKey::Count => Self::Count,
            SortKey::Bytes => Self::Bytes,
            SortKey::Name => Self::Name,
            SortKey::Retained => Self::Retained,
        }
    }
}

/// A list of the collector, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GenerationChoice {
    /// The youngest
    #[value(name = "0")]
    Young,
    /// The middle one
    #[value(name = "1")]
    Middle,
    /// The oldest
    #[value(name = "2")]
    Old,
    /// Objects that collections leave alone (gc.freeze())
    Permanent,
    /// Objects the collector does not track
    Untracked,
}

impl GenerationChoice {
    /// The choice as objects carry it.
    pub fn generation(self) -> Option<crate::cpython::Generation> {
        use crate::cpython::Generation;
        match self {
            Self::Young => Some(Generation::Young),
            Self::Middle => Some(Generation::Middle),
            Self::Old => Some(Generation::Old),
            Self::Permanent => Some(Generation::Permanent),
            Self::Untracked => None,
        }
    }
}
