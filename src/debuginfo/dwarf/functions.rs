//! Functions by address, and the struct a function works on. Knows parameters and local variables; refuses to
//! know what the function does.

use gimli::constants;
use rayon::prelude::*;

use super::types::is_pointer;
use super::units::{Die, DieOffset, UnitSlot, Units};

/// How many ranges of one function are looked at; compilers emit one, or two with a cold part.
const MAX_RANGES: usize = 16;

/// Entry addresses of all functions that have code, sorted; of equal ones the first in the file comes first.
#[derive(Debug)]
pub(super) struct FunctionIndex(Vec<(u64, DieOffset)>);

impl FunctionIndex {
    /// Looks at the outermost entries of all units: functions do not nest in C.
    pub fn build(units: &Units<'_>) -> Self {
        let mut entries: Vec<_> = units.slots.par_iter().flat_map_iter(functions_of).collect();
        entries.par_sort_unstable();
        Self(entries)
    }

    /// The function whose code starts at a link-time address.
    pub fn starting_at(&self, link_address: u64) -> Option<DieOffset> {
        let first = self.0.partition_point(|(address, _)| *address < link_address);
        self.0.get(first).filter(|(address, _)| *address == link_address).map(|(_, die)| *die)
    }
}

fn functions_of(slot: &UnitSlot<'_>) -> Vec<(u64, DieOffset)> {
    let root = slot.unit.header.size_of_header();
    let mut found = Vec::new();
    if let Some(root) = slot.die(root) {
        collect_functions(&root, 4, &mut found);
    }
    found
}

fn collect_functions(parent: &Die<'_, '_>, depth: usize, found: &mut Vec<(u64, DieOffset)>) {
    for die in parent.children() {
        match die.tag {
            constants::DW_TAG_subprogram => {
                let Some(offset) = die.global_offset() else { continue };
                found.extend(start_addresses(&die).into_iter().map(|address| (address, offset)));
            }
            constants::DW_TAG_namespace if depth > 0 => collect_functions(&die, depth - 1, found),
            _ => {}
        }
    }
}

/// Where a function's code starts: `DW_AT_low_pc`, or the start of each of its ranges if it was split into a hot
/// and a cold part, because nothing says which of the parts has the entry.
fn start_addresses(die: &Die<'_, '_>) -> Vec<u64> {
    let (dwarf, unit) = (&die.slot.dwarf, &die.slot.unit);
    if let Some(low_pc) = die.low_pc {
        return dwarf.attr_address(unit, low_pc).ok().flatten().into_iter().collect();
    }
    let Some(ranges) = die.ranges else { return Vec::new() };
    let Ok(Some(mut ranges)) = dwarf.attr_ranges(unit, ranges) else { return Vec::new() };
    let mut starts = Vec::new();
    while let (true, Ok(Some(range))) = (starts.len() < MAX_RANGES, ranges.next()) {
        starts.push(range.begin);
    }
    starts
}

/// Types that a function has pointers to: its first parameter first, then its local variables and those of
/// functions inlined into it in the order of declaration.
pub(super) fn types_worked_on<'u, 'd>(
    units: &'u Units<'d>,
    function: DieOffset,
) -> impl Iterator<Item = DieOffset> + use<'u, 'd> {
    let concrete = units.die_at(function);
    // A local that the optimiser removed is still listed in the function's abstract instance.
    let origin = concrete.as_ref().and_then(|die| units.origin_of(die));
    let mut instances = [concrete.clone(), origin.clone()].into_iter().flatten();
    let first_parameter = instances
        .find_map(|die| die.children().find(|child| child.tag == constants::DW_TAG_formal_parameter));
    let variables = [concrete, origin]
        .into_iter()
        .flatten()
        .flat_map(|die| die.descendants())
        .filter(|die| matches!(die.tag, constants::DW_TAG_variable | constants::DW_TAG_formal_parameter));
    first_parameter.into_iter().chain(variables).filter_map(|die| pointee(units, &die))
}

/// The type that a variable is a pointer to.
fn pointee<'d>(units: &Units<'d>, variable: &Die<'_, 'd>) -> Option<DieOffset> {
    let pointer = units.peel(units.type_of(variable)?).filter(|die| is_pointer(die.tag))?;
    units.type_of(&pointer)
}
