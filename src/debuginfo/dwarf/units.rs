//! Access to single DWARF entries (DIEs) by their offset. Knows units, abbreviations and the attribute forms; refuses to
//! know names, layouts and what any tag is good for.
//!
//! A program's debug information may be spread over files (see `companions`). Offsets count on from the `.debug_info` of one
//! file to that of the next, so that one number names an entry in whatever file it is.

use std::sync::Arc;

use gimli::{AttributeValue, DwAt, DwTag, EndianSlice, LittleEndian, UnitOffset, constants};

use crate::debuginfo::DebugInfoError;

pub(super) type Slice<'d> = EndianSlice<'d, LittleEndian>;
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;
pub(super) type Value<'d> = AttributeValue<Slice<'d>>;

/// Offset of a DIE from the start of the first file's `.debug_info`. 32 bits because an index holds one per name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DieOffset(pub u32);

/// One unit and the offsets it occupies.
#[derive(Debug)]
pub(super) struct UnitSlot<'d> {
    /// The sections of the file it is in.
    pub dwarf: Arc<Dwarf<'d>>,
    /// Where that file's `.debug_info` begins.
    pub base: usize,
    pub start: usize,
    pub end: usize,
    pub unit: gimli::Unit<Slice<'d>>,
}

/// All readable units, in the order of their offsets.
pub(super) struct Units<'d> {
    pub slots: Vec<UnitSlot<'d>>,
    /// Where the `.debug_info` of the supplementary file begins, if there is one.
    pub supplementary: Option<usize>,
}

/// One entry, with the attributes that types and functions are described by. Attributes that no layout needs
/// are passed over while reading.
#[derive(Clone, Debug)]
pub(super) struct Die<'u, 'd> {
    pub slot: &'u UnitSlot<'d>,
    /// Offset from the start of the unit.
    pub offset: usize,
    pub tag: DwTag,
    pub has_children: bool,
    /// Where the entry's attributes end: its first child, or the next entry.
    pub end: usize,
    pub sibling: Option<usize>,
    pub declaration: bool,
    pub name: Option<Value<'d>>,
    pub ty: Option<Value<'d>>,
    /// `DW_AT_abstract_origin` or `DW_AT_specification`: the entry that has the attributes missing here.
    pub origin: Option<Value<'d>>,
    pub signature: Option<Value<'d>>,
    pub byte_size: Option<u64>,
    pub bit_size: Option<u64>,
    pub bit_offset: Option<u64>,
    pub data_bit_offset: Option<u64>,
    pub member_location: Option<Value<'d>>,
    pub upper_bound: Option<u64>,
    pub count: Option<u64>,
    pub const_value: Option<i64>,
    pub low_pc: Option<Value<'d>>,
    pub ranges: Option<Value<'d>>,
}

impl<'d> UnitSlot<'d> {
    /// The `DW_AT_name` of the unit: the path of the source file as the compiler was given it.
    pub fn name(&self) -> Option<&'d str> {
        self.unit.name.and_then(|name| std::str::from_utf8(name.slice()).ok())
    }

    /// Whether the unit only refers to a `.dwo` file.
    pub fn is_skeleton(&self) -> bool {
        self.unit.dwo_id.is_some()
    }

    /// Reads the entry at an offset from the start of the unit; `None` at the null entry that ends a list of
    /// children, and for anything that cannot be decoded.
    pub fn die(&self, offset: usize) -> Option<Die<'_, 'd>> {
        let mut entries = self.unit.entries_raw(Some(UnitOffset(offset))).ok()?;
        let abbreviation = entries.read_abbreviation().ok()??;
        let mut die = Die::new(self, offset, abbreviation.tag(), abbreviation.has_children());
        for spec in abbreviation.attributes() {
            let attribute = entries.read_attribute(*spec).ok()?;
            die.take(attribute.name(), attribute.value());
        }
        die.end = entries.next_offset().0;
        Some(die)
    }

    /// The first offset past an entry and everything below it. `None` if the unit ends first.
    pub fn after_subtree(&self, die: &Die<'_, 'd>) -> Option<usize> {
        if !die.has_children {
            return Some(die.end);
        }
        match die.sibling {
            Some(sibling) if sibling > die.end => Some(sibling),
            _ => self.after_children(die.end),
        }
    }

    /// The first offset past a list of children (and its null entry) that starts at `offset`.
    pub fn after_children(&self, offset: usize) -> Option<usize> {
        let mut entries = self.unit.entries_raw(Some(UnitOffset(offset))).ok()?;
        let mut open = 1usize;
        while open > 0 {
            match entries.read_abbreviation().ok()? {
                None => open -= 1,
                Some(abbreviation) => {
                    entries.skip_attributes(abbreviation.attributes()).ok()?;
                    open += usize::from(abbreviation.has_children());
                }
            }
        }
        Some(entries.next_offset().0)
    }
}

