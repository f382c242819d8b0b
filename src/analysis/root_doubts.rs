//! Words of evaluation stacks whose height was in a register: which of them are references, which are left over.
//!
//! Knows that a left-over word has no part in its object's refcount: where the references that are known make up all of it,
//! there is no other. Refuses to know what the words of the stack were for.

use super::Heap;
use super::held_by_garbage::counted as is_counted;
use crate::cpython::RootReference;
use crate::graph::NodeSet;
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Of an object with more references than this it does not matter whether a stack has one more: nobody else is its only
/// holder.
const MANY: u64 = 1 << 16;

/// What becomes of the words. Objects that certain roots hold have none: they need no other.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// References, as far as can be told.
    pub real: Vec<(u32, RootReference)>,
    /// References of which the object counts one in all: real if nothing else leads to it.
    pub waiting: FxHashMap<u32, RootReference>,
}

impl Doubts {
    /// Settles `words`, of objects that no certain root holds. Reads the references of the heap once, if there is a word
    /// that needs it.
    pub fn new(heap: Heap<'_, '_>, words: Vec<(u32, RootReference)>) -> Self {
        let mut doubts = Self::default();
        let mut counted = Vec::new();
        for (node, root) in words {
            match heap.refcount(ObjectId(node)) {
                Some(1) => drop(doubts.waiting.entry(node).or_insert(root)),
                // What leads nowhere holds nothing: who holds it does not matter enough.
                Some(count) if count <= MANY && !heap.graph.forward.of(node).is_empty() => {
                    counted.push((node, root, count));
                }
                _ => doubts.real.push((node, root)),
            }
        }
        let known = references_to(heap, counted.iter().map(|&(node, ..)| node));
        let is_real =
            |&(node, _, count): &(u32, RootReference, u64)| known.get(&node).copied().unwrap_or(0) < count;
        doubts.real.extend(counted.into_iter().filter(is_real).map(|(node, root, _)| (node, root)));
        doubts
    }
}

/// How many references to each of some objects are held by objects and counted.
fn references_to(heap: Heap<'_, '_>, nodes: impl Iterator<Item = u32>) -> FxHashMap<u32, u64> {
    let wanted = NodeSet::from_nodes(heap.objects.len(), nodes);
    if wanted.is_empty() {
        return FxHashMap::default();
    }
    let per_block = |mut known: FxHashMap<u32, u64>, view: crate::graph::BlockView<'_>| {
        for (source, edges) in view.iter() {
            let mut is_holder = false;
            for edge in edges.iter().filter(|edge| wanted.contains(edge.target()) && is_counted(edge.kind()))
            {
                is_holder = true;
                *known.entry(edge.target()).or_default() += 1;
            }
            if is_holder {
                heap.uncounted(ObjectId(source), &mut |target| {
                    if let Some(count) = known.get_mut(&target.0) {
                        *count = count.saturating_sub(1);
                    }
                });
            }
        }
        known
    };
    let merged = |mut left: FxHashMap<u32, u64>, right: FxHashMap<u32, u64>| {
        right.into_iter().for_each(|(node, count)| *left.entry(node).or_default() += count);
        left
    };
    heap.graph.forward.par_blocks().fold(FxHashMap::default, per_block).reduce(FxHashMap::default, merged)
}
