//! Which of the memory an analysis has read: what a saved heap must keep for the same answers.
//!
//! Knows pieces by number, and aligned words or single bytes in them; refuses to know who read, and why.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Address;
use super::address_space::Piece;

/// Bytes of a word.
pub const WORD: u64 = 8;
/// Units of one entry of a bitmap.
const UNITS: u64 = u64::BITS as u64;
/// Entries that are made at a time, when the first of them is needed.
const CHUNK: u64 = 512;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Every read, by words.
    Everything,
    /// All but reads of contents: characters, digits, items of buffers. By bytes, as what lies beside a name or a flag in
    /// the same word may be left from what was there before.
    Structure,
}

impl Recorded {
    /// Bytes for which the log has one bit.
    fn unit(self) -> u64 {
        match self {
            Recorded::Everything => WORD,
            Recorded::Structure => 1,
        }
    }
}

/// Entries of a bitmap, made when they are needed.
type Bitmap = Box<[OnceLock<Box<[AtomicU64]>>]>;

/// A bit for each word, or byte, of each piece whose bytes are known: 1/64, or 1/8, of the memory near what was read.
#[derive(Debug)]
pub struct ReadLog {
    pieces: Vec<Bitmap>,
    what: Recorded,
    /// Bytes for which there is one bit.
    unit: u64,
    /// C strings, with their lengths.
    strings: Mutex<BTreeMap<Address, usize>>,
}

impl ReadLog {
    pub(super) fn new(pieces: &[Piece<'_>], what: Recorded) -> ReadLog {
        let unit = what.unit();
        let bitmap = |piece: &Piece<'_>| {
            let units = piece.bytes.map_or(0, |_| piece.len.div_ceil(unit));
            (0..units.div_ceil(UNITS).div_ceil(CHUNK)).map(|_| OnceLock::new()).collect()
        };
        ReadLog { pieces: pieces.iter().map(bitmap).collect(), what, unit, strings: Mutex::default() }
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
        self.for_each_entry(index, offset, len, true, |bits, mask| {
            // Most reads are of what was read before; a load is cheaper than a locked write.
            if bits.load(Ordering::Relaxed) & mask != mask {
                bits.fetch_or(mask, Ordering::Relaxed);
            }
        });
    }

    /// Calls `each` with every entry for the `len` bytes from `offset` on and the bits in it that are theirs. Entries are
    /// made, or passed over if they are not there.
    fn for_each_entry(
        &self,
        index: usize,
        offset: u64,
        len: u64,
        make: bool,
        mut each: impl FnMut(&AtomicU64, u64),
    ) {
        let Some(bitmap) = self.pieces.get(index).filter(|_| len > 0) else { return };
        let (first, last) = (offset / self.unit, (offset + (len - 1)) / self.unit);
        for entry in first / UNITS..=last / UNITS {
            let low = first.saturating_sub(entry * UNITS);
            let high = (last - entry * UNITS).min(UNITS - 1);
            let mask = (u64::MAX >> (UNITS - 1 - high)) & (u64::MAX << low);
            let Some(chunk) = bitmap.get((entry / CHUNK) as usize) else { return };
            let entries = if make { Some(chunk.get_or_init(new_chunk)) } else { chunk.get() };
            if let Some(bits) = entries.and_then(|entries| entries.get((entry % CHUNK) as usize)) {
                each(bits, mask);
            }
        }
    }

    /// Whether any of the `len` bytes from `offset` on was read.
    pub fn has_any(&self, index: usize, offset: u64, len: u64) -> bool {
        let mut any = false;
        self.for_each_run(index, offset, len, |_, _| any = true);
        any
    }

    /// Takes back that the `len` bytes from `offset` on in the piece numbered `index` were read.
    pub(super) fn forget(&self, index: usize, offset: u64, len: u64) {
        self.for_each_entry(index, offset, len, false, |bits, mask| {
            if bits.load(Ordering::Relaxed) & mask != 0 {
                bits.fetch_and(!mask, Ordering::Relaxed);
            }
        });
    }

