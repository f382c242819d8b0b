//! The census: every object of the process, once.
//!
//! Three sources, joined: live blocks of pymalloc that are objects, the collector's lists, and whatever these refer to
//! outside the pools (large objects and static ones). Roots bring in what only C code holds.

use super::table::{Columns, Found};
use super::{ObjectFlags, ObjectId, ObjectTable};
use crate::corefile::Address;
use crate::cpython::{
    Arena, GC_HEAD_SIZE, Gap, Generation, Pool, PymallocFigures, PythonError, ReadField, References, Runtime,
    SizeRule, TypeId, TypeInfo, arenas, for_each_pool, is_type, roots, size_of, word,
};
use crate::graph::EdgeKind;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// What the census found.
#[derive(Debug)]
pub struct Census {
    /// All objects.
    pub objects: ObjectTable,
    /// pymalloc's figures, of all allocators.
    pub pymalloc: PymallocFigures,
    /// Of each allocator, by the index of the interpreter that owns it.
    pub allocators: Vec<(usize, PymallocFigures)>,
    /// What could not be read.
    pub gaps: CensusGaps,
}

/// What the census could not read, counted; each makes a number a lower bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CensusGaps {
    /// Objects whose size or references were unreadable.
    pub unreadable_objects: u64,
    /// First such objects.
    pub examples: Vec<Address>,
    /// Objects of types whose own traversal could not be followed.
    pub opaque_objects: u64,
    /// Entries of the collector's lists that are no objects.
    pub unknown_list_entries: u64,
    /// Live blocks in pools of pymalloc that hold no object: buffers, tables, and what no type claims.
    pub other_blocks: u64,
    /// Bytes in them.
    pub other_bytes: u64,
}

/// How many examples are kept.
const MAX_EXAMPLES: usize = 8;

impl CensusGaps {
    fn add(&mut self, other: &Self) {
        self.unreadable_objects += other.unreadable_objects;
        self.opaque_objects += other.opaque_objects;
        self.unknown_list_entries += other.unknown_list_entries;
        self.other_blocks += other.other_blocks;
        self.other_bytes += other.other_bytes;
        let room = MAX_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room));
    }

    fn note(&mut self, object: Address) {
        self.unreadable_objects += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(object);
        }
    }
}

/// Counts every object of `runtime`. Types that turn up only here are added to its table.
///
/// # Errors
/// pymalloc's arenas cannot be found.
pub fn census(runtime: &mut Runtime<'_>) -> Result<Census, PythonError> {
    let (arenas, raw_blocks) = arenas(runtime)?;
    let map = ArenaMap::new(runtime, &arenas);
    let mut scans = scan_arenas(runtime, &arenas, &map);
    let strangers: FxHashSet<Address> =
        scans.iter().flat_map(|scan| scan.unknown_types.iter().copied()).collect();
    if !strangers.is_empty() {
        let before = runtime.types.len();
        let mut types = std::mem::take(&mut runtime.types);
        types.extend(runtime, strangers);
        runtime.types = types;
        if runtime.types.len() > before {
            scans = scan_arenas(runtime, &arenas, &map);
        }
    }
    let mut gaps = CensusGaps::default();
    scans.iter().for_each(|scan| gaps.add(&scan.gaps));
    let (pymalloc, allocators) = allocator_figures(&arenas, &scans, &raw_blocks);
    let seeds = outside_seeds(runtime, &map, &scans);
    let outside = close_outside(runtime, &map, seeds, &mut gaps);
    let mut objects = ObjectTable::new(merge(&arenas, scans, outside));
    mark_generations(runtime, &mut objects, &mut gaps);
    Ok(Census { objects, pymalloc, allocators, gaps })
}

/// The figures of all allocators together, and of each.
fn allocator_figures(
    arenas: &[Arena],
    scans: &[ArenaScan],
    raw_blocks: &[(usize, Option<i64>)],
) -> (PymallocFigures, Vec<(usize, PymallocFigures)>) {
    let mut total = PymallocFigures::default();
    let mut each = Vec::new();
    for &(interpreter, raw_blocks) in raw_blocks {
        let mut figures = PymallocFigures { raw_blocks, ..PymallocFigures::default() };
        let own = arenas.iter().zip(scans).filter(|(arena, _)| arena.interpreter == interpreter);
        own.for_each(|(_, scan)| figures.add(&scan.figures));
        total.add(&figures);
        each.push((interpreter, figures));
    }
    (total, each)
}

