//! Counting down: what reference counting frees at once when references go.
//!
//! Knows counts and references; refuses to know cycles, and what code runs when an object dies.

use super::removed::Removed;
use crate::analysis::{Heap, keeps_alive};
use crate::graph::NodeSet;
use crate::heap::ObjectId;

/// Reference counts on their way down.
#[derive(Debug)]
pub struct Release<'h, 'core> {
    heap: Heap<'h, 'core>,
    /// By node: how many references have gone. 4 bytes an object.
    dropped: Vec<u32>,
    /// What has been freed.
    pub freed: NodeSet,
    /// References that went though their holder lives.
    pub removed: Removed,
    /// Freed objects whose own references have yet to go.
    stack: Vec<u32>,
    /// Freed since [`Release::take_new`] was last called.
    new: Vec<u32>,
}

impl<'h, 'core> Release<'h, 'core> {
    /// Nothing has gone yet.
    pub fn new(heap: Heap<'h, 'core>) -> Self {
        let nodes = heap.objects.len();
        Self {
            heap,
            dropped: vec![0; nodes],
            freed: NodeSet::new(nodes),
            removed: Removed::new(nodes),
            stack: Vec::new(),
            new: Vec::new(),
        }
    }

    /// The heap it is about.
    pub fn heap(&self) -> Heap<'h, 'core> {
        self.heap
    }

    /// How many references to `node` have gone.
    pub fn dropped(&self, node: u32) -> u32 {
        self.dropped.get(node as usize).copied().unwrap_or(0)
    }

    /// Takes a reference away that a living object holds. [`Release::run`] frees what follows.
    pub fn cut(&mut self, source: u32, target: u32) {
        if !self.freed.contains(source) && self.removed.add(&self.heap.graph.forward, source, target) {
            self.drop_reference(target);
        }
    }

    /// Frees an object whatever its count says. [`Release::run`] frees what follows.
    pub fn free(&mut self, node: u32) {
        if self.freed.insert(node) {
            self.stack.push(node);
            self.new.push(node);
        }
    }

    /// Lets go of what freed objects hold, and frees what nothing holds then.
    pub fn run(&mut self) {
        let graph = &self.heap.graph.forward;
        let mut uncounted: Vec<u32> = Vec::new();
        while let Some(node) = self.stack.pop() {
            uncounted.clear();
            self.heap.uncounted(ObjectId(node), &mut |target| uncounted.push(target.0));
            let mut cut: Vec<u32> = Vec::new();
            for edge in graph.of(node).iter().filter(|edge| keeps_alive(edge.kind())) {
                let target = edge.target();
                if let Some(position) = uncounted.iter().position(|&other| other == target) {
                    uncounted.swap_remove(position);
                    continue;
                }
                // What was taken from it before it died is gone already.
                let before = cut.iter().filter(|&&other| other == target).count();
                if before < self.removed.times(node, target) as usize {
                    cut.push(target);
                    continue;
                }
                self.drop_reference(target);
            }
        }
    }

    /// Objects freed since this was last asked.
    pub fn take_new(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.new)
    }

    fn drop_reference(&mut self, target: u32) {
        let Some(dropped) = self.dropped.get_mut(target as usize) else { return };
        if self.freed.contains(target) {
            return;
        }
        *dropped = dropped.saturating_add(1);
        let dropped = u64::from(*dropped);
        let id = ObjectId(target);
        if self.heap.objects.flags(id).is_immortal() {
            return;
        }
        if self.heap.refcount(id).is_some_and(|count| dropped >= count) && !self.is_deferred(target) {
            self.free(target);
        }
    }

    /// Objects of free-threaded builds whose count has a part that only a collection adds up (PEP 703, "deferred reference
    /// counting").
    fn is_deferred(&self, node: u32) -> bool {
        let runtime = self.heap.runtime;
        runtime.header.has_gc_bits()
            && runtime.gc_bits(self.heap.objects.address(ObjectId(node))).is_ok_and(|bits| bits.is_deferred())
    }
}
