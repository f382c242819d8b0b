//! Which nodes can be reached from given nodes.
//!
//! Knows marking, in parallel, over edges of chosen kinds; refuses to know by which path a node was reached.

use rayon::prelude::*;

use super::{Adjacency, AtomicNodeSet, Edge, EdgeKind, NodeSet};

/// A thread with more nodes to visit than this gives half of them away.
const SHARE_ABOVE: usize = 2048;

/// Starting nodes are handed out in groups of this many.
const ROOTS_AT_ONCE: usize = 256;

/// `roots` and all nodes reached from them over edges of a kept kind.
pub fn reachable(graph: &Adjacency, roots: &NodeSet, keep: impl Fn(EdgeKind) -> bool + Sync) -> NodeSet {
    mark(graph, roots, |_, edge| keep(edge.kind()))
}

/// `roots` and all nodes reached from them over edges that `follow`, told the source of each, admits.
pub fn reachable_over(
    graph: &Adjacency,
    roots: &NodeSet,
    follow: impl Fn(u32, Edge) -> bool + Sync,
) -> NodeSet {
    mark(graph, roots, follow)
}

/// As [`reachable`], never entering or starting from a node outside `within`.
pub fn reachable_within(
    graph: &Adjacency,
    roots: &NodeSet,
    within: &NodeSet,
    keep: impl Fn(EdgeKind) -> bool + Sync,
) -> NodeSet {
    let mut roots = roots.clone();
    roots.intersect_with(within);
    mark(graph, &roots, |_, edge| keep(edge.kind()) && within.contains(edge.target()))
}

/// Marks from `roots` over the edges that `follow` admits.
///
/// Each thread goes depth first with a stack of its own, which keeps it near where it is; a node belongs to the
/// thread whose insertion into the shared bitmap came first, so it is visited once. The set reached does not depend
/// on who was first.
pub(super) fn mark<F>(graph: &Adjacency, roots: &NodeSet, follow: F) -> NodeSet
where
    F: Fn(u32, Edge) -> bool + Sync,
{
    let marked = AtomicNodeSet::new(graph.nodes());
    let roots: Vec<u32> = roots.iter().filter(|&root| marked.insert(root)).collect();
    rayon::scope(|scope| {
        roots
            .par_chunks(ROOTS_AT_ONCE)
            .for_each(|chunk| visit(scope, graph, &marked, &follow, chunk.to_vec()));
    });
    marked.into_set()
}

/// Visits everything still unmarked behind the nodes on `stack`, which are marked already.
fn visit<'s, F>(
    scope: &rayon::Scope<'s>,
    graph: &'s Adjacency,
    marked: &'s AtomicNodeSet,
    follow: &'s F,
    mut stack: Vec<u32>,
) where
    F: Fn(u32, Edge) -> bool + Sync,
{
    while let Some(node) = stack.pop() {
        let found = graph.of(node).iter().filter(|&&edge| follow(node, edge)).map(|edge| edge.target());
        stack.extend(found.filter(|&target| marked.insert(target)));
        if stack.len() > SHARE_ABOVE {
            // The older half: what lies deepest in the stack is usually farthest from here.
            let rest = stack.split_off(stack.len() / 2);
            let given = std::mem::replace(&mut stack, rest);
            scope.spawn(move |scope| visit(scope, graph, marked, follow, given));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_graphs::{self, EdgeList};
    use super::*;

    /// Adds targets until nothing changes.
    fn naive(
        nodes: usize,
        list: &EdgeList,
        roots: &NodeSet,
        follow: impl Fn(u32, EdgeKind) -> bool,
    ) -> NodeSet {
        let mut reached = NodeSet::from_nodes(nodes, roots.iter());
        while list.iter().fold(false, |grew, &(from, to, kind)| {
            (reached.contains(from) && follow(to, kind) && reached.insert(to)) || grew
        }) {}
        reached
    }

    proptest! {
        #[test]
        fn reaches_what_the_naive_closure_reaches((nodes, list) in test_graphs::edge_lists(50, 120),
                                                  roots in test_graphs::node_sets(60),
                                                  within in test_graphs::node_sets(60)) {
            let graph = test_graphs::graph(nodes, &list);
            let strong = |kind| kind != EdgeKind::Weak;
            let mut inner = NodeSet::from_nodes(nodes, roots.iter());
            inner.intersect_with(&within);
            for threads in [1, 2] {
                test_graphs::on_threads(threads, || {
                    let all = naive(nodes, &list, &roots, |_, kind| strong(kind));
                    prop_assert_eq!(reachable(&graph, &roots, strong), all);
                    let some = naive(nodes, &list, &inner, |to, kind| strong(kind) && within.contains(to));
                    prop_assert_eq!(reachable_within(&graph, &roots, &within, strong), some);
                    let cut = reachable_over(&graph, &roots, |from, edge| from % 3 != 0 && strong(edge.kind()));
                    let kept: EdgeList = list.iter().copied().filter(|edge| edge.0 % 3 != 0).collect();
                    prop_assert_eq!(cut, naive(nodes, &kept, &roots, |_, kind| strong(kind)));
                    Ok(())
                })?;
            }
        }
    }

    #[test]
    fn a_wide_graph_is_shared_and_still_complete() {
        // One hub with more targets than a thread keeps to itself, each with a short chain behind it.
        let hub_targets = 5 * SHARE_ABOVE as u32;
        let nodes = 1 + 3 * hub_targets;
        let graph = Adjacency::build(nodes as usize + 1, |range, builder| {
            for node in range {
                let targets = match node {
                    0 => 1..hub_targets + 1,
                    node if node <= 2 * hub_targets => node + hub_targets..node + hub_targets + 1,
                    _ => 0..0,
                };
                targets.for_each(|target| builder.edge(Edge::new(target, EdgeKind::Visited)));
                builder.end_node();
            }
        });
        for threads in [1, 2, 4] {
            let found = test_graphs::on_threads(threads, || {
                reachable(&graph, &NodeSet::from_nodes(graph.nodes(), [0]), |_| true)
            });
            // The last node has no edge to it.
            assert_eq!(found, NodeSet::from_nodes(graph.nodes(), 0..nodes));
        }
    }
}
