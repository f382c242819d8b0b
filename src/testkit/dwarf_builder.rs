//! Writes DWARF 4 and 5 for tests from small descriptions of C types and functions. Knows how compilers encode
//! these; refuses to know the reader it is made to test.

use gimli::constants::{self as dw, DwAt, DwTag};
use gimli::write::{
    Address, AttributeValue, Dwarf, EndianVec, LineProgram, Range, RangeList, Reference, Sections, Unit,
    UnitEntryId, UnitId,
};
use gimli::{Encoding, Format, LittleEndian, SectionId};

use super::elf_builder::ElfBuilder;

/// An entry of a [`DwarfBuilder`]: a type, a function, a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    unit: UnitId,
    entry: UnitEntryId,
}

/// Describes the debug information of one file. Types and functions go into the unit opened last.
#[derive(Debug)]
pub struct DwarfBuilder {
    dwarf: Dwarf,
    encoding: Encoding,
    siblings: bool,
    unit: Option<UnitId>,
}

impl DwarfBuilder {
    /// Debug information in DWARF `version` 4 or 5.
    pub fn new(version: u16) -> Self {
        let encoding = Encoding { format: Format::Dwarf32, version, address_size: 8 };
        Self { dwarf: Dwarf::new(), encoding, siblings: true, unit: None }
    }

    /// Leaves out `DW_AT_sibling`, as some compilers do.
    pub fn without_siblings(mut self) -> Self {
        self.siblings = false;
        self
    }

    /// Opens a compilation unit for the source file of that name.
    pub fn unit(&mut self, name: &str) {
        let id = self.dwarf.units.add(Unit::new(self.encoding, LineProgram::none()));
        self.unit = Some(id);
        let root = self.root();
        self.set(root, dw::DW_AT_name, AttributeValue::String(name.into()));
    }

    /// A number type.
    pub fn base(&mut self, name: &str, size: u64) -> Entry {
        let entry = self.named(dw::DW_TAG_base_type, Some(name));
        self.set(entry, dw::DW_AT_byte_size, AttributeValue::Udata(size));
        entry
    }

    /// A pointer; `None` for `void *`.
    pub fn pointer(&mut self, target: Option<Entry>) -> Entry {
        let entry = self.named(dw::DW_TAG_pointer_type, None);
        self.set(entry, dw::DW_AT_byte_size, AttributeValue::Udata(8));
        if let Some(target) = target {
            self.set_type(entry, target);
        }
        entry
    }

    /// A typedef.
    pub fn typedef(&mut self, name: &str, target: Entry) -> Entry {
        let entry = self.named(dw::DW_TAG_typedef, Some(name));
        self.set_type(entry, target);
        entry
    }

    /// A `const` type.
    pub fn constant(&mut self, target: Entry) -> Entry {
        let entry = self.named(dw::DW_TAG_const_type, None);
        self.set_type(entry, target);
        entry
    }

    /// An array with one length per dimension; `None` for a flexible one.
    pub fn array(&mut self, element: Entry, lengths: &[Option<u64>]) -> Entry {
        let array = self.named(dw::DW_TAG_array_type, None);
        self.set_type(array, element);
        for length in lengths {
            let range = self.child(array, dw::DW_TAG_subrange_type, None);
            if let Some(length) = length {
                self.set(range, dw::DW_AT_upper_bound, AttributeValue::Udata(length - 1));
            }
        }
        array
    }

    /// A struct without members yet; anonymous without a name.
    pub fn structure(&mut self, name: Option<&str>, size: u64) -> Entry {
        let entry = self.named(dw::DW_TAG_structure_type, name);
        self.set(entry, dw::DW_AT_byte_size, AttributeValue::Udata(size));
        entry
    }

    /// A union without members yet; anonymous without a name.
    pub fn union(&mut self, name: Option<&str>, size: u64) -> Entry {
        let entry = self.named(dw::DW_TAG_union_type, name);
        self.set(entry, dw::DW_AT_byte_size, AttributeValue::Udata(size));
        entry
    }

