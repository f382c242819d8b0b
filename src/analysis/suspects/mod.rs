//! What to look at first when a process uses too much memory.
//!
//! Knows an ordered list of rules, each of which looks at one kind of evidence, and the thresholds below which nothing is
//! said; refuses to claim a leak: one core shows size, not growth.

mod claims;
mod contents;
mod descent;
mod finding;
mod groups;
mod held_by_c;
mod nested;
mod owners;
mod places;
mod rules;
mod special;
mod structure;
mod suspended;
mod thresholds;

use super::{Collection, Heap, Roots};
use crate::cpython::{WalkKind, bound_of, cache_figures};
use claims::Claims;
use contents::EntryKinds;
use std::cmp::Reverse;

pub use finding::{Confidence, Evidence, Mostly, Remedy, Suspect, SuspectKind};
pub use nested::describe_contents;
pub use owners::retained_by_suspects;
pub(super) use places::{places, stdlib_names};
pub(super) use special::{Special, pinned, special, viewed};
pub(super) use structure::is_structure;
pub use thresholds::Thresholds;

/// All suspects.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    /// What keeps most comes first ([`Suspect::kept`]).
    pub list: Vec<Suspect>,
    /// Bytes of all objects.
    pub heap_bytes: u64,
    /// From where on they are suspects.
    pub thresholds: Thresholds,
}

/// What all rules look at.
struct Survey<'s, 'h, 'core> {
    heap: Heap<'h, 'core>,
    thresholds: &'s Thresholds,
    heap_bytes: u64,
    entry_kinds: EntryKinds,
}

impl<'s, 'h, 'core> Survey<'s, 'h, 'core> {
    fn new(heap: Heap<'h, 'core>, thresholds: &'s Thresholds, heap_bytes: u64) -> Self {
        Self { heap, thresholds, heap_bytes, entry_kinds: EntryKinds::of(heap) }
    }
}

/// Finds suspects by one traversal of the heap: every object is counted for the first place that reaches it through
/// data, larger containers first. A share so measured is what a place reaches, not what would be freed with it: that is
/// what [`retained_by_suspects`] adds.
pub fn suspects(
    heap: Heap<'_, '_>,
    roots: &Roots,
    garbage: &Collection,
    thresholds: &Thresholds,
) -> Suspects {
    let heap_bytes = heap.objects.total_shallow();
    let mut places = places::places(heap, roots);
    claims::order(heap, &mut places.list);
    let mut claims = Claims::new(heap, &places, garbage);
    let survey = Survey::new(heap, thresholds, heap_bytes);
    let mut list: Vec<Suspect> = rules::uncollected_garbage(&survey, garbage).into_iter().collect();
    for place in &places.list {
        let claim = claims.claim(place.object);
        list.extend(rules::of_place(&survey, place, &claim));
    }
    let suspended = suspended::suspensions(heap, garbage, &mut claims);
    list.extend(suspended.iter().filter_map(|group| rules::suspended_function(&survey, group)));
    sort(&mut list);
    Suspects { list, heap_bytes, thresholds: *thresholds }
}

/// Reads what [`suspects`] reads of some containers only, of all: which these are depends on thresholds.
pub fn read_all_bounds(heap: Heap<'_, '_>) {
    for id in heap.objects.ids() {
        let address = heap.objects.address(id);
        match heap.type_of(id).walk.kind {
            WalkKind::LruCache => drop(cache_figures(heap.runtime, address)),
            WalkKind::Deque => drop(bound_of(heap.runtime, address)),
            _ => {}
        }
    }
}

/// What keeps most first; among equals the surest.
fn sort(list: &mut [Suspect]) {
    list.sort_by(|a, b| {
        (Reverse(a.kept()), Reverse(a.confidence), a.kind, &a.path).cmp(&(
            Reverse(b.kept()),
            Reverse(b.confidence),
            b.kind,
            &b.path,
        ))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(confidence: Confidence, bytes: u64, retained: Option<u64>, path: &str) -> Suspect {
        Suspect {
            kind: SuspectKind::Container,
            path: path.to_owned(),
            object: None,
            type_name: "dict".to_owned(),
            evidence: Evidence::Parts(1),
            objects: 1,
            bytes,
            retained,
            share: 0,
            confidence,
            remedy: Remedy::Inspect,
            mostly: None,
            inside: Vec::new(),
        }
    }

    #[test]
    fn the_largest_come_first_then_the_surest() {
        let mut list = [
            suspect(Confidence::Low, 20, None, "low"),
            suspect(Confidence::High, 10, None, "small"),
            suspect(Confidence::High, 20, None, "b"),
            suspect(Confidence::High, 5, Some(20), "a"),
            suspect(Confidence::Low, 900, None, "large"),
        ];
        sort(&mut list);
        assert_eq!(list.each_ref().map(|suspect| suspect.path.as_str()), ["large", "a", "b", "low", "small"]);
    }
}
