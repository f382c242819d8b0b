//! Many objects of one type that nothing known holds: an extension keeps them, or has lost count of its references.
//!
//! Knows roots by what they are, and dominance; refuses to know which extension it is, which no reference tells.

use super::finding::{Evidence, Remedy, Suspect, SuspectKind};
use super::{Suspects, rules};
use crate::analysis::share::share;
use crate::analysis::{Heap, Retention, Roots, python_name};
use crate::cpython::TypeId;
use std::collections::BTreeMap;

/// Fewer objects of a type are what extensions keep for themselves.
const MIN_OBJECTS: u64 = 100;

/// What is known of one type.
#[derive(Default)]
struct Total {
    objects: u64,
    references: u64,
    bytes: u64,
}

/// A suspect for each type of which only C code holds many instances that keep enough.
pub fn held_by_c(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    suspects: &Suspects,
) -> Vec<Suspect> {
    let mut totals: BTreeMap<TypeId, Total> = BTreeMap::new();
    for (id, references) in roots.held_by_c() {
        let total = totals.entry(heap.objects.type_id(id)).or_default();
        total.objects += 1;
        total.references = total.references.saturating_add(references);
        total.bytes = total.bytes.saturating_add(retention.bytes(id));
    }
    let heap_bytes = suspects.heap_bytes;
    let is_enough = |total: &Total| {
        total.objects >= MIN_OBJECTS && suspects.thresholds.other.is_reached(total.bytes, heap_bytes)
    };
    let found = totals.into_iter().filter(|(_, total)| is_enough(total));
    found
        .map(|(type_id, total)| {
            let type_name = python_name(&heap.runtime.types.get(type_id).name).to_owned();
            Suspect {
                kind: SuspectKind::HeldByC,
                path: format!("references in C to {type_name}"),
                object: None,
                type_name,
                evidence: Evidence::HeldByC { objects: total.objects, references: total.references },
                objects: total.objects,
                bytes: total.bytes,
                retained: Some(total.bytes),
                share: share(total.bytes, heap_bytes),
                confidence: rules::confidence(SuspectKind::HeldByC, total.bytes, heap_bytes, false),
                remedy: Remedy::GiveBack,
                mostly: None,
                inside: Vec::new(),
            }
        })
        .collect()
}