impl<'u, 'd> Die<'u, 'd> {
    fn new(slot: &'u UnitSlot<'d>, offset: usize, tag: DwTag, has_children: bool) -> Self {
        Self {
            slot,
            offset,
            tag,
            has_children,
            end: offset,
            sibling: None,
            declaration: false,
            name: None,
            ty: None,
            origin: None,
            signature: None,
            byte_size: None,
            bit_size: None,
            bit_offset: None,
            data_bit_offset: None,
            member_location: None,
            upper_bound: None,
            count: None,
            const_value: None,
            low_pc: None,
            ranges: None,
        }
    }

    fn take(&mut self, name: DwAt, value: Value<'d>) {
        match name {
            constants::DW_AT_sibling => self.sibling = unit_reference(&value),
            constants::DW_AT_declaration => self.declaration = value == AttributeValue::Flag(true),
            constants::DW_AT_name => self.name = Some(value),
            constants::DW_AT_type => self.ty = Some(value),
            constants::DW_AT_abstract_origin | constants::DW_AT_specification => self.origin = Some(value),
            constants::DW_AT_signature => self.signature = Some(value),
            constants::DW_AT_byte_size => self.byte_size = value.udata_value(),
            constants::DW_AT_bit_size => self.bit_size = value.udata_value(),
            constants::DW_AT_bit_offset => self.bit_offset = value.udata_value(),
            constants::DW_AT_data_bit_offset => self.data_bit_offset = value.udata_value(),
            constants::DW_AT_data_member_location => self.member_location = Some(value),
            constants::DW_AT_upper_bound => self.upper_bound = value.udata_value(),
            constants::DW_AT_count => self.count = value.udata_value(),
            constants::DW_AT_const_value => self.const_value = value.sdata_value(),
            constants::DW_AT_low_pc => self.low_pc = Some(value),
            constants::DW_AT_ranges => self.ranges = Some(value),
            _ => {}
        }
    }

    /// Offset from the start of the first file's `.debug_info`.
    pub fn global_offset(&self) -> Option<DieOffset> {
        u32::try_from(self.slot.start.checked_add(self.offset)?).ok().map(DieOffset)
    }

    /// The entry's children, in order, without their own children.
    pub fn children(&self) -> Children<'u, 'd> {
        Children { slot: self.slot, next: self.has_children.then_some(self.end) }
    }

    /// Everything below the entry, parents before children.
    pub fn descendants(&self) -> Descendants<'u, 'd> {
        Descendants { slot: self.slot, next: self.end, open: usize::from(self.has_children) }
    }
}

/// Iterator of [`Die::children`].
pub(super) struct Children<'u, 'd> {
    slot: &'u UnitSlot<'d>,
    next: Option<usize>,
}

impl<'u, 'd> Iterator for Children<'u, 'd> {
    type Item = Die<'u, 'd>;

    fn next(&mut self) -> Option<Die<'u, 'd>> {
        let die = self.slot.die(self.next.take()?)?;
        self.next = self.slot.after_subtree(&die);
        Some(die)
    }
}

/// Iterator of [`Die::descendants`].
pub(super) struct Descendants<'u, 'd> {
    slot: &'u UnitSlot<'d>,
    next: usize,
    open: usize,
}

impl<'u, 'd> Iterator for Descendants<'u, 'd> {
    type Item = Die<'u, 'd>;

    fn next(&mut self) -> Option<Die<'u, 'd>> {
        while self.open > 0 {
            if let Some(die) = self.slot.die(self.next) {
                self.next = die.end;
                self.open += usize::from(die.has_children);
                return Some(die);
            }
            // A null entry closes one list of children; it is one byte long. Anything else is damage.
            let mut entries = self.slot.unit.entries_raw(Some(UnitOffset(self.next))).ok()?;
            if !matches!(entries.read_abbreviation(), Ok(None)) {
                self.open = 0;
                return None;
            }
            self.next = entries.next_offset().0;
            self.open -= 1;
        }
        None
    }
}

