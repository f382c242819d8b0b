//! One frame of lz4.
//!
//! Knows when a frame has ended; refuses to know its blocks. The frame format looks back at most at 64 KiB and a block of
//! 4 MiB (8 MiB in the older one of `lz4 -l`): buffers are all it needs.

use std::io::{self, Read, Write};

use lz4_flex::frame::FrameDecoder;

use super::source::Source;
use super::{CUT_OFF, Stop, copy};

/// Magic number of the format of `lz4 -l`, which has no end mark: it ends with the file.
const LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Decodes a frame.
pub(super) fn frame<R: Read>(source: &mut Source<R>, output: &mut dyn Write) -> Result<(), Stop> {
    let legacy = source.peek(LEGACY.len()).starts_with(&LEGACY);
    let mut decoder = FrameDecoder::new(Whole { source, ended_after: None });
    let copied = copy(&mut decoder, output);
    match decoder.get_ref().ended_after {
        // The library takes an end between two blocks for the end of the frame.
        Some(0) if legacy => copied,
        Some(_) => Err(Stop::Damaged(CUT_OFF.to_owned())),
        None => copied,
    }
}

/// An input that remembers how much of a part there was when it ended within it.
struct Whole<'s, R> {
    source: &'s mut Source<R>,
    ended_after: Option<usize>,
}

impl<R: Read> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The library asks in this way for the start of a frame only.
        self.source.read(buffer)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let count = self.source.read(rest)?;
            if count == 0 {
                self.ended_after = Some(filled);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
        }
        Ok(())
    }
}
