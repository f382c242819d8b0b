//! What is nobody's, and contents: whatever read them, they are not kept.
//!
//! Readers of structure follow pointers that may lead anywhere, and take the word beside what they look for. So memory that
//! holds no structure is taken back at the end, by what the allocator and the objects themselves say. Knows free memory and
//! the contents of str, bytes and float objects; refuses to know who read them.

use super::names;
use crate::corefile::Address;
use crate::cpython::{Runtime, TypeInfo, for_each_area, regions};
use crate::saved::read_all::WholeHeap;

/// Bytes of a float.
const REAL: u64 = 8;
/// More bytes than lie before the characters of any str.
const LARGEST_HEAD: u64 = 128;

/// Takes back that memory was read which is free, or holds contents. Names are contents here, and kept afterwards.
pub(super) fn forget(runtime: &Runtime<'_>, whole: &WholeHeap) {
    for region in regions(runtime).map(|regions| regions.list).unwrap_or_default() {
        for_each_area(runtime, &region, |area, live| {
            live.unused(area).for_each(|(address, len)| runtime.space.forget(address, len));
        });
    }
    let objects = &whole.census.objects;
    for id in objects.ids() {
        let (object, info) = (objects.address(id), runtime.types.get(objects.type_id(id)));
        if let Some((start, len)) = contents(runtime, info, object) {
            runtime.space.forget(start, len);
        }
    }
    // Those were read as names of types and their members, which C keeps as text.
    for (address, len) in runtime.space.read_log().map(|log| log.strings()).unwrap_or_default() {
        runtime.space.record(address, len.saturating_add(1));
    }
}

/// Where the contents of a str, bytes or float object lie inside it, and how many bytes they are.
fn contents(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Option<(Address, u64)> {
    if &*info.name == "builtins.float" {
        return Some((object.wrapping_add(u64::from(runtime.layouts.float.value.offset)), REAL));
    }
    let (start, len) = names::contents(runtime, object)?;
    // A str of an older kind has them elsewhere.
    let inside = (object..object.saturating_add(LARGEST_HEAD)).contains(&start);
    inside.then_some((start, len))
}
