//! Suspects within suspects, and what most of each consists of.
//!
//! Knows dominance; refuses to name anything new. What lies inside something larger is told once: either the outer one
//! is little more than the inner ones, then these remain, or they are part of what the outer one tells.

use super::{Mostly, Suspect, SuspectKind, Suspects};
use crate::analysis::{Heap, Retention, python_name};
use crate::cpython::TypeId;
use crate::graph::NodeSet;
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Most steps up the dominator tree.
const MAX_WAY: usize = 10_000;
/// No suspect.
const NOBODY: u32 = u32::MAX;

/// Leaves one of every two suspects of which one would be freed with the other.
pub fn fold(retention: &Retention, suspects: &mut Suspects) {
    let list = &mut suspects.list;
    let above = nearest_above(retention, list);
    let mut inside = vec![0u64; list.len()];
    for (suspect, above) in list.iter().zip(&above) {
        if let Some(sum) = above.and_then(|above| inside.get_mut(above)) {
            *sum = sum.saturating_add(suspect.kept());
        }
    }
    let explained: Vec<bool> = list
        .iter()
        .zip(&inside)
        .map(|(suspect, &inside)| is_vague(suspect.kind) && inside.saturating_mul(2) >= suspect.kept())
        .collect();
    let mut folded: Vec<(usize, usize)> = Vec::new();
    for index in 0..list.len() {
        // The nearest one above that stays.
        let mut outer = above.get(index).copied().flatten();
        while let Some(next) = outer.filter(|&next| explained.get(next) == Some(&true)) {
            outer = above.get(next).copied().flatten();
        }
        if let (Some(outer), Some(false)) = (outer, explained.get(index)) {
            folded.push((index, outer));
        }
    }
    let mut gone = explained;
    for &(index, outer) in &folded {
        let path = list.get(index).map(|suspect| suspect.path.clone());
        if let (Some(outer), Some(path)) = (list.get_mut(outer), path) {
            outer.inside.push(path);
        }
        if let Some(gone) = gone.get_mut(index) {
            *gone = true;
        }
    }
    let mut gone = gone.into_iter();
    list.retain(|_| gone.next() != Some(true));
}

/// Whether a kind says little more than that something is large.
fn is_vague(kind: SuspectKind) -> bool {
    matches!(
        kind,
        SuspectKind::Owner
            | SuspectKind::ThreadOwned
            | SuspectKind::Container
            | SuspectKind::BoundedContainer
            | SuspectKind::Instances
    )
}

/// For every suspect the nearest one that dominates it, by their places in the list.
fn nearest_above(retention: &Retention, list: &[Suspect]) -> Vec<Option<usize>> {
    let places: FxHashMap<u32, usize> =
        list.iter().enumerate().filter_map(|(index, suspect)| Some((suspect.object?.0, index))).collect();
    let tree = retention.tree();
    let above = |suspect: &Suspect| {
        let mut dominators = tree.dominators(suspect.object?.0).take(MAX_WAY);
        dominators.find_map(|node| places.get(&node).copied())
    };
    list.iter().map(above).collect()
}

/// For every node the suspect that it would be freed with, by its place in the list of `objects`; `NOBODY` for most.
pub fn owners(retention: &Retention, objects: &[Option<u32>]) -> Vec<u32> {
    let tree = retention.tree();
    let known = NodeSet::from_nodes(tree.nodes(), objects.iter().copied().flatten());
    let places: FxHashMap<u32, u32> = objects
        .iter()
        .enumerate()
        .filter_map(|(index, &object)| Some((object?, u32::try_from(index).ok()?)))
        .collect();
    tree.nearest(NOBODY, |node| known.contains(node).then(|| places.get(&node).copied()).flatten())
}

/// Objects and their bytes, by suspect and type.
type Totals = FxHashMap<(u32, TypeId), (u64, u64)>;

fn merged(mut totals: Totals, others: Totals) -> Totals {
    for (key, (objects, bytes)) in others {
        let total = totals.entry(key).or_default();
        *total = (total.0 + objects, total.1.saturating_add(bytes));
    }
    totals
}

/// Says of every suspect of which type most of its bytes are, itself not counted. `retention` must be what the suspects were
/// measured with.
pub fn describe_contents(heap: Heap<'_, '_>, retention: &Retention, suspects: &mut Suspects) {
    let list = &mut suspects.list;
    let objects: Vec<Option<u32>> = list.iter().map(|suspect| suspect.object.map(|id| id.0)).collect();
    if objects.iter().all(Option::is_none) {
        return;
    }
    let owner = owners(retention, &objects);
    let rows = heap.objects.rows();
    let count = |mut totals: Totals, (node, &owner): (usize, &u32)| {
        let node = u32::try_from(node).ok().filter(|_| owner != NOBODY);
        let node = node.filter(|&node| objects.get(owner as usize).copied().flatten() != Some(node));
        if let Some(object) = node.and_then(|node| rows.get(ObjectId(node))) {
            let total = totals.entry((owner, object.type_id)).or_default();
            total.0 += 1;
            total.1 = total.1.saturating_add(object.shallow());
        }
        totals
    };
    let pieces = owner.par_iter().enumerate().with_min_len(1 << 18);
    let mut totals: Vec<Vec<(TypeId, (u64, u64))>> = vec![Vec::new(); list.len()];
    for ((owner, type_id), total) in pieces.fold(Totals::default, count).reduce(Totals::default, merged) {
        if let Some(totals) = totals.get_mut(owner as usize) {
            totals.push((type_id, total));
        }
    }
    for (suspect, totals) in list.iter_mut().zip(totals) {
        let most = totals.into_iter().max_by_key(|&(type_id, (_, bytes))| (bytes, type_id));
        suspect.mostly = most.map(|(type_id, (objects, bytes))| Mostly {
            type_name: python_name(&heap.runtime.types.get(type_id).name).to_owned(),
            objects,
            bytes,
        });
    }
}
