//! Who holds what, by the path a reader would want: shortest, from modules if possible, and rather through data than
//! through classes and functions.
//!
//! Knows costs of steps and roots; refuses to know labels.

use super::roots::Roots;
use super::{Heap, keeps_alive};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use crate::cpython::WalkKind;
use crate::graph::{Edge, EdgeKind, MOST_COST, NO_PATH, cheapest_paths};
use std::io::{self, Seek, Write};

/// What a step out of a class or function costs: their members lead everywhere, so paths through them explain little.
const THROUGH_CODE: usize = 3;
/// What an inferred step costs.
const INFERRED: usize = MOST_COST;
/// What any other step costs.
const STEP: usize = 1;

/// A best path from the roots to every object they reach.
#[derive(Clone, Debug)]
pub struct Holders {
    /// The holder; a root is its own; `NO_PATH` where no root reaches. 4 bytes an object.
    parent: Column<u32>,
}

impl Holders {
    /// Searches the whole heap once. Paths through `avoid` are not taken: what it alone holds is left unreached.
    pub fn search(heap: Heap<'_, '_>, roots: &Roots, avoid: Option<u32>) -> Self {
        Self::search_over(heap, roots, |source, target| source == target || Some(source) != avoid)
    }

    /// As [`Holders::search`], by those references from one node to another that `taken` admits; roots are asked for as
    /// references to themselves.
    pub fn search_over(heap: Heap<'_, '_>, roots: &Roots, taken: impl Fn(u32, u32) -> bool) -> Self {
        let slow = slow_types(heap);
        let types = heap.objects.types_column();
        let costs = |node: u32| {
            let is_slow = types.get(node as usize).and_then(|id| slow.get(id.0 as usize)) == Some(&true);
            let cost = if is_slow { THROUGH_CODE } else { STEP };
            let taken = &taken;
            move |edge: Edge| {
                let cost = if edge.kind() == EdgeKind::Inferred { INFERRED } else { cost };
                (keeps_alive(edge.kind()) && taken(node, edge.target())).then_some(cost)
            }
        };
        let starts = roots.by_delay().map(|mut roots| {
            roots.retain(|&root| taken(root, root));
            roots
        });
        Self { parent: cheapest_paths(&heap.graph.forward, starts, costs).into() }
    }

    /// Writes the paths.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column("holders", &self.parent)
    }

    /// The paths of a heap of so many objects that were written; nothing is copied.
    ///
    /// # Errors
    /// The column is not there, damaged, or of another heap.
    pub fn read(objects: usize, file: &ColumnFile) -> Result<Self, Damaged> {
        let parent = file.column("holders")?;
        match parent.len() == objects {
            true => Ok(Self { parent }),
            false => Err(Damaged::because("its holders are of another heap")),
        }
    }

    /// The holder of `node` on its path; none for roots and unreachable objects.
    pub fn parent(&self, node: u32) -> Option<u32> {
        self.parent.get(node as usize).copied().filter(|&parent| parent != NO_PATH && parent != node)
    }

    /// Whether a root reaches `node`.
    pub fn is_reachable(&self, node: u32) -> bool {
        self.parent.get(node as usize).is_some_and(|&parent| parent != NO_PATH)
    }

    /// The path to `target`: the root first, the target last; none if no root reaches it.
    pub fn path_to(&self, target: u32) -> Option<Vec<u32>> {
        if !self.is_reachable(target) {
            return None;
        }
        let upwards = std::iter::successors(Some(target), |&node| self.parent(node));
        let mut path: Vec<u32> = upwards.take(self.parent.len()).collect();
        path.reverse();
        Some(path)
    }
}

/// For every type whether steps out of its instances are slow.
fn slow_types(heap: Heap<'_, '_>) -> Vec<bool> {
    let is_slow = |info: &crate::cpython::TypeInfo| {
        info.walk.kind == WalkKind::Type
            || matches!(info.name.as_ref(), "builtins.function" | "builtins.code")
    };
    heap.runtime.types.iter().map(|(_, info)| is_slow(info)).collect()
}
