//! What kinds of cycles the garbage consists of, and what each kind keeps from being freed.
//!
//! Knows groups of cycles of one shape and how the rest of the garbage is apportioned to them; refuses to know what is
//! garbage ([`super::collect`] does).
//!
//! A *cycle* is a strongly connected component of the garbage, or an object that refers to itself. Garbage that is in no
//! cycle, and untracked objects that only garbage holds, belong to the group whose cycles reach them; what cycles of
//! several groups reach is *shared* and belongs to none of them.

use super::cycle_shape::{CycleStep, RawShape, ShapeEdge, example_cycle, raw_shape, shape_edges};
use super::labels::Labels;
use super::{Collection, Heap, WhyUncollected, keeps_alive};
use crate::cpython::{Generation, TypeId};
use crate::graph::{Adjacency, Components, EdgeKind, NodeSet, components_within};
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Example cycles kept of each group.
const EXAMPLES: usize = 3;

/// The garbage by shape.
#[derive(Clone, Debug, Default)]
pub struct Cycles {
    /// Groups, those that keep most bytes first.
    pub groups: Vec<CycleGroup>,
    /// Objects that cycles of several groups keep.
    pub shared_objects: u64,
    /// Bytes in them.
    pub shared_bytes: u64,
    /// All objects that a collection would free: unreachable ones and what only they hold.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Why they were still there.
    pub why: Vec<WhyUncollected>,
}

/// Cycles of one shape, together.
#[derive(Clone, Debug)]
pub struct CycleGroup {
    /// Its references: types and labels, sorted.
    pub edges: Vec<ShapeEdge>,
    /// The cycles' types with how many objects of each, most first.
    pub types: Vec<(String, u64)>,
    /// How many cycles.
    pub cycles: u64,
    /// Objects in them.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Objects in no cycle that only these cycles keep.
    pub kept_objects: u64,
    /// Bytes of those.
    pub kept_bytes: u64,
    /// Objects of the largest cycle.
    pub largest: u64,
    /// Objects in the cycles with a finalizer that has not run yet.
    pub finalizers: u64,
    /// Objects that the collector would move to `gc.garbage` instead of freeing them.
    pub uncollectable: u64,
    /// Objects that a finalizer may bring back.
    pub resurrectable: u64,
    /// Objects in each generation: 0, 1, 2, and on no list.
    pub generations: [u64; 4],
    /// A shortest cycle of the first example, step by step.
    pub example: Vec<CycleStep>,
    /// Objects of that cycle beyond the steps given.
    pub example_left_out: u64,
    /// The lowest object of the first few cycles.
    pub examples: Vec<ObjectId>,
}

impl CycleGroup {
    /// Bytes that freeing the group frees, shared objects not counted.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.kept_bytes)
    }
}

/// Who keeps an object of the garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Nobody,
    Group(u32),
    Several,
}

/// Groups what `garbage` found.
pub fn cycles(heap: Heap<'_, '_>, garbage: &Collection) -> Cycles {
    let mut all = garbage.unreachable.clone();
    all.union_with(&garbage.held);
    let mut answer = Cycles { why: garbage.why.clone(), ..Cycles::default() };
    if all.is_empty() {
        return answer;
    }
    let graph = &heap.graph.forward;
    let counted = |kind| matches!(kind, EdgeKind::Visited | EdgeKind::Owned);
    let components = components_within(graph, &all, counted);
    let members = components.groups();
    let of_component = |component: u32| members.of(component);
    let cyclic: Vec<u32> =
        (0..components.count() as u32).filter(|&component| is_cycle(heap, of_component(component))).collect();
    let group_of = group_by_shape(heap, &components, &cyclic, &of_component, &mut answer);
    apportion(heap, &components, &of_component, &group_of, &mut answer);
    mark(garbage, &components, &group_of, &mut answer);
    order(&mut answer);
    answer.objects = all.len() as u64;
    answer.bytes = all.iter().map(|node| heap.objects.shallow(ObjectId(node))).sum();
    answer
}

/// Several objects that reach each other, or one that refers to itself.
fn is_cycle(heap: Heap<'_, '_>, members: &[u32]) -> bool {
    match *members {
        [] => false,
        [node] => {
            heap.graph.forward.of(node).iter().any(|edge| edge.target() == node && keeps_alive(edge.kind()))
        }
        _ => true,
    }
}

