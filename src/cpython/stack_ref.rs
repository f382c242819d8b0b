//! The words in which frames keep references: plain pointers up to 3.13, tagged since 3.14 (`_PyStackRef`).
//!
//! Knows the tags; refuses to know which words of a frame are what, and which of them are in use.

use super::Runtime;
use super::words::ReadField;
use crate::corefile::{Address, ReadError};

/// The bits of a word that are no part of an address (`Py_TAG_BITS`, Include/internal/pycore_stackref.h, 3.14).
const TAG_BITS: u64 = 3;
/// The reference is not one of those that the object's refcount counts (`Py_TAG_REFCNT`): the object is immortal, or
/// something that lives longer holds it. With no address it is NULL (`PyStackRef_NULL`).
const NOT_COUNTED: u64 = 1;

/// One reference of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackRef {
    /// The object.
    pub object: Address,
    /// Whether the object's refcount counts the reference. Traversal reports it in any case, but the collector does not
    /// subtract what is not counted (Python/gc.c, `_PyGC_VisitStackRef`, 3.14).
    pub counted: bool,
}

impl StackRef {
    /// Takes a word of a frame apart; `None` for NULL, for integers that stand in the place of objects (tag 3, an index
    /// into what is iterated), and for what is left behind on errors (tag 2, 3.15).
    #[inline]
    pub fn decode(word: u64, tagged: bool) -> Option<Self> {
        let (object, counted) = match (tagged, word & TAG_BITS) {
            (false, _) => (word, true),
            (true, 0) => (word, true),
            (true, NOT_COUNTED) => (word & !TAG_BITS, false),
            (true, _) => return None,
        };
        (object != 0).then_some(Self { object, counted })
    }
}

/// Reads the reference in `field` of the frame at `frame`: its code or its function.
///
/// # Errors
/// The frame is not readable.
pub fn frame_field(
    runtime: &Runtime<'_>,
    frame: Address,
    field: crate::layout::Field,
) -> Result<Option<StackRef>, ReadError> {
    Ok(StackRef::decode(runtime.space.field(frame, field)?, runtime.semantics.tagged_stack))
}

/// The object that a frame runs, a code object in frames that Python shows; 0 if there is none.
///
/// # Errors
/// The frame is not readable.
pub fn frame_code(runtime: &Runtime<'_>, frame: Address) -> Result<Address, ReadError> {
    Ok(frame_field(runtime, frame, runtime.layouts.frame.code)?.map_or(0, |found| found.object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_addresses() {
        assert_eq!(StackRef::decode(0, false), None);
        assert_eq!(StackRef::decode(0x7000, false), Some(StackRef { object: 0x7000, counted: true }));
    }

    #[test]
    fn tags_say_whether_a_reference_is_counted_and_whether_it_is_one() {
        assert_eq!(StackRef::decode(0x7000, true), Some(StackRef { object: 0x7000, counted: true }));
        assert_eq!(StackRef::decode(0x7001, true), Some(StackRef { object: 0x7000, counted: false }));
        for nothing in [0, 1, 2, 3, (42 << 2) | 3, 0x7002] {
            assert_eq!(StackRef::decode(nothing, true), None);
        }
    }
}
