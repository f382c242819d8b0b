//! What `gc.collect()` would find now: our own run of CPython's cycle detector.
//!
//! The steps of `deduce_unreachable`, `move_legacy_finalizers` and `finalize_garbage` (Modules/gcmodule.c, 3.11, 3.12;
//! Python/gc.c, 3.13 to 3.15), with what free-threaded builds do otherwise ([`super::split_counts`]). No finalizer is run: what one might bring back is reported apart.

use super::held_by_garbage::held_only_by;
use super::split_counts;
use crate::corefile::Address;
use crate::cpython::{Generation, Items, Runtime, WalkKind, items, uncounted_referents};
use crate::graph::{EdgeKind, NodeSet, Trial, TrialInput, finalizer_closure, trial_deletion};
use crate::heap::{HeapGraph, ObjectId, ObjectTable};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

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
    /// Candidates on no list of the collector: a collection under way had taken them off, or a list is damaged. Their
    /// refcounts are whole even then (the collector counts in the GC head), so they are examined like all others.
    pub detached: u64,
    /// The garbage of each interpreter, where there are several.
    pub interpreters: Vec<InterpreterGarbage>,
    /// Candidates with more references found than their refcount says: a torn core, or a mistake of ours.
    pub inconsistent: u64,
    /// First of them.
    pub inconsistent_examples: Vec<ObjectId>,
    /// Why it is still there.
    pub why: Vec<WhyUncollected>,
}

/// What the collector of one interpreter would find among the objects on its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterpreterGarbage {
    /// `interp.id`.
    pub interpreter: i64,
    /// Objects on its lists, the permanent generation included.
    pub tracked: u64,
    /// Unreachable ones among them.
    pub unreachable: u64,
    /// Bytes of these.
    pub bytes: u64,
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
    /// Each collection looks at the youngest objects and at some old ones; its turn has not come.
    Incremental,
    /// A collection was under way.
    Collecting,
}

impl Collection {
    /// Bytes that a collection would free: of the unreachable objects, and of what only they hold.
    pub fn bytes(&self) -> u64 {
        self.unreachable_bytes.saturating_add(self.held_bytes)
    }
}

/// Runs the detector.
pub fn collect(runtime: &Runtime<'_>, objects: &ObjectTable, graph: &HeapGraph) -> Collection {
    let candidates = candidates(objects);
    let considered = candidates.len() as u64;
    let Trial { unreachable, negative, negative_total, .. } =
        trial(runtime, objects, graph, candidates, |_| {});
    let uncollectable = uncollectable(runtime, objects, graph, &unreachable);
    let finalizing = finalizing(runtime, objects, &unreachable);
    let resurrectable = finalizer_closure(&graph.forward, &finalizing, &unreachable);
    let held = held_only_by(
        &graph.forward,
        &unreachable,
        |node| !objects.flags(ObjectId(node)).is_immortal(),
        |node| refcount(runtime, objects.address(ObjectId(node))),
    );
    let sum = |set: &NodeSet| set.iter().map(|node| objects.shallow(ObjectId(node))).sum();
    Collection {
        unreachable_bytes: sum(&unreachable),
        held_bytes: sum(&held),
        candidates: considered,
        detached: detached(objects),
        interpreters: by_interpreter(runtime, objects, &unreachable),
        inconsistent: negative_total,
        inconsistent_examples: negative.into_iter().map(ObjectId).collect(),
        why: why(runtime, objects),
        unreachable,
        uncollectable,
        resurrectable,
        held,
    }
}

/// What the collector would find unreachable among `candidates`, whose counts `change` may correct first.
pub(super) fn trial(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    graph: &HeapGraph,
    mut candidates: NodeSet,
    change: impl FnOnce(&mut [u32]),
) -> Trial {
    let mut pinned = pinned(graph, objects.len());
    if runtime.header.has_gc_bits() {
        pinned.union_with(&split_counts::held_by_stacks(runtime, objects, &candidates));
    } else if runtime.semantics.tuples_untracked_first {
        for tuple in untracked_first(runtime, objects) {
            candidates.remove(tuple);
        }
    }
    let mut refcounts = refcounts(runtime, objects, &candidates);
    change(&mut refcounts);
    let mut found = trial_deletion(TrialInput {
        graph: &graph.forward,
        candidates: &candidates,
        refcounts: &refcounts,
        pinned: &pinned,
    });
    drop(refcounts);
    if runtime.header.has_gc_bits() {
        let untracked = split_counts::untracked(runtime, objects, graph, &found.unreachable);
        found.unreachable.subtract(&untracked);
    }
    found
}

