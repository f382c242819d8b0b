//! Arguments of `layouts` and `dev`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `layouts`.
#[derive(Debug, Args)]
pub struct LayoutsArguments {
    /// What to do; without it, the embedded tables are listed.
    #[command(subcommand)]
    pub command: Option<LayoutsCommand>,
}

/// What to do with layout tables.
#[derive(Debug, Subcommand)]
pub enum LayoutsCommand {
    /// Write a layout table from the debug information of an interpreter, for use with --layout
    #[command(
        after_help = "Example:\n  exuvia layouts extract /usr/lib/libpython3.12.so.1.0 lib-dynload/*.so -o 3.12.layout"
    )]
    Extract {
        /// The interpreter's executable or library, whichever has its code; then extension modules, for sizes and references
        /// of their types
        #[arg(value_name = "BINARY", required = true)]
        binaries: Vec<PathBuf>,
        /// The release, where the binary does not tell
        #[arg(long, value_name = "X.Y.Z")]
        release: Option<String>,
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `dev`.
#[derive(Debug, Subcommand)]
pub enum DevCommand {
    /// Write what was decoded, as binary files for a comparison with the interpreter's own answers
    #[command(after_help = "Example:\n  exuvia dev dump core.4242 /tmp/mine")]
    Dump {
        /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
        #[arg(value_name = "CORE")]
        core: PathBuf,
        /// Start of the names of the files: PREFIX.objs.bin and others
        #[arg(value_name = "PREFIX")]
        prefix: PathBuf,
    },

    /// Print the layout table of the core's interpreter, for use with --layout
    #[command(after_help = "Example:\n  exuvia dev layouts core.4242 -o python-3.12.1.layout")]
    Layouts {
        /// Core file, plain or compressed (zstd, lz4, gzip, xz); `-` reads standard input
        #[arg(value_name = "CORE")]
        core: PathBuf,
        /// File to write instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}
