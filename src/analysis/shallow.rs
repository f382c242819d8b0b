//! What the instances of each type own besides what `sys.getsizeof()` counts.
//!
//! Knows objects and their types; refuses to know what it is that they own ([`Beside`] does). Only objects of types that may own
//! something are read.

use super::Selection;
use crate::cpython::{Beside, Runtime};
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;

/// Objects a thread takes at a time.
const CHUNK: usize = 1 << 16;

/// Bytes by type, of the selected objects.
pub fn owned_besides(runtime: &Runtime<'_>, objects: &ObjectTable, selection: &Selection<'_>) -> Vec<u64> {
    let rules: Vec<Option<Beside>> = runtime
        .types
        .iter()
        .map(|(_, info)| Some(Beside::of(runtime, info)).filter(|rule| !rule.is_nothing()))
        .collect();
    let none = || vec![0u64; rules.len()];
    if rules.iter().all(Option::is_none) {
        return none();
    }
    let add_chunk = |mut sums: Vec<u64>, chunk: usize| {
        let start = chunk * CHUNK;
        for node in start..(start + CHUNK).min(objects.len()) {
            let id = ObjectId(node as u32);
            let type_id = objects.type_id(id);
            let index = type_id.0 as usize;
            if let (Some(Some(rule)), Some(sum)) = (rules.get(index), sums.get_mut(index))
                && selection.holds(objects, id)
            {
                let bytes = rule.bytes(runtime, runtime.types.get(type_id), objects.address(id));
                *sum = sum.saturating_add(bytes);
            }
        }
        sums
    };
    let add = |mut left: Vec<u64>, right: Vec<u64>| {
        left.iter_mut().zip(right).for_each(|(mine, theirs)| *mine = mine.saturating_add(theirs));
        left
    };
    (0..objects.len().div_ceil(CHUNK)).into_par_iter().fold(none, add_chunk).reduce(none, add)
}
