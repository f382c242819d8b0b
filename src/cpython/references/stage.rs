//! A stand-in for a struct of the dead process: each of its words leads to an address of its own, which holds nothing.
//!
//! Knows how to lay one out over the process' memory, for code to be followed over; refuses to know what the code is for.

use crate::corefile::Address;
use crate::cpython::Runtime;
use crate::machine;

/// Where a stand-in lies: no process has memory there.
const START: Address = 0x7d00_0000_0000_0000;
/// Where its words lead.
const TARGETS: Address = 0x7e00_0000_0000_0000;
/// Between the targets of two words 8 bytes apart.
const STRIDE: u64 = 1 << 16;
/// Bytes in front of a stand-in for an object: where attributes are kept from 3.11 on, and the collector's links.
const FRONT: u64 = 64;

/// A struct laid out over the memory of a process.
#[derive(Clone, Debug)]
pub(in crate::cpython) struct Stage<'r, 'core> {
    runtime: &'r Runtime<'core>,
    size: u64,
    /// Set for an object: its type.
    type_: Option<Address>,
    /// A word of the process that leads to the stand-in, and the object it is part of.
    patched: Option<(Address, Address)>,
    /// A word of the stand-in with a value of its own.
    word: Option<(i32, u64)>,
}

impl<'r, 'core> Stage<'r, 'core> {
    /// The process as it is.
    pub fn none(runtime: &'r Runtime<'core>) -> Self {
        Self { runtime, size: 0, type_: None, patched: None, word: None }
    }

    /// An instance of `size` bytes of the type at `type_`.
    pub fn object(runtime: &'r Runtime<'core>, type_: Address, size: u64) -> Self {
        Self { size, type_: Some(type_), ..Self::none(runtime) }
    }

    /// The state, of `size` bytes, of the module object at `module`.
    pub fn state(runtime: &'r Runtime<'core>, module: Address, size: u64) -> Self {
        let pointer = module.wrapping_add(u64::from(runtime.layouts.module.state.offset));
        Self { size, patched: Some((pointer, module)), ..Self::none(runtime) }
    }

    /// The same with `value` in the member at `offset`.
    pub fn with(&self, offset: i32, value: u64) -> Self {
        Self { word: Some((offset, value)), ..self.clone() }
    }

    /// The object that the code is given.
    pub fn argument(&self) -> Address {
        self.patched.map_or(START, |(_, module)| module)
    }

    /// Offsets of the words that may be members.
    pub fn members(&self) -> impl Iterator<Item = i32> + use<> {
        let first = if self.type_.is_some() { u64::from(self.runtime.header.size) } else { 0 };
        (first..self.size).step_by(8).filter_map(|offset| i32::try_from(offset).ok())
    }

    /// The member that leads to `target`; the type stands in its own place.
    pub fn offset_of(&self, target: Address) -> Option<i32> {
        if self.type_ == Some(target) {
            return i32::try_from(self.runtime.header.type_at).ok();
        }
        if let Some((offset, value)) = self.word
            && value == target
        {
            return Some(offset);
        }
        let distance = target.checked_sub(TARGETS)?;
        let offset = i64::try_from(distance / STRIDE * 8).ok()?.checked_sub(FRONT as i64)?;
        (distance % STRIDE == 0 && offset < self.size as i64).then_some(offset as i32)
    }

    /// The aligned word at `address`.
    fn word_at(&self, address: Address) -> Option<u64> {
        if let Some((pointer, _)) = self.patched
            && pointer == address
        {
            return Some(START);
        }
        let place = address.wrapping_sub(START - FRONT);
        if place >= FRONT.saturating_add(self.size.next_multiple_of(8)) {
            return self.runtime.space.read_u64(address).ok();
        }
        let offset = place as i64 - FRONT as i64;
        let header = &self.runtime.header;
        Some(match (self.word, self.type_) {
            (Some((known, value)), _) if i64::from(known) == offset => value,
            // Of the words in front only the one that leads to the attributes as a dict is filled (3.11 and later).
            (_, Some(_)) if offset < 0 && offset.unsigned_abs() != self.runtime.semantics.dict_slot() => 0,
            (_, Some(type_)) if offset == i64::from(header.type_at) => type_,
            (_, Some(_)) if offset >= 0 && offset < i64::from(header.size) => 1,
            _ => TARGETS.wrapping_add((place / 8).wrapping_mul(STRIDE)),
        })
    }
}

impl machine::Memory for Stage<'_, '_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let staged = self.size != 0
            && (self.patched.is_some() || address.wrapping_sub(START - FRONT) < FRONT + self.size);
        if !staged {
            return super::native::read(self.runtime, address, into);
        }
        for (index, byte) in (0u64..).zip(into.iter_mut()) {
            let at = address.wrapping_add(index);
            let Some(word) = self.word_at(at & !7) else { return false };
            *byte = word.to_le_bytes().get((at & 7) as usize).copied().unwrap_or(0);
        }
        true
    }
}
