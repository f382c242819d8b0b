//! Objects that hold bytes, and views that keep the bytes of others.
//!
//! Knows memoryviews, arrays of numpy (which those of pandas are), `array`, `bytearray`, `BytesIO` and `mmap`; refuses to know the
//! contents. A view pins its owner when nothing but views keeps that and they show little of it.

use super::instances;
use crate::analysis::Heap;
use crate::analysis::suspects::{pinned, viewed};
use crate::cpython::{inherits, view_length};
use crate::heap::ObjectId;

/// Types that show bytes of their own or of others.
const BUFFERS: [&str; 6] =
    ["builtins.memoryview", "numpy.ndarray", "array.array", "builtins.bytearray", "_io.BytesIO", "mmap.mmap"];

/// One buffer or view.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The object.
    pub id: ObjectId,
    /// Bytes that a memoryview or numpy array shows; of others the size of the object with its own memory; `None` for mapped
    /// files, whose pages are none of the heap.
    pub bytes: Option<u64>,
    /// Whose bytes a view shows.
    pub owner: Option<ObjectId>,
    /// The owner lives for small views alone.
    pub pins: bool,
}

/// All of them, by address.
pub fn buffers(heap: Heap<'_, '_>) -> Vec<Buffer> {
    let found = instances(heap, |info| inherits(heap.runtime, info, &BUFFERS));
    let read = |id: ObjectId| {
        let shown = view_length(heap.runtime, heap.objects.address(id));
        let own = (heap.type_name(id) != "mmap.mmap").then(|| heap.objects.size(id));
        Buffer {
            id,
            bytes: shown.or(own),
            owner: shown.and_then(|_| viewed(heap, id)).map(|(owner, _)| owner),
            pins: shown.is_some() && pinned(heap, id).is_some(),
        }
    };
    found.into_iter().map(read).collect()
}
