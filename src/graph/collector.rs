//! Trial deletion: which nodes a reference-counting cycle collector would find unreachable.
//!
//! Knows counts, edges and sets; refuses to know what is counted, why a node is a candidate and what happens to the
//! unreachable. The algorithm is that of `subtract_refs` and `move_unreachable` (Modules/gcmodule.c, 3.12): the
//! references that come from the candidates themselves are subtracted from each candidate's count; what is left over
//! comes from outside, and whatever such a candidate reaches is alive.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::reach::mark;
use super::{Adjacency, EdgeKind, NodeSet, reachable_within};

/// At most this many inconsistent nodes are listed.
const MAX_NEGATIVE: usize = 1000;

/// Slots for popular nodes in a [`Tally`]: few enough to stay in the first-level cache.
const POPULAR_SLOTS: usize = 1024;

/// What the collector starts from.
#[derive(Clone, Copy, Debug)]
pub struct TrialInput<'a> {
    /// All references; only those of kind [`EdgeKind::Visited`] are subtracted and followed.
    pub graph: &'a Adjacency,
    /// The nodes under trial: what the collector has on its lists.
    pub candidates: &'a NodeSet,
    /// For every node its reference count, at most `u32::MAX`; a node beyond the slice has none.
    pub refcounts: &'a [u32],
    /// Candidates that are held whatever their count says.
    pub pinned: &'a NodeSet,
}

/// What the collector finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Candidates that nothing outside the candidates holds, directly or through other candidates: garbage.
    pub unreachable: NodeSet,
    /// Candidates with more references than the candidates account for, pinned or inconsistent ones: held from
    /// outside.
    pub held: NodeSet,
    /// Candidates with more references from candidates than their count: the graph or the count is wrong. They are
    /// taken for held. The first thousand, ascending.
    pub negative: Vec<u32>,
    /// How many such candidates there are.
    pub negative_total: u64,
}

/// Runs trial deletion on the candidates.
pub fn trial_deletion(input: TrialInput<'_>) -> Trial {
    let internal = internal_references(input.graph, input.candidates, |kind| kind == EdgeKind::Visited);
    let (held, negative) = held_from_outside(input, &internal);
    drop(internal);
    let mut unreachable = input.candidates.clone();
    unreachable.subtract(&mark(input.graph, &held, |_, edge| {
        edge.is_visited() && input.candidates.contains(edge.target())
    }));
    let negative_total = negative.len() as u64;
    Trial { unreachable, held, negative: negative.iter().take(MAX_NEGATIVE).collect(), negative_total }
}

/// For every node the number of edges of a kept kind that come from `sources`; parallel edges count each. Counts
/// are modulo 2^32.
pub fn internal_references(
    graph: &Adjacency,
    sources: &NodeSet,
    keep: impl Fn(EdgeKind) -> bool + Sync,
) -> Vec<u32> {
    let total: Vec<AtomicU32> = (0..graph.nodes()).into_par_iter().map(|_| AtomicU32::new(0)).collect();
    graph.par_blocks().for_each_init(Tally::new, |tally, block| {
        let nodes = block.nodes();
        for (_, edges) in block.iter().filter(|&(node, _)| sources.contains(node)) {
            for edge in edges.iter().filter(|edge| keep(edge.kind())) {
                tally.count(nodes.start, edge.target(), &total);
            }
        }
        tally.pour(nodes.start, &total);
    });
    total.into_iter().map(AtomicU32::into_inner).collect()
}

/// One thread's counts while it goes through a block.
///
/// Most edges stay within their block, and of those that leave it most lead to a few popular nodes. Counting both
/// here saves most of the locked additions to the shared counts, and the fight over the popular ones.
struct Tally {
    /// By node of the block.
    within: Vec<u32>,
    /// A cache by low bits of the node, of (node, count) elsewhere.
    elsewhere: Vec<(u32, u32)>,
}

impl Tally {
    fn new() -> Self {
        Tally { within: vec![0; Adjacency::BLOCK], elsewhere: vec![(0, 0); POPULAR_SLOTS] }
    }

    #[inline]
    fn count(&mut self, first: u32, target: u32, total: &[AtomicU32]) {
        if let Some(count) = self.within.get_mut(target.wrapping_sub(first) as usize) {
            *count += 1;
        } else if let Some((node, count)) = self.elsewhere.get_mut(target as usize % POPULAR_SLOTS) {
            if *node != target {
                add(total, *node, *count);
                (*node, *count) = (target, 0);
            }
            *count += 1;
        }
    }

    /// Adds everything to the shared counts and starts anew.
    fn pour(&mut self, first: u32, total: &[AtomicU32]) {
        for (node, count) in (first..).zip(&mut self.within) {
            add(total, node, std::mem::take(count));
        }
        for (node, count) in &mut self.elsewhere {
            add(total, *node, std::mem::take(count));
        }
    }
}

