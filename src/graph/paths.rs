//! Cheapest paths from roots.
//!
//! Knows edges of small whole costs, and roots from which paths begin late; refuses to know why a step costs what it does.
//! Distances are met in order, from a ring of lists, one a distance (Dial, "Algorithm 360: Shortest-path forest with
//! topological ordering", 1969). Of paths that cost the same, the one is taken that was met first: edges in the order of the
//! graph, then roots in the order given.

use super::{Adjacency, Edge};

/// What a step costs at most, and at least 1.
pub const MOST_COST: usize = 4;

/// No path leads to the node.
pub const NO_PATH: u32 = u32::MAX;

/// For every node the node before it on a cheapest path; a root's is its own, [`NO_PATH`] that of nodes that none leads to.
///
/// `roots` has the roots by the distance at which paths from them begin; `costs` gives for a node what steps along its edges
/// cost, none for edges that are not taken.
pub fn cheapest_paths<C: Fn(Edge) -> Option<usize>>(
    graph: &Adjacency,
    roots: impl IntoIterator<Item = Vec<u32>>,
    costs: impl Fn(u32) -> C,
) -> Vec<u32> {
    let mut waves = Waves { parent: vec![NO_PATH; graph.nodes()], ahead: Default::default(), at: 0 };
    let mut roots = roots.into_iter();
    loop {
        let late = roots.next();
        let finished = late.is_none();
        let mut wave = waves.take();
        wave.extend(late.unwrap_or_default().into_iter().map(|root| (root, root)));
        for (node, parent) in wave {
            if !waves.settle(node, parent) {
                continue;
            }
            let cost = costs(node);
            for &edge in graph.of(node) {
                if let Some(cost) = cost(edge) {
                    waves.offer(edge.target(), node, cost);
                }
            }
        }
        if finished && waves.is_empty() {
            return waves.parent;
        }
    }
}

/// Nodes to look at, by the distance at which they were offered.
struct Waves {
    parent: Vec<u32>,
    /// (node, parent) at this distance and the next ones, as a ring.
    ahead: [Vec<(u32, u32)>; MOST_COST + 1],
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

    #[inline]
    fn offer(&mut self, node: u32, parent: u32, cost: usize) {
        if self.parent.get(node as usize) == Some(&NO_PATH) {
            let place = (self.at + cost.clamp(1, MOST_COST) - 1) % self.ahead.len();
            if let Some(wave) = self.ahead.get_mut(place) {
                wave.push((node, parent));
            }
        }
    }

    /// Fixes a node's parent; false if it has one already.
    #[inline]
    fn settle(&mut self, node: u32, parent: u32) -> bool {
        match self.parent.get_mut(node as usize) {
            Some(slot) if *slot == NO_PATH => {
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
    use super::super::{EdgeKind, NodeSet, test_graphs};
    use super::*;
    use ::petgraph::algo::dijkstra;
    use ::petgraph::graph::{DiGraph, NodeIndex};
    use proptest::prelude::*;

    fn cost(kind: EdgeKind) -> Option<usize> {
        match kind {
            EdgeKind::Visited => Some(1),
            EdgeKind::Owned => Some(3),
            EdgeKind::Inferred => Some(MOST_COST),
            EdgeKind::Weak => None,
        }
    }

    proptest! {
        #[test]
        fn cost_what_dijkstra_says((nodes, list) in test_graphs::edge_lists(30, 80),
                                   roots in proptest::collection::vec(test_graphs::node_sets(30), 0..7)) {
            let graph = test_graphs::graph(nodes, &list);
            let delayed = roots.iter().map(|roots: &NodeSet| roots.iter().collect::<Vec<u32>>());
            let parents = cheapest_paths(&graph, delayed, |_| |edge: Edge| cost(edge.kind()));

            let mut weighted = DiGraph::<(), usize>::new();
            let numbers: Vec<NodeIndex> = (0..=nodes).map(|_| weighted.add_node(())).collect();
            for &(from, to, kind) in &list {
                if let Some(cost) = cost(kind) {
                    weighted.add_edge(numbers[from as usize], numbers[to as usize], cost);
                }
            }
            for (delay, roots) in roots.iter().enumerate() {
                for root in roots.iter().filter(|&root| (root as usize) < nodes) {
                    weighted.add_edge(numbers[nodes], numbers[root as usize], delay);
                }
            }
            let distances = dijkstra(&weighted, numbers[nodes], None, |edge| *edge.weight());
            for node in 0..nodes as u32 {
                let distance = distances.get(&numbers[node as usize]).copied();
                let parent = parents[node as usize];
                if parent == NO_PATH {
                    prop_assert_eq!(distance, None);
                } else if parent == node {
                    prop_assert_eq!(distance, roots.iter().position(|roots| roots.contains(node)));
                } else {
                    let edges = graph.of(parent).iter().filter(|edge| edge.target() == node);
                    let step = edges.filter_map(|edge| cost(edge.kind())).min().expect("an edge from the parent");
                    prop_assert_eq!(distance, Some(distances[&numbers[parent as usize]] + step));
                }
            }
        }
    }

    #[test]
    fn a_late_root_is_reached_from_an_early_one_if_that_is_cheaper() {
        let list = vec![(0, 1, EdgeKind::Visited), (1, 2, EdgeKind::Owned)];
        let graph = test_graphs::graph(3, &list);
        let parents = |late: Vec<u32>| {
            cheapest_paths(&graph, [vec![0], vec![], late], |_| |edge: Edge| cost(edge.kind()))
        };
        assert_eq!(parents(vec![1, 2]), [0, 0, 2]);
        assert_eq!(parents(vec![]), [0, 0, 1]);
    }
}
