//! References that are taken away: pairs of holder and held, each as often as it goes.
//!
//! Knows numbers only; refuses to know where in its holder a reference stood.

use crate::analysis::keeps_alive;
use crate::graph::{Adjacency, NodeSet};
use rustc_hash::FxHashMap;

/// References that no longer exist although the graph has them.
#[derive(Clone, Debug)]
pub struct Removed {
    /// Holders of any of them.
    sources: NodeSet,
    times: FxHashMap<(u32, u32), u32>,
}

impl Removed {
    /// None, in a graph of so many nodes.
    pub fn new(nodes: usize) -> Self {
        Self { sources: NodeSet::new(nodes), times: FxHashMap::default() }
    }

    /// Takes one reference away; false where the holder has no further one to `target`.
    pub fn add(&mut self, graph: &Adjacency, source: u32, target: u32) -> bool {
        let present = references(graph, source, target);
        if self.times(source, target) >= present {
            return false;
        }
        let times = self.times.entry((source, target)).or_default();
        *times += 1;
        self.sources.insert(source);
        true
    }

    /// How often `source` no longer holds `target`.
    pub fn times(&self, source: u32, target: u32) -> u32 {
        if !self.sources.contains(source) {
            return 0;
        }
        self.times.get(&(source, target)).copied().unwrap_or(0)
    }

    /// Whether nothing is left by which `source` holds `target`.
    #[inline]
    pub fn all(&self, graph: &Adjacency, source: u32, target: u32) -> bool {
        self.sources.contains(source)
            && self
                .times
                .get(&(source, target))
                .is_some_and(|&times| times >= references(graph, source, target))
    }

    /// All pairs, with how often, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.times.iter().map(|(&(source, target), &times)| (source, target, times))
    }
}

/// How many references that keep alive `source` has to `target`.
fn references(graph: &Adjacency, source: u32, target: u32) -> u32 {
    let edges = graph.of(source).iter().filter(|edge| edge.target() == target && keeps_alive(edge.kind()));
    u32::try_from(edges.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Edge, EdgeKind};

    /// 0 holds 1 twice and 2 weakly.
    fn graph() -> Adjacency {
        Adjacency::build(3, |range, builder| {
            for node in range {
                if node == 0 {
                    for (target, kind) in [(1, EdgeKind::Visited), (1, EdgeKind::Owned), (2, EdgeKind::Weak)]
                    {
                        builder.edge(Edge::new(target, kind));
                    }
                }
                builder.end_node();
            }
        })
    }

    #[test]
    fn a_holder_lets_go_when_its_last_reference_went() {
        let graph = graph();
        let mut removed = Removed::new(3);
        assert!(!removed.all(&graph, 0, 1));
        assert!(removed.add(&graph, 0, 1));
        assert!(!removed.all(&graph, 0, 1));
        assert!(removed.add(&graph, 0, 1));
        assert!(removed.all(&graph, 0, 1));
        assert_eq!((removed.times(0, 1), removed.times(1, 0)), (2, 0));
    }

    #[test]
    fn what_is_not_held_cannot_go() {
        let graph = graph();
        let mut removed = Removed::new(3);
        assert!(!removed.add(&graph, 0, 2) && !removed.add(&graph, 1, 0) && !removed.add(&graph, 9, 9));
        assert_eq!(removed.times(0, 2), 0);
    }
}
