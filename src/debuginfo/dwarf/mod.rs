//! The DWARF of one ELF file and of the files it names, asked by name or by address. Knows types, members, functions and enumerators as the
//! compiler described them; refuses to know what any of them is for, and where the file was loaded.
//!
//! Opening a file costs one parallel pass that notes where the named types are ([`DwarfIndex::build`]). Layouts are
//! read when asked for; the functions and the enumerators are indexed by the first question about one.

mod companions;
mod functions;
mod names;
mod pointers;
#[cfg(test)]
mod tests;
mod types;
mod units;

use std::sync::OnceLock;

use gimli::SectionId;
use rustc_hash::FxHashMap;

use self::companions::Alone;
use self::functions::FunctionIndex;
use self::names::NameIndex;
use self::pointers::{ObjectStructs, PointerScan};
use self::types::is_struct;
use self::units::{Die, DieOffset, Units};
use super::{DebugInfoError, ElfImage, Field};
use crate::corefile::Kept;

pub use self::companions::{Companions, SplitUnit, SupplementaryLink};

/// How many typedefs of structs that are only declared may lead from one name to the next.
const MAX_NAME_HOPS: usize = 8;

/// The types, functions and enumerators of one file with DWARF 4 or 5.
///
/// A type is looked up by its tag name (`_object` for `struct _object`) or by a typedef name, and only definitions
/// count. Where units define one name differently, the first in the file answers;
/// [`DwarfIndex::struct_in_unit`] reaches the others.
pub struct DwarfIndex<'d> {
    units: Units<'d>,
    names: NameIndex,
    functions: OnceLock<FunctionIndex>,
    enumerators: OnceLock<FxHashMap<&'d str, i64>>,
}

/// A struct, union or class definition in a [`DwarfIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StructRef {
    die: DieOffset,
    /// Size in bytes.
    pub size: u32,
}

/// A member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name; members of anonymous structs and unions appear as members of the struct around these.
    pub name: String,
    /// Its place in the struct.
    pub field: Field,
    /// Its type, roughly as C spells it; for people to read.
    pub type_name: String,
}

/// A function with code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in the source.
    pub name: String,
    /// The source file it was compiled from, as the compiler was given it.
    pub unit: Option<String>,
    die: DieOffset,
}

/// A member that is a pointer to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerMember {
    /// How to reach it from the struct, as in [`DwarfIndex::field`].
    pub path: String,
    /// Bytes from the start of the struct.
    pub offset: u32,
}

impl std::fmt::Debug for DwarfIndex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DwarfIndex").field("units", &self.units.slots.len()).finish_non_exhaustive()
    }
}

impl<'d> DwarfIndex<'d> {
    /// Notes the named types of a file, in parallel over its units. Compressed sections are expanded into `kept`.
    ///
    /// # Errors
    /// As [`DwarfIndex::build_with`]; a file whose debug information is spread over others cannot be read this way.
    pub fn build(elf: &ElfImage<'d>, kept: &'d Kept<Box<[u8]>>) -> Result<Self, DebugInfoError> {
        Self::build_with(elf, &Alone, kept)
    }

    /// Notes the named types of a file and of the files that it names, which `companions` finds.
    ///
    /// # Errors
    /// [`DebugInfoError::NoDebugInfo`] if the file was stripped, [`DebugInfoError::Compressed`],
    /// [`DebugInfoError::NoSupplementary`] and [`DebugInfoError::SplitDwarf`] if part of its debug information cannot be
    /// had, and [`DebugInfoError::MalformedDwarf`] if no unit is readable. Single broken units are passed over, and so
    /// are split units without a file, unless none has one.
    pub fn build_with(
        elf: &ElfImage<'d>,
        companions: &dyn Companions<'d>,
        kept: &'d Kept<Box<[u8]>>,
    ) -> Result<Self, DebugInfoError> {
        let info = elf.expanded_section(SectionId::DebugInfo.name(), kept)?.unwrap_or_default();
        let (size, limit) = (info.len(), u32::MAX as usize);
        if size == 0 {
            return Err(DebugInfoError::NoDebugInfo);
        }
        if size > limit {
            return Err(DebugInfoError::TooLarge { size, limit });
        }
        let dwarf = companions::load(elf, info, companions, kept)?;
        let (units, names) = names::index_units(dwarf, companions, kept)?;
        Ok(Self { units, names, functions: OnceLock::new(), enumerators: OnceLock::new() })
    }

    /// The first definition of a type in the file, under its tag name or a typedef name.
    pub fn struct_named(&self, ty: &str) -> Option<StructRef> {
        self.struct_ref(&self.units.die_at(self.definition(ty)?)?)
    }

    /// The definition of a type in the first unit whose source file name ends in `unit_suffix`.
    pub fn struct_in_unit(&self, unit_suffix: &str, ty: &str) -> Option<StructRef> {
        let dies = self.types_named(ty);
        let mut in_unit = dies.filter(|die| die.slot.name().is_some_and(|name| name.ends_with(unit_suffix)));
        in_unit.find_map(|die| self.struct_ref(&self.units.peel(die.global_offset()?)?))
    }

    /// Size of a struct in bytes.
    pub fn struct_size(&self, ty: &str) -> Option<u32> {
        self.struct_named(ty).map(|found| found.size)
    }

