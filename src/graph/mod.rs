//! Algorithms on directed graphs whose nodes are dense `u32` numbers.
//!
//! Knows edges, their kinds, sets of nodes and nothing else: no memory, no objects, no input or output, no other
//! module of the crate. A node is a number below [`Adjacency::nodes`]; what it stands for is the caller's affair.
//!
//! Every answer is a function of the graph alone: it does not depend on the number of threads nor on timing.
//! Every function is total: a node outside the graph has no edges and belongs to no set.

mod adjacency;
mod bridges;
mod collector;
mod dominators;
mod joint;
mod nesting;
mod node_set;
mod paths;
mod petgraph;
mod reach;
mod scc;
#[cfg(test)]
mod test_graphs;

use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use self::adjacency::{Adjacency, BlockBuilder, BlockView};
pub use self::bridges::{SoleEdges, sole_edges};
pub use self::collector::{Trial, TrialInput, finalizer_closure, internal_references, trial_deletion};
pub use self::dominators::DominatorTree;
pub use self::joint::{Dominance, GroupTotal, retained_by_groups};
pub use self::nesting::Nesting;
pub use self::node_set::{AtomicNodeSet, NodeSet};
pub use self::paths::{MOST_COST, NO_PATH, cheapest_paths};
pub use self::petgraph::TwoWay;
pub use self::reach::{reachable, reachable_over, reachable_within};
pub use self::scc::{Components, Groups, components, components_within};

/// What an edge means to the algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EdgeKind {
    /// A counted reference that the cycle collector's traversal visits.
    Visited = 0,
    /// A counted reference that the traversal does not visit.
    Owned = 1,
    /// A reference that does not keep its target alive.
    Weak = 2,
    /// A guess: a word that looks like a reference, found by a conservative scan.
    Inferred = 3,
}

/// One edge: 30 bits of target node, 2 bits of [`EdgeKind`].
///
/// The kind is in the high bits, so a visited edge is simply its target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Edge(u32);

const KIND_SHIFT: u32 = 30;
const TARGET_MASK: u32 = (1 << KIND_SHIFT) - 1;
const _: () = assert!(size_of::<Edge>() == 4);

impl Edge {
    /// A graph has at most this many nodes.
    pub const MAX_NODES: usize = 1 << KIND_SHIFT;

    /// An edge to `target`. Only the low 30 bits of `target` are kept: no graph has a node beyond them.
    pub fn new(target: u32, kind: EdgeKind) -> Self {
        Edge((target & TARGET_MASK) | ((kind as u32) << KIND_SHIFT))
    }

    /// The node the edge leads to.
    pub fn target(self) -> u32 {
        self.0 & TARGET_MASK
    }

    /// What the edge means.
    pub fn kind(self) -> EdgeKind {
        match self.0 >> KIND_SHIFT {
            0 => EdgeKind::Visited,
            1 => EdgeKind::Owned,
            2 => EdgeKind::Weak,
            _ => EdgeKind::Inferred,
        }
    }

    /// Whether the kind is [`EdgeKind::Visited`].
    pub fn is_visited(self) -> bool {
        self.0 <= TARGET_MASK
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}→{}", self.kind(), self.target())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_keeps_target_and_kind() {
        for kind in [EdgeKind::Visited, EdgeKind::Owned, EdgeKind::Weak, EdgeKind::Inferred] {
            for target in [0, 1, 12345, (Edge::MAX_NODES - 1) as u32] {
                let edge = Edge::new(target, kind);
                assert_eq!((edge.target(), edge.kind()), (target, kind));
                assert_eq!(edge.is_visited(), kind == EdgeKind::Visited);
            }
        }
    }
}
