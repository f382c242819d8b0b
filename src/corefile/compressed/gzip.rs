//! One member of a gzip file (RFC 1952). Knows nothing more: the format looks back at 32 KiB.

use std::io::{Read, Write};

use flate2::bufread::GzDecoder;

use super::source::Source;
use super::{Stop, copy};

/// Decodes a member.
pub(super) fn member<R: Read>(source: &mut Source<R>, output: &mut dyn Write) -> Result<(), Stop> {
    copy(&mut GzDecoder::new(source), output)
}
