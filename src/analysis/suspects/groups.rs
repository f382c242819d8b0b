//! Classes whose instances hold much together although no single object holds them: where their paths meet.
//!
//! Knows dominance and best paths; refuses to look at what a suspect explains already.

use super::finding::{Evidence, Remedy, Suspect, SuspectKind};
use super::nested::owners;
use super::{Suspects, rules};
use crate::analysis::share::share;
use crate::analysis::{Heap, Holders, Retention, python_name};
use crate::cpython::TypeId;
use crate::graph::NodeSet;
use crate::heap::ObjectId;
use rustc_hash::FxHashSet;

/// Fewer instances are no group.
const MIN_INSTANCES: u64 = 100;
/// Classes that are looked at, most bytes first.
const MAX_GROUPS: usize = 8;
/// Paths meet at an object that at least so many of them pass, in basis points.
const MOST: u32 = 8000;
/// Paths that are followed to find where most of them meet.
const SAMPLES: usize = 9;
/// Instances of which it is asked whether a suspect explains them.
const ASKED: usize = 500;
/// Longest path that is followed.
const MAX_WAY: usize = 10_000;

/// A class whose instances retain much that no suspect explains.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    type_id: TypeId,
    instances: u64,
    bytes: u64,
}

/// A class and where the paths to its instances meet.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    candidate: Candidate,
    /// The object that most paths pass, as far down as possible.
    pub meeting: u32,
}

/// Classes made by class statements whose instances, outermost ones only, retain enough; `points` are about to become
/// suspects.
pub fn candidates(
    heap: Heap<'_, '_>,
    retention: &Retention,
    suspects: &Suspects,
    points: &[u32],
) -> Vec<Candidate> {
    let tree = retention.tree();
    let types = heap.objects.types_column();
    let by_class: Vec<bool> = heap.runtime.types.iter().map(|(_, info)| info.by_class_statement).collect();
    let mut totals = vec![(0u64, 0u64); by_class.len()];
    let instances = (0u32..).zip(types).filter(|(_, id)| by_class.get(id.0 as usize) == Some(&true));
    for (node, &type_id) in instances {
        // An instance held by one of the same class is counted with that: directly here, at any distance below.
        let above = tree.idom(node).and_then(|above| types.get(above as usize));
        if let Some(total) = totals.get_mut(type_id.0 as usize).filter(|_| above != Some(&type_id)) {
            total.0 += 1;
            total.1 = total.1.saturating_add(retention.of(node));
        }
    }
    let known: FxHashSet<u32> = suspects
        .list
        .iter()
        .filter_map(|suspect| Some(suspect.object?.0))
        .chain(points.iter().copied())
        .collect();
    let is_large = |instances: u64, bytes: u64| {
        instances >= MIN_INSTANCES && suspects.thresholds.other.is_reached(bytes, suspects.heap_bytes)
    };
    let all = heap.runtime.types.iter().zip(totals);
    let mut large: Vec<(u64, TypeId)> = all
        .filter(|&(_, (instances, bytes))| is_large(instances, bytes))
        .map(|((type_id, _), (_, bytes))| (bytes, type_id))
        .collect();
    large.retain(|&(_, type_id)| !is_explained(heap, retention, &known, type_id));
    if large.is_empty() {
        return Vec::new();
    }
    large.sort_by_key(|&(bytes, type_id)| (std::cmp::Reverse(bytes), type_id));
    large.truncate(MAX_GROUPS);
    let objects: Vec<Option<u32>> = known.iter().map(|&node| Some(node)).collect();
    let explained = owners(retention, &objects);
    let is_free = |node: u32| explained.get(node as usize) == Some(&u32::MAX);
    let exact = large.into_iter().map(|(_, type_id)| outermost(heap, retention, type_id, &is_free));
    let mut found: Vec<Candidate> = exact.filter(|found| is_large(found.instances, found.bytes)).collect();
    found.sort_by_key(|candidate| (std::cmp::Reverse(candidate.bytes), candidate.type_id));
    found
}

