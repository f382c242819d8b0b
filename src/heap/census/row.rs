//! One object's row: what its header and the collector say of it.

use crate::corefile::Address;
use crate::cpython::{GcBits, Generation, RefCount, Runtime, TypeId, TypeInfo, word};
use crate::heap::ObjectFlags;
use crate::heap::found::{Found, Owned};

/// `_gc_prev` bit that says `tp_finalize` was called (Include/internal/pycore_gc.h, `_PyGC_PREV_MASK_FINALIZED`).
const GC_FINALIZED: u64 = 1;
/// `_PyGC_REFS_UNTRACKED` (Include/objimpl.h, up to 3.7).
const REFS_UNTRACKED: i64 = -2;

/// What the collector has noted of one object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracking {
    /// It is on a list of the collector, or its header says so.
    pub tracked: bool,
    /// `tp_finalize` was called.
    pub finalized: bool,
}

impl Tracking {
    /// By a GC head: links that are there, and a flag beside them.
    #[inline]
    fn from_head(runtime: &Runtime<'_>, head: &[u8]) -> Self {
        let l = &runtime.layouts.gc_head;
        match l.refs {
            None => Self {
                tracked: word(head, l.next.offset as usize) != 0,
                finalized: word(head, l.prev.offset as usize) & GC_FINALIZED != 0,
            },
            // Up to 3.7 links that were never set may hold anything, and a third word tells.
            Some(refs) => {
                let refs = word(head, refs.offset as usize);
                Self { tracked: refs as i64 >> 1 != REFS_UNTRACKED, finalized: refs & GC_FINALIZED != 0 }
            }
        }
    }

    /// By the bits of a header.
    #[inline]
    fn from_bits(bits: GcBits) -> Self {
        Self { tracked: bits.is_tracked(), finalized: bits.is_finalized() }
    }

    /// Of the object behind `preheader` bytes of a block.
    #[inline]
    pub fn in_block(runtime: &Runtime<'_>, bytes: &[u8], preheader: usize) -> Self {
        if runtime.header.has_gc_bits() {
            return Self::from_bits(runtime.header.gc_bits_in(bytes, preheader));
        }
        let head = preheader.checked_sub(runtime.semantics.gc_head as usize);
        head.and_then(|head| bytes.get(head..)).map_or(Self::default(), |head| Self::from_head(runtime, head))
    }

    /// Of any object. Static types have no GC head, whatever their type says.
    pub fn of(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, header: &[u8]) -> Self {
        if runtime.header.has_gc_bits() {
            return Self::from_bits(runtime.header.gc_bits_in(header, 0));
        }
        let is_static_type =
            info.is_metatype() && runtime.types.of(object).is_some_and(|info| !info.is_heap_type());
        if !info.has_gc() || is_static_type {
            return Self::default();
        }
        let size = runtime.semantics.gc_head;
        match runtime.space.slice(object.wrapping_sub(u64::from(size)), size as usize) {
            Ok(head) => Self::from_head(runtime, head),
            Err(_) => Self::default(),
        }
    }
}

/// An object's row. `Err`: its size is not known, or more than the process had, so it is the plain object's.
#[inline]
pub fn describe(
    runtime: &Runtime<'_>,
    type_id: TypeId,
    info: &TypeInfo,
    address: Address,
    size: Option<u64>,
    refcount: RefCount,
    tracking: Tracking,
) -> Result<Found, Found> {
    let flags = ObjectFlags::UNTRACKED
        .with_generation(tracking.tracked.then_some(Generation::Detached))
        .with_finalized(tracking.finalized)
        .with_immortal(refcount.immortal);
    let row = |size| Found { address, type_id, size, owned: Owned::Nothing, flags };
    match size {
        Some(size) if size <= runtime.described_bytes => Ok(row(size)),
        _ if info.basicsize <= runtime.described_bytes => Err(row(info.basicsize)),
        _ => Err(row(u64::from(runtime.header.size))),
    }
}
