//! The instances of some types, largest first.
//!
//! Knows columns and reference counts; refuses to know names.

use crate::cpython::{Runtime, TypeId};
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;
use std::cmp::Reverse;

use super::Selection;

/// Objects a thread takes at a time.
const CHUNK: usize = 1 << 16;

/// Which instances are wanted; bounds are inclusive.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstanceFilter<'s> {
    /// By generation, and from a set.
    pub selection: Selection<'s>,
    /// Least `sys.getsizeof()`, in bytes.
    pub min_size: Option<u64>,
    /// Greatest `sys.getsizeof()`, in bytes.
    pub max_size: Option<u64>,
    /// Least refcount.
    pub min_refcount: Option<u64>,
    /// Greatest refcount. Immortal objects have none and never match.
    pub max_refcount: Option<u64>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// The largest, ties in order of address.
    pub largest: Vec<ObjectId>,
    /// How many there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Finds the direct instances of `types` and keeps the `limit` largest.
pub fn instances(
    runtime: &Runtime<'_>,
    objects: &ObjectTable,
    types: &[TypeId],
    filter: &InstanceFilter<'_>,
    limit: usize,
) -> Instances {
    let mut wanted = vec![false; runtime.types.len()];
    for type_id in types {
        if let Some(entry) = wanted.get_mut(type_id.0 as usize) {
            *entry = true;
        }
    }
    let found: Vec<Vec<ObjectId>> = (0..objects.len().div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let start = chunk * CHUNK;
            (start..(start + CHUNK).min(objects.len()))
                .map(|node| ObjectId(node as u32))
                .filter(|&id| wanted.get(objects.type_id(id).0 as usize) == Some(&true))
                .filter(|&id| accepts(runtime, objects, filter, id))
                .collect()
        })
        .collect();
    let mut all: Vec<ObjectId> = found.into_iter().flatten().collect();
    let bytes = all.iter().map(|&id| objects.size(id)).sum();
    let total = all.len() as u64;
    let order = |&id: &ObjectId| (Reverse(objects.size(id)), id);
    if all.len() > limit {
        all.select_nth_unstable_by_key(limit, order);
        all.truncate(limit);
    }
    all.sort_unstable_by_key(order);
    Instances { largest: all, objects: total, bytes }
}

fn accepts(runtime: &Runtime<'_>, objects: &ObjectTable, filter: &InstanceFilter<'_>, id: ObjectId) -> bool {
    let within = |value: u64, min: Option<u64>, max: Option<u64>| {
        min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
    };
    if !filter.selection.holds(objects, id) || !within(objects.size(id), filter.min_size, filter.max_size) {
        return false;
    }
    if filter.min_refcount.is_none() && filter.max_refcount.is_none() {
        return true;
    }
    match refcount(runtime, objects.address(id)) {
        Some((_, true)) => filter.max_refcount.is_none(),
        Some((count, false)) => within(count, filter.min_refcount, filter.max_refcount),
        None => false,
    }
}

/// Refcount of the object at `address`, and whether it is immortal; `None` if its header is not readable.
pub fn refcount(runtime: &Runtime<'_>, address: crate::corefile::Address) -> Option<(u64, bool)> {
    runtime.refcount(address).ok().map(|found| (found.count, found.immortal))
}
