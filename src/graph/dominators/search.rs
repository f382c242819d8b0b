//! The depth-first search that dominators are found along.
//!
//! Knows in which order nodes are discovered, and of each edge at that moment what it means for semidominators; refuses
//! to know what a dominator is. Nodes whose dominator is plain ([`Shape`]) get no number: they are noted and passed by.

use rayon::prelude::*;
use std::slice::Iter;

use super::super::{Adjacency, Edge, EdgeKind, NodeSet};
use super::pendants::Shape;
use super::{NONE, VIRTUAL_ROOT};

/// Numbers are handed on in groups of this many.
const GROUP_BITS: u32 = 16;

/// What a search from the virtual root has found. Numbers are in order of discovery, the virtual root's is 0.
#[derive(Debug)]
pub struct Found {
    /// By node: its number; of a pendant the *node* that holds it; `NONE` if not reached.
    pub place: Vec<u32>,
    /// By number: the node; `NONE` for the virtual root.
    pub vertex: Vec<u32>,
    /// By number: the number of the node it was discovered from.
    pub parent: Vec<u32>,
    /// By number: the smallest number that an edge leads from, as far as that needs no look at later nodes.
    pub semi: Vec<u32>,
    /// Numbers given so far.
    reached: u32,
    /// The other edges.
    pub from_later: FromLater,
}

/// Edges that lead to nodes discovered before their source, by number, in groups of targets with neighbouring numbers.
///
/// One group is small enough for the cache when it is sorted, and gives its memory back when it has been used.
#[derive(Debug, Default)]
pub struct FromLater {
    groups: Vec<Vec<(u32, u32)>>,
}

impl FromLater {
    fn add(&mut self, target: u32, source: u32) {
        let group = (target >> GROUP_BITS) as usize;
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Vec::new);
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.push((target, source));
        }
    }

    /// Calls `each` with every node that such edges lead to and their sources, from the highest node down.
    pub fn each_downwards(self, mut each: impl FnMut(u32, &[u32])) {
        let (mut ends, mut sources) = (Vec::new(), Vec::new());
        for (number, group) in self.groups.into_iter().enumerate().rev() {
            let first = (number << GROUP_BITS) as u32;
            sort(first, &group, &mut ends, &mut sources);
            drop(group);
            let bounds = ends.windows(2).enumerate().rev();
            for (local, bounds) in bounds {
                if let &[start, end] = bounds
                    && start < end
                    && let Some(sources) = sources.get(start..end)
                {
                    each(first + local as u32, sources);
                }
            }
        }
    }
}

/// Sorts edges by target, of which `first` is the lowest: the sources of target `first + i` become
/// `sources[ends[i]..ends[i + 1]]`.
fn sort(first: u32, edges: &[(u32, u32)], ends: &mut Vec<usize>, sources: &mut Vec<u32>) {
    ends.clear();
    ends.resize((1 << GROUP_BITS) + 1, 0);
    let local = |target: u32| target.wrapping_sub(first) as usize;
    for &(target, _) in edges {
        if let Some(count) = ends.get_mut(local(target)) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for count in ends.iter_mut() {
        sum += *count;
        *count = sum;
    }
    sources.clear();
    sources.resize(edges.len(), 0);
    for &(target, source) in edges.iter().rev() {
        if let Some(end) = ends.get_mut(local(target)) {
            *end = end.saturating_sub(1);
            if let Some(slot) = sources.get_mut(*end) {
                *slot = source;
            }
        }
    }
}

/// A column to be written by the search, which is one thread's work. All threads write it once before, as memory that is
/// touched for the first time takes longer to get than to fill.
fn column(length: usize) -> Vec<u32> {
    rayon::iter::repeat_n(NONE, length).collect()
}

/// A search under way.
pub struct Search<'g, K> {
    graph: &'g Adjacency,
    keep: K,
    roots: NodeSet,
    shape: Shape,
    found: Found,
    /// The nodes from the root to the one at hand, without it.
    path: Vec<Step<'g>>,
}

/// A node on the path, and those of its edges that have not been followed.
struct Step<'g> {
    number: u32,
    node: u32,
    rest: Iter<'g, Edge>,
}

