//! The shape of a cycle: types and labels, without what tells one cycle of a kind from the next.
//!
//! Knows how to tell shapes apart in one reading of the references within a cycle; refuses to know how many there are.

use super::Heap;
use super::labels::{LabelShape, Labels, label_text, leads_to_namespace};
use crate::cpython::TypeId;
use crate::graph::{Components, EdgeKind};
use crate::heap::ObjectId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Up to this many objects the number of objects belongs to the shape; larger cycles of one kind differ in length only.
const COUNTED_OBJECTS: usize = 8;
/// Distinct references that tell shapes apart; a larger cycle is told by its first ones.
const MAX_EDGES: usize = 64;
/// Objects of one component that are read for its shape.
const MAX_READ: usize = 10_000;
/// Longest cycle that is shown step by step.
const MAX_STEPS: usize = 12;

/// One kind of reference within a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeEdge {
    /// Type of the holder.
    pub from: String,
    /// Label without index or key.
    pub label: String,
    /// Type of what is held.
    pub to: String,
}

/// One step of an example cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleStep {
    /// The object.
    pub object: ObjectId,
    /// Its type, or for a class its own name: `class app.Order`.
    pub what: String,
    /// Where it holds the next one; the last one holds the first.
    pub label: String,
}

/// A shape before its labels are read as text: comparable and cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawShape {
    /// Number of objects, or 0 for more than a few.
    pub objects: usize,
    /// Distinct references, sorted.
    pub edges: Vec<(TypeId, LabelShape, TypeId)>,
}

/// The shape of the component `members`, whose objects all have the component number `component`.
pub fn raw_shape(
    heap: Heap<'_, '_>,
    labels: &mut Labels<'_, '_>,
    components: &Components,
    component: u32,
    members: &[u32],
) -> RawShape {
    let mut edges = FxHashSet::default();
    let mut namespaces = FxHashSet::default();
    // Namespaces are known by who holds them, so they are read after everything else.
    let mut pending = Vec::new();
    let read = |labels: &mut Labels<'_, '_>,
                node: u32,
                namespace,
                edges: &mut FxHashSet<_>,
                found: &mut FxHashSet<u32>| {
        let from = heap.objects.type_id(ObjectId(node));
        labels.each(ObjectId(node), &mut |target, kind, slot| {
            if kind != EdgeKind::Visited || components.of(target.0) != Some(component) {
                return;
            }
            if leads_to_namespace(slot) {
                found.insert(target.0);
            }
            if edges.len() < MAX_EDGES {
                let label = if namespace { LabelShape::in_namespace(slot) } else { LabelShape::of(slot) };
                edges.insert((from, label, heap.objects.type_id(target)));
            }
        });
    };
    for &node in members.iter().take(MAX_READ) {
        if heap.type_of(ObjectId(node)).name.as_ref() == "builtins.dict" {
            pending.push(node);
        } else {
            read(labels, node, false, &mut edges, &mut namespaces);
        }
    }
    let mut more = FxHashSet::default();
    for node in pending {
        read(labels, node, namespaces.contains(&node), &mut edges, &mut more);
    }
    let mut edges: Vec<_> = edges.into_iter().collect();
    edges.sort_unstable();
    RawShape { objects: if members.len() <= COUNTED_OBJECTS { members.len() } else { 0 }, edges }
}

/// The edges of a shape in words, sorted, each once.
pub fn shape_edges(heap: Heap<'_, '_>, shape: &RawShape) -> Vec<ShapeEdge> {
    let name = |id| super::python_name(&heap.runtime.types.get(id).name).to_owned();
    let mut edges: Vec<ShapeEdge> = shape
        .edges
        .iter()
        .map(|&(from, label, to)| ShapeEdge {
            from: name(from),
            label: label.text(heap.runtime),
            to: name(to),
        })
        .collect();
    edges.sort();
    edges.dedup();
    edges
}

/// A shortest cycle through the first of `members` that is not a mere namespace: its first steps, and how many objects
/// more it has.
pub fn example_cycle(
    heap: Heap<'_, '_>,
    labels: &mut Labels<'_, '_>,
    components: &Components,
    component: u32,
    members: &[u32],
) -> (Vec<CycleStep>, u64) {
    let is_plain_dict = |&&node: &&u32| heap.type_of(ObjectId(node)).name.as_ref() == "builtins.dict";
    let Some(&start) = members.iter().find(|node| !is_plain_dict(node)).or(members.first()) else {
        return (Vec::new(), 0);
    };
    let mut parents: FxHashMap<u32, u32> = FxHashMap::default();
    let mut queue = VecDeque::from([start]);
    let mut last = None;
    while let (None, Some(node)) = (last, queue.pop_front()) {
        for edge in heap.graph.forward.of(node).iter().filter(|edge| edge.is_visited()) {
            let target = edge.target();
            if target == start {
                last = Some(node);
                break;
            }
            if components.of(target) == Some(component) && !parents.contains_key(&target) {
                parents.insert(target, node);
                queue.push_back(target);
            }
        }
    }
    let mut nodes: Vec<u32> =
        std::iter::successors(last, |node| if *node == start { None } else { parents.get(node).copied() })
            .collect();
    nodes.reverse();
    let next = nodes.iter().copied().skip(1).chain([start]);
    let mut namespace = false;
    let mut steps = Vec::new();
    for (&node, next) in nodes.iter().zip(next).take(MAX_STEPS) {
        let slot = labels.best(ObjectId(node), ObjectId(next)).map(|(_, slot)| slot);
        let label = match slot {
            Some(slot) if namespace => match LabelShape::in_namespace(slot) {
                named @ LabelShape::Attribute(_) => named.text(heap.runtime),
                _ => label_text(heap.runtime, slot),
            },
            Some(slot) => label_text(heap.runtime, slot),
            None => String::new(),
        };
        namespace = slot.is_some_and(leads_to_namespace);
        steps.push(CycleStep { object: ObjectId(node), what: what(heap, ObjectId(node)), label });
    }
    let left_out = nodes.len().saturating_sub(steps.len()) as u64;
    (steps, left_out)
}

/// What an object of a cycle is, in a word or two.
fn what(heap: Heap<'_, '_>, id: ObjectId) -> String {
    match heap.runtime.types.of(heap.objects.address(id)) {
        Some(class) => format!("class {}", super::python_name(&class.name)),
        None => heap.type_name(id).to_owned(),
    }
}
