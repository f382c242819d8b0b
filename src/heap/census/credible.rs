//! Which blocks only look like objects, and what tells: a header is a count and a type, and other memory may hold the like.
//!
//! Knows two ways of that. Where a program is linked to low addresses, its pointers are as small as counts: a module's state
//! that names one type after another, or the items of a list whose block an int had before, begin like objects. And a
//! type that is followed by any number at all claims that many items. Refuses to judge by contents.

use crate::corefile::Address;
use crate::cpython::{RefCount, Runtime, SizeRule, TypeInfo, bytes_in_block, is_listed};
use std::ops::Range;

/// End of the addresses that fit the half of a word that holds a count.
const LOW: Address = 1 << 32;
/// Up to so many bytes an object outside the allocators' memory is not asked whether the process had them.
const SMALL: u64 = 4096;

/// The counts that may be addresses of this process: none where nothing is mapped so low, as is usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowAddresses {
    start: Address,
    length: u64,
}

impl LowAddresses {
    /// Those of `runtime`'s process. Where a count is put together from parts no pointer looks like one.
    pub(super) fn of(runtime: &Runtime<'_>) -> Self {
        let pieces = runtime.space.pieces();
        let mut low = pieces.iter().take_while(|piece| piece.start < LOW && !runtime.header.has_gc_bits());
        let Some(first) = low.next() else { return Self { start: 0, length: 0 } };
        let end = low.last().unwrap_or(first).end().min(LOW);
        Self { start: first.start, length: end.saturating_sub(first.start) }
    }

    /// Whether `refcount` may be an address instead.
    #[inline]
    pub(super) fn contain(self, refcount: RefCount) -> bool {
        refcount.count.wrapping_sub(self.start) < self.length
    }
}

/// Whether there is an object at `object` though its count may be an address. A tracked one is on a list of the collector;
/// any other has a count that is no address of an object. What the core lacks speaks for nothing.
#[cold]
pub(super) fn is_object(runtime: &Runtime<'_>, object: Address, refcount: RefCount, tracked: bool) -> bool {
    if tracked {
        return is_listed(runtime, object);
    }
    let pointed_to = refcount.count;
    if !pointed_to.is_multiple_of(8) || !runtime.space.is_mapped(pointed_to) {
        return true;
    }
    let header = runtime.space.slice(pointed_to, runtime.header.size as usize);
    header.is_ok_and(|header| runtime.types.id_of(runtime.header.type_in(header, 0)).is_none())
}

/// Whether the items of the instance of `info` at `object`, which is of that size, lie within its block. Most objects that are larger than their block have their items elsewhere.
#[inline]
pub(super) fn lies_within(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
    size: u64,
    block: Range<Address>,
) -> bool {
    let has_items = info.itemsize != 0 || info.size_rule == SizeRule::Str;
    size <= block.end - block.start || !has_items || ends_within(runtime, info, object, block.end)
}

#[cold]
fn ends_within(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, end: Address) -> bool {
    let bytes = bytes_in_block(runtime, info, object).ok();
    bytes.and_then(|bytes| object.checked_add(bytes)).is_some_and(|last| last <= end)
}

/// Whether the process had the memory that the instance of `info` at `object` claims, which lies in no block known here.
#[inline]
pub(super) fn is_mapped(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, size: u64) -> bool {
    let last = || {
        let bytes = bytes_in_block(runtime, info, object).ok()?;
        object.checked_add(bytes)?.checked_sub(1)
    };
    size <= SMALL || last().is_some_and(|last| runtime.space.is_mapped(last))
}
