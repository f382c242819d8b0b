//! Which single reference, removed, frees most: the entry of a module, the attribute, the item, the local variable without
//! which everything below is garbage.
//!
//! Knows references on which all that they lead to depends; refuses to judge whether it is needed. Of references one
//! behind the other that free nearly the same, the one is told at which what is held spreads out. References to what is the
//! program's structure (modules, classes, functions) are left out: they hold everything and explain nothing.

use super::labels::{Labels, leads_to_namespace};
use super::share::{Least, share};
use super::suspects::is_structure;
use super::{Heap, PathWriter, Reached, Retention, Root, Roots, keeps_alive};
use crate::cpython::{RootKind, Slot, WalkKind, roots};
use crate::graph::{Nesting, NodeSet, SoleEdges, sole_edges};
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// What frees less, of all that is alive, is no cut.
const LEAST: Least = Least { bytes: 1024, share: 10 };
/// A cut that frees so much of what the one above it does belongs with it, in basis points.
const SAME_SHARE: u32 = 8000;
/// One below a cut that is told is told too if it frees so much of it, in basis points.
const PART_SHARE: u32 = 1000;

/// No node.
const NONE: u32 = u32::MAX;

/// Where a reference stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutPlace {
    /// A name of a module.
    Module,
    /// An attribute of an instance or class.
    Attribute,
    /// An item of a container: by index, by key, or an element.
    Item,
    /// A variable of a running function.
    Local,
    /// Elsewhere: a member of a C struct, a closure's cell, a cache.
    Internal,
}

/// One reference that frees much.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Its name as Python would write it.
    pub path: String,
    /// Where it stands.
    pub place: CutPlace,
    /// Who has the reference; none for variables of a running function.
    pub holder: Option<ObjectId>,
    /// Type of the holder.
    pub holder_type: String,
    /// What it refers to.
    pub object: ObjectId,
    /// Type of that.
    pub type_name: String,
    /// Bytes that go with it.
    pub freed_bytes: u64,
    /// Objects that go with it.
    pub freed_objects: u64,
    /// References to the object that its count has and no known object: while C code holds these, nothing is freed.
    pub unknown_references: u64,
}

/// The best cuts.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Bytes of all that is alive.
    pub live_bytes: u64,
    /// Cuts there are above the thresholds.
    pub total: u64,
    /// Those that free most, first.
    pub list: Vec<Cut>,
}

/// Ranks single references by what would be freed without them, exactly as far as known references go.
pub fn best_cuts(heap: Heap<'_, '_>, reached: Reached<'_>, limit: usize) -> Cuts {
    let Reached { roots, retention, .. } = reached;
    let tree = retention.tree();
    let live_bytes = tree.top().fold(0u64, |sum, node| sum.saturating_add(retention.of(node)));
    let nesting = tree.nesting();
    let large = NodeSet::passing(tree.nodes(), |node| LEAST.is_reached(retention.of(node), live_bytes));
    let sole = sole_edges(&heap.graph.forward, &roots.set, tree, &nesting, &large, keeps_alive);
    let locals = sole_locals(heap, roots, &sole);
    let namespaces = namespaces(heap, retention, &large);
    let is_cut = |node: u32| {
        (sole.one.contains(node) || locals.contains(node))
            && !namespaces.contains(node)
            && !is_structure(heap, roots, tree, node)
            && !is_part_of_code(heap, retention, node)
    };
    let cuts = NodeSet::passing(tree.nodes(), is_cut);
    let chosen = chosen(retention, &nesting, &cuts, &namespaces);
    let list = match chosen.is_empty() {
        true => Vec::new(),
        false => {
            let mut namer = Namer { heap, reached, nesting: &nesting, writer: PathWriter::new(heap) };
            chosen.iter().take(limit).filter_map(|&node| namer.cut(node)).collect()
        }
    };
    Cuts { live_bytes, total: chosen.len() as u64, list }
}

/// Whether a node is a function, which holds its code, or what a class, module or code object itself has below it, which no
/// statement can take away.
fn is_part_of_code(heap: Heap<'_, '_>, retention: &Retention, node: u32) -> bool {
    if heap.id(node).is_some_and(|id| heap.type_name(id) == "function") {
        return true;
    }
    let above = retention.tree().idom(node).and_then(|above| heap.id(above));
    above.is_some_and(|above| {
        matches!(heap.type_of(above).walk.kind, WalkKind::Type | WalkKind::Module | WalkKind::Code)
    })
}

/// Those of the nodes `among` that are `__dict__` of what dominates them. They are no cuts of their own: the object is.
fn namespaces(heap: Heap<'_, '_>, retention: &Retention, among: &NodeSet) -> NodeSet {
    let mut labels = Labels::new(heap);
    let mut is_namespace = |node: u32| {
        let (Some(dict), Some(owner)) =
            (heap.id(node), retention.tree().idom(node).and_then(|owner| heap.id(owner)))
        else {
            return false;
        };
        let kind = |id| heap.type_of(id).walk.kind;
        // What containers hold are no namespaces, and to look through a large one for each item would take long.
        kind(dict) == WalkKind::Dict
            && !matches!(kind(owner), WalkKind::Dict | WalkKind::List | WalkKind::Tuple | WalkKind::Set)
            && labels.is_namespace(owner, dict)
    };
    NodeSet::from_nodes(among.capacity(), among.iter().filter(|&node| is_namespace(node)))
}

