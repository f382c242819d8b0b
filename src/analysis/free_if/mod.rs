//! What would be freed if a reference, or every reference to some objects, went away: by reference counting and by the
//! collector, as CPython does it.
//!
//! Counts are counted down first, as `del` does it; then the collector is run on what no root reaches any more, with the
//! counts that are left (`collector.rs`). Knows what stays although it was held, and who holds it. Refuses to run code:
//! finalizers are counted and taken to bring nothing back, callbacks of weak references do what those of the standard
//! library do or nothing.

mod cut;
mod dying;
mod release;
mod removed;
mod survivors;

pub use cut::{Cut, CutError, How, Step, reference};
pub use survivors::{Holding, Survivor, Survivors};

use super::collector::{candidates, finalizing, trial, uncollectable};
use super::{Collection, Heap, Root, Roots, keeps_alive};
use crate::cpython::RootKind;
use crate::graph::{EdgeKind, NodeSet, finalizer_closure, reachable_over};
use crate::heap::ObjectId;
use dying::{By, settle};
use release::Release;

/// The answer.
#[derive(Clone, Debug)]
pub struct FreeIf {
    /// The objects that were let go of.
    pub targets: NodeSet,
    /// Everything that would be freed; nothing that is garbage already.
    pub freed: NodeSet,
    /// Of it, what goes at once, without a collection.
    pub at_once: NodeSet,
    /// Of it, objects with a finalizer that has yet to run and that may bring some of it back.
    pub finalizers: u64,
    /// Objects that such finalizers reach.
    pub resurrectable: u64,
    /// Objects that nothing would hold but that no collection frees: `tp_del` keeps them.
    pub uncollectable: u64,
    /// Callbacks of weak references that would run, and of whose effect nothing is known.
    pub unknown_callbacks: u64,
    /// What was garbage before, and is not counted.
    pub garbage: u64,
    /// What the freed objects held, and stays.
    pub survivors: Survivors,
}

/// Finds what goes with `cut`. `roots` are all roots ([`Roots::find`]), `garbage` what goes without it. At most `limit` kinds
/// of survivors are told apart from the rest.
pub fn free_if(heap: Heap<'_, '_>, roots: &Roots, garbage: &Collection, cut: &Cut, limit: usize) -> FreeIf {
    let anyway = anyway(heap, garbage);
    let mut release = Release::new(heap);
    let targets = apply(&mut release, roots, cut);
    release.run();
    let mut unknown_callbacks = settle(&mut release, By::Count);
    let mut at_once = release.freed.clone();
    let unreachable = unreachable(&release, roots, garbage);
    let uncollectable = uncollectable(heap.runtime, heap.objects, heap.graph, &unreachable);
    let mut collected = unreachable;
    collected.subtract(&uncollectable);
    collected.iter().for_each(|node| release.free(node));
    release.run();
    unknown_callbacks += settle(&mut release, By::Collector);
    let mut freed = release.freed.clone();
    for found in [&mut freed, &mut at_once, &mut collected] {
        found.subtract(&anyway);
    }
    let finalizing = finalizing(heap.runtime, heap.objects, &freed);
    let mut stuck = uncollectable;
    stuck.subtract(&garbage.unreachable);
    FreeIf {
        finalizers: finalizing.len() as u64,
        resurrectable: finalizer_closure(&heap.graph.forward, &finalizing, &collected).len() as u64,
        uncollectable: stuck.len() as u64,
        unknown_callbacks,
        garbage: anyway.len() as u64,
        survivors: survivors::survivors(&release, roots, &targets, &freed, limit),
        targets,
        freed,
        at_once,
    }
}

/// What a collection frees that nothing is let go of before.
fn anyway(heap: Heap<'_, '_>, garbage: &Collection) -> NodeSet {
    let mut freed = garbage.unreachable.clone();
    freed.subtract(&garbage.uncollectable);
    if freed.is_empty() {
        return freed;
    }
    let mut release = Release::new(heap);
    freed.iter().for_each(|node| release.free(node));
    release.run();
    settle(&mut release, By::Collector);
    let mut all = release.freed;
    all.union_with(&garbage.held);
    all
}

/// Lets go; returns the objects that were let go of.
fn apply(release: &mut Release<'_, '_>, roots: &Roots, cut: &Cut) -> NodeSet {
    let heap = release.heap();
    match cut {
        Cut::Reference { target, references, .. } => {
            references.iter().for_each(|&(source, held)| release.cut(source, held));
            NodeSet::from_nodes(heap.objects.len(), [target.0])
        }
        Cut::Objects(objects) => {
            objects
                .iter()
                .filter(|&node| may_be_freed(heap, roots, node))
                .for_each(|node| release.free(node));
            objects.clone()
        }
    }
}

/// Whether an object is one of those that are freed when nothing holds them: neither immortal nor in static memory.
fn may_be_freed(heap: Heap<'_, '_>, roots: &Roots, node: u32) -> bool {
    let is_static = |root| matches!(root, Root::Reference(found) if found.kind == RootKind::StaticType);
    !heap.objects.flags(ObjectId(node)).is_immortal() && !roots.origin(node).is_some_and(is_static)
}

/// What a full collection would find now among the tracked objects that no root reaches any more.
fn unreachable(release: &Release<'_, '_>, roots: &Roots, garbage: &Collection) -> NodeSet {
    let heap = release.heap();
    let graph = &heap.graph.forward;
    let mut starts = roots.set.clone();
    starts.subtract(&release.freed);
    let interned = roots.interned();
    let alive = reachable_over(graph, &starts, |source, edge| {
        keeps_alive(edge.kind())
            && !release.freed.contains(edge.target())
            && !interned.contains(&source)
            && !release.removed.all(graph, source, edge.target())
    });
    let mut under_trial = candidates(heap.objects);
    under_trial.subtract(&alive);
    under_trial.union_with(&garbage.unreachable);
    under_trial.subtract(&release.freed);
    if under_trial.is_empty() {
        return under_trial;
    }
    let examined = under_trial.clone();
    let found = trial(heap.runtime, heap.objects, heap.graph, under_trial, |counts| {
        for node in examined.iter() {
            if let Some(count) = counts.get_mut(node as usize) {
                *count = count.saturating_sub(release.dropped(node));
            }
        }
        // The trial takes off all references that candidates have, those that went before too.
        for (source, target, times) in release.removed.iter() {
            let visited = graph
                .of(source)
                .iter()
                .any(|edge| edge.target() == target && edge.kind() == EdgeKind::Visited);
            if let (true, Some(count)) =
                (visited && examined.contains(source), counts.get_mut(target as usize))
            {
                *count = count.saturating_add(times);
            }
        }
    });
    found.unreachable
}
