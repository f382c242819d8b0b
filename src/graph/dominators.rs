//! Dominators from a virtual root above all roots, and what each node retains.
//!
//! Knows the SEMI-NCA algorithm (Georgiadis, "Linear-Time Algorithms for Dominators and Related Problems", 2005):
//! semidominators by path compression as Lengauer and Tarjan have it, then the nearest common ancestor by walking
//! up. Refuses to know weights before they are asked for, and what roots are.

use super::{Adjacency, BlockBuilder, Edge, EdgeKind, NodeSet};

/// No number: the node is not reached.
const NONE: u32 = u32::MAX;

/// Search number of the virtual root; the nodes reached have numbers from 1.
const VIRTUAL_ROOT: u32 = 0;

/// In [`DominatorTree::idom`]: directly below the virtual root. No node has this number ([`Edge::MAX_NODES`]).
const TOP: u32 = u32::MAX - 1;

/// For every reachable node the last node that all paths from the roots to it pass.
#[derive(Clone, Debug)]
pub struct DominatorTree {
    /// Node, `TOP` or `NONE`.
    idom: Vec<u32>,
    /// The reachable nodes so that every node comes after its dominator.
    order: Vec<u32>,
}

impl DominatorTree {
    /// The dominators of the nodes reachable from `roots` over edges of a kept kind. `backward` is `forward`
    /// transposed, with the kept kinds at least.
    pub fn new(
        forward: &Adjacency,
        backward: &Adjacency,
        roots: &NodeSet,
        keep: impl Fn(EdgeKind) -> bool,
    ) -> DominatorTree {
        let search = Search::run(forward, roots, &keep);
        let semi = Linking::run(&search, backward, roots, &keep);
        let idom_number = nearest_common_ancestors(search.parent, semi);
        let mut idom = search.number;
        idom.fill(NONE);
        for (node, dominator) in search.vertex.iter().zip(&idom_number).skip(1) {
            if let Some(slot) = idom.get_mut(*node as usize) {
                *slot = match *dominator {
                    VIRTUAL_ROOT => TOP,
                    number => search.vertex.get(number as usize).copied().unwrap_or(TOP),
                };
            }
        }
        let mut order = search.vertex;
        order.remove(0);
        DominatorTree { idom, order }
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
        std::iter::successors(self.idom(node), |&node| self.idom(node))
    }

    /// What would go with each node: its own weight and that of all nodes it dominates; 0 for unreachable nodes.
    /// Sums stop at `u64::MAX`.
    pub fn retained(&self, weight: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut retained = vec![0u64; self.idom.len()];
        for &node in self.order.iter().rev() {
            let Some(sum) = retained.get_mut(node as usize) else { continue };
            *sum = sum.saturating_add(weight(node));
            let sum = *sum;
            if let Some(above) = self.idom(node).and_then(|idom| retained.get_mut(idom as usize)) {
                *above = above.saturating_add(sum);
            }
        }
        retained
    }

    /// The tree downwards: for every node the nodes it dominates immediately, ascending.
    pub fn children(&self) -> Adjacency {
        let upwards = |range: std::ops::Range<u32>, builder: &mut BlockBuilder| {
            for node in range {
                if let Some(idom) = self.idom(node) {
                    builder.edge(Edge::new(idom, EdgeKind::Owned));
                }
                builder.end_node();
            }
        };
        Adjacency::build(self.nodes(), upwards).transpose(|_| true)
    }

    /// Bytes the tree takes.
    pub fn bytes(&self) -> usize {
        (self.idom.len() + self.order.len()) * size_of::<u32>()
    }
}

/// A depth-first search from the virtual root: search numbers are in order of discovery.
struct Search {
    /// By node: its number or `NONE`.
    number: Vec<u32>,
    /// By number: the node; `NONE` for the virtual root.
    vertex: Vec<u32>,
    /// By number: the number of the node it was discovered from.
    parent: Vec<u32>,
}

impl Search {
    fn run(graph: &Adjacency, roots: &NodeSet, keep: &impl Fn(EdgeKind) -> bool) -> Search {
        let mut search =
            Search { number: vec![NONE; graph.nodes()], vertex: vec![NONE], parent: vec![VIRTUAL_ROOT] };
        // The nodes on the current path, each with the edge it goes on with.
        let mut path: Vec<(u32, u32)> = Vec::new();
        for root in roots.iter() {
            let Some(number) = search.discover(root, VIRTUAL_ROOT) else { continue };
            path.push((number, 0));
            while let Some((number, next)) = path.last_mut() {
                let number = *number;
                let node = search.vertex.get(number as usize).copied().unwrap_or(NONE);
                let rest = graph.of(node).get(*next as usize..).unwrap_or_default();
                let mut discovered = None;
                for edge in rest {
                    *next += 1;
                    if keep(edge.kind()) {
                        discovered = search.discover(edge.target(), number);
                        if discovered.is_some() {
                            break;
                        }
                    }
                }
                match discovered {
                    Some(number) => path.push((number, 0)),
                    None => drop(path.pop()),
                }
            }
        }
        search
    }

    /// Numbers `node` if it has no number yet.
    fn discover(&mut self, node: u32, parent: u32) -> Option<u32> {
        let number = self.number.get_mut(node as usize).filter(|number| **number == NONE)?;
        *number = self.vertex.len() as u32;
        self.vertex.push(node);
        self.parent.push(parent);
        Some(*number)
    }
}

