//! Room that nothing uses: in containers, and around the attributes of instances.
//!
//! One pass over the objects, in parallel. Knows thresholds; refuses to know how tables are laid out.

use super::{CHUNK, WasteFinding, WasteKind, is_within};
use crate::analysis::suspects::stdlib_names;
use crate::cpython::{Growing, Runtime, TypeId, attribute_room, room, shared_names, slotted_size};
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Objects that are named of a finding.
const EXAMPLES: usize = 3;

/// What marks an object as part of a finding.
const EMPTY: u8 = 1;
const SPARSE: u8 = 2;
const OVER_ALLOCATED: u8 = 3;

/// Marks and the kinds of findings that they are of.
const MARKS: [(u8, WasteKind); 3] =
    [(EMPTY, WasteKind::Empty), (SPARSE, WasteKind::Sparse), (OVER_ALLOCATED, WasteKind::OverAllocated)];

/// What one type's objects waste in one way.
#[derive(Clone, Debug, Default)]
struct Tally {
    objects: u64,
    bytes: u64,
    /// (bytes, node), the most first.
    largest: Vec<(u64, u32)>,
}

impl Tally {
    fn add(&mut self, bytes: u64, node: u32) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.largest.len() < EXAMPLES || self.largest.last().is_some_and(|&(least, _)| bytes > least) {
            self.largest.push((bytes, node));
            self.cut();
        }
    }

    fn join(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.largest.extend(other.largest);
        self.cut();
    }

    fn cut(&mut self) {
        self.largest.sort_unstable_by_key(|&(bytes, node)| (Reverse(bytes), node));
        self.largest.truncate(EXAMPLES);
    }
}

/// What the instances of a class take.
#[derive(Clone, Debug, Default)]
struct ClassTally {
    /// All instances, with the bytes that they and their attributes' places take.
    all: Tally,
    /// The most attributes that one has outside slots.
    most_names: u64,
}

/// What a type's instances are asked.
#[derive(Clone, Copy, Debug, Default)]
struct Role {
    growing: Option<Growing>,
    has_attributes: bool,
}

#[derive(Default)]
struct Part {
    tallies: FxHashMap<(TypeId, WasteKind), Tally>,
    classes: FxHashMap<TypeId, ClassTally>,
}

/// What there is too much of.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    /// For each node the mark of the finding that it is part of, or 0: a byte an object.
    marks: Vec<u8>,
    found: Vec<WasteFinding>,
}

impl Rooms {
    /// Measures all containers and instances, or those of `within`.
    pub fn measure(runtime: &Runtime<'_>, objects: &ObjectTable, within: Option<&NodeSet>) -> Self {
        let roles: Vec<Role> = runtime
            .types
            .iter()
            .map(|(_, info)| Role {
                growing: Growing::of(runtime, info),
                has_attributes: info.parts.dict != crate::cpython::DictPlace::None,
            })
            .collect();
        let mut marks = vec![0u8; objects.len()];
        let pass = Pass { runtime, objects, roles, within };
        let part = marks
            .par_chunks_mut(CHUNK)
            .enumerate()
            .map(|(chunk, marks)| pass.chunk((chunk * CHUNK) as u32, marks))
            .reduce(Part::default, join);
        // Nobody adds slots to classes that are not the program's or a package's.
        let stdlib = stdlib_names(runtime);
        let is_own = |type_id: TypeId| {
            !stdlib.contains(runtime.types.get(type_id).name.split('.').next().unwrap_or_default())
        };
        let slots = part
            .classes
            .into_iter()
            .filter(|&(type_id, _)| is_own(type_id))
            .filter_map(|(type_id, class)| no_slots(runtime, type_id, &class));
        let mut found: Vec<WasteFinding> = part
            .tallies
            .into_iter()
            .map(|((type_id, kind), tally)| finding(kind, type_id, &tally))
            .chain(slots)
            .filter(|finding| finding.bytes > 0)
            .collect();
        found.sort_by_key(|finding| (finding.kind, finding.type_id));
        Self { marks, found }
    }

    /// The findings.
    pub fn findings(&self) -> impl Iterator<Item = WasteFinding> + '_ {
        self.found.iter().cloned()
    }

    /// The kind of finding about containers that `node` is part of.
    #[inline]
    pub fn kind_of(&self, node: u32) -> Option<WasteKind> {
        let mark = self.marks.get(node as usize).copied().filter(|&mark| mark != 0)?;
        MARKS.iter().find(|(known, _)| *known == mark).map(|&(_, kind)| kind)
    }
}

