//! The notes of a core: process, threads, signal, auxiliary vector, mapped files.
//!
//! Knows the Linux note layouts for 64-bit processes; refuses to know memory. A note that is cut off or
//! malformed is dropped and leaves [`Notes::complete`] false; nothing here fails.

use super::Address;
use super::elf::{CoreFile, Machine, clipped};
use super::linux::{
    FILE_ENTRY, FILE_TABLE, NT_ARM_TLS, NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
    PRPSINFO_ARGUMENTS, PRPSINFO_NAME, PRSTATUS_REGISTERS, PRSTATUS_TID, auxv, auxv_value,
};
use super::registers::Registers;
use serde::{Deserialize, Serialize};

/// Size of a note's header: name size, content size, type.
const NOTE_HEADER: usize = 12;

/// What the notes of a core say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The process, if its note is there.
    pub process: Option<ProcessNote>,
    /// Threads, the one that received the fatal signal first.
    pub threads: Vec<ThreadNote>,
    /// The signal the process died of; a core taken by `gcore` may have none.
    pub signal: Option<SignalNote>,
    /// Auxiliary vector: (`AT_*` type, value), without the final `AT_NULL`.
    pub auxv: Vec<(u64, u64)>,
    /// Files mapped into the process, in address order as written.
    pub files: Vec<FileMapping>,
    /// Whether every note could be read to its end.
    pub complete: bool,
}

/// `NT_PRPSINFO`: the process as `ps` would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessNote {
    /// Process id in the writer's pid namespace.
    pub pid: i32,
    /// Parent's process id.
    pub ppid: i32,
    /// Command name, at most 15 bytes.
    pub name: String,
    /// Arguments joined by blanks, at most 79 bytes (the kernel cuts the rest).
    pub command_line: String,
    /// State letter, such as `R` or `S`.
    pub state: char,
}

/// `NT_PRSTATUS`: one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadNote {
    /// Thread id.
    pub tid: i32,
    /// Signal being delivered to this thread, 0 for none.
    pub signal: i32,
    /// General registers.
    pub registers: Registers,
}

/// `NT_SIGINFO`: why the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalNote {
    /// Signal number.
    pub number: i32,
    /// `si_code`: positive when the kernel raised it, zero or negative when a process sent it.
    pub code: i32,
    /// The address at fault, for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP raised by the kernel.
    pub fault_address: Option<Address>,
    /// The process that sent the signal, if one did.
    pub sender_pid: Option<i32>,
}

/// One entry of `NT_FILE`: a range of memory that maps a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMapping {
    /// First address.
    pub start: Address,
    /// First address after the mapping.
    pub end: Address,
    /// Byte offset in the file of the first address.
    pub file_offset: u64,
    /// Path as the process saw it, lossily decoded; the kernel may append ` (deleted)`.
    pub path: String,
}

impl Notes {
    /// Reads all notes of a core.
    pub(super) fn read(core: &CoreFile) -> Notes {
        let complete = core.saved_from().is_none_or(|source| source.notes_complete);
        let mut notes = Notes { complete, ..Notes::default() };
        for segment in core.note_segments() {
            notes.complete &= segment.complete;
            let mut reader = NoteReader::new(segment.bytes, segment.align);
            for note in &mut reader {
                let taken = match note.name {
                    b"CORE" => notes.add(core.machine(), note),
                    b"LINUX" => notes.add_registers(core.machine(), note),
                    _ => Some(()),
                };
                notes.complete &= taken.is_some();
            }
            notes.complete &= reader.ended_cleanly();
        }
        notes
    }

    /// The value of an auxiliary vector entry, such as `AT_PHDR` (3) or `AT_ENTRY` (9).
    pub fn auxv_value(&self, kind: u64) -> Option<u64> {
        auxv_value(&self.auxv, kind)
    }

    /// Takes one note in; `None` if it is malformed.
    fn add(&mut self, machine: Machine, note: Note<'_>) -> Option<()> {
        match note.kind {
            NT_PRSTATUS => self.threads.push(thread(machine, note.content)?),
            NT_PRPSINFO => self.process = Some(process(note.content)?),
            // GDB writes one for every thread; the first belongs to the thread that matters.
            NT_SIGINFO if self.signal.is_none() => self.signal = signal(note.content)?,
            NT_AUXV => self.auxv = auxv(note.content),
            NT_FILE => {
                let (files, complete) = files(note.content)?;
                self.files.extend(files);
                return complete.then_some(());
            }
            _ => {}
        }
        Some(())
    }

    /// Takes in registers that have a note of their own: they belong to the thread whose `NT_PRSTATUS` came last.
    fn add_registers(&mut self, machine: Machine, note: Note<'_>) -> Option<()> {
        match (machine, note.kind, self.threads.last_mut()) {
            (Machine::Aarch64, NT_ARM_TLS, Some(thread)) => thread.registers.add_arm_tls(note.content),
            _ => Some(()),
        }
    }
}

/// `struct elf_prstatus` of 64-bit machines, which differ in the registers only (Linux, include/linux/elfcore.h).
fn thread(machine: Machine, content: &[u8]) -> Option<ThreadNote> {
    const CURRENT_SIGNAL: usize = 12;
    Some(ThreadNote {
        tid: i32_at(content, PRSTATUS_TID)?,
        signal: i32::from(i16::from_le_bytes(array_at(content, CURRENT_SIGNAL)?)),
        registers: Registers::decode(machine, content.get(PRSTATUS_REGISTERS..)?)?,
    })
}

