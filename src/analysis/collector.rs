//! What `gc.collect()` would find now: our own run of CPython's cycle detector on the default build.
//!
//! The steps of `deduce_unreachable`, `move_legacy_finalizers` and `finalize_garbage` (Modules/gcmodule.c, 3.11, 3.12;
//! Python/gc.c, 3.13). No finalizer is run: what one might bring back is reported apart.

use crate::cpython::{Generation, ReadField, Runtime};
use crate::graph::{EdgeKind, NodeSet, Trial, TrialInput, finalizer_closure, trial_deletion};
use crate::heap::{HeapGraph, ObjectId, ObjectTable};
use rayon::prelude::*;

/// The outcome of a full collection, had it run at this moment.
#[derive(Debug)]
pub struct Collection {
    /// What the collector would find unreachable.
    pub unreachable: NodeSet,
    /// Of these, held by a legacy finalizer (`tp_del`), so that the collector would not free them.
    pub uncollectable: NodeSet,
    /// Of these, reachable from an object whose finalizer would still run and may bring them back.
    pub resurrectable: NodeSet,
    /// Objects that only the unreachable ones keep alive and that the collector does not track: str, int and such.
    pub held: NodeSet,
    /// Bytes of the unreachable objects.
    pub unreachable_bytes: u64,
    /// Bytes of what only they hold besides.
    pub held_bytes: u64,
    /// Objects that were candidates: tracked, not permanent, not immortal.
    pub candidates: u64,
    /// Candidates with more references found than their refcount says: a torn core, or a mistake of ours.
    pub inconsistent: u64,
    /// First of them.
    pub inconsistent_examples: Vec<ObjectId>,
    /// Why it is still there.
    pub why: Vec<WhyUncollected>,
}

/// Why garbage had not been collected when the process was dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUncollected {
    /// `gc.disable()`.
    Disabled,
    /// The threshold of the youngest generation is 0: collections never start by themselves.
    ZeroThreshold,
    /// So many objects are in the permanent generation (`gc.freeze()`), which no collection looks at.
    Frozen(u64),
    /// The generation's count had not passed its threshold.
    ThresholdNotReached {
        /// 0, 1 or 2.
        generation: u8,
        /// Its count.
        count: i32,
        /// Its threshold.
        threshold: i32,
    },
    /// A full collection waits until a quarter as many objects are new as survived the last one.
    LongLivedTotal {
        /// Objects that survived middle collections since.
        pending: i64,
        /// Objects that survived the last full collection.
        total: i64,
    },
    /// A collection was under way.
    Collecting,
}

/// Runs the detector.
pub fn collect(runtime: &Runtime<'_>, objects: &ObjectTable, graph: &HeapGraph) -> Collection {
    let candidates = candidates(objects);
    let refcounts = refcounts(runtime, objects, &candidates);
    let pinned = pinned(graph, objects.len());
    let Trial { unreachable, negative, negative_total, .. } = trial_deletion(TrialInput {
        graph: &graph.forward,
        candidates: &candidates,
        refcounts: &refcounts,
        pinned: &pinned,
    });
    drop(refcounts);
    let legacy = having(runtime, objects, &unreachable, |info, _| info.has_legacy_finalizer);
    let finalizing =
        having(runtime, objects, &unreachable, |info, finalized| info.has_finalizer && !finalized);
    let uncollectable = finalizer_closure(&graph.forward, &legacy, &unreachable);
    let resurrectable = finalizer_closure(&graph.forward, &finalizing, &unreachable);
    let held = held_only_by(graph, objects, &unreachable);
    let sum = |set: &NodeSet| set.iter().map(|node| objects.size(ObjectId(node))).sum();
    Collection {
        unreachable_bytes: sum(&unreachable),
        held_bytes: sum(&held),
        candidates: candidates.len() as u64,
        inconsistent: negative_total,
        inconsistent_examples: negative.into_iter().map(ObjectId).collect(),
        why: why(runtime),
        unreachable,
        uncollectable,
        resurrectable,
        held,
    }
}

/// Tracked objects that a full collection examines. Immortal ones are moved to the permanent generation
/// (`update_refs`, 3.12, gh-95389); that generation is never examined.
fn candidates(objects: &ObjectTable) -> NodeSet {
    let examined = |&(_, flags): &(usize, &crate::heap::ObjectFlags)| {
        !flags.is_immortal() && flags.generation().is_some_and(|generation| generation != Generation::Permanent)
    };
    let column = objects.flags_column();
    NodeSet::from_nodes(column.len(), column.iter().enumerate().filter(examined).map(|(node, _)| node as u32))
}

