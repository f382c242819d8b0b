//! Single edges on which everything below a node depends.
//!
//! Knows that the edge to a dominated node may be the only way to it; refuses to say which of them is worth cutting.

use super::{Adjacency, DominatorTree, EdgeKind, Nesting, NodeSet};

/// More than one edge, which need not be counted further.
const MANY: u8 = 2;

/// Nodes that depend on one edge, or on being a root.
#[derive(Clone, Debug)]
pub struct SoleEdges {
    /// The nodes, no roots, that exactly one edge leads to from reachable nodes that are not below them: without that
    /// edge, from their immediate dominator, they and all they dominate are lost. Parallel edges count each.
    pub one: NodeSet,
    /// The roots that no such edge leads to: were they no roots, they and all they dominate would be lost.
    pub none: NodeSet,
}

/// Those of `candidates` that depend on one edge, or on being a root. `nesting` is the dominator tree's.
pub fn sole_edges(
    forward: &Adjacency,
    roots: &NodeSet,
    tree: &DominatorTree,
    nesting: &Nesting,
    candidates: &NodeSet,
    keep: impl Fn(EdgeKind) -> bool,
) -> SoleEdges {
    let mut edges = vec![0u8; forward.nodes()];
    for block in forward.blocks() {
        for (source, list) in block.iter().filter(|&(source, _)| tree.is_reachable(source)) {
            for edge in list.iter().filter(|edge| candidates.contains(edge.target())) {
                let target = edge.target();
                if keep(edge.kind())
                    && !nesting.contains(target, source)
                    && let Some(count) = edges.get_mut(target as usize)
                {
                    *count = (*count + 1).min(MANY);
                }
            }
        }
    }
    let having = |wanted: u8, root: bool| {
        let passes = |node: u32| {
            candidates.contains(node)
                && roots.contains(node) == root
                && tree.is_reachable(node)
                && edges.get(node as usize) == Some(&wanted)
        };
        NodeSet::passing(forward.nodes(), passes)
    };
    SoleEdges { one: having(1, false), none: having(0, true) }
}

#[cfg(test)]
mod tests {
    use super::super::reachable;
    use super::super::test_graphs::{self, strong};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_those_without_which_the_node_is_lost((nodes, list) in test_graphs::edge_lists(25, 50),
                                                    roots in test_graphs::node_sets(25)) {
            let forward = test_graphs::graph(nodes, &list);
            let tree = DominatorTree::new(&forward, &roots, strong);
            let nesting = tree.nesting();
            let before = reachable(&forward, &roots, strong);
            let sole = sole_edges(&forward, &roots, &tree, &nesting, &before, strong);
            for node in 0..nodes as u32 {
                let mut fatal = 0;
                for (index, &(from, to, kind)) in list.iter().enumerate() {
                    if to != node || !strong(kind) || !before.contains(from) {
                        continue;
                    }
                    let mut cut = list.clone();
                    cut.remove(index);
                    let mut lost = before.clone();
                    lost.subtract(&reachable(&test_graphs::graph(nodes, &cut), &roots, strong));
                    if lost.contains(node) {
                        fatal += 1;
                        prop_assert_eq!(tree.idom(node), Some(from));
                        prop_assert_eq!(lost.len(), nesting.size(node) as usize);
                    }
                }
                prop_assert_eq!(fatal, usize::from(sole.one.contains(node)));
                let mut others = roots.clone();
                others.remove(node);
                let lost = before.contains(node) && !reachable(&forward, &others, strong).contains(node);
                prop_assert_eq!(roots.contains(node) && lost, sole.none.contains(node));
            }
        }
    }
}