/// Whether suspects dominate nearly all of the instances of a type, as far as a few of them tell.
fn is_explained(heap: Heap<'_, '_>, retention: &Retention, known: &FxHashSet<u32>, type_id: TypeId) -> bool {
    let tree = retention.tree();
    let types = (0u32..).zip(heap.objects.types_column());
    let instances: Vec<u32> =
        types.filter(|&(node, &id)| id == type_id && tree.is_reachable(node)).map(|(node, _)| node).collect();
    let step = (instances.len() / ASKED).max(1);
    let asked = instances.iter().step_by(step);
    let known_above = |&&node: &&u32| {
        known.contains(&node) || tree.dominators(node).take(MAX_WAY).any(|above| known.contains(&above))
    };
    let count = asked.clone().count();
    asked.filter(known_above).count() * 10 >= count * 9
}

/// What instances of a type retain that no other instance of it dominates, among the nodes that are `free`.
fn outermost(
    heap: Heap<'_, '_>,
    retention: &Retention,
    type_id: TypeId,
    is_free: &dyn Fn(u32) -> bool,
) -> Candidate {
    let tree = retention.tree();
    let mut inside = NodeSet::new(tree.nodes());
    let mut found = Candidate { type_id, instances: 0, bytes: 0 };
    for &node in tree.order() {
        let is_inside = tree.idom(node).is_some_and(|above| inside.contains(above));
        let is_instance = heap.id(node).is_some_and(|id| heap.objects.type_id(id) == type_id);
        if is_inside || is_instance {
            inside.insert(node);
        }
        if is_instance && !is_inside && is_free(node) {
            found.instances += 1;
            found.bytes = found.bytes.saturating_add(retention.of(node));
        }
    }
    found
}

/// Where the paths to each candidate's instances meet, unless that is at a suspect or below one.
pub fn meeting(
    heap: Heap<'_, '_>,
    holders: &Holders,
    suspects: &Suspects,
    candidates: Vec<Candidate>,
) -> Vec<Group> {
    let is_known =
        |node: u32| suspects.list.iter().any(|suspect| suspect.object.map(|id| id.0) == Some(node));
    let mut found = Vec::new();
    for candidate in candidates {
        if let Some(meeting) = meeting_point(heap, holders, candidate.type_id)
            && !way_up(holders, meeting).any(is_known)
        {
            found.push(Group { candidate, meeting });
        }
    }
    found
}

fn way_up(holders: &Holders, node: u32) -> impl Iterator<Item = u32> + '_ {
    std::iter::successors(Some(node), |&node| holders.parent(node)).take(MAX_WAY)
}

/// The object farthest from the roots that most of the paths to instances of a type pass.
fn meeting_point(heap: Heap<'_, '_>, holders: &Holders, type_id: TypeId) -> Option<u32> {
    let of_type = |id: &ObjectId| heap.objects.type_id(*id) == type_id && holders.is_reachable(id.0);
    let instances: Vec<u32> = heap.objects.ids().filter(of_type).map(|id| id.0).collect();
    let mut passing = vec![0u32; heap.objects.len()];
    for &instance in &instances {
        for node in way_up(holders, instance) {
            if let Some(count) = passing.get_mut(node as usize) {
                *count = count.saturating_add(1);
            }
        }
    }
    let is_most = |node: u32| {
        let count = passing.get(node as usize).copied().unwrap_or(0);
        share(u64::from(count), instances.len() as u64) >= MOST
    };
    // Most paths pass the point, so that of one of a few instances does.
    let step = (instances.len() / SAMPLES).max(1);
    let mut samples = instances.iter().step_by(step).take(SAMPLES);
    samples.find_map(|&instance| way_up(holders, instance).skip(1).find(|&node| is_most(node)))
}

impl Group {
    /// The group as a suspect at `path`.
    pub fn suspect(
        self,
        heap: Heap<'_, '_>,
        retention: &Retention,
        path: String,
        heap_bytes: u64,
    ) -> Suspect {
        let Candidate { type_id, instances, bytes } = self.candidate;
        let object = heap.id(self.meeting);
        Suspect {
            kind: SuspectKind::Instances,
            path,
            object,
            type_name: python_name(&heap.runtime.types.get(type_id).name).to_owned(),
            evidence: Evidence::Instances(instances),
            objects: instances,
            bytes,
            retained: object.map(|id| retention.bytes(id)),
            share: share(bytes, heap_bytes),
            confidence: rules::confidence(SuspectKind::Instances, bytes, heap_bytes, false),
            remedy: Remedy::InspectInstances,
            mostly: None,
            inside: Vec::new(),
        }
    }
}
