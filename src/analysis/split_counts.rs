//! What the collector of free-threaded builds does before and while it counts (Python/gc_free_threading.c, 3.13 to 3.15).
//!
//! Knows which objects it stops tracking in which order, and what it takes for alive because of uncounted references from
//! evaluation stacks, and which ones a collection under way holds itself. The rest is trial deletion, as in all builds.

use crate::cpython::{Runtime, StackHold, TypeId, type_flags, uncounted_on_stack};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::{HeapGraph, ObjectId, ObjectTable};

/// Of the `unreachable` objects those that the collector stops tracking when it meets them, and so never calls garbage:
/// tuples, and in 3.13 dicts, that hold nothing it could track (`update_refs`; `_PyTuple_MaybeUntrack`,
/// Objects/tupleobject.c). As they hold no candidates, it makes no difference to others whether they are among them.
pub fn untracked(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    graph: &HeapGraph,
    unreachable: &NodeSet,
) -> NodeSet {
    let mut visit = Visit {
        runtime,
        objects,
        graph,
        unreachable,
        tuple: runtime.types.first_with(type_flags::TUPLE_SUBCLASS),
        dict: runtime
            .types
            .first_with(type_flags::DICT_SUBCLASS)
            .filter(|_| runtime.semantics.collector_untracks_dicts),
        untracked: NodeSet::new(objects.len()),
    };
    let mut order: Vec<u32> = unreachable.iter().filter(|&node| visit.may_be_untracked(node)).collect();
    order.sort_by_key(|&node| visit.position(node));
    for node in order {
        let address = objects.address(ObjectId(node));
        let counted = runtime.refcount(address).is_ok_and(|found| found.count > 0);
        let deferred = runtime.gc_bits(address).is_ok_and(|bits| bits.is_deferred());
        if counted && !deferred && !visit.holds_tracked(node, visit.position(node)) {
            visit.untracked.insert(node);
        }
    }
    visit.untracked
}

/// The collector's pass over its heaps, as far as it has come.
struct Visit<'v, 'core> {
    runtime: &'v Runtime<'core>,
    objects: &'v ObjectTable,
    graph: &'v HeapGraph,
    unreachable: &'v NodeSet,
    tuple: Option<TypeId>,
    /// Where dicts are untracked too.
    dict: Option<TypeId>,
    untracked: NodeSet,
}

impl Visit<'_, '_> {
    fn is_tuple(&self, node: u32) -> bool {
        self.tuple == Some(self.objects.type_id(ObjectId(node)))
    }

    fn may_be_untracked(&self, node: u32) -> bool {
        let type_id = Some(self.objects.type_id(ObjectId(node)));
        type_id == self.tuple || (self.dict.is_some() && type_id == self.dict)
    }

    /// When the collector comes to an object: a heap is visited by size class, each by address (`mi_heap_visit_pages`,
    /// Objects/mimalloc/heap.c). Pages without a free block come last, which is not known here.
    fn position(&self, node: u32) -> (u64, u64) {
        let id = ObjectId(node);
        let size = match self.is_tuple(node) {
            true => self.objects.size(id),
            false => self.runtime.types.get(self.objects.type_id(id)).basicsize,
        };
        (size_class(size), self.objects.address(id))
    }

    /// Whether the tuple or dict holds anything that is tracked, or may come to be, when the collector is at `position`.
    fn holds_tracked(&self, node: u32, position: (u64, u64)) -> bool {
        let mut edges = self.graph.forward.of(node).iter().filter(|edge| edge.kind() != EdgeKind::Weak);
        edges.any(|edge| match self.is_tuple(edge.target()) {
            true => self.is_tracked_tuple(edge.target(), position),
            false => self.may_be_tracked(edge.target()),
        })
    }

    /// `PyObject_IS_GC`: of types, only those made at run time are the collector's.
    fn may_be_tracked(&self, node: u32) -> bool {
        let info = self.runtime.types.get(self.objects.type_id(ObjectId(node)));
        let is_static_type = || {
            let address = self.objects.address(ObjectId(node));
            self.runtime.types.of(address).is_some_and(|info| !info.is_heap_type())
        };
        info.has_gc() && !(info.is_metatype() && is_static_type())
    }