/// The roots that nothing holds but one variable of a running function.
fn sole_locals(heap: Heap<'_, '_>, found: &Roots, sole: &SoleEdges) -> NodeSet {
    let mut references: FxHashMap<u32, u32> = FxHashMap::default();
    roots(heap.runtime, &mut |reference| {
        if let Some(id) = heap.objects.find(reference.target)
            && sole.none.contains(id.0)
        {
            *references.entry(id.0).or_default() += 1;
        }
    });
    let is_local = |node: u32| {
        let local = matches!(
            found.origin(node),
            Some(Root::Reference(root)) if root.kind == RootKind::Frame && matches!(root.slot, Some(Slot::Local { .. }))
        );
        let immortal = heap.id(node).is_some_and(|id| heap.objects.flags(id).is_immortal());
        local && !immortal && references.get(&node) == Some(&1)
    };
    NodeSet::from_nodes(heap.objects.len(), sole.none.iter().filter(|&node| is_local(node)))
}

/// Of cuts one below the other that free nearly the same, the one with the largest drop below it; of these, the ones that
/// are no small part of another. The largest first.
fn chosen(retention: &Retention, nesting: &Nesting, cuts: &NodeSet, namespaces: &NodeSet) -> Vec<u32> {
    let of = |node: u32| retention.of(node);
    // What a namespace holds its owner holds.
    let below = |child: u32| match namespaces.contains(child) {
        true => nesting.children(child).map(of).max().unwrap_or(0),
        false => of(child),
    };
    let tree = retention.tree();
    let nearest = tree.nearest(NONE, |node| cuts.contains(node).then_some(node));
    let nearest_above = |node: u32| tree.idom(node).and_then(|above| nearest.get(above as usize).copied());
    let mut order: Vec<u32> = cuts.iter().collect();
    order.sort_by_key(|&node| (Reverse(of(node)), nesting.place(node)));
    let mut chains: Vec<(u32, u64)> = Vec::new();
    let mut chain_of: FxHashMap<u32, usize> = FxHashMap::default();
    for node in order {
        let heaviest = nesting.children(node).map(below).max().unwrap_or(0);
        let drop = of(node).saturating_sub(heaviest);
        let above = nearest_above(node).unwrap_or(NONE);
        let same = share(of(node), of(above)) >= SAME_SHARE;
        let chain = match chain_of.get(&above) {
            Some(&chain) if same => chain,
            _ => {
                chains.push((node, drop));
                chains.len() - 1
            }
        };
        chain_of.insert(node, chain);
        if let Some(best) = chains.get_mut(chain).filter(|best| best.1 < drop) {
            *best = (node, drop);
        }
    }
    let mut best: Vec<u32> = chains.into_iter().map(|(node, _)| node).collect();
    best.sort_by_key(|&node| (Reverse(of(node)), nesting.place(node)));
    let mut told: Vec<u32> = Vec::new();
    for node in best {
        let small = |&above: &u32| nesting.contains(above, node) && share(of(node), of(above)) < PART_SHARE;
        if !told.iter().any(small) {
            told.push(node);
        }
    }
    told
}

/// Tells of a cut what a reader wants to know.
struct Namer<'n, 'h, 'core> {
    heap: Heap<'h, 'core>,
    reached: Reached<'n>,
    nesting: &'n Nesting,
    writer: PathWriter<'h, 'core>,
}

impl Namer<'_, '_, '_> {
    fn cut(&mut self, node: u32) -> Option<Cut> {
        let object = self.heap.id(node)?;
        let steps = self.reached.holders.path_to(node)?;
        let holder = self.reached.retention.tree().idom(node).and_then(|holder| self.heap.id(holder));
        Some(Cut {
            path: self.writer.name(&steps, self.reached.roots),
            place: holder.map_or(CutPlace::Local, |holder| self.place(holder, object, &steps)),
            holder,
            holder_type: holder.map_or("frame", |holder| self.heap.type_name(holder)).to_owned(),
            object,
            type_name: self.heap.type_name(object).to_owned(),
            freed_bytes: self.reached.retention.of(node),
            freed_objects: u64::from(self.nesting.size(node)),
            unknown_references: self.unknown_references(object),
        })
    }

    fn place(&mut self, holder: ObjectId, object: ObjectId, steps: &[u32]) -> CutPlace {
        let Some((_, slot)) = self.writer.labels().best(holder, object) else { return CutPlace::Internal };
        match slot {
            Slot::Attribute(_) | Slot::SlotMember(_) | Slot::InstanceDict => CutPlace::Attribute,
            Slot::Value(_) => self.place_in_dict(holder, steps),
            Slot::Index(_) | Slot::Element | Slot::Key => CutPlace::Item,
            Slot::Local { .. } => CutPlace::Local,
            _ => CutPlace::Internal,
        }
    }

    /// Whether the dict that the path passes before its end is a module's, an instance's or a class' namespace.
    fn place_in_dict(&mut self, dict: ObjectId, steps: &[u32]) -> CutPlace {
        let above = steps.iter().rev().skip_while(|&&node| node != dict.0).nth(1);
        let Some(owner) = above.and_then(|&node| self.heap.id(node)) else { return CutPlace::Item };
        match self.writer.labels().best(owner, dict) {
            Some((_, slot)) if leads_to_namespace(slot) => match self.heap.type_of(owner).walk.kind {
                WalkKind::Module => CutPlace::Module,
                _ => CutPlace::Attribute,
            },
            Some((_, Slot::Field("func_globals"))) => CutPlace::Module,
            _ => CutPlace::Item,
        }
    }

    /// How much the object's count has beyond the one reference and those of what goes with it.
    fn unknown_references(&self, object: ObjectId) -> u64 {
        let graph = &self.heap.graph.forward;
        let edges = self.nesting.below(object.0).iter().flat_map(|&node| graph.of(node));
        let own = edges.filter(|edge| edge.target() == object.0 && keeps_alive(edge.kind())).count() as u64;
        self.heap.refcount(object).unwrap_or(0).saturating_sub(own.saturating_add(1))
    }
}
