//! Shortest paths from roots.
//!
//! Knows breadth-first search; refuses to know what a path tells. Among paths of equal length the one is taken whose
//! nodes were discovered first, with roots in ascending order and edges in the order of the graph.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::{Adjacency, EdgeKind, NodeSet};

/// Not reached.
const NONE: u32 = u32::MAX;

/// One shortest path from the roots to every reachable node.
#[derive(Clone, Debug)]
pub struct ShortestPaths {
    /// The node before; a root is its own parent; `NONE` where no root reaches.
    parent: Vec<u32>,
}

impl ShortestPaths {
    /// Searches the whole graph once from `roots`, over edges of a kept kind.
    pub fn new(graph: &Adjacency, roots: &NodeSet, keep: impl Fn(EdgeKind) -> bool) -> ShortestPaths {
        let mut search = Search::new(graph, roots);
        while let Some(node) = search.queue.pop_front() {
            for edge in graph.of(node).iter().filter(|edge| keep(edge.kind())) {
                search.discover(edge.target(), node);
            }
        }
        search.found
    }

    /// The node before `node` on its path; none for roots and unreachable nodes.
    pub fn parent(&self, node: u32) -> Option<u32> {
        self.parent.get(node as usize).copied().filter(|&parent| parent != NONE && parent != node)
    }

    /// Whether a root reaches `node`.
    pub fn is_reachable(&self, node: u32) -> bool {
        self.parent.get(node as usize).is_some_and(|&parent| parent != NONE)
    }

    /// A shortest path from a root to `target`: the root first, the target last; none if there is none.
    pub fn path_to(&self, target: u32) -> Option<Vec<u32>> {
        if !self.is_reachable(target) {
            return None;
        }
        let mut path: Vec<u32> = std::iter::successors(Some(target), |&node| self.parent(node)).collect();
        path.reverse();
        Some(path)
    }

    /// The paths to all `targets`, merged where they coincide. Targets that no root reaches do not count; a target
    /// given twice counts once.
    pub fn merged(&self, targets: &NodeSet) -> PathTree {
        let mut draft = Draft::default();
        for target in targets.iter().filter(|&target| self.is_reachable(target)) {
            draft.add(target, |node| self.parent(node));
        }
        draft.finish()
    }
}

/// A search under way.
struct Search {
    found: ShortestPaths,
    queue: VecDeque<u32>,
}

impl Search {
    fn new(graph: &Adjacency, roots: &NodeSet) -> Search {
        let found = ShortestPaths { parent: vec![NONE; graph.nodes()] };
        let mut search = Search { found, queue: VecDeque::new() };
        for root in roots.iter() {
            search.discover(root, root);
        }
        search
    }

    fn discover(&mut self, node: u32, parent: u32) {
        if let Some(slot) = self.found.parent.get_mut(node as usize)
            && *slot == NONE
        {
            *slot = parent;
            self.queue.push_back(node);
        }
    }
}

/// Up to `count` paths from `roots` to `target`, shortest first, no two with the same last step; each is the
/// shortest with its last step that does not pass the target before. If the target is a root, the path of the target
/// alone comes first. The search ends with the last path found.
pub fn paths_to(
    graph: &Adjacency,
    roots: &NodeSet,
    target: u32,
    count: usize,
    keep: impl Fn(EdgeKind) -> bool,
) -> Vec<Vec<u32>> {
    let mut paths = Vec::new();
    let mut search = Search::new(graph, roots);
    if roots.contains(target) && search.found.is_reachable(target) {
        paths.push(vec![target]);
    }
    while paths.len() < count
        && let Some(node) = search.queue.pop_front()
    {
        // What lies behind the target cannot be on a path to it.
        if node == target {
            continue;
        }
        let mut reaches = false;
        for edge in graph.of(node).iter().filter(|edge| keep(edge.kind())) {
            reaches |= edge.target() == target;
            search.discover(edge.target(), node);
        }
        if reaches && let Some(mut path) = search.found.path_to(node) {
            path.push(target);
            paths.push(path);
        }
    }
    paths.truncate(count);
    paths
}

/// Shortest paths to many targets as a tree, or several: one for every root that they begin at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathTree {
    nodes: Vec<TreeNode>,
}

/// A node of a [`PathTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// The graph's node.
    pub node: u32,
    /// Steps from the root; 0 for a root.
    pub depth: u32,
    /// How many targets' paths pass or end here.
    pub targets: u32,
    /// Whether the node itself is a target.
    pub is_target: bool,
}

