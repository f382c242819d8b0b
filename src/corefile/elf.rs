//! ELF headers of core files and modules, and the core file itself: segments, truncation, maker.
//!
//! Knows the ELF specification and two writers of cores (the Linux kernel and GDB); refuses to know what the
//! notes and the memory contain.

use std::path::Path;
use std::time::UNIX_EPOCH;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_AARCH64, EM_X86_64, ET_CORE,
};
use goblin::elf::program_header::{PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::{Elf, Header};
use serde::{Deserialize, Serialize};

use super::Address;
use super::core_source::{self, CoreSource, Damage};
use super::error::CoreError;
use super::linux::{NT_PRPSINFO, NT_PRSTATUS};
use super::mapped_file::MappedFile;
use super::notes::NoteReader;
use super::saved::{NOTE_OWNER, NOTE_SOURCE, Source};
use crate::columns::is_column_file;

/// Size of `Elf64_Ehdr`.
const HEADER_SIZE: u64 = 64;
/// Size of `Elf64_Phdr`.
const PROGRAM_HEADER_SIZE: u64 = 56;
/// `e_phnum` of a file with too many program headers for that field.
const PN_XNUM: u16 = 0xffff;
/// Offset of `sh_info` in `Elf64_Shdr`: of section 0 it is the true number of program headers when `e_phnum`
/// is `PN_XNUM` (System V gABI, "Extended numbering").
const SH_INFO_OFFSET: u64 = 44;

/// The processor a core was taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// AMD64 / Intel 64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Machine {
    /// The machine of an ELF file's `e_machine`; `None` for those whose registers and notes are not known here.
    pub(crate) fn of_elf(e_machine: u16) -> Option<Machine> {
        match e_machine {
            EM_X86_64 => Some(Machine::X86_64),
            EM_AARCH64 => Some(Machine::Aarch64),
            _ => None,
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Machine::X86_64 => "x86-64",
            Machine::Aarch64 => "AArch64",
        })
    }
}

/// Owner and type of the note by which cores that this program has taken are known. It has no content. (Types 1 to 3 of
/// this owner are those of saved heaps.)
pub(crate) const CAPTURE_NOTE: (&str, u32) = ("EXUVIA", 4);

/// Who wrote the core file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreMaker {
    /// The kernel, when the process died by a signal.
    Kernel,
    /// GDB (`gcore`), from a process that went on living.
    Gcore,
    /// This program (`exuvia capture`), from a process that went on living.
    Capture,
    /// It cannot be told.
    Unknown,
}

/// One `PT_LOAD` of a core: a range of the process' memory, all, some or none of whose bytes were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub vaddr: Address,
    /// Bytes mapped in the process.
    pub memsz: u64,
    /// Bytes written to the core, from the start of the segment; the rest was left out.
    pub filesz: u64,
    /// Where those bytes begin in the core file.
    pub offset: u64,
    /// `p_flags`: `PF_X` 1, `PF_W` 2, `PF_R` 4.
    pub flags: u32,
}

impl Segment {
    /// First address after the segment, clamped to the end of the address space.
    pub fn end(&self) -> Address {
        self.vaddr.saturating_add(self.memsz)
    }

    /// Whether the process could write here.
    pub fn is_writable(&self) -> bool {
        self.flags & PF_W != 0
    }

    /// Whether the process could execute here.
    pub fn is_executable(&self) -> bool {
        self.flags & PF_X != 0
    }
}

/// A core file that ends before its own headers say it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// Bytes the headers promise.
    pub expected: u64,
    /// Bytes the file has.
    pub actual: u64,
}

/// An opened core file: its bytes and its segment table.
#[derive(Debug)]
pub struct CoreFile {
    input: CoreSource,
    machine: Machine,
    segments: Vec<Segment>,
    notes: Vec<NoteRange>,
    truncation: Option<Truncation>,
    maker: CoreMaker,
    source: Option<Source>,
}

