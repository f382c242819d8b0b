//! How the roots reach an object, and how they reach many.
//!
//! Knows several best paths to one object, and all best paths to many merged by type and label; refuses to know how a
//! path is drawn.

use super::labels::{LabelShape, Labels, label_text, leads_to_namespace};
use super::python_path::PathWriter;
use super::roots::Roots;
use super::{Heap, Holders, keeps_alive};
use crate::cpython::{Slot, TypeId};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// One path, from a root to the object asked about.
#[derive(Clone, Debug)]
pub struct HolderPath {
    /// The path as one name.
    pub name: String,
    /// What holds the first object.
    pub root: String,
    /// The objects, the root's first.
    pub steps: Vec<PathStep>,
}

/// One object of a path.
#[derive(Clone, Debug)]
pub struct PathStep {
    /// The object.
    pub object: ObjectId,
    /// Where the object before holds it; empty for the first.
    pub label: String,
    /// What that reference is; visited for the first.
    pub kind: EdgeKind,
}

/// Up to `count` paths to `target`, best first, each through another direct referrer. None when no root reaches it.
///
/// `known` are the best paths to every object, if they have been searched for. Those to referrers that lead through the target
/// itself say nothing; where there are such, or nothing is known, the heap is searched for ways around it.
pub fn paths(
    heap: Heap<'_, '_>,
    roots: &Roots,
    known: Option<&Holders>,
    target: ObjectId,
    count: usize,
) -> Vec<HolderPath> {
    let referrers = direct_referrers(heap, target.0);
    let leads_around = |holders: &&Holders| {
        let others = referrers.iter().filter(|&&referrer| referrer != target.0);
        !others.filter_map(|&referrer| holders.path_to(referrer)).any(|path| path.contains(&target.0))
    };
    let searched;
    let holders = match known.filter(leads_around) {
        Some(known) => known,
        None => {
            searched = Holders::search(heap, roots, Some(target.0));
            &searched
        }
    };
    let mut found: Vec<Vec<u32>> = Vec::new();
    if roots.set.contains(target.0) {
        found.push(vec![target.0]);
    }
    for referrer in referrers {
        if referrer != target.0
            && let Some(mut path) = holders.path_to(referrer)
        {
            path.push(target.0);
            found.push(path);
        }
    }
    let best = holders.path_to(target.0);
    // The search's own choice comes first: it weighs steps too.
    found.sort_by_cached_key(|path| {
        let delay = path.first().map_or(0, |&root| roots.delay(root));
        (Some(path) != best.as_ref(), delay + path.len(), path.iter().rev().nth(1).copied())
    });
    found.truncate(count);
    let mut writer = PathWriter::new(heap);
    found.iter().map(|path| described(heap, roots, &mut writer, path)).collect()
}

/// Objects with a reference to `target` that keeps it alive, ascending.
fn direct_referrers(heap: Heap<'_, '_>, target: u32) -> Vec<u32> {
    use rayon::prelude::*;
    let holds = |edge: &crate::graph::Edge| edge.target() == target && keeps_alive(edge.kind());
    let parts = heap.graph.forward.par_blocks().map(|block| {
        block.iter().filter(|(_, edges)| edges.iter().any(holds)).map(|(node, _)| node).collect::<Vec<u32>>()
    });
    parts.collect::<Vec<_>>().concat()
}

fn described(heap: Heap<'_, '_>, roots: &Roots, writer: &mut PathWriter<'_, '_>, path: &[u32]) -> HolderPath {
    let name = writer.name(path, roots);
    let root = path.first().map_or_else(String::new, |&first| writer.root_name(first, roots));
    let mut steps = Vec::with_capacity(path.len());
    let mut before = None;
    for object in path.iter().filter_map(|&node| heap.id(node)) {
        let label = before.and_then(|before| writer.labels().best(before, object));
        let (kind, label) = label.map_or((EdgeKind::Visited, String::new()), |(kind, slot)| {
            (kind, label_text(heap.runtime, slot))
        });
        steps.push(PathStep { object, label, kind });
        before = Some(object);
    }
    HolderPath { name, root, steps }
}

/// Best paths to many objects, merged where types and labels are the same.
#[derive(Clone, Debug, Default)]
pub struct MergedPaths {
    /// All steps in preorder, siblings by targets.
    pub steps: Vec<MergedStep>,
    /// Objects asked about that a root reaches.
    pub reached: u64,
    /// Those that none reaches: garbage.
    pub unreached: u64,
}

