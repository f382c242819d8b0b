//! By how much what an object alone owns differs from `sys.getsizeof()`. More: the array of an instance's attributes
//! (3.11 and later), anonymous memory behind an `mmap`, the text of a `StringIO`, the buffer of a ctypes array, the ring
//! of a queue. Less: what it counts as its own and another object has, such as the `bytes` of a `BytesIO`.
//!
//! Knows what interpreters and their modules allocate besides; refuses to count what libraries allocate whose structs have
//! no debug information (compressors, databases, TLS), and what other objects can share. What is not known counts as
//! nothing: the sum with `sys.getsizeof()` is a lower bound then.

use super::dict::{DictItems, DictTable};
use super::instance::DictPlace;
use super::references::{Attributes, managed_place};
use super::semantics::{ManagedDict, ValuesHeader};
use super::size::{SizeRule, bytearray_room};
use super::size_modules::ModuleSize;
use super::types::TypeInfo;
use super::words::ReadField;
use super::{Runtime, names, values};
use crate::corefile::{Address, ReadError};

/// What instances of one type own besides.
#[derive(Clone, Debug)]
pub struct Beside {
    attributes: AttributeArray,
    /// What the struct of a C module refers to.
    native: Option<ModuleSize>,
    elsewhere: Elsewhere,
}

/// What `__sizeof__` counts and another object has.
#[derive(Clone, Debug)]
enum Elsewhere {
    Nothing,
    /// The attributes within an instance, which it shares with its dict (3.13 and later).
    Values,
    /// The `bytes` that a `bytearray` has its room in (3.15).
    Room,
    /// Objects that the formula of a C module adds.
    Objects(Box<ModuleSize>),
}

/// The attributes of an instance that are in no dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttributeArray {
    /// There is none, or it is counted.
    None,
    /// Behind the object, in its own block (3.13 and later).
    Inline {
        /// Capacity that new instances note.
        words: u64,
        /// Words beyond the capacity that each array surely has.
        more: u64,
    },
    /// In a block of its own (3.11, 3.12). New instances get so many words.
    Separate { words: u64 },
}

impl Beside {
    /// Whether it tells of attributes alone, and of nothing that the struct of a C module refers to.
    pub fn is_attributes_only(&self) -> bool {
        self.native.is_none() && matches!(self.elsewhere, Elsewhere::Nothing)
    }

    /// Looks at the type of `info`.
    pub fn of(runtime: &Runtime<'_>, info: &TypeInfo) -> Self {
        Self {
            attributes: AttributeArray::of(runtime, info),
            native: native(runtime, info),
            elsewhere: Elsewhere::of(runtime, info),
        }
    }

    /// Whether `sys.getsizeof()` counts all that is known, and nothing else.
    pub fn is_nothing(&self) -> bool {
        self.attributes == AttributeArray::None && self.is_attributes_only()
    }

    /// What most instances own besides, in bytes, where that is the same for many: the array that new ones get.
    pub fn usual(&self, runtime: &Runtime<'_>) -> i64 {
        signed(match self.attributes {
            AttributeArray::None => 0,
            AttributeArray::Inline { words, more } => inline_bytes(runtime, words.saturating_add(more)),
            // `new_values`, see `separate`.
            AttributeArray::Separate { words } => {
                let prefix = words.saturating_add(2).checked_next_multiple_of(8).unwrap_or(0);
                words.saturating_mul(8).saturating_add(prefix)
            }
        })
    }

    /// Bytes that the instance of `info` at `object` owns besides, negative where `sys.getsizeof()` counts what
    /// others have; 0 for what cannot be read.
    pub fn bytes(&self, runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> i64 {
        let attributes = self.attributes.bytes(runtime, info, object).unwrap_or(0);
        let native = self.native.as_ref().map_or(0, |native| native.sum(runtime, object).unwrap_or(0));
        let elsewhere = self.elsewhere.bytes(runtime, object).unwrap_or(0);
        signed(attributes.saturating_add(native)).saturating_sub(signed(elsewhere))
    }
}

/// `bytes` as a difference.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Elsewhere {
    fn of(runtime: &Runtime<'_>, info: &TypeInfo) -> Self {
        let l = &runtime.layouts;
        match info.size_rule {
            SizeRule::Dict if l.dict_values.embedded.is_some() => Self::Values,
            SizeRule::ByteArray if l.bytearray.bytes_object.is_some() => Self::Room,
            SizeRule::Module(number) => {
                let formula = runtime.types.module_size(number).filter(|formula| formula.counts_objects());
                formula.map_or(Self::Nothing, |formula| Self::Objects(Box::new(formula.clone())))
            }
            _ => Self::Nothing,
        }
    }

