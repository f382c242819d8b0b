//! zstd files of independent frames with a table of them at the end: the "Zstandard Seekable Format"
//! (facebook/zstd, contrib/seekable_format/zstd_seekable_compression_format.md, version 0.1.0).
//!
//! Knows how to write such a file in parallel, and to find out whether a file is one; refuses to believe a table that does
//! not fit its file. To any other reader the table is a frame to be skipped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::source::Source;
use super::{Stop, zstd as zstd_frame};

/// Content of a frame that is written, unless another is asked for, and at most.
const FRAME_CONTENT: usize = 4 << 20;
const MOST_FRAME_CONTENT: usize = 16 << 20;
/// Most frames that are compressed at a time: each takes its content once more, and the compressor's tables.
const MOST_AT_ONCE: usize = 8;
/// Magic numbers of the skippable frame that holds the table, and of the table's footer.
const TABLE_MAGIC: u32 = 0x184d_2a5e;
const FOOTER_MAGIC: u32 = 0x8f92_eab1;
/// Sizes in bytes of a skippable frame's header, of the footer, and of an entry without and with a checksum.
const SKIPPABLE_HEADER: u64 = 8;
const FOOTER: u64 = 9;
const ENTRY: u64 = 8;
const CHECKED_ENTRY: u64 = 12;
/// The footer's descriptor: entries have checksums; bits that must be zero.
const HAS_CHECKSUMS: u8 = 0x80;
const RESERVED: u8 = 0x7c;
/// Largest window of a frame that is decoded beside others: frames that are meant to be sought are small.
const PARALLEL_WINDOW_LOG: u32 = 24;
/// The same in bytes.
pub(in crate::corefile) const PARALLEL_WINDOW: u64 = 1 << PARALLEL_WINDOW_LOG;

/// Writes a zstd file of independent frames of equal content (4 MiB, unless told otherwise), with a checksum in each and a
/// table of them at the end.
///
/// The output depends on content and level only, not on the number of threads or on how the content was cut into writes.
/// Memory is bounded: eight frames, and what it takes to compress them.
#[derive(Debug)]
pub struct SeekableWriter<W: Write> {
    output: W,
    level: i32,
    frame_content: usize,
    pending: Vec<u8>,
    frames: Vec<[u32; 2]>,
}

