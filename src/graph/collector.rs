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
    unreachable.subtract(&mark(input.graph, &held, |edge| {
        edge.is_visited() && input.candidates.contains(edge.target())
    }));
    let negative_total = negative.len() as u64;
    Trial { unreachable, held, negative: negative.iter().take(MAX_NEGATIVE).collect(), negative_total }
}

/// For every node the number of edges of a kept kind that come from `sources`; parallel edges count each.
pub fn internal_references(
    graph: &Adjacency,
    sources: &NodeSet,
    keep: impl Fn(EdgeKind) -> bool + Sync,
) -> Vec<u32> {
    let counts: Vec<AtomicU32> = (0..graph.nodes()).into_par_iter().map(|_| AtomicU32::new(0)).collect();
    graph.par_blocks().for_each(|block| {
        for (node, edges) in block.iter() {
            if sources.contains(node) {
                for edge in edges.iter().filter(|edge| keep(edge.kind())) {
                    if let Some(count) = counts.get(edge.target() as usize) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    });
    counts.into_iter().map(AtomicU32::into_inner).collect()
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
