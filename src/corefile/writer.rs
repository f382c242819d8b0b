//! The headers of a core file that is to be written: ELF header, program headers, notes.
//!
//! Knows the ELF specification; refuses to know where the memory comes from and what the notes mean. Who writes the file
//! puts [`CoreLayout::header_bytes`] at its start and each segment's bytes at [`CoreLayout::offset_of`].

use goblin::elf::header::{EM_AARCH64, EM_X86_64, ET_CORE};
use goblin::elf::program_header::{PT_LOAD, PT_NOTE};

use super::Address;
use super::elf::Machine;

/// Size of `Elf64_Ehdr`.
const HEADER_SIZE: usize = 64;
/// Size of `Elf64_Phdr`.
const PROGRAM_HEADER_SIZE: usize = 56;
/// Size of `Elf64_Shdr`.
const SECTION_HEADER_SIZE: usize = 64;
/// `e_phnum` of a file with too many program headers for that field; section 0 has their number then.
const PN_XNUM: usize = 0xffff;
/// What memory begins at a multiple of in the file, so that it can be mapped.
const PAGE: u64 = 4096;
/// What a note's parts are padded to.
const NOTE_ALIGN: usize = 4;

/// A note to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNote {
    /// Owner, such as `CORE`.
    pub name: String,
    /// Type (`NT_*`), by the owner's own count.
    pub kind: u32,
    /// Content.
    pub content: Vec<u8>,
}

/// A range of memory to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// First address.
    pub vaddr: Address,
    /// Bytes mapped in the process.
    pub memsz: u64,
    /// Bytes that the file has, from the start of the segment.
    pub filesz: u64,
    /// `p_flags`: `PF_X` 1, `PF_W` 2, `PF_R` 4.
    pub flags: u32,
    /// Whether it shall be kept apart in the file from the one before, so that readers do not take both for one mapping.
    pub apart: bool,
}

/// Where everything in a new core file goes.
#[derive(Debug)]
pub struct CoreLayout {
    header: Vec<u8>,
    offsets: Vec<u64>,
    size: u64,
}

impl CoreLayout {
    /// Lays out a core of these notes and segments.
    pub fn new(machine: Machine, notes: &[NewNote], segments: &[NewSegment]) -> CoreLayout {
        let count = segments.len().saturating_add(1);
        let extended = count >= PN_XNUM;
        let notes = note_bytes(notes);
        let sections_at = HEADER_SIZE + count * PROGRAM_HEADER_SIZE;
        let notes_at = sections_at + if extended { SECTION_HEADER_SIZE } else { 0 };
        let mut at = page_up((notes_at + notes.len()) as u64);
        let mut offsets = Vec::with_capacity(segments.len());
        for segment in segments {
            at = at.saturating_add(if segment.apart { PAGE } else { 0 });
            offsets.push(at);
            at = CoreLayout::behind(at, segment.filesz);
        }
        let last = offsets.last().zip(segments.last());
        let size = last.map_or(at, |(offset, segment)| offset.saturating_add(segment.filesz));

        let mut header = elf_header(machine, count, extended.then_some(sections_at));
        let note_header = ProgramHeader {
            kind: PT_NOTE,
            flags: 4,
            offset: notes_at as u64,
            filesz: notes.len() as u64,
            ..ProgramHeader::default()
        };
        note_header.write(&mut header, NOTE_ALIGN as u64);
        for (segment, &offset) in segments.iter().zip(&offsets) {
            let load = ProgramHeader {
                kind: PT_LOAD,
                flags: segment.flags,
                offset,
                vaddr: segment.vaddr,
                filesz: segment.filesz,
                memsz: segment.memsz,
            };
            load.write(&mut header, PAGE);
        }
        if extended {
            header.extend(section_zero(count));
        }
        header.extend(notes);
        header.resize(page_up(header.len() as u64) as usize, 0);
        CoreLayout { header, offsets, size }
    }

    /// All that comes before the memory, padded to a page.
    pub fn header_bytes(&self) -> &[u8] {
        &self.header
    }

    /// Where in the file the bytes of the segment at `index` begin.
    pub fn offset_of(&self, index: usize) -> Option<u64> {
        self.offsets.get(index).copied()
    }

    /// Where in the file a segment begins that follows one of `filesz` bytes at `offset`.
    pub fn behind(offset: u64, filesz: u64) -> u64 {
        page_up(offset.saturating_add(filesz))
    }

