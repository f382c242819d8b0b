//! No object can have more references than its process' memory had words: one that has is none.
//!
//! What the interpreter says of its heap is a lower bound, as it cannot list what only C code holds. So that more is found
//! proves nothing wrong, but a count that memory has no room for does.

use exuvia::cpython::Runtime;
use exuvia::heap::Census;

/// The objects of which that is so, in words. Static ones may have a count of any size that stands for ever (3.11).
pub fn impossible(runtime: &Runtime<'_>, census: &Census) -> Vec<String> {
    let words = runtime.described_bytes / 8;
    let size = runtime.header.size as usize;
    let told = |object: u64| {
        let header = runtime.space.slice(object, size).ok()?;
        let refcount = runtime.header.count_in(&runtime.semantics, header, 0);
        let type_ = runtime.types.of(runtime.header.type_in(header, 0))?;
        let impossible = !refcount.immortal && refcount.count > words;
        impossible.then(|| format!("{object:#x} {}: {} references", type_.name, refcount.count))
    };
    let objects = &census.objects;
    let allocated = objects.ids().filter(|&id| !objects.flags(id).is_outside_pools());
    allocated.filter_map(|id| told(objects.address(id))).collect()
}
