//! Layouts: sizes, members, the bytes a field path names. Knows how compilers describe C types in DWARF 4 and 5;
//! refuses to know which types anyone is interested in.
//!
//! Everything is computed on demand from the entries themselves. The entries come from a file that may be damaged
//! or hostile, so every walk has a depth or a budget.

use gimli::{AttributeValue, DwTag, Reader, constants};

use super::units::{Die, DieOffset, Units, Value};
use crate::debuginfo::{Field, FieldPath};

/// How many typedefs and qualifiers may wrap a type.
const MAX_WRAPPERS: usize = 64;
/// How deep structs and arrays may nest.
pub(super) const MAX_NESTING: usize = 32;
/// How many members one question may look at.
const MEMBER_BUDGET: u32 = 1 << 20;

/// A member as its own entry describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawMember<'d> {
    /// `None` for an anonymous struct or union, and for a C++ base class.
    pub name: Option<&'d str>,
    /// Lowest bit, from the start of the struct the question was about.
    pub first_bit: u64,
    /// Width, for bit-fields.
    pub bit_size: Option<u64>,
    pub ty: DieOffset,
}

/// An array type: the number of elements per subscript (`None` for a flexible array) and the element type.
pub(super) struct ArrayType {
    pub dimensions: Vec<Option<u64>>,
    pub element: DieOffset,
}

/// Whether members of an entry of that tag are laid out in a struct.
pub(super) fn is_struct(tag: DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_structure_type | constants::DW_TAG_union_type | constants::DW_TAG_class_type
    )
}

fn is_wrapper(tag: DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_typedef
            | constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type
            | constants::DW_TAG_restrict_type
            | constants::DW_TAG_atomic_type
    )
}

impl<'d> Units<'d> {
    /// The type under all typedefs and qualifiers. `seen` is told each entry on the way, itself included.
    pub fn peel_with(&self, ty: DieOffset, mut seen: impl FnMut(&Die<'_, 'd>)) -> Option<Die<'_, 'd>> {
        let mut die = self.die_at(ty)?;
        for _ in 0..MAX_WRAPPERS {
            seen(&die);
            if is_wrapper(die.tag) {
                die = self.die_at(self.follow(die.slot, die.ty.as_ref()?)?)?;
            } else if let (true, Some(signature)) = (die.declaration, die.signature.as_ref()) {
                die = self.die_at(self.follow(die.slot, signature)?)?;
            } else {
                return Some(die);
            }
        }
        None
    }

    /// The type under all typedefs and qualifiers.
    pub fn peel(&self, ty: DieOffset) -> Option<Die<'_, 'd>> {
        self.peel_with(ty, |_| {})
    }

