//! Committed cores, damaged as an input says, with every command run on them.

use super::ScratchFile;
use super::commands;
use super::damage::{Change, Damaged, Places};
use crate::corefile::{Inputs, NOTE_ANSWERS, NOTE_OWNER, NOTE_SOURCE, NOTE_TABLE, SearchOptions, decompress};
use crate::cpython::Runtime;
use std::ops::Range;
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

/// Bytes of `Elf64_Phdr`, and the type of that of notes.
const PROGRAM_HEADER: usize = 56;
const PT_NOTE: u32 = 4;

/// A core in memory, and where it can be hurt.
struct Victim {
    bytes: Vec<u8>,
    /// Where the contents of the notes are that only saved heaps have, by type.
    notes: Vec<(u32, Range<usize>)>,
    places: Places,
    file: Mutex<ScratchFile>,
}

/// Damages a core and runs all commands. The first byte says which core, and whether the table that it carries is used or
/// what else tells its layouts.
pub(super) fn walk(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let victim = victim(*choice);
    let mut damaged = victim.places.damage(&victim.bytes, rest);
    let table = victim.notes.iter().find(|(kind, _)| *kind == NOTE_TABLE && choice & 0x80 != 0);
    if let Some((_, content)) = table {
        damaged.changes.push((content.start - TYPE_BEFORE_CONTENT, vec![u8::MAX]));
    }
    victim.run(&damaged, rest.len() as u64);
}

/// Changes what a saved heap says of its source and of the files that were found, and runs all commands.
pub(super) fn told(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let victim = victim(*choice);
    let lies = rest.as_chunks::<LIE>().0.iter().take(MOST_LIES);
    let changes = lies.filter_map(|lie| victim.lie(*lie)).collect();
    victim.run(&Damaged { changes, length: None }, rest.len() as u64);
}

/// Bytes of one lie: which note, where in it (three bytes), what becomes of it.
const LIE: usize = 5;
const MOST_LIES: usize = 32;

impl Victim {
    /// Another digit or letter in the place of one, so that the note can still be read; or any byte.
    fn lie(&self, [note, a, b, c, new]: [u8; LIE]) -> Option<Change> {
        let (_, content) = self.notes.get(usize::from(note & 0x7f) % self.notes.len().max(1))?;
        let place = u64::from(u32::from_le_bytes([a, b, c, 0]));
        let start = content.start + (place as usize).checked_rem(content.len())?;
        let any = note & 0x80 != 0;
        let wanted = |&at: &usize| any || self.bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let at = (start..content.end).find(wanted)?;
        let new = match self.bytes.get(at)? {
            _ if any => new,
            digit if digit.is_ascii_digit() => b'0' + new % 10,
            _ => b'a' + new % 26,
        };
        Some((at, vec![new]))
    }

    /// Runs all commands on the core with these damages, and takes them back.
    fn run(&self, damaged: &Damaged, seed: u64) {
        // A walk that panicked left its core damaged, and is reported by itself.
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let restored = |at: usize, length: usize| {
            let bytes = &self.bytes[at..at + length];
            file.write(at as u64, bytes).expect("a file in memory");
        };
        for (at, new) in &damaged.changes {
            file.write(*at as u64, new).expect("a file in memory");
        }
        if let Some(length) = damaged.length {
            file.set_length(length as u64).expect("a file in memory");
        }
        let options = SearchOptions { core_only: true, ..SearchOptions::default() };
        if let Ok(inputs) = Inputs::open(file.path(), &options) {
            commands::all(&inputs, None, seed);
        }
        damaged.changes.iter().for_each(|(at, new)| restored(*at, new.len()));
        if let Some(length) = damaged.length {
            restored(length, self.bytes.len() - length);
        }
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

/// A committed core.
pub(super) fn unpacked_core(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores").join(name);
    let packed = std::fs::File::open(directory.join("core.zst")).expect("a committed core");
    let mut bytes = Vec::new();
    assert!(decompress(packed, &mut bytes).is_ok(), "{name} is damaged");
    bytes
}

fn unpacked(name: &str) -> Victim {
    let bytes = unpacked_core(name);
    let file = ScratchFile::new(&bytes).expect("a file in memory");
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    let inputs = Inputs::open(file.path(), &options).expect("a whole core");
    let mut runtime = Runtime::open(&inputs, None).expect("an interpreter");
    let places = Places::find(&inputs, &mut runtime, &bytes);
    drop(runtime);
    drop(inputs);
    let notes = [NOTE_SOURCE, NOTE_ANSWERS, NOTE_TABLE];
    let notes = notes.into_iter().filter_map(|kind| Some((kind, own_note(&bytes, kind)?))).collect();
    Victim { bytes, notes, places, file: Mutex::new(file) }
}

/// Bytes from the type of a note with our owner to its content: the type itself, and the name, padded.
const TYPE_BEFORE_CONTENT: usize = 4 + 8;

/// Where the content of such a note is (`Elf64_Nhdr`: sizes of name and content, type, name, content).
fn own_note(core: &[u8], kind: u32) -> Option<Range<usize>> {
    let mark = [&kind.to_le_bytes()[..], NOTE_OWNER.as_bytes()].concat();
    let segment = note_segment(core)?;
    let at = segment.start + core.get(segment)?.windows(mark.len()).position(|found| found == mark)?;
    let size = core.get(at.checked_sub(4)?..)?.first_chunk().map(|size| u32::from_le_bytes(*size))?;
    let start = at + TYPE_BEFORE_CONTENT;
    Some(start..start.checked_add(size as usize)?.min(core.len()))
}

/// Where the notes are: looking through all of a core takes long.
fn note_segment(core: &[u8]) -> Option<Range<usize>> {
    let word = |at: usize| {
        let bytes = core.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let headers = core.get(word(32)?..)?.as_chunks::<PROGRAM_HEADER>().0.iter();
    let of_notes = headers.zip(0..).find(|(header, _)| header.starts_with(&PT_NOTE.to_le_bytes()))?.1;
    let at = word(32)? + of_notes * PROGRAM_HEADER;
    let (offset, size) = (word(at + 8)?, word(at + 32)?);
    Some(offset..offset.checked_add(size)?)
}
