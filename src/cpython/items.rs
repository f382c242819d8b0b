//! Items of containers by value: what `container[key]` would give, found without running any code.
//!
//! Knows dict, list, tuple, deque, mappingproxy and their subclasses, and when a key in the core equals one that a
//! user wrote. Refuses to know `__getitem__`, `__eq__` and `__hash__` of anybody's own classes.

use super::attributes::{field_at, native_base, type_of};
use super::preview::{float_repr, quote_bytes, quote_text};
use super::semantics::type_flags;
use super::values::{has_flag, list_items, read_bytes, read_int, str_text, tuple_items};
use super::words::{ReadField, word};
use super::{DictItems, Runtime};
use crate::corefile::Address;
use std::fmt;

/// A key as a user writes it between brackets. Two keys are equal when their Python literals are.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKey {
    /// `'text'`
    Str(String),
    /// `b'bytes'`
    Bytes(Vec<u8>),
    /// `3`, `-1`: also the position in a sequence.
    Int(i128),
    /// `2.5`, never NaN or infinite.
    Float(f64),
    /// `True`, `False`
    Bool(bool),
    /// `None`
    None,
    /// `('a', 1)`
    Tuple(Vec<ItemKey>),
}

impl fmt::Display for ItemKey {
    /// The key as a Python literal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => f.write_str(&quote_text(text)),
            Self::Bytes(bytes) => f.write_str(&quote_bytes(bytes)),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&float_repr(*value)),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::None => f.write_str("None"),
            Self::Tuple(items) => {
                f.write_str("(")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
        }
    }
}

/// What kind of container an object is, with what it holds.
#[derive(Debug)]
pub enum Items<'core> {
    /// A list, tuple or deque: its items in order.
    Sequence(Vec<Address>),
    /// A dict, or what stands in front of one.
    Mapping(DictItems<'core>),
}

/// The items of a list, tuple, deque, dict or mappingproxy, or of an instance of a subclass. `None` for anything
/// else and for containers that cannot be read.
pub fn items<'core>(runtime: &Runtime<'core>, container: Address) -> Option<Items<'core>> {
    if has_flag(runtime, container, type_flags::DICT_SUBCLASS) {
        return DictItems::read(runtime, container).ok().map(Items::Mapping);
    }
    if has_flag(runtime, container, type_flags::LIST_SUBCLASS) {
        return list_items(runtime, container).ok().map(Items::Sequence);
    }
    if has_flag(runtime, container, type_flags::TUPLE_SUBCLASS) {
        return tuple_items(runtime, container).ok().map(Items::Sequence);
    }
    match native_base(runtime, type_of(runtime, container)?).1.as_str() {
        // No subclass of dict: the flag does not tell it.
        "frozendict" => DictItems::read(runtime, container).ok().map(Items::Mapping),
        "collections.deque" => deque_items(runtime, container).map(Items::Sequence),
        // A proxy of a proxy cannot be made: the constructor keeps what it is given, so one step is enough for dicts.
        "mappingproxy" => {
            let mapping = field_at(runtime, container, "mapping")?;
            has_flag(runtime, mapping, type_flags::DICT_SUBCLASS)
                .then(|| DictItems::read(runtime, mapping).ok().map(Items::Mapping))?
        }
        _ => None,
    }
}

/// `container[key]`: by position in sequences (negative ones count from the end), by value in mappings.
pub fn get_item(runtime: &Runtime<'_>, container: Address, key: &ItemKey) -> Option<Address> {
    match items(runtime, container)? {
        Items::Sequence(items) => {
            let &ItemKey::Int(index) = key else { return None };
            let index = if index < 0 { index.checked_add(items.len() as i128)? } else { index };
            items.get(usize::try_from(index).ok()?).copied().filter(|&item| item != 0)
        }
        Items::Mapping(view) => {
            let mut found = None;
            // What is missing from an unreadable table cannot be found; what is there can.
            let _ = view.for_each(runtime, |candidate, value| {
                if found.is_none() && key_equals(runtime, candidate, key) {
                    found = Some(value);
                }
            });
            found
        }
    }
}

/// Items of a deque from left to right; `None` when a block cannot be read.
pub fn deque_items(runtime: &Runtime<'_>, deque: Address) -> Option<Vec<Address>> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let length = space.field(deque, l.var_object.ob_size).ok()?;
    let per_block = usize::try_from(l.deque_block.items.size / 8).ok()?.max(1);
    let mut block = space.field(deque, l.deque.leftblock).ok()?;
    let mut position = usize::try_from(space.field(deque, l.deque.leftindex).ok()?).ok()?;
    // Each item takes a word of the process' memory; a longer deque is damage.
    let mut left = usize::try_from(length.min(runtime.mapped_bytes / 8)).ok()?;
    let mut found = Vec::new();
    while left > 0 {
        let start = block.wrapping_add(u64::from(l.deque_block.items.offset));
        let words = space.peek(start, per_block.checked_mul(8)?).ok()?;
        let taken = per_block.checked_sub(position)?.min(left);
        space.record(start.wrapping_add(position as u64 * 8), taken.saturating_mul(8));
        found.extend((position..position + taken).map(|index| word(words, index * 8)));
        if taken == 0 {
            return None;
        }
        left -= taken;
        position = 0;
        block = space.field(block, l.deque_block.right).ok()?;
    }
    Some(found)
}

