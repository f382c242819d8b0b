//! Writes ELF core files as the kernel and GDB do, from a description.
//!
//! ```
//! # #[cfg(feature = "testkit")] {
//! use exuvia::testkit::core_builder::{CoreBuilder, READ, WRITE};
//! let core = CoreBuilder::new().segment(0x1000, READ | WRITE, b"heap").build();
//! assert_eq!(&core[..4], b"\x7fELF");
//! # }
//! ```

use super::{note, put};

/// `PF_X`.
pub const EXECUTE: u32 = 1;
/// `PF_W`.
pub const WRITE: u32 = 2;
/// `PF_R`.
pub const READ: u32 = 4;

/// Where segment bytes may begin in the file.
const ALIGNMENT: usize = 16;
/// Program headers from this number on are counted in section 0.
const TOO_MANY: usize = 0xffff;

/// Describes a core file.
#[derive(Clone, Debug)]
pub struct CoreBuilder {
    class: u8,
    byte_order: u8,
    kind: u16,
    machine: u16,
    segments: Vec<Segment>,
    notes: Vec<u8>,
    files: Vec<(u64, u64, u64, String)>,
    offset_unit: u64,
    notes_last: bool,
}

#[derive(Clone, Debug)]
struct Segment {
    address: u64,
    flags: u32,
    size: u64,
    bytes: Vec<u8>,
}

impl Default for CoreBuilder {
    fn default() -> CoreBuilder {
        CoreBuilder::new()
    }
}

impl CoreBuilder {
    /// A 64-bit little-endian x86-64 core of nothing.
    pub fn new() -> CoreBuilder {
        CoreBuilder {
            class: 2,
            byte_order: 1,
            kind: 4,
            machine: 62,
            segments: Vec::new(),
            notes: Vec::new(),
            files: Vec::new(),
            offset_unit: 4096,
            notes_last: false,
        }
    }

    /// Overrides `EI_CLASS`, `EI_DATA`, `e_type` and `e_machine`.
    pub fn identity(mut self, class: u8, byte_order: u8, kind: u16, machine: u16) -> CoreBuilder {
        (self.class, self.byte_order, self.kind, self.machine) = (class, byte_order, kind, machine);
        self
    }

    /// Memory that is in the core as a whole.
    pub fn segment(self, address: u64, flags: u32, bytes: &[u8]) -> CoreBuilder {
        self.partial_segment(address, flags, bytes.len() as u64, bytes)
    }

    /// Memory of which only the first bytes are in the core.
    pub fn partial_segment(mut self, address: u64, flags: u32, size: u64, bytes: &[u8]) -> CoreBuilder {
        self.segments.push(Segment { address, flags, size, bytes: bytes.to_vec() });
        self
    }

    /// A note of any owner and kind.
    pub fn note(mut self, owner: &str, kind: u32, content: &[u8]) -> CoreBuilder {
        self.notes.extend(note(owner, kind, content));
        self
    }

    /// `NT_PRSTATUS`. Registers are given by their position in `user_regs_struct`: 4 is rbp, 16 rip, 19 rsp
    /// and 21 fs_base.
    pub fn thread(self, tid: i32, signal: i16, registers: &[(usize, u64)]) -> CoreBuilder {
        let mut status = vec![0; 336];
        put(&mut status, 12, &signal.to_le_bytes());
        put(&mut status, 32, &tid.to_le_bytes());
        for &(index, value) in registers {
            put(&mut status, 112 + 8 * index, &value.to_le_bytes());
        }
        self.note("CORE", 1, &status)
    }

    /// `NT_PRSTATUS` of an AArch64 process, then `NT_ARM_TLS` with the thread pointer if there is one. Registers are
    /// given by their position in `user_pt_regs`: 0 to 30 are x0 to x30, 31 sp, 32 pc and 33 pstate.
    pub fn aarch64_thread(
        self,
        tid: i32,
        registers: &[(usize, u64)],
        thread_pointer: Option<u64>,
    ) -> CoreBuilder {
        let mut status = vec![0; 392];
        put(&mut status, 32, &tid.to_le_bytes());
        for &(index, value) in registers {
            put(&mut status, 112 + 8 * index, &value.to_le_bytes());
        }
        let core = self.note("CORE", 1, &status);
        match thread_pointer {
            Some(pointer) => core.note("LINUX", 0x401, &pointer.to_le_bytes()),
            None => core,
        }
    }

    /// `NT_PRPSINFO`.
    pub fn process(self, pid: i32, ppid: i32, state: u8, name: &str, command_line: &str) -> CoreBuilder {
        let mut process = vec![0; 136];
        put(&mut process, 1, &[state]);
        put(&mut process, 24, &pid.to_le_bytes());
        put(&mut process, 28, &ppid.to_le_bytes());
        put(&mut process, 40, name.as_bytes());
        put(&mut process, 56, command_line.as_bytes());
        self.note("CORE", 3, &process)
    }

