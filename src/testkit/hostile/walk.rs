//! Committed cores, damaged as an input says, with every command run on them.

use super::ScratchFile;
use super::commands;
use super::damage::Places;
use crate::corefile::{Inputs, NOTE_OWNER, NOTE_TABLE, SearchOptions, decompress};
use crate::cpython::Runtime;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

/// The cores: small ones of every way that CPython has to lay out its memory.
const CORES: [&str; 12] = [
    "3.12.1-bare",
    "3.8.18-bare",
    "3.14.10-bare",
    "3.13.15t-bare",
    "3.11.7-bare",
    "3.15.2-bare",
    "3.13.0-bare",
    "3.9.18dtr-bare",
    "3.10.13-bare",
    "3.13.18d-bare",
    "3.14.7t-bare",
    "3.11.2-aarch64-bare",
];

/// A core in memory, and where it can be hurt.
struct Victim {
    bytes: Vec<u8>,
    /// Where the note with its layout table has its type, if it is a saved heap with one.
    table_note: Option<usize>,
    places: Places,
    file: Mutex<ScratchFile>,
}

/// Damages a core and runs all commands. The first byte says which core, and whether the table that it carries is used or
/// what else tells its layouts.
pub(super) fn walk(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let victim = victim(*choice);
    // A walk that panicked left its core damaged, and is reported by itself.
    let file = victim.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let damaged = victim.places.damage(&victim.bytes, rest);
    let restored = |at: usize, length: usize| {
        let bytes = &victim.bytes[at..at + length];
        file.write(at as u64, bytes).expect("a file in memory");
    };
    for (at, new) in &damaged.changes {
        file.write(*at as u64, new).expect("a file in memory");
    }
    if let Some(length) = damaged.length {
        file.set_length(length as u64).expect("a file in memory");
    }
    let hidden = victim.table_note.filter(|_| choice & 0x80 != 0);
    if let Some(at) = hidden {
        file.write(at as u64, &[u8::MAX]).expect("a file in memory");
    }
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    if let Ok(inputs) = Inputs::open(file.path(), &options) {
        commands::all(&inputs, None, rest.len() as u64);
    }
    damaged.changes.iter().for_each(|(at, new)| restored(*at, new.len()));
    if let Some(length) = damaged.length {
        restored(length, victim.bytes.len() - length);
    }
    if let Some(at) = hidden {
        restored(at, 1);
    }
}

/// Bytes of the core that an input is about.
pub(super) fn size_of_core(input: &[u8]) -> usize {
    input.first().map_or(0, |choice| victim(*choice).bytes.len())
}

fn victim(choice: u8) -> &'static Victim {
    static VICTIMS: [OnceLock<Victim>; CORES.len()] = [const { OnceLock::new() }; CORES.len()];
    let index = usize::from(choice & 0x7f) % CORES.len();
    VICTIMS[index].get_or_init(|| unpacked(CORES[index]))
}

fn unpacked(name: &str) -> Victim {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores").join(name);
    let packed = std::fs::File::open(directory.join("core.zst")).expect("a committed core");
    let mut bytes = Vec::new();
    assert!(decompress(packed, &mut bytes).is_ok(), "{name} is damaged");
    let file = ScratchFile::new(&bytes).expect("a file in memory");
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    let inputs = Inputs::open(file.path(), &options).expect("a whole core");
    let mut runtime = Runtime::open(&inputs, None).expect("an interpreter");
    let places = Places::find(&inputs, &mut runtime, &bytes);
    drop(runtime);
    drop(inputs);
    let mark = [&NOTE_TABLE.to_le_bytes()[..], NOTE_OWNER.as_bytes()].concat();
    let table_note = bytes.windows(mark.len()).position(|found| found == mark);
    Victim { bytes, table_note, places, file: Mutex::new(file) }
}