    /// A struct that is declared but not defined.
    pub fn declaration(&mut self, name: &str) -> Entry {
        let entry = self.named(dw::DW_TAG_structure_type, Some(name));
        self.set(entry, dw::DW_AT_declaration, AttributeValue::FlagPresent);
        entry
    }

    /// Adds a member at a byte offset; without a name for an anonymous struct or union.
    pub fn member(&mut self, parent: Entry, name: Option<&str>, ty: Entry, offset: u64) -> Entry {
        let member = self.child(parent, dw::DW_TAG_member, name);
        self.set_type(member, ty);
        self.set(member, dw::DW_AT_data_member_location, AttributeValue::Udata(offset));
        member
    }

    /// Adds a union member, which has no offset.
    pub fn variant(&mut self, parent: Entry, name: Option<&str>, ty: Entry) {
        let member = self.child(parent, dw::DW_TAG_member, name);
        self.set_type(member, ty);
    }

    /// Adds a bit-field whose lowest bit has the number `bit` in the struct. In DWARF 4 its storage unit is the
    /// `storage` bytes that it lies in, and bits are counted from the top of that.
    pub fn bit_field(&mut self, parent: Entry, name: &str, ty: Entry, bit: u64, width: u64, storage: u64) {
        let member = self.child(parent, dw::DW_TAG_member, Some(name));
        self.set_type(member, ty);
        self.set(member, dw::DW_AT_bit_size, AttributeValue::Udata(width));
        if self.encoding.version >= 5 {
            self.set(member, dw::DW_AT_data_bit_offset, AttributeValue::Udata(bit));
            return;
        }
        let unit_at = bit / (storage * 8) * storage;
        let from_top = storage * 8 - (bit - unit_at * 8) - width;
        self.set(member, dw::DW_AT_byte_size, AttributeValue::Udata(storage));
        self.set(member, dw::DW_AT_bit_offset, AttributeValue::Udata(from_top));
        self.set(member, dw::DW_AT_data_member_location, AttributeValue::Udata(unit_at));
    }

    /// An enumeration with the given enumerators.
    pub fn enumeration(&mut self, name: Option<&str>, values: &[(&str, i64)]) -> Entry {
        let entry = self.named(dw::DW_TAG_enumeration_type, name);
        self.set(entry, dw::DW_AT_byte_size, AttributeValue::Udata(4));
        for (name, value) in values {
            let enumerator = self.child(entry, dw::DW_TAG_enumerator, Some(name));
            self.set(enumerator, dw::DW_AT_const_value, AttributeValue::Sdata(*value));
        }
        entry
    }

    /// A function, with code at a link-time address if one is given.
    pub fn function(&mut self, name: &str, low_pc: Option<u64>) -> Entry {
        let entry = self.named(dw::DW_TAG_subprogram, Some(name));
        self.set_low_pc(entry, low_pc);
        entry
    }

    /// A function whose code is in several ranges (begin, end).
    pub fn split_function(&mut self, name: &str, ranges: &[(u64, u64)]) -> Entry {
        let entry = self.named(dw::DW_TAG_subprogram, Some(name));
        let ranges = ranges.iter().map(|(begin, end)| Range::StartEnd {
            begin: Address::Constant(*begin),
            end: Address::Constant(*end),
        });
        let id = self.dwarf.units.get_mut(entry.unit).ranges.add(RangeList(ranges.collect()));
        self.set(entry, dw::DW_AT_ranges, AttributeValue::RangeListRef(id));
        entry
    }

    /// A function that is an instance of another one, which has its name and types.
    pub fn instance(&mut self, origin: Entry, low_pc: u64) -> Entry {
        let entry = self.named(dw::DW_TAG_subprogram, None);
        self.set_reference(entry, dw::DW_AT_abstract_origin, origin);
        self.set_low_pc(entry, Some(low_pc));
        entry
    }