/// Of `unreachable`, what a legacy finalizer (`tp_del`) keeps from being freed.
pub(super) fn uncollectable(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    graph: &HeapGraph,
    unreachable: &NodeSet,
) -> NodeSet {
    let legacy = having(runtime, objects, unreachable, |info, _| info.has_legacy_finalizer);
    finalizer_closure(&graph.forward, &legacy, unreachable)
}

/// Of `among`, the objects whose finalizer (`__del__`, or what C has for it) has yet to run.
pub(super) fn finalizing(runtime: &Runtime<'_>, objects: &ObjectTable, among: &NodeSet) -> NodeSet {
    having(runtime, objects, among, |info, finalized| info.has_finalizer && !finalized)
}

/// Tracked objects that a full collection examines. Immortal ones are moved to the permanent generation
/// (`update_refs`, 3.12, gh-95389); that generation is never examined.
pub(super) fn candidates(objects: &ObjectTable) -> NodeSet {
    let column = objects.flags_column();
    NodeSet::passing(column.len(), |node| {
        column.get(node as usize).is_some_and(|flags| {
            !flags.is_immortal()
                && flags.generation().is_some_and(|generation| generation != Generation::Permanent)
        })
    })
}

/// Tuples of the youngest list that a full collection of the incremental collector takes off it before anything else:
/// those without an item that is tracked or may come to be (Objects/tupleobject.c, `_PyTuple_MaybeUntrack`), in list
/// order, as one taken off lets the next go.
fn untracked_first(runtime: &Runtime<'_>, objects: &ObjectTable) -> FxHashSet<u32> {
    let mut gone = FxHashSet::default();
    let is_tuple = |id: ObjectId| {
        let info = runtime.types.get(objects.type_id(id));
        info.walk.kind == WalkKind::Tuple && !info.by_class_statement
    };
    let may_be_tracked = |gone: &FxHashSet<u32>, item: Address| {
        let Some(id) = objects.find(item) else { return true };
        let info = runtime.types.get(objects.type_id(id));
        if is_tuple(id) {
            return objects.flags(id).is_tracked() && !gone.contains(&id.0);
        }
        // Of types, only those made at run time are the collector's.
        info.has_gc()
            && (!info.is_metatype() || runtime.types.of(item).is_none_or(|item| item.is_heap_type()))
    };
    let young = runtime.gc_lists.iter().filter(|list| list.generation == Generation::Young);
    for &address in young.flat_map(|list| &list.objects) {
        let Some(id) = objects.find(address).filter(|&id| is_tuple(id)) else { continue };
        let Some(Items::Sequence(items)) = items(runtime, address) else { continue };
        // One with an empty place is still being made.
        if !items.iter().any(|&item| item == 0 || may_be_tracked(&gone, item)) {
            gone.insert(id.0);
        }
    }
    gone
}

/// Tracked objects that are on no list.
fn detached(objects: &ObjectTable) -> u64 {
    let is_detached = |flags: &&crate::heap::ObjectFlags| flags.generation() == Some(Generation::Detached);
    objects.flags_column().par_iter().with_min_len(1 << 16).filter(is_detached).count() as u64
}

/// The garbage of each interpreter; nothing where there is only one. Detached objects are on nobody's list.
fn by_interpreter(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    unreachable: &NodeSet,
) -> Vec<InterpreterGarbage> {
    if runtime.interpreters.len() < 2 {
        return Vec::new();
    }
    let mut garbage: Vec<InterpreterGarbage> = runtime
        .interpreters
        .iter()
        .map(|interpreter| InterpreterGarbage {
            interpreter: interpreter.id,
            tracked: 0,
            unreachable: 0,
            bytes: 0,
        })
        .collect();
    for list in &runtime.gc_lists {
        let Some(garbage) = garbage.get_mut(list.interpreter) else { continue };
        garbage.tracked += list.objects.len() as u64;
        for id in list.objects.iter().filter_map(|&address| objects.find(address)) {
            if unreachable.contains(id.0) {
                garbage.unreachable += 1;
                garbage.bytes += objects.shallow(id);
            }
        }
    }
    garbage
}

/// An object's refcount as the collector reads it; `None` when its header is not readable.
fn refcount(runtime: &Runtime<'_>, address: Address) -> Option<u64> {
    let found = runtime.refcount(address).ok()?;
    let queued = runtime.outside_counts.queued(address);
    Some(found.count.saturating_add_signed(queued.saturating_neg()))
}

