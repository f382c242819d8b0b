//! Reading dicts: combined, split and all-str tables.
//!
//! Knows Objects/dictobject.c's tables; refuses to know what keys and values mean.

use super::Runtime;
use super::words::{ReadField, at, word};
use crate::corefile::{Address, ReadError};
use crate::layout::Field;

/// A keys table (`PyDictKeysObject`), located.
#[derive(Clone, Copy, Debug)]
pub struct DictTable<'core> {
    /// Its address.
    pub address: Address,
    /// `dk_refcnt`: above 1 the table is shared.
    pub refcnt: i64,
    /// Entries in use, removed ones included.
    pub nentries: usize,
    /// Entries there is room for.
    pub capacity: u64,
    /// All keys are `str`: traversal skips them.
    pub all_str: bool,
    /// Bytes of the table with header, indices and entries (`_PyDict_KeysSize`).
    pub bytes: u64,
    entries_at: Address,
    entries: &'core [u8],
    entry_size: usize,
    key_at: usize,
    value_at: usize,
}

/// `dk_kind` of a table with keys of any type (Include/internal/pycore_dict.h, DICT_KEYS_GENERAL).
const KEYS_GENERAL: u64 = 0;

impl<'core> DictTable<'core> {
    /// Reads the table at `address`.
    ///
    /// # Errors
    /// It is not readable whole.
    #[inline]
    pub fn read(runtime: &Runtime<'core>, address: Address) -> Result<Self, ReadError> {
        let l = &runtime.layouts;
        let header = runtime.space.slice(address, l.dict_keys.size as usize)?;
        let shape = Shape::read(runtime, header);
        let (entry, key, value) = shape.entry(runtime);
        let indices = address.wrapping_add(u64::from(l.dict_keys.indices.offset));
        let entries_at = indices.wrapping_add(shape.index_bytes);
        let nentries = word(header, at(l.dict_keys.nentries));
        let wanted = nentries.saturating_mul(u64::from(entry));
        let entries = runtime.space.slice(entries_at, usize::try_from(wanted).unwrap_or(usize::MAX))?;
        Ok(Self {
            address,
            refcnt: word(header, at(l.dict_keys.refcnt)) as i64,
            nentries: nentries as usize,
            capacity: shape.capacity(runtime, header),
            all_str: !shape.general,
            bytes: shape.bytes(runtime),
            entries_at,
            entries,
            entry_size: entry as usize,
            key_at: at(key),
            value_at: at(value),
        })
    }

    /// Key and value words of all entries in order; either may be 0.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = (Address, Address)> + use<'core> {
        let (key_at, value_at) = (self.key_at, self.value_at);
        self.entries
            .chunks_exact(self.entry_size.max(1))
            .map(move |entry| (word(entry, key_at), word(entry, value_at)))
    }

    /// Where the entries have the hashes of their keys; none where all keys are `str`, which have them themselves (3.11 and
    /// later).
    pub fn hashes(&self) -> impl Iterator<Item = Address> + use<> {
        // `me_hash` is the first member of an entry that has one, before `me_key`.
        let (start, size) = (self.entries_at, self.entry_size as u64);
        let count = if self.key_at == 0 { 0 } else { self.nentries as u64 };
        (0..count).map(move |index| start.wrapping_add(index * size))
    }

    /// The key of entry `index`; 0 when there is none.
    #[inline]
    pub fn key(&self, index: usize) -> Address {
        match self.entries.get(index.saturating_mul(self.entry_size)..) {
            Some(entry) => word(entry, self.key_at),
            None => 0,
        }
    }
}

/// What the header of a keys table says of the rest.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Keys may be of any type.
    general: bool,
    /// Slots of the index: a power of two.
    slots: u64,
    /// Bytes of the index.
    index_bytes: u64,
}

impl Shape {
    /// Reads it from `header`, the bytes of a `PyDictKeysObject`.
    #[inline]
    pub fn read(runtime: &Runtime<'_>, header: &[u8]) -> Self {
        let l = &runtime.layouts.dict_keys;
        let byte = |field: Field| u64::from(header.get(at(field)).copied().unwrap_or(0));
        if let (Some(kind), Some(slots), Some(index)) = (l.kind, l.log2_size, l.log2_index_bytes) {
            return Self {
                general: byte(kind) == KEYS_GENERAL,
                slots: 1 << byte(slots).min(62),
                index_bytes: 1 << byte(index).min(62),
            };
        }
        let read = |field: Option<Field>| field.map_or(0, |field| word(header, at(field)));
        let slots = read(l.slots).min(1 << 62);
        Self {
            // What tells is the function that looks keys up (dict_traverse, Objects/dictobject.c, up to 3.10).
            general: read(l.lookup) == runtime.landmarks.general_lookup,
            slots,
            index_bytes: slots.saturating_mul(index_width(slots)),
        }
    }

    /// Bytes of an entry, and where it has its key and its value. Up to 3.10 all tables have the same entries.
    #[inline]
    fn entry(self, runtime: &Runtime<'_>) -> (u32, Field, Field) {
        let l = &runtime.layouts;
        match (l.dict_unicode_entry.key, l.dict_unicode_entry.value) {
            (Some(key), Some(value)) if !self.general => (l.dict_unicode_entry.size, key, value),
            _ => (l.dict_entry.size, l.dict_entry.key, l.dict_entry.value),
        }
    }

    /// Entries there is room for: `USABLE_FRACTION`, two thirds of the index's slots.
    #[inline]
    pub fn room(self) -> u64 {
        self.slots.saturating_mul(2) / 3
    }

