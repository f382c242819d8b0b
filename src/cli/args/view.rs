//! Arguments of `view`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `view`.
#[derive(Debug, Args)]
pub struct ViewArguments {
    /// What to look at; without it, what there is to look at is listed
    #[arg(value_name = "VIEW", value_enum, requires = "core")]
    pub view: Option<ViewChoice>,

    /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
    #[arg(value_name = "CORE")]
    pub core: Option<PathBuf>,

    /// Show the names that the program gave to tasks; they may be secrets
    #[arg(long)]
    pub values: bool,
}

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ViewChoice {
    /// Tasks of asyncio: coroutine, state, what they await, and who holds those that have ended
    Tasks,
    /// Thread-locals: what each thread keeps in them, and what is left of threads that have ended
    Threads,
    /// Generators, coroutines and async generators by function, state and line
    Generators,
    /// Greenlets, those of gevent included: state, function, where each is suspended, and what it keeps
    Greenlets,
    /// Functions with an lru_cache: results, bound, hits and misses
    Caches,
    /// Exceptions that are alive, and the frames that their tracebacks keep
    Exceptions,
    /// Buffers and views of buffers: memoryview, bytearray, array, BytesIO, mmap, numpy; and which view keeps much more than it shows
    Buffers,
    /// Modules by what they keep with their functions and classes: what importing them costs
    Modules,
    /// Queues with what waits in them, and pools of threads and processes
    Queues,
    /// Handlers of logging, and the records that they keep back
    Logging,
    /// Dicts and sets that hold their objects weakly: entries, and those whose object is gone
    Weak,
}