    /// The members of a struct in the order of declaration, not looking into anonymous ones.
    pub fn raw_members(&self, die: &Die<'_, 'd>) -> impl Iterator<Item = RawMember<'d>> {
        die.children().filter_map(|child| self.raw_member(&child))
    }

    /// The member that a child of a struct describes; `None` for other children.
    pub fn raw_member(&self, child: &Die<'_, 'd>) -> Option<RawMember<'d>> {
        let inherited = child.tag == constants::DW_TAG_inheritance;
        // A static member of a C++ class is a declaration, and has no place in the object.
        if !(inherited || child.tag == constants::DW_TAG_member) || child.declaration {
            return None;
        }
        let ty = self.follow(child.slot, child.ty.as_ref()?)?;
        let name = if inherited { None } else { self.own_name(child) };
        Some(RawMember { name, first_bit: self.first_bit(child, ty)?, bit_size: child.bit_size, ty })
    }

    /// DWARF 5 counts a bit-field's position from the start of the struct. DWARF 4 producers count from the most
    /// significant bit of a storage unit, as on the big-endian machines the format comes from.
    fn first_bit(&self, member: &Die<'_, 'd>, ty: DieOffset) -> Option<u64> {
        let location = match &member.member_location {
            None => 0,
            Some(value) => constant_location(value)?,
        };
        let first_byte_bit = location.checked_mul(8)?;
        match (member.bit_size, member.data_bit_offset, member.bit_offset) {
            (_, Some(bit), _) => first_byte_bit.checked_add(bit),
            (Some(width), None, Some(from_top)) => {
                let storage = member.byte_size.or_else(|| self.size_of(ty))?.checked_mul(8)?;
                first_byte_bit.checked_add(storage)?.checked_sub(from_top)?.checked_sub(width)
            }
            _ => Some(first_byte_bit),
        }
    }

    /// Dimensions and element type of an array; `None` if the entry is not an array.
    pub fn array_type(&self, die: &Die<'_, 'd>) -> Option<ArrayType> {
        if die.tag != constants::DW_TAG_array_type {
            return None;
        }
        let element = self.follow(die.slot, die.ty.as_ref()?)?;
        let ranges = die.children().filter(|child| child.tag == constants::DW_TAG_subrange_type);
        let dimensions =
            ranges.map(|range| range.count.or_else(|| range.upper_bound?.checked_add(1))).collect();
        Some(ArrayType { dimensions, element })
    }

    /// Size of a type in bytes; 0 for a flexible array, `None` for functions, `void` and declarations.
    pub fn size_of(&self, ty: DieOffset) -> Option<u64> {
        let mut factor = 1u64;
        let mut ty = ty;
        for _ in 0..MAX_NESTING {
            let die = self.peel(ty)?;
            if die.declaration {
                return None;
            }
            if let Some(size) = die.byte_size {
                return size.checked_mul(factor);
            }
            if is_pointer(die.tag) {
                return u64::from(die.slot.unit.encoding().address_size).checked_mul(factor);
            }
            let array = self.array_type(&die)?;
            factor = factor.checked_mul(elements(&array.dimensions)?)?;
            ty = array.element;
        }
        None
    }

    /// The field that a path names in a struct.
    pub fn field_at(&self, structure: DieOffset, path: &str) -> Option<Field> {
        let path = FieldPath::parse(path)?;
        let mut budget = MEMBER_BUDGET;
        let mut at = Position { ty: structure, used_subscripts: 0, first_bit: 0, bit_size: None };
        for segment in path.segments() {
            at = self.step_into(at, segment.name, &mut budget)?;
            for subscript in &segment.subscripts {
                at = self.subscript(at, *subscript)?;
            }
        }
        self.field_of(at)
    }

    /// The members of a struct, those of anonymous structs and unions in the place of these.
    pub fn flat_members(&self, structure: DieOffset) -> Option<Vec<(RawMember<'d>, Field)>> {
        let die = self.peel(structure).filter(|die| is_struct(die.tag) && !die.declaration)?;
        let mut members = Vec::new();
        let mut budget = MEMBER_BUDGET;
        self.flatten(&die, 0, MAX_NESTING, &mut budget, &mut |member| {
            members.push(member);
            false
        });
        let fields = members.into_iter().filter_map(|member| Some((member, self.field_of(member.into())?)));
        Some(fields.collect())
    }

    /// Tells `visit` each named member with its position in the outermost struct, until it says to stop.
    fn flatten(
        &self,
        die: &Die<'_, 'd>,
        base_bit: u64,
        depth: usize,
        budget: &mut u32,
        visit: &mut dyn FnMut(RawMember<'d>) -> bool,
    ) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        for child in die.children() {
            // Every child counts, so that no file can make a question take long.
            let Some(left) = budget.checked_sub(1) else { return false };
            *budget = left;
            let Some(mut member) = self.raw_member(&child) else { continue };
            let Some(first_bit) = member.first_bit.checked_add(base_bit) else { continue };
            member.first_bit = first_bit;
            let stop = match member.name {
                Some(_) => visit(member),
                None => match self.peel(member.ty).filter(|inner| is_struct(inner.tag)) {
                    Some(inner) => self.flatten(&inner, first_bit, depth, budget, visit),
                    None => false,
                },
            };
            if stop {
                return true;
            }
        }
        false
    }

    fn step_into(&self, at: Position, name: &str, budget: &mut u32) -> Option<Position> {
        if at.used_subscripts != 0 {
            return None;
        }
        let die = self.peel(at.ty).filter(|die| is_struct(die.tag) && !die.declaration)?;
        let mut found = None;
        self.flatten(&die, at.first_bit, MAX_NESTING, budget, &mut |member| {
            found = (member.name == Some(name)).then_some(member);
            found.is_some()
        });
        found.map(Position::from)
    }

    fn subscript(&self, at: Position, subscript: u64) -> Option<Position> {
        let array = self.array_type(&self.peel(at.ty)?)?;
        let length = *array.dimensions.get(at.used_subscripts)?;
        if length.is_some_and(|length| subscript >= length) {
            return None;
        }
        let inner = array.dimensions.get(at.used_subscripts + 1..)?;
        let stride = elements(inner)?.checked_mul(self.size_of(array.element)?)?;
        let first_bit = stride.checked_mul(subscript)?.checked_mul(8)?.checked_add(at.first_bit)?;
        if inner.is_empty() {
            return Some(Position { ty: array.element, used_subscripts: 0, first_bit, bit_size: None });
        }
        Some(Position { used_subscripts: at.used_subscripts + 1, first_bit, ..at })
    }

    fn field_of(&self, at: Position) -> Option<Field> {
        if let Some(width) = at.bit_size {
            return Field::bit_field(at.first_bit, width);
        }
        let size = if at.used_subscripts == 0 {
            self.size_of(at.ty).unwrap_or(0)
        } else {
            let array = self.array_type(&self.peel(at.ty)?)?;
            elements(array.dimensions.get(at.used_subscripts..)?)?
                .checked_mul(self.size_of(array.element)?)?
        };
        Some(Field::bytes(u32::try_from(at.first_bit / 8).ok()?, u32::try_from(size).ok()?))
    }

    /// The first typedef for a struct in its own unit, outside functions.
    pub fn typedef_of(&self, structure: &Die<'_, 'd>) -> Option<&'d str> {
        let wanted = structure.global_offset();
        let root = structure.slot.die(structure.slot.unit.header.size_of_header())?;
        let mut typedefs = root.children().filter(|die| die.tag == constants::DW_TAG_typedef);
        let named = typedefs.find(|die| {
            let target = die.ty.as_ref().and_then(|ty| self.follow(die.slot, ty));
            target.is_some() && target == wanted
        })?;
        self.own_name(&named)
    }

    /// How C would spell a type, roughly: for people to read.
    pub fn spell(&self, ty: DieOffset) -> String {
        let mut suffix = String::new();
        let mut next = Some(ty);
        for _ in 0..MAX_WRAPPERS {
            let Some(die) = next.and_then(|ty| self.die_at(ty)) else { return format!("void{suffix}") };
            if let Some(name) = self.own_name(&die) {
                return format!("{name}{suffix}");
            }
            match die.tag {
                tag if is_pointer(tag) => suffix.insert_str(0, " *"),
                constants::DW_TAG_array_type => suffix.push_str(" []"),
                constants::DW_TAG_subroutine_type => return format!("function{suffix}"),
                constants::DW_TAG_union_type => return format!("union {{...}}{suffix}"),
                tag if is_struct(tag) => return format!("struct {{...}}{suffix}"),
                constants::DW_TAG_enumeration_type => return format!("enum {{...}}{suffix}"),
                _ => {}
            }
            next = die.ty.as_ref().and_then(|ty| self.follow(die.slot, ty));
        }
        suffix
    }
}

