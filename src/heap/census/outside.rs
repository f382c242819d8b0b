//! Objects outside the memory of the allocators: large ones, static ones, and what only C code holds.

use super::besides::Besides;
use super::credible::is_mapped;
use super::gaps::CensusGaps;
use super::learn_types;
use super::region_map::{Outside, RegionMap};
use super::row::{Tracking, describe};
use crate::corefile::Address;
use crate::cpython::{ReadField, References, Runtime, chained_objects, is_type, roots, size_of};
use crate::graph::EdgeKind;
use crate::heap::found::{Columns, Found};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// The objects outside the regions, in order of address. `referred` are addresses there that objects inside refer to. Types that turn up only here are added to the runtime's table.
pub fn objects(
    runtime: &mut Runtime<'_>,
    map: &RegionMap,
    referred: FxHashSet<Address>,
    besides: &mut Besides,
    gaps: &mut CensusGaps,
) -> Columns {
    let seeds = seeds(runtime, map, referred);
    close(runtime, map, seeds, besides, gaps)
}

/// Addresses outside the regions that may be objects: on the collector's lists, referred to from blocks, types, roots.
fn seeds(runtime: &Runtime<'_>, map: &RegionMap, referred: FxHashSet<Address>) -> FxHashSet<Address> {
    let mut seeds = referred;
    for list in &runtime.gc_lists {
        seeds.extend(list.objects.iter().copied().filter(|&object| !map.contains(object)));
    }
    seeds.extend(chained_objects(runtime).into_iter().filter(|&object| !map.contains(object)));
    seeds.extend(runtime.types.iter().map(|(_, info)| info.address).filter(|&type_| !map.contains(type_)));
    roots(runtime, &mut |root| {
        if root.certain && !map.contains(root.target) {
            seeds.insert(root.target);
        }
    });
    seeds
}

/// Follows references among objects outside the regions until nothing new turns up.
fn close(
    runtime: &mut Runtime<'_>,
    map: &RegionMap,
    seeds: FxHashSet<Address>,
    besides: &mut Besides,
    gaps: &mut CensusGaps,
) -> Columns {
    let mut known = seeds.clone();
    let mut wave: Vec<Address> = seeds.into_iter().collect();
    let mut rows: Vec<Found> = Vec::new();
    while !wave.is_empty() {
        wave.sort_unstable();
        learn_types_of(runtime, &wave);
        besides.learn(runtime);
        let (shared, besides): (&Runtime<'_>, &Besides) = (runtime, besides);
        let parts: Vec<(Vec<Found>, FxHashSet<Address>, CensusGaps)> = wave
            .par_chunks(4096)
            .map(|chunk| {
                let mut references = References::new(shared);
                let mut outside = Outside::new(map);
                let mut gaps = CensusGaps::default();
                let rows = chunk
                    .iter()
                    .filter_map(|&address| {
                        let mut found = object_at(shared, &mut references, &mut outside, address, &mut gaps)?;
                        let info = shared.types.get(found.type_id);
                        found.owned = besides.owned(shared, found.type_id, info, address);
                        Some(found)
                    })
                    .collect();
                (rows, outside.seen, gaps)
            })
            .collect();
        wave.clear();
        for (found, targets, part_gaps) in parts {
            rows.extend(found);
            gaps.add(&part_gaps);
            wave.extend(targets.into_iter().filter(|&target| known.insert(target)));
        }
    }
    rows.sort_unstable_by_key(|found| found.address);
    let mut columns = Columns::default();
    columns.reserve(rows.len());
    rows.into_iter().for_each(|found| columns.push(found));
    columns
}

/// Adds the types of `objects` that the table lacks.
fn learn_types_of(runtime: &mut Runtime<'_>, objects: &[Address]) {
    let type_at = runtime.layouts.object.type_;
    let strangers = objects
        .iter()
        .filter_map(|&object| runtime.space.field(object, type_at).ok())
        .filter(|&type_| runtime.types.id_of(type_).is_none() && is_type(runtime, type_))
        .collect();
    learn_types(runtime, strangers);
}

/// The object at an address that something refers to, if there is one. Notes where it leads.
fn object_at(
    runtime: &Runtime<'_>,
    references: &mut References<'_, '_>,
    outside: &mut Outside<'_>,
    object: Address,
    gaps: &mut CensusGaps,
) -> Option<Found> {
    // A reference may lead anywhere.
    let header = runtime.space.peek(object, runtime.header.size as usize).ok()?;
    let type_id = runtime.types.id_of(runtime.header.type_in(header, 0))?;
    runtime.space.record(object, header.len());
    let refcount = runtime.header.count_in(&runtime.semantics, header, 0);
    if (refcount.count == 0 && !refcount.immortal) || !object.is_multiple_of(8) {
        return None;
    }
    let info = runtime.types.get(type_id);
    let tracking = Tracking::of(runtime, info, object, header);
    let size = size_of(runtime, info, object).ok();
    let size = size.filter(|&size| is_mapped(runtime, info, object, size));
    let found = describe(runtime, type_id, info, object, size, refcount, tracking);
    let gap = references.visit(info, object, &mut |referent| {
        if referent.kind != EdgeKind::Inferred {
            outside.note(referent.target);
        }
    });
    gaps.note_visit(object, gap, found.is_err());
    let mut found = found.unwrap_or_else(|found| found);
    found.flags = found.flags.with_outside_pools(true);
    Some(found)
}
