//! What goes into a saved heap, and in which order it is written.
//!
//! Knows notes and segments; refuses to know why memory is kept.

use std::io::{self, Write};

use super::kept::stretches;
use super::{SaveError, redaction};
use crate::corefile::{
    CoreLayout, Inputs, NOTE_ANSWERS, NOTE_OWNER, NOTE_SOURCE, NOTE_TABLE, NewNote, NewSegment, Piece,
    ReadLog, Redaction, Source,
};
use crate::cpython::Runtime;

/// `PF_X`, `PF_W`, `PF_R`.
const FLAG_EXECUTE: u32 = 1;
const FLAG_WRITE: u32 = 2;
const FLAG_READ: u32 = 4;
/// Bytes that are put together at a time.
const CHUNK: u64 = 1 << 20;

/// A saved heap, ready to be written: of all memory, the words that were read.
#[derive(Debug)]
pub struct Plan<'r, 'core> {
    layout: CoreLayout,
    contents: Vec<Content<'core>>,
    log: &'r ReadLog,
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
    ) -> Result<Self, SaveError> {
        let log = runtime.space.read_log().ok_or(SaveError::NotRecorded)?;
        let (mut segments, mut contents) = (Vec::new(), Vec::new());
        let (mut kept, mut left_out) = (0, 0);
        for (index, piece) in runtime.space.pieces().iter().enumerate() {
            for stretch in stretches(log, index, piece) {
                let range = stretch.offset as usize..stretch.offset.saturating_add(stretch.len) as usize;
                let bytes = piece.bytes.filter(|_| stretch.kept).and_then(|bytes| bytes.get(range));
                let bytes = bytes.unwrap_or_default();
                segments.push(NewSegment {
                    vaddr: piece.start.wrapping_add(stretch.offset),
                    memsz: stretch.len,
                    filesz: bytes.len() as u64,
                    flags: flags(piece),
                    apart: stretch.offset == 0,
                });
                contents.push(Content { at: 0, index, offset: stretch.offset, bytes });
                let mut read = 0;
                log.for_each_run(index, stretch.offset, stretch.len, |_, len| read += len);
                kept += read;
                left_out += if piece.bytes.is_some() { stretch.len.saturating_sub(read) } else { 0 };
            }
        }
        let notes = notes(inputs, runtime, redacted)?;
        let layout = CoreLayout::new(inputs.core().machine(), &notes, &segments);
        for (number, content) in contents.iter_mut().enumerate() {
            content.at = layout.offset_of(number).unwrap_or(0);
        }
        contents.retain(|content| !content.bytes.is_empty());
        Ok(Self { layout, contents, log, kept, left_out })
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
    }
}

fn pad(out: &mut impl Write, mut bytes: u64) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while bytes > 0 {
        let padding = ZEROS.get(..bytes.min(ZEROS.len() as u64) as usize).unwrap_or(&ZEROS);
        out.write_all(padding)?;
        bytes -= padding.len() as u64;
    }
    Ok(())
}

fn flags(piece: &Piece<'_>) -> u32 {
    FLAG_READ | if piece.writable { FLAG_WRITE } else { 0 } | if piece.executable { FLAG_EXECUTE } else { 0 }
}

/// The notes of the core itself, and ours.
fn notes(
    inputs: &Inputs,
    runtime: &Runtime<'_>,
    redacted: Option<Redaction>,
) -> Result<Vec<NewNote>, SaveError> {
    let own = |kind, content| NewNote { name: NOTE_OWNER.to_owned(), kind, content };
    let mut notes = inputs.notes_of_core();
    if redacted.is_some() {
        notes = redaction::redacted(notes, inputs.core().machine());
    }
    notes.push(own(NOTE_SOURCE, Source::of(inputs, &runtime.space, redacted).to_bytes()?));
    notes.push(own(NOTE_ANSWERS, runtime.binaries.answers().to_bytes()?));
    if let Some(table) = runtime.table.as_deref() {
        notes.push(own(NOTE_TABLE, table.to_string().into_bytes()));
    }
    Ok(notes)
}
