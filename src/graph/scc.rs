//! Strongly connected components.
//!
//! Knows Tarjan's algorithm without recursion, on a whole graph or on a subset of its nodes; refuses to know which
//! components matter.

use super::{Adjacency, Edge, EdgeKind, NodeSet};

/// No component yet, or no index yet.
const NONE: u32 = u32::MAX;

/// The strongly connected components of a graph, or of the part of it spanned by a subset of nodes.
///
/// They are numbered in reverse topological order: an edge between two components leads to the lower number.
#[derive(Clone, Debug)]
pub struct Components {
    numbering: Numbering,
    /// Component of each local node.
    component: Vec<u32>,
    sizes: Vec<u32>,
}

/// Nodes of all components, grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    starts: Vec<u32>,
    nodes: Vec<u32>,
}

/// Which nodes take part, and as which local numbers: all as themselves, or the members of a set by rank.
#[derive(Clone, Debug)]
enum Numbering {
    All(u32),
    Members { set: NodeSet, nodes: Vec<u32>, ranks: Vec<u32> },
}

impl Numbering {
    fn members(set: &NodeSet) -> Self {
        // Members before each word of the bitmap: with it the rank of a member is one look-up and a population count.
        let before = set.words().iter().scan(0u32, |sum, word| {
            let before = *sum;
            *sum += word.count_ones();
            Some(before)
        });
        Numbering::Members { ranks: before.collect(), nodes: set.iter().collect(), set: set.clone() }
    }

    fn len(&self) -> usize {
        match self {
            Numbering::All(nodes) => *nodes as usize,
            Numbering::Members { nodes, .. } => nodes.len(),
        }
    }

    fn node(&self, local: u32) -> u32 {
        match self {
            Numbering::All(_) => local,
            Numbering::Members { nodes, .. } => nodes.get(local as usize).copied().unwrap_or(NONE),
        }
    }

    fn local(&self, node: u32) -> Option<u32> {
        match self {
            Numbering::All(nodes) => (node < *nodes).then_some(node),
            Numbering::Members { set, ranks, .. } => {
                let word = node as usize / 64;
                let below = set.words().get(word)? & ((1 << (node % 64)) - 1);
                set.contains(node).then(|| ranks.get(word).map(|rank| rank + below.count_ones()))?
            }
        }
    }
}

/// The components of `graph` over edges of a kept kind.
pub fn components(graph: &Adjacency, keep: impl Fn(EdgeKind) -> bool) -> Components {
    Tarjan::new(graph, Numbering::All(graph.nodes() as u32), keep).run()
}

/// The components of the part of `graph` that lies within `within`: other nodes and their edges do not exist.
/// Time and memory are those of the members and their edges, plus a pass over the bitmap.
pub fn components_within(graph: &Adjacency, within: &NodeSet, keep: impl Fn(EdgeKind) -> bool) -> Components {
    Tarjan::new(graph, Numbering::members(within), keep).run()
}

impl Components {
    /// The component of `node`; none if the node does not take part.
    pub fn of(&self, node: u32) -> Option<u32> {
        self.component.get(self.numbering.local(node)? as usize).copied()
    }

    /// Number of components.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Number of nodes in each component.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// Number of nodes in `component`; 0 if there is no such component.
    pub fn size(&self, component: u32) -> u32 {
        self.sizes.get(component as usize).copied().unwrap_or(0)
    }

    /// The nodes of every component.
    pub fn groups(&self) -> Groups {
        let mut starts = Vec::with_capacity(self.sizes.len() + 1);
        starts.push(0);
        starts.extend(self.sizes.iter().scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        }));
        let mut next = starts.clone();
        let mut nodes = vec![0; self.component.len()];
        for (local, &component) in (0u32..).zip(&self.component) {
            if let Some(next) = next.get_mut(component as usize)
                && let Some(slot) = nodes.get_mut(*next as usize)
            {
                *slot = self.numbering.node(local);
                *next += 1;
            }
        }
        Groups { starts, nodes }
    }
}

impl Groups {
    /// The nodes of `component`, ascending; none if there is no such component.
    pub fn of(&self, component: u32) -> &[u32] {
        match self.starts.get(component as usize..component as usize + 2) {
            Some(&[start, end]) => self.nodes.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The nodes of each component, in order of component.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.starts.len().saturating_sub(1) as u32).map(|component| self.of(component))
    }
}

/// A node on the search path: which of its edges comes next, and the lowest index seen from it.
struct Visit {
    local: u32,
    next: u32,
    low: u32,
}

/// One run of the search. A local node is in one of three states: unseen (`index` NONE), on the stack (`index` set,
/// `component` NONE) and done.
struct Tarjan<'a, F> {
    graph: &'a Adjacency,
    numbering: Numbering,
    keep: F,
    index: Vec<u32>,
    component: Vec<u32>,
    sizes: Vec<u32>,
    stack: Vec<u32>,
    path: Vec<Visit>,
    indexed: u32,
}

impl<'a, F: Fn(EdgeKind) -> bool> Tarjan<'a, F> {
    fn new(graph: &'a Adjacency, numbering: Numbering, keep: F) -> Self {
        let nodes = numbering.len();
        Tarjan {
            graph,
            numbering,
            keep,
            index: vec![NONE; nodes],
            component: vec![NONE; nodes],
            sizes: Vec::new(),
            stack: Vec::new(),
            path: Vec::new(),
            indexed: 0,
        }
    }

