//! Compressed files: which format a stream is in, and its content, within a bound of memory.
//!
//! Knows the magic numbers of zstd, lz4, gzip and xz and that what they write are sequences of frames, which may follow each
//! other; refuses to know what is in them, where the content goes, and files.
//!
//! Decoding takes at most [`MOST_WINDOW`] bytes for what the format looks back at, and some MiB of buffers. A file made with
//! a larger window (`zstd --long=31`, `xz --lzma2=dict=1GiB`) is refused by name: its size is a number from the input.

mod gzip;
mod lz4;
mod seekable;
mod source;
mod xz;
mod zstd;

use std::io::{self, Read, Write};

pub use seekable::SeekableWriter;
pub(super) use seekable::{PARALLEL_WINDOW, frame_content, seek_table};
use source::Source;

/// Most bytes that a decoder keeps of what it decoded before: what `zstd` itself takes without being asked
/// (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`), and twice what `xz -9` needs.
pub const MOST_WINDOW: u64 = 1 << WINDOW_LOG;
const WINDOW_LOG: u32 = 27;
/// Bytes of the magic numbers below.
pub(super) const MAGIC_SIZE: usize = 6;
/// Content handed on at a time: the largest block of zstd, so that none that was decoded is lost to damage in the next.
const BUFFER: usize = 128 << 10;

/// A format of compressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 8878.
    Zstd,
    /// The LZ4 frame format, and the older one of `lz4 -l`.
    Lz4,
    /// RFC 1952.
    Gzip,
    /// The .xz file format.
    Xz,
    /// A frame that zstd and lz4 skip, whatever is in it (RFC 8878, section 3.1.2).
    Skippable,
}

impl Format {
    /// The format of a file that begins with these bytes.
    pub fn of(start: &[u8]) -> Option<Format> {
        match start {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Format::Lz4),
            [0x1f, 0x8b, ..] => Some(Format::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Skippable),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Zstd => "zstd",
            Format::Lz4 => "lz4",
            Format::Gzip => "gzip",
            Format::Xz => "xz",
            Format::Skippable => "skippable frame",
        }
    }
}

/// Why decoding ended before its input did.
#[derive(Debug)]
pub enum Stop {
    /// The input is cut off, contradicts itself or cannot be read: one line, with what to do. What was written before is
    /// right as far as the format can tell.
    Damaged(String),
    /// Decoding takes more memory than [`MOST_WINDOW`]: one line, with what to do.
    TooLarge(String),
    /// The content cannot be written.
    Output(io::Error),
}

/// Decodes all frames of a compressed stream, of whatever formats.
///
/// # Errors
/// [`Stop`]; what was decoded before has been written.
pub fn decompress(input: impl Read, output: &mut dyn Write) -> Result<(), Stop> {
    let mut source = Source::new(input);
    while !source.peek(1).is_empty() {
        frame(&mut source, output)?;
    }
    match source.failure() {
        None => Ok(()),
        Some(failure) => Err(Stop::Damaged(failure)),
    }
}

/// Decodes one frame, stream or member, or skips what is between them.
fn frame<R: Read>(source: &mut Source<R>, output: &mut dyn Write) -> Result<(), Stop> {
    let at = source.consumed();
    let Some(format) = Format::of(source.peek(MAGIC_SIZE)) else {
        return padding(source, at);
    };
    let decoded = match format {
        Format::Zstd => zstd::frame(source, output, WINDOW_LOG),
        Format::Lz4 => lz4::frame(source, output),
        Format::Gzip => gzip::member(source, output),
        Format::Xz => xz::stream(source, output),
        Format::Skippable => skip(source),
    };
    decoded.map_err(|stop| match (stop, source.failure()) {
        (Stop::Damaged(_), Some(failure)) => Stop::Damaged(failure),
        (Stop::Damaged(reason), None) => Stop::Damaged(format!("{}: {reason}; copy it again", format.name())),
        (Stop::TooLarge(reason), _) => Stop::TooLarge(format!("{}: {reason}", format.name())),
        (stop, _) => stop,
    })
}

/// Zeros behind a frame are padding: gzip ignores them (GNU gzip manual, "Tapes"), xz has them as part of the format.
fn padding<R: Read>(source: &mut Source<R>, at: u64) -> Result<(), Stop> {
    loop {
        let bytes = source.fill();
        if at == 0 || bytes.is_empty() {
            break;
        }
        match bytes.iter().position(|&byte| byte != 0) {
            Some(0) => break,
            zeros => {
                let zeros = zeros.unwrap_or(bytes.len());
                source.advance(zeros);
                if Format::of(source.peek(MAGIC_SIZE)).is_some() || source.peek(1).is_empty() {
                    return Ok(());
                }
            }
        }
    }
    let at = source.consumed();
    Err(Stop::Damaged(format!("what follows at byte {at} is in no known format")))
}

fn skip<R: Read>(source: &mut Source<R>) -> Result<(), Stop> {
    let header = source.peek(8);
    let size = header.get(4..).and_then(|size| size.first_chunk::<4>());
    let mut left = size.map_or(u64::MAX, |size| u64::from(u32::from_le_bytes(*size)) + 8);
    while left > 0 {
        let there = source.fill().len();
        if there == 0 {
            return Err(Stop::Damaged(CUT_OFF.to_owned()));
        }
        let skipped = there.min(usize::try_from(left).unwrap_or(there));
        source.advance(skipped);
        left -= skipped as u64;
    }
    Ok(())
}

/// What is said of an input that ends too early.
const CUT_OFF: &str = "it is cut off";

/// Copies what a decoder of a library reads to the output.
fn copy(decoder: &mut dyn Read, output: &mut dyn Write) -> Result<(), Stop> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => output.write_all(buffer.get(..count).unwrap_or_default()).map_err(Stop::Output)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Stop::Damaged(CUT_OFF.to_owned()));
            }
            Err(error) => return Err(Stop::Damaged(error.to_string())),
        }
    }
}