/// `struct elf_prpsinfo` of 64-bit machines (Linux, include/linux/elfcore.h).
fn process(content: &[u8]) -> Option<ProcessNote> {
    const STATE: usize = 1;
    const PID: usize = 24;
    const PPID: usize = 28;
    Some(ProcessNote {
        pid: i32_at(content, PID)?,
        ppid: i32_at(content, PPID)?,
        name: text(content.get(PRPSINFO_NAME)?),
        command_line: text(content.get(PRPSINFO_ARGUMENTS)?).trim_end().to_owned(),
        state: char::from(*content.get(STATE)?),
    })
}

/// `siginfo_t` of 64-bit machines (Linux, include/uapi/asm-generic/siginfo.h); `Some(None)` for "no signal".
fn signal(content: &[u8]) -> Option<Option<SignalNote>> {
    const NUMBER: usize = 0;
    const CODE: usize = 8;
    const UNION: usize = 16;
    /// SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV.
    const FAULTS: [i32; 5] = [4, 5, 7, 8, 11];
    /// SI_USER, SI_QUEUE, SI_TKILL.
    const SENT: [i32; 3] = [0, -1, -6];
    let number = i32_at(content, NUMBER)?;
    let code = i32_at(content, CODE)?;
    if number == 0 {
        return Some(None);
    }
    let faulted = code > 0 && FAULTS.contains(&number);
    Some(Some(SignalNote {
        number,
        code,
        fault_address: if faulted { Some(u64_at(content, UNION)?) } else { None },
        sender_pid: if SENT.contains(&code) { Some(i32_at(content, UNION)?) } else { None },
    }))
}

/// `NT_FILE` (Linux, fs/binfmt_elf.c, `fill_files_note`): count, unit of the offsets, count triples
/// (start, end, offset), then count paths. The unit is the page size in kernel cores and 1 in GDB's.
/// Returns what could be read and whether that was all.
fn files(content: &[u8]) -> Option<(Vec<FileMapping>, bool)> {
    let count = usize::try_from(u64_at(content, 0)?).ok()?;
    let unit = u64_at(content, 8)?;
    let paths_start = count.checked_mul(FILE_ENTRY)?.checked_add(FILE_TABLE)?;
    let table = content.get(FILE_TABLE..paths_start)?;
    let mut paths = content.get(paths_start..)?.split(|&byte| byte == 0);
    let mut mappings = Vec::with_capacity(count);
    for entry in table.chunks_exact(FILE_ENTRY) {
        let (start, end) = (u64_at(entry, 0)?, u64_at(entry, 8)?);
        let file_offset = u64_at(entry, 16)?.checked_mul(unit);
        let path = paths.next().filter(|path| !path.is_empty());
        let (Some(file_offset), Some(path)) = (file_offset, path) else { continue };
        if start < end {
            let path = String::from_utf8_lossy(path).into_owned();
            mappings.push(FileMapping { start, end, file_offset, path });
        }
    }
    let complete = mappings.len() == count;
    Some((mappings, complete))
}

/// One note, its content borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note<'a> {
    /// Owner, without the terminating zero.
    pub(super) name: &'a [u8],
    pub(super) kind: u32,
    pub(super) content: &'a [u8],
}

/// Iterates over the notes of a note segment and stops at the first that does not fit.
#[derive(Debug)]
pub(super) struct NoteReader<'a> {
    rest: &'a [u8],
    align: usize,
    clean: bool,
}

impl<'a> NoteReader<'a> {
    /// `align` is the segment's `p_align`: 8 is taken at its word, all else means 4 (as in GDB's and the
    /// kernel's cores, where it is 0, 1 or 4).
    pub(super) fn new(bytes: &'a [u8], align: u64) -> NoteReader<'a> {
        NoteReader { rest: bytes, align: if align == 8 { 8 } else { 4 }, clean: true }
    }

    /// Whether the iteration stopped because the notes were used up, not because one was malformed.
    pub(super) fn ended_cleanly(&self) -> bool {
        self.clean
    }

    fn read(&mut self) -> Option<Note<'a>> {
        let name_size = u32_at(self.rest, 0)? as usize;
        let content_size = u32_at(self.rest, 4)? as usize;
        let kind = u32_at(self.rest, 8)?;
        let name_end = NOTE_HEADER.checked_add(name_size)?;
        let name = self.rest.get(NOTE_HEADER..name_end)?;
        let content_start = name_end.checked_next_multiple_of(self.align)?;
        let content_end = content_start.checked_add(content_size)?;
        let content = self.rest.get(content_start..content_end)?;
        let next = content_end.checked_next_multiple_of(self.align)?;
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(Note { name: name.strip_suffix(b"\0").unwrap_or(name), kind, content })
    }
}

impl<'a> Iterator for NoteReader<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let note = self.read();
        if note.is_none() {
            self.clean = false;
            self.rest = &[];
        }
        note
    }
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    array_at(bytes, offset).map(i32::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

/// A fixed-size C string field.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(clipped(field, 0, end as u64)).into_owned()
}
