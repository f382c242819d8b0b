//! How many objects of each type there are, and how many bytes they take.
//!
//! One pass over the columns, in parallel; knows no names.

use crate::cpython::{Generation, TypeId};
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;

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
}

/// Totals by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Types with at least one selected object, by id.
    pub types: Vec<TypeTotal>,
    /// All selected objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counts the selected objects by type. `types` is the number of types there are.
pub fn histogram(objects: &ObjectTable, types: usize, selection: &Selection<'_>) -> Histogram {
    let everything = selection.is_everything();
    let totals = (0..objects.len().div_ceil(CHUNK))
        .into_par_iter()
        .fold(
            || vec![(0u64, 0u64); types],
            |mut totals, chunk| {
                let start = chunk * CHUNK;
                for node in start..(start + CHUNK).min(objects.len()) {
                    let id = ObjectId(node as u32);
                    if (everything || selection.holds(objects, id))
                        && let Some(total) = totals.get_mut(objects.type_id(id).0 as usize)
                    {
                        total.0 += 1;
                        total.1 += objects.size(id);
                    }
                }
                totals
            },
        )
        .reduce(|| vec![(0, 0); types], add);
    let rows = totals.iter().enumerate().filter(|(_, (count, _))| *count > 0);
    let types: Vec<TypeTotal> = rows
        .map(|(index, &(objects, bytes))| TypeTotal { type_id: TypeId(index as u32), objects, bytes })
        .collect();
    Histogram {
        objects: types.iter().map(|total| total.objects).sum(),
        bytes: types.iter().map(|total| total.bytes).sum(),
        types,
    }
}

fn add(mut left: Vec<(u64, u64)>, right: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    for (mine, theirs) in left.iter_mut().zip(right) {
        mine.0 += theirs.0;
        mine.1 += theirs.1;
    }
    left
}
