//! What only garbage keeps alive.
//!
//! Knows that freeing the garbage drops one count for each reference it holds, and that what reaches zero is freed in
//! turn; refuses to know why something is garbage.

use crate::graph::{Adjacency, EdgeKind, NodeSet};
use rustc_hash::FxHashMap;

/// Whether an edge is one of the references its target's refcount counts.
pub(super) fn counted(kind: EdgeKind) -> bool {
    matches!(kind, EdgeKind::Visited | EdgeKind::Owned)
}

/// Objects outside `unreachable` that would be freed with it. `refcount` is an object's own count; immortal objects and
/// those whose count is unknown have none, and stay. `may_go` is asked first: what the collector found alive may not.
///
/// Only what the garbage reaches is looked at: time and memory are the garbage's, not the heap's.
pub fn held_only_by(
    graph: &Adjacency,
    unreachable: &NodeSet,
    may_go: impl Fn(u32) -> bool,
    refcount: impl Fn(u32) -> Option<u64>,
) -> NodeSet {
    let mut held = NodeSet::new(graph.nodes());
    let mut left: FxHashMap<u32, u64> = FxHashMap::default();
    let mut freed: Vec<u32> = Vec::new();
    let mut drop_references = |source: u32, freed: &mut Vec<u32>, held: &mut NodeSet| {
        for edge in graph.of(source).iter().filter(|edge| counted(edge.kind())) {
            let target = edge.target();
            if unreachable.contains(target) || held.contains(target) {
                continue;
            }
            let known = || if may_go(target) { refcount(target).unwrap_or(u64::MAX) } else { u64::MAX };
            let left = left.entry(target).or_insert_with(known);
            if *left != u64::MAX {
                *left = left.saturating_sub(1);
                if *left == 0 && held.insert(target) {
                    freed.push(target);
                }
            }
        }
    };
    for source in unreachable.iter() {
        drop_references(source, &mut freed, &mut held);
    }
    while let Some(source) = freed.pop() {
        drop_references(source, &mut freed, &mut held);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;
    use proptest::prelude::*;

    fn graph(nodes: usize, edges: &[(u32, u32, EdgeKind)]) -> Adjacency {
        Adjacency::build(nodes, |range, builder| {
            for node in range {
                for &(_, to, kind) in edges.iter().filter(|edge| edge.0 == node) {
                    builder.edge(Edge::new(to, kind));
                }
                builder.end_node();
            }
        })
    }

    use EdgeKind::{Owned, Visited, Weak};

    fn held(edges: &[(u32, u32, EdgeKind)], refcounts: &[u64], garbage: &[u32]) -> Vec<u32> {
        let nodes = refcounts.len();
        let unreachable = NodeSet::from_nodes(nodes, garbage.iter().copied());
        let count = |node: u32| refcounts.get(node as usize).copied();
        held_only_by(&graph(nodes, edges), &unreachable, |_| true, count).iter().collect()
    }

    #[test]
    fn what_only_garbage_refers_to_goes_with_it() {
        // 0 and 1 are garbage; 2 is theirs alone, 3 its; 4 has another holder, 5 is only weakly referred to.
        let edges = [
            (0, 1, Visited),
            (1, 0, Visited),
            (0, 2, Visited),
            (1, 2, Owned),
            (2, 3, Visited),
            (1, 4, Visited),
            (1, 5, Weak),
        ];
        assert_eq!(held(&edges, &[1, 1, 2, 1, 2, 1], &[0, 1]), [2, 3]);
    }

    #[test]
    fn two_references_of_one_holder_are_two_counts() {
        let edges = [(0, 0, Visited), (0, 1, Visited), (0, 1, Visited)];
        assert_eq!(held(&edges, &[1, 2], &[0]), [1]);
        assert_eq!(held(&edges, &[1, 3], &[0]), [0u32; 0]);
    }

    proptest! {
        #[test]
        fn agrees_with_freeing_one_by_one(list in proptest::collection::vec((0u32..12, 0u32..12), 0..40),
                                          extra in proptest::collection::vec(0u64..2, 12),
                                          garbage in proptest::collection::vec(0u32..12, 0..4)) {
            let edges: Vec<_> = list.iter().map(|&(from, to)| (from, to, Visited)).collect();
            let mut counts = extra;
            for &(_, to) in &list {
                counts[to as usize] += 1;
            }
            let mut gone: Vec<bool> = (0..12).map(|node| garbage.contains(&node)).collect();
            loop {
                let remaining = |node: usize| {
                    counts[node] - list.iter().filter(|&&(from, to)| to as usize == node && gone[from as usize]).count() as u64
                };
                let touched = |node: usize| list.iter().any(|&(from, to)| to as usize == node && gone[from as usize]);
                let next = (0..12).find(|&node| !gone[node] && touched(node) && remaining(node) == 0);
                match next {
                    Some(node) => gone[node] = true,
                    None => break,
                }
            }
            let expected: Vec<u32> = (0..12).filter(|&node| gone[node as usize] && !garbage.contains(&node)).collect();
            prop_assert_eq!(held(&edges, &counts, &garbage), expected);
        }
    }
}