/// Makes a group of all cycles of one shape and returns each cycle's group.
fn group_by_shape<'m>(
    heap: Heap<'_, '_>,
    components: &Components,
    cyclic: &[u32],
    members: &(impl Fn(u32) -> &'m [u32] + Sync),
    answer: &mut Cycles,
) -> FxHashMap<u32, u32> {
    let shapes: Vec<RawShape> = cyclic
        .par_chunks(256)
        .flat_map_iter(|chunk| {
            let mut labels = Labels::new(heap);
            chunk
                .iter()
                .map(|&component| raw_shape(heap, &mut labels, components, component, members(component)))
                .collect::<Vec<_>>()
        })
        .collect();
    // Shapes that read the same are one: names may exist as several str objects.
    let mut raw_groups: FxHashMap<RawShape, u32> = FxHashMap::default();
    let mut by_text: FxHashMap<(usize, Vec<ShapeEdge>), u32> = FxHashMap::default();
    let mut group_of = FxHashMap::default();
    let mut types: Vec<FxHashMap<TypeId, u64>> = Vec::new();
    let mut labels = Labels::new(heap);
    // In order of address of the lowest object, so that examples are the lowest ones.
    let mut order: Vec<(&u32, RawShape)> = cyclic.iter().zip(shapes).collect();
    order.sort_by_key(|&(&component, _)| members(component).first().copied());
    for (&component, shape) in order {
        let group = *raw_groups.entry(shape).or_insert_with_key(|shape| {
            let edges = shape_edges(heap, shape);
            *by_text.entry((shape.objects, edges)).or_insert_with_key(|(_, edges)| {
                let (example, left_out) =
                    example_cycle(heap, &mut labels, components, component, members(component));
                answer.groups.push(CycleGroup::new(edges.clone(), example, left_out));
                types.push(FxHashMap::default());
                (answer.groups.len() - 1) as u32
            })
        });
        group_of.insert(component, group);
        let (Some(group), Some(types)) =
            (answer.groups.get_mut(group as usize), types.get_mut(group as usize))
        else {
            continue;
        };
        group.add(heap, members(component), types);
    }
    for (group, types) in answer.groups.iter_mut().zip(types) {
        group.types = types
            .into_iter()
            .map(|(id, count)| (super::python_name(&heap.runtime.types.get(id).name).to_owned(), count))
            .collect();
        group.types.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    }
    group_of
}

impl CycleGroup {
    fn new(edges: Vec<ShapeEdge>, example: Vec<CycleStep>, example_left_out: u64) -> Self {
        Self {
            edges,
            example,
            example_left_out,
            types: Vec::new(),
            cycles: 0,
            objects: 0,
            bytes: 0,
            kept_objects: 0,
            kept_bytes: 0,
            largest: 0,
            finalizers: 0,
            uncollectable: 0,
            resurrectable: 0,
            generations: [0; 4],
            examples: Vec::new(),
        }
    }

    /// Adds one cycle.
    fn add(&mut self, heap: Heap<'_, '_>, members: &[u32], types: &mut FxHashMap<TypeId, u64>) {
        self.cycles += 1;
        self.objects += members.len() as u64;
        self.largest = self.largest.max(members.len() as u64);
        if let (true, Some(&first)) = (self.examples.len() < EXAMPLES, members.first()) {
            self.examples.push(ObjectId(first));
        }
        for id in members.iter().map(|&node| ObjectId(node)) {
            let flags = heap.objects.flags(id);
            self.bytes += heap.objects.shallow(id);
            *types.entry(heap.objects.type_id(id)).or_default() += 1;
            self.finalizers += u64::from(heap.type_of(id).has_finalizer && !flags.is_finalized());
            let place = match flags.generation() {
                Some(Generation::Young) => 0,
                Some(Generation::Middle) => 1,
                Some(Generation::Old | Generation::Permanent) => 2,
                Some(Generation::Detached) | None => 3,
            };
            if let Some(count) = self.generations.get_mut(place) {
                *count += 1;
            }
        }
    }
}

/// Gives what is in no cycle to the group that reaches it.
fn apportion<'m>(
    heap: Heap<'_, '_>,
    components: &Components,
    members: &impl Fn(u32) -> &'m [u32],
    group_of: &FxHashMap<u32, u32>,
    answer: &mut Cycles,
) {
    let keepers = keepers(&heap.graph.forward, components, members, group_of);
    for (component, keeper) in (0..).zip(keepers) {
        if !group_of.contains_key(&component) {
            for &node in members(component) {
                answer.keep(keeper, heap.objects.shallow(ObjectId(node)));
            }
        }
    }
}

