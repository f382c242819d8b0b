//! The dominator tree as a page can show it: what retains most first, little things put together by type, long runs of one
//! child folded.
//!
//! Knows what is worth a row; refuses to know tables. A namespace dict is no row of its own: what an object's `__dict__`
//! dominates stands directly below the object.

use super::labels::{LabelShape, leads_to_namespace};
use super::{Heap, PathWriter, Reached};
use crate::cpython::{TypeId, WalkKind};
use crate::graph::{Nesting, NodeSet};
use crate::heap::ObjectId;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What retains less of the whole is no row of its own, in thousandths.
const LEAST_SHARE: u64 = 10;
/// Shorter runs are not folded.
const LEAST_RUN: usize = 3;
/// Of more objects in one row it is not looked up which of their children are namespaces.
const MOST_LOOKED_INTO: usize = 100_000;
/// Steps of a path that are named; of a longer one the middle is left out.
const NAMED_STEPS: usize = 2000;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DominatorKind {
    /// One object.
    Object,
    /// Objects of one type with the same dominator, or with dominators in the row above.
    Group,
    /// Objects one behind the other, beside which nothing else is worth a row.
    Run,
    /// What is left out below the same row.
    Rest,
}

/// One row.
#[derive(Clone, Debug)]
pub struct DominatorRow {
    /// 0 for what nothing dominates, or for what was asked for.
    pub depth: u32,
    /// What it stands for.
    pub kind: DominatorKind,
    /// Python path of the object, of a group's largest, of the end of a run; empty for the rest.
    pub path: String,
    /// Where the row above holds it, if there is one: what `path` adds to the path there, or the kind of place; for a run, its steps.
    pub label: String,
    /// Type of the objects; of a run, of its first.
    pub type_name: String,
    /// The object, a group's largest, a run's first.
    pub object: Option<ObjectId>,
    /// Objects the row stands for.
    pub count: u64,
    /// Their own size, in bytes.
    pub bytes: u64,
    /// Bytes they and what they dominate take, each object once.
    pub retained_bytes: u64,
    /// How many objects that is.
    pub retained_objects: u64,
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct DominatorRows {
    /// Bytes that the rows of depth 0 retain together.
    pub bytes: u64,
    /// Objects that these are.
    pub objects: u64,
    /// The rows, each followed by those below it.
    pub rows: Vec<DominatorRow>,
}

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct DominatorLimits {
    /// Rows of greater depth are left out.
    pub depth: u32,
    /// Most rows below one row.
    pub rows: usize,
}

/// The tree from the top, or below the objects of `within`, of which those without a root that reaches them are left out.
pub fn dominator_rows(
    heap: Heap<'_, '_>,
    reached: Reached<'_>,
    within: Option<&NodeSet>,
    limits: DominatorLimits,
) -> DominatorRows {
    let retention = reached.retention;
    let tree = retention.tree();
    let nesting = tree.nesting();
    let mut tops: Vec<u32> = match within {
        None => tree.top().collect(),
        Some(nodes) => outermost(&nesting, nodes),
    };
    tops.sort_unstable();
    let whole: u64 = tops.iter().fold(0, |sum, &node| sum.saturating_add(retention.of(node)));
    let mut builder = Builder {
        heap,
        reached,
        nesting: &nesting,
        writer: PathWriter::new(heap),
        least: whole.saturating_mul(LEAST_SHARE) / 1000,
        limits,
        rows: Vec::new(),
    };
    let objects = tops.iter().map(|&node| u64::from(nesting.size(node))).sum();
    match within {
        // What was asked for is one row, whatever it is.
        Some(_) => builder.together(tops),
        None => builder.children(tops, 0, &Above::default()),
    }
    DominatorRows { bytes: whole, objects, rows: builder.rows }
}

/// The nodes of a set that no other node of it dominates.
fn outermost(nesting: &Nesting, nodes: &NodeSet) -> Vec<u32> {
    let mut placed: Vec<(u32, u32)> =
        nodes.iter().filter_map(|node| Some((nesting.place(node)?, node))).collect();
    placed.sort_unstable();
    let mut covered = 0;
    placed.retain(|&(place, node)| {
        let outside = place >= covered;
        covered = covered.max(place.saturating_add(nesting.size(node)));
        outside
    });
    placed.into_iter().map(|(_, node)| node).collect()
}

/// What a row's label is relative to.
#[derive(Clone, Debug, Default)]
struct Above {
    /// The path of the row above, if it is one object.
    path: String,
}

/// Rows below one row, before they are written.
struct Candidate {
    members: Vec<u32>,
    retained: u64,
}

struct Builder<'b, 'h, 'core> {
    heap: Heap<'h, 'core>,
    reached: Reached<'b>,
    nesting: &'b Nesting,
    writer: PathWriter<'h, 'core>,
    /// Less is put together.
    least: u64,
    limits: DominatorLimits,
    rows: Vec<DominatorRow>,
}