/// The count of every candidate, with one more for each reference that is visited though the count has it not: trial
/// deletion takes it off again; and one less where a collection under way holds the object.
fn refcounts(runtime: &Runtime<'_>, objects: &ObjectTable, candidates: &NodeSet) -> Vec<u32> {
    let of = |(node, &address): (usize, &Address)| match candidates.contains(node as u32) {
        true => refcount(runtime, address).and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX),
        false => 0,
    };
    let mut counts: Vec<u32> = objects.addresses().par_iter().enumerate().map(of).collect();
    for target in uncounted(runtime, objects, candidates) {
        if let Some(count) = counts.get_mut(target as usize) {
            *count = count.saturating_add(1);
        }
    }
    for target in split_counts::on_worklist(runtime, objects, candidates).iter() {
        if let Some(count) = counts.get_mut(target as usize) {
            *count = count.saturating_sub(1);
        }
    }
    counts
}

/// Candidates that frames of candidates refer to without being counted, each as often. Only frames do that, from 3.14 on.
fn uncounted(runtime: &Runtime<'_>, objects: &ObjectTable, candidates: &NodeSet) -> Vec<u32> {
    if !runtime.semantics.tagged_stack {
        return Vec::new();
    }
    let of = |(node, &address): (usize, &Address)| {
        let id = ObjectId(node as u32);
        let kind = runtime.types.get(objects.type_id(id)).walk.kind;
        let mut targets = Vec::new();
        if matches!(kind, WalkKind::Frame | WalkKind::Generator) && candidates.contains(id.0) {
            // A frame that is not readable has given no edges either.
            let _ = uncounted_referents(runtime, kind, address, &mut |target| {
                targets.extend(objects.find(target).map(|id| id.0).filter(|&node| candidates.contains(node)));
            });
        }
        targets
    };
    objects.addresses().par_iter().enumerate().flat_map_iter(of).collect()
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

/// What kept collections from running, as far as the collector's own state tells.
pub(super) fn why(runtime: &Runtime<'_>, objects: &ObjectTable) -> Vec<WhyUncollected> {
    let mut reasons = Vec::new();
    let Some(main) = runtime.interpreters.first() else { return reasons };
    let gc = &main.gc;
    if gc.collecting {
        reasons.push(WhyUncollected::Collecting);
    }
    if !gc.enabled {
        reasons.push(WhyUncollected::Disabled);
    }
    let [young, middle, old] = gc.generations;
    if young.threshold == 0 {
        reasons.push(WhyUncollected::ZeroThreshold);
    }
    // The collector itself puts immortal objects there (3.12, gh-95389): that is no gc.freeze().
    let is_mortal =
        |&&address: &&Address| objects.find(address).is_some_and(|id| !objects.flags(id).is_immortal());
    let permanent = runtime.gc_lists.iter().filter(|list| list.generation == Generation::Permanent);
    let frozen = permanent
        .filter(|list| list.interpreter == 0)
        .map(|list| list.objects.iter().filter(is_mortal).count() as u64)
        .sum::<u64>();
    if frozen > 0 {
        reasons.push(WhyUncollected::Frozen(frozen));
    }
    if runtime.header.has_gc_bits() {
        // Python/gc_free_threading.c, gc_should_collect: one generation, compared with what the last collection left.
        let pending = i64::from(young.count);
        if gc.enabled && young.threshold > 0 && young.count <= young.threshold {
            let (count, threshold) = (young.count, young.threshold);
            reasons.push(WhyUncollected::ThresholdNotReached { generation: 0, count, threshold });
        } else if gc.enabled && middle.threshold != 0 && pending < gc.long_lived_total / 4 {
            reasons.push(WhyUncollected::LongLivedTotal { pending, total: gc.long_lived_total });
        }
        return reasons;
    }
    if gc.enabled && young.threshold > 0 {
        // Only the youngest count starts the incremental collector, which then looks at part of the old objects.
        let incremental = runtime.semantics.tuples_untracked_first;
        if incremental {
            reasons.push(WhyUncollected::Incremental);
        }
        let deciding = if incremental { 1 } else { gc.generations.len() };
        for (index, counters) in gc.generations.iter().enumerate().take(deciding) {
            if counters.count <= counters.threshold {
                reasons.push(WhyUncollected::ThresholdNotReached {
                    generation: index as u8,
                    count: counters.count,
                    threshold: counters.threshold,
                });
            }
        }
        if !incremental && old.count > old.threshold && gc.long_lived_pending < gc.long_lived_total / 4 {
            reasons.push(WhyUncollected::LongLivedTotal {
                pending: gc.long_lived_pending,
                total: gc.long_lived_total,
            });
        }
    }
    reasons
}
