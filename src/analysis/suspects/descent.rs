//! From an owner that a name leads to down to where what it holds spreads out.
//!
//! Knows dominance and labels; refuses to judge what is found there, which the rules do. A cache in a closure, a list in a
//! dict of topics, a handler's buffer: the name is of what holds it, and all that can be said of that is that it is large.

use super::structure::is_code;
use super::{Suspect, SuspectKind};
use crate::analysis::labels::Labels;
use crate::analysis::python_path::PathWriter;
use crate::analysis::share::share;
use crate::analysis::{Heap, Retention, keeps_alive};
use crate::cpython::WalkKind;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// An object below that holds at least so much of what its owner holds is the next on the way down, in basis points.
const MOST: u32 = 8000;
/// Longest way down.
const MAX_WAY: usize = 1000;
/// Longest way within containers of one type: longer ones are lists that are linked by hand.
const MAX_NESTED: usize = 8;
/// Objects that are looked at to find how one leads to another that it dominates immediately.
const MAX_BETWEEN: usize = 4096;
/// And to find which accumulation points an owner leads to.
const MAX_REACHED: usize = 1 << 15;

/// Where what an owner holds spreads out.
#[derive(Debug)]
pub struct Descent {
    /// The place of the suspect in the list.
    pub suspect: usize,
    /// The object there.
    pub point: u32,
    /// Its name, which begins with the owner's.
    pub path: String,
    /// Nothing but cells of closures lies on the way: it is the variable itself.
    pub is_variable: bool,
}

/// The objects that retain most of what those above retain, by what dominates them immediately.
pub struct Ways<'w, 'h, 'core> {
    heap: Heap<'h, 'core>,
    retention: &'w Retention,
    heaviest: FxHashMap<u32, u32>,
}

impl<'w, 'h, 'core> Ways<'w, 'h, 'core> {
    /// Ways through the `large` nodes, which must be all that retain most of anything that is asked for.
    pub fn new(heap: Heap<'h, 'core>, retention: &'w Retention, large: &[u32]) -> Self {
        let mut heaviest = FxHashMap::default();
        for &node in large {
            let Some(above) = retention.tree().idom(node) else { continue };
            let most = heaviest.entry(above).or_insert(node);
            if retention.of(*most) < retention.of(node) {
                *most = node;
            }
        }
        Self { heap, retention, heaviest }
    }

    /// The way from `owner` down, itself first, to where what it retains spreads out. In a row of objects of one kind, each
    /// of which holds the next, it ends at the first.
    fn down(&self, owner: u32) -> Vec<u32> {
        let mut way = vec![owner];
        let mut first_of_type = FxHashMap::default();
        for _ in 0..MAX_WAY {
            let Some(&point) = way.last() else { break };
            let Some(id) = self.heap.id(point) else { break };
            let (first, seen) = first_of_type.entry(self.heap.objects.type_id(id)).or_insert((way.len(), 0));
            *seen += 1;
            let most = if self.heap.type_of(id).by_class_statement { 1 } else { MAX_NESTED };
            if *seen > most {
                way.truncate(*first);
                break;
            }
            match self.heaviest.get(&point) {
                Some(&next) if share(self.retention.of(next), self.retention.of(point)) >= MOST => {
                    way.push(next)
                }
                _ => break,
            }
        }
        way
    }

    /// As [`Ways::down`], but not into parts of an object that are no answer themselves.
    pub fn to_point(&self, owner: u32) -> Vec<u32> {
        let mut way = self.down(owner);
        while way.len() > 1 && way.last().is_some_and(|&node| self.is_inner(node)) {
            way.pop();
        }
        way
    }

    /// Where each of `suspects` that is only an owner leads to.
    pub fn descents(&self, suspects: &[Suspect]) -> Vec<Descent> {
        let mut writer = PathWriter::new(self.heap);
        let owners = suspects.iter().enumerate().filter(|(_, suspect)| is_owner(suspect));
        owners.filter_map(|(index, suspect)| self.descent(index, suspect, &mut writer)).collect()
    }

