//! What a list of bytes does to a core: flipped bits, zeroed pages, crossed pointers, lengths that lie, a short file.
//!
//! Knows where a core has what is worth damaging, because it was read whole first; refuses to know what a damage means.

use crate::corefile::{Address, Inputs};
use crate::cpython::Runtime;
use crate::heap::census;

/// Bytes of one damage in an input.
pub(super) const STEP: usize = 8;
/// Most damages of one input.
pub(super) const MOST: usize = 64;
/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes of `Elf64_Phdr`, and where a core of this crate's fixtures has the first.
const PROGRAM_HEADER: usize = 56;
const HEADERS: usize = 64;
/// Words of `_PyRuntime`, of an interpreter or of a thread that are worth a damage of their own.
const STATE_WORDS: u64 = 1024;
/// Words of an object that are.
const OBJECT_WORDS: usize = 12;

/// Where in a core file things are, as offsets of words.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Words of writable memory that hold addresses.
    pub pointers: Vec<usize>,
    /// First words of objects.
    pub objects: Vec<usize>,
    /// Words of the runtime, the interpreters and the threads.
    pub state: Vec<usize>,
    /// All written bytes.
    pub memory: Vec<(usize, usize)>,
    /// Program headers.
    pub headers: usize,
}

/// New bytes at an offset.
pub(super) type Change = (usize, Vec<u8>);

/// What becomes of a core.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    pub changes: Vec<Change>,
    /// Where the file ends, if it is cut.
    pub length: Option<usize>,
}

impl Places {
    /// Finds them in a core that is whole.
    pub(super) fn find(inputs: &Inputs, runtime: &mut Runtime<'_>, bytes: &[u8]) -> Self {
        let written = |segment: &&crate::corefile::Segment| segment.filesz > 0;
        let segments: Vec<_> = inputs.core().segments().iter().filter(written).collect();
        let offset_of = |address: Address| {
            let at = segments.iter().find(|s| address.wrapping_sub(s.vaddr) < s.filesz)?;
            usize::try_from(at.offset + (address - at.vaddr)).ok()
        };
        let mut places = Self { headers: inputs.core().segments().len() + 1, ..Self::default() };
        for segment in &segments {
            let (start, length) = (segment.offset as usize, segment.filesz as usize);
            let end = start.saturating_add(length).min(bytes.len());
            places.memory.push((start, end));
            if segment.is_writable() {
                let words = (start..end.saturating_sub(7)).step_by(8);
                places.pointers.extend(words.filter(|&at| offset_of(word(bytes, at)).is_some()));
            }
        }
        let mut states = vec![runtime.address];
        for interpreter in &runtime.interpreters {
            states.push(interpreter.address);
            states.extend(interpreter.threads.iter().map(|thread| thread.address));
        }
        let state_words = states.iter().flat_map(|&state| (0..STATE_WORDS).map(move |n| state + 8 * n));
        places.state = state_words.filter_map(offset_of).collect();
        if let Ok(census) = census(runtime) {
            places.objects = census.objects.addresses().iter().filter_map(|&at| offset_of(at)).collect();
        }
        places
    }

    /// What `input` does to the core `bytes`.
    pub(super) fn damage(&self, bytes: &[u8], input: &[u8]) -> Damaged {
        let mut damaged = Damaged::default();
        for step in input.chunks_exact(STEP).take(MOST) {
            let place = usize::from(step[2]) | usize::from(step[3]) << 8 | usize::from(step[4]) << 16;
            let other = usize::from(step[5]) | usize::from(step[6]) << 8 | usize::from(step[7]) << 16;
            let change = match step[0] % 10 {
                0 => self.anywhere(place).map(|at| (at, vec![byte(bytes, at) ^ 1 << (other % 8)])),
                1 => self.anywhere(place).map(|at| (at / PAGE * PAGE, vec![0; PAGE])),
                2 => self.crossed(bytes, place, other),
                3 => picked(&self.pointers, place).map(|at| (at, value(bytes, at, step[1], other))),
                4 | 5 => self
                    .in_object(place, other % OBJECT_WORDS)
                    .map(|at| (at, value(bytes, at, step[1], other))),
                6 => self.in_object(place, 2).map(|at| (at, length_that_lies(step[1], other))),
                7 => picked(&self.state, place).map(|at| (at, value(bytes, at, step[1], other))),
                8 => Some(self.program_header(bytes, place, step[1], other)),
                _ => {
                    damaged.length = Some(bytes.len() / 256 * usize::from(step[2]));
                    None
                }
            };
            damaged.changes.extend(change.filter(|(at, new)| at + new.len() <= bytes.len()));
        }
        damaged
    }

    /// A written byte: places count in steps of 7, so that every third of a core of 40 MB can be named.
    fn anywhere(&self, place: usize) -> Option<usize> {
        let all: usize = self.memory.iter().map(|(start, end)| end - start).sum();
        let mut left = place.checked_mul(7)?.checked_rem(all)?;
        for (start, end) in &self.memory {
            if left < end - start {
                return Some(start + left);
            }
            left -= end - start;
        }
        None
    }

    /// One pointer has the value of another.
    fn crossed(&self, bytes: &[u8], place: usize, other: usize) -> Option<Change> {
        let (to, from) = (picked(&self.pointers, place)?, picked(&self.pointers, other)?);
        Some((to, word(bytes, from).to_le_bytes().to_vec()))
    }

    fn in_object(&self, place: usize, word: usize) -> Option<usize> {
        picked(&self.objects, place).map(|at| at + 8 * word)
    }

    /// A field of a program header lies.
    fn program_header(&self, bytes: &[u8], place: usize, kind: u8, other: usize) -> Change {
        const FIELDS: [usize; 6] = [0, 8, 16, 32, 40, 48];
        let header = HEADERS + place % self.headers.max(1) * PROGRAM_HEADER;
        let at = header + FIELDS[other % FIELDS.len()];
        (at, value(bytes, at, kind, other / FIELDS.len()))
    }
}

fn picked(places: &[usize], place: usize) -> Option<usize> {
    places.get(place.checked_rem(places.len())?).copied()
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |word| u64::from_le_bytes(*word))
}

/// Something else for the word at `at`.
fn value(bytes: &[u8], at: usize, kind: u8, other: usize) -> Vec<u8> {
    let old = word(bytes, at);
    let other = other as u64;
    let new = match kind % 12 {
        0 => 0,
        1 => u64::MAX - other % 64,
        2 => old ^ 1 << (other % 64),
        3 => old.wrapping_add(8 * (other % 512)),
        4 => old.wrapping_sub(8 * (other % 512)),
        5 => other,
        6 => i64::MAX as u64 - other % 4096,
        7 => 1 << (other % 64),
        8 => old.rotate_left(8),
        9 => 0xdead_beef_0000,
        10 => old.wrapping_mul(other),
        _ => old & !0xfff | other & 0xfff,
    };
    new.to_le_bytes().to_vec()
}

/// An `ob_size`, a count of entries: much too large, negative, or somewhat more.
fn length_that_lies(kind: u8, other: usize) -> Vec<u8> {
    let other = other as u64;
    let new = match kind % 6 {
        0 => u64::MAX,
        1 => 1 << (other % 64),
        2 => other,
        3 => i64::MAX as u64 / 8 - other % 16,
        4 => u64::MAX / 8 + 1 + other % 16,
        _ => u64::from(u32::MAX) - other % 256,
    };
    new.to_le_bytes().to_vec()
}