fn add(total: &[AtomicU32], node: u32, count: u32) {
    if count != 0
        && let Some(total) = total.get(node as usize)
    {
        total.fetch_add(count, Ordering::Relaxed);
    }
}

/// The candidates held from outside, and those of them whose count is less than their internal references.
fn held_from_outside(input: TrialInput<'_>, internal: &[u32]) -> (NodeSet, NodeSet) {
    let judge = |(index, (&candidates, internal)): (usize, (&u64, &[u32]))| -> (u64, u64) {
        let first = index * 64;
        let refcounts =
            input.refcounts.get(first..).unwrap_or_default().iter().copied().chain(std::iter::repeat(0));
        let (mut held, mut negative) = (0, 0);
        for (bit, (&internal, refcount)) in internal.iter().zip(refcounts).enumerate() {
            held |= u64::from(refcount != internal) << bit;
            negative |= u64::from(refcount < internal) << bit;
        }
        let pinned = input.pinned.words().get(index).copied().unwrap_or(0);
        ((held | pinned) & candidates, negative & candidates)
    };
    let words = input.candidates.words().par_iter().zip(internal.par_chunks(64)).enumerate().map(judge);
    let (held, negative): (Vec<u64>, Vec<u64>) = words.unzip();
    let nodes = input.graph.nodes();
    (NodeSet::from_words(held, nodes), NodeSet::from_words(negative, nodes))
}

