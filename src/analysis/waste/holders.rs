//! Who holds what is wasted: a sample of each finding, spread evenly over its objects, and all references to that.
//!
//! Knows one step; refuses to know paths. Keys of dicts are told where many of the sample stand under the same one.

use super::classes::ValueClasses;
use super::room::Rooms;
use super::{WasteFinding, WasteKind};
use crate::analysis::labels::{LabelShape, Labels, label_text};
use crate::analysis::{Heap, python_name};
use crate::corefile::Address;
use crate::cpython::{Slot, TypeId, ValueKind};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Objects of a finding whose holders are looked for, about.
const SAMPLE: u64 = 1000;
/// Holders that are told of each.
const TOLD: usize = 3;
/// A key is told if at least one reference in so many stands under it.
const COMMON: u64 = 20;

/// A place that holds wasted objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasteHolder {
    /// Type of the holders.
    pub type_name: String,
    /// Where in them: `.attribute`, `['key']`, `[index]`.
    pub label: String,
    /// References to objects of the sample.
    pub references: u64,
}

/// A label, with the key of a dict where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Shape(LabelShape),
    Under(Address),
}

/// References by finding, type of the holder, and place.
type Counts = FxHashMap<(u16, TypeId, Place), u64>;

/// Adds the holders of the first `most` findings.
pub fn add(
    heap: Heap<'_, '_>,
    findings: &mut [WasteFinding],
    most: usize,
    classes: &ValueClasses,
    rooms: &Rooms,
) {
    let asked: Vec<(WasteKind, TypeId, u64)> = findings
        .iter()
        .take(most.min(usize::from(u16::MAX)))
        .map(|finding| (finding.kind, finding.type_id, finding.objects))
        .collect();
    let sample = sample(heap, &asked, classes, rooms);
    for (finding, number) in findings.iter_mut().zip(0u16..) {
        finding.sampled = sample.values().filter(|&&found| found == number).count() as u64;
    }
    let nodes = NodeSet::from_nodes(heap.objects.len(), sample.keys().copied());
    let counts = heap
        .graph
        .forward
        .par_blocks()
        .map(|block| {
            let (mut counts, mut labels) = (Counts::default(), Labels::new(heap));
            for (node, edges) in block.iter() {
                if edges.iter().any(|edge| nodes.contains(edge.target())) {
                    count(heap, &mut labels, node, &sample, &mut counts);
                }
            }
            counts
        })
        .reduce(Counts::default, |mut left, right| {
            right.into_iter().for_each(|(key, count)| *left.entry(key).or_default() += count);
            left
        });
    tell(heap, findings, counts);
}

/// Nodes of the sample, with the number of their finding.
fn sample(
    heap: Heap<'_, '_>,
    asked: &[(WasteKind, TypeId, u64)],
    classes: &ValueClasses,
    rooms: &Rooms,
) -> FxHashMap<u32, u16> {
    let numbers: FxHashMap<(WasteKind, TypeId), u16> =
        asked.iter().zip(0u16..).map(|(&(kind, type_id, _), number)| ((kind, type_id), number)).collect();
    let kinds: Vec<Option<ValueKind>> =
        heap.runtime.types.iter().map(|(_, info)| ValueKind::of(info)).collect();
    let mut seen = vec![0u64; asked.len()];
    let mut sample = FxHashMap::default();
    for (node, &type_id) in (0u32..).zip(heap.objects.types_column()) {
        let kind = match rooms.kind_of(node) {
            Some(kind) => kind,
            None if classes.is_copy(node) => match kinds.get(type_id.0 as usize).copied().flatten() {
                Some(kind) => WasteKind::Duplicates(kind),
                None => continue,
            },
            None => continue,
        };
        let Some(&number) = numbers.get(&(kind, type_id)) else { continue };
        let (Some(seen), Some(&(_, _, objects))) =
            (seen.get_mut(usize::from(number)), asked.get(usize::from(number)))
        else {
            continue;
        };
        if is_chosen(*seen, objects.div_ceil(SAMPLE).max(1)) {
            sample.insert(node, number);
        }
        *seen += 1;
    }
    sample
}

/// Whether object number `number` is among one of so many. Not every so-manieth: what is made in turns lies in turns.
fn is_chosen(number: u64, one_of: u64) -> bool {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(one_of)
}

/// Counts the references of `holder` to the sample.
fn count(
    heap: Heap<'_, '_>,
    labels: &mut Labels<'_, '_>,
    holder: u32,
    sample: &FxHashMap<u32, u16>,
    counts: &mut Counts,
) {
    let type_id = heap.objects.type_id(ObjectId(holder));
    labels.each(ObjectId(holder), &mut |target, kind, slot| {
        let Some(&number) = sample.get(&target.0).filter(|_| kind != EdgeKind::Weak) else { return };
        let place = match slot {
            Slot::Value(key) => Place::Under(key),
            slot => Place::Shape(LabelShape::of(slot)),
        };
        *counts.entry((number, type_id, place)).or_default() += 1;
    });
}

/// Puts counts into words: the commonest of each finding.
fn tell(heap: Heap<'_, '_>, findings: &mut [WasteFinding], counts: Counts) {
    let mut totals = vec![0u64; findings.len()];
    for ((number, ..), count) in &counts {
        if let Some(total) = totals.get_mut(usize::from(*number)) {
            *total += count;
        }
    }
    let mut told: FxHashMap<(u16, String, String), u64> = FxHashMap::default();
    for ((number, type_id, place), count) in counts {
        let total = totals.get(usize::from(number)).copied().unwrap_or(0);
        let label = match place {
            Place::Shape(shape) => shape.text(heap.runtime),
            Place::Under(key) if count.saturating_mul(COMMON) >= total => {
                label_text(heap.runtime, Slot::Value(key))
            }
            Place::Under(_) => LabelShape::Value.text(heap.runtime),
        };
        let type_name = python_name(&heap.runtime.types.get(type_id).name).to_owned();
        *told.entry((number, type_name, label)).or_default() += count;
    }
    for ((number, type_name, label), references) in told {
        if let Some(finding) = findings.get_mut(usize::from(number)) {
            finding.holders.push(WasteHolder { type_name, label, references });
        }
    }
    for finding in findings {
        finding.holders.sort_by(|a, b| {
            let order = |holder: &WasteHolder| Reverse(holder.references);
            order(a).cmp(&order(b)).then_with(|| (&a.type_name, &a.label).cmp(&(&b.type_name, &b.label)))
        });
        finding.holders.truncate(TOLD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly_and_takes_from_what_comes_in_turns() {
        assert!((0..100).all(|number| is_chosen(number, 1)));
        for (one_of, period) in [(6, 2), (6, 3), (10, 5), (64, 8)] {
            let chosen: Vec<u64> = (0..60_000).filter(|&number| is_chosen(number, one_of)).collect();
            let expected = 60_000 / one_of;
            assert!((chosen.len() as u64).abs_diff(expected) < expected / 10, "{one_of}");
            for turn in 0..period {
                let of_turn = chosen.iter().filter(|&&number| number % period == turn).count() as u64;
                assert!(
                    of_turn.abs_diff(expected / period) < expected / period / 4,
                    "{one_of} {period} {turn}"
                );
            }
        }
    }
}
