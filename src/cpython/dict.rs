//! Reading dicts: combined, split and all-str tables.
//!
//! Knows Objects/dictobject.c's tables; refuses to know what keys and values mean.

use super::Runtime;
use super::words::{ReadField, at, word};
use crate::corefile::{Address, ReadError};

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
        let byte = |field| u64::from(header.get(at(field)).copied().unwrap_or(0));
        let general = byte(l.dict_keys.kind) == KEYS_GENERAL;
        let (entry, key, value) = if general {
            (l.dict_entry.size, l.dict_entry.key, l.dict_entry.value)
        } else {
            (l.dict_unicode_entry.size, l.dict_unicode_entry.key, l.dict_unicode_entry.value)
        };
        let log2_size = byte(l.dict_keys.log2_size).min(62);
        let index_bytes = 1u64 << byte(l.dict_keys.log2_index_bytes).min(62);
        let indices = address.wrapping_add(u64::from(l.dict_keys.indices.offset));
        let entries_at = indices.wrapping_add(index_bytes);
        let nentries = word(header, at(l.dict_keys.nentries));
        let wanted = nentries.saturating_mul(u64::from(entry));
        let entries = runtime.space.slice(entries_at, usize::try_from(wanted).unwrap_or(usize::MAX))?;
        // USABLE_FRACTION: two thirds of the index's slots.
        let room = (1u64 << log2_size).saturating_mul(2) / 3;
        Ok(Self {
            address,
            refcnt: word(header, at(l.dict_keys.refcnt)) as i64,
            nentries: nentries as usize,
            capacity: word(header, at(l.dict_keys.usable)).wrapping_add(nentries),
            all_str: !general,
            bytes: u64::from(l.dict_keys.indices.offset)
                .saturating_add(index_bytes)
                .saturating_add(room.saturating_mul(u64::from(entry))),
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

    /// The key of entry `index`; 0 when there is none.
    #[inline]
    pub fn key(&self, index: usize) -> Address {
        match self.entries.get(index.saturating_mul(self.entry_size)..) {
            Some(entry) => word(entry, self.key_at),
            None => 0,
        }
    }
}

/// Number of bytes of a keys table, without its entries being readable.
///
/// # Errors
/// Its header is not readable.
pub fn keys_bytes(runtime: &Runtime<'_>, address: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let kind = runtime.space.small(address, l.dict_keys.kind)?;
    let entry = if kind == KEYS_GENERAL { l.dict_entry.size } else { l.dict_unicode_entry.size };
    let room = (1u64 << runtime.space.small(address, l.dict_keys.log2_size)?.min(62)).saturating_mul(2) / 3;
    Ok(u64::from(l.dict_keys.indices.offset)
        .saturating_add(1u64 << runtime.space.small(address, l.dict_keys.log2_index_bytes)?.min(62))
        .saturating_add(room.saturating_mul(u64::from(entry))))
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
        let split_values = (values != 0).then(|| values.wrapping_add(u64::from(l.dict_values.values.offset)));
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
