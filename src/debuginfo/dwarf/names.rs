//! The one pass over `.debug_info`: which names are types, and where. Knows how to get past everything else
//! quickly; refuses to know layouts, which are read on demand from the offsets found here.
//!
//! The index is one sorted vector of 64-bit numbers, the hash of a name above the offset of its DIE: 8 bytes per
//! type, and the definitions of one name lie together in unit order. Names are compared only on lookup.

use std::hash::Hasher;

use gimli::{AttributeSpecification, DwTag, EntriesRaw, UnitOffset, constants};
use rayon::prelude::*;
use rustc_hash::FxHasher;

use super::units::{DieOffset, Slice, UnitSlot, Units, extent_of, malformed, unit_reference};
use crate::debuginfo::DebugInfoError;

/// Where the named types and the enumerations of a file are.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    /// Hash of the name in the upper, DIE offset in the lower 32 bits; sorted.
    types: Vec<u64>,
    /// Enumeration types in file order; their enumerators are read when one is first asked for.
    pub enumerations: Vec<DieOffset>,
}

impl NameIndex {
    /// Named types whose name has the same hash as `name`, in file order. The caller compares the name.
    pub fn candidates(&self, name: &str) -> impl Iterator<Item = DieOffset> {
        let hash = hash_of(name.as_bytes());
        let first = self.types.partition_point(|entry| ((entry >> 32) as u32) < hash);
        let tail = self.types.get(first..).unwrap_or_default();
        tail.iter().take_while(move |e| (**e >> 32) as u32 == hash).map(|e| DieOffset(*e as u32))
    }
}

/// What the pass found in one unit.
#[derive(Default)]
struct UnitNames {
    types: Vec<u64>,
    enumerations: Vec<DieOffset>,
}

/// Reads all units in parallel. Units that cannot be read are left out, unless all of them are.
pub(super) fn index_units<'d>(
    dwarf: gimli::Dwarf<Slice<'d>>,
) -> Result<(Units<'d>, NameIndex), DebugInfoError> {
    let mut headers = Vec::new();
    let mut first_error = None;
    let mut iterator = dwarf.units();
    loop {
        match iterator.next() {
            Ok(Some(header)) => headers.push(header),
            Ok(None) => break,
            Err(error) => {
                first_error = Some(error);
                break;
            }
        }
    }
    let read: Vec<_> = headers.into_par_iter().map(|header| read_unit(&dwarf, header)).collect();
    let mut slots = Vec::with_capacity(read.len());
    let mut index = NameIndex::default();
    for unit in read {
        match unit {
            Ok((slot, names)) => {
                slots.push(slot);
                index.types.extend(names.types);
                index.enumerations.extend(names.enumerations);
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if let (true, Some(error)) = (slots.is_empty(), first_error) {
        return Err(malformed(error));
    }
    index.types.par_sort_unstable();
    Ok((Units { dwarf, slots }, index))
}

fn read_unit<'d>(
    dwarf: &gimli::Dwarf<Slice<'d>>,
    header: gimli::UnitHeader<Slice<'d>>,
) -> gimli::Result<(UnitSlot<'d>, UnitNames)> {
    let (start, end) = extent_of(&header).ok_or(gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0)))?;
    let slot = UnitSlot { start, end, unit: dwarf.unit(header)? };
    let mut names = UnitNames::default();
    // A unit that breaks off in the middle still defines what came before.
    let _ = Pass { dwarf, slot: &slot, names: &mut names }.run();
    Ok((slot, names))
}

struct Pass<'a, 'd> {
    dwarf: &'a gimli::Dwarf<Slice<'d>>,
    slot: &'a UnitSlot<'d>,
    names: &'a mut UnitNames,
}

/// What to do with an entry of some tag.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    /// Note its name, pass over its children.
    Type,
    /// Note its place, pass over its children.
    Enumeration,
    /// Go on with its children: it holds types.
    Enter,
    /// Pass over it and its children.
    Skip,
}

impl Action {
    fn for_tag(tag: DwTag) -> Self {
        match tag {
            constants::DW_TAG_structure_type
            | constants::DW_TAG_union_type
            | constants::DW_TAG_class_type
            | constants::DW_TAG_typedef => Self::Type,
            constants::DW_TAG_enumeration_type => Self::Enumeration,
            constants::DW_TAG_compile_unit
            | constants::DW_TAG_partial_unit
            | constants::DW_TAG_type_unit
            | constants::DW_TAG_namespace => Self::Enter,
            _ => Self::Skip,
        }
    }
}

