//! What can stop the decoding of an interpreter, each with what to try next.

use crate::corefile::{Address, ReadError};
use crate::debuginfo::DebugInfoError;
use crate::layout::LayoutError;

/// Why an interpreter could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No mapped module has the symbol `_PyRuntime`.
    #[error(
        "no CPython was found in this core: none of its {modules} mapped files with a readable symbol table has the \
         symbol _PyRuntime, which 3.7 and later have; if its executable or libpython lies elsewhere, name it with --exe or --sysroot{hint}"
    )]
    NoRuntime {
        /// Files whose symbols could be read.
        modules: usize,
        /// Which files were missing, for the message.
        hint: String,
    },
    /// The interpreter was found, but nothing says how its structs are laid out.
    #[error(
        "{module} holds {python}, but its structs cannot be decoded: {reason}; install its debug information and \
         name the directory with --debug-dir, or pass a layout table with --layout"
    )]
    NoLayout {
        /// What is known of it: `CPython 3.16.0, free-threaded`.
        python: String,
        /// The module with `_PyRuntime`.
        module: String,
        /// Why there is no layout.
        reason: String,
    },
    /// The release is not one this tool knows to decode exactly.
    #[error(
        "CPython {version} is not supported: this release of exuvia decodes 3.8 to 3.15, and 3.7 as far as names of fields \
         tell; another release's algorithms are not taken for this one's"
    )]
    Unsupported {
        /// The release found.
        version: super::PyVersion,
    },
    /// Nothing says which release it is.
    #[error(
        "{module} holds a CPython of an unknown release: there is no readable Py_Version (3.11 and later), and \
         sys.hexversion could not be read; name the interpreter's file with --exe, or pass a layout table with --layout"
    )]
    NoVersion {
        /// The module with `_PyRuntime`.
        module: String,
    },
    /// Layouts and core contradict each other.
    #[error(
        "the layouts do not fit this core: {probe} (at {address:#x}); was the right executable or layout given?"
    )]
    Probe {
        /// What was expected.
        probe: String,
        /// Where it was looked for.
        address: Address,
    },
    /// A struct or field is missing from every source.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A symbol table or debug information could not be parsed.
    #[error(transparent)]
    DebugInfo(#[from] DebugInfoError),
    /// Memory that must be there is not.
    #[error("{what} cannot be read: {source}")]
    Read {
        /// What was to be read.
        what: &'static str,
        /// Why not.
        source: ReadError,
    },
}

impl PythonError {
    /// Wraps a read error with what was being read.
    pub fn reading(what: &'static str) -> impl FnOnce(ReadError) -> Self {
        move |source| Self::Read { what, source }
    }
}
