//! What makes up the value of an immutable builtin object: its bytes, or the objects in it.
//!
//! Knows where str, bytes, int, float, tuple and frozenset keep their values; refuses to know what equals what in Python
//! (`1 == 1.0`), instances of subclasses, and to show anything.

use super::Runtime;
use super::types::TypeInfo;
use super::values::{REMOVED_HASH, int_digits, str_text};
use super::words::{ReadField, at, word};
use crate::corefile::{Address, ReadError};

/// A builtin type whose objects never change. Two of one kind with the same value could be one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueKind {
    /// `str`
    Str,
    /// `bytes`
    Bytes,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `tuple`
    Tuple,
    /// `frozenset`
    FrozenSet,
}

impl ValueKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Str, Self::Bytes, Self::Int, Self::Float, Self::Tuple, Self::FrozenSet];

    /// The kind of a type's direct instances; `None` of any other type, subclasses of these included.
    pub fn of(info: &TypeInfo) -> Option<Self> {
        if info.is_heap_type() {
            return None;
        }
        Some(match &*info.name {
            "builtins.str" => Self::Str,
            "builtins.bytes" => Self::Bytes,
            "builtins.int" => Self::Int,
            "builtins.float" => Self::Float,
            "builtins.tuple" => Self::Tuple,
            "builtins.frozenset" => Self::FrozenSet,
            _ => return None,
        })
    }

    /// The type's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Bytes => "bytes",
            Self::Int => "int",
            Self::Float => "float",
            Self::Tuple => "tuple",
            Self::FrozenSet => "frozenset",
        }
    }

    /// Whether values are made of other objects.
    pub fn is_container(self) -> bool {
        matches!(self, Self::Tuple | Self::FrozenSet)
    }
}

/// The value of an object that holds no others: equal exactly for equal values of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainValue<'core> {
    /// What the bytes mean: bytes of a character, the sign of an int.
    pub form: u32,
    /// Characters, digits, or the number as the processor has it.
    pub bytes: &'core [u8],
}

impl<'core> PlainValue<'core> {
    /// Reads the value of the object at `address`; of containers, an empty one.
    ///
    /// # Errors
    /// It is not readable.
    pub fn read(runtime: &Runtime<'core>, kind: ValueKind, address: Address) -> Result<Self, ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let bytes_at = |start, count: u64, width: u64| {
            space.payload(start, usize::try_from(count.saturating_mul(width)).unwrap_or(usize::MAX))
        };
        let behind = |field: crate::layout::Field| address.wrapping_add(u64::from(field.offset));
        Ok(match kind {
            ValueKind::Str => {
                // A str is stored as narrow as its widest character allows, so that equal ones are alike byte by byte.
                let text = str_text(runtime, address)?;
                Self { form: text.kind, bytes: bytes_at(text.address, text.length, u64::from(text.kind))? }
            }
            ValueKind::Bytes => {
                let length = space.field(address, l.var_object.ob_size)?;
                Self { form: 0, bytes: bytes_at(behind(l.bytes.value), length, 1)? }
            }
            ValueKind::Int => {
                let (negative, digits) = int_digits(runtime, address)?;
                Self { form: u32::from(negative), bytes: bytes_at(behind(l.long.digits), digits, 4)? }
            }
            // The bits: 0.0 and -0.0 are two values, and a NaN is one that equals itself.
            ValueKind::Float => Self { form: 0, bytes: bytes_at(behind(l.float.value), 1, 8)? },
            ValueKind::Tuple | ValueKind::FrozenSet => Self { form: 0, bytes: &[] },
        })
    }
}

/// How long the value at `address` is: characters, bytes, bits of an int's digits, items; 8 of a float.
///
/// # Errors
/// It is not readable.
pub fn value_length(runtime: &Runtime<'_>, kind: ValueKind, address: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    match kind {
        ValueKind::Str => str_text(runtime, address).map(|text| text.length),
        ValueKind::Bytes | ValueKind::Tuple => space.field(address, l.var_object.ob_size),
        ValueKind::Int => int_digits(runtime, address).map(|(_, digits)| digits.saturating_mul(30)),
        ValueKind::Float => Ok(8),
        ValueKind::FrozenSet => space.field(address, l.set.used),
    }
}

/// Calls `each` with every object in the tuple or frozenset at `address`, in the order in which it stores them.
///
/// # Errors
/// It is not readable.
#[inline]
pub fn each_element(
    runtime: &Runtime<'_>,
    kind: ValueKind,
    address: Address,
    mut each: impl FnMut(Address),
) -> Result<(), ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let bytes_of = |words: u64| usize::try_from(words.saturating_mul(8)).unwrap_or(usize::MAX);
    match kind {
        ValueKind::Tuple => {
            let length = space.field(address, l.var_object.ob_size)?;
            let start = address.wrapping_add(u64::from(l.tuple.items.offset));
            let items = space.slice(start, bytes_of(length))?;
            items.as_chunks::<8>().0.iter().for_each(|item| each(u64::from_le_bytes(*item)));
        }
        ValueKind::FrozenSet => {
            let header = space.slice(address, l.set.size as usize)?;
            let slots = word(header, at(l.set.mask)).saturating_add(1);
            let table = space.slice(word(header, at(l.set.table)), bytes_of(slots.saturating_mul(2)))?;
            for entry in table.as_chunks::<16>().0 {
                let element = word(entry, 0);
                if element != 0 && word(entry, 8) != REMOVED_HASH {
                    each(element);
                }
            }
        }
        _ => {}
    }
    Ok(())
}
