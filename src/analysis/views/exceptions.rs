//! Exceptions that are alive.
//!
//! Knows how many frames their tracebacks keep and where they were raised; refuses to judge whether that is meant.

use super::instances;
use crate::analysis::Heap;
use crate::cpython::{frame_of_object, get_attribute, traceback_frames, type_flags};
use crate::heap::ObjectId;

/// One exception.
#[derive(Clone, Debug)]
pub struct KeptException {
    /// The exception.
    pub id: ObjectId,
    /// Frames that its traceback holds.
    pub frames: u64,
    /// Function and file of the innermost of them: where it was raised.
    pub raised_in: Option<(String, String)>,
    /// `__cause__`, else `__context__`.
    pub context: Option<ObjectId>,
}

/// All of them, by address. The interpreter itself keeps a few without a traceback.
pub fn exceptions(heap: Heap<'_, '_>) -> Vec<KeptException> {
    let runtime = heap.runtime;
    let found = instances(heap, |info| info.flags & type_flags::BASE_EXC_SUBCLASS != 0);
    let read = |id: ObjectId| {
        let address = heap.objects.address(id);
        let frames = traceback_frames(runtime, address);
        let innermost = frames.last().and_then(|&frame| frame_of_object(runtime, frame));
        let object = |name: &str| {
            let found = get_attribute(runtime, address, name)?;
            (found != runtime.landmarks.none).then(|| heap.objects.find(found))?
        };
        KeptException {
            id,
            frames: frames.len() as u64,
            raised_in: innermost.map(|frame| (frame.qualname, frame.filename)),
            context: object("__cause__").or_else(|| object("__context__")),
        }
    };
    found.into_iter().map(read).collect()
}
