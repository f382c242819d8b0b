//! Writes small ELF programs and libraries: headers, a build-id, segments of given bytes, each on pages of its
//! own at the file offset that is also its address.

use super::core_builder::READ;
use super::{note, put};

/// A page.
pub const PAGE: u64 = 4096;

/// Describes a library: its first page holds the headers and the build-id note.
#[derive(Clone, Debug)]
pub struct LibraryBuilder {
    kind: u16,
    base: u64,
    build_id: Vec<u8>,
    segments: Vec<(u32, Vec<u8>)>,
    ranges: Vec<(u32, u64, u64)>,
    zeros: u64,
    debug_only: bool,
}

impl Default for LibraryBuilder {
    fn default() -> LibraryBuilder {
        LibraryBuilder::new()
    }
}

impl LibraryBuilder {
    /// A shared object with nothing but headers.
    pub fn new() -> LibraryBuilder {
        LibraryBuilder {
            kind: 3,
            base: 0,
            build_id: Vec::new(),
            segments: Vec::new(),
            ranges: Vec::new(),
            zeros: 0,
            debug_only: false,
        }
    }

    /// Makes it a program linked to a fixed address.
    pub fn fixed_at(mut self, base: u64) -> LibraryBuilder {
        (self.kind, self.base) = (2, base);
        self
    }

    /// Adds a build-id.
    pub fn build_id(mut self, build_id: &[u8]) -> LibraryBuilder {
        self.build_id = build_id.to_vec();
        self
    }

    /// Adds a segment on the next pages.
    pub fn segment(mut self, flags: u32, bytes: &[u8]) -> LibraryBuilder {
        self.segments.push((flags, bytes.to_vec()));
        self
    }

    /// Adds a program header for bytes that are in a segment: `PT_DYNAMIC` (2), `PT_GNU_RELRO` (0x6474e552).
    pub fn range(mut self, kind: u32, offset: u64, size: u64) -> LibraryBuilder {
        self.ranges.push((kind, offset, size));
        self
    }

    /// Makes the last segment that much longer in memory than in the file.
    pub fn zeros(mut self, bytes: u64) -> LibraryBuilder {
        self.zeros = bytes;
        self
    }

    /// Makes it a separate debug file: a code section without contents.
    pub fn debug_only(mut self) -> LibraryBuilder {
        self.debug_only = true;
        self
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let mut file = vec![0; PAGE as usize];
        put(&mut file, 0, &[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        put(&mut file, 16, &self.kind.to_le_bytes());
        put(&mut file, 18, &62u16.to_le_bytes());
        put(&mut file, 32, &64u64.to_le_bytes());
        let mut slot = 64;
        let mut add = |file: &mut Vec<u8>, kind: u32, flags: u32, offset: u64, size: u64, zeros: u64| {
            put(file, slot, &kind.to_le_bytes());
            put(file, slot + 4, &flags.to_le_bytes());
            put(file, slot + 8, &offset.to_le_bytes());
            put(file, slot + 16, &(self.base + offset).to_le_bytes());
            put(file, slot + 32, &size.to_le_bytes());
            put(file, slot + 40, &(size + zeros).to_le_bytes());
            slot += 56;
        };
        add(&mut file, 1, READ, 0, PAGE, 0);
        for (number, (flags, bytes)) in self.segments.iter().enumerate() {
            let zeros = if number + 1 == self.segments.len() { self.zeros } else { 0 };
            let offset = file.len();
            put(&mut file, offset, bytes);
            file.resize(file.len().next_multiple_of(PAGE as usize), 0);
            add(&mut file, 1, *flags, offset as u64, bytes.len() as u64, zeros);
        }
        for (kind, offset, size) in &self.ranges {
            add(&mut file, *kind, READ, *offset, *size, 0);
        }
        if !self.build_id.is_empty() {
            let note = note("GNU", 3, &self.build_id);
            put(&mut file, 1024, &note);
            add(&mut file, 4, READ, 1024, note.len() as u64, 0);
        }
        put(&mut file, 56, &(((slot - 64) / 56) as u16).to_le_bytes());
        if self.debug_only {
            self.add_empty_code_section(&mut file);
        }
        file
    }

    /// Two sections: the null section and `.text` as `SHT_NOBITS` with `SHF_ALLOC | SHF_EXECINSTR`.
    fn add_empty_code_section(&self, file: &mut Vec<u8>) {
        let table = file.len();
        put(file, table, &[0; 128]);
        put(file, table + 64 + 4, &8u32.to_le_bytes());
        put(file, table + 64 + 8, &6u64.to_le_bytes());
        put(file, 40, &(table as u64).to_le_bytes());
        put(file, 58, &64u16.to_le_bytes());
        put(file, 60, &2u16.to_le_bytes());
    }
}
