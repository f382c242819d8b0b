//! Which words of the memory an analysis has read: what a saved heap must keep for the same answers.
//!
//! Knows pieces by number and aligned words in them; refuses to know who read, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Address;
use super::address_space::Piece;

/// Bytes of a word, the unit of the log.
pub const WORD: u64 = 8;
/// Words of one entry of a bitmap.
const WORDS: u64 = u64::BITS as u64;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Every read.
    Everything,
    /// All but reads of contents: characters, digits, items of buffers.
    Structure,
}

/// A bit for each word of each piece whose bytes are known: 1/64 of the memory.
#[derive(Debug)]
pub struct ReadLog {
    pieces: Vec<Box<[AtomicU64]>>,
    what: Recorded,
    /// C strings, with their lengths.
    strings: Mutex<BTreeMap<Address, usize>>,
}

impl ReadLog {
    pub(super) fn new(pieces: &[Piece<'_>], what: Recorded) -> ReadLog {
        let bitmap = |piece: &Piece<'_>| {
            let words = piece.bytes.map_or(0, |_| piece.len.div_ceil(WORD));
            (0..words.div_ceil(WORDS)).map(|_| AtomicU64::new(0)).collect()
        };
        ReadLog { pieces: pieces.iter().map(bitmap).collect(), what, strings: Mutex::default() }
    }

    /// Notes that a C string was read.
    pub(super) fn note_string(&self, address: Address, len: usize) {
        self.strings.lock().unwrap_or_else(PoisonError::into_inner).insert(address, len);
    }

    /// The C strings that were read, with their lengths in bytes, by address.
    pub fn strings(&self) -> Vec<(Address, usize)> {
        let strings = self.strings.lock().unwrap_or_else(PoisonError::into_inner);
        strings.iter().map(|(&address, &len)| (address, len)).collect()
    }

    /// What is recorded.
    #[inline]
    pub fn what(&self) -> Recorded {
        self.what
    }

    /// Notes that `len` bytes from `offset` on in the piece numbered `index` were read.
    pub(super) fn note(&self, index: usize, offset: u64, len: u64) {
        let Some(bitmap) = self.pieces.get(index).filter(|_| len > 0) else { return };
        let (first, last) = (offset / WORD, (offset + (len - 1)) / WORD);
        for entry in first / WORDS..=last / WORDS {
            let low = first.saturating_sub(entry * WORDS);
            let high = (last - entry * WORDS).min(WORDS - 1);
            let mask = (u64::MAX >> (WORDS - 1 - high)) & (u64::MAX << low);
            if let Some(bits) = bitmap.get(entry as usize) {
                // Most reads are of what was read before; a load is cheaper than a locked write.
                if bits.load(Ordering::Relaxed) & mask != mask {
                    bits.fetch_or(mask, Ordering::Relaxed);
                }
            }
        }
    }

    /// Whether any word of the `len` bytes from `offset` on was read.
    pub fn has_any(&self, index: usize, offset: u64, len: u64) -> bool {
        let mut any = false;
        self.for_each_run(index, offset, len, |_, _| any = true);
        any
    }

    /// Takes back that the word at `offset` in the piece numbered `index` was read.
    pub(super) fn forget(&self, index: usize, offset: u64) {
        let word = offset / WORD;
        let bits = self.pieces.get(index).and_then(|bitmap| bitmap.get((word / WORDS) as usize));
        if let Some(bits) = bits {
            bits.fetch_and(!(1 << (word % WORDS)), Ordering::Relaxed);
        }
    }

    /// Calls `each` with offset and length, in bytes, of every run of words that were read among the `len` bytes from
    /// `offset` on, which is a multiple of a word, in the piece numbered `index`.
    pub fn for_each_run(&self, index: usize, offset: u64, len: u64, mut each: impl FnMut(u64, u64)) {
        let end = offset.saturating_add(len).div_ceil(WORD);
        let mut start = None;
        let mut word = offset / WORD;
        while word < end {
            let bits = self.entry(index, word / WORDS);
            // Entries without a change are passed over as a whole.
            let changes = if start.is_some() { bits != u64::MAX } else { bits != 0 };
            if !changes {
                word = (word / WORDS + 1) * WORDS;
                continue;
            }
            match (bits >> (word % WORDS) & 1 == 1, start) {
                (true, None) => start = Some(word),
                (false, Some(first)) => {
                    each(first * WORD, (word - first) * WORD);
                    start = None;
                }
                _ => {}
            }
            word += 1;
        }
        if let Some(first) = start.filter(|&first| first < end) {
            each(first * WORD, (end - first) * WORD);
        }
    }

    fn entry(&self, index: usize, entry: u64) -> u64 {
        let bits = self.pieces.get(index).and_then(|bitmap| bitmap.get(entry as usize));
        bits.map_or(0, |bits| bits.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::corefile::PieceSource;

    fn log_of(bytes: &[u8]) -> ReadLog {
        let piece = Piece {
            start: 0x1000,
            len: bytes.len() as u64,
            bytes: Some(bytes),
            writable: true,
            executable: false,
            source: PieceSource::Core,
        };
        ReadLog::new(&[piece], Recorded::Everything)
    }

    proptest! {
        #[test]
        fn runs_are_the_words_of_what_was_noted(reads in prop::collection::vec((0u64..4000, 0u64..300), 0..40)) {
            let bytes = vec![0; 4301];
            let log = log_of(&bytes);
            let mut expected = vec![false; 4301usize.div_ceil(8)];
            for (offset, len) in reads {
                log.note(0, offset, len);
                (offset..offset + len).for_each(|byte| expected[(byte / 8) as usize] = true);
            }
            let mut found = vec![false; expected.len()];
            let mut last = None;
            log.for_each_run(0, 0, 4304, |offset, len| {
                assert!(last.is_none_or(|last| last < offset), "runs are apart and in order");
                last = Some(offset + len);
                (offset / 8..(offset + len) / 8).for_each(|word| found[word as usize] = true);
            });
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn words_near_a_read_were_not_read() {
        let bytes = [0; 256];
        let log = log_of(&bytes);
        log.note(0, 64, 16);
        assert!(!log.has_any(0, 0, 64) && log.has_any(0, 60, 16) && !log.has_any(0, 80, 100));
        log.forget(0, 64);
        assert!(!log.has_any(0, 64, 8) && log.has_any(0, 72, 8));
        log.note(9, 0, 8);
        assert!(!log.has_any(9, 0, 8), "there is no such piece");
    }
}