    /// Size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

fn page_up(at: u64) -> u64 {
    at.checked_next_multiple_of(PAGE).unwrap_or(at)
}

/// The ELF header; `sections_at` is where section 0 lies, if there is one.
fn elf_header(machine: Machine, program_headers: usize, sections_at: Option<usize>) -> Vec<u8> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    const VERSION: u8 = 1;
    let e_machine = match machine {
        Machine::X86_64 => EM_X86_64,
        Machine::Aarch64 => EM_AARCH64,
    };
    let mut header = vec![0x7f, b'E', b'L', b'F', CLASS_64, LITTLE_ENDIAN, VERSION];
    header.resize(16, 0);
    header.extend(ET_CORE.to_le_bytes());
    header.extend(e_machine.to_le_bytes());
    header.extend(u32::from(VERSION).to_le_bytes());
    header.extend(0u64.to_le_bytes()); // e_entry
    header.extend((HEADER_SIZE as u64).to_le_bytes()); // e_phoff
    header.extend((sections_at.unwrap_or(0) as u64).to_le_bytes());
    header.extend(0u32.to_le_bytes()); // e_flags
    let section_size = if sections_at.is_some() { SECTION_HEADER_SIZE } else { 0 };
    let halves = [
        HEADER_SIZE,
        PROGRAM_HEADER_SIZE,
        program_headers.min(PN_XNUM),
        section_size,
        usize::from(sections_at.is_some()),
        0, // e_shstrndx
    ];
    header.extend(halves.iter().flat_map(|&half| (half as u16).to_le_bytes()));
    header
}

/// The section header that holds the number of program headers where `e_phnum` cannot (System V gABI, "Extended
/// numbering").
fn section_zero(program_headers: usize) -> Vec<u8> {
    const INFO_AT: usize = 44;
    let mut section = vec![0; INFO_AT];
    section.extend((program_headers as u32).to_le_bytes());
    section.resize(SECTION_HEADER_SIZE, 0);
    section
}

#[derive(Default)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
}

impl ProgramHeader {
    fn write(&self, out: &mut Vec<u8>, align: u64) {
        out.extend(self.kind.to_le_bytes());
        out.extend(self.flags.to_le_bytes());
        let physical = 0;
        for word in [self.offset, self.vaddr, physical, self.filesz, self.memsz, align] {
            out.extend(word.to_le_bytes());
        }
    }
}

fn note_bytes(notes: &[NewNote]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for note in notes {
        bytes.extend((note.name.len() as u32 + 1).to_le_bytes());
        bytes.extend((note.content.len() as u32).to_le_bytes());
        bytes.extend(note.kind.to_le_bytes());
        bytes.extend(note.name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(NOTE_ALIGN), 0);
        bytes.extend(&note.content);
        bytes.resize(bytes.len().next_multiple_of(NOTE_ALIGN), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::elf::CoreFile;

    fn reopened(layout: &CoreLayout, memory: &[(usize, &[u8])]) -> CoreFile {
        let mut bytes = layout.header_bytes().to_vec();
        for (index, content) in memory {
            bytes.resize(layout.offset_of(*index).unwrap() as usize, 0);
            bytes.extend(*content);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        CoreFile::open(file.path()).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let notes = [
            NewNote { name: "CORE".to_owned(), kind: 6, content: vec![1; 33] },
            NewNote { name: "X".to_owned(), kind: 9, content: Vec::new() },
        ];
        let segments = [
            NewSegment { vaddr: 0x1000, memsz: 0x3000, filesz: 5, flags: 6, apart: false },
            NewSegment { vaddr: 0x8000, memsz: 0x1000, filesz: 0, flags: 5, apart: false },
            NewSegment { vaddr: 0x9000, memsz: 0x1000, filesz: 3, flags: 4, apart: true },
        ];
        let layout = CoreLayout::new(Machine::Aarch64, &notes, &segments);
        let core = reopened(&layout, &[(0, b"first"), (2, b"end")]);
        assert_eq!(core.size(), layout.size());
        assert_eq!((core.machine(), core.truncation()), (Machine::Aarch64, None));
        let read: Vec<_> = core.segments().iter().map(|s| (s.vaddr, s.memsz, s.filesz, s.flags)).collect();
        assert_eq!(read, segments.map(|s| (s.vaddr, s.memsz, s.filesz, s.flags)));
        let offset = core.segments()[2].offset as usize;
        assert_eq!(core.bytes().get(offset..offset + 3), Some(&b"end"[..]));
        let notes_read: Vec<u8> = core.note_segments().flat_map(|segment| segment.bytes.to_vec()).collect();
        assert_eq!(notes_read, note_bytes(&notes));
    }

    #[test]
    fn more_segments_than_the_header_can_count_are_written_and_read() {
        let segment = |index: u64| NewSegment {
            vaddr: index * 0x1000,
            memsz: 0x1000,
            filesz: 0,
            flags: 4,
            apart: false,
        };
        let segments: Vec<_> = (0..70_000).map(segment).collect();
        let layout = CoreLayout::new(Machine::X86_64, &[], &segments);
        assert_eq!(reopened(&layout, &[]).segments().len(), segments.len());
    }
}
