//! What the collector of free-threaded builds knows: it keeps no lists, but bits in the headers of the objects in its heaps.
//!
//! Knows which blocks the collector visits (`gc_visit_heaps`, Python/gc_free_threading.c, 3.13 to 3.15) and what the bits say;
//! refuses to know how blocks are found ([`super::blocks`] does) and what the objects are.

use super::blocks::{Area, Contents, LiveBlocks, PaddedBlock, Region, for_each_area, regions};
use super::gc::{GcList, Generation};
use super::{PythonError, Runtime};
use crate::corefile::Address;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

/// Tracked objects of one region, by address, with their types.
#[derive(Default)]
struct Found {
    tracked: Vec<Address>,
    frozen: Vec<Address>,
    types: FxHashSet<Address>,
    last_type: Address,
}

/// Of each interpreter, the objects that a collection examines as the youngest generation, and those that `gc.freeze()`
/// exempts as the permanent one. There are no others.
///
/// # Errors
/// The allocators' memory cannot be found.
pub fn lists(runtime: &Runtime<'_>) -> Result<Vec<GcList>, PythonError> {
    let regions = regions(runtime)?;
    let found: Vec<Found> =
        regions.list.par_iter().map(|region| tracked_in(runtime, region, regions.padded)).collect();
    let mut lists = Vec::new();
    for interpreter in 0..runtime.interpreters.len() {
        for generation in Generation::LISTS {
            let (mut objects, mut types) = (Vec::new(), FxHashSet::default());
            let own = regions.list.iter().zip(&found).filter(|(region, _)| region.interpreter == interpreter);
            for (_, found) in own {
                match generation {
                    Generation::Young => objects.extend_from_slice(&found.tracked),
                    Generation::Permanent => objects.extend_from_slice(&found.frozen),
                    _ => continue,
                }
                types.extend(&found.types);
            }
            lists.push(GcList { interpreter, generation, objects: objects.into(), types, broken_at: None });
        }
    }
    Ok(lists)
}

fn tracked_in(runtime: &Runtime<'_>, region: &Region, padded: bool) -> Found {
    let mut found = Found::default();
    for_each_area(runtime, region, |area, live| {
        if let Contents::GcObjects { preheader } = area.contents {
            let slots = if preheader { 16 } else { 0 };
            let start = if padded { PaddedBlock::OFFSET + slots } else { slots };
            found.area(runtime, area, live, start);
        }
    });
    found
}

impl Found {
    /// Notes the tracked objects of an area, each `start` bytes into its block.
    #[inline]
    fn area(&mut self, runtime: &Runtime<'_>, area: &Area<'_>, live: &LiveBlocks<'_>, start: usize) {
        for offset in live.offsets() {
            let at = offset.saturating_add(start);
            let bits = runtime.header.gc_bits_in(area.bytes, at);
            if !bits.is_tracked() {
                continue;
            }
            let list = if bits.is_frozen() { &mut self.frozen } else { &mut self.tracked };
            list.push(area.address.wrapping_add(at as u64));
            let type_ = runtime.header.type_in(area.bytes, at);
            if type_ != self.last_type {
                self.last_type = type_;
                self.types.insert(type_);
            }
        }
    }
}