/// One step of merged paths: objects of one type, held in the same way by those of the step above.
#[derive(Clone, Debug)]
pub struct MergedStep {
    /// 0 for roots.
    pub depth: u32,
    /// What holds a root, or where the objects above hold these: exact when it is one object.
    pub label: String,
    /// Type of the objects.
    pub type_name: String,
    /// How many objects.
    pub objects: u64,
    /// One of them: the first met.
    pub example: ObjectId,
    /// Objects asked about on or behind this step.
    pub targets: u64,
    /// Of these, the ones behind steps that are left out below this one.
    pub targets_left_out: u64,
    /// Objects of this step hold others of this step, as the nodes of a linked list do.
    pub repeats: bool,
}

/// How much of merged paths is kept.
#[derive(Clone, Copy, Debug)]
pub struct PathsLimits {
    /// Steps below one step.
    pub breadth: usize,
    /// Steps from a root.
    pub depth: u32,
    /// Steps in all.
    pub steps: usize,
}

impl Default for PathsLimits {
    fn default() -> Self {
        Self { breadth: 4, depth: 24, steps: 60 }
    }
}

/// No place.
const NONE: u32 = u32::MAX;

/// What tells the steps below one step apart.
type StepKey = (u32, TypeId, StepLabel);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum StepLabel {
    Root(u32),
    Shape(LabelShape),
}

/// A step while paths are merged.
struct Draft {
    parent: u32,
    key: (TypeId, StepLabel),
    slot: Option<Slot>,
    first: u32,
    objects: u64,
    targets: u64,
    namespace: bool,
    repeats: bool,
}

/// Merges the best paths to all of `targets`.
pub fn merged_paths(
    heap: Heap<'_, '_>,
    roots: &Roots,
    holders: &Holders,
    targets: &NodeSet,
    limits: PathsLimits,
) -> MergedPaths {
    let mut needed = NodeSet::new(heap.objects.len());
    let mut starts = Vec::new();
    let mut reached = 0;
    for target in targets.iter().filter(|&target| holders.is_reachable(target)) {
        reached += 1;
        let mut next = Some(target);
        while let Some(node) = next.filter(|&node| needed.insert(node)) {
            next = holders.parent(node);
            if next.is_none() {
                starts.push(node);
            }
        }
    }
    starts.sort_unstable();
    let mut merge =
        Merge { heap, labels: Labels::new(heap), drafts: Vec::new(), places: FxHashMap::default() };
    merge.run(holders, &needed, targets, &starts);
    let drafts = merge.finish();
    let steps = Layout { heap, roots, limits, drafts: &drafts, writer: PathWriter::new(heap) }.steps();
    MergedPaths { steps, reached, unreached: targets.len() as u64 - reached }
}

struct Merge<'h, 'core> {
    heap: Heap<'h, 'core>,
    labels: Labels<'h, 'core>,
    drafts: Vec<Draft>,
    places: FxHashMap<StepKey, u32>,
}

impl Merge<'_, '_> {
    /// Goes down from the roots through the needed objects, reading each holder's labels once.
    fn run(&mut self, holders: &Holders, needed: &NodeSet, targets: &NodeSet, starts: &[u32]) {
        let mut placed = NodeSet::new(self.heap.objects.len());
        let mut queue: std::collections::VecDeque<(u32, u32)> =
            starts.iter().map(|&root| (root, self.place(NONE, root, StepLabel::Root(root), None))).collect();
        let mut found: Vec<(u32, Slot, (u8, u8))> = Vec::new();
        while let Some((node, place)) = queue.pop_front() {
            if targets.contains(node)
                && let Some(draft) = self.drafts.get_mut(place as usize)
            {
                draft.targets += 1;
            }
            let Some(id) = self.heap.id(node) else { continue };
            found.clear();
            self.labels.each(id, &mut |target, kind, slot| {
                if needed.contains(target.0) && holders.parent(target.0) == Some(node) && keeps_alive(kind) {
                    found.push((target.0, slot, super::labels::rank(kind, slot)));
                }
            });
            // The most telling label of each target first, so that it is the one that counts.
            found.sort_by_key(|&(target, _, rank)| (target, rank));
            let namespace = self.drafts.get(place as usize).is_some_and(|draft| draft.namespace);
            for &(target, slot, _) in found.iter().filter(|&&(target, ..)| placed.insert(target)) {
                let shape = if namespace { LabelShape::in_namespace(slot) } else { LabelShape::of(slot) };
                let below = self.place(place, target, StepLabel::Shape(shape), Some(slot));
                queue.push_back((target, below));
            }
        }
    }