    /// `NT_SIGINFO`; `payload` is what follows the first 16 bytes.
    pub fn signal(self, number: i32, code: i32, payload: &[u8]) -> CoreBuilder {
        let mut signal = vec![0; 128];
        put(&mut signal, 0, &number.to_le_bytes());
        put(&mut signal, 8, &code.to_le_bytes());
        put(&mut signal, 16, payload);
        self.note("CORE", 0x5349_4749, &signal)
    }

    /// `NT_AUXV`, with its terminator.
    pub fn auxv(self, entries: &[(u64, u64)]) -> CoreBuilder {
        let all = entries.iter().chain([&(0, 0)]);
        let content: Vec<u8> = all.flat_map(|(k, v)| [k.to_le_bytes(), v.to_le_bytes()]).flatten().collect();
        self.note("CORE", 6, &content)
    }

    /// An entry of `NT_FILE`; the offset is in bytes.
    pub fn file(mut self, start: u64, end: u64, offset: u64, path: &str) -> CoreBuilder {
        self.files.push((start, end, offset, path.to_owned()));
        self
    }

    /// Writes as GDB does: notes behind the memory, file offsets in bytes, a note of its own.
    pub fn like_gcore(mut self) -> CoreBuilder {
        self.notes_last = true;
        self.offset_unit = 1;
        self.note("GDB", 0xff00_0000, b"<target/>")
    }

    /// The bytes of the core file.
    pub fn build(&self) -> Vec<u8> {
        let notes = self.all_notes();
        let count = self.segments.len() + usize::from(!notes.is_empty());
        let mut file = vec![0; 64 + 56 * count];
        self.header(&mut file, count);
        if count >= TOO_MANY {
            let section = file.len();
            put(&mut file, 40, &(section as u64).to_le_bytes());
            put(&mut file, section, &[0; 64]);
            put(&mut file, section + 44, &(count as u32).to_le_bytes());
        }
        let mut slot = 64;
        if !self.notes_last && !notes.is_empty() {
            append(&mut file, &mut slot, (4, 4, 0, 0), &notes);
        }
        for segment in &self.segments {
            let header = (1, segment.flags, segment.address, segment.size);
            append(&mut file, &mut slot, header, &segment.bytes);
        }
        if self.notes_last && !notes.is_empty() {
            append(&mut file, &mut slot, (4, 4, 0, 0), &notes);
        }
        file
    }

    fn header(&self, file: &mut Vec<u8>, count: usize) {
        put(file, 0, &[0x7f, b'E', b'L', b'F', self.class, self.byte_order, 1]);
        put(file, 16, &self.kind.to_le_bytes());
        put(file, 18, &self.machine.to_le_bytes());
        put(file, 20, &1u32.to_le_bytes());
        put(file, 32, &64u64.to_le_bytes());
        put(file, 52, &64u16.to_le_bytes());
        put(file, 54, &56u16.to_le_bytes());
        put(file, 56, &(count.min(TOO_MANY) as u16).to_le_bytes());
        put(file, 58, &64u16.to_le_bytes());
        put(file, 60, &u16::from(count >= TOO_MANY).to_le_bytes());
    }

    fn all_notes(&self) -> Vec<u8> {
        let mut notes = self.notes.clone();
        if self.files.is_empty() {
            return notes;
        }
        let mut content = Vec::new();
        content.extend((self.files.len() as u64).to_le_bytes());
        content.extend(self.offset_unit.to_le_bytes());
        for (start, end, offset, _) in &self.files {
            for number in [*start, *end, offset / self.offset_unit] {
                content.extend(number.to_le_bytes());
            }
        }
        for (.., path) in &self.files {
            content.extend(path.as_bytes());
            content.push(0);
        }
        notes.extend(note("CORE", 0x4649_4c45, &content));
        notes
    }
}

/// Appends contents and fills in their program header: type, flags, address, size in memory.
fn append(file: &mut Vec<u8>, slot: &mut usize, header: (u32, u32, u64, u64), bytes: &[u8]) {
    let (kind, flags, address, size) = header;
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    let offset = file.len() as u64;
    put(file, *slot, &kind.to_le_bytes());
    put(file, *slot + 4, &flags.to_le_bytes());
    put(file, *slot + 8, &offset.to_le_bytes());
    put(file, *slot + 16, &address.to_le_bytes());
    put(file, *slot + 32, &(bytes.len() as u64).to_le_bytes());
    put(file, *slot + 40, &size.to_le_bytes());
    file.extend(bytes);
    *slot += 56;
}