/// The forest of nodes processed so far, all by search number.
struct Linking {
    /// Some proper ancestor of each node: its parent at first, then higher as paths are compressed.
    ancestor: Vec<u32>,
    /// The smallest semidominator on the way from the node up to, not including, its ancestor.
    least: Vec<u32>,
    /// The nodes on the way up being compressed.
    way: Vec<u32>,
}

impl Linking {
    /// The semidominators.
    fn run(
        search: &Search,
        backward: &Adjacency,
        roots: &NodeSet,
        keep: &impl Fn(EdgeKind) -> bool,
    ) -> Vec<u32> {
        let count = search.vertex.len() as u32;
        let mut linking =
            Linking { ancestor: search.parent.clone(), least: (0..count).collect(), way: Vec::new() };
        let mut semi: Vec<u32> = (0..count).collect();
        for number in (1..count).rev() {
            let node = search.vertex.get(number as usize).copied().unwrap_or(NONE);
            let mut lowest = if roots.contains(node) { VIRTUAL_ROOT } else { number };
            for edge in backward.of(node) {
                if lowest == VIRTUAL_ROOT {
                    break;
                }
                if keep(edge.kind())
                    && let Some(&source) = search.number.get(edge.target() as usize)
                    && source != NONE
                {
                    // A source discovered before this node is its own candidate; a later one has been linked.
                    let candidate =
                        if source <= number { source } else { linking.least_above(source, number) };
                    lowest = lowest.min(candidate);
                }
            }
            if let (Some(semi), Some(least)) =
                (semi.get_mut(number as usize), linking.least.get_mut(number as usize))
            {
                *semi = lowest;
                *least = lowest;
            }
        }
        semi
    }

    /// The smallest semidominator among `number` and those of its ancestors that have been processed, which are the
    /// ones with a number above `current`. All nodes on the way are then linked to the first one beyond it.
    fn least_above(&mut self, number: u32, current: u32) -> u32 {
        let mut top = number;
        loop {
            let ancestor = at(&self.ancestor, top);
            if ancestor <= current {
                break;
            }
            self.way.push(top);
            top = ancestor;
        }
        let (mut least, target) = (at(&self.least, top), at(&self.ancestor, top));
        while let Some(passed) = self.way.pop() {
            least = least.min(at(&self.least, passed));
            if let (Some(ancestor), Some(own)) =
                (self.ancestor.get_mut(passed as usize), self.least.get_mut(passed as usize))
            {
                *ancestor = target;
                *own = least;
            }
        }
        least
    }
}

fn at(column: &[u32], number: u32) -> u32 {
    column.get(number as usize).copied().unwrap_or(VIRTUAL_ROOT)
}

/// The immediate dominator by number: the nearest ancestor in the search tree that is not above the semidominator
/// in number, found along the dominators of the parent, which are known already. `parent` becomes the answer.
fn nearest_common_ancestors(mut parent: Vec<u32>, semi: Vec<u32>) -> Vec<u32> {
    for (number, &semi) in (0u32..).zip(&semi).skip(1) {
        let mut dominator = at(&parent, number);
        while dominator > semi {
            dominator = at(&parent, dominator);
        }
        if let Some(slot) = parent.get_mut(number as usize) {
            *slot = dominator;
        }
    }
    parent
}

#[cfg(test)]
mod tests {
    use ::petgraph::algo::dominators::simple_fast;
    use proptest::prelude::*;

    use super::super::test_graphs::{self, EdgeList};
    use super::super::{reachable, reachable_within};
    use super::*;

    fn strong(kind: EdgeKind) -> bool {
        matches!(kind, EdgeKind::Visited | EdgeKind::Owned)
    }

    fn tree(graph: &Adjacency, roots: &NodeSet) -> DominatorTree {
        DominatorTree::new(graph, &graph.transpose(strong), roots, strong)
    }

    /// The graph of strong edges with one more node that leads to every root.
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
            let children = found.children();
            for node in 0..nodes as u32 {
                let below: Vec<u32> = children.of(node).iter().map(|edge| edge.target()).collect();
                let expected: Vec<u32> = (0..nodes as u32).filter(|&n| found.idom(n) == Some(node)).collect();
                prop_assert_eq!(below, expected);
            }
        }

        #[test]
        fn retain_what_is_lost_without_the_node((nodes, list) in test_graphs::edge_lists(30, 70),
                                                roots in test_graphs::node_sets(30)) {
            let graph = test_graphs::graph(nodes, &list);
            let weight = |node: u32| 1 + u64::from(node) * 100;
            let retained = tree(&graph, &roots).retained(weight);
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
        let retained = found.retained(|_| 1);
        assert!((0..nodes).all(|node| retained[node as usize] == u64::from(nodes - node)));
        assert_eq!(found.dominators(nodes - 1).count(), nodes as usize - 1);
    }

    #[test]
    fn sums_do_not_overflow() {
        let graph = test_graphs::graph(2, &vec![(0, 1, EdgeKind::Owned)]);
        let found = tree(&graph, &NodeSet::from_nodes(2, [0]));
        assert_eq!(found.retained(|_| u64::MAX - 1), [u64::MAX, u64::MAX - 1]);
    }
}