impl PathTree {
    /// All nodes in preorder: each is followed by what is below it; among siblings those with more targets come
    /// first, then those with the lower node.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// Number of targets in the tree.
    pub fn targets(&self) -> u64 {
        self.nodes.iter().filter(|node| node.is_target).count() as u64
    }
}

/// A tree while targets are added: nodes by place, found by node.
#[derive(Default)]
struct Draft {
    places: FxHashMap<u32, u32>,
    nodes: Vec<DraftNode>,
}

struct DraftNode {
    node: u32,
    /// Place of the parent; `NONE` for roots.
    parent: u32,
    targets: u32,
    is_target: bool,
}

impl Draft {
    /// Adds the way from `target` up to the first node that is there already; it ends below that node, so parents
    /// always have lower places than their children.
    fn add(&mut self, target: u32, parent: impl Fn(u32) -> Option<u32>) {
        let mut way = Vec::new();
        let mut next = Some(target);
        while let Some(node) = next.filter(|node| !self.places.contains_key(node)) {
            way.push(node);
            next = parent(node);
        }
        let mut above = next.and_then(|node| self.places.get(&node).copied()).unwrap_or(NONE);
        for node in way.into_iter().rev() {
            let place = self.nodes.len() as u32;
            self.places.insert(node, place);
            self.nodes.push(DraftNode { node, parent: above, targets: 0, is_target: false });
            above = place;
        }
        if let Some(node) = self.places.get(&target).and_then(|&place| self.nodes.get_mut(place as usize)) {
            node.is_target = true;
            node.targets = 1;
        }
    }

    fn finish(mut self) -> PathTree {
        for place in (0..self.nodes.len()).rev() {
            let Some(&DraftNode { parent, targets, .. }) = self.nodes.get(place) else { continue };
            if let Some(above) = self.nodes.get_mut(parent as usize) {
                above.targets += targets;
            }
        }
        let mut places: Vec<u32> = (0..self.nodes.len() as u32).collect();
        places.sort_by_key(|&place| self.rank(place));
        // Children by parent, best last; a parent's children are taken from the end.
        let mut children: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for &place in places.iter().rev() {
            let parent = self.nodes.get(place as usize).map_or(NONE, |node| node.parent);
            children.entry(parent).or_default().push(place);
        }
        let mut tree = PathTree::default();
        let mut stack: Vec<(u32, u32)> =
            children.remove(&NONE).unwrap_or_default().into_iter().map(|place| (place, 0)).collect();
        while let Some((place, depth)) = stack.pop() {
            let Some(&DraftNode { node, targets, is_target, .. }) = self.nodes.get(place as usize) else {
                continue;
            };
            tree.nodes.push(TreeNode { node, depth, targets, is_target });
            let below = children.remove(&place).unwrap_or_default();
            stack.extend(below.into_iter().map(|place| (place, depth.saturating_add(1))));
        }
        tree
    }