    /// Adds a parameter.
    pub fn parameter(&mut self, function: Entry, name: &str, ty: Entry) -> Entry {
        let entry = self.child(function, dw::DW_TAG_formal_parameter, Some(name));
        self.set_type(entry, ty);
        entry
    }

    /// Adds a local variable to a function or block.
    pub fn variable(&mut self, scope: Entry, name: &str, ty: Entry) -> Entry {
        let entry = self.child(scope, dw::DW_TAG_variable, Some(name));
        self.set_type(entry, ty);
        entry
    }

    /// Adds an instance of a parameter or variable of another function.
    pub fn instance_of(&mut self, scope: Entry, tag: DwTag, origin: Entry) -> Entry {
        let entry = self.child(scope, tag, None);
        self.set_reference(entry, dw::DW_AT_abstract_origin, origin);
        entry
    }

    /// Adds a block to a function or block.
    pub fn block(&mut self, scope: Entry) -> Entry {
        self.child(scope, dw::DW_TAG_lexical_block, None)
    }

    /// A typedef of itself, which no compiler writes.
    pub fn endless_typedef(&mut self, name: &str) -> Entry {
        let entry = self.named(dw::DW_TAG_typedef, Some(name));
        self.set_type(entry, entry);
        entry
    }

    /// Adds an entry of any kind inside another one.
    pub fn child(&mut self, parent: Entry, tag: DwTag, name: Option<&str>) -> Entry {
        let siblings = self.siblings;
        let unit = self.dwarf.units.get_mut(parent.unit);
        let entry = Entry { unit: parent.unit, entry: unit.add(parent.entry, tag) };
        unit.get_mut(entry.entry).set_sibling(siblings);
        if let Some(name) = name {
            let name = AttributeValue::StringRef(self.dwarf.strings.add(name));
            self.set(entry, dw::DW_AT_name, name);
        }
        entry
    }

    /// The debug sections, by name.
    pub fn sections(mut self) -> Vec<(&'static str, Vec<u8>)> {
        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        self.dwarf.write(&mut sections).expect("the description is complete");
        let mut found = Vec::new();
        let collected = sections.for_each(|id: SectionId, bytes| {
            found.push((id.name(), bytes.slice().to_vec()));
            Ok::<_, ()>(())
        });
        collected.expect("collecting does not fail");
        found
    }

    /// An ELF file with only the debug sections.
    pub fn build(self) -> Vec<u8> {
        self.add_to(ElfBuilder::new()).build()
    }

    /// Adds the debug sections to an ELF file.
    pub fn add_to(self, elf: ElfBuilder) -> ElfBuilder {
        let sections = self.sections().into_iter().filter(|(_, bytes)| !bytes.is_empty());
        sections.fold(elf, |elf, (name, bytes)| elf.section(name, &bytes))
    }

    fn root(&self) -> Entry {
        let unit = self.unit.expect("a unit is opened first");
        Entry { unit, entry: self.dwarf.units.get(unit).root() }
    }

    fn named(&mut self, tag: DwTag, name: Option<&str>) -> Entry {
        self.child(self.root(), tag, name)
    }

    fn set(&mut self, at: Entry, name: DwAt, value: AttributeValue) {
        self.dwarf.units.get_mut(at.unit).get_mut(at.entry).set(name, value);
    }

    fn set_type(&mut self, at: Entry, target: Entry) {
        self.set_reference(at, dw::DW_AT_type, target);
    }

    fn set_reference(&mut self, at: Entry, name: DwAt, target: Entry) {
        let value = if at.unit == target.unit {
            AttributeValue::UnitRef(target.entry)
        } else {
            AttributeValue::DebugInfoRef(Reference::Entry(target.unit, target.entry))
        };
        self.set(at, name, value);
    }

    fn set_low_pc(&mut self, at: Entry, low_pc: Option<u64>) {
        if let Some(low_pc) = low_pc {
            self.set(at, dw::DW_AT_low_pc, AttributeValue::Address(Address::Constant(low_pc)));
            self.set(at, dw::DW_AT_high_pc, AttributeValue::Udata(16));
        }
    }
}
