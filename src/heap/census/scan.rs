//! The objects in the memory of the allocators: which live blocks are objects, and where these lead outside it.

use super::besides::Besides;
use super::credible::{LowAddresses, is_object, lies_within};
use super::gaps::CensusGaps;
use super::region_map::{Outside, RegionMap};
use super::row::{Tracking, describe};
use crate::corefile::Address;
use crate::cpython::{
    AllocatorFigures, Area, Contents, LiveBlocks, PaddedBlock, References, Region, Regions, Runtime,
    SizeRule, TypeInfo, for_each_area, is_type, size_of,
};
use crate::graph::EdgeKind;
use crate::heap::found::{Columns, Found};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

/// Regions that a thread scans before what they hold is joined: few enough that their memory is used again soon, many
/// enough that no thread waits long for the last.
const REGIONS_A_THREAD: usize = 16;

/// What the regions hold.
#[derive(Default)]
pub struct Scanned {
    /// Their objects, in order of address.
    pub columns: Columns,
    /// What its allocator has of each interpreter's regions.
    pub figures: FxHashMap<usize, AllocatorFigures>,
    /// What could not be read.
    pub gaps: CensusGaps,
    /// Addresses outside all regions that their objects refer to.
    pub outside: FxHashSet<Address>,
    /// Types of their blocks that the runtime's table lacks.
    pub unknown_types: FxHashSet<Address>,
}

impl Scanned {
    /// Takes what a region holds, and leaves the room for the next.
    fn add(&mut self, scan: &mut RegionScan) {
        self.columns.append(&mut scan.columns);
        self.figures.entry(scan.interpreter).or_default().add(&std::mem::take(&mut scan.figures));
        self.gaps.add(&std::mem::take(&mut scan.gaps));
        self.outside.extend(scan.outside.drain(..));
        self.unknown_types.extend(scan.unknown_types.drain(..));
    }
}

/// What one region holds.
#[derive(Default)]
struct RegionScan {
    interpreter: usize,
    columns: Columns,
    figures: AllocatorFigures,
    gaps: CensusGaps,
    outside: Vec<Address>,
    unknown_types: Vec<Address>,
}

/// Scans all regions, in parallel, and joins what they hold in their order.
pub fn scan_regions(runtime: &Runtime<'_>, regions: &Regions, map: &RegionMap, besides: &Besides) -> Scanned {
    let low = LowAddresses::of(runtime);
    let some = REGIONS_A_THREAD * rayon::current_num_threads();
    let rooms = || std::iter::repeat_with(RegionScan::default).take(some.min(regions.list.len())).collect();
    let (mut scanned, mut last, mut next): (_, Vec<_>, Vec<_>) = (Scanned::default(), rooms(), rooms());
    for some in regions.list.chunks(some) {
        let tools = || (References::new(runtime), Outside::new(map));
        let scans = next.par_iter_mut().zip(some);
        rayon::join(
            || last.iter_mut().for_each(|scan| scanned.add(scan)),
            || {
                scans.for_each_init(tools, |(references, outside), (scan, region)| {
                    Scanner { runtime, references, outside, besides, low, scan }
                        .region(region, regions.padded);
                });
            },
        );
        std::mem::swap(&mut last, &mut next);
    }
    last.iter_mut().for_each(|scan| scanned.add(scan));
    scanned
}

struct Scanner<'s, 'r, 'core, 'm> {
    runtime: &'r Runtime<'core>,
    references: &'s mut References<'r, 'core>,
    outside: &'s mut Outside<'m>,
    besides: &'s Besides,
    low: LowAddresses,
    scan: &'s mut RegionScan,
}

impl Scanner<'_, '_, '_, '_> {
    fn region(mut self, region: &Region, padded: bool) {
        self.scan.interpreter = region.interpreter;
        self.scan.figures = match padded {
            false => for_each_area(self.runtime, region, |area, live| self.area::<false>(area, live)),
            true => for_each_area(self.runtime, region, |area, live| self.area::<true>(area, live)),
        };
        self.scan.outside.extend(self.outside.seen.drain());
    }

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
        self.scan.gaps.note_visit(object, gap, found.is_err());
        let mut found = found.unwrap_or_else(|found| found);
        found.owned = self.besides.owned(self.runtime, found.type_id, info, object);
        self.scan.columns.push(found);
    }

    fn maybe_unknown_type(&mut self, candidate: Address) {
        if candidate.is_multiple_of(8) && candidate > 0xffff && is_type(self.runtime, candidate) {
            self.scan.unknown_types.push(candidate);
        }
    }
}