    /// The place of an object below `parent`; a chain of like objects stays in one place.
    fn place(&mut self, parent: u32, node: u32, label: StepLabel, slot: Option<Slot>) -> u32 {
        let type_id = self.heap.objects.type_id(ObjectId(node));
        let key = (type_id, label);
        if let Some(draft) = self.drafts.get_mut(parent as usize)
            && draft.key == key
        {
            draft.objects += 1;
            draft.repeats = true;
            return parent;
        }
        let new = self.drafts.len() as u32;
        let place = *self.places.entry((parent, type_id, label)).or_insert(new);
        if place == new {
            let namespace = slot.is_some_and(leads_to_namespace);
            self.drafts.push(Draft {
                parent,
                key,
                slot,
                first: node,
                objects: 0,
                targets: 0,
                namespace,
                repeats: false,
            });
        }
        if let Some(draft) = self.drafts.get_mut(place as usize) {
            draft.objects += 1;
        }
        place
    }

    /// Adds the targets of each step to those above. A parent's place is always lower.
    fn finish(mut self) -> Vec<Draft> {
        for place in (0..self.drafts.len()).rev() {
            let Some(&Draft { parent, targets, .. }) = self.drafts.get(place) else { continue };
            if let Some(above) = self.drafts.get_mut(parent as usize) {
                above.targets += targets;
            }
        }
        self.drafts
    }
}

/// Puts the steps in order and cuts them to the limits.
struct Layout<'l, 'h, 'core> {
    heap: Heap<'h, 'core>,
    roots: &'l Roots,
    limits: PathsLimits,
    drafts: &'l [Draft],
    writer: PathWriter<'h, 'core>,
}

impl Layout<'_, '_, '_> {
    fn steps(mut self) -> Vec<MergedStep> {
        let mut below: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (place, draft) in self.drafts.iter().enumerate() {
            below.entry(draft.parent).or_default().push(place as u32);
        }
        for places in below.values_mut() {
            places.sort_by_key(|&place| {
                (self.drafts.get(place as usize).map_or(Reverse(0), |draft| Reverse(draft.targets)), place)
            });
        }
        let mut steps = Vec::new();
        let mut stack: Vec<(u32, u32)> =
            self.kept(&below, NONE).iter().rev().map(|&place| (place, 0)).collect();
        while let Some((place, depth)) = stack.pop() {
            let Some(draft) = self.drafts.get(place as usize) else { continue };
            if steps.len() >= self.limits.steps {
                break;
            }
            let children = if depth + 1 < self.limits.depth { self.kept(&below, place) } else { &[] };
            let shown: u64 =
                children.iter().filter_map(|&child| Some(self.drafts.get(child as usize)?.targets)).sum();
            let behind: u64 = below
                .get(&place)
                .into_iter()
                .flatten()
                .filter_map(|&child| Some(self.drafts.get(child as usize)?.targets))
                .sum();
            steps.push(MergedStep {
                depth,
                label: self.label(draft),
                type_name: super::python_name(&self.heap.runtime.types.get(draft.key.0).name).to_owned(),
                objects: draft.objects,
                example: ObjectId(draft.first),
                targets: draft.targets,
                targets_left_out: behind.saturating_sub(shown),
                repeats: draft.repeats,
            });
            stack.extend(children.iter().rev().map(|&child| (child, depth + 1)));
        }
        steps
    }

    /// The first steps below `place`.
    fn kept<'b>(&self, below: &'b FxHashMap<u32, Vec<u32>>, place: u32) -> &'b [u32] {
        let all = below.get(&place).map_or(&[][..], Vec::as_slice);
        all.get(..self.limits.breadth.min(all.len())).unwrap_or_default()
    }

    fn label(&mut self, draft: &Draft) -> String {
        match (draft.key.1, draft.slot) {
            (StepLabel::Root(node), _) => self.writer.root_name(node, self.roots),
            (StepLabel::Shape(LabelShape::Attribute(name)), _) => {
                LabelShape::Attribute(name).text(self.heap.runtime)
            }
            (StepLabel::Shape(_), Some(slot)) if draft.objects == 1 => label_text(self.heap.runtime, slot),
            (StepLabel::Shape(shape), _) => shape.text(self.heap.runtime),
        }
    }
}
