//! Dominators against petgraph's, and retained sums against what is lost without a node.

use ::petgraph::algo::dominators::simple_fast;
use proptest::prelude::*;

use super::super::test_graphs::{self, EdgeList, strong};
use super::super::{reachable, reachable_within};
use super::*;

fn tree(graph: &Adjacency, roots: &NodeSet) -> DominatorTree {
    DominatorTree::new(graph, roots, strong)
}

/// The graph of strong edges with one more node that leads to every root.
fn retained(tree: &DominatorTree, weight: impl Fn(u32) -> u64) -> Vec<u64> {
    tree.retained((0..tree.nodes() as u32).map(weight).collect())
}

fn with_root_node(nodes: usize, list: &EdgeList, roots: &NodeSet) -> Adjacency {
    let mut list: EdgeList = list.iter().copied().filter(|edge| strong(edge.2)).collect();
    let inside = roots.iter().filter(|&root| (root as usize) < nodes);
    list.extend(inside.map(|root| (nodes as u32, root, EdgeKind::Visited)));
    test_graphs::graph(nodes + 1, &list)
}

proptest! {
    #[test]
    fn agree_with_simple_fast((nodes, list) in test_graphs::edge_lists(40, 90), roots in test_graphs::node_sets(45)) {
        let graph = test_graphs::graph(nodes, &list);
        let found = tree(&graph, &roots);
        let expected = simple_fast(&with_root_node(nodes, &list, &roots), nodes as u32);
        for node in 0..nodes as u32 {
            let dominator = expected.immediate_dominator(node);
            prop_assert_eq!(found.is_reachable(node), dominator.is_some());
            prop_assert_eq!(found.idom(node), dominator.filter(|&dominator| dominator != nodes as u32));
        }
        prop_assert_eq!(found.top().count(), (0..nodes as u32)
            .filter(|&node| expected.immediate_dominator(node) == Some(nodes as u32)).count());
        let nesting = found.nesting();
        let nearest = found.nearest(u32::MAX, |node| (node % 3 == 0).then_some(node));
        for node in 0..nodes as u32 {
            let mut way = Some(node).filter(|&node| found.is_reachable(node)).into_iter().chain(found.dominators(node));
            prop_assert_eq!(nearest[node as usize], way.find(|node| node % 3 == 0).unwrap_or(u32::MAX));
            let mut below: Vec<u32> = nesting.children(node).collect();
            below.sort_unstable();
            let expected: Vec<u32> = (0..nodes as u32).filter(|&n| found.idom(n) == Some(node)).collect();
            prop_assert_eq!(below, expected);
        }
    }

    #[test]
    fn agree_on_trees_and_chains(parents in proptest::collection::vec(0u32..1000, 1..300), shape in 0u32..3,
                                 extra in proptest::collection::vec((0u32..300, 0u32..300), 0..6)) {
        let nodes = parents.len() as u32 + 1;
        let parent = |(node, &choice): (u32, &u32)| match shape {
            0 => (node - 1, node, EdgeKind::Visited),
            1 => (choice % node, node, EdgeKind::Visited),
            _ => (node.saturating_sub(1 + choice % 3), node, EdgeKind::Owned),
        };
        let mut list: EdgeList = (1..).zip(&parents).map(parent).collect();
        list.extend(extra.iter().map(|&(from, to)| (from % nodes, to % nodes, EdgeKind::Visited)));
        list.sort_by_key(|edge| edge.0);
        let graph = test_graphs::graph(nodes as usize, &list);
        let roots = NodeSet::from_nodes(nodes as usize, [0]);
        let expected = simple_fast(&graph, 0);
        let found = tree(&graph, &roots);
        for node in 1..nodes {
            prop_assert_eq!(found.idom(node), expected.immediate_dominator(node));
        }
        let mut sums = vec![0u64; nodes as usize];
        for node in 0..nodes {
            for above in std::iter::once(node).chain(found.dominators(node)) {
                sums[above as usize] += 1;
            }
        }
        prop_assert_eq!(retained(&found, |_| 1), sums);
    }

    #[test]
    fn order_puts_every_node_below_its_dominator((nodes, list) in test_graphs::edge_lists(40, 90),
                                                 roots in test_graphs::node_sets(45)) {
        let found = tree(&test_graphs::graph(nodes, &list), &roots);
        let mut order = found.order().to_vec();
        let place = |node| found.order().iter().position(|&other| other == node);
        for node in 0..nodes as u32 {
            prop_assert_eq!(place(node).is_some(), found.is_reachable(node));
            prop_assert!(found.idom(node).is_none_or(|idom| place(idom) < place(node)));
        }
        order.sort_unstable();
        prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "each once");
    }

    #[test]
    fn roots_may_come_late((nodes, list) in test_graphs::edge_lists(40, 70), first in test_graphs::node_sets(40),
                           late in test_graphs::node_sets(40)) {
        let graph = test_graphs::graph(nodes, &list);
        let mut unreached = NodeSet::full(nodes);
        unreached.subtract(&reachable(&graph, &first, strong));
        let mut all = late.clone();
        all.intersect_with(&unreached);
        all.union_with(&first);
        let at_once = tree(&graph, &all);
        let found = DominatorTree::with_more_roots(&graph, &first, strong, |rest| {
            assert_eq!(*rest, unreached);
            late.clone()
        });
        for node in 0..nodes as u32 {
            prop_assert_eq!(found.is_reachable(node), at_once.is_reachable(node));
            prop_assert_eq!(found.idom(node), at_once.idom(node));
        }
        prop_assert_eq!(retained(&found, u64::from), retained(&at_once, u64::from));
    }

    #[test]
    fn do_not_depend_on_threads((nodes, list) in test_graphs::edge_lists(60, 150), spread in test_graphs::spreads(),
                                roots in test_graphs::node_sets(60)) {
        let (nodes, list) = test_graphs::spread_out(nodes, &list, spread);
        let roots = NodeSet::from_nodes(nodes, roots.iter().map(|root| root * spread));
        let graph = test_graphs::graph(nodes, &list);
        let on = |threads| test_graphs::on_threads(threads, || {
            let found = tree(&graph, &roots);
            (retained(&found, u64::from), found.order, found.idom)
        });
        let one = on(1);
        prop_assert_eq!(&on(2), &one);
        prop_assert_eq!(&on(4), &one);
    }

    #[test]
    fn retain_what_is_lost_without_the_node((nodes, list) in test_graphs::edge_lists(30, 70),
                                            roots in test_graphs::node_sets(30)) {
        let graph = test_graphs::graph(nodes, &list);
        let weight = |node: u32| 1 + u64::from(node) * 100;
        let retained = retained(&tree(&graph, &roots), weight);
        let before = reachable(&graph, &roots, strong);
        for node in 0..nodes as u32 {
            let mut others = NodeSet::full(nodes);
            others.remove(node);
            let mut lost = before.clone();
            lost.subtract(&reachable_within(&graph, &roots, &others, strong));
            prop_assert_eq!(retained[node as usize], lost.iter().map(weight).sum::<u64>());
        }
    }
}

#[test]
fn a_long_chain_needs_no_recursion() {
    let nodes = 300_000u32;
    // Each node also leads back to the first, so that every predecessor list is walked and paths are long.
    let list: EdgeList = (0..nodes - 1)
        .flat_map(|node| [(node, node + 1, EdgeKind::Visited), (node, 0, EdgeKind::Visited)])
        .collect();
    let graph = test_graphs::graph(nodes as usize, &list);
    let found = tree(&graph, &NodeSet::from_nodes(nodes as usize, [0]));
    assert!((1..nodes).all(|node| found.idom(node) == Some(node - 1)));
    let retained = retained(&found, |_| 1);
    assert!((0..nodes).all(|node| retained[node as usize] == u64::from(nodes - node)));
    assert_eq!(found.dominators(nodes - 1).count(), nodes as usize - 1);
}

#[test]
fn sums_do_not_overflow() {
    let graph = test_graphs::graph(2, &vec![(0, 1, EdgeKind::Owned)]);
    let found = tree(&graph, &NodeSet::from_nodes(2, [0]));
    assert_eq!(retained(&found, |_| u64::MAX - 1), [u64::MAX, u64::MAX - 1]);
}
