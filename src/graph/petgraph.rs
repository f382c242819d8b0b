//! `petgraph`'s visiting traits on our graphs, so that its algorithms run on small graphs and check ours in tests.
//!
//! Knows only how to present nodes and neighbours; all kinds of edge count, so filter before (transpose, rebuild).
//! It is no way to treat a whole heap: petgraph's own maps cost far more per node than the graph.

use ::petgraph::Direction;
use ::petgraph::visit::{
    GraphBase, GraphRef, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, NodeCompactIndexable,
    NodeCount, NodeIndexable, VisitMap, Visitable,
};

use super::{Adjacency, Edge, NodeSet};

/// Neighbours of a node: the targets of its edges, in their order.
#[derive(Clone, Debug)]
pub struct Neighbors<'a>(std::slice::Iter<'a, Edge>);

impl Iterator for Neighbors<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|edge| edge.target())
    }
}

/// A graph together with its transpose, for algorithms that follow edges both ways.
#[derive(Clone, Copy, Debug)]
pub struct TwoWay<'a> {
    /// The graph.
    pub forward: &'a Adjacency,
    /// The same edges turned round.
    pub backward: &'a Adjacency,
}

impl VisitMap<u32> for NodeSet {
    fn visit(&mut self, node: u32) -> bool {
        self.insert(node)
    }

    fn is_visited(&self, node: &u32) -> bool {
        self.contains(*node)
    }

    fn unvisit(&mut self, node: u32) -> bool {
        self.remove(node)
    }
}

impl GraphBase for Adjacency {
    type NodeId = u32;
    type EdgeId = (u32, u32);
}

impl GraphBase for TwoWay<'_> {
    type NodeId = u32;
    type EdgeId = (u32, u32);
}

impl GraphRef for TwoWay<'_> {}

/// What the two kinds of graph have in common; `$graph` says where the forward edges are.
macro_rules! present_nodes {
    ($type:ty, $self:ident, $graph:expr) => {
        impl NodeIndexable for $type {
            fn node_bound(&$self) -> usize {
                $graph.nodes()
            }
            fn to_index(&self, node: u32) -> usize {
                node as usize
            }
            fn from_index(&self, index: usize) -> u32 {
                index as u32
            }
        }

        impl NodeCount for $type {
            fn node_count(&$self) -> usize {
                $graph.nodes()
            }
        }

        impl NodeCompactIndexable for $type {}

        impl Visitable for $type {
            type Map = NodeSet;
            fn visit_map(&$self) -> NodeSet {
                NodeSet::new($graph.nodes())
            }
            fn reset_map(&$self, map: &mut NodeSet) {
                *map = NodeSet::new($graph.nodes());
            }
        }
    };
}

present_nodes!(Adjacency, self, self);
present_nodes!(TwoWay<'_>, self, self.forward);

impl<'a> IntoNeighbors for &'a Adjacency {
    type Neighbors = Neighbors<'a>;

    fn neighbors(self, node: u32) -> Neighbors<'a> {
        Neighbors(self.of(node).iter())
    }
}

impl IntoNodeIdentifiers for &Adjacency {
    type NodeIdentifiers = std::ops::Range<u32>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        0..self.nodes() as u32
    }
}

impl<'a> IntoNeighbors for TwoWay<'a> {
    type Neighbors = Neighbors<'a>;

    fn neighbors(self, node: u32) -> Neighbors<'a> {
        self.forward.neighbors(node)
    }
}

impl IntoNodeIdentifiers for TwoWay<'_> {
    type NodeIdentifiers = std::ops::Range<u32>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        self.forward.node_identifiers()
    }
}

impl<'a> IntoNeighborsDirected for TwoWay<'a> {
    type NeighborsDirected = Neighbors<'a>;

    fn neighbors_directed(self, node: u32, direction: Direction) -> Neighbors<'a> {
        match direction {
            Direction::Outgoing => self.forward.neighbors(node),
            Direction::Incoming => self.backward.neighbors(node),
        }
    }
}