/// Where a `PT_NOTE` lies in a file.
#[derive(Clone, Copy, Debug)]
struct NoteRange {
    offset: u64,
    size: u64,
    align: u64,
}

impl CoreFile {
    /// Maps a core file and reads its headers.
    ///
    /// # Errors
    /// Any [`CoreError`]. A file cut off after its headers is not an error: see [`CoreFile::truncation`] and
    /// [`CoreFile::damage`].
    pub(super) fn open(path: &Path) -> Result<CoreFile, CoreError> {
        let input = core_source::open(path)?;
        let damage = input.damage.clone();
        CoreFile::read(input).map_err(|error| match damage {
            Some(Damage { decoded, reason }) if error.is_lack_of_bytes(decoded) => {
                CoreError::Decompress { path: path.to_owned(), written: decoded, reason }
            }
            _ => error,
        })
    }

    fn read(input: CoreSource) -> Result<CoreFile, CoreError> {
        let file = &input.file;
        let (headers, machine) = core_headers(file)?;
        let truncation = truncation(&headers, file.bytes().len() as u64);
        let segments: Vec<Segment> = headers.loads().map(segment).collect();
        if segments.is_empty() {
            return Err(no_segments(file.path(), truncation));
        }
        let notes: Vec<NoteRange> = headers.notes().map(note_range).collect();
        let maker = maker(&headers, &notes, file.bytes());
        let mut core = CoreFile { input, machine, segments, notes, truncation, maker, source: None };
        core.source = core.own_note(NOTE_SOURCE).and_then(Source::parse);
        Ok(core)
    }

    /// The path the core was opened by.
    pub fn path(&self) -> &Path {
        self.input.file.path()
    }

    /// Size in bytes (of a compressed core: after decompression; of a saved heap: the size of the core it was made from).
    pub fn size(&self) -> u64 {
        self.source.as_ref().map_or(self.bytes().len() as u64, |source| source.size)
    }

    /// When the core was last written, in seconds since 1970 (UTC), by its file; a saved heap knows it of the core it was
    /// made from. `None` if that cannot be told.
    pub fn modified(&self) -> Option<u64> {
        if let Some(source) = &self.source {
            return source.modified;
        }
        self.input.modified?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
    }

    /// What a saved heap says of the core it was made from; `None` for other cores.
    pub fn saved_from(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The content of the first note of ours of that type.
    pub(super) fn own_note(&self, kind: u32) -> Option<&[u8]> {
        self.note_segments().find_map(|segment| {
            let mut notes = NoteReader::new(segment.bytes, segment.align);
            let found = notes.find(|note| note.name == NOTE_OWNER.as_bytes() && note.kind == kind)?;
            Some(found.content)
        })
    }

    /// The `PT_LOAD` segments, in file order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How much of the file is missing at its end, if anything is.
    pub fn truncation(&self) -> Option<Truncation> {
        self.truncation.or_else(|| self.source.as_ref()?.truncation)
    }

    /// Whether the file itself ends where its headers say, whatever it was made from.
    pub(super) fn is_whole(&self) -> bool {
        self.truncation.is_none()
    }

    /// Why a compressed core, or one from a pipe, could not be had to its end. Unlike [`CoreFile::truncation`] this also
    /// tells of an end that is there and whose checksum is wrong.
    pub fn damage(&self) -> Option<&Damage> {
        self.input.damage.as_ref().or_else(|| self.source.as_ref()?.damage.as_ref())
    }

    /// Whether the core can be opened by its path once more: one from a pipe cannot.
    pub fn is_repeatable(&self) -> bool {
        self.input.repeatable
    }

    /// Who wrote the core.
    pub fn maker(&self) -> CoreMaker {
        self.source.as_ref().map_or(self.maker, |source| source.maker)
    }

    /// The processor.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The whole file.
    pub(super) fn bytes(&self) -> &[u8] {
        self.input.file.bytes()
    }

    /// The bytes of each `PT_NOTE` with its alignment and whether all of it is there.
    pub(super) fn note_segments(&self) -> impl Iterator<Item = NoteSegment<'_>> {
        self.notes.iter().map(|range| note_segment(self.bytes(), *range))
    }
}