impl<W: Write> SeekableWriter<W> {
    /// A writer with a level of zstd: 1 to 22, 0 for its default, or a negative one.
    pub fn new(output: W, level: i32) -> SeekableWriter<W> {
        SeekableWriter {
            output,
            level,
            frame_content: FRAME_CONTENT,
            pending: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// The same with frames of that much content, in bytes: larger ones compress better, and are sought in larger steps. At
    /// most 16 MiB.
    pub fn with_frames_of(mut self, bytes: usize) -> SeekableWriter<W> {
        self.frame_content = bytes.clamp(1, MOST_FRAME_CONTENT);
        self
    }

    /// Writes what is left, and the table; returns the output.
    ///
    /// # Errors
    /// What the output or the compressor says. Without this call the file has no table, and may lack its end.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress_pending()?;
        let entries = self.frames.len() as u64;
        let size = u32::try_from(entries * ENTRY + FOOTER).map_err(|_| too_many())?;
        let count = u32::try_from(entries).map_err(|_| too_many())?;
        let mut table = [TABLE_MAGIC.to_le_bytes(), size.to_le_bytes()].concat();
        table.extend(self.frames.iter().flatten().flat_map(|size| size.to_le_bytes()));
        table.extend(count.to_le_bytes());
        table.push(0);
        table.extend(FOOTER_MAGIC.to_le_bytes());
        self.output.write_all(&table)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn compress_pending(&mut self) -> io::Result<()> {
        let level = self.level;
        let frames: Vec<io::Result<(usize, Vec<u8>)>> = self
            .pending
            .par_chunks(self.frame_content)
            .map(|content| Ok((content.len(), compress(content, level)?)))
            .collect();
        for frame in frames {
            let (content, frame) = frame?;
            let sizes = (u32::try_from(frame.len()), u32::try_from(content));
            let (Ok(stored), Ok(content)) = sizes else { return Err(too_many()) };
            self.output.write_all(&frame)?;
            self.frames.push([stored, content]);
        }
        self.pending.clear();
        Ok(())
    }
}

impl<W: Write> Write for SeekableWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (MOST_AT_ONCE * self.frame_content).saturating_sub(self.pending.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.pending.extend_from_slice(taken);
        if taken.len() == room {
            self.compress_pending()?;
        }
        Ok(taken.len())
    }

    /// Flushes the output. A frame that is not full stays where it is: where frames end must not depend on flushing.
    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn compress(content: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.compress(content)
}

fn too_many() -> io::Error {
    io::Error::other("too much content for a table of frames")
}

/// A frame of a seekable file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::corefile) struct Frame {
    /// Where it lies in the file.
    start: u64,
    stored: u64,
    /// Where its content lies in the whole.
    pub(in crate::corefile) content_start: u64,
    /// Size of the content in bytes, as the table says.
    pub(in crate::corefile) content: u64,
}

/// The frames of a seekable file; `None` if it has no table or one that does not fit it.
pub(in crate::corefile) fn seek_table(file: &File) -> Option<Vec<Frame>> {
    let length = file.metadata().ok()?.len();
    let mut footer = [0; FOOTER as usize];
    file.read_exact_at(&mut footer, length.checked_sub(FOOTER)?).ok()?;
    let [c0, c1, c2, c3, descriptor, m0, m1, m2, m3] = footer;
    if u32::from_le_bytes([m0, m1, m2, m3]) != FOOTER_MAGIC || descriptor & RESERVED != 0 {
        return None;
    }
    let count = u64::from(u32::from_le_bytes([c0, c1, c2, c3]));
    let entry = if descriptor & HAS_CHECKSUMS != 0 { CHECKED_ENTRY } else { ENTRY };
    let size = count * entry + FOOTER;
    let table_start = length.checked_sub(size + SKIPPABLE_HEADER)?;
    // Not more than the file has: the count is no longer just a claim.
    let mut table = vec![0; (SKIPPABLE_HEADER + count * entry) as usize];
    file.read_exact_at(&mut table, table_start).ok()?;
    let number = |at: usize| Some(u32::from_le_bytes(*table.get(at..)?.first_chunk()?));
    if number(0)? != TABLE_MAGIC || u64::from(number(4)?) != size {
        return None;
    }
    let mut frames = Vec::new();
    let (mut start, mut content_start) = (0u64, 0u64);
    for index in 0..count {
        let at = (SKIPPABLE_HEADER + index * entry) as usize;
        let (stored, content) = (u64::from(number(at)?), u64::from(number(at + 4)?));
        frames.push(Frame { start, stored, content_start, content });
        start += stored;
        content_start += content;
    }
    (start == table_start).then_some(frames)
}

/// Decodes one frame of a seekable file, which must have exactly the content that the table says.
///
/// # Errors
/// [`Stop`]; the table lies, or the frame is damaged: the file has to be read from its start.
pub(in crate::corefile) fn frame_content(
    file: &File,
    frame: &Frame,
    output: &mut dyn Write,
) -> Result<(), Stop> {
    let part = Part { file, at: frame.start, left: frame.stored };
    let mut source = Source::new(part);
    let mut output = Exactly { output, left: frame.content };
    while !source.fill().is_empty() {
        match super::Format::of(source.peek(super::MAGIC_SIZE)) {
            Some(super::Format::Zstd) => zstd_frame::frame(&mut source, &mut output, PARALLEL_WINDOW_LOG)?,
            Some(super::Format::Skippable) => super::skip(&mut source)?,
            _ => return Err(Stop::Damaged("no frame".to_owned())),
        }
    }
    match output.left {
        0 => Ok(()),
        left => Err(Stop::Damaged(format!("{left} bytes less than its table says"))),
    }
}

/// A range of a file as a stream. Several may be read at the same time.
struct Part<'f> {
    file: &'f File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// An output that takes no more than a number of bytes.
struct Exactly<'o> {
    output: &'o mut dyn Write,
    left: u64,
}

impl Write for Exactly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("a frame has more content than its table says"))?;
        self.output.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