    /// Whether a tuple is still tracked when the collector is at `position`. Immortal ones are untracked when their turn comes;
    /// from 3.14 on, what known roots reach has had its turn before all others (`gc_mark_alive_from_roots`).
    fn is_tracked_tuple(&self, node: u32, position: (u64, u64)) -> bool {
        let flags = self.objects.flags(ObjectId(node));
        if !flags.is_tracked() || self.untracked.contains(node) {
            return false;
        }
        let had_its_turn = self.position(node) < position;
        if flags.is_immortal() {
            return !had_its_turn;
        }
        if self.unreachable.contains(node) {
            return true;
        }
        let alive_first = !self.runtime.semantics.collector_untracks_dicts;
        let mut edges = self.graph.forward.of(node).iter();
        let holds = edges.any(|edge| match self.is_tuple(edge.target()) {
            true => self.objects.flags(ObjectId(edge.target())).is_tracked(),
            false => self.may_be_tracked(edge.target()),
        });
        holds || !(alive_first || had_its_turn)
    }
}

/// mimalloc's number for blocks of this size, ascending with it (`mi_bin`, Objects/mimalloc/page-queue.c): words, two at a time
/// up to eight, then in steps of an eighth to a quarter.
fn size_class(bytes: u64) -> u64 {
    let words = bytes.div_ceil(8).max(1);
    if words <= 8 {
        return words.next_multiple_of(2);
    }
    let words = words - 1;
    let top = u64::from(words.ilog2());
    (top << 2) + ((words >> (top - 2)) & 3) - 3
}

/// Objects that threads' evaluation stacks hold by uncounted references: the collector adds one for each. Where the height
/// of a stack is not known, it takes all objects that may be held so for alive (GH-129236).
pub fn held_by_stacks(runtime: &Runtime<'_>, objects: &ObjectTable, candidates: &NodeSet) -> NodeSet {
    let mut held = NodeSet::new(objects.len());
    let mut unknown_heights = false;
    for thread in runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads) {
        uncounted_on_stack(runtime, thread, &mut |found| match found {
            StackHold::Object(target) => {
                if let Some(id) = objects.find(target) {
                    held.insert(id.0);
                }
            }
            StackHold::UnknownHeight => unknown_heights = true,
        });
    }
    if unknown_heights {
        let is_deferred = |&node: &u32| {
            runtime.gc_bits(objects.address(ObjectId(node))).is_ok_and(|bits| bits.is_deferred())
        };
        candidates.iter().filter(is_deferred).for_each(|node| {
            held.insert(node);
        });
    }
    held
}

/// Objects that a collection under way has found unreachable: it holds a reference to each (`scan_heap_visitor`), in a list
/// whose links take the place of thread ids. Before it gets that far, all objects are marked as these are, but what stands
/// there are counts.
pub fn on_worklist(runtime: &Runtime<'_>, objects: &ObjectTable, candidates: &NodeSet) -> NodeSet {
    let mut members = NodeSet::new(objects.len());
    let collecting = runtime.interpreters.iter().any(|interpreter| interpreter.gc.collecting);
    if !collecting || !runtime.header.has_gc_bits() {
        return members;
    }
    let is_marked = |&node: &u32| {
        runtime.gc_bits(objects.address(ObjectId(node))).is_ok_and(|bits| bits.is_unreachable())
    };
    let marked = NodeSet::from_nodes(objects.len(), candidates.iter().filter(is_marked));
    for node in marked.iter() {
        let next = runtime.owner(objects.address(ObjectId(node))).and_then(|next| objects.find(next));
        if let Some(next) = next.filter(|next| marked.contains(next.0)) {
            members.insert(node);
            members.insert(next.0);
        }
    }
    if marked.len() == 1 { marked } else { members }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_mimalloc() {
        let classes: Vec<u64> = [8, 16, 24, 48, 64, 72, 80, 96, 112, 128, 160].map(size_class).to_vec();
        assert_eq!(classes, [2, 2, 4, 6, 8, 9, 9, 10, 11, 12, 13]);
    }
}