    #[inline]
    fn bytes(&self, runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
        match self {
            Self::Nothing => Ok(0),
            Self::Values => shared_values(runtime, object),
            Self::Room => bytearray_room(runtime, object),
            Self::Objects(formula) => formula.of_objects(runtime, object),
        }
    }
}

impl AttributeArray {
    fn of(runtime: &Runtime<'_>, info: &TypeInfo) -> Self {
        match runtime.semantics.managed_dict {
            _ if info.parts.dict != DictPlace::Managed => Self::None,
            ManagedDict::InlineValues if info.parts.inline_values => {
                let keys = DictTable::read(runtime, info.parts.cached_keys).ok();
                let has_room = keys.as_ref().is_some_and(|keys| keys.capacity > keys.nentries as u64 + 1);
                let words = keys.map_or(0, |keys| keys.capacity);
                Self::Inline { words, more: u64::from(has_room) }
            }
            ManagedDict::InlineValues => Self::None,
            ManagedDict::TwoSlots | ManagedDict::TaggedWord => {
                let keys = DictTable::read(runtime, info.parts.cached_keys);
                keys.map_or(Self::None, |keys| Self::Separate { words: keys.capacity })
            }
        }
    }

    fn bytes(self, runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
        match self {
            Self::None => Ok(0),
            Self::Inline { more, .. } => inline(runtime, info, object, more),
            Self::Separate { words } => separate(runtime, info, object, words),
        }
    }
}

/// Include/internal/pycore_object.h, `_PyInlineValuesSize`: a header, the values, and a byte for each that tells their order.
/// The memory stays with the object when its attributes move into a dict. While the class has room for more attributes, each
/// instance takes one off the room after its memory was measured and before its capacity is noted
/// (Objects/dictobject.c, `_PyObject_InitInlineValues`): as long as there is some left, that was so for all of them.
fn inline(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, more: u64) -> Result<u64, ReadError> {
    let l = &runtime.layouts.dict_values;
    let Some(capacity) = l.capacity else { return Ok(0) };
    Ok(inline_bytes(runtime, runtime.space.small(object.wrapping_add(info.basicsize), capacity)? + more))
}

fn inline_bytes(runtime: &Runtime<'_>, words: u64) -> u64 {
    let values = runtime.layouts.dict_values.values;
    let order = words.checked_next_multiple_of(8).unwrap_or(0);
    values.map_or(0, |values| {
        u64::from(values.offset).saturating_add(words.saturating_mul(8)).saturating_add(order)
    })
}

/// Objects/dictobject.c, `new_values` (3.11, 3.12): a prefix, whose last byte is its size, and the values. The prefix has a
/// byte for each value and two more, in whole words: an array that was made when the class had room for more attributes
/// is at least as long as that says.
fn separate(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, words: u64) -> Result<u64, ReadError> {
    debug_assert!(runtime.semantics.values_header == ValuesHeader::Prefix);
    let Attributes::Values { first, .. } = managed_place(runtime, info, object)? else { return Ok(0) };
    let prefix = runtime.space.slice(first.wrapping_sub(1), 1)?.first().copied().map_or(0, u64::from);
    let (least, most) = (prefix.saturating_sub(9), prefix.saturating_sub(2));
    Ok(prefix + words.clamp(least, most) * 8)
}

/// Objects/dictobject.c, `_PyDict_SizeOf`: a dict counts its values, also those that lie within an instance.
fn shared_values(runtime: &Runtime<'_>, dict: Address) -> Result<u64, ReadError> {
    if runtime.space.field(dict, runtime.layouts.dict.values)? == 0 {
        return Ok(0);
    }
    let items = DictItems::read(runtime, dict)?;
    Ok(if items.embedded { items.table.capacity.saturating_mul(8) } else { 0 })
}

/// What the C part of instances owns that no `__sizeof__` counts: by the first type of the order of resolution whose
/// struct is known.
fn native(runtime: &Runtime<'_>, info: &TypeInfo) -> Option<ModuleSize> {
    if matches!(info.size_rule, SizeRule::Module(_)) {
        return None;
    }
    let l = &runtime.layouts.type_;
    let mro = values::tuple_items(runtime, runtime.space.field(info.address, l.mro).ok()?).ok()?;
    mro.into_iter().find_map(|base| {
        let traverse = runtime.space.field(base, l.traverse).ok()?;
        ModuleSize::beside(runtime, &names::tp_name(runtime, base), traverse)
    })
}
