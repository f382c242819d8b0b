//! Nodes whose dominator is plain to see: those that lead nowhere and that one edge only leads to.
//!
//! Knows how often each node is referred to, up to two; refuses to know what can be reached. In a heap most objects are
//! of this kind (the strings and numbers that one container holds), and none of them can be on the way to another.

use rayon::prelude::*;

use super::super::{Adjacency, AtomicNodeSet, BlockView, EdgeKind, NodeSet};

const WORD_BITS: u32 = 64;
const BLOCK_WORDS: usize = Adjacency::BLOCK / WORD_BITS as usize;

/// What the search needs not look at twice. Edges to roots, edges of a node to itself and edges that are not kept count
/// for nothing here: they change no dominator.
#[derive(Debug)]
pub struct Shape {
    /// Nodes without an edge.
    pub leaves: NodeSet,
    /// Those of the leaves that exactly one edge leads to, roots excepted. Its source dominates such a node.
    pub pendants: NodeSet,
}

impl Shape {
    /// Looks at every edge once, in parallel.
    pub fn of(graph: &Adjacency, roots: &NodeSet, keep: impl Fn(EdgeKind) -> bool + Sync) -> Shape {
        let nodes = graph.nodes();
        let (leaves, once, twice) =
            (AtomicNodeSet::new(nodes), AtomicNodeSet::new(nodes), AtomicNodeSet::new(nodes));
        graph.par_blocks().for_each_init(Within::default, |within, block| {
            within.begin(block);
            for (source, edges) in block.iter() {
                let mut is_leaf = true;
                for edge in edges {
                    let target = edge.target();
                    if target == source || roots.contains(target) || !keep(edge.kind()) {
                        continue;
                    }
                    is_leaf = false;
                    // Most edges stay in their block, where no other thread counts.
                    if !within.count(target) && !once.insert(target) {
                        twice.insert(target);
                    }
                }
                if is_leaf {
                    within.leaf(source);
                }
            }
            within.pour(&leaves, &once, &twice);
        });
        let (leaves, twice) = (leaves.into_set(), twice.into_set());
        let mut pendants = once.into_set();
        pendants.intersect_with(&leaves);
        pendants.subtract(&twice);
        Shape { leaves, pendants }
    }
}

/// What the block at hand tells of its own nodes, which no other thread looks at meanwhile.
#[derive(Debug)]
struct Within {
    first: u32,
    leaves: Vec<u64>,
    once: Vec<u64>,
    twice: Vec<u64>,
}

impl Default for Within {
    fn default() -> Self {
        let none = || vec![0; BLOCK_WORDS];
        Within { first: 0, leaves: none(), once: none(), twice: none() }
    }
}

impl Within {
    fn begin(&mut self, block: BlockView<'_>) {
        self.first = block.first;
    }

    /// Counts an edge to `target`, if that is in the block.
    #[inline]
    fn count(&mut self, target: u32) -> bool {
        let word = (target.wrapping_sub(self.first) / WORD_BITS) as usize;
        let (Some(once), Some(twice)) = (self.once.get_mut(word), self.twice.get_mut(word)) else {
            return false;
        };
        let bit = 1 << (target % WORD_BITS);
        *twice |= *once & bit;
        *once |= bit;
        true
    }

    fn leaf(&mut self, node: u32) {
        if let Some(word) = self.leaves.get_mut((node.wrapping_sub(self.first) / WORD_BITS) as usize) {
            *word |= 1 << (node % WORD_BITS);
        }
    }

    /// Adds what the block tells to what all tell, and starts anew.
    fn pour(&mut self, leaves: &AtomicNodeSet, once: &AtomicNodeSet, twice: &AtomicNodeSet) {
        let first = self.first as usize / WORD_BITS as usize;
        let counts = self.once.iter_mut().zip(&mut self.twice);
        for (word, (leaf, (mine, again))) in (first..).zip(self.leaves.iter_mut().zip(counts)) {
            leaves.insert_word(word, std::mem::take(leaf));
            let before = once.insert_word(word, std::mem::take(mine));
            twice.insert_word(word, std::mem::take(again) | before);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::test_graphs;
    use super::*;

    proptest! {
        #[test]
        fn counts_as_one_would_by_hand(spread in test_graphs::spreads(),
                                       (nodes, list) in test_graphs::edge_lists(40, 60),
                                       roots in test_graphs::node_sets(40)) {
            let (nodes, list) = test_graphs::spread_out(nodes, &list, spread);
            let roots = NodeSet::from_nodes(nodes, roots.iter().map(|root| root * spread));
            let graph = test_graphs::graph(nodes, &list);
            let kept = |kind: EdgeKind| kind != EdgeKind::Weak;
            let counting: Vec<_> = list
                .iter()
                .filter(|&&(from, to, kind)| kept(kind) && from != to && !roots.contains(to))
                .collect();
            let is_leaf = |node| counting.iter().all(|edge| edge.0 != node);
            let referred = |node| counting.iter().filter(|edge| edge.1 == node).count();
            for threads in [1, 3] {
                let shape = test_graphs::on_threads(threads, || Shape::of(&graph, &roots, kept));
                for node in (0..nodes as u32).step_by(spread as usize) {
                    prop_assert_eq!(shape.leaves.contains(node), is_leaf(node));
                    prop_assert_eq!(shape.pendants.contains(node), is_leaf(node) && referred(node) == 1);
                }
            }
        }
    }
}