fn refcounts(runtime: &Runtime<'_>, objects: &ObjectTable, candidates: &NodeSet) -> Vec<u32> {
    objects
        .addresses()
        .par_iter()
        .enumerate()
        .map(|(node, &address)| {
            if !candidates.contains(node as u32) {
                return 0;
            }
            let word = runtime.space.field(address, runtime.layouts.object.refcnt).unwrap_or(u64::MAX);
            u32::try_from(runtime.semantics.refcount(word).0).unwrap_or(u32::MAX)
        })
        .collect()
}

/// What an inferred reference points to is never called garbage: the guess may be all that holds it.
fn pinned(graph: &HeapGraph, nodes: usize) -> NodeSet {
    let targets = graph.forward.par_blocks().map(|block| {
        let inferred = |edge: &&crate::graph::Edge| edge.kind() == EdgeKind::Inferred;
        block.edges.iter().filter(inferred).map(|edge| edge.target()).collect::<Vec<u32>>()
    });
    NodeSet::from_nodes(nodes, targets.collect::<Vec<_>>().into_iter().flatten())
}

fn having(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    among: &NodeSet,
    holds: impl Fn(&crate::cpython::TypeInfo, bool) -> bool,
) -> NodeSet {
    let wanted = |&node: &u32| {
        let id = ObjectId(node);
        holds(runtime.types.get(objects.type_id(id)), objects.flags(id).is_finalized())
    };
    NodeSet::from_nodes(objects.len(), among.iter().filter(wanted))
}

/// Objects outside `unreachable` that nothing but it and what it holds refers to, by their own refcounts.
///
/// Freeing the garbage drops one count for each reference it holds; what reaches zero is freed too, and so on. What
/// the collector tracks and found reachable cannot be among them.
fn held_only_by(graph: &HeapGraph, objects: &ObjectTable, unreachable: &NodeSet) -> NodeSet {
    let _ = objects;
    let mut held = NodeSet::new(objects.len());
    if unreachable.is_empty() {
        return held;
    }
    // Only objects that the garbage reaches matter; who else refers to them decides.
    let keep = |kind| kind != EdgeKind::Weak;
    let reached = crate::graph::reachable(&graph.forward, unreachable, keep);
    let mut suspects = reached;
    suspects.subtract(unreachable);
    let mut outside = NodeSet::full(objects.len());
    outside.subtract(&suspects);
    outside.subtract(unreachable);
    let mut from_outside = NodeSet::new(objects.len());
    for block in graph.forward.blocks() {
        for (node, edges) in block.iter() {
            if outside.contains(node) {
                for edge in edges.iter().filter(|edge| keep(edge.kind())) {
                    if suspects.contains(edge.target()) {
                        from_outside.insert(edge.target());
                    }
                }
            }
        }
    }
    let alive = crate::graph::reachable(&graph.forward, &from_outside, keep);
    for node in suspects.iter() {
        if !alive.contains(node) {
            held.insert(node);
        }
    }
    held
}

/// What kept collections from running, as far as the collector's own state tells.
fn why(runtime: &Runtime<'_>) -> Vec<WhyUncollected> {
    let mut reasons = Vec::new();
    let Some(main) = runtime.interpreters.first() else { return reasons };
    let gc = &main.gc;
    if gc.collecting {
        reasons.push(WhyUncollected::Collecting);
    }
    if !gc.enabled {
        reasons.push(WhyUncollected::Disabled);
    }
    let [young, _, old] = gc.generations;
    if young.threshold == 0 {
        reasons.push(WhyUncollected::ZeroThreshold);
    }
    let frozen: usize = runtime
        .gc_lists
        .iter()
        .filter(|list| list.generation == Generation::Permanent && list.interpreter == 0)
        .map(|list| list.objects.len())
        .sum();
    if frozen > 0 {
        reasons.push(WhyUncollected::Frozen(frozen as u64));
    }
    if gc.enabled && young.threshold > 0 {
        for (index, counters) in gc.generations.iter().enumerate() {
            if counters.count <= counters.threshold {
                reasons.push(WhyUncollected::ThresholdNotReached {
                    generation: index as u8,
                    count: counters.count,
                    threshold: counters.threshold,
                });
            }
        }
        if old.count > old.threshold && gc.long_lived_pending < gc.long_lived_total / 4 {
            reasons.push(WhyUncollected::LongLivedTotal {
                pending: gc.long_lived_pending,
                total: gc.long_lived_total,
            });
        }
    }
    reasons
}
