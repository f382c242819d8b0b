//! What a heap keeps when its contents are to be overwritten: structure, and names.
//!
//! Knows what is structure by what an analysis reads that shows no value; all other memory is left out, whatever it holds.
//! Refuses to judge contents: nothing is searched for what may be secret.

mod hashes;
mod names;
mod notes;

pub use names::Names;
pub(super) use notes::redacted;

use super::contents::show_one_of_each;
use super::read_all::WholeHeap;
use crate::cpython::{PADDING, Runtime, Values, regions};

/// Records as read what an analysis relies on without reading it through [`Runtime`]'s memory: the heads of objects and the
/// characters of names. Takes back the hashes of what is overwritten, by which it could be guessed.
pub fn keep_structure(runtime: &Runtime<'_>, whole: &WholeHeap) -> Names {
    keep_heads(runtime, whole);
    show_one_of_each(runtime, whole, Values::Hidden);
    let names = Names::find(runtime, whole);
    names.keep(runtime);
    hashes::forget(runtime, whole);
    names
}

/// Records what a scan of the allocators' memory tells objects by.
fn keep_heads(runtime: &Runtime<'_>, whole: &WholeHeap) {
    let padding = regions(runtime).ok().filter(|regions| regions.padded).map_or(0, |_| PADDING as u64);
    let counted = runtime.layouts.var_object.ob_size;
    let objects = &whole.census.objects;
    for id in objects.ids() {
        let (object, info) = (objects.address(id), runtime.types.get(objects.type_id(id)));
        let before = u64::from(info.preheader).saturating_add(padding);
        let bytes = before.saturating_add(u64::from(runtime.header.size));
        runtime.space.record(object.wrapping_sub(before), bytes as usize);
        if info.itemsize != 0 {
            runtime.space.record(object.wrapping_add(u64::from(counted.offset)), counted.size as usize);
        }
    }
}
