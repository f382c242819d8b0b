//! The census: every object of the process, once.
//!
//! Three sources, joined: live blocks of the interpreter's allocators that are objects, the collector's lists, and whatever
//! these refer to outside the allocators' memory (large objects and static ones). Roots bring in what only C code holds.

use super::credible::{LowAddresses, is_mapped, is_object, lies_within};
use super::region_map::{Outside, RegionMap};
use super::table::{Columns, Found};
use super::{ObjectFlags, ObjectId, ObjectTable};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use crate::cpython::{
    AllocatorFigures, AllocatorKind, Area, Contents, Gap, GcBits, Generation, LiveBlocks, PaddedBlock,
    PymallocFigures, PythonError, ReadField, RefCount, References, Region, Regions, Runtime, SizeRule,
    TypeId, TypeInfo, chained_objects, for_each_area, is_type, regions, roots, size_of, word,
};
use crate::graph::EdgeKind;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::io::{self, Seek, Write};
use std::ops::Deref;

/// The objects, and how sure it is that these are all.
#[derive(Debug)]
pub struct Counted {
    /// All objects.
    pub objects: ObjectTable,
    /// What could not be read.
    pub gaps: CensusGaps,
}

/// What the census found: the objects, and the allocators they lie in.
#[derive(Debug)]
pub struct Census {
    /// The objects.
    pub counted: Counted,
    /// Figures of all allocators together.
    pub figures: AllocatorFigures,
    /// Of each interpreter with an allocator of its own, by its index.
    pub allocators: Vec<(usize, AllocatorFigures)>,
    /// Which allocator has objects.
    pub allocator: AllocatorKind,
    /// Blocks are padded by the debug hooks (`PYTHONMALLOC=debug`, `-X dev`, `--with-pydebug`).
    pub padded: bool,
}

impl Deref for Census {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.counted
    }
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
    /// Pools of the allocator whose free list contradicts their header.
    pub damaged_pools: u64,
    /// Objects came from malloc, so that only those that something refers to are known.
    pub only_reachable: bool,
    /// Live blocks of the allocators that hold no object: buffers, tables, and what no type claims.
    pub other_blocks: u64,
    /// Bytes in them.
    pub other_bytes: u64,
}

impl Counted {
    /// Writes the objects and what is not known of them.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        self.objects.write(out)?;
        let gaps = &self.gaps;
        out.column("gaps.examples", &gaps.examples)?;
        out.column(
            "gaps.counts",
            &[
                gaps.unreadable_objects,
                gaps.opaque_objects,
                gaps.unknown_list_entries,
                gaps.damaged_pools,
                u64::from(gaps.only_reachable),
                gaps.other_blocks,
                gaps.other_bytes,
            ],
        )
    }

    /// What was written.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let objects = ObjectTable::read(file)?;
        let counts = file.column::<u64>("gaps.counts")?;
        let &[
            unreadable_objects,
            opaque_objects,
            unknown_list_entries,
            damaged_pools,
            reachable,
            blocks,
            bytes,
        ] = &*counts
        else {
            return Err(Damaged::because("it counts other gaps than this release"));
        };
        let gaps = CensusGaps {
            unreadable_objects,
            examples: file.column::<Address>("gaps.examples")?.to_vec(),
            opaque_objects,
            unknown_list_entries,
            damaged_pools,
            only_reachable: reachable != 0,
            other_blocks: blocks,
            other_bytes: bytes,
        };
        Ok(Self { objects, gaps })
    }
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
/// The allocators' memory cannot be found.
pub fn census(runtime: &mut Runtime<'_>) -> Result<Census, PythonError> {
    let regions = regions(runtime)?;
    let map = RegionMap::new(runtime, &regions.list);
    let mut scans = scan_regions(runtime, &regions, &map);
    let strangers: FxHashSet<Address> =
        scans.iter().flat_map(|scan| scan.unknown_types.iter().copied()).collect();
    if !strangers.is_empty() {
        let before = runtime.types.len();
        let mut types = std::mem::take(&mut runtime.types);
        types.extend(runtime, strangers);
        runtime.types = types;
        if runtime.types.len() > before {
            scans = scan_regions(runtime, &regions, &map);
        }
    }
    let mut gaps = CensusGaps::default();
    scans.iter().for_each(|scan| gaps.add(&scan.gaps));
    let (figures, allocators) = allocator_figures(&regions, &scans);
    let seeds = outside_seeds(runtime, &map, &scans);
    let outside = close_outside(runtime, &map, seeds, &mut gaps);
    let mut objects = ObjectTable::new(merge(&regions.list, scans, outside));
    mark_generations(runtime, &mut objects, &mut gaps);
    gaps.damaged_pools = figures.damaged();
    gaps.only_reachable = regions.kind == AllocatorKind::Malloc;
    let counted = Counted { objects, gaps };
    Ok(Census { counted, figures, allocators, allocator: regions.kind, padded: regions.padded })
}