struct Pass<'p, 'core> {
    runtime: &'p Runtime<'core>,
    objects: &'p ObjectTable,
    roles: Vec<Role>,
    within: Option<&'p NodeSet>,
}

impl Pass<'_, '_> {
    fn chunk(&self, first: u32, marks: &mut [u8]) -> Part {
        let mut part = Part::default();
        for (node, mark) in (first..).zip(marks) {
            let id = ObjectId(node);
            let type_id = self.objects.type_id(id);
            let Some(role) = self.roles.get(type_id.0 as usize).filter(|_| is_within(self.within, node))
            else {
                continue;
            };
            if let Some(growing) = role.growing {
                self.container(growing, id, mark, &mut part);
            }
            if role.has_attributes {
                self.instance(id, &mut part);
            }
        }
        part
    }

    fn container(&self, growing: Growing, id: ObjectId, mark: &mut u8, part: &mut Part) {
        // What cannot be read is not said to be empty.
        let Ok(room) = room(self.runtime, growing, self.objects.address(id)) else { return };
        let (found, kind, bytes) = match growing {
            _ if room.used == 0 => (EMPTY, WasteKind::Empty, self.objects.size(id)),
            Growing::List if room.unused_bytes() > 0 => {
                (OVER_ALLOCATED, WasteKind::OverAllocated, room.unused_bytes())
            }
            Growing::Dict | Growing::Set if room.is_sparse => {
                (SPARSE, WasteKind::Sparse, room.unused_bytes())
            }
            _ => return,
        };
        *mark = found;
        part.tallies.entry((self.objects.type_id(id), kind)).or_default().add(bytes, id.0);
    }

    fn instance(&self, id: ObjectId, part: &mut Part) {
        let type_id = self.objects.type_id(id);
        let info = self.runtime.types.get(type_id);
        let Ok(Some(found)) = attribute_room(self.runtime, info, self.objects.address(id)) else { return };
        let class = part.classes.entry(type_id).or_default();
        class.most_names = class.most_names.max(found.used);
        class.all.add(self.objects.size(id).saturating_add(found.bytes), id.0);
        // Shared, the names would cost nothing, and the values a word each.
        let saved = found.unshared_bytes.saturating_sub(found.used.saturating_mul(8));
        if saved > 0 && found.used > 0 {
            part.tallies.entry((type_id, WasteKind::Unshared)).or_default().add(saved, id.0);
        }
    }
}

fn join(mut left: Part, right: Part) -> Part {
    for (key, tally) in right.tallies {
        left.tallies.entry(key).or_default().join(tally);
    }
    for (key, class) in right.classes {
        let known = left.classes.entry(key).or_default();
        known.most_names = known.most_names.max(class.most_names);
        known.all.join(class.all);
    }
    left
}

fn finding(kind: WasteKind, type_id: TypeId, tally: &Tally) -> WasteFinding {
    WasteFinding {
        kind,
        type_id,
        objects: tally.objects,
        values: 0,
        names: 0,
        bytes: tally.bytes,
        examples: tally.largest.iter().map(|&(_, node)| ObjectId(node)).collect(),
        sampled: 0,
        holders: Vec::new(),
    }
}

/// What `__slots__` would save of a class.
fn no_slots(runtime: &Runtime<'_>, type_id: TypeId, class: &ClassTally) -> Option<WasteFinding> {
    let info = runtime.types.get(type_id);
    let names = class.most_names.max(shared_names(runtime, info));
    if names == 0 {
        return None;
    }
    let slotted = slotted_size(runtime, info, names)?.saturating_mul(class.all.objects);
    let mut found = finding(WasteKind::NoSlots, type_id, &class.all);
    found.names = names;
    found.bytes = class.all.bytes.saturating_sub(slotted);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_that_waste_most_are_named_whatever_the_order() {
        let all = [(5, 1), (9, 2), (5, 3), (7, 4), (9, 5), (1, 6)];
        let tally = |wasted: &[(u64, u32)]| {
            let mut tally = Tally::default();
            wasted.iter().for_each(|&(bytes, node)| tally.add(bytes, node));
            tally
        };
        let whole = tally(&all);
        assert_eq!((whole.objects, whole.bytes), (6, 36));
        assert_eq!(whole.largest, [(9, 2), (9, 5), (7, 4)]);
        let mut joined = tally(&all[..2]);
        joined.join(tally(&all[2..]));
        assert_eq!((joined.objects, joined.bytes, joined.largest), (6, 36, whole.largest));
    }
}
