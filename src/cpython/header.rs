//! The header every object starts with: reference count, type and, in free-threaded builds, the collector's bits.
//!
//! Knows where these stand (Include/object.h) and how a count is put together; refuses to know what lies in front of an
//! object, and what the rest of it means. Offsets are found by name: a count of one word, or one split between the
//! thread that owns the object and all others.

use super::Runtime;
use super::layouts::Layouts;
use super::semantics::Semantics;
use super::words::{ReadField, at, half, word};
use crate::corefile::{Address, ReadError};
use crate::layout::{LayoutError, Resolver};

/// `_PyGC_BITS_TRACKED` (Include/internal/pycore_gc.h, 3.13 and later, free-threaded).
const BIT_TRACKED: u8 = 1;
/// `_PyGC_BITS_FINALIZED`: `tp_finalize` was called.
const BIT_FINALIZED: u8 = 2;
/// `_PyGC_BITS_UNREACHABLE`: a collection under way has yet to reach the object, or has found that it cannot.
const BIT_UNREACHABLE: u8 = 4;
/// `_PyGC_BITS_FROZEN`: `gc.freeze()`.
const BIT_FROZEN: u8 = 8;
/// `_PyGC_BITS_DEFERRED`: references from the evaluation stack are not counted (PEP 703).
const BIT_DEFERRED: u8 = 64;
/// `_Py_IMMORTAL_REFCNT_LOCAL` (Include/refcount.h, free-threaded).
const IMMORTAL_LOCAL: u32 = u32::MAX;
/// `_Py_REF_SHARED_SHIFT`: below it stand the shared count's flags.
const SHARED_SHIFT: u32 = 2;
/// More references than the memory of any process has room for.
const MAX_COUNT: i64 = 1 << 48;

/// An object's reference count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefCount {
    /// References that are counted; meaningless for immortal objects.
    pub count: u64,
    /// Never to be freed (PEP 683).
    pub immortal: bool,
}

/// `ob_gc_bits` of a free-threaded build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GcBits(pub u8);

impl GcBits {
    /// The collector knows the object.
    #[inline]
    pub fn is_tracked(self) -> bool {
        self.0 & BIT_TRACKED != 0
    }

    /// `tp_finalize` has been called.
    #[inline]
    pub fn is_finalized(self) -> bool {
        self.0 & BIT_FINALIZED != 0
    }

    /// A collection under way takes the object for unreachable, so far.
    #[inline]
    pub fn is_unreachable(self) -> bool {
        self.0 & BIT_UNREACHABLE != 0
    }

    /// Exempt from collection by `gc.freeze()`.
    #[inline]
    pub fn is_frozen(self) -> bool {
        self.0 & BIT_FROZEN != 0
    }

    /// References from evaluation stacks may be uncounted.
    #[inline]
    pub fn is_deferred(self) -> bool {
        self.0 & BIT_DEFERRED != 0
    }
}

/// Where the parts of the count stand.
#[derive(Clone, Copy, Debug)]
enum Counts {
    /// One word, decoded by [`Semantics::refcount`].
    Word(usize),
    /// PEP 703: the owner's references and all others.
    Split(Split),
}

/// Offsets of a split count.
#[derive(Clone, Copy, Debug)]
struct Split {
    local: usize,
    shared: usize,
    bits: usize,
    /// What a deferred object's count is too high.
    deferred_bias: i64,
}

/// The header of one interpreter build, as offsets from an object's address.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Bytes of `PyObject`.
    pub size: u32,
    /// Offset of `ob_type`, in bytes.
    pub type_at: u32,
    counts: Counts,
}

impl Header {
    /// Finds the parts in `layouts`.
    ///
    /// # Errors
    /// Neither spelling of the reference count is known; the error names the usual one.
    pub fn new(layouts: &Layouts, resolver: &mut Resolver<'_>) -> Result<Self, LayoutError> {
        let l = &layouts.object;
        let counts = match (l.refcnt, l.ref_local, l.ref_shared, l.gc_bits) {
            (_, Some(local), Some(shared), Some(bits)) => Counts::Split(Split {
                local: at(local),
                shared: at(shared),
                bits: at(bits),
                deferred_bias: super::semantics::deferred_bias(layouts),
            }),
            (Some(word), ..) => Counts::Word(at(word)),
            _ => Counts::Word(at(resolver.required("PyObject|_object", "ob_refcnt")?)),
        };
        Ok(Self { size: l.size, type_at: l.type_.offset, counts })
    }

    /// Whether the collector keeps bits in the header, and no lists.
    pub fn has_gc_bits(&self) -> bool {
        matches!(self.counts, Counts::Split(_))
    }

    /// `ob_type` of the object that begins `start` bytes into `bytes`.
    #[inline(always)]
    pub fn type_in(&self, bytes: &[u8], start: usize) -> Address {
        word(bytes, start.saturating_add(self.type_at as usize))
    }

    /// The count in the header of that object, without what threads count themselves.
    #[inline]
    pub fn count_in(&self, semantics: &Semantics, bytes: &[u8], start: usize) -> RefCount {
        match self.counts {
            Counts::Word(at) => {
                let (count, immortal) = semantics.refcount(word(bytes, start.saturating_add(at)));
                RefCount { count, immortal }
            }
            Counts::Split(split) => split.count(bytes, start, 0),
        }
    }

