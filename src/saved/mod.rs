//! Saved heaps: a core reduced to what answers need, as an ordinary core that needs no other file.
//!
//! Whatever an analysis reads is recorded, word by word, and that is what is kept; so a command asks of a saved heap what it
//! would ask of the core, and finds it. Knows what commands read; refuses to know the compression of the result and how it
//! gets its name.

mod contents;
mod kept;
mod plan;
mod read_all;
mod redaction;

pub use contents::keep_contents;
pub use plan::Plan;
pub use read_all::{WholeHeap, read_everything};
pub use redaction::{Renaming, keep_structure};

use crate::cpython::PythonError;
use crate::heap::TooManyObjects;

/// Why a heap cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The heap cannot be analysed.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// It is too large.
    #[error(transparent)]
    TooManyObjects(#[from] TooManyObjects),
    /// A note cannot be written.
    #[error("what is known of the core cannot be written down: {0}")]
    Note(#[from] serde_json::Error),
    /// Nothing tells what was read.
    #[error("the core was opened without recording what is read of it")]
    NotRecorded,
}
