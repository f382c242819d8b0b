//! How much room containers and instances have for what they hold, and how much of it is used.
//!
//! Knows the tables of lists, dicts and sets and the places of attributes; refuses to judge whether the room is needed.

use super::attributes::native_base;
use super::dict::Shape;
use super::instance::DictPlace;
use super::references::{Attributes, dict_slot, managed_place};
use super::semantics::ValuesHeader;
use super::size::{list_capacity, size_of};
use super::types::{TypeInfo, WalkKind};
use super::words::{ReadField, at, word};
use super::{DictTable, Runtime};
use crate::corefile::{Address, ReadError};

/// Containers that grow by taking more room than they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Growing {
    /// `list` and subclasses.
    List,
    /// `dict` and subclasses.
    Dict,
    /// `set` and subclasses.
    Set,
}

impl Growing {
    /// What instances of a type are; `None` of other types and of those that never change.
    pub fn of(runtime: &Runtime<'_>, info: &TypeInfo) -> Option<Self> {
        let kind = match info.walk.kind {
            WalkKind::List => Self::List,
            WalkKind::Dict | WalkKind::OrderedDict => Self::Dict,
            WalkKind::Set => Self::Set,
            _ => return None,
        };
        let native = native_base(runtime, info.address).1;
        (native != "frozenset" && native != "frozendict").then_some(kind)
    }
}

/// Room of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Items that it holds.
    pub used: u64,
    /// Items that there is room for in memory that it alone has; as many as `used` where it has none of its own: an empty
    /// dict without a table, a set within its object, an instance's dict that shares its names.
    pub capacity: u64,
    /// Bytes that an item takes in that memory.
    pub item_bytes: u64,
    /// Whether it holds much less than growing alone leaves: items were removed, or room was asked for.
    pub is_sparse: bool,
}

impl Room {
    /// Bytes that are allocated and not used.
    pub fn unused_bytes(self) -> u64 {
        self.capacity.saturating_sub(self.used).saturating_mul(self.item_bytes)
    }
}

/// The room of the container of that kind at `object`.
///
/// # Errors
/// It is not readable, or has more room than the process had memory (a list while it is sorted).
pub fn room(runtime: &Runtime<'_>, kind: Growing, object: Address) -> Result<Room, ReadError> {
    let found = match kind {
        Growing::List => list_room(runtime, object)?,
        Growing::Dict => dict_room(runtime, object)?,
        Growing::Set => set_room(runtime, object)?,
    };
    match found.capacity.checked_mul(found.item_bytes) {
        Some(bytes) if bytes <= runtime.described_bytes => Ok(found),
        _ => Err(ReadError::Unmapped(object)),
    }
}

fn list_room(runtime: &Runtime<'_>, object: Address) -> Result<Room, ReadError> {
    let used = runtime.space.field(object, runtime.layouts.var_object.ob_size)?;
    let capacity = list_capacity(runtime, object)?;
    Ok(Room { used, capacity, item_bytes: 8, is_sparse: capacity > used })
}

fn dict_room(runtime: &Runtime<'_>, object: Address) -> Result<Room, ReadError> {
    /// Entries of the smallest table (`PyDict_MINSIZE`, Objects/dictobject.c, 3.8 to 3.15: 8 slots).
    const LEAST: u64 = 5;
    let l = &runtime.layouts;
    let header = runtime.space.slice(object, l.dict.size as usize)?;
    let used = word(header, at(l.dict.used));
    let table = runtime.space.slice(word(header, at(l.dict.keys)), l.dict_keys.size as usize)?;
    let own = word(header, at(l.dict.values)) == 0 && word(table, at(l.dict_keys.refcnt)) == 1;
    let shape = Shape::read(runtime, table);
    let capacity = if own { shape.room().max(used) } else { used };
    Ok(Room {
        used,
        capacity,
        item_bytes: shape.entry_bytes(runtime),
        // Growth leaves a table with at least a quarter of its entries used (`GROWTH_RATE`: three times what is used,
        // rounded up to a power of two, of which two thirds are entries).
        is_sparse: capacity > LEAST && used < capacity / 4,
    })
}

fn set_room(runtime: &Runtime<'_>, object: Address) -> Result<Room, ReadError> {
    let l = &runtime.layouts.set;
    let header = runtime.space.slice(object, l.size as usize)?;
    let (used, table) = (word(header, at(l.used)), word(header, at(l.table)));
    let slots = word(header, at(l.mask)).saturating_add(1);
    let own = table != object.wrapping_add(u64::from(l.smalltable.offset));
    let capacity = if own { slots.max(used) } else { used };
    // Growth makes a table of four times what is used, rounded up to a power of two (`set_add_entry`, Objects/setobject.c).
    Ok(Room { used, capacity, item_bytes: 16, is_sparse: used < capacity / 8 })
}

/// Where an instance keeps the attributes that have no slot, and what that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AttributeRoom {
    /// Attributes it has there.
    pub used: u64,
    /// Bytes besides the object's `sys.getsizeof()`: an array of values, a dict with its table.
    pub bytes: u64,
    /// The dict, if there is one; else 0.
    pub dict: Address,
    /// Bytes of the dict's own table, where it shares no names with other instances; else 0.
    pub unshared_bytes: u64,
}

