//! Direct references to, and from, one object or many, with their labels.
//!
//! Knows one step in either direction; refuses to know paths. Referrers are found by scanning all references for the
//! targets, which takes less than reversing the graph would.

use super::labels::{LabelShape, Labels, rank};
use super::roots::{Root, Roots};
use super::{Heap, python_name};
use crate::cpython::{Slot, TypeId};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Which way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Who refers to the objects.
    Referrers,
    /// What the objects refer to.
    Referents,
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceRow {
    /// The object that holds.
    pub holder: ObjectId,
    /// The object held.
    pub held: ObjectId,
    /// What the reference is to the collector; weak ones keep nothing alive, inferred ones are guesses.
    pub kind: EdgeKind,
    /// Where it stands in the holder: `.attribute`, `['key']`, `[3]`, `local x`.
    pub label: String,
}

/// References of one type of object at the other end, with the same label but for index or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceCount {
    /// Type at the other end.
    pub type_name: String,
    /// The label without index or key.
    pub label: String,
    /// What the references are to the collector.
    pub kind: EdgeKind,
    /// How many references.
    pub count: u64,
    /// An object at the other end: the lowest.
    pub example: ObjectId,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct ReferencesAnswer {
    /// The first references, in order of address at the other end.
    pub rows: Vec<ReferenceRow>,
    /// All references, counted by type and label, most first.
    pub counts: Vec<ReferenceCount>,
    /// How many references there are.
    pub total: u64,
    /// Roots among the objects asked about; only for [`Direction::Referrers`].
    pub roots: Vec<(ObjectId, Root)>,
    /// How many objects asked about are roots.
    pub root_count: u64,
}

/// What counts are kept by.
type Key = (TypeId, LabelShape, EdgeKind);

/// What one part of the heap contributes.
#[derive(Default)]
struct Part {
    counts: FxHashMap<Key, (u64, u32)>,
    rows: Vec<(u32, u32, EdgeKind, Slot)>,
}

/// Direct references to or from `of`, at most `limit` of them one by one.
pub fn references(
    heap: Heap<'_, '_>,
    roots: Option<&Roots>,
    of: &NodeSet,
    direction: Direction,
    limit: usize,
) -> ReferencesAnswer {
    let parts: Vec<Part> = heap
        .graph
        .forward
        .par_blocks()
        .map(|block| {
            let mut part = Part::default();
            let mut labels = Labels::new(heap);
            for (node, edges) in block.iter() {
                let wanted = match direction {
                    Direction::Referents => of.contains(node),
                    Direction::Referrers => edges.iter().any(|edge| of.contains(edge.target())),
                };
                if wanted {
                    part.read(heap, &mut labels, node, of, direction, limit);
                }
            }
            part
        })
        .collect();
    let mut answer = ReferencesAnswer::default();
    let mut counts: FxHashMap<Key, (u64, u32)> = FxHashMap::default();
    for part in parts {
        for (key, (count, example)) in part.counts {
            let entry = counts.entry(key).or_insert((0, example));
            entry.0 += count;
            entry.1 = entry.1.min(example);
        }
        for (holder, held, kind, slot) in part.rows {
            if answer.rows.len() < limit {
                let label = super::labels::label_text(heap.runtime, slot);
                answer.rows.push(ReferenceRow {
                    holder: ObjectId(holder),
                    held: ObjectId(held),
                    kind,
                    label,
                });
            }
        }
    }
    answer.total = counts.values().map(|&(count, _)| count).sum();
    answer.counts = merge_by_text(heap, counts);
    if let (Some(roots), Direction::Referrers) = (roots, direction) {
        for node in of.iter().filter(|&node| roots.set.contains(node)) {
            answer.root_count += 1;
            if answer.roots.len() < limit
                && let Some(root) = roots.origin(node)
            {
                answer.roots.push((ObjectId(node), root));
            }
        }
    }
    answer
}

impl Part {
    fn read(
        &mut self,
        heap: Heap<'_, '_>,
        labels: &mut Labels<'_, '_>,
        node: u32,
        of: &NodeSet,
        direction: Direction,
        limit: usize,
    ) {
        let types = heap.objects;
        labels.each(ObjectId(node), &mut |target, kind, slot| {
            let other = match direction {
                Direction::Referents => target,
                Direction::Referrers if of.contains(target.0) => ObjectId(node),
                Direction::Referrers => return,
            };
            let key = (types.type_id(other), LabelShape::of(slot), kind);
            let entry = self.counts.entry(key).or_insert((0, other.0));
            entry.0 += 1;
            entry.1 = entry.1.min(other.0);
            if self.rows.len() < limit {
                self.rows.push((node, target.0, kind, slot));
            }
        });
    }
}

/// Joins counts whose type and label read the same: attributes whose name exists as several str objects.
fn merge_by_text(heap: Heap<'_, '_>, counts: FxHashMap<Key, (u64, u32)>) -> Vec<ReferenceCount> {
    let mut merged: FxHashMap<(String, String, EdgeKind), (u64, u32)> = FxHashMap::default();
    for ((type_id, label, kind), (count, example)) in counts {
        let type_name = python_name(&heap.runtime.types.get(type_id).name).to_owned();
        let entry = merged.entry((type_name, label.text(heap.runtime), kind)).or_insert((0, example));
        entry.0 += count;
        entry.1 = entry.1.min(example);
    }
    let mut rows: Vec<ReferenceCount> = merged
        .into_iter()
        .map(|((type_name, label, kind), (count, example))| ReferenceCount {
            type_name,
            label,
            kind,
            count,
            example: ObjectId(example),
        })
        .collect();
    rows.sort_by(|a, b| {
        let order = |row: &ReferenceCount| (rank(row.kind, Slot::Key).0, Reverse(row.count));
        order(a).cmp(&order(b)).then_with(|| (&a.type_name, &a.label).cmp(&(&b.type_name, &b.label)))
    });
    rows
}