/// Whether a value of a type of that tag is an address.
pub(super) fn is_pointer(tag: DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_pointer_type
            | constants::DW_TAG_reference_type
            | constants::DW_TAG_rvalue_reference_type
    )
}

/// A place in a struct while a path is followed.
#[derive(Clone, Copy)]
struct Position {
    ty: DieOffset,
    /// Subscripts of the array type `ty` that are already applied.
    used_subscripts: usize,
    first_bit: u64,
    bit_size: Option<u64>,
}

impl From<RawMember<'_>> for Position {
    fn from(member: RawMember<'_>) -> Self {
        Self { ty: member.ty, used_subscripts: 0, first_bit: member.first_bit, bit_size: member.bit_size }
    }
}

/// Number of elements over all dimensions; an open dimension has none.
fn elements(dimensions: &[Option<u64>]) -> Option<u64> {
    dimensions.iter().try_fold(1u64, |product, length| product.checked_mul(length.unwrap_or(0)))
}

/// A member's byte offset: a constant, or in old DWARF the expression `DW_OP_plus_uconst N`.
fn constant_location(value: &Value<'_>) -> Option<u64> {
    let AttributeValue::Exprloc(expression) = value else { return value.udata_value() };
    let mut bytes = expression.0;
    if bytes.read_u8().ok()? != constants::DW_OP_plus_uconst.0 {
        return None;
    }
    bytes.read_uleb128().ok().filter(|_| bytes.is_empty())
}
