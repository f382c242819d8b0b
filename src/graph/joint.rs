//! What would go with all nodes of a group at once: the nodes that every path from the roots reaches through some node of
//! the group.
//!
//! Knows groups as numbers of nodes; refuses to know what they stand for. More goes with a group than the dominator tree
//! says of its nodes one by one: what two of them share has no dominator among them.
//!
//! All groups are answered in one go. A spanning forest gives every node one path from a root; a node whose path has no
//! node of the group stays. Of the others, those dominated by a node of the group go, and the few that are left are
//! decided by the edges that lead to them. So a node is looked at once for each group on its path, not once a group. No group's
//! answer needs another's, so that several threads share them.

use super::{Adjacency, DominatorTree, EdgeKind, Nesting, NodeSet};
use rayon::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

/// No node; no group.
const NONE: u32 = u32::MAX;
/// Most threads that decide groups: each needs 4 bytes a node.
const MOST_THREADS: usize = 4;

/// A graph, and what is known of it already.
#[derive(Clone, Copy, Debug)]
pub struct Dominance<'g> {
    /// The edges.
    pub forward: &'g Adjacency,
    /// Where paths begin.
    pub roots: &'g NodeSet,
    /// The dominators from these roots over edges of the kept kinds.
    pub tree: &'g DominatorTree,
}

/// What goes with a group, its own reachable nodes included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTotal {
    /// Nodes.
    pub nodes: u64,
    /// The sum of their weights, at most `u64::MAX`.
    pub weight: u64,
}

/// For each group below `groups`, what no path that avoids its nodes reaches. `group_of` says to which group a node
/// belongs, if to any; `weight` what a node counts.
pub fn retained_by_groups(
    graph: Dominance<'_>,
    keep: impl Fn(EdgeKind) -> bool + Sync,
    groups: usize,
    group_of: impl Fn(u32) -> Option<u32> + Sync,
    weight: impl Fn(u32) -> u64 + Sync,
) -> Vec<GroupTotal> {
    let placed = || {
        let nesting = spanning_forest(graph.forward, graph.roots, &keep);
        let members = Members::of(&nesting, groups, &group_of);
        (nesting, members)
    };
    let ((nesting, members), backward) = rayon::join(placed, || graph.forward.transpose(&keep));
    let next = AtomicU32::new(0);
    let some = |_: usize| {
        let mut search = Search::new(graph, &backward, &keep);
        let mut found = Vec::new();
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group as usize >= groups {
                return found;
            }
            let own = members.of_group(group);
            let is_member = |node: u32| group_of(node) == Some(group);
            found.push((group, search.total(&nesting, group, own, is_member, &weight)));
        }
    };
    let threads = rayon::current_num_threads().clamp(1, MOST_THREADS);
    let found: Vec<Vec<(u32, GroupTotal)>> = (0..threads).into_par_iter().with_max_len(1).map(some).collect();
    let mut totals = vec![GroupTotal::default(); groups];
    for (group, total) in found.into_iter().flatten() {
        if let Some(slot) = totals.get_mut(group as usize) {
            *slot = total;
        }
    }
    totals
}

/// One path from a root to every node that has one: the parents of a breadth-first search.
fn spanning_forest(graph: &Adjacency, roots: &NodeSet, keep: &impl Fn(EdgeKind) -> bool) -> Nesting {
    let mut parent = vec![NONE; graph.nodes()];
    let mut reached = NodeSet::new(graph.nodes());
    let mut order: Vec<u32> = Vec::new();
    let mut ahead: VecDeque<u32> = roots.iter().filter(|&root| reached.insert(root)).collect();
    while let Some(node) = ahead.pop_front() {
        order.push(node);
        for edge in graph.of(node).iter().filter(|edge| keep(edge.kind())) {
            let target = edge.target();
            if reached.insert(target) {
                if let Some(slot) = parent.get_mut(target as usize) {
                    *slot = node;
                }
                ahead.push_back(target);
            }
        }
    }
    let parent_of = |node: u32| parent.get(node as usize).copied().filter(|&parent| parent != NONE);
    Nesting::new(graph.nodes(), &order, parent_of)
}

/// The nodes of each group in preorder.
struct Members {
    starts: Vec<usize>,
    nodes: Vec<u32>,
}

impl Members {
    fn of(nesting: &Nesting, groups: usize, group_of: &impl Fn(u32) -> Option<u32>) -> Self {
        let grouped = || nesting.preorder().iter().filter_map(|&node| Some((group_of(node)?, node)));
        let mut starts = vec![0usize; groups + 1];
        for (group, _) in grouped() {
            if let Some(count) = starts.get_mut(group as usize + 1) {
                *count += 1;
            }
        }
        for index in 1..starts.len() {
            let before = starts.get(index - 1).copied().unwrap_or(0);
            if let Some(start) = starts.get_mut(index) {
                *start += before;
            }
        }
        let mut next = starts.clone();
        let mut nodes = vec![NONE; starts.last().copied().unwrap_or(0)];
        for (group, node) in grouped().filter(|&(group, _)| (group as usize) < groups) {
            if let Some(at) = next.get_mut(group as usize) {
                if let Some(slot) = nodes.get_mut(*at) {
                    *slot = node;
                }
                *at += 1;
            }
        }
        Self { starts, nodes }
    }

