//! Hashes of contents: a short text can be guessed from its hash, so they go with it.
//!
//! Knows where objects, dicts and sets keep them; refuses to compute any.

use crate::corefile::Address;
use crate::cpython::{DictItems, REMOVED_HASH, ReadField, Runtime, WalkKind, type_flags};
use crate::saved::read_all::WholeHeap;

/// Bytes of a word, and of an entry of a set: the element and its hash (Include/cpython/setobject.h, `setentry`).
const WORD: u64 = 8;
const SET_ENTRY: u64 = 16;

/// Takes back that the hashes of str, bytes, keys and elements were read.
pub(super) fn forget(runtime: &Runtime<'_>, whole: &WholeHeap) {
    let objects = &whole.census.objects;
    for id in objects.ids() {
        let (object, info) = (objects.address(id), runtime.types.get(objects.type_id(id)));
        let has = |flag: u64| info.flags & flag != 0;
        if has(type_flags::UNICODE_SUBCLASS) {
            // Include/cpython/unicodeobject.h: `hash` follows `length` (3.8 to 3.15).
            let length = runtime.layouts.ascii.length;
            runtime.space.forget(object.wrapping_add(u64::from(length.offset) + WORD), WORD);
        } else if has(type_flags::BYTES_SUBCLASS) {
            // Include/cpython/bytesobject.h: `ob_shash` lies before `ob_sval` (3.8 to 3.15).
            let value = u64::from(runtime.layouts.bytes.value.offset);
            runtime.space.forget(object.wrapping_add(value.saturating_sub(WORD)), WORD);
        } else if has(type_flags::TUPLE_SUBCLASS) {
            // Include/cpython/tupleobject.h: `ob_hash` lies between `ob_size` and the items (3.14 and later).
            let size = runtime.layouts.var_object.ob_size;
            let after = u64::from(size.offset) + WORD;
            if u64::from(runtime.layouts.tuple.items.offset) > after {
                runtime.space.forget(object.wrapping_add(after), WORD);
            }
        } else if has(type_flags::DICT_SUBCLASS) {
            forget_keys(runtime, object);
        } else if info.walk.kind == WalkKind::Set {
            forget_elements(runtime, object);
        }
    }
}

fn forget_keys(runtime: &Runtime<'_>, dict: Address) {
    if let Ok(items) = DictItems::read(runtime, dict) {
        items.table.hashes().for_each(|hash| runtime.space.forget(hash, WORD));
    }
}

/// The hashes in a set's table, and its own (`hash`, behind `table`).
fn forget_elements(runtime: &Runtime<'_>, set: Address) {
    let (space, l) = (&runtime.space, &runtime.layouts.set);
    let (Ok(mask), Ok(table)) = (space.field(set, l.mask), space.field(set, l.table)) else { return };
    space.forget(set.wrapping_add(u64::from(l.table.offset) + WORD), WORD);
    for index in 0..=mask {
        let hash = table.wrapping_add(index.wrapping_mul(SET_ENTRY) + WORD);
        match space.peek(hash, WORD as usize) {
            // It says that the element was removed, and nothing of the element.
            Ok(bytes) if bytes == REMOVED_HASH.to_le_bytes() => {}
            Ok(_) => space.forget(hash, WORD),
            Err(_) => return,
        }
    }
}
