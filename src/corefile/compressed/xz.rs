//! One stream of xz, decoded by the library of its authors under its own limit of memory.
//!
//! Knows what the library's errors mean to a user; refuses to know blocks and filters.

use std::io::{Read, Write};

use liblzma::stream::{Action, Error, Status, Stream};

use super::source::Source;
use super::{BUFFER, CUT_OFF, MOST_WINDOW, Stop};

/// What a decoder may take besides its dictionary: tables and the history's slack, less than 1 MiB in xz 5.
const TABLES: u64 = 1 << 20;

/// Decodes a stream.
pub(super) fn stream<R: Read>(source: &mut Source<R>, output: &mut dyn Write) -> Result<(), Stop> {
    let mut stream = Stream::new_stream_decoder(MOST_WINDOW + TABLES, 0).map_err(explained)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let input = source.fill();
        let at_end = input.is_empty();
        let before = (stream.total_in(), stream.total_out());
        let action = if at_end { Action::Finish } else { Action::Run };
        let result = stream.process(input, &mut buffer, action);
        // Also of a call that failed: damage is found behind content that is right.
        let (read, written) = (stream.total_in() - before.0, (stream.total_out() - before.1) as usize);
        output.write_all(buffer.get(..written).unwrap_or_default()).map_err(Stop::Output)?;
        source.advance(read as usize);
        match result {
            Ok(Status::StreamEnd) => return Ok(()),
            Ok(_) if at_end && written == 0 => return Err(Stop::Damaged(CUT_OFF.to_owned())),
            Ok(_) => {}
            Err(error) => return Err(explained(error)),
        }
    }
}

fn explained(error: Error) -> Stop {
    match error {
        Error::MemLimit => Stop::TooLarge(format!(
            "its dictionary is larger than the {MOST_WINDOW} bytes that are decoded with; unpack it with `xz -d` and pass \
             the result"
        )),
        Error::Data | Error::Format => Stop::Damaged("it is damaged, or a checksum is wrong".to_owned()),
        other => Stop::Damaged(other.to_string()),
    }
}