    fn run(mut self) -> Components {
        for local in 0..self.numbering.len() as u32 {
            if self.index_of(local) == NONE {
                self.enter(local);
                while let Some(visit) = self.path.last() {
                    let edges = self.graph.of(self.numbering.node(visit.local));
                    let rest = edges.get(visit.next as usize..).unwrap_or_default();
                    self.advance(rest);
                }
            }
        }
        Components { numbering: self.numbering, component: self.component, sizes: self.sizes }
    }

    fn index_of(&self, local: u32) -> u32 {
        self.index.get(local as usize).copied().unwrap_or(NONE)
    }

    fn enter(&mut self, local: u32) {
        if let Some(index) = self.index.get_mut(local as usize) {
            *index = self.indexed;
        }
        self.stack.push(local);
        self.path.push(Visit { local, next: 0, low: self.indexed });
        self.indexed += 1;
    }

    /// Follows the rest of the edges of the node at the end of the path up to the first unseen node; leaves the
    /// node when there is none.
    fn advance(&mut self, rest: &[Edge]) {
        let mut low = NONE;
        let mut unseen = None;
        let mut followed = 0;
        for edge in rest {
            followed += 1;
            if !(self.keep)(edge.kind()) {
                continue;
            }
            let Some(target) = self.numbering.local(edge.target()) else { continue };
            match self.index_of(target) {
                NONE => {
                    unseen = Some(target);
                    break;
                }
                index if self.component.get(target as usize) == Some(&NONE) => low = low.min(index),
                _ => {}
            }
        }
        if let Some(visit) = self.path.last_mut() {
            visit.next += followed;
            visit.low = visit.low.min(low);
        }
        match unseen {
            Some(target) => self.enter(target),
            None => self.leave(),
        }
    }

    /// Takes the last node off the path; if nothing above it on the stack reaches below it, they are a component.
    fn leave(&mut self) {
        let Some(Visit { local, low, .. }) = self.path.pop() else { return };
        if let Some(before) = self.path.last_mut() {
            before.low = before.low.min(low);
        }
        if low < self.index_of(local) {
            return;
        }
        let number = self.sizes.len() as u32;
        let mut size = 0;
        while let Some(member) = self.stack.pop() {
            size += 1;
            if let Some(component) = self.component.get_mut(member as usize) {
                *component = number;
            }
            if member == local {
                break;
            }
        }
        self.sizes.push(size);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ::petgraph::algo::kosaraju_scc;
    use proptest::prelude::*;

    use super::super::{TwoWay, test_graphs};
    use super::*;

    fn as_sets<'a>(groups: impl Iterator<Item = &'a [u32]>) -> BTreeSet<BTreeSet<u32>> {
        groups.map(|group| group.iter().copied().collect()).collect()
    }

    fn strong(kind: EdgeKind) -> bool {
        kind != EdgeKind::Weak
    }

    proptest! {
        #[test]
        fn agree_with_kosaraju((nodes, list) in test_graphs::edge_lists(40, 90), within in test_graphs::node_sets(50)) {
            let graph = test_graphs::graph(nodes, &list);
            let mut all = NodeSet::full(nodes);
            for within in [None, Some(&within)] {
                let found = match within {
                    None => components(&graph, strong),
                    Some(within) => components_within(&graph, within, strong),
                };
                if let Some(within) = within {
                    all = within.clone();
                }
                // The oracle sees only the edges that count, and isolates the nodes that do not take part.
                let inner: test_graphs::EdgeList = list.iter().copied()
                    .filter(|&(from, to, kind)| strong(kind) && all.contains(from) && all.contains(to)).collect();
                let forward = test_graphs::graph(nodes.max(all.capacity()), &inner);
                let backward = forward.transpose(|_| true);
                let expected = kosaraju_scc(TwoWay { forward: &forward, backward: &backward });
                let expected = as_sets(expected.iter().map(Vec::as_slice).filter(|group| all.contains(group[0])));
                let groups = found.groups();
                prop_assert_eq!(as_sets(groups.iter()), expected);
                prop_assert_eq!(found.count(), groups.iter().count());
                for (number, group) in (0..).zip(groups.iter()) {
                    prop_assert_eq!(found.size(number) as usize, group.len());
                    prop_assert!(group.is_sorted());
                    prop_assert!(group.iter().all(|&node| found.of(node) == Some(number)));
                }
                prop_assert!((0..70).all(|node| found.of(node).is_some() == all.contains(node)));
                // Reverse topological order.
                prop_assert!(inner.iter().all(|&(from, to, _)| found.of(to) <= found.of(from)));
            }
        }
    }

    #[test]
    fn a_long_cycle_needs_no_recursion() {
        let nodes = 300_000u32;
        let list: Vec<_> = (0..nodes).map(|node| (node, (node + 1) % nodes, EdgeKind::Visited)).collect();
        let graph = test_graphs::graph(nodes as usize, &list);
        assert_eq!(components(&graph, |_| true).sizes(), [nodes]);
        let cut = NodeSet::from_nodes(nodes as usize, (0..nodes).filter(|&node| node != 1000));
        assert_eq!(components_within(&graph, &cut, |_| true).count(), nodes as usize - 1);
    }
}
