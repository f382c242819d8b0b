//! A core file as bytes to be damaged: where its segments lie, and the ways they break.

use std::path::Path;

/// Bytes of a page.
const PAGE: usize = 4096;
/// `PT_LOAD`.
const LOAD: u32 = 1;
/// `PF_W`.
const WRITE: u32 = 2;
/// Bytes of `Elf64_Phdr`.
const PROGRAM_HEADER: usize = 56;

/// A whole core file in memory.
#[derive(Clone)]
pub struct CoreImage {
    bytes: Vec<u8>,
}

/// One `PT_LOAD`: where its header stands, and what that says.
#[derive(Clone, Copy)]
struct Load {
    header: usize,
    flags: u32,
    offset: usize,
    address: u64,
    size: usize,
}

/// Numbers that look random and are the same in every run (Steele et al., "Fast splittable pseudorandom number
/// generators", 2014).
pub struct SplitMix(pub u64);

impl SplitMix {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound.max(1) as u64) as usize
    }
}

impl CoreImage {
    /// Unpacks a committed core.
    pub fn unpack(path: &Path) -> Self {
        let file = std::fs::File::open(path).expect("a committed core");
        let mut decoder = zstd::stream::read::Decoder::new(file).expect("a zstd file");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut decoder, &mut bytes).expect("a whole zstd file");
        Self { bytes }
    }

    /// The bytes as they are now.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    fn half(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    fn loads(&self) -> Vec<Load> {
        let table = self.word(32) as usize;
        let count = usize::from(u16::from_le_bytes([self.bytes[56], self.bytes[57]]));
        let load = |header: usize| Load {
            header,
            flags: self.half(header + 4),
            offset: self.word(header + 8) as usize,
            address: self.word(header + 16),
            size: self.word(header + 32) as usize,
        };
        let headers = (0..count).map(|index| table + index * PROGRAM_HEADER);
        headers.filter(|&header| self.half(header) == LOAD).map(load).collect()
    }

    /// The same memory with the segments stored in the opposite order, as a writer of cores may do: cut off, it
    /// loses the low addresses first (heap and arenas), and keeps the interpreter's own variables.
    pub fn reversed(&self) -> Self {
        let loads = self.loads();
        let first =
            loads.iter().filter(|load| load.size > 0).map(|load| load.offset).min().expect("a segment");
        let mut bytes = self.bytes[..first].to_vec();
        for load in loads.iter().rev() {
            bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
            let offset = bytes.len() as u64;
            bytes[load.header + 8..load.header + 16].copy_from_slice(&offset.to_le_bytes());
            bytes.extend(&self.bytes[load.offset..load.offset + load.size]);
        }
        Self { bytes }
    }

    /// Every aligned word `old` is `new`.
    pub fn with_word_replaced(&self, old: u64, new: u64) -> Self {
        let mut bytes = self.bytes.clone();
        let aligned = bytes.chunks_exact_mut(8).filter(|word| **word == old.to_le_bytes());
        assert!(
            aligned.map(|word| word.copy_from_slice(&new.to_le_bytes())).count() > 0,
            "{old:#x} is not there"
        );
        Self { bytes }
    }

    /// These words are at `address`.
    pub fn with_words(&self, address: u64, words: &[u64]) -> Self {
        let mut bytes = self.bytes.clone();
        let holds = |load: &Load| address.wrapping_sub(load.address) < load.size as u64;
        let load = self.loads().into_iter().find(holds).expect("memory that is in the core");
        let at = load.offset + (address - load.address) as usize;
        for (place, word) in bytes[at..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Self { bytes }
    }

    /// Cut off after that share of it.
    pub fn cut_off(&self, percent: usize) -> Self {
        Self { bytes: self.bytes[..self.bytes.len() / 100 * percent].to_vec() }
    }

    /// What `coredump_filter` 0x1 keeps: no page that the process could not write to, ELF headers among them.
    pub fn written_only(&self) -> Self {
        let mut bytes = self.bytes.clone();
        for load in self.loads().iter().filter(|load| load.flags & WRITE == 0) {
            bytes[load.offset..load.offset + load.size].fill(0);
            bytes[load.header + 32..load.header + 40].fill(0);
        }
        Self { bytes }
    }

    /// Every `one_in`th page of memory that the process could write to, more or less, is zero.
    pub fn zero_pages(&self, seed: u64, one_in: usize) -> Self {
        let mut random = SplitMix(seed);
        let mut bytes = self.bytes.clone();
        for load in self.loads().iter().filter(|load| load.flags & WRITE != 0) {
            for page in bytes[load.offset..load.offset + load.size].chunks_mut(PAGE) {
                if random.below(one_in) == 0 {
                    page.fill(0);
                }
            }
        }
        Self { bytes }
    }

    /// `count` words that hold addresses of the process' memory hold something else: another address, one
    /// slightly off, one of nothing, zero, a huge number.
    pub fn flip_pointers(&self, seed: u64, count: usize) -> Self {
        let loads = self.loads();
        let written: Vec<&Load> =
            loads.iter().filter(|load| load.flags & WRITE != 0 && load.size >= 8).collect();
        let mapped = |word: u64| loads.iter().any(|load| word.wrapping_sub(load.address) < load.size as u64);
        let mut random = SplitMix(seed);
        let mut flipped = self.clone();
        let mut left = count;
        for _ in 0..count * 1000 {
            let load = written[random.below(written.len())];
            let at = load.offset + random.below(load.size / 8) * 8;
            let word = self.word(at);
            if left == 0 {
                break;
            } else if !mapped(word) {
                continue;
            }
            let target = written[random.below(written.len())];
            let new = match random.below(5) {
                0 => target.address + random.below(target.size / 8) as u64 * 8,
                1 => word ^ 1 << random.below(12),
                2 => 0xdead_beef_0000,
                3 => 0,
                _ => u64::MAX - random.below(64) as u64,
            };
            flipped.bytes[at..at + 8].copy_from_slice(&new.to_le_bytes());
            left -= 1;
        }
        assert_eq!(left, 0, "the core holds too few pointers");
        flipped
    }
}