    fn descent(
        &self,
        index: usize,
        suspect: &Suspect,
        writer: &mut PathWriter<'h, 'core>,
    ) -> Option<Descent> {
        let owner = suspect.object?.0;
        // What others hold as well is not below it.
        if share(self.retention.of(owner), suspect.kept()) < MOST {
            return None;
        }
        let way = self.to_point(owner);
        let &point = way.last().filter(|_| way.len() > 1)?;
        let mut whole = vec![owner];
        for pair in way.windows(2) {
            let &[from, to] = pair else { continue };
            whole.extend(self.between(from, to)?);
        }
        let variable = [owner].into_iter().chain(whole.iter().copied()).filter(|&node| node != point);
        let is_variable = suspect.kind == SuspectKind::ThreadOwned
            && variable.filter_map(|node| self.heap.id(node)).all(|id| self.heap.type_name(id) == "cell");
        Some(Descent {
            suspect: index,
            point,
            path: writer.name_from(suspect.path.clone(), None, &whole),
            is_variable,
        })
    }

    /// Parts of other objects that are no answer themselves: an instance's attributes, code, classes.
    fn is_inner(&self, node: u32) -> bool {
        is_code(self.heap, node) || self.is_attributes(node)
    }

    /// Whether an object is the dict with the attributes of the one above.
    fn is_attributes(&self, node: u32) -> bool {
        let heap = self.heap;
        let (Some(above), Some(id)) =
            (self.retention.tree().idom(node).and_then(|above| heap.id(above)), heap.id(node))
        else {
            return false;
        };
        heap.type_of(id).walk.kind == WalkKind::Dict && Labels::new(heap).is_namespace(above, id)
    }

    /// Nodes from `from` to `to`, which it dominates, the last included; `None` where the way is not found soon.
    fn between(&self, from: u32, to: u32) -> Option<Vec<u32>> {
        let mut parents = FxHashMap::default();
        let mut pending = VecDeque::from([from]);
        while let Some(node) = pending.pop_front() {
            let edges = self.heap.graph.forward.of(node).iter().filter(|edge| keeps_alive(edge.kind()));
            for target in edges.map(|edge| edge.target()) {
                if target == from || parents.contains_key(&target) || parents.len() >= MAX_BETWEEN {
                    continue;
                }
                parents.insert(target, node);
                if target == to {
                    let way = std::iter::successors(Some(to), |node| {
                        parents.get(node).copied().filter(|&up| up != from)
                    });
                    let mut way: Vec<u32> = way.take(MAX_WAY).collect();
                    way.reverse();
                    return Some(way);
                }
                pending.push_back(target);
            }
        }
        None
    }
}

/// Takes out owners that hold little alone and lead to `points`, suspects themselves, which hold most of what is theirs.
pub fn drop_explained(heap: Heap<'_, '_>, suspects: &mut Vec<Suspect>, points: &FxHashMap<u32, u64>) {
    suspects.retain(|suspect| {
        let alone = suspect.retained.unwrap_or(0);
        let Some(owner) = suspect.object.filter(|id| is_owner(suspect) && !points.contains_key(&id.0)) else {
            return true;
        };
        alone.saturating_mul(2) >= suspect.kept()
            || reached(heap, owner.0, points).saturating_mul(2) < suspect.kept()
    });
}

/// What those of `points` keep that are met soon on ways from `owner` through data.
fn reached(heap: Heap<'_, '_>, owner: u32, points: &FxHashMap<u32, u64>) -> u64 {
    let mut seen = FxHashSet::from_iter([owner]);
    let mut pending = VecDeque::from([owner]);
    let mut kept = 0u64;
    while let Some(node) = pending.pop_front() {
        for edge in heap.graph.forward.of(node).iter().filter(|edge| keeps_alive(edge.kind())) {
            let target = edge.target();
            if seen.len() >= MAX_REACHED || seen.contains(&target) || is_code(heap, target) {
                continue;
            }
            seen.insert(target);
            match points.get(&target) {
                Some(&bytes) => kept = kept.saturating_add(bytes),
                None => pending.push_back(target),
            }
        }
    }
    kept
}

/// Whether all that is known of a suspect is that it holds much.
fn is_owner(suspect: &Suspect) -> bool {
    matches!(suspect.kind, SuspectKind::Owner | SuspectKind::ThreadOwned)
}