/// The figures of all allocators together, and of each.
fn allocator_figures(
    regions: &Regions,
    scans: &[RegionScan],
) -> (AllocatorFigures, Vec<(usize, AllocatorFigures)>) {
    let mut total = AllocatorFigures::default();
    let mut each = Vec::new();
    for &(interpreter, raw_blocks) in &regions.raw_blocks {
        let pymalloc = PymallocFigures { raw_blocks, ..PymallocFigures::default() };
        let mut figures = AllocatorFigures { pymalloc, ..AllocatorFigures::default() };
        let own = regions.list.iter().zip(scans).filter(|(region, _)| region.interpreter == interpreter);
        own.for_each(|(_, scan)| figures.add(&scan.figures));
        total.add(&figures);
        each.push((interpreter, figures));
    }
    total.leaked_blocks = regions.leaked_blocks;
    (total, each)
}

/// What one region holds.
#[derive(Default)]
struct RegionScan {
    columns: Columns,
    figures: AllocatorFigures,
    gaps: CensusGaps,
    outside: Vec<Address>,
    unknown_types: Vec<Address>,
}

fn scan_regions(runtime: &Runtime<'_>, regions: &Regions, map: &RegionMap) -> Vec<RegionScan> {
    let low = LowAddresses::of(runtime);
    regions
        .list
        .par_iter()
        .map_init(
            || (References::new(runtime), Outside::new(map)),
            |(references, outside), region| {
                let mut scanner = Scanner { runtime, references, outside, low, scan: RegionScan::default() };
                let figures = match regions.padded {
                    false => for_each_area(runtime, region, |area, live| scanner.area::<false>(area, live)),
                    true => for_each_area(runtime, region, |area, live| scanner.area::<true>(area, live)),
                };
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
    low: LowAddresses,
    scan: RegionScan,
}

impl Scanner<'_, '_, '_, '_> {
    /// Takes the live blocks of an area.
    #[inline]
    fn area<const PADDED: bool>(&mut self, area: &Area<'_>, live: &LiveBlocks<'_>) {
        match area.contents {
            Contents::Any => self.blocks::<3, PADDED>(area, live, [0, 16, 32]),
            Contents::PlainObjects | Contents::GcObjects { preheader: false } => {
                self.blocks::<1, PADDED>(area, live, [0])
            }
            Contents::GcObjects { preheader: true } => self.blocks::<1, PADDED>(area, live, [16]),
            Contents::Buffers => live.offsets().for_each(|_| self.other(area.block_size)),
        }
    }

    /// Takes the blocks of an area where objects, if any, have one of these numbers of bytes in front of them.
    #[inline]
    fn blocks<const N: usize, const PADDED: bool>(
        &mut self,
        area: &Area<'_>,
        live: &LiveBlocks<'_>,
        preheaders: [usize; N],
    ) {
        for offset in live.offsets() {
            let block = area.bytes.get(offset..offset + area.block_size).unwrap_or_default();
            let start = area.address + offset as u64;
            let is_object = if PADDED {
                PaddedBlock::read(block).is_some_and(|block| {
                    let start = start + PaddedBlock::OFFSET as u64;
                    block.for_object && self.object_in(start, block.bytes, preheaders)
                })
            } else {
                self.object_in(start, block, preheaders)
            };
            if !is_object {
                self.other(area.block_size);
            }
        }
    }

    /// A block that holds no object.
    fn other(&mut self, block_size: usize) {
        self.scan.gaps.other_blocks += 1;
        self.scan.gaps.other_bytes += block_size as u64;
    }

    /// Takes the object in a block, if there is one, behind one of these numbers of bytes.
    #[inline]
    fn object_in<const N: usize>(&mut self, start: Address, bytes: &[u8], preheaders: [usize; N]) -> bool {
        let header = &self.runtime.header;
        for preheader in preheaders {
            if bytes.len() < preheader + header.size as usize {
                break;
            }
            let Some(refcount) = header.plausible_count_in(&self.runtime.semantics, bytes, preheader) else {
                continue;
            };
            let type_ = header.type_in(bytes, preheader);
            let Some(type_id) = self.runtime.types.id_of(type_) else {
                self.maybe_unknown_type(type_);
                continue;
            };
            let info = self.runtime.types.get(type_id);
            if info.preheader as usize == preheader && self.fits(info, bytes, preheader) {
                let tracking = Tracking::in_block(self.runtime, bytes, preheader);
                if !tracking.tracked && !refcount.immortal && info.has_gc() && info.by_class_statement {
                    // Neither tracked nor made immortal, which ends tracking (free-threaded builds, 3.13; all, 3.14): a buffer
                    // that looks alike, or an instance that is being torn down.
                    continue;
                }
                let object = start + preheader as u64;
                if self.low.contain(refcount) && !is_object(self.runtime, object, refcount, tracking.tracked)
                {
                    continue;
                }
                let mut size = size_of(self.runtime, info, object).ok();
                let block = start..start.saturating_add(bytes.len() as u64);
                if size.is_some_and(|size| !lies_within(self.runtime, info, object, size, block)) {
                    if !tracking.tracked {
                        continue;
                    }
                    size = None;
                }
                let found = describe(self.runtime, type_id, info, object, size, refcount, tracking);
                self.object(info, object, found);
                return true;
            }
        }
        false
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

    /// Takes an object. `Err`: its size is unknown.
    #[inline]
    fn object(&mut self, info: &TypeInfo, object: Address, found: Result<Found, Found>) {
        let outside = &mut *self.outside;
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
/// `_PyGC_REFS_UNTRACKED` (Include/objimpl.h, up to 3.7).
const REFS_UNTRACKED: i64 = -2;

/// What the collector has noted of one object.
#[derive(Clone, Copy, Debug, Default)]
struct Tracking {
    tracked: bool,
    finalized: bool,
}

impl Tracking {
    /// By a GC head: links that are there, and a flag beside them.
    #[inline]
    fn from_head(runtime: &Runtime<'_>, head: &[u8]) -> Self {
        let l = &runtime.layouts.gc_head;
        match l.refs {
            None => Self {
                tracked: word(head, l.next.offset as usize) != 0,
                finalized: word(head, l.prev.offset as usize) & GC_FINALIZED != 0,
            },
            // Up to 3.7 links that were never set may hold anything, and a third word tells.
            Some(refs) => {
                let refs = word(head, refs.offset as usize);
                Self { tracked: refs as i64 >> 1 != REFS_UNTRACKED, finalized: refs & GC_FINALIZED != 0 }
            }
        }
    }

    /// By the bits of a header.
    #[inline]
    fn from_bits(bits: GcBits) -> Self {
        Self { tracked: bits.is_tracked(), finalized: bits.is_finalized() }
    }

    /// Of the object behind `preheader` bytes of a block.
    #[inline]
    fn in_block(runtime: &Runtime<'_>, bytes: &[u8], preheader: usize) -> Self {
        if runtime.header.has_gc_bits() {
            return Self::from_bits(runtime.header.gc_bits_in(bytes, preheader));
        }
        let head = preheader.checked_sub(runtime.semantics.gc_head as usize);
        head.and_then(|head| bytes.get(head..)).map_or(Self::default(), |head| Self::from_head(runtime, head))
    }

    /// Of any object. Static types have no GC head, whatever their type says.
    fn of(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, header: &[u8]) -> Self {
        if runtime.header.has_gc_bits() {
            return Self::from_bits(runtime.header.gc_bits_in(header, 0));
        }
        let is_static_type =
            info.is_metatype() && runtime.types.of(object).is_some_and(|info| !info.is_heap_type());
        if !info.has_gc() || is_static_type {
            return Self::default();
        }
        let size = runtime.semantics.gc_head;
        match runtime.space.slice(object.wrapping_sub(u64::from(size)), size as usize) {
            Ok(head) => Self::from_head(runtime, head),
            Err(_) => Self::default(),
        }
    }
}

/// An object's row. `Err`: its size is not known, or more than the process had, so it is the plain object's.
#[inline]
fn describe(
    runtime: &Runtime<'_>,
    type_id: TypeId,
    info: &TypeInfo,
    address: Address,
    size: Option<u64>,
    refcount: RefCount,
    tracking: Tracking,
) -> Result<Found, Found> {
    let flags = ObjectFlags::UNTRACKED
        .with_generation(tracking.tracked.then_some(Generation::Detached))
        .with_finalized(tracking.finalized)
        .with_immortal(refcount.immortal);
    let row = |size| Found { address, type_id, size, flags };
    match size {
        Some(size) if size <= runtime.described_bytes => Ok(row(size)),
        _ if info.basicsize <= runtime.described_bytes => Err(row(info.basicsize)),
        _ => Err(row(u64::from(runtime.header.size))),
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

/// Addresses outside the regions that may be objects: on the collector's lists, referred to from blocks, types, roots.
fn outside_seeds(runtime: &Runtime<'_>, map: &RegionMap, scans: &[RegionScan]) -> FxHashSet<Address> {
    let mut seeds: FxHashSet<Address> = scans.iter().flat_map(|scan| scan.outside.iter().copied()).collect();
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
fn close_outside(
    runtime: &mut Runtime<'_>,
    map: &RegionMap,
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
    note_gap(gaps, object, gap, found.is_err());
    let mut found = found.unwrap_or_else(|found| found);
    found.flags = found.flags.with_outside_pools(true);
    Some(found)
}

/// Joins the regions' objects and those outside in order of address; a region holds no address of the others.
fn merge(regions: &[Region], scans: Vec<RegionScan>, outside: Columns) -> Columns {
    let total = outside.len() + scans.iter().map(|scan| scan.columns.len()).sum::<usize>();
    let mut merged = Columns::default();
    merged.reserve(total);
    let mut outside = outside.into_rows().peekable();
    for (region, scan) in regions.iter().zip(scans) {
        while let Some(found) = outside.next_if(|found| found.address < region.address) {
            merged.push(found);
        }
        if outside.peek().is_none_or(|found| found.address >= region.end) {
            merged.append(scan.columns);
            continue;
        }
        // The state of an interpreter lies in the region.
        for row in scan.columns.into_rows() {
            while let Some(found) = outside.next_if(|found| found.address < row.address) {
                merged.push(found);
            }
            merged.push(row);
        }
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