    /// The count, if it can be that of a live object. An address, as a buffer may hold there, cannot.
    #[inline(always)]
    pub fn plausible_count_in(&self, semantics: &Semantics, bytes: &[u8], start: usize) -> Option<RefCount> {
        match self.counts {
            Counts::Word(at) => {
                let word = word(bytes, start.saturating_add(at));
                if !semantics.plausible_refcount(word) {
                    return None;
                }
                let (count, immortal) = semantics.refcount(word);
                Some(RefCount { count, immortal })
            }
            Counts::Split(split) => {
                // What threads count themselves may make the header's count of a deferred object negative.
                let least = if split.bits(bytes, start).is_deferred() { -MAX_COUNT } else { 1 };
                let plausible = (least..MAX_COUNT).contains(&split.signed(bytes, start));
                let found = split.count(bytes, start, 0);
                (found.immortal || plausible).then_some(found)
            }
        }
    }

    /// The collector's bits of that object; none set where the build keeps them elsewhere.
    #[inline]
    pub fn gc_bits_in(&self, bytes: &[u8], start: usize) -> GcBits {
        match self.counts {
            Counts::Word(_) => GcBits::default(),
            Counts::Split(split) => split.bits(bytes, start),
        }
    }
}

impl Split {
    #[inline]
    fn bits(&self, bytes: &[u8], start: usize) -> GcBits {
        GcBits(bytes.get(start.saturating_add(self.bits)).copied().unwrap_or(0))
    }

    /// `Py_REFCNT` (Include/refcount.h) without a deferred object's bias.
    #[inline]
    fn signed(&self, bytes: &[u8], start: usize) -> i64 {
        let local = half(bytes, start.saturating_add(self.local));
        if local == IMMORTAL_LOCAL {
            return i64::from(local);
        }
        let shared = word(bytes, start.saturating_add(self.shared)) as i64 >> SHARED_SHIFT;
        let bias = if self.bits(bytes, start).is_deferred() { self.deferred_bias } else { 0 };
        i64::from(local).wrapping_add(shared).wrapping_sub(bias)
    }

    /// The count with so many references more that are counted elsewhere.
    #[inline]
    fn count(&self, bytes: &[u8], start: usize, elsewhere: i64) -> RefCount {
        let count = self.signed(bytes, start).saturating_add(elsewhere);
        let immortal = half(bytes, start.saturating_add(self.local)) == IMMORTAL_LOCAL;
        RefCount { count: u64::try_from(count).unwrap_or(0), immortal }
    }
}

impl Runtime<'_> {
    /// The reference count of the object at `address`.
    ///
    /// # Errors
    /// Its header is not readable.
    #[inline]
    pub fn refcount(&self, address: Address) -> Result<RefCount, ReadError> {
        let bytes = self.space.slice(address, self.header.size as usize)?;
        Ok(match self.header.counts {
            Counts::Word(_) => self.header.count_in(&self.semantics, bytes, 0),
            Counts::Split(split) => split.count(bytes, 0, self.outside_counts.counted(address)),
        })
    }

    /// What `sys.getrefcount()` computes from the header of the object at `address`: without what threads count
    /// themselves, and with the bias of a deferred count.
    ///
    /// # Errors
    /// Its header is not readable.
    pub fn header_refcount(&self, address: Address) -> Result<RefCount, ReadError> {
        let bytes = self.space.slice(address, self.header.size as usize)?;
        Ok(match self.header.counts {
            Counts::Word(_) => self.header.count_in(&self.semantics, bytes, 0),
            Counts::Split(split) => Split { deferred_bias: 0, ..split }.count(bytes, 0, 0),
        })
    }

    /// The collector's bits in the header of the object at `address`; none set in builds with lists.
    ///
    /// # Errors
    /// The header is not readable.
    pub fn gc_bits(&self, address: Address) -> Result<GcBits, ReadError> {
        let bytes = self.space.slice(address, self.header.size as usize)?;
        Ok(self.header.gc_bits_in(bytes, 0))
    }

    /// `ob_tid` of the object at `address`: the id of the thread that owns it, or what a collection under way keeps there.
    /// `None` where the build has no owners, and where the header is not readable.
    pub fn owner(&self, address: Address) -> Option<u64> {
        self.space.field(address, self.layouts.object.thread_id?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The free-threaded header of 3.13 and later.
    fn split() -> Split {
        Split { local: 12, shared: 16, bits: 11, deferred_bias: i64::MAX / 8 }
    }

    fn header(local: u32, shared: i64, bits: u8) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        bytes[11] = bits;
        bytes[12..16].copy_from_slice(&local.to_le_bytes());
        bytes[16..24].copy_from_slice(&shared.to_le_bytes());
        bytes
    }

    #[test]
    fn both_halves_are_counted() {
        let count = |local, shared, bits| split().count(&header(local, shared, bits), 0, 0);
        assert_eq!(count(3, 0, 1), RefCount { count: 3, immortal: false });
        assert_eq!(count(3, (-2 << 2) | 2, 1).count, 1);
        assert_eq!(count(0, (5 << 2) | 3, 1).count, 5);
        assert_eq!(count(u32::MAX, 0, BIT_DEFERRED), RefCount { count: u64::from(u32::MAX), immortal: true });
    }

    #[test]
    fn a_deferred_objects_bias_is_no_reference() {
        let count =
            |shared, more| split().count(&header(1, shared, BIT_DEFERRED | BIT_TRACKED), 0, more).count;
        assert_eq!(count(i64::MAX / 8 * 4, 0), 1);
        assert_eq!(count((i64::MAX / 8 + 6) * 4, 0), 7);
        assert_eq!(count((i64::MAX / 8 - 9) * 4, 10), 2);
        assert_eq!(count(0, 0), 0);
    }
}