/// Which addresses lie in arenas.
struct ArenaMap {
    /// Disjoint, ascending.
    spans: Vec<(Address, Address)>,
}

impl ArenaMap {
    fn new(runtime: &Runtime<'_>, arenas: &[Arena]) -> Self {
        let mut spans: Vec<(Address, Address)> = Vec::new();
        for arena in arenas {
            let end = arena.address.saturating_add(runtime.semantics.pools.arena);
            match spans.last_mut() {
                Some(last) if last.1 >= arena.address => last.1 = end,
                _ => spans.push((arena.address, end)),
            }
        }
        Self { spans }
    }

    #[inline]
    fn contains(&self, address: Address) -> bool {
        let after = self.spans.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).and_then(|index| self.spans.get(index)).is_some_and(|&(_, end)| address < end)
    }
}

/// Number of entries of the filter in front of the set of outside addresses; a power of two.
const FILTER: usize = 1 << 12;

/// Addresses outside the arenas that something refers to. The same few objects are met millions of times, so a small
/// table of those met last stands in front of the set.
struct Outside<'m> {
    map: &'m ArenaMap,
    recent: Box<[Address]>,
    last_span: (Address, Address),
    seen: FxHashSet<Address>,
}

impl<'m> Outside<'m> {
    fn new(map: &'m ArenaMap) -> Self {
        Self {
            map,
            recent: vec![0; FILTER].into_boxed_slice(),
            last_span: (0, 0),
            seen: FxHashSet::default(),
        }
    }

    #[inline]
    fn note(&mut self, target: Address) {
        if (self.last_span.0..self.last_span.1).contains(&target) {
            return;
        }
        let slot = (target >> 4) as usize % FILTER;
        match self.recent.get_mut(slot) {
            Some(entry) if *entry == target => return,
            Some(entry) => *entry = target,
            None => {}
        }
        self.note_slowly(target);
    }

    #[cold]
    fn note_slowly(&mut self, target: Address) {
        let after = self.map.spans.partition_point(|&(start, _)| start <= target);
        match after.checked_sub(1).and_then(|index| self.map.spans.get(index)) {
            Some(&span) if target < span.1 => self.last_span = span,
            _ => {
                self.seen.insert(target);
            }
        }
    }
}

/// What one arena holds.
#[derive(Default)]
struct ArenaScan {
    columns: Columns,
    figures: PymallocFigures,
    gaps: CensusGaps,
    outside: Vec<Address>,
    unknown_types: Vec<Address>,
}

fn scan_arenas(runtime: &Runtime<'_>, arenas: &[Arena], map: &ArenaMap) -> Vec<ArenaScan> {
    arenas
        .par_iter()
        .map_init(
            || (References::new(runtime), Outside::new(map)),
            |(references, outside), arena| {
                let mut scanner = Scanner { runtime, references, outside, scan: ArenaScan::default() };
                let figures = for_each_pool(runtime, arena, |pool, live| {
                    live.offsets().for_each(|offset| scanner.block(pool, offset));
                });
                let mut scan = scanner.scan;
                scan.figures = figures;
                scan.outside = outside.seen.drain().collect();
                scan
            },
        )
        .collect()
}

struct Scanner<'s, 'r, 'core, 'm> {
    runtime: &'r Runtime<'core>,
    references: &'s mut References<'r, 'core>,
    outside: &'s mut Outside<'m>,
    scan: ArenaScan,
}

impl Scanner<'_, '_, '_, '_> {
    /// Takes a live block: an object, or something else.
    #[inline]
    fn block(&mut self, pool: &Pool<'_>, offset: u32) {
        let size = pool.block_size as usize;
        let bytes = pool.bytes.get(offset as usize..offset as usize + size).unwrap_or_default();
        let start = pool.address + u64::from(offset);
        for preheader in [0usize, 16, 32] {
            if size < preheader + 16 {
                break;
            }
            let refcount = word(bytes, preheader);
            if !self.runtime.semantics.plausible_refcount(refcount) {
                continue;
            }
            let type_ = word(bytes, preheader + 8);
            let Some(type_id) = self.runtime.types.id_of(type_) else {
                self.maybe_unknown_type(type_);
                continue;
            };
            let info = self.runtime.types.get(type_id);
            if info.preheader as usize == preheader && self.fits(info, bytes, preheader) {
                let object = start + preheader as u64;
                let gc_next = if preheader == 0 { 0 } else { word(bytes, preheader - 16) };
                let gc_prev = if preheader == 0 { 0 } else { word(bytes, preheader - 8) };
                if gc_next == 0 && info.has_gc() && info.by_class_statement {
                    // Not tracked: a buffer that looks alike, or an instance that is being torn down.
                    continue;
                }
                self.object(type_id, info, object, refcount, (gc_next, gc_prev));
                return;
            }
        }
        self.scan.gaps.other_blocks += 1;
        self.scan.gaps.other_bytes += size as u64;
    }

