//! What a heap keeps when its contents are to be overwritten: structure, and names.
//!
//! Knows what is structure by what an analysis reads that shows no value; all other memory is left out, whatever it holds.
//! Refuses to judge contents: nothing is searched for what may be secret.

mod hashes;
mod leftovers;
mod names;
mod notes;
mod pseudonyms;
mod standard;

use names::Names;
pub(super) use notes::redacted;
pub use pseudonyms::Pseudonyms;
use standard::Standard;

use super::contents::show_one_of_each;
use super::read_all::WholeHeap;
use crate::corefile::{Address, Inputs, Redaction};
use crate::cpython::{Generator, PADDING, Runtime, Values, WalkKind, is_str, read_str, regions, str_text};
use crate::heap::ObjectId;

/// Longest name that is renamed, in characters.
const MAX_NAME: usize = 1 << 16;

/// What a saved heap has in the place of names: nothing, unless names are hidden too.
#[derive(Debug, Default)]
pub struct Renaming {
    /// Other bytes for memory, by address.
    pub edits: Vec<(Address, Vec<u8>)>,
    /// The other names; `None` where names stay.
    pub names: Option<Pseudonyms>,
}

/// Records as read what an analysis relies on without reading it through [`Runtime`]'s memory: the heads of objects and the
/// characters of names. Takes back the hashes of what is overwritten, by which it could be guessed.
pub fn keep_structure(
    inputs: &Inputs,
    runtime: &Runtime<'_>,
    whole: &WholeHeap,
    redaction: Redaction,
) -> Renaming {
    keep_heads(runtime, whole);
    show_one_of_each(runtime, whole, Values::Hidden);
    let standard = Standard::new(runtime);
    let names = Names::find(runtime, whole, &standard);
    leftovers::forget(runtime, whole);
    names.keep(runtime);
    keep_instructions(runtime, whole);
    let renaming = match redaction {
        Redaction::Values => Renaming::default(),
        Redaction::Names => rename(inputs, runtime, &names, &standard),
    };
    hashes::forget(runtime, whole);
    renaming
}

/// Reads generators again, as the instruction that one is at tells whether it awaits (up to 3.10), which lies in a bytes object.
fn keep_instructions(runtime: &Runtime<'_>, whole: &WholeHeap) {
    let objects = &whole.census.objects;
    let is_generator =
        |id: &ObjectId| runtime.types.get(objects.type_id(*id)).walk.kind == WalkKind::Generator;
    for id in objects.ids().filter(is_generator) {
        // What cannot be read is not kept.
        let _ = Generator::read(runtime, objects.address(id));
    }
}

/// Other names for all that are not Python's own.
fn rename(inputs: &Inputs, runtime: &Runtime<'_>, names: &Names, standard: &Standard) -> Renaming {
    let mut pseudonyms = Pseudonyms::default();
    let text = |name: &Address| match is_str(runtime, *name) {
        true => read_str(runtime, *name, MAX_NAME).ok(),
        false => None,
    };
    names.standard.iter().filter_map(text).for_each(|name| pseudonyms.keep(&name));
    let strings = runtime.space.read_log().map(|log| log.strings()).unwrap_or_default();
    let read = |&(address, len): &(Address, usize)| {
        let bytes = runtime.space.peek(address, len).unwrap_or_default();
        (address, String::from_utf8_lossy(bytes).into_owned())
    };
    let (of_python, own): (Vec<_>, Vec<_>) =
        strings.iter().partition(|(address, _)| standard.has_file_at(inputs, runtime, *address));
    of_python.into_iter().map(read).for_each(|(_, name)| pseudonyms.keep(&name));

    let mut edits = Vec::new();
    let mut kept: Vec<Address> = names.kept.iter().copied().collect();
    kept.sort_unstable();
    for name in kept {
        // What is no str must not be read as one: that would keep words of its neighbour.
        let Some(old) = text(&name) else { continue };
        let Ok(place) = str_text(runtime, name) else { continue };
        let new = pseudonyms.rename(&old);
        if new != old {
            let bytes = new.chars().flat_map(|c| u32::from(c).to_le_bytes().into_iter().take(place.width()));
            edits.push((place.address, bytes.collect()));
        }
    }
    for (address, old) in own.into_iter().map(read) {
        let mut new = pseudonyms.rename(&old).into_bytes();
        new.resize(old.len(), b'a');
        edits.push((address, new));
    }
    edits.sort_by_key(|(address, _)| *address);
    Renaming { edits, names: Some(pseudonyms) }
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