/// `start` and everything it reaches within `unreachable` over visited edges: what a collector must keep because an
/// old-style finalizer might still use it. Members of `start` outside `unreachable` do not count.
pub fn finalizer_closure(graph: &Adjacency, start: &NodeSet, unreachable: &NodeSet) -> NodeSet {
    reachable_within(graph, start, unreachable, |kind| kind == EdgeKind::Visited)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::test_graphs::{self, EdgeList};
    use super::*;

    /// Trial deletion as in a textbook: counts in a map, a work list.
    fn textbook(
        list: &EdgeList,
        candidates: &NodeSet,
        refcounts: &[u32],
        pinned: &NodeSet,
    ) -> (NodeSet, Vec<u32>) {
        let inner = |&&(from, to, kind): &&(u32, u32, EdgeKind)| {
            kind == EdgeKind::Visited && candidates.contains(from) && candidates.contains(to)
        };
        let mut left: BTreeMap<u32, i64> = candidates
            .iter()
            .map(|node| (node, refcounts.get(node as usize).copied().unwrap_or(0).into()))
            .collect();
        for (_, to, _) in list.iter().filter(inner) {
            *left.entry(*to).or_default() -= 1;
        }
        let mut work: Vec<u32> =
            candidates.iter().filter(|node| left[node] != 0 || pinned.contains(*node)).collect();
        let mut unreachable = candidates.clone();
        while let Some(node) = work.pop() {
            if unreachable.remove(node) {
                work.extend(list.iter().filter(inner).filter(|edge| edge.0 == node).map(|edge| edge.1));
            }
        }
        (unreachable, left.into_iter().filter(|&(_, left)| left < 0).map(|(node, _)| node).collect())
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook((nodes, list) in test_graphs::edge_lists(50, 110),
                                    others in test_graphs::node_sets(50),
                                    outside in proptest::collection::vec((0u32..50, 0u32..3), 0..12),
                                    missing in proptest::option::weighted(0.3, 0u32..50),
                                    pinned in test_graphs::node_sets(55)) {
            let graph = test_graphs::graph(nodes, &list);
            let mut candidates = NodeSet::full(nodes);
            candidates.subtract(&others);
            // Consistent counts: every strong edge from wherever, plus what is held from outside the graph; then
            // perhaps one reference too few somewhere.
            let mut refcounts = vec![0u32; nodes];
            for &(_, to, kind) in &list {
                refcounts[to as usize] += u32::from(matches!(kind, EdgeKind::Visited | EdgeKind::Owned));
            }
            for (node, count) in outside {
                if let Some(refcount) = refcounts.get_mut(node as usize) {
                    *refcount += count;
                }
            }
            if let Some(refcount) = missing.and_then(|node| refcounts.get_mut(node as usize)) {
                *refcount = refcount.saturating_sub(1);
            }
            let (unreachable, negative) = textbook(&list, &candidates, &refcounts, &pinned);
            let input =
                TrialInput { graph: &graph, candidates: &candidates, refcounts: &refcounts, pinned: &pinned };
            for threads in [1, 2] {
                let trial = test_graphs::on_threads(threads, || trial_deletion(input));
                prop_assert_eq!(&trial.unreachable, &unreachable);
                prop_assert_eq!(&trial.negative, &negative);
                prop_assert_eq!(trial.negative_total, negative.len() as u64);
                prop_assert!(!trial.held.intersects(&trial.unreachable));
                prop_assert!(negative.iter().all(|&node| trial.held.contains(node)));
            }
        }

        #[test]
        fn internal_references_are_counted_across_blocks((nodes, list) in test_graphs::edge_lists(12, 300),
                                                         sources in test_graphs::node_sets(12)) {
            // So far apart that the nodes lie in several blocks and share their slot among the popular ones.
            let spread = 16 * POPULAR_SLOTS as u32;
            let (wide, list) = test_graphs::spread_out(nodes, &list, spread);
            let sources = NodeSet::from_nodes(wide, sources.iter().map(|node| node * spread));
            let counted = |kind| matches!(kind, EdgeKind::Visited | EdgeKind::Owned);
            let mut expected = vec![0; wide];
            for &(_, to, _) in list.iter().filter(|edge| sources.contains(edge.0) && counted(edge.2)) {
                expected[to as usize] += 1;
            }
            let graph = test_graphs::graph(wide, &list);
            for threads in [1, 2] {
                let found = test_graphs::on_threads(threads, || internal_references(&graph, &sources, counted));
                prop_assert!(found == expected);
            }
        }

        #[test]
        fn finalizers_keep_what_they_reach((nodes, list) in test_graphs::edge_lists(40, 80),
                                           start in test_graphs::node_sets(40), unreachable in test_graphs::node_sets(40)) {
            let graph = test_graphs::graph(nodes, &list);
            let unreachable = NodeSet::from_nodes(nodes, unreachable.iter());
            let closure = finalizer_closure(&graph, &start, &unreachable);
            let mut expected = unreachable.clone();
            expected.intersect_with(&start);
            for _ in 0..nodes {
                for &(from, to, kind) in &list {
                    if kind == EdgeKind::Visited && expected.contains(from) && unreachable.contains(to) {
                        expected.insert(to);
                    }
                }
            }
            prop_assert_eq!(closure, expected);
        }
    }

    fn trial(list: &EdgeList, candidates: &[u32], refcounts: &[u32], pinned: &[u32]) -> Trial {
        let nodes = refcounts.len();
        trial_deletion(TrialInput {
            graph: &test_graphs::graph(nodes, list),
            candidates: &NodeSet::from_nodes(nodes, candidates.iter().copied()),
            refcounts,
            pinned: &NodeSet::from_nodes(nodes, pinned.iter().copied()),
        })
    }

    #[test]
    fn a_cycle_is_garbage_until_something_holds_it() {
        use EdgeKind::*;
        let cycle = vec![(0, 1, Visited), (1, 2, Visited), (2, 0, Visited)];
        let garbage = |trial: Trial| trial.unreachable.iter().collect::<Vec<_>>();
        assert_eq!(garbage(trial(&cycle, &[0, 1, 2], &[1, 1, 1], &[])), [0, 1, 2]);
        assert_eq!(garbage(trial(&cycle, &[0, 1, 2], &[1, 2, 1], &[])), [0u32; 0]);
        assert_eq!(garbage(trial(&cycle, &[0, 1, 2], &[1, 1, 1], &[2])), [0u32; 0]);
        // Only the collector's candidates subtract: here node 1 is held by a node it does not know.
        assert_eq!(garbage(trial(&cycle, &[1, 2], &[1, 1, 1], &[])), [0u32; 0]);
        // A reference the traversal does not visit is not subtracted either, nor followed.
        let hidden = vec![(0, 1, Visited), (1, 0, Visited), (1, 2, Owned), (2, 1, Visited)];
        assert_eq!(garbage(trial(&hidden, &[0, 1, 2], &[1, 2, 1], &[])), [0u32; 0]);
        assert_eq!(garbage(trial(&hidden, &[0, 1, 2], &[1, 2, 0], &[])), [0, 1, 2]);
    }

    #[test]
    fn a_count_too_small_is_reported_and_held() {
        let list = vec![(0, 1, EdgeKind::Visited), (0, 1, EdgeKind::Visited), (1, 0, EdgeKind::Visited)];
        let found = trial(&list, &[0, 1], &[1, 1], &[]);
        assert_eq!((found.negative, found.negative_total), (vec![1], 1));
        assert_eq!(found.held, NodeSet::from_nodes(2, [1]));
        assert!(found.unreachable.is_empty());
    }

    #[test]
    fn many_inconsistent_counts_are_listed_in_part() {
        let nodes = 3000;
        let list: EdgeList = (0..nodes).map(|node| (node, node, EdgeKind::Visited)).collect();
        let all: Vec<u32> = (0..nodes).collect();
        let found = trial(&list, &all, &vec![0; nodes as usize], &[]);
        assert_eq!((found.negative.len(), found.negative_total), (MAX_NEGATIVE, 3000));
        assert!(found.negative.is_sorted());
    }
}