    /// Whether an instance of `info` has room in the block.
    #[inline]
    fn fits(&self, info: &TypeInfo, bytes: &[u8], preheader: usize) -> bool {
        let least = match info.size_rule {
            // A str is allocated with only as much of its struct as its text needs (Objects/unicodeobject.c, PyUnicode_New).
            SizeRule::Str => u64::from(self.runtime.layouts.ascii.size),
            // A type made in C may leave out its last member (Modules/_datetimemodule.c, `tzinfo` of times without one).
            _ if !info.has_gc() => info.basicsize.saturating_sub(8),
            _ => info.basicsize,
        };
        preheader as u64 + least <= bytes.len() as u64
    }

    #[inline]
    fn object(
        &mut self,
        type_id: TypeId,
        info: &TypeInfo,
        object: Address,
        refcount: u64,
        gc_head: (u64, u64),
    ) {
        let outside = &mut *self.outside;
        let found = describe(self.runtime, type_id, info, object, refcount, gc_head);
        let gap = self.references.visit(info, object, &mut |referent| {
            if referent.kind != EdgeKind::Inferred {
                outside.note(referent.target);
            }
        });
        note_gap(&mut self.scan.gaps, object, gap, found.is_err());
        self.scan.columns.push(found.unwrap_or_else(|found| found));
    }

    fn maybe_unknown_type(&mut self, candidate: Address) {
        if candidate.is_multiple_of(8) && candidate > 0xffff && is_type(self.runtime, candidate) {
            self.scan.unknown_types.push(candidate);
        }
    }
}

/// `_gc_prev` bit that says `tp_finalize` was called (Include/internal/pycore_gc.h, `_PyGC_PREV_MASK_FINALIZED`).
const GC_FINALIZED: u64 = 1;

/// An object's row. `Err`: its size could not be read, so it is the plain object's.
#[inline]
fn describe(
    runtime: &Runtime<'_>,
    type_id: TypeId,
    info: &TypeInfo,
    address: Address,
    refcount: u64,
    (gc_next, gc_prev): (u64, u64),
) -> Result<Found, Found> {
    let (_, immortal) = runtime.semantics.refcount(refcount);
    let flags = ObjectFlags::UNTRACKED
        .with_generation((gc_next != 0).then_some(Generation::Detached))
        .with_finalized(gc_prev & GC_FINALIZED != 0)
        .with_immortal(immortal);
    let row = |size| Found { address, type_id, size, flags };
    match size_of(runtime, info, address) {
        Ok(size) => Ok(row(size)),
        Err(_) => Err(row(info.basicsize)),
    }
}

fn note_gap(gaps: &mut CensusGaps, object: Address, gap: Result<(), Gap>, size_unknown: bool) {
    match gap {
        Err(Gap::Unreadable(_)) => gaps.note(object),
        Err(Gap::Opaque) => gaps.opaque_objects += 1,
        Ok(()) if size_unknown => gaps.note(object),
        Ok(()) => {}
    }
}

/// Addresses outside the arenas that may be objects: on the collector's lists, referred to from pools, types, roots.
fn outside_seeds(runtime: &Runtime<'_>, map: &ArenaMap, scans: &[ArenaScan]) -> FxHashSet<Address> {
    let mut seeds: FxHashSet<Address> = scans.iter().flat_map(|scan| scan.outside.iter().copied()).collect();
    for list in &runtime.gc_lists {
        seeds.extend(list.objects.iter().copied().filter(|&object| !map.contains(object)));
    }
    seeds.extend(runtime.types.iter().map(|(_, info)| info.address).filter(|&type_| !map.contains(type_)));
    roots(runtime, &mut |root| {
        if root.certain && !map.contains(root.target) {
            seeds.insert(root.target);
        }
    });
    seeds
}

