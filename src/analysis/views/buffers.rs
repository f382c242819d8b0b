//! Objects that hold bytes, and views that keep the bytes of others.
//!
//! Knows memoryviews, arrays of numpy (which those of pandas are), `array`, `bytearray`, `BytesIO` and `mmap`; refuses to know the
//! contents. A view pins its owner when nothing but views keeps that and they show little of it.

use super::instances;
use crate::analysis::Heap;
use crate::analysis::suspects::{pinned, viewed};
use crate::cpython::{MappedMemory, inherits, mapped_memory, view_length};
use crate::heap::ObjectId;

/// Types that show bytes of their own or of others.
const BUFFERS: [&str; 6] =
    ["builtins.memoryview", "numpy.ndarray", "array.array", "builtins.bytearray", "_io.BytesIO", "mmap.mmap"];

/// One buffer or view.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The object.
    pub id: ObjectId,
    /// Bytes that a memoryview or numpy array shows, or that are mapped; of others the size of the object with its own memory.
    /// `None` for what is closed or not known to be mapped.
    pub bytes: Option<u64>,
    /// What an `mmap` has mapped.
    pub mapped: Option<MappedMemory>,
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
        let mapped = mapped_memory(heap.runtime, heap.objects.address(id));
        Buffer {
            id,
            bytes: match mapped {
                Some(MappedMemory::Open { bytes, .. }) => Some(bytes),
                Some(MappedMemory::Closed | MappedMemory::Unknown) => None,
                None => shown.or(Some(heap.objects.size(id))),
            },
            mapped,
            owner: shown.and_then(|_| viewed(heap, id)).map(|(owner, _)| owner),
            pins: shown.is_some() && pinned(heap, id).is_some(),
        }
    };
    found.into_iter().map(read).collect()
}
