//! The one pass over `.debug_info`: which names are types, and where. Knows how to get past everything else
//! quickly; refuses to know layouts, which are read on demand from the offsets found here.
//!
//! The index is one sorted vector of 64-bit numbers, the hash of a name above the offset of its DIE: 8 bytes per
//! type, and the definitions of one name lie together in unit order. Names are compared only on lookup.

use std::hash::Hasher;
use std::sync::Arc;

use gimli::{AttributeSpecification, DwTag, EntriesRaw, UnitOffset, constants};
use rayon::prelude::*;
use rustc_hash::FxHasher;

use super::companions::{Companions, SplitFiles, info_size};
use super::units::{DieOffset, Dwarf, Slice, UnitSlot, Units, extent_of, malformed, unit_reference};
use crate::corefile::Kept;
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

/// The units read so far, file after file.
#[derive(Default)]
struct Collected<'d> {
    slots: Vec<UnitSlot<'d>>,
    index: NameIndex,
    /// Where the next file's `.debug_info` begins.
    end: usize,
    first_error: Option<gimli::Error>,
}

/// A unit to be read.
struct Job<'d> {
    dwarf: Arc<Dwarf<'d>>,
    base: usize,
    header: gimli::UnitHeader<Slice<'d>>,
    /// Number of the slot of its skeleton, for a split unit.
    skeleton: Option<usize>,
}

/// Reads all units of the file with `dwarf`, of its supplementary file and of its split units, in parallel. Units that
/// cannot be read are left out, unless all of them are.
pub(super) fn index_units<'d>(
    dwarf: Dwarf<'d>,
    companions: &dyn Companions<'d>,
    kept: &'d Kept<Box<[u8]>>,
) -> Result<(Units<'d>, NameIndex), DebugInfoError> {
    let main = Arc::new(dwarf);
    let mut collected = Collected::default();
    let jobs = collected.jobs(&main, None);
    collected.read(jobs);
    let supplementary = main.sup.as_ref().map(|file| {
        let base = collected.end;
        let jobs = collected.jobs(file, None);
        collected.read(jobs);
        base
    });
    collected.read_split_units(&main, companions, kept)?;
    let Collected { slots, mut index, first_error, .. } = collected;
    if let (true, Some(error)) = (slots.is_empty(), first_error) {
        return Err(malformed(error));
    }
    index.types.par_sort_unstable();
    Ok((Units { slots, supplementary }, index))
}

impl<'d> Collected<'d> {
    /// The units of one more file. A file that would take the offsets beyond 32 bits is left out.
    fn jobs(&mut self, dwarf: &Arc<Dwarf<'d>>, skeleton: Option<usize>) -> Vec<Job<'d>> {
        let base = self.end;
        let end = base.saturating_add(info_size(dwarf));
        if end > u32::MAX as usize {
            return Vec::new();
        }
        self.end = end;
        let mut jobs = Vec::new();
        let mut headers = dwarf.units();
        loop {
            match headers.next() {
                Ok(Some(header)) => jobs.push(Job { dwarf: Arc::clone(dwarf), base, header, skeleton }),
                Ok(None) => break,
                Err(error) => {
                    self.first_error = self.first_error.or(Some(error));
                    break;
                }
            }
        }
        jobs
    }

    fn read(&mut self, jobs: Vec<Job<'d>>) {
        let slots = &self.slots;
        let read: Vec<_> = jobs.into_par_iter().map(|job| read_unit(job, slots)).collect();
        for unit in read {
            match unit {
                Ok((slot, names)) => {
                    self.slots.push(slot);
                    self.index.types.extend(names.types);
                    self.index.enumerations.extend(names.enumerations);
                }
                Err(error) => self.first_error = self.first_error.or(Some(error)),
            }
        }
    }

    /// Finds and reads what the skeletons read so far stand for.
    fn read_split_units(
        &mut self,
        main: &Arc<Dwarf<'d>>,
        companions: &dyn Companions<'d>,
        kept: &'d Kept<Box<[u8]>>,
    ) -> Result<(), DebugInfoError> {
        let skeletons: Vec<usize> =
            (0..).zip(&self.slots).filter(|(_, slot)| slot.is_skeleton()).map(|(n, _)| n).collect();
        if skeletons.is_empty() {
            return Ok(());
        }
        let files = SplitFiles::new(Arc::clone(main), companions, kept)?;
        let mut jobs = Vec::new();
        for number in skeletons {
            if let Some(found) = self.slots.get(number).and_then(|slot| files.find(slot)) {
                jobs.extend(self.jobs(&Arc::new(found), Some(number)));
            }
        }
        if jobs.is_empty() {
            return Err(DebugInfoError::SplitDwarf);
        }
        self.read(jobs);
        Ok(())
    }
}

fn read_unit<'d>(job: Job<'d>, slots: &[UnitSlot<'d>]) -> gimli::Result<(UnitSlot<'d>, UnitNames)> {
    let Job { dwarf, base, header, skeleton } = job;
    let beyond = || gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0));
    let (start, end) = extent_of(&header).ok_or_else(beyond)?;
    let (start, end) = base.checked_add(start).zip(base.checked_add(end)).ok_or_else(beyond)?;
    let mut unit = dwarf.unit(header)?;
    if let Some(skeleton) = skeleton.and_then(|number| slots.get(number)) {
        unit.copy_relocated_attributes(&skeleton.unit);
    }
    let slot = UnitSlot { dwarf, base, start, end, unit };
    let mut names = UnitNames::default();
    // A unit that breaks off in the middle still defines what came before.
    let _ = Pass { slot: &slot, names: &mut names }.run();
    Ok((slot, names))
}

struct Pass<'a, 'd> {
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
        let name = name.and_then(|name| self.slot.dwarf.attr_string(&self.slot.unit, name).ok());
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
