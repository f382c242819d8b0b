//! Exceptions that are alive.
//!
//! Knows how many frames their tracebacks keep and where they were raised; refuses to judge whether that is meant.

use super::instances;
use crate::analysis::Heap;
use crate::cpython::{frame_of_object, get_attribute, traceback_entries, type_flags};
use crate::heap::ObjectId;

/// Where an exception was raised.
#[derive(Clone, Debug)]
pub struct Raised {
    /// Qualified name of the function.
    pub function: String,
    /// Its file.
    pub file: String,
    /// The line, unless the compiler gave it none.
    pub line: Option<u32>,
}

/// One exception.
#[derive(Clone, Debug)]
pub struct KeptException {
    /// The exception.
    pub id: ObjectId,
    /// Frames that its traceback holds.
    pub frames: u64,
    /// In the innermost of them.
    pub raised: Option<Raised>,
    /// `__cause__`, else `__context__`.
    pub context: Option<ObjectId>,
}

/// All of them, by address. The interpreter itself keeps a few without a traceback.
pub fn exceptions(heap: Heap<'_, '_>) -> Vec<KeptException> {
    let runtime = heap.runtime;
    let found = instances(heap, |info| info.flags & type_flags::BASE_EXC_SUBCLASS != 0);
    let read = |id: ObjectId| {
        let address = heap.objects.address(id);
        let entries = traceback_entries(runtime, address);
        let raised = entries.last().and_then(|entry| {
            let frame = frame_of_object(runtime, entry.frame)?;
            let line = entry.line(runtime, frame.code);
            Some(Raised { function: frame.qualname, file: frame.filename, line })
        });
        let object = |name: &str| {
            let found = get_attribute(runtime, address, name)?;
            (found != runtime.landmarks.none).then(|| heap.objects.find(found))?
        };
        KeptException {
            id,
            frames: entries.len() as u64,
            raised,
            context: object("__cause__").or_else(|| object("__context__")),
        }
    };
    found.into_iter().map(read).collect()
}