    /// Bytes of an entry.
    #[inline]
    pub fn entry_bytes(self, runtime: &Runtime<'_>) -> u64 {
        u64::from(self.entry(runtime).0)
    }

    /// Values that a dict with a table of its own for them has room for. Up to 3.10 the size of the index tells.
    #[inline]
    pub fn capacity(self, runtime: &Runtime<'_>, header: &[u8]) -> u64 {
        let l = &runtime.layouts.dict_keys;
        match l.log2_size {
            Some(_) => word(header, at(l.usable)).wrapping_add(word(header, at(l.nentries))),
            None => self.room(),
        }
    }

    /// Bytes of the table with header, index and entries (`_PyDict_KeysSize`).
    #[inline]
    pub fn bytes(self, runtime: &Runtime<'_>) -> u64 {
        let (entry, ..) = self.entry(runtime);
        u64::from(runtime.layouts.dict_keys.indices.offset)
            .saturating_add(self.index_bytes)
            .saturating_add(self.room().saturating_mul(u64::from(entry)))
    }
}

/// Bytes of an index's slot (`DK_IXSIZE`, Objects/dictobject.c, up to 3.10; later releases store the result).
fn index_width(slots: u64) -> u64 {
    match slots {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Number of bytes of a keys table, without its entries being readable.
///
/// # Errors
/// Its header is not readable.
pub fn keys_bytes(runtime: &Runtime<'_>, address: Address) -> Result<u64, ReadError> {
    let header = runtime.space.slice(address, runtime.layouts.dict_keys.size as usize)?;
    Ok(Shape::read(runtime, header).bytes(runtime))
}

/// The function that looks up keys of any type, by which tables tell their kind up to 3.10 (`lookdict`); 0 where no
/// table needs it. The subclasses of `object` stand in a dict whose keys are ints (`add_subclass`,
/// Objects/typeobject.c), so that no symbol is needed.
pub(super) fn general_lookup(runtime: &Runtime<'_>) -> Address {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some(lookup) = l.dict_keys.lookup else { return 0 };
    let read = |base, field| space.field(base, field).ok().filter(|&value| value != 0);
    read(runtime.landmarks.object_type, l.type_.subclasses)
        .and_then(|subclasses| read(subclasses, l.dict.keys))
        .and_then(|keys| read(keys, lookup))
        .unwrap_or(0)
}

/// A dict's table and, if split, where its values lie.
#[derive(Clone, Copy, Debug)]
pub struct DictItems<'core> {
    /// Its keys.
    pub table: DictTable<'core>,
    /// `ma_used`.
    pub used: u64,
    /// Address of the first value word of a split dict.
    pub split_values: Option<Address>,
    /// The split values lie inside an instance, which refers to them itself.
    pub embedded: bool,
}

impl<'core> DictItems<'core> {
    /// Reads the dict (or instance of a subclass) at `dict`.
    ///
    /// # Errors
    /// It or its table is not readable.
    #[inline]
    pub fn read(runtime: &Runtime<'core>, dict: Address) -> Result<Self, ReadError> {
        let l = &runtime.layouts;
        let bytes = runtime.space.slice(dict, l.dict.size as usize)?;
        let table = DictTable::read(runtime, word(bytes, at(l.dict.keys)))?;
        let values = word(bytes, at(l.dict.values));
        let split_values = (values != 0).then(|| values.wrapping_add(values_at(runtime)));
        let embedded = match (values, l.dict_values.embedded) {
            (0, _) | (_, None) => false,
            (_, Some(field)) => runtime.space.small(values, field)? != 0,
        };
        Ok(Self { table, used: word(bytes, at(l.dict.used)), split_values, embedded })
    }

    /// Calls `each` with every present key and value, in insertion order of the table.
    ///
    /// # Errors
    /// A split dict's values are not readable.
    #[inline]
    pub fn for_each(
        &self,
        runtime: &Runtime<'core>,
        mut each: impl FnMut(Address, Address),
    ) -> Result<(), ReadError> {
        match self.split_values {
            None => {
                for (key, value) in self.table.entries() {
                    if value != 0 && key != 0 {
                        each(key, value);
                    }
                }
            }
            Some(first) => {
                let values = runtime.space.slice(first, self.table.nentries.saturating_mul(8))?;
                for (index, (key, _)) in self.table.entries().enumerate() {
                    let value = word(values, index * 8);
                    if value != 0 && key != 0 {
                        each(key, value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Bytes from what points at the values of a split table to the first of them: none up to 3.10, where there is no struct.
#[inline]
pub(super) fn values_at(runtime: &Runtime<'_>) -> u64 {
    runtime.layouts.dict_values.values.map_or(0, |field| u64::from(field.offset))
}

/// All present items of the dict at `dict`; empty when it is unreadable.
pub fn dict_items(runtime: &Runtime<'_>, dict: Address) -> Vec<(Address, Address)> {
    let mut items = Vec::new();
    if let Ok(view) = DictItems::read(runtime, dict) {
        // Unreadable split values leave the list short; callers show what there is.
        let _ = view.for_each(runtime, |key, value| items.push((key, value)));
    }
    items
}

/// The value under the str `key` in the dict at `dict`.
pub fn dict_get(runtime: &Runtime<'_>, dict: Address, key: &str) -> Option<Address> {
    dict_items(runtime, dict)
        .into_iter()
        .find(|&(candidate, _)| super::values::str_equals(runtime, candidate, key))
        .map(|(_, value)| value)
}
