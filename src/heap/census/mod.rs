//! The census: every object of the process, once.
//!
//! Three sources, joined: live blocks of the interpreter's allocators that are objects, the collector's lists, and whatever
//! these refer to outside the allocators' memory (large objects and static ones). Roots bring in what only C code holds.

mod besides;
mod credible;
mod gaps;
mod outside;
mod region_map;
mod row;
mod scan;

pub use gaps::{CensusFigures, CensusGaps};

use super::{ObjectId, ObjectTable};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use crate::cpython::{
    AllocatorFigures, AllocatorKind, PymallocFigures, PythonError, Regions, Runtime, regions,
};
use besides::Besides;
use rayon::prelude::*;
use region_map::RegionMap;
use rustc_hash::{FxHashMap, FxHashSet};
use scan::{Scanned, scan_regions};
use std::io::{self, Seek, Write};
use std::ops::Deref;

/// Entries of the collector's lists that are looked up before they are marked.
const LISTED_AT_A_TIME: usize = 1 << 20;

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

impl Counted {
    /// The figures of the objects.
    pub fn figures(&self) -> CensusFigures {
        CensusFigures { objects: self.objects.len() as u64, gaps: self.gaps.clone() }
    }

    /// Writes the objects and what is not known of them.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        self.objects.write(out)?;
        self.figures().write(out)
    }

    /// What was written.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let (objects, figures) = (ObjectTable::read(file)?, CensusFigures::read(file)?);
        match figures.objects == objects.len() as u64 {
            true => Ok(Self { objects, gaps: figures.gaps }),
            false => Err(Damaged::because("its objects are not as many as it says")),
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
    let mut besides = Besides::of(runtime);
    let mut scanned = scan_regions(runtime, &regions, &map, &besides);
    if learn_types(runtime, std::mem::take(&mut scanned.unknown_types)) {
        drop(scanned);
        besides.learn(runtime);
        scanned = scan_regions(runtime, &regions, &map, &besides);
    }
    let Scanned { mut columns, figures, mut gaps, outside, .. } = scanned;
    let (figures, allocators) = allocator_figures(&regions, &figures);
    columns.insert(outside::objects(runtime, &map, outside, &mut besides, &mut gaps));
    let mut objects = ObjectTable::new(columns, besides.usual());
    mark_generations(runtime, &mut objects, &mut gaps);
    gaps.damaged_pools = figures.damaged();
    gaps.only_reachable = regions.kind == AllocatorKind::Malloc;
    let counted = Counted { objects, gaps };
    Ok(Census { counted, figures, allocators, allocator: regions.kind, padded: regions.padded })
}

/// Adds `strangers`, addresses of types that the table lacks. Whether it got any.
fn learn_types(runtime: &mut Runtime<'_>, strangers: FxHashSet<Address>) -> bool {
    if strangers.is_empty() {
        return false;
    }
    let before = runtime.types.len();
    let mut types = std::mem::take(&mut runtime.types);
    types.extend(runtime, strangers);
    runtime.types = types;
    runtime.types.len() > before
}

/// The figures of all allocators together, and of each.
fn allocator_figures(
    regions: &Regions,
    scanned: &FxHashMap<usize, AllocatorFigures>,
) -> (AllocatorFigures, Vec<(usize, AllocatorFigures)>) {
    let mut total = AllocatorFigures::default();
    let mut each = Vec::new();
    for &(interpreter, raw_blocks) in &regions.raw_blocks {
        let pymalloc = PymallocFigures { raw_blocks, ..PymallocFigures::default() };
        let mut figures = AllocatorFigures { pymalloc, ..AllocatorFigures::default() };
        scanned.get(&interpreter).into_iter().for_each(|scanned| figures.add(scanned));
        total.add(&figures);
        each.push((interpreter, figures));
    }
    total.leaked_blocks = regions.leaked_blocks;
    (total, each)
}

/// Writes each listed object's generation into its flags. Tracked objects on no list stay *detached*.
fn mark_generations(runtime: &Runtime<'_>, objects: &mut ObjectTable, gaps: &mut CensusGaps) {
    let mut ids: Vec<Option<ObjectId>> = Vec::new();
    for list in &runtime.gc_lists {
        for some in list.objects.chunks(LISTED_AT_A_TIME) {
            some.par_iter().map(|&address| objects.find(address)).collect_into_vec(&mut ids);
            for &id in &ids {
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
}