    fn of_group(&self, group: u32) -> &[u32] {
        match self.starts.get(group as usize..group as usize + 2) {
            Some(&[start, end]) => self.nodes.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Not touched by the group at hand, or found to stay.
const KEPT: u32 = 0;

/// Decides group after group. What earlier groups left in `state` reads as kept.
struct Search<'s, K> {
    graph: Dominance<'s>,
    /// The edges reversed.
    backward: &'s Adjacency,
    keep: &'s K,
    /// By node: `KEPT`, or twice the group and 1 if it goes, 2 if that is not decided.
    state: Vec<u32>,
    undecided: Vec<u32>,
    kept: Vec<u32>,
}

impl<'s, K: Fn(EdgeKind) -> bool> Search<'s, K> {
    fn new(graph: Dominance<'s>, backward: &'s Adjacency, keep: &'s K) -> Self {
        let state = vec![KEPT; graph.tree.nodes()];
        Self { graph, backward, keep, state, undecided: Vec::new(), kept: Vec::new() }
    }

    fn total(
        &mut self,
        nesting: &Nesting,
        group: u32,
        members: &[u32],
        is_member: impl Fn(u32) -> bool,
        weight: &impl Fn(u32) -> u64,
    ) -> GroupTotal {
        let (goes, open) =
            (group.saturating_mul(2).saturating_add(1), group.saturating_mul(2).saturating_add(2));
        let mut total = GroupTotal::default();
        let mut count = |node: u32| {
            total.nodes += 1;
            total.weight = total.weight.saturating_add(weight(node));
        };
        let mut covered = 0;
        for &member in members {
            let Some(place) = nesting.place(member).filter(|&place| place >= covered) else { continue };
            covered = place.saturating_add(nesting.size(member));
            // A dominator comes before what it dominates on every path, hence in preorder.
            for &node in nesting.below(member) {
                let dominated = || self.graph.tree.idom(node).is_some_and(|idom| self.state_of(idom) == goes);
                let state = if is_member(node) || dominated() { goes } else { open };
                if state == goes {
                    count(node);
                } else {
                    self.undecided.push(node);
                }
                self.set(node, state);
            }
        }
        self.decide(goes, open);
        for node in std::mem::take(&mut self.undecided) {
            if self.state_of(node) == open {
                count(node);
            }
        }
        total
    }

    /// Marks those undecided nodes as kept that an edge from a kept node leads to, and what these lead to.
    fn decide(&mut self, goes: u32, open: u32) {
        let undecided = std::mem::take(&mut self.undecided);
        for &node in &undecided {
            let held = |source: u32| {
                let state = self.state_of(source);
                state != goes && state != open && self.graph.tree.is_reachable(source)
            };
            let mut sources = self.backward.of(node).iter().filter(|edge| (self.keep)(edge.kind()));
            if self.state_of(node) != open || !sources.any(|edge| held(edge.target())) {
                continue;
            }
            self.set(node, KEPT);
            self.kept.push(node);
            while let Some(node) = self.kept.pop() {
                for edge in self.graph.forward.of(node).iter().filter(|edge| (self.keep)(edge.kind())) {
                    if self.state_of(edge.target()) == open {
                        self.set(edge.target(), KEPT);
                        self.kept.push(edge.target());
                    }
                }
            }
        }
        self.undecided = undecided;
    }

    #[inline]
    fn state_of(&self, node: u32) -> u32 {
        self.state.get(node as usize).copied().unwrap_or(KEPT)
    }

    #[inline]
    fn set(&mut self, node: u32, state: u32) {
        if let Some(slot) = self.state.get_mut(node as usize) {
            *slot = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_graphs::{self, strong};
    use super::super::{reachable, reachable_within};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_what_is_lost_without_the_group((nodes, list) in test_graphs::edge_lists(40, 90),
                                                roots in test_graphs::node_sets(45),
                                                groups in proptest::collection::vec(0u32..5, 40)) {
            let forward = test_graphs::graph(nodes, &list);
            let tree = DominatorTree::new(&forward, &roots, strong);
            let group_of = |node: u32| groups.get(node as usize).copied().filter(|&group| group < 4);
            let weight = |node: u32| 1 + u64::from(node) * 100;
            let graph = Dominance { forward: &forward, roots: &roots, tree: &tree };
            let found = retained_by_groups(graph, strong, 4, group_of, weight);
            let before = reachable(&forward, &roots, strong);
            for (group, found) in (0u32..).zip(found) {
                let others = NodeSet::passing(nodes, |node| group_of(node) != Some(group));
                let mut lost = before.clone();
                lost.subtract(&reachable_within(&forward, &roots, &others, strong));
                prop_assert_eq!(found.nodes, lost.len() as u64);
                prop_assert_eq!(found.weight, lost.iter().map(weight).sum::<u64>());
            }
        }
    }

    #[test]
    fn what_two_members_share_goes_with_both() {
        // 0 → 1, 2, 5; 1 and 2 → 3 → 4; 5 → 6 ← 1: the group of 1 and 2 alone holds 3 and 4, not 6.
        let edges = [(0, 1), (0, 2), (0, 5), (1, 3), (1, 6), (2, 3), (3, 4), (5, 6)];
        let list = edges.iter().map(|&(from, to)| (from, to, EdgeKind::Visited)).collect();
        let forward = test_graphs::graph(7, &list);
        let roots = NodeSet::from_nodes(7, [0]);
        let tree = DominatorTree::new(&forward, &roots, strong);
        let graph = Dominance { forward: &forward, roots: &roots, tree: &tree };
        let found = retained_by_groups(graph, strong, 1, |node| [1, 2].contains(&node).then_some(0), |_| 10);
        assert_eq!(found, [GroupTotal { nodes: 4, weight: 40 }]);
    }
}