    /// Calls `each` with offset and length, in bytes, of every run that was read among the `len` bytes from `offset` on,
    /// which is a multiple of a word, in the piece numbered `index`.
    pub fn for_each_run(&self, index: usize, offset: u64, len: u64, mut each: impl FnMut(u64, u64)) {
        let end = offset.saturating_add(len).div_ceil(self.unit);
        let mut start = None;
        let mut unit = offset / self.unit;
        while unit < end {
            let bits = self.entry(index, unit / UNITS);
            // Entries without a change are passed over as a whole.
            let changes = if start.is_some() { bits != u64::MAX } else { bits != 0 };
            if !changes {
                unit = (unit / UNITS + 1) * UNITS;
                continue;
            }
            match (bits >> (unit % UNITS) & 1 == 1, start) {
                (true, None) => start = Some(unit),
                (false, Some(first)) => {
                    each(first * self.unit, (unit - first) * self.unit);
                    start = None;
                }
                _ => {}
            }
            unit += 1;
        }
        if let Some(first) = start.filter(|&first| first < end) {
            each(first * self.unit, (end - first) * self.unit);
        }
    }

    fn entry(&self, index: usize, entry: u64) -> u64 {
        let chunk = self.pieces.get(index).and_then(|bitmap| bitmap.get((entry / CHUNK) as usize));
        let entries = chunk.and_then(OnceLock::get);
        let bits = entries.and_then(|entries| entries.get((entry % CHUNK) as usize));
        bits.map_or(0, |bits| bits.load(Ordering::Relaxed))
    }
}

fn new_chunk() -> Box<[AtomicU64]> {
    (0..CHUNK).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::corefile::PieceSource;

    fn log_of(bytes: &[u8], what: Recorded) -> ReadLog {
        let piece = Piece {
            start: 0x1000,
            len: bytes.len() as u64,
            bytes: Some(bytes),
            writable: true,
            executable: false,
            source: PieceSource::Core,
        };
        ReadLog::new(&[piece], what)
    }

    proptest! {
        #[test]
        fn runs_are_the_units_of_what_was_noted_and_not_forgotten(
            changes in prop::collection::vec((0u64..70_000, 0u64..300, prop::bool::weighted(0.8)), 0..60),
            by_bytes: bool,
        ) {
            let size = 71_301;
            let bytes = vec![0; size];
            let what = if by_bytes { Recorded::Structure } else { Recorded::Everything };
            let unit = what.unit();
            let log = log_of(&bytes, what);
            let mut expected = vec![false; size.div_ceil(unit as usize)];
            for (offset, len, noted) in changes {
                if noted { log.note(0, offset, len) } else { log.forget(0, offset, len) }
                (offset..offset + len).for_each(|byte| expected[(byte / unit) as usize] = noted);
            }
            let mut found = vec![false; expected.len()];
            let mut last = None;
            log.for_each_run(0, 0, size as u64, |offset, len| {
                assert!(last.is_none_or(|last| last < offset), "runs are apart and in order");
                last = Some(offset + len);
                (offset / unit..(offset + len) / unit).for_each(|at| found[at as usize] = true);
            });
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_near_a_read_was_not_read() {
        let bytes = [0; 256];
        let log = log_of(&bytes, Recorded::Everything);
        log.note(0, 64, 16);
        assert!(!log.has_any(0, 0, 64) && log.has_any(0, 60, 16) && !log.has_any(0, 80, 100));
        log.forget(0, 64, 8);
        assert!(!log.has_any(0, 64, 8) && log.has_any(0, 72, 8));
        log.note(9, 0, 8);
        assert!(!log.has_any(9, 0, 8), "there is no such piece");
        let log = log_of(&bytes, Recorded::Structure);
        log.note(0, 64, 3);
        assert!(log.has_any(0, 64, 3) && !log.has_any(0, 67, 100));
    }
}