impl<'d> Units<'d> {
    /// The unit that an offset in `.debug_info` lies in.
    pub fn slot_of(&self, offset: usize) -> Option<&UnitSlot<'d>> {
        let after = self.slots.partition_point(|slot| slot.start <= offset);
        self.slots.get(after.checked_sub(1)?).filter(|slot| offset < slot.end)
    }

    /// Reads the entry at an offset in `.debug_info`.
    pub fn die_at(&self, offset: DieOffset) -> Option<Die<'_, 'd>> {
        let slot = self.slot_of(offset.0 as usize)?;
        slot.die((offset.0 as usize).checked_sub(slot.start)?)
    }

    /// The entry a reference attribute of `from` points to, in its own unit, in another or in a type unit.
    pub fn follow(&self, from: &UnitSlot<'d>, reference: &Value<'d>) -> Option<DieOffset> {
        let global = match reference {
            AttributeValue::UnitRef(offset) => from.start.checked_add(offset.0)?,
            AttributeValue::DebugInfoRef(offset) => from.base.checked_add(offset.0)?,
            AttributeValue::DebugInfoRefSup(offset) => self.supplementary?.checked_add(offset.0)?,
            AttributeValue::DebugTypesRef(signature) => self.type_unit(*signature)?,
            _ => return None,
        };
        u32::try_from(global).ok().map(DieOffset)
    }

    /// The entry a DIE's `DW_AT_type` points to; looked for along `DW_AT_abstract_origin` if it has none itself.
    pub fn type_of(&self, die: &Die<'_, 'd>) -> Option<DieOffset> {
        self.inherited(die, |d| d.ty.as_ref().and_then(|ty| self.follow(d.slot, ty)))
    }

    /// A DIE's name; looked for along `DW_AT_abstract_origin` if it has none itself.
    pub fn name_of(&self, die: &Die<'_, 'd>) -> Option<&'d str> {
        self.inherited(die, |d| self.own_name(d))
    }

    /// A DIE's own `DW_AT_name`.
    pub fn own_name(&self, die: &Die<'_, 'd>) -> Option<&'d str> {
        let text = die.slot.dwarf.attr_string(&die.slot.unit, die.name?).ok()?;
        std::str::from_utf8(text.slice()).ok().filter(|name| !name.is_empty())
    }

    /// The entry that a concrete function or variable is an instance of.
    pub fn origin_of(&self, die: &Die<'_, 'd>) -> Option<Die<'_, 'd>> {
        self.die_at(self.follow(die.slot, die.origin.as_ref()?)?)
    }

    fn inherited<T>(&self, die: &Die<'_, 'd>, get: impl Fn(&Die<'_, 'd>) -> Option<T>) -> Option<T> {
        const MAX_HOPS: usize = 8;
        if let Some(found) = get(die) {
            return Some(found);
        }
        let mut next = self.origin_of(die);
        for _ in 0..MAX_HOPS {
            let current = next?;
            if let Some(found) = get(&current) {
                return Some(found);
            }
            next = self.origin_of(&current);
        }
        None
    }

    fn type_unit(&self, wanted: gimli::DebugTypeSignature) -> Option<usize> {
        self.slots.iter().find_map(|slot| match slot.unit.header.type_() {
            gimli::UnitType::Type { type_signature, type_offset } if type_signature == wanted => {
                slot.start.checked_add(type_offset.0)
            }
            _ => None,
        })
    }
}

/// The position in `.debug_info` and the total size of a unit.
pub(super) fn extent_of(header: &gimli::UnitHeader<Slice<'_>>) -> Option<(usize, usize)> {
    let start = header.offset().as_debug_info_offset()?.0;
    Some((start, start.checked_add(header.length_including_self())?))
}

/// Why the first of several broken units could not be read.
pub(super) fn malformed(reason: gimli::Error) -> DebugInfoError {
    DebugInfoError::MalformedDwarf { reason: reason.to_string() }
}

/// The target of a reference inside the same unit.
pub(super) fn unit_reference(value: &Value<'_>) -> Option<usize> {
    match value {
        AttributeValue::UnitRef(offset) => Some(offset.0),
        _ => None,
    }
}