/// The bytes of one `PT_NOTE`.
pub(super) struct NoteSegment<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) align: u64,
    pub(super) complete: bool,
}

fn note_segment(file: &[u8], range: NoteRange) -> NoteSegment<'_> {
    let bytes = clipped(file, range.offset, range.size);
    NoteSegment { bytes, align: range.align, complete: bytes.len() as u64 == range.size }
}

/// The part of `offset..offset + size` that `bytes` has.
pub(super) fn clipped(bytes: &[u8], offset: u64, size: u64) -> &[u8] {
    let length = bytes.len() as u64;
    let start = offset.min(length);
    let end = offset.saturating_add(size).min(length);
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// Why bytes have no usable ELF headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    NotElf,
    Not64Bit,
    NotLittleEndian,
    TooShort { needs: u64 },
}

/// ELF header and program headers of a 64-bit little-endian file, or of the first pages of one.
#[derive(Debug)]
pub(super) struct ElfHeaders {
    pub(super) header: Header,
    /// As many as the bytes hold.
    pub(super) program_headers: Vec<ProgramHeader>,
    /// Bytes needed for all that the header declares.
    table_end: u64,
}

impl ElfHeaders {
    pub(super) fn parse(bytes: &[u8]) -> Result<ElfHeaders, HeaderError> {
        if bytes.get(..ELFMAG.len()) != Some(&ELFMAG[..]) {
            return Err(HeaderError::NotElf);
        }
        match bytes.get(EI_CLASS) {
            Some(&ELFCLASS64) => {}
            Some(_) => return Err(HeaderError::Not64Bit),
            None => return Err(HeaderError::TooShort { needs: HEADER_SIZE }),
        }
        if bytes.get(EI_DATA).is_some_and(|&data| data != ELFDATA2LSB) {
            return Err(HeaderError::NotLittleEndian);
        }
        let header = Elf::parse_header(bytes).map_err(|_| HeaderError::TooShort { needs: HEADER_SIZE })?;
        let declared = program_header_count(bytes, &header);
        Ok(ElfHeaders {
            program_headers: program_headers(bytes, &header, declared),
            table_end: header.e_phoff.saturating_add(declared.saturating_mul(PROGRAM_HEADER_SIZE)),
            header,
        })
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.program_headers.iter().filter(|header| header.p_type == PT_LOAD)
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.program_headers.iter().filter(|header| header.p_type == PT_NOTE)
    }

    /// Whether the bytes held every program header that the ELF header declares.
    pub(super) fn is_complete(&self, available: usize) -> bool {
        self.table_end <= available as u64
    }
}

/// Number of program headers, through section 0 when there are too many for `e_phnum`. goblin 0.10 takes
/// `e_phnum` literally and would silently drop the rest.
fn program_header_count(bytes: &[u8], header: &Header) -> u64 {
    if header.e_phnum != PN_XNUM {
        return u64::from(header.e_phnum);
    }
    let sh_info = clipped(bytes, header.e_shoff.saturating_add(SH_INFO_OFFSET), 4);
    match sh_info.first_chunk::<4>() {
        Some(count) if header.e_shoff != 0 => u64::from(u32::from_le_bytes(*count)),
        _ => u64::from(PN_XNUM),
    }
}

fn program_headers(bytes: &[u8], header: &Header, declared: u64) -> Vec<ProgramHeader> {
    let table = clipped(bytes, header.e_phoff, declared.saturating_mul(PROGRAM_HEADER_SIZE));
    let count = table.len() / PROGRAM_HEADER_SIZE as usize;
    ProgramHeader::parse(table, 0, count, Ctx::new(Container::Big, Endian::Little)).unwrap_or_default()
}

