//! Who holds what, by the path a reader would want: shortest, from modules if possible, and rather through data than
//! through classes and functions.
//!
//! Knows costs of steps and roots; refuses to know labels.

use super::roots::Roots;
use super::{Heap, keeps_alive};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use crate::cpython::WalkKind;
use crate::graph::EdgeKind;
use std::io::{self, Seek, Write};

/// Not reached.
const NONE: u32 = u32::MAX;
/// What a step out of a class or function costs: their members lead everywhere, so paths through them explain little.
const THROUGH_CODE: usize = 3;
/// What an inferred step costs.
const INFERRED: usize = 4;
/// What any other step costs.
const STEP: usize = 1;

/// A best path from the roots to every object they reach.
#[derive(Clone, Debug)]
pub struct Holders {
    /// The holder; a root is its own; `NONE` where no root reaches. 4 bytes an object.
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
        let graph = &heap.graph.forward;
        let slow = slow_types(heap);
        let types = heap.objects.types_column();
        let mut waves = Waves { parent: vec![NONE; graph.nodes()], ahead: Default::default(), at: 0 };
        let mut delayed = roots.by_delay();
        loop {
            let roots = delayed.next();
            let finished = roots.is_none();
            let mut wave = waves.take();
            let roots = roots.unwrap_or_default().into_iter().filter(|&root| taken(root, root));
            wave.extend(roots.map(|root| (root, root)));
            for (node, parent) in wave {
                if !waves.settle(node, parent) {
                    continue;
                }
                let is_slow = types.get(node as usize).and_then(|id| slow.get(id.0 as usize)) == Some(&true);
                let cost = if is_slow { THROUGH_CODE } else { STEP };
                for edge in graph.of(node).iter().filter(|edge| keeps_alive(edge.kind())) {
                    let cost = if edge.kind() == EdgeKind::Inferred { INFERRED } else { cost };
                    if taken(node, edge.target()) {
                        waves.offer(edge.target(), node, cost);
                    }
                }
            }
            if finished && waves.is_empty() {
                return Self { parent: waves.parent.into() };
            }
        }
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
        self.parent.get(node as usize).copied().filter(|&parent| parent != NONE && parent != node)
    }

    /// Whether a root reaches `node`.
    pub fn is_reachable(&self, node: u32) -> bool {
        self.parent.get(node as usize).is_some_and(|&parent| parent != NONE)
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

/// Nodes to look at, by the distance at which they were offered: Dial's queue for small costs.
struct Waves {
    parent: Vec<u32>,
    /// (node, holder) at this distance and the next ones, as a ring.
    ahead: [Vec<(u32, u32)>; INFERRED + 1],
    /// Where the ring begins.
    at: usize,
}

impl Waves {
    /// The nodes offered at the next distance.
    fn take(&mut self) -> Vec<(u32, u32)> {
        let wave = self.ahead.get_mut(self.at).map(std::mem::take).unwrap_or_default();
        self.at = (self.at + 1) % self.ahead.len();
        wave
    }

    fn offer(&mut self, node: u32, parent: u32, cost: usize) {
        if self.parent.get(node as usize) == Some(&NONE) {
            let place = (self.at + cost - 1) % self.ahead.len();
            if let Some(wave) = self.ahead.get_mut(place) {
                wave.push((node, parent));
            }
        }
    }

    /// Fixes a node's holder; false if it has one already.
    fn settle(&mut self, node: u32, parent: u32) -> bool {
        match self.parent.get_mut(node as usize) {
            Some(slot) if *slot == NONE => {
                *slot = parent;
                true
            }
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.ahead.iter().all(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_come_in_order_of_distance() {
        let mut waves = Waves { parent: vec![NONE; 8], ahead: Default::default(), at: 0 };
        waves.settle(0, 0);
        assert!(waves.take().is_empty());
        waves.offer(1, 0, 3);
        waves.offer(2, 0, 1);
        waves.offer(3, 0, INFERRED);
        let order: Vec<Vec<(u32, u32)>> = (0..5).map(|_| waves.take()).collect();
        assert_eq!(order, [vec![(2, 0)], vec![], vec![(1, 0)], vec![(3, 0)], vec![]]);
    }

    #[test]
    fn the_first_holder_stays() {
        let mut waves = Waves { parent: vec![NONE; 3], ahead: Default::default(), at: 0 };
        assert!(waves.settle(1, 0));
        assert!(!waves.settle(1, 2) && !waves.settle(9, 0));
        waves.offer(1, 2, 1);
        assert!(waves.is_empty());
        assert_eq!(waves.parent, [NONE, 0, NONE]);
    }
}