/// Follows references among objects outside the arenas until nothing new turns up.
fn close_outside(
    runtime: &mut Runtime<'_>,
    map: &ArenaMap,
    seeds: FxHashSet<Address>,
    gaps: &mut CensusGaps,
) -> Columns {
    let mut known = seeds.clone();
    let mut wave: Vec<Address> = seeds.into_iter().collect();
    let mut rows: Vec<Found> = Vec::new();
    while !wave.is_empty() {
        wave.sort_unstable();
        learn_types(runtime, &wave);
        let shared: &Runtime<'_> = runtime;
        let parts: Vec<(Vec<Found>, FxHashSet<Address>, CensusGaps)> = wave
            .par_chunks(4096)
            .map(|chunk| {
                let mut references = References::new(shared);
                let mut outside = Outside::new(map);
                let mut gaps = CensusGaps::default();
                let rows = chunk
                    .iter()
                    .filter_map(|&address| {
                        outside_object(shared, &mut references, &mut outside, address, &mut gaps)
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
fn learn_types(runtime: &mut Runtime<'_>, objects: &[Address]) {
    let type_at = runtime.layouts.object.type_;
    let strangers: FxHashSet<Address> = objects
        .iter()
        .filter_map(|&object| runtime.space.field(object, type_at).ok())
        .filter(|&type_| runtime.types.id_of(type_).is_none() && is_type(runtime, type_))
        .collect();
    if !strangers.is_empty() {
        let mut types = std::mem::take(&mut runtime.types);
        types.extend(runtime, strangers);
        runtime.types = types;
    }
}

fn outside_object(
    runtime: &Runtime<'_>,
    references: &mut References<'_, '_>,
    outside: &mut Outside<'_>,
    object: Address,
    gaps: &mut CensusGaps,
) -> Option<Found> {
    let header = runtime.space.slice(object, 16).ok()?;
    let refcount = word(header, 0);
    let type_id = runtime.types.id_of(word(header, 8))?;
    let (count, _) = runtime.semantics.refcount(refcount);
    if count == 0 || !object.is_multiple_of(8) {
        return None;
    }
    let info = runtime.types.get(type_id);
    let head = gc_head(runtime, info, object);
    let found = describe(runtime, type_id, info, object, refcount, head);
    let gap = references.visit(info, object, &mut |referent| {
        if referent.kind != EdgeKind::Inferred {
            outside.note(referent.target);
        }
    });
    note_gap(gaps, object, gap, found.is_err());
    let mut found = found.unwrap_or_else(|found| found);
    found.flags = found.flags.with_outside_pools(true);
    Some(found)
}

/// The two words of the GC head, or zeros for objects without one. Static types have none, whatever their type says.
fn gc_head(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> (u64, u64) {
    let is_static_type =
        info.is_metatype() && runtime.types.of(object).is_some_and(|info| !info.is_heap_type());
    if !info.has_gc() || is_static_type {
        return (0, 0);
    }
    match runtime.space.slice(object.wrapping_sub(GC_HEAD_SIZE), GC_HEAD_SIZE as usize) {
        Ok(head) => (word(head, 0), word(head, 8)),
        Err(_) => (0, 0),
    }
}

/// Joins the arenas' objects and those outside in order of address; an arena holds no address of the others.
fn merge(arenas: &[Arena], scans: Vec<ArenaScan>, outside: Columns) -> Columns {
    let total = outside.len() + scans.iter().map(|scan| scan.columns.len()).sum::<usize>();
    let mut merged = Columns::default();
    merged.reserve(total);
    let mut outside = outside.into_rows().peekable();
    for (arena, scan) in arenas.iter().zip(scans) {
        while let Some(found) = outside.next_if(|found| found.address < arena.address) {
            merged.push(found);
        }
        merged.append(scan.columns);
    }
    outside.for_each(|found| merged.push(found));
    merged
}

/// Writes each listed object's generation into its flags. Tracked objects on no list stay *detached*.
fn mark_generations(runtime: &Runtime<'_>, objects: &mut ObjectTable, gaps: &mut CensusGaps) {
    for list in &runtime.gc_lists {
        let ids: Vec<Option<ObjectId>> =
            list.objects.par_iter().map(|&address| objects.find(address)).collect();
        for id in ids {
            match id {
                Some(id) => {
                    let flags = objects.flags(id).with_generation(Some(list.generation));
                    objects.set_flags(id, flags);
                }
                None => gaps.unknown_list_entries += 1,
            }
        }
    }
}
