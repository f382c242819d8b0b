//! What every live object keeps alive alone.
//!
//! Knows dominance from all roots, and shallow sizes, which are what freeing gives back; refuses to say why something is
//! held and whether it should be. Garbage is in no root's reach, hence in no answer of this file: it keeps nothing alive.

use super::{Collection, Heap, Roots, keeps_alive};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use crate::graph::DominatorTree;
use crate::heap::ObjectId;
use rayon::prelude::*;
use std::io::{self, Seek, Write};

/// The dominator tree of the live heap, and the bytes that each object retains.
#[derive(Clone, Debug)]
pub struct Retention {
    tree: DominatorTree,
    retained: Column<u64>,
}

impl Retention {
    /// Measures the heap. `roots` are all roots ([`Roots::find`]): with fewer, what only the others reach counts as nobody's.
    pub fn new(heap: Heap<'_, '_>, roots: &Roots) -> Self {
        Self::of_tree(heap, DominatorTree::new(&heap.graph.forward, &roots.set, keeps_alive))
    }

    /// Finds all roots and measures the heap, in one search instead of two.
    pub fn with_roots(heap: Heap<'_, '_>, garbage: &Collection) -> (Roots, Self) {
        let mut roots = Roots::named(heap, garbage);
        let named = roots.set.clone();
        let tree = DominatorTree::with_more_roots(&heap.graph.forward, &named, keeps_alive, |unreached| {
            roots.hold_the_rest(heap, garbage, unreached)
        });
        (roots, Self::of_tree(heap, tree))
    }

    fn of_tree(heap: Heap<'_, '_>, tree: DominatorTree) -> Self {
        let retained = tree.retained(heap.objects.shallow_column());
        Self { tree, retained: retained.into() }
    }

    /// Writes what was measured.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        self.tree.write(out)?;
        out.column("retained", &self.retained)
    }

    /// What was written of a heap of so many objects; nothing is copied.
    ///
    /// # Errors
    /// A column is not there, damaged, or of another heap.
    pub fn read(objects: usize, file: &ColumnFile) -> Result<Self, Damaged> {
        let (tree, retained) = (DominatorTree::read(objects, file)?, file.column("retained")?);
        match retained.len() == objects {
            true => Ok(Self { tree, retained }),
            false => Err(Damaged::because("its retained sizes are of another heap")),
        }
    }

    /// Bytes that would be freed with an object alone, its own included; 0 of what no root reaches.
    pub fn bytes(&self, id: ObjectId) -> u64 {
        self.of(id.0)
    }

    /// The same by node.
    pub fn of(&self, node: u32) -> u64 {
        self.retained.get(node as usize).copied().unwrap_or(0)
    }

    /// The live objects that retain what `is_enough`, ascending.
    pub fn retaining(&self, is_enough: impl Fn(u64) -> bool + Sync) -> Vec<u32> {
        let retained: &[u64] = &self.retained;
        let nodes = retained.par_iter().enumerate().with_min_len(1 << 16);
        nodes
            .filter(|&(node, &bytes)| is_enough(bytes) && self.tree.is_reachable(node as u32))
            .map(|(node, _)| node as u32)
            .collect()
    }

    /// The column: retained bytes by node.
    pub fn column(&self) -> &[u64] {
        &self.retained
    }

    /// Who dominates whom.
    pub fn tree(&self) -> &DominatorTree {
        &self.tree
    }
}
