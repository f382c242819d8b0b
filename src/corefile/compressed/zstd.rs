//! One frame of zstd (RFC 8878), decoded by the library of its authors.
//!
//! Knows the frame's header as far as it says how much memory decoding takes; refuses to know blocks.

use std::io::{Read, Write};

use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::source::Source;
use super::{BUFFER, CUT_OFF, Stop};

/// The longest frame header.
const LONGEST_HEADER: usize = 18;
/// Size of a block's header.
const BLOCK_HEADER: usize = 3;

/// Decodes a frame whose window is at most `1 << window_log` bytes.
pub(super) fn frame<R: Read>(
    source: &mut Source<R>,
    output: &mut dyn Write,
    window_log: u32,
) -> Result<(), Stop> {
    let most = 1u64.checked_shl(window_log).unwrap_or(u64::MAX);
    if let Some(window) = window_size(source.peek(LONGEST_HEADER)).filter(|&window| window > most) {
        return Err(too_large(window, most));
    }
    let failed = |error: std::io::Error| Stop::Damaged(error.to_string());
    let mut decoder = Decoder::new().map_err(failed)?;
    decoder.set_parameter(DParameter::WindowLogMax(window_log)).map_err(failed)?;
    let mut buffer = vec![0; BUFFER];
    let mut wanted = 1;
    loop {
        let input = source.fill();
        let at_end = input.is_empty();
        // One block at a time: the decoder does not tell what it wrote before it found an error. What it asks for is a
        // block with the header of the next one.
        let step = if wanted > BLOCK_HEADER { wanted - BLOCK_HEADER } else { wanted };
        let input = input.get(..step).unwrap_or(input);
        let done = decoder.run_on_buffers(input, &mut buffer).map_err(failed)?;
        output.write_all(buffer.get(..done.bytes_written).unwrap_or_default()).map_err(Stop::Output)?;
        source.advance(done.bytes_read);
        match done.remaining {
            0 => return Ok(()),
            _ if at_end && done.bytes_written == 0 => return Err(Stop::Damaged(CUT_OFF.to_owned())),
            remaining => wanted = remaining,
        }
    }
}

fn too_large(window: u64, most: u64) -> Stop {
    let log = window.checked_next_power_of_two().map_or(63, u64::trailing_zeros);
    Stop::TooLarge(format!(
        "its window of {window} bytes is more than the {most} that are decoded with; unpack it with `zstd -d --long={log}` \
         and pass the result"
    ))
}

/// How far back a frame refers, in bytes, by its header (RFC 8878, section 3.1.1.1).
fn window_size(header: &[u8]) -> Option<u64> {
    let descriptor = *header.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *header.get(5)?;
        let base = 1u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: all of the content.
    let size_at = 5 + [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let bytes = |count: usize| {
        let bytes = header.get(size_at..size_at + count)?;
        Some(bytes.iter().rev().fold(0u64, |size, &byte| size << 8 | u64::from(byte)))
    };
    match descriptor >> 6 {
        0 => bytes(1),
        1 => bytes(2).map(|size| size + 256),
        2 => bytes(4),
        _ => bytes(8),
    }
}