    /// Orders siblings: more targets first, then the lower node.
    fn rank(&self, place: u32) -> (std::cmp::Reverse<u32>, u32) {
        match self.nodes.get(place as usize) {
            Some(node) => (std::cmp::Reverse(node.targets), node.node),
            None => (std::cmp::Reverse(0), NONE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::test_graphs::{self, EdgeList};
    use super::*;

    fn strong(kind: EdgeKind) -> bool {
        kind != EdgeKind::Weak
    }

    /// Steps from the roots by relaxing all edges until nothing changes; `avoid` is never left.
    fn distances(nodes: usize, list: &EdgeList, roots: &NodeSet, avoid: Option<u32>) -> BTreeMap<u32, usize> {
        let mut distance: BTreeMap<u32, usize> =
            roots.iter().filter(|&root| (root as usize) < nodes).map(|root| (root, 0)).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for &(from, to, _) in list.iter().filter(|edge| strong(edge.2) && Some(edge.0) != avoid) {
                if let Some(step) = distance.get(&from).map(|steps| steps + 1)
                    && distance.get(&to).is_none_or(|&steps| step < steps)
                {
                    distance.insert(to, step);
                    changed = true;
                }
            }
        }
        distance
    }

    fn is_path(path: &[u32], list: &EdgeList, roots: &NodeSet) -> bool {
        let edge = |from, to| list.iter().any(|edge| (edge.0, edge.1) == (from, to) && strong(edge.2));
        path.first().is_some_and(|&first| roots.contains(first))
            && path.windows(2).all(|step| edge(step[0], step[1]))
    }

    proptest! {
        #[test]
        fn are_shortest((nodes, list) in test_graphs::edge_lists(40, 80), roots in test_graphs::node_sets(45)) {
            let graph = test_graphs::graph(nodes, &list);
            let found = ShortestPaths::new(&graph, &roots, strong);
            let expected = distances(nodes, &list, &roots, None);
            for node in 0..50 {
                let path = found.path_to(node);
                prop_assert_eq!(path.as_ref().map(|path| path.len() - 1), expected.get(&node).copied());
                prop_assert_eq!(found.is_reachable(node), path.is_some());
                if let Some(path) = path {
                    prop_assert!(is_path(&path, &list, &roots) && path.last() == Some(&node));
                }
            }
        }

        #[test]
        fn alternatives_are_the_shortest_of_each_last_step((nodes, list) in test_graphs::edge_lists(20, 80),
                                                           roots in test_graphs::node_sets(20),
                                                           target in 0u32..20, count in 0usize..6) {
            let graph = test_graphs::graph(nodes, &list);
            let found = paths_to(&graph, &roots, target, count, strong);
            let steps = distances(nodes, &list, &roots, Some(target));
            let mut last: Vec<u32> = list.iter()
                .filter(|edge| edge.1 == target && edge.0 != target && strong(edge.2)).map(|edge| edge.0).collect();
            last.sort();
            last.dedup();
            let mut expected: Vec<usize> = last.iter().filter_map(|node| Some(steps.get(node)? + 2)).collect();
            if roots.contains(target) && (target as usize) < nodes {
                expected.push(1);
            }
            expected.sort();
            expected.truncate(count);
            prop_assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            let mut last: Vec<_> = found.iter().map(|path| path.iter().rev().nth(1).copied()).collect();
            last.sort();
            last.dedup();
            prop_assert_eq!(last.len(), found.len());
            for path in &found {
                prop_assert!(is_path(path, &list, &roots));
                prop_assert_eq!(path.iter().position(|&node| node == target), Some(path.len() - 1));
            }
        }

        #[test]
        fn merged_paths_count_their_targets((nodes, list) in test_graphs::edge_lists(40, 80),
                                            roots in test_graphs::node_sets(40), targets in test_graphs::node_sets(45)) {
            let graph = test_graphs::graph(nodes, &list);
            let found = ShortestPaths::new(&graph, &roots, strong);
            let tree = found.merged(&targets);
            let paths: Vec<Vec<u32>> = targets.iter().filter_map(|target| found.path_to(target)).collect();
            let mut expected: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for path in &paths {
                for (depth, &node) in (0..).zip(path) {
                    expected.entry(node).or_insert((depth, 0)).1 += 1;
                }
            }
            let listed: BTreeMap<u32, (u32, u32)> =
                tree.nodes().iter().map(|node| (node.node, (node.depth, node.targets))).collect();
            prop_assert_eq!(listed.len(), tree.nodes().len());
            prop_assert_eq!(listed, expected);
            prop_assert_eq!(tree.targets(), paths.len() as u64);
            // Preorder: the node on the way down to each is its parent, and siblings are in order.
            let mut way: Vec<TreeNode> = Vec::new();
            for &node in tree.nodes() {
                prop_assert_eq!(node.is_target, targets.contains(node.node));
                let sibling = way.get(node.depth as usize).copied();
                way.truncate(node.depth as usize);
                prop_assert_eq!(way.last().map(|above| above.node), found.parent(node.node));
                if let Some(sibling) = sibling {
                    prop_assert!((sibling.targets, node.node) > (node.targets, sibling.node));
                }
                way.push(node);
            }
        }
    }

    #[test]
    fn a_target_that_is_a_root_is_its_own_shortest_path() {
        let list = vec![(0, 1, EdgeKind::Visited), (1, 2, EdgeKind::Owned), (2, 1, EdgeKind::Visited)];
        let graph = test_graphs::graph(3, &list);
        let roots = NodeSet::from_nodes(3, [0, 1]);
        assert_eq!(paths_to(&graph, &roots, 1, 9, |_| true), [vec![1], vec![0, 1]]);
        assert_eq!(paths_to(&graph, &roots, 1, 1, |_| true), [vec![1]]);
    }
}