/// The attributes of the instance of `info` at `object`. `None` of types to which no class statement gives attributes.
///
/// # Errors
/// They are not readable.
pub fn attribute_room(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
) -> Result<Option<AttributeRoom>, ReadError> {
    let mut found = AttributeRoom::default();
    match info.parts.dict {
        DictPlace::None => return Ok(None),
        DictPlace::Managed => {
            if info.parts.inline_values {
                found.bytes = inline_bytes(runtime, info, object)?;
            }
            match managed_place(runtime, info, object)? {
                Attributes::None => {}
                Attributes::Dict(dict) => add_dict(runtime, dict, &mut found)?,
                Attributes::Values { first, dict, .. } => {
                    let keys = DictTable::read(runtime, info.parts.cached_keys)?;
                    let capacity = keys.capacity.min(runtime.mapped_bytes);
                    let values = runtime.space.slice(first, keys.nentries.saturating_mul(8))?;
                    if runtime.semantics.values_header == ValuesHeader::Prefix {
                        // Objects/dictobject.c, new_values (3.11, 3.12): a byte for each value and two more, in whole words,
                        // stand in front. The first instances of a class were given more, which nothing notes.
                        let prefix = (capacity + 2).next_multiple_of(8);
                        found.bytes = prefix.saturating_add(capacity.saturating_mul(8));
                    }
                    if dict != 0 {
                        let type_size =
                            runtime.types.of(runtime.space.field(dict, runtime.layouts.object.type_)?);
                        let size = type_size.map_or(Ok(0), |info| size_of(runtime, info, dict))?;
                        // `dict.__sizeof__` counts the values once more.
                        let values = capacity.saturating_mul(8);
                        found.bytes = found.bytes.saturating_add(size.saturating_sub(values));
                        found.dict = dict;
                    }
                    found.used =
                        values.as_chunks::<8>().0.iter().filter(|value| **value != [0; 8]).count() as u64;
                }
            }
        }
        DictPlace::Offset(_) | DictPlace::FromEnd(_) => {
            if let Some(place) = dict_slot(runtime, info, object)? {
                match runtime.space.read_u64(place)? {
                    0 => {}
                    dict => add_dict(runtime, dict, &mut found)?,
                }
            }
        }
    }
    Ok(Some(found))
}

/// Adds the dict that an instance alone keeps its attributes in.
fn add_dict(runtime: &Runtime<'_>, dict: Address, found: &mut AttributeRoom) -> Result<(), ReadError> {
    let l = &runtime.layouts;
    let Some(info) = runtime.types.of(runtime.space.field(dict, l.object.type_)?) else { return Ok(()) };
    let header = runtime.space.slice(dict, l.dict.size as usize)?;
    found.dict = dict;
    found.used = word(header, at(l.dict.used));
    found.bytes = found.bytes.saturating_add(size_of(runtime, info, dict)?);
    if word(header, at(l.dict.values)) == 0 {
        let table = runtime.space.slice(word(header, at(l.dict.keys)), l.dict_keys.size as usize)?;
        if word(table, at(l.dict_keys.refcnt)) == 1 {
            found.unshared_bytes = Shape::read(runtime, table).bytes(runtime);
        }
    }
    Ok(())
}

/// Bytes of the values behind an instance (`_PyInlineValuesSize`, Include/internal/pycore_object.h, 3.13): a word of
/// numbers, the values, and a byte for each that says in which order they were set.
fn inline_bytes(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    /// More names than a class shares (`SHARED_KEYS_MAX_SIZE` is 30).
    const MOST_INLINE: u64 = 0xff;
    let l = &runtime.layouts.dict_values;
    let Some(capacity) = l.capacity else { return Ok(0) };
    let header = object.wrapping_add(info.basicsize);
    let capacity = runtime.space.small(header, capacity)?.min(MOST_INLINE);
    Ok(8 + capacity * 8 + capacity.next_multiple_of(8))
}

/// What an instance takes if its class, and those above it, have `names` as `__slots__` (and no `__weakref__`): the size
/// that `sys.getsizeof()` gives. `None` where that cannot be: objects of variable size can have no slots.
pub fn slotted_size(runtime: &Runtime<'_>, info: &TypeInfo, names: u64) -> Option<u64> {
    if info.itemsize != 0 || info.is_metatype() {
        return None;
    }
    let mut size = info.basicsize;
    if let DictPlace::Offset(_) = info.parts.dict {
        size = size.saturating_sub(8);
    }
    let native = native_base(runtime, info.address).0;
    let inherited = runtime.types.of(native).is_some_and(|native| native.parts.weaklist_offset != 0);
    if info.parts.weaklist_offset > 0 && !inherited {
        size = size.saturating_sub(8);
    }
    // Whatever has members is the collector's (Objects/typeobject.c, `type_new_slots`, `inherit_slots`).
    Some(size.saturating_add(names.saturating_mul(8)).saturating_add(u64::from(runtime.semantics.gc_head)))
}

/// Names of attributes that a class shares among its instances; 0 of one that shares none.
pub fn shared_names(runtime: &Runtime<'_>, info: &TypeInfo) -> u64 {
    match info.parts.cached_keys {
        0 => 0,
        keys => DictTable::read(runtime, keys).map_or(0, |table| table.nentries as u64),
    }
}