impl Builder<'_, '_, '_> {
    /// One row for all of `members`, with what is below.
    fn together(&mut self, mut members: Vec<u32>) {
        members.sort_by_key(|&node| (Reverse(self.reached.retention.of(node)), node));
        if !members.is_empty() {
            let retained = self.retained(&members);
            self.candidate(Candidate { members, retained }, 0, &Above::default());
        }
    }

    /// Rows for nodes that have the same row above.
    fn children(&mut self, nodes: Vec<u32>, depth: u32, above: &Above) {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut small: BTreeMap<TypeId, Vec<u32>> = BTreeMap::new();
        for node in nodes {
            let retained = self.reached.retention.of(node);
            if retained >= self.least.max(1) {
                candidates.push(Candidate { members: vec![node], retained });
            } else if let Some(id) = self.heap.id(node) {
                small.entry(self.heap.objects.type_id(id)).or_default().push(node);
            }
        }
        for mut members in small.into_values() {
            members.sort_by_key(|&node| (Reverse(self.reached.retention.of(node)), node));
            let retained = self.retained(&members);
            candidates.push(Candidate { members, retained });
        }
        candidates.sort_by_key(|candidate| (Reverse(candidate.retained), candidate.members.first().copied()));
        let large = candidates.partition_point(|candidate| candidate.retained >= self.least);
        let rest = candidates.split_off(self.limits.rows.min(large));
        for candidate in candidates {
            self.candidate(candidate, depth, above);
        }
        self.rest(&rest, depth);
    }

    fn candidate(&mut self, candidate: Candidate, depth: u32, above: &Above) {
        let Candidate { members, retained } = candidate;
        let Some(id) = members.first().and_then(|&node| self.heap.id(node)) else { return };
        let is_one = members.len() == 1;
        let steps = self.reached.holders.path_to(id.0).unwrap_or_default();
        let path = self.path_name(&steps);
        let label = match is_one {
            true => path.strip_prefix(above.path.as_str()).unwrap_or(&path).to_owned(),
            false if depth == 0 => String::new(),
            false => self.place(&steps),
        };
        let below = Above { path: if is_one { path.clone() } else { String::new() } };
        self.rows.push(DominatorRow {
            depth,
            kind: if is_one { DominatorKind::Object } else { DominatorKind::Group },
            path,
            label,
            type_name: self.heap.type_name(id).to_owned(),
            object: Some(id),
            count: members.len() as u64,
            bytes: self.sizes(&members),
            retained_bytes: retained,
            retained_objects: self.count(&members),
        });
        if depth >= self.limits.depth || retained < self.least.max(1) {
            return;
        }
        match self.run_below(&members) {
            Some((run, end)) => self.run(&run, end, depth + 1),
            None => {
                let few = members.len() <= MOST_LOOKED_INTO;
                let children = members.iter().flat_map(|&node| self.children_of(node, few)).collect();
                self.children(children, depth + 1, &below);
            }
        }
    }

    /// What a node dominates immediately; if `look`, what its namespace does in place of the namespace.
    fn children_of(&mut self, node: u32, look: bool) -> Vec<u32> {
        let (heap, nesting) = (self.heap, self.nesting);
        let mut children: Vec<u32> = nesting.children(node).collect();
        let is_dict =
            |&child: &u32| heap.id(child).is_some_and(|id| heap.type_of(id).walk.kind == WalkKind::Dict);
        let mut namespace = None;
        if let Some(id) = heap.id(node)
            && look
            && children.iter().any(is_dict)
        {
            self.writer.labels().each(id, &mut |target, _, slot| {
                if leads_to_namespace(slot) {
                    namespace = Some(target.0);
                }
            });
        }
        if let Some(at) = children.iter().position(|&child| Some(child) == namespace) {
            let dict = children.swap_remove(at);
            children.extend(nesting.children(dict));
        }
        children
    }

    /// The nodes behind a single one beside each of which nothing else is worth a row, and the one behind them; none if
    /// that is no long run.
    fn run_below(&self, members: &[u32]) -> Option<(Vec<u32>, u32)> {
        let of = |node: u32| self.reached.retention.of(node);
        let &[mut node] = members else { return None };
        let mut run = Vec::new();
        loop {
            let children = self.nesting.children(node);
            let Some(next) = children.max_by_key(|&child| (of(child), Reverse(child))) else { break };
            let own = self.heap.shallow(node);
            let beside = of(node).saturating_sub(own).saturating_sub(of(next));
            if of(next) < self.least.max(1) || beside >= self.least.max(1) {
                break;
            }
            run.push(next);
            node = next;
        }
        let end = run.pop()?;
        (run.len() >= LEAST_RUN).then_some((run, end))
    }

    fn run(&mut self, run: &[u32], end: u32, depth: u32) {
        let Some(id) = run.first().and_then(|&node| self.heap.id(node)) else { return };
        let steps = self.reached.holders.path_to(end).unwrap_or_default();
        let from = steps.iter().position(|&node| node == id.0).unwrap_or(0);
        let way = steps.get(from..).unwrap_or_default();
        let first = self.heap.type_name(id).to_owned();
        let named = way.get(..NAMED_STEPS.min(way.len())).unwrap_or_default();
        let name = self.writer.name_from(first.clone(), None, named);
        let path = self.path_name(&steps);
        self.rows.push(DominatorRow {
            depth,
            kind: DominatorKind::Run,
            path,
            label: once(&name),
            type_name: first,
            object: Some(id),
            count: run.len() as u64,
            bytes: self.sizes(run),
            retained_bytes: self.reached.retention.of(id.0),
            retained_objects: u64::from(self.nesting.size(id.0)),
        });
        if depth < self.limits.depth {
            self.children(vec![end], depth + 1, &Above::default());
        }
    }

    fn rest(&mut self, rest: &[Candidate], depth: u32) {
        if rest.is_empty() {
            return;
        }
        let of = |count: &dyn Fn(&[u32]) -> u64| rest.iter().map(|one| count(&one.members)).sum();
        self.rows.push(DominatorRow {
            depth,
            kind: DominatorKind::Rest,
            path: String::new(),
            label: String::new(),
            type_name: String::new(),
            object: None,
            count: of(&|members| members.len() as u64),
            bytes: of(&|members| self.sizes(members)),
            retained_bytes: rest.iter().map(|one| one.retained).sum(),
            retained_objects: of(&|members| self.count(members)),
        });
    }

    /// The kind of place in which the last object of a path is held: `[key]`, `.owner`.
    fn place(&mut self, steps: &[u32]) -> String {
        let (Some(&node), Some(&holder)) = (steps.last(), steps.iter().nth_back(1)) else {
            return String::new();
        };
        let (Some(id), Some(holder)) = (self.heap.id(node), self.heap.id(holder)) else {
            return String::new();
        };
        let found = self.writer.labels().best(holder, id);
        found.map_or_else(String::new, |(_, slot)| LabelShape::of(slot).text(self.heap.runtime))
    }

    fn path_name(&mut self, steps: &[u32]) -> String {
        if steps.len() <= 2 * NAMED_STEPS {
            return self.writer.name(steps, self.reached.roots);
        }
        let (first, last) = (steps.get(..NAMED_STEPS), steps.get(steps.len() - NAMED_STEPS..));
        let first = self.writer.name(first.unwrap_or_default(), self.reached.roots);
        let left_out = steps.len() - 2 * NAMED_STEPS;
        self.writer.name_from(format!("{first} …{left_out} steps… "), None, last.unwrap_or_default())
    }

    fn sizes(&self, members: &[u32]) -> u64 {
        members.iter().map(|&node| self.heap.shallow(node)).sum()
    }

    fn retained(&self, members: &[u32]) -> u64 {
        members.iter().fold(0, |sum, &node| sum.saturating_add(self.reached.retention.of(node)))
    }

    fn count(&self, members: &[u32]) -> u64 {
        members.iter().map(|&node| u64::from(self.nesting.size(node))).sum()
    }
}

/// The name of a run without how often its only step is repeated: `Node.next ×97` is `Node.next`.
fn once(name: &str) -> String {
    match name.rsplit_once(" ×") {
        Some((step, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) && !step.contains(" ×") => {
            step.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_one_step_is_named_by_that_step() {
        assert_eq!(once("Node.next ×97"), "Node.next");
        assert_eq!(once("Node.a ×3 .b ×4"), "Node.a ×3 .b ×4");
        assert_eq!(once("Node.a.b"), "Node.a.b");
    }

    #[test]
    fn of_nested_nodes_the_outermost_count() {
        // 0 → 1 → 2, 0 → 3; 4 apart.
        let parent =
            |node: u32| [None, Some(0), Some(1), Some(0), None].get(node as usize).copied().flatten();
        let nesting = Nesting::new(6, &[0, 1, 2, 3, 4], parent);
        let of = |nodes: &[u32]| outermost(&nesting, &NodeSet::from_nodes(6, nodes.iter().copied()));
        assert_eq!(of(&[1, 2, 3]), [1, 3]);
        assert_eq!(of(&[0, 2, 4, 5]), [0, 4]);
    }
}
