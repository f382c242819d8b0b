//! What goes into a saved heap, and in which order it is written.
//!
//! Knows notes and segments; refuses to know why memory is kept.

use std::io::{self, Read, Write};

use goblin::elf::program_header::{PF_R, PF_W, PF_X};

use super::kept::stretches;
use super::redaction::{Pseudonyms, Renaming};
use super::{SaveError, redaction};
use crate::corefile::{
    Address, CoreLayout, Inputs, NOTE_ANSWERS, NOTE_OWNER, NOTE_SOURCE, NOTE_TABLE, NewNote, NewSegment,
    Piece, ReadLog, Redaction, Source,
};
use crate::cpython::Runtime;

/// Bytes that are put together at a time.
const CHUNK: u64 = 1 << 20;

/// A saved heap, ready to be written: of all memory, the words that were read.
#[derive(Debug)]
pub struct Plan<'r, 'core> {
    layout: CoreLayout,
    contents: Vec<Content<'core>>,
    log: &'r ReadLog,
    /// What memory holds instead, by address.
    edits: Vec<(Address, Vec<u8>)>,
    longest_edit: u64,
    /// Bytes of memory that are kept.
    pub kept: u64,
    /// Bytes of memory that could be read and are left out.
    pub left_out: u64,
}

/// The bytes of a segment.
#[derive(Clone, Copy, Debug)]
struct Content<'core> {
    /// Where in the file it begins.
    at: u64,
    /// Number of its piece.
    index: usize,
    /// Where in the piece it begins.
    offset: u64,
    /// The address of its first byte.
    vaddr: Address,
    bytes: &'core [u8],
}

impl<'r, 'core> Plan<'r, 'core> {
    /// Plans what is saved of the process by what was read of it until now.
    ///
    /// # Errors
    /// Reads were not recorded, or what is known of the core cannot be written down.
    pub fn new(
        inputs: &Inputs,
        runtime: &'r Runtime<'core>,
        redacted: Option<Redaction>,
        renaming: Renaming,
    ) -> Result<Self, SaveError> {
        let log = runtime.space.read_log().ok_or(SaveError::NotRecorded)?;
        let (mut segments, mut contents) = (Vec::new(), Vec::new());
        let (mut kept, mut left_out) = (0, 0);
        for (index, piece) in runtime.space.pieces().iter().enumerate() {
            for stretch in stretches(log, index, piece) {
                let range = stretch.offset as usize..stretch.offset.saturating_add(stretch.len) as usize;
                let bytes = piece.bytes.filter(|_| stretch.kept).and_then(|bytes| bytes.get(range));
                let bytes = bytes.unwrap_or_default();
                let vaddr = piece.start.wrapping_add(stretch.offset);
                segments.push(NewSegment {
                    vaddr,
                    memsz: stretch.len,
                    filesz: bytes.len() as u64,
                    flags: flags(piece),
                    apart: stretch.offset == 0,
                });
                contents.push(Content { at: 0, index, offset: stretch.offset, vaddr, bytes });
                let mut read = 0;
                log.for_each_run(index, stretch.offset, stretch.len, |_, len| read += len);
                kept += read;
                left_out += if piece.bytes.is_some() { stretch.len.saturating_sub(read) } else { 0 };
            }
        }
        let Renaming { edits, names } = renaming;
        let notes = notes(inputs, runtime, redacted, names)?;
        let layout = CoreLayout::new(inputs.core().machine(), &notes, &segments);
        for (number, content) in contents.iter_mut().enumerate() {
            content.at = layout.offset_of(number).unwrap_or(0);
        }
        contents.retain(|content| !content.bytes.is_empty());
        let longest_edit = edits.iter().map(|(_, bytes)| bytes.len() as u64).max().unwrap_or(0);
        Ok(Self { layout, contents, log, edits, longest_edit, kept, left_out })
    }

    /// Size of the saved heap in bytes, before compression.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// Writes the saved heap from its start to its end.
    ///
    /// # Errors
    /// Of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.layout.header_bytes())?;
        let mut at = self.layout.header_bytes().len() as u64;
        let mut buffer = Vec::new();
        for content in &self.contents {
            pad(out, content.at.saturating_sub(at))?;
            for (number, bytes) in content.bytes.chunks(CHUNK as usize).enumerate() {
                self.read_words(content, number as u64 * CHUNK, bytes, &mut buffer);
                out.write_all(&buffer)?;
            }
            at = content.at.saturating_add(content.bytes.len() as u64);
        }
        pad(out, self.layout.size().saturating_sub(at))
    }

    /// Puts the words of `bytes`, which lie `from` bytes behind the start of `content`, that were read into `buffer`, and
    /// zeros for the others.
    fn read_words(&self, content: &Content<'_>, from: u64, bytes: &[u8], buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.resize(bytes.len(), 0);
        let start = content.offset + from;
        self.log.for_each_run(content.index, start, bytes.len() as u64, |offset, len| {
            let first = (offset - start) as usize;
            let end = (first + len as usize).min(bytes.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(first..end), bytes.get(first..end)) {
                to.copy_from_slice(from);
            }
        });
        self.edit(content.vaddr.wrapping_add(from), buffer);
    }

    /// Puts in what memory at `start` holds instead of what was read.
    fn edit(&self, start: Address, buffer: &mut [u8]) {
        let end = start.saturating_add(buffer.len() as u64);
        let first =
            self.edits.partition_point(|(address, _)| address.saturating_add(self.longest_edit) < start);
        let near =
            self.edits.get(first..).unwrap_or_default().iter().take_while(|(address, _)| *address < end);
        for (address, bytes) in near {
            for (at, &byte) in (*address..).zip(bytes) {
                let place =
                    at.checked_sub(start).and_then(|offset| buffer.get_mut(usize::try_from(offset).ok()?));
                if let Some(place) = place {
                    *place = byte;
                }
            }
        }
    }
}

fn pad(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(bytes), out).map(drop)
}

fn flags(piece: &Piece<'_>) -> u32 {
    PF_R | if piece.writable { PF_W } else { 0 } | if piece.executable { PF_X } else { 0 }
}

/// The notes of the core itself, and ours.
fn notes(
    inputs: &Inputs,
    runtime: &Runtime<'_>,
    redacted: Option<Redaction>,
    names: Option<Pseudonyms>,
) -> Result<Vec<NewNote>, SaveError> {
    let own = |kind, content| NewNote { name: NOTE_OWNER.to_owned(), kind, content };
    let mut source = Source::of(inputs, &runtime.space, redacted);
    let mut answers = runtime.binaries.answers();
    let mut table = runtime.table.as_deref().cloned();
    let mut notes = inputs.notes_of_core();
    match names {
        Some(mut names) => {
            let mut rename = |text: &str| names.rename(text);
            notes = redaction::redacted(notes, inputs.core().machine(), &mut rename);
            source.rename(&mut rename);
            answers.rename(&mut rename);
            for fact in table.iter_mut().flat_map(|table| &mut table.facts) {
                if let Some((before, name)) =
                    fact.match_indices(' ').nth(2).map(|(at, _)| fact.split_at(at + 1))
                {
                    *fact = format!("{before}{}", rename(name));
                }
            }
        }
        None if redacted.is_some() => {
            notes = redaction::redacted(notes, inputs.core().machine(), &mut str::to_owned);
        }
        None => {}
    }
    notes.push(own(NOTE_SOURCE, source.to_bytes()?));
    notes.push(own(NOTE_ANSWERS, answers.to_bytes()?));
    if let Some(table) = table {
        notes.push(own(NOTE_TABLE, table.to_string().into_bytes()));
    }
    Ok(notes)
}