impl<'g, K: Fn(EdgeKind) -> bool + Sync> Search<'g, K> {
    /// Searches from `roots`.
    pub fn new(graph: &'g Adjacency, roots: &NodeSet, keep: K) -> Self {
        let nodes = graph.nodes();
        let shape = Shape::of(graph, roots, &keep);
        let most = 1 + nodes - shape.pendants.len();
        let mut found = Found {
            place: column(nodes),
            vertex: column(most),
            parent: column(most),
            semi: column(most),
            reached: 0,
            from_later: FromLater::default(),
        };
        found.discover(NONE, VIRTUAL_ROOT);
        let mut search = Search { graph, keep, roots: roots.clone(), shape, found, path: Vec::new() };
        search.follow(roots);
        search
    }

    /// The nodes that have not been reached.
    pub fn unreached(&self) -> NodeSet {
        let place = &self.found.place;
        NodeSet::passing(place.len(), |node| place.get(node as usize) == Some(&NONE))
    }

    /// Searches on from `roots`; those that have been reached are no roots.
    pub fn go_on(&mut self, roots: &NodeSet) {
        let mut roots = roots.clone();
        roots.intersect_with(&self.unreached());
        self.roots.union_with(&roots);
        let pendants = self.shape.pendants.len();
        self.shape.pendants.subtract(&roots);
        self.found.make_room(pendants - self.shape.pendants.len());
        self.follow(&roots);
    }

    /// What has been found, its scratch given back.
    pub fn finish(self) -> (Found, NodeSet) {
        let mut found = self.found;
        for column in [&mut found.vertex, &mut found.parent, &mut found.semi] {
            column.truncate(found.reached as usize);
        }
        (found, self.shape.pendants)
    }

    fn follow(&mut self, roots: &NodeSet) {
        for node in roots.iter().filter(|&root| (root as usize) < self.graph.nodes()) {
            let top = self.found.number_of(node, VIRTUAL_ROOT);
            let mut step = Step { number: top, node, rest: self.graph.of(node).iter() };
            loop {
                if let Some(below) = self.next_below(&mut step, top) {
                    self.path.push(std::mem::replace(&mut step, below));
                } else if let Some(above) = self.path.pop() {
                    step = above;
                } else {
                    break;
                }
            }
        }
    }

    /// Follows edges up to the first that discovers a node with edges of its own. `top` is the number of the root.
    #[inline]
    fn next_below(&mut self, step: &mut Step<'g>, top: u32) -> Option<Step<'g>> {
        for edge in step.rest.by_ref() {
            let node = edge.target();
            if !(self.keep)(edge.kind()) {
                continue;
            }
            let Some(place) = self.found.place.get_mut(node as usize) else { continue };
            if self.shape.pendants.contains(node) {
                if node != step.node {
                    *place = step.node;
                }
            } else if self.roots.contains(node) {
                // Nothing dominates a root.
            } else if *place == NONE {
                let number = self.found.number_of(node, step.number);
                if !self.shape.leaves.contains(node) {
                    return Some(Step { number, node, rest: self.graph.of(node).iter() });
                }
            } else {
                let number = *place;
                self.found.meet(number, step.number, top);
            }
        }
        None
    }
}

impl Found {
    /// Makes room for more numbers.
    fn make_room(&mut self, more: usize) {
        for column in [&mut self.vertex, &mut self.parent, &mut self.semi] {
            column.resize(column.len() + more, NONE);
        }
    }

    fn discover(&mut self, node: u32, parent: u32) -> u32 {
        let number = self.reached;
        let at = number as usize;
        for (column, value) in
            [(&mut self.vertex, node), (&mut self.parent, parent), (&mut self.semi, parent)]
        {
            if let Some(slot) = column.get_mut(at) {
                *slot = value;
            }
        }
        self.reached = number + 1;
        number
    }

    /// Gives `node` the next number.
    #[inline]
    fn number_of(&mut self, node: u32, parent: u32) -> u32 {
        let number = self.discover(node, parent);
        if let Some(place) = self.place.get_mut(node as usize) {
            *place = number;
        }
        number
    }

    /// Takes note of an edge to a node discovered before. `top` is the number of the root that `source` is below.
    #[inline]
    fn meet(&mut self, target: u32, source: u32, top: u32) {
        if target > source || target < top {
            // From above, or from below another root: then all on the way from the virtual root are later nodes.
            let from = if target < top { VIRTUAL_ROOT } else { source };
            if let Some(semi) = self.semi.get_mut(target as usize) {
                *semi = from.min(*semi);
            }
        } else if target < source {
            self.from_later.add(target, source);
        }
    }
}
