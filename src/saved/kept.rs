//! Which pages of the process' memory a saved heap has.
//!
//! Knows the record of what was read; refuses to know why.

use crate::corefile::{Piece, ReadLog};

/// The unit in which memory is left out.
const PAGE: u64 = 4096;

/// A stretch of a piece of which a saved heap has the bytes, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Bytes from the start of the piece.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Whether any of it was read.
    pub kept: bool,
}

/// The stretches of the piece numbered `index`, in order and without gaps.
pub fn stretches(log: &ReadLog, index: usize, piece: &Piece<'_>) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    if piece.bytes.is_none() {
        return vec![Stretch { offset: 0, len: piece.len, kept: false }];
    }
    if piece.writable {
        // What lies in one piece may be read in one go: it stays in one, with zeros for what is nobody's.
        return vec![Stretch { offset: 0, len: piece.len, kept: log.has_any(index, 0, piece.len) }];
    }
    for offset in (0..piece.len).step_by(PAGE as usize) {
        let len = PAGE.min(piece.len - offset);
        let kept = log.has_any(index, offset, len);
        match stretches.last_mut() {
            Some(last) if last.kept == kept => last.len += len,
            _ => stretches.push(Stretch { offset, len, kept }),
        }
    }
    stretches
}
