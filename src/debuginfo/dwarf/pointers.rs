//! Which members of a struct are pointers to objects. Knows embedded structs, unions and arrays; what an object is
//! the caller says, by naming the structs that every object starts with.

use rustc_hash::{FxHashMap, FxHashSet};

use super::PointerMember;
use super::types::{MAX_NESTING, is_pointer, is_struct};
use super::units::{DieOffset, Units};

/// How many array elements of one struct are looked at.
const MAX_ELEMENTS: u32 = 4096;
/// How many members of one struct are looked at, those of array elements counted each time.
const MAX_MEMBERS: u32 = 1 << 16;

/// The caller's word on whether a struct of some name (or typedef name) starts every object.
pub(super) type IsObject<'p> = &'p dyn Fn(&str) -> bool;

/// Decides whether structs are objects, and remembers it.
pub(super) struct ObjectStructs<'u, 'd, 'p> {
    pub units: &'u Units<'d>,
    pub is_object: IsObject<'p>,
    /// The definition of a struct that is only declared where it is pointed to.
    pub definition: &'p dyn Fn(&str) -> Option<DieOffset>,
    known: FxHashMap<DieOffset, bool>,
}

impl<'u, 'd, 'p> ObjectStructs<'u, 'd, 'p> {
    pub fn new(
        units: &'u Units<'d>,
        is_object: IsObject<'p>,
        definition: &'p dyn Fn(&str) -> Option<DieOffset>,
    ) -> Self {
        Self { units, is_object, definition, known: FxHashMap::default() }
    }

    /// Whether a type is a struct that the predicate names, or one that starts with such a struct.
    pub fn contains(&mut self, ty: DieOffset) -> bool {
        if let Some(known) = self.known.get(&ty) {
            return *known;
        }
        let answer = self.look(ty, MAX_NESTING);
        self.known.insert(ty, answer);
        answer
    }

    fn look(&self, ty: DieOffset, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let mut named = false;
        let mut last_name = None;
        let die = self.units.peel_with(ty, |die| {
            if let Some(name) = self.units.own_name(die) {
                named |= (self.is_object)(name);
                last_name = Some(name);
            }
        });
        let Some(die) = die.filter(|die| is_struct(die.tag)) else { return false };
        if named {
            return true;
        }
        if die.declaration {
            let definition = last_name.and_then(self.definition);
            return definition.is_some_and(|ty| self.look(ty, depth));
        }
        let first = self.units.raw_members(&die).next();
        first.is_some_and(|member| {
            member.first_bit == 0 && member.bit_size.is_none() && self.look(member.ty, depth)
        })
    }
}

/// Collects the pointer members of one struct.
pub(super) struct PointerScan<'s, 'u, 'd, 'p> {
    pub objects: &'s mut ObjectStructs<'u, 'd, 'p>,
    found: Vec<PointerMember>,
    offsets: FxHashSet<u32>,
    elements_left: u32,
    members_left: u32,
}

impl<'s, 'u, 'd, 'p> PointerScan<'s, 'u, 'd, 'p> {
    pub fn new(objects: &'s mut ObjectStructs<'u, 'd, 'p>) -> Self {
        Self {
            objects,
            found: Vec::new(),
            offsets: FxHashSet::default(),
            elements_left: MAX_ELEMENTS,
            members_left: MAX_MEMBERS,
        }
    }

    /// The pointer members of a struct, by offset. Of union members at one offset, the first declared is kept.
    pub fn run(mut self, structure: DieOffset) -> Vec<PointerMember> {
        self.visit(structure, 0, "", MAX_NESTING);
        self.found.sort_by_key(|member| member.offset);
        self.found
    }

    fn visit(&mut self, ty: DieOffset, base: u64, path: &str, depth: usize) {
        let units = self.objects.units;
        let (Some(depth), Some(die)) = (depth.checked_sub(1), units.peel(ty)) else { return };
        if is_pointer(die.tag) {
            if units.type_of(&die).is_some_and(|pointee| self.objects.contains(pointee)) {
                self.note(base, path);
            }
        } else if is_struct(die.tag) {
            for child in die.children() {
                let Some(left) = self.members_left.checked_sub(1) else { return };
                self.members_left = left;
                let Some(member) = units.raw_member(&child) else { continue };
                let offset = (member.first_bit / 8).checked_add(base);
                if let (None, Some(offset)) = (member.bit_size, offset) {
                    self.visit(member.ty, offset, &joined(path, member.name), depth);
                }
            }
        } else if let Some(array) = units.array_type(&die) {
            let Some(stride) = units.size_of(array.element) else { return };
            let total = array.dimensions.iter().try_fold(1u64, |n, d| n.checked_mul(d.unwrap_or(0)));
            for index in 0..total.unwrap_or(0) {
                let Some(left) = self.elements_left.checked_sub(1) else { return };
                self.elements_left = left;
                let Some(offset) = stride.checked_mul(index).and_then(|o| o.checked_add(base)) else {
                    return;
                };
                self.visit(array.element, offset, &subscripted(path, &array.dimensions, index), depth);
            }
        }
    }

    fn note(&mut self, offset: u64, path: &str) {
        let Ok(offset) = u32::try_from(offset) else { return };
        if self.offsets.insert(offset) {
            self.found.push(PointerMember { path: path.to_owned(), offset });
        }
    }
}

fn joined(path: &str, name: Option<&str>) -> String {
    match name {
        None => path.to_owned(),
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
    }
}

/// The path of the element with a running number, one subscript per dimension.
fn subscripted(path: &str, dimensions: &[Option<u64>], mut index: u64) -> String {
    let mut subscripts = Vec::with_capacity(dimensions.len());
    for length in dimensions.iter().rev() {
        let length = length.unwrap_or(1).max(1);
        subscripts.push(index % length);
        index /= length;
    }
    let subscripts: String = subscripts.iter().rev().map(|i| format!("[{i}]")).collect();
    format!("{path}{subscripts}")
}