/// Headers of a core of a supported machine, or the reason why it is not one.
fn core_headers(file: &MappedFile) -> Result<(ElfHeaders, Machine), CoreError> {
    let path = file.path().to_owned();
    let actual = file.bytes().len() as u64;
    if actual == 0 {
        return Err(CoreError::Empty { path });
    }
    let headers = match ElfHeaders::parse(file.bytes()) {
        Ok(headers) => headers,
        Err(HeaderError::NotElf) if is_column_file(file.bytes()) => return Err(CoreError::Index { path }),
        Err(HeaderError::NotElf) => return Err(CoreError::NotElf { path }),
        Err(HeaderError::Not64Bit) => return Err(CoreError::Not64Bit { path }),
        Err(HeaderError::NotLittleEndian) => return Err(CoreError::NotLittleEndian { path }),
        Err(HeaderError::TooShort { needs }) => {
            return Err(CoreError::HeadersCutOff { path, expected: needs, actual });
        }
    };
    let (kind, machine) = (headers.header.e_type, headers.header.e_machine);
    match Machine::of_elf(machine) {
        _ if kind != ET_CORE => Err(CoreError::NotCore { path, kind }),
        Some(machine) => Ok((headers, machine)),
        None => Err(CoreError::UnsupportedMachine { path, machine }),
    }
}

fn no_segments(path: &Path, truncation: Option<Truncation>) -> CoreError {
    let path = path.to_owned();
    match truncation {
        Some(Truncation { expected, actual }) => CoreError::HeadersCutOff { path, expected, actual },
        None => CoreError::NoSegments { path },
    }
}

fn truncation(headers: &ElfHeaders, actual: u64) -> Option<Truncation> {
    let with_bytes = headers.program_headers.iter().filter(|header| header.p_filesz > 0);
    let last = with_bytes.map(|header| header.p_offset.saturating_add(header.p_filesz)).max().unwrap_or(0);
    let expected = last.max(headers.table_end);
    (expected > actual).then_some(Truncation { expected, actual })
}

fn segment(header: &ProgramHeader) -> Segment {
    Segment {
        vaddr: header.p_vaddr,
        // A segment cannot hold more bytes than it maps; where it claims to, the bytes are believed.
        memsz: header.p_memsz.max(header.p_filesz),
        filesz: header.p_filesz,
        offset: header.p_offset,
        flags: header.p_flags,
    }
}

fn note_range(header: &ProgramHeader) -> NoteRange {
    NoteRange { offset: header.p_offset, size: header.p_filesz, align: header.p_align }
}

/// Tells the writers apart: GDB adds a target description note of its own since version 12, and before that
/// put `NT_PRPSINFO` first and its notes behind the memory; the kernel begins with the dying thread's
/// `NT_PRSTATUS` (Linux, fs/binfmt_elf.c, `write_note_info`) and puts the notes before the memory.
fn maker(headers: &ElfHeaders, ranges: &[NoteRange], file: &[u8]) -> CoreMaker {
    let mut first = None;
    for range in ranges {
        let segment = note_segment(file, *range);
        for note in NoteReader::new(segment.bytes, segment.align) {
            if note.name == b"GDB" {
                return CoreMaker::Gcore;
            }
            if (note.name, note.kind) == (CAPTURE_NOTE.0.as_bytes(), CAPTURE_NOTE.1) {
                return CoreMaker::Capture;
            }
            first.get_or_insert(note.kind);
        }
    }
    let memory = headers.loads().filter(|load| load.p_filesz > 0).map(|load| load.p_offset).min();
    let notes_first = ranges.first().zip(memory).is_some_and(|(range, memory)| range.offset <= memory);
    match first {
        Some(NT_PRSTATUS) if notes_first => CoreMaker::Kernel,
        Some(NT_PRPSINFO) if !notes_first => CoreMaker::Gcore,
        _ => CoreMaker::Unknown,
    }
}