/// Who keeps each component; a cycle is kept by its own group. Components are numbered so that edges lead to lower ones,
/// so whoever holds one has been decided before it.
fn keepers<'m>(
    graph: &Adjacency,
    components: &Components,
    members: &impl Fn(u32) -> &'m [u32],
    group_of: &FxHashMap<u32, u32>,
) -> Vec<Keeper> {
    let mut keepers = vec![Keeper::Nobody; components.count()];
    for (&component, &group) in group_of {
        if let Some(keeper) = keepers.get_mut(component as usize) {
            *keeper = Keeper::Group(group);
        }
    }
    for component in (0..components.count() as u32).rev() {
        let keeper = keepers.get(component as usize).copied().unwrap_or(Keeper::Nobody);
        for edge in members(component).iter().flat_map(|&node| graph.of(node)) {
            let target = components.of(edge.target()).filter(|target| !group_of.contains_key(target));
            if let (true, Some(target)) = (keeps_alive(edge.kind()), target)
                && target != component
                && let Some(kept) = keepers.get_mut(target as usize)
            {
                *kept = match *kept {
                    Keeper::Nobody => keeper,
                    same if same == keeper => same,
                    other if keeper == Keeper::Nobody => other,
                    _ => Keeper::Several,
                };
            }
        }
    }
    keepers
}

impl Cycles {
    fn keep(&mut self, keeper: Keeper, bytes: u64) {
        match keeper {
            Keeper::Group(group) => {
                if let Some(group) = self.groups.get_mut(group as usize) {
                    group.kept_objects += 1;
                    group.kept_bytes += bytes;
                }
            }
            Keeper::Several | Keeper::Nobody => {
                self.shared_objects += 1;
                self.shared_bytes += bytes;
            }
        }
    }
}

/// Counts what finalizers keep in each group.
fn mark(garbage: &Collection, components: &Components, group_of: &FxHashMap<u32, u32>, answer: &mut Cycles) {
    let mut count = |set: &NodeSet, add: fn(&mut CycleGroup)| {
        for node in set.iter() {
            let group = components.of(node).and_then(|component| group_of.get(&component));
            if let Some(group) = group.and_then(|&group| answer.groups.get_mut(group as usize)) {
                add(group);
            }
        }
    };
    count(&garbage.uncollectable, |group| group.uncollectable += 1);
    count(&garbage.resurrectable, |group| group.resurrectable += 1);
}

/// Largest first; equal ones by shape.
fn order(answer: &mut Cycles) {
    answer.groups.sort_by(|a, b| {
        let size = |group: &CycleGroup| (Reverse(group.total_bytes()), Reverse(group.objects));
        size(a).cmp(&size(b)).then_with(|| a.edges.cmp(&b.edges))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;

    #[test]
    fn what_is_in_no_cycle_belongs_to_the_group_that_reaches_it() {
        // 0⇄1 and 2→2 are cycles. 0 keeps 3, which keeps 4; both cycles keep 5, which keeps 6; 1 refers weakly to 7,
        // which only 2 keeps; 8 is kept by nothing.
        let edges: [(u32, u32, EdgeKind); 10] = [
            (0, 1, EdgeKind::Visited),
            (1, 0, EdgeKind::Visited),
            (2, 2, EdgeKind::Visited),
            (0, 3, EdgeKind::Visited),
            (3, 4, EdgeKind::Owned),
            (1, 5, EdgeKind::Visited),
            (2, 5, EdgeKind::Visited),
            (5, 6, EdgeKind::Visited),
            (1, 7, EdgeKind::Weak),
            (2, 7, EdgeKind::Visited),
        ];
        let graph = Adjacency::build(9, |range, builder| {
            for node in range {
                for &(_, to, kind) in edges.iter().filter(|edge| edge.0 == node) {
                    builder.edge(Edge::new(to, kind));
                }
                builder.end_node();
            }
        });
        let components = components_within(&graph, &NodeSet::full(9), keeps_alive);
        let groups = components.groups();
        let component = |node| components.of(node).expect("all nodes take part");
        for (of_first, of_second) in [(0, 1), (1, 0), (0, 0)] {
            let group_of = FxHashMap::from_iter([(component(0), of_first), (component(2), of_second)]);
            let keepers = keepers(&graph, &components, &|component| groups.of(component), &group_of);
            let keeper = |node| keepers[component(node) as usize];
            assert_eq!([0, 1, 3, 4].map(keeper), [Keeper::Group(of_first); 4]);
            assert_eq!([2, 7].map(keeper), [Keeper::Group(of_second); 2]);
            let both = if of_first == of_second { Keeper::Group(of_first) } else { Keeper::Several };
            assert_eq!([5, 6].map(keeper), [both; 2]);
            assert_eq!(keeper(8), Keeper::Nobody);
        }
    }
}