/// Whether the object at `candidate` equals `key`, as Python compares the builtin types: numbers by value whatever
/// their type.
pub fn key_equals(runtime: &Runtime<'_>, candidate: Address, key: &ItemKey) -> bool {
    match key {
        ItemKey::Str(text) => text_equals(runtime, candidate, text),
        ItemKey::Bytes(bytes) => {
            has_flag(runtime, candidate, type_flags::BYTES_SUBCLASS)
                && read_bytes(runtime, candidate, bytes.len().saturating_add(1))
                    .is_ok_and(|found| found == bytes)
        }
        ItemKey::Bool(value) => number_equals(runtime, candidate, &Number::Int(i128::from(*value))),
        ItemKey::Int(value) => number_equals(runtime, candidate, &Number::Int(*value)),
        ItemKey::Float(value) => number_equals(runtime, candidate, &Number::Float(*value)),
        ItemKey::None => candidate == runtime.landmarks.none,
        ItemKey::Tuple(keys) => {
            has_flag(runtime, candidate, type_flags::TUPLE_SUBCLASS)
                && tuple_items(runtime, candidate).is_ok_and(|items| {
                    items.len() == keys.len()
                        && items.iter().zip(keys).all(|(&item, key)| key_equals(runtime, item, key))
                })
        }
    }
}

/// A number whose value is known exactly.
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    /// The number as an integer, if it is one that 128 bits hold. Exact: such floats have no fraction.
    fn as_int(&self) -> Option<i128> {
        match *self {
            Self::Int(value) => Some(value),
            // Beyond 2^126 the cast would saturate.
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 8e37 => Some(value as i128),
            Self::Float(_) => None,
        }
    }
}

fn number_equals(runtime: &Runtime<'_>, candidate: Address, wanted: &Number) -> bool {
    let Some(found) = read_number(runtime, candidate) else { return false };
    match (&found, wanted) {
        (Number::Float(found), Number::Float(wanted)) => found == wanted,
        _ => found.as_int().is_some_and(|found| Some(found) == wanted.as_int()),
    }
}

fn read_number(runtime: &Runtime<'_>, address: Address) -> Option<Number> {
    if has_flag(runtime, address, type_flags::LONG_SUBCLASS) {
        return read_int(runtime, address).ok().flatten().map(Number::Int);
    }
    let is_float = native_base(runtime, type_of(runtime, address)?).1 == "float";
    is_float.then(|| read_float(runtime, address).map(Number::Float))?
}

/// The value of the float object at `address`.
pub fn read_float(runtime: &Runtime<'_>, address: Address) -> Option<f64> {
    let start = address.wrapping_add(u64::from(runtime.layouts.float.value.offset));
    let bytes = runtime.space.payload(start, 8).ok()?;
    bytes.first_chunk().map(|bytes| f64::from_le_bytes(*bytes))
}

/// Whether the object at `address` is a str with exactly the characters of `wanted`.
pub fn text_equals(runtime: &Runtime<'_>, address: Address, wanted: &str) -> bool {
    if !has_flag(runtime, address, type_flags::UNICODE_SUBCLASS) {
        return false;
    }
    let Ok(text) = str_text(runtime, address) else { return false };
    // A character takes at most four bytes of UTF-8: most keys are told apart without counting.
    let bytes = wanted.len() as u64;
    if text.length > bytes || text.length.saturating_mul(4) < bytes {
        return false;
    }
    code_points(runtime, address, usize::MAX)
        .is_some_and(|found| found.iter().copied().eq(wanted.chars().map(u32::from)))
}

/// The first `max` code points of the str at `address`, lone surrogates included.
pub fn code_points(runtime: &Runtime<'_>, address: Address, max: usize) -> Option<Vec<u32>> {
    let text = str_text(runtime, address).ok()?;
    let length = usize::try_from(text.length).unwrap_or(usize::MAX).min(max);
    let width = text.width();
    let bytes = runtime.space.payload(text.address, length.checked_mul(width)?).ok()?;
    Some(match width {
        1 => bytes.iter().map(|&byte| u32::from(byte)).collect(),
        2 => bytes.as_chunks::<2>().0.iter().map(|&unit| u32::from(u16::from_le_bytes(unit))).collect(),
        _ => bytes.as_chunks::<4>().0.iter().map(|&unit| u32::from_le_bytes(unit)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_print_as_python_literals() {
        for (key, literal) in [
            (ItemKey::Str("it's".to_owned()), "\"it's\""),
            (ItemKey::Bytes(b"\x00'".to_vec()), "b\"\\x00'\""),
            (ItemKey::Int(-3), "-3"),
            (ItemKey::Float(1e16), "1e+16"),
            (ItemKey::Bool(true), "True"),
            (ItemKey::None, "None"),
            (ItemKey::Tuple(vec![]), "()"),
            (ItemKey::Tuple(vec![ItemKey::Int(1)]), "(1,)"),
            (ItemKey::Tuple(vec![ItemKey::Int(1), ItemKey::None]), "(1, None)"),
        ] {
            assert_eq!(key.to_string(), literal);
        }
    }

    #[test]
    fn integral_floats_compare_as_integers() {
        assert_eq!(Number::Float(3.0).as_int(), Some(3));
        assert_eq!(Number::Float(-0.0).as_int(), Some(0));
        assert_eq!(Number::Float(2.5).as_int(), None);
        assert_eq!(Number::Float(f64::NAN).as_int(), None);
        assert_eq!(Number::Float(f64::INFINITY).as_int(), None);
    }
}