    /// The field that `path` names in a struct: member names joined by dots, with subscripts
    /// (`generations[1].head`). Members of anonymous structs and unions count as members of the struct around
    /// these. `None` if there is no such type or field.
    pub fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.units.field_at(self.definition(ty)?, path)
    }

    /// As [`DwarfIndex::field`], in a struct found before.
    pub fn field_in(&self, structure: StructRef, path: &str) -> Option<Field> {
        self.units.field_at(structure.die, path)
    }

    /// The members of a struct in the order of declaration.
    pub fn members(&self, ty: &str) -> Option<Vec<Member>> {
        self.members_of(self.definition(ty)?)
    }

    /// As [`DwarfIndex::members`], of a struct found before.
    pub fn members_in(&self, structure: StructRef) -> Option<Vec<Member>> {
        self.members_of(structure.die)
    }

    /// The tag name of a struct; of an anonymous one, the first typedef for it in its unit.
    pub fn name_of(&self, structure: StructRef) -> Option<&'d str> {
        let die = self.units.die_at(structure.die)?;
        self.units.own_name(&die).or_else(|| self.units.typedef_of(&die))
    }

    /// The function whose code starts at a link-time address. The first question of this kind indexes the
    /// functions of the whole file.
    pub fn function_at(&self, link_address: u64) -> Option<Function> {
        let index = self.functions.get_or_init(|| FunctionIndex::build(&self.units));
        let offset = index.starting_at(link_address)?;
        let die = self.units.die_at(offset)?;
        let name = self.units.name_of(&die)?.to_owned();
        // With link-time optimisation the code is in an artificial unit, away from its source.
        let source = self.units.origin_of(&die);
        let unit = source.as_ref().unwrap_or(&die).slot.name().map(str::to_owned);
        Some(Function { name, unit, die: offset })
    }

    /// The struct that the function at a link-time address works on, given the size in bytes that it must have.
    ///
    /// This is what the function's first parameter points to, or else what the first local variable (of the
    /// function or of one inlined into it) with a fitting type points to. Fitting is an object struct of exactly
    /// that size, as [`DwarfIndex::pointer_members`] understands it.
    pub fn object_struct_of(
        &self,
        link_address: u64,
        size: u32,
        is_object: &dyn Fn(&str) -> bool,
    ) -> Option<StructRef> {
        let function = self.function_at(link_address)?;
        let definition = |name: &str| self.definition(name);
        let mut objects = ObjectStructs::new(&self.units, is_object, &definition);
        functions::types_worked_on(&self.units, function.die).find_map(|ty| {
            let found = self.struct_ref(&self.units.peel(ty)?)?;
            (found.size == size && objects.contains(ty)).then_some(found)
        })
    }

    /// The members of a struct that are pointers to objects, by offset: through embedded structs, unions and
    /// arrays (the first 4096 elements), not through pointers.
    ///
    /// A pointer's target is an object if `is_object` accepts its struct or typedef name, or if its first member
    /// is such a struct in turn. Of the members of a union at one offset, one is listed.
    pub fn pointer_members(
        &self,
        structure: StructRef,
        is_object: &dyn Fn(&str) -> bool,
    ) -> Vec<PointerMember> {
        let definition = |name: &str| self.definition(name);
        let mut objects = ObjectStructs::new(&self.units, is_object, &definition);
        PointerScan::new(&mut objects).run(structure.die)
    }

    /// The value of an enumerator; the first in the file if several enumerations have one of that name.
    pub fn enumerator(&self, name: &str) -> Option<i64> {
        self.enumerators.get_or_init(|| self.read_enumerators()).get(name).copied()
    }

    fn read_enumerators(&self) -> FxHashMap<&'d str, i64> {
        let mut values = FxHashMap::default();
        for die in self.names.enumerations.iter().filter_map(|offset| self.units.die_at(*offset)) {
            for child in die.children() {
                if let (Some(name), Some(value)) = (self.units.own_name(&child), child.const_value) {
                    values.entry(name).or_insert(value);
                }
            }
        }
        values
    }

    fn members_of(&self, structure: DieOffset) -> Option<Vec<Member>> {
        let members = self.units.flat_members(structure)?;
        let named = members.into_iter().filter_map(|(member, field)| {
            Some(Member { name: member.name?.to_owned(), field, type_name: self.units.spell(member.ty) })
        });
        Some(named.collect())
    }

    /// Named types of exactly that name, in file order.
    fn types_named(&self, ty: &str) -> impl Iterator<Item = Die<'_, 'd>> {
        let dies = self.names.candidates(ty).filter_map(|offset| self.units.die_at(offset));
        dies.filter(move |die| self.units.own_name(die) == Some(ty))
    }

    /// The struct definition that a name stands for. A typedef may name a struct that its own unit only declares:
    /// if no unit has better, the declared name is looked up in turn.
    fn definition(&self, ty: &str) -> Option<DieOffset> {
        let mut wanted = ty;
        for _ in 0..MAX_NAME_HOPS {
            let mut declared = None;
            for die in self.types_named(wanted) {
                let target = die.global_offset().and_then(|offset| self.units.peel(offset));
                let Some(target) = target.filter(|target| is_struct(target.tag)) else { continue };
                if !target.declaration {
                    return target.global_offset();
                }
                declared = declared.or_else(|| self.units.own_name(&target));
            }
            wanted = declared.filter(|name| *name != wanted)?;
        }
        None
    }

    fn struct_ref(&self, die: &Die<'_, 'd>) -> Option<StructRef> {
        if !is_struct(die.tag) || die.declaration {
            return None;
        }
        let size = u32::try_from(die.byte_size?).ok()?;
        Some(StructRef { die: die.global_offset()?, size })
    }
}