impl<'a, 'd> Pass<'a, 'd> {
    /// Walks the unit. The number of open lists is counted here, because jumping to a sibling leaves the reader
    /// on the level it was on.
    fn run(&mut self) -> gimli::Result<()> {
        let mut entries = self.slot.unit.entries_raw(None)?;
        let mut open = 0usize;
        loop {
            let offset = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Ok(());
                }
                continue;
            };
            let action = Action::for_tag(abbreviation.tag());
            let attributes = abbreviation.attributes();
            let sibling = match action {
                Action::Type => self.read_type(&mut entries, offset, attributes)?,
                _ => read_sibling(&mut entries, attributes, abbreviation.has_children())?,
            };
            if action == Action::Enumeration {
                self.names.enumerations.extend(self.global(offset));
            }
            if abbreviation.has_children() {
                if action == Action::Enter {
                    open += 1;
                } else {
                    self.pass_over_children(&mut entries, sibling)?;
                }
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Reads a type's attributes and notes the type if it has a name and is more than a declaration.
    fn read_type(
        &mut self,
        entries: &mut EntriesRaw<'_, '_, Slice<'d>>,
        offset: UnitOffset,
        attributes: &[AttributeSpecification],
    ) -> gimli::Result<Option<usize>> {
        let named = attributes.iter().any(|spec| spec.name() == constants::DW_AT_name);
        let declared = attributes.iter().any(|spec| spec.name() == constants::DW_AT_declaration);
        if !named || declared {
            return read_sibling(entries, attributes, true);
        }
        let (mut name, mut sibling) = (None, None);
        for spec in attributes {
            match spec.name() {
                constants::DW_AT_name => name = Some(entries.read_attribute(*spec)?.value()),
                constants::DW_AT_sibling => sibling = unit_reference(&entries.read_attribute(*spec)?.value()),
                _ => entries.skip_attributes(std::slice::from_ref(spec))?,
            }
        }
        let name = name.and_then(|name| self.dwarf.attr_string(&self.slot.unit, name).ok());
        if let (Some(name), Some(DieOffset(at))) = (name, self.global(offset)) {
            self.names.types.push(u64::from(hash_of(name.slice())) << 32 | u64::from(at));
        }
        Ok(sibling)
    }

    fn pass_over_children(
        &self,
        entries: &mut EntriesRaw<'a, 'a, Slice<'d>>,
        sibling: Option<usize>,
    ) -> gimli::Result<()> {
        let here = entries.next_offset().0;
        let next = match sibling {
            Some(sibling) if sibling > here => Some(sibling),
            _ => self.slot.after_children(here),
        };
        let next = next.ok_or(gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0)))?;
        *entries = self.slot.unit.entries_raw(Some(UnitOffset(next)))?;
        Ok(())
    }

    fn global(&self, offset: UnitOffset) -> Option<DieOffset> {
        u32::try_from(self.slot.start.checked_add(offset.0)?).ok().map(DieOffset)
    }
}

/// Passes over an entry's attributes; reads its `DW_AT_sibling` if that is of use.
fn read_sibling(
    entries: &mut EntriesRaw<'_, '_, Slice<'_>>,
    attributes: &[AttributeSpecification],
    wanted: bool,
) -> gimli::Result<Option<usize>> {
    // Looked for from the end, where most producers put it; what is before it is passed over at once.
    let position = attributes.iter().rposition(|spec| spec.name() == constants::DW_AT_sibling);
    let Some((position, spec)) = position.filter(|_| wanted).and_then(|at| Some((at, *attributes.get(at)?)))
    else {
        return entries.skip_attributes(attributes).map(|()| None);
    };
    entries.skip_attributes(attributes.get(..position).unwrap_or_default())?;
    let sibling = unit_reference(&entries.read_attribute(spec)?.value());
    entries.skip_attributes(attributes.get(position + 1..).unwrap_or_default())?;
    Ok(sibling)
}

/// 32 bits are enough to leave few false candidates, and let an index entry fit in 64.
fn hash_of(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}
