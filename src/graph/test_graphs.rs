//! Random graphs for the property tests of this module.

use proptest::prelude::*;

use super::{Adjacency, Edge, EdgeKind, NodeSet};

/// Edges as (source, target, kind), sources ascending.
pub type EdgeList = Vec<(u32, u32, EdgeKind)>;

const KINDS: [EdgeKind; 4] = [EdgeKind::Visited, EdgeKind::Owned, EdgeKind::Weak, EdgeKind::Inferred];

/// The kinds that the tests follow.
pub fn strong(kind: EdgeKind) -> bool {
    matches!(kind, EdgeKind::Visited | EdgeKind::Owned)
}

/// Up to `max_nodes` nodes and up to `max_edges` edges of all kinds, mostly visited ones; parallel edges and
/// self-loops occur.
pub fn edge_lists(max_nodes: usize, max_edges: usize) -> impl Strategy<Value = (usize, EdgeList)> {
    (1..=max_nodes).prop_flat_map(move |nodes| {
        let edge = (0..nodes as u32, 0..nodes as u32, 0usize..8);
        proptest::collection::vec(edge, 0..=max_edges).prop_map(move |edges| {
            let kind = |i: usize| KINDS.get(i).copied().unwrap_or(EdgeKind::Visited);
            let mut list: EdgeList = edges.into_iter().map(|(from, to, i)| (from, to, kind(i))).collect();
            list.sort_by_key(|edge| edge.0);
            (nodes, list)
        })
    })
}

/// Distances between the nodes of a small graph when it is spread over a larger one, so that it meets several blocks.
pub fn spreads() -> impl Strategy<Value = u32> {
    prop_oneof![9 => Just(1u32), 1 => Just(4099u32)]
}

/// The same graph with node `n` called `n * spread`.
pub fn spread_out(nodes: usize, list: &EdgeList, spread: u32) -> (usize, EdgeList) {
    let list = list.iter().map(|&(from, to, kind)| (from * spread, to * spread, kind)).collect();
    ((nodes - 1) * spread as usize + 1, list)
}

/// The graph with these edges.
pub fn graph(nodes: usize, list: &EdgeList) -> Adjacency {
    Adjacency::build(nodes, |range, builder| {
        let mut edges = &list[list.partition_point(|edge| edge.0 < range.start)..];
        for node in range {
            let (mine, rest) = edges.split_at(edges.partition_point(|edge| edge.0 <= node));
            mine.iter().for_each(|&(_, to, kind)| builder.edge(Edge::new(to, kind)));
            builder.end_node();
            edges = rest;
        }
    })
}

/// Runs `body` on a pool of `threads` threads.
pub fn on_threads<T: Send>(threads: usize, body: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    pool.install(body)
}

/// Sets of a few nodes below `capacity`.
pub fn node_sets(capacity: usize) -> impl Strategy<Value = NodeSet> {
    prop_oneof![
        4 => proptest::collection::vec(0..capacity as u32, 0..5),
        1 => proptest::collection::vec(0..capacity as u32, 0..2 * capacity),
    ]
    .prop_map(move |nodes| NodeSet::from_nodes(capacity, nodes))
}
