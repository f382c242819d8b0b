//! Dominators from a virtual root above all roots, and what each node retains.
//!
//! Knows the SEMI-NCA algorithm (Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005):
//! semidominators by path compression as Lengauer and Tarjan have it, then the nearest common ancestor by walking
//! up; and that most nodes of a heap need none of it ([`pendants`]). Refuses to know weights before they are asked for,
//! and what roots are.
//!
//! No reversed graph is made: when an edge is met, the search knows both its ends by number, so that predecessors are
//! collected in the order in which they are needed.

mod ancestors;
mod pendants;
mod search;
mod semidominators;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::search::Search;
use super::{Adjacency, EdgeKind, Nesting, NodeSet};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use std::io::{self, Seek, Write};

/// No number: the node is not reached.
const NONE: u32 = u32::MAX;

/// Search number of the virtual root; the nodes reached have numbers from 1.
const VIRTUAL_ROOT: u32 = 0;

/// In [`DominatorTree::idom`]: directly below the virtual root. No node has this number ([`super::Edge::MAX_NODES`]).
const TOP: u32 = u32::MAX - 1;

/// For every reachable node the last node that all paths from the roots to it pass.
#[derive(Clone, Debug)]
pub struct DominatorTree {
    /// Node, `TOP` or `NONE`.
    idom: Column<u32>,
    /// The reachable nodes so that every node comes after its dominator: those searched, then the pendants.
    order: Column<u32>,
}

impl DominatorTree {
    /// The dominators of the nodes reachable from `roots` over edges of a kept kind.
    pub fn new(graph: &Adjacency, roots: &NodeSet, keep: impl Fn(EdgeKind) -> bool + Sync) -> DominatorTree {
        DominatorTree::with_more_roots(graph, roots, keep, |_| NodeSet::new(0))
    }

    /// As [`DominatorTree::new`], with roots that are known only once it is known what `roots` do not reach: `more` is
    /// given that and returns roots among it. Others that it returns are no roots.
    pub fn with_more_roots(
        graph: &Adjacency,
        roots: &NodeSet,
        keep: impl Fn(EdgeKind) -> bool + Sync,
        more: impl FnOnce(&NodeSet) -> NodeSet,
    ) -> DominatorTree {
        let mut search = Search::new(graph, roots, keep);
        let more = more(&search.unreached());
        if !more.is_empty() {
            search.go_on(&more);
        }
        let (found, pendants) = search.finish();
        let search::Found { place: mut idom, vertex, parent, mut semi, from_later, .. } = found;
        semidominators::complete(&parent, &mut semi, from_later);
        let dominators = ancestors::nearest_common(parent, &semi, ancestors::STEPS_A_NODE);
        drop(semi);
        for (node, dominator) in vertex.iter().zip(&dominators).skip(1) {
            if let Some(slot) = idom.get_mut(*node as usize) {
                *slot = match *dominator {
                    VIRTUAL_ROOT => TOP,
                    number => vertex.get(number as usize).copied().unwrap_or(TOP),
                };
            }
        }
        drop(dominators);
        let mut order = vertex;
        order.remove(0);
        let is_reached = |&node: &u32| idom.get(node as usize).is_some_and(|&holder| holder != NONE);
        order.extend(pendants.iter().filter(is_reached));
        DominatorTree { idom: idom.into(), order: order.into() }
    }

    /// Writes the tree.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column("dominators", &self.idom)?;
        out.column("dominators.order", &self.order)
    }

    /// The tree of a graph of `nodes` nodes that was written; nothing is copied.
    ///
    /// # Errors
    /// A column is not there, damaged, or of another graph.
    pub fn read(nodes: usize, file: &ColumnFile) -> Result<DominatorTree, Damaged> {
        let tree =
            DominatorTree { idom: file.column("dominators")?, order: file.column("dominators.order")? };
        match tree.idom.len() == nodes && tree.order.len() <= nodes {
            true => Ok(tree),
            false => Err(Damaged::because("its dominators are of another heap")),
        }
    }

    /// Number of nodes of the graph.
    pub fn nodes(&self) -> usize {
        self.idom.len()
    }

    /// The node that dominates `node` immediately. None if no single node does (`node` is a root or reached on
    /// separate paths) or `node` is not reachable; see [`DominatorTree::is_reachable`].
    pub fn idom(&self, node: u32) -> Option<u32> {
        self.idom.get(node as usize).copied().filter(|&idom| idom < TOP)
    }

    /// Whether a root reaches `node`.
    pub fn is_reachable(&self, node: u32) -> bool {
        self.idom.get(node as usize).is_some_and(|&idom| idom != NONE)
    }

    /// The reachable nodes, each after its dominator.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The reachable nodes that no node dominates, in the order of the search.
    pub fn top(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied().filter(|&node| self.idom.get(node as usize) == Some(&TOP))
    }

    /// `node`'s dominators from its immediate one up.
    pub fn dominators(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.idom(node), |&node| self.idom(node)).take(self.idom.len())
    }

    /// For every node what `of` says of the nearest of itself and its dominators of which it says anything; else `none`.
    pub fn nearest(&self, none: u32, of: impl Fn(u32) -> Option<u32>) -> Vec<u32> {
        let mut nearest = vec![none; self.nodes()];
        for &node in self.order.iter() {
            let above = || self.idom(node).and_then(|above| nearest.get(above as usize).copied());
            let found = of(node).or_else(above).unwrap_or(none);
            if let Some(slot) = nearest.get_mut(node as usize) {
                *slot = found;
            }
        }
        nearest
    }

    /// What would go with each node: its own weight and that of all nodes it dominates; 0 for unreachable nodes.
    /// Sums stop at `u64::MAX`. `weights` are those of the nodes themselves, in whose place the sums come.
    pub fn retained(&self, weights: Vec<u64>) -> Vec<u64> {
        let mut retained = weights;
        retained.resize(self.nodes(), 0);
        let unreached = retained.par_iter_mut().zip(self.idom.par_iter()).filter(|(_, idom)| **idom == NONE);
        unreached.for_each(|(weight, _)| *weight = 0);
        for &node in self.order.iter().rev() {
            if let Some(idom) = self.idom(node) {
                let sum = retained.get(node as usize).copied().unwrap_or(0);
                if let Some(above) = retained.get_mut(idom as usize) {
                    *above = above.saturating_add(sum);
                }
            }
        }
        retained
    }

    /// Who lies below whom, by intervals.
    pub fn nesting(&self) -> Nesting {
        Nesting::new(self.nodes(), self.order(), |node| self.idom(node))
    }

    /// Bytes the tree takes.
    pub fn bytes(&self) -> usize {
        self.idom.owned_bytes() + self.order.owned_bytes()
    }
}
