//! How many objects of each type there are, and how many bytes they take.
//!
//! One pass over the columns, in parallel; knows no names.

use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::cpython::{Generation, TypeId};
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;
use std::io::{self, Seek, Write};

/// Objects a thread takes at a time.
const CHUNK: usize = 1 << 16;

/// Which objects a question is about; the default is all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'s> {
    /// Only objects on this list of the collector; `Some(None)` for those it does not track.
    pub generation: Option<Option<Generation>>,
    /// Only these objects.
    pub within: Option<&'s NodeSet>,
}

impl Selection<'_> {
    /// Whether the object is selected.
    #[inline]
    pub fn holds(&self, objects: &ObjectTable, id: ObjectId) -> bool {
        self.generation.is_none_or(|wanted| objects.flags(id).generation() == wanted)
            && self.within.is_none_or(|within| within.contains(id.0))
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.generation.is_none() && self.within.is_none()
    }
}

/// One type's share of the selected objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeTotal {
    /// The type.
    pub type_id: TypeId,
    /// Its direct instances.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`, in bytes.
    pub bytes: u64,
    /// Sum of their shallow sizes ([`ObjectTable::shallow`]).
    pub shallow: u64,
}

/// Totals by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Types with at least one selected object, by id.
    pub types: Vec<TypeTotal>,
    /// All selected objects.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`.
    pub bytes: u64,
    /// Sum of their shallow sizes.
    pub shallow: u64,
}

/// Counts the selected objects by type. `types` is the number of types there are.
pub fn histogram(objects: &ObjectTable, types: usize, selection: &Selection<'_>) -> Histogram {
    let everything = selection.is_everything();
    let totals = (0..objects.len().div_ceil(CHUNK))
        .into_par_iter()
        .fold(
            || vec![Sums::default(); types],
            |mut totals, chunk| {
                let start = chunk * CHUNK;
                for object in objects.measured(start..(start + CHUNK).min(objects.len())) {
                    if (everything || selection.holds(objects, object.id))
                        && let Some(total) = totals.get_mut(object.type_id.0 as usize)
                    {
                        total.objects += 1;
                        total.bytes += object.size;
                        total.besides = total.besides.saturating_add(object.besides);
                    }
                }
                totals
            },
        )
        .reduce(|| vec![Sums::default(); types], add);
    let rows = totals.iter().enumerate().filter(|(_, sums)| sums.objects > 0);
    let types = rows
        .map(|(index, &Sums { objects, bytes, besides })| TypeTotal {
            type_id: TypeId(index as u32),
            objects,
            bytes,
            shallow: bytes.saturating_add_signed(besides),
        })
        .collect();
    Histogram::of(types)
}

impl Histogram {
    fn of(types: Vec<TypeTotal>) -> Self {
        let sum = |of: fn(&TypeTotal) -> u64| types.iter().map(of).fold(0, u64::saturating_add);
        let (objects, bytes) = (sum(|total| total.objects), sum(|total| total.bytes));
        Self { objects, bytes, shallow: sum(|total| total.shallow), types }
    }

    /// Writes the totals.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        let row = |total: &TypeTotal| [u64::from(total.type_id.0), total.objects, total.bytes, total.shallow];
        out.column("totals", &self.types.iter().map(row).collect::<Vec<_>>())
    }

    /// The totals that were written of a heap with so many types.
    ///
    /// # Errors
    /// The column is not there, damaged, or of another heap.
    pub fn read(types: usize, file: &ColumnFile) -> Result<Self, Damaged> {
        let total = |&[number, objects, bytes, shallow]: &[u64; 4]| {
            let type_id =
                u32::try_from(number).ok().filter(|&number| (number as usize) < types).map(TypeId)?;
            Some(TypeTotal { type_id, objects, bytes, shallow })
        };
        let totals: Option<Vec<TypeTotal>> = file.column("totals")?.iter().map(total).collect();
        totals.map(Self::of).ok_or_else(|| Damaged::because("its totals are of another heap"))
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    objects: u64,
    bytes: u64,
    besides: i64,
}

fn add(mut left: Vec<Sums>, right: Vec<Sums>) -> Vec<Sums> {
    for (mine, theirs) in left.iter_mut().zip(right) {
        mine.objects += theirs.objects;
        mine.bytes += theirs.bytes;
        mine.besides = mine.besides.saturating_add(theirs.besides);
    }
    left
}
