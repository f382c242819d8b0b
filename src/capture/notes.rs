//! The notes of a core as the kernel writes them, made from what a running process shows. Knows the layouts of
//! include/linux/elfcore.h and fs/binfmt_elf.c; refuses to know how the facts were read.

use nix::libc::user_regs_struct;

use super::mappings::Mapping;
use super::process::{Stat, Status};
use crate::corefile::linux::{
    NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, PRPSINFO_ARGUMENTS, PRPSINFO_NAME, PRSTATUS_REGISTERS,
    PRSTATUS_TID, auxv, page_size,
};
use crate::corefile::{CAPTURE_NOTE, Machine, NewNote};

/// Bytes of a process' name and of its arguments in `NT_PRPSINFO`, the final zero included.
const NAME: usize = PRPSINFO_NAME.end - PRPSINFO_NAME.start;
const ARGUMENTS: usize = PRPSINFO_ARGUMENTS.end - PRPSINFO_ARGUMENTS.start;

/// What the notes are made of.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) pid: i32,
    pub(super) stat: &'a Stat,
    pub(super) status: &'a Status,
    /// Arguments with a zero after each.
    pub(super) arguments: &'a [u8],
    /// Thread ids, the first thread of the process first, with registers as [`register_words`] has them.
    pub(super) threads: &'a [(i32, Vec<u64>)],
    /// `/proc/PID/auxv`.
    pub(super) auxv: &'a [u8],
    pub(super) mappings: &'a [Mapping],
    /// What `mappings` have before the paths that the process sees, because its root directory is another one.
    pub(super) root: &'a [u8],
}

/// All notes, in the kernel's order, and one that tells who wrote the core.
pub(super) fn notes(facts: &Facts<'_>) -> Vec<NewNote> {
    let core = |kind, content| NewNote { name: "CORE".to_owned(), kind, content };
    let (name, kind) = CAPTURE_NOTE;
    let mut threads =
        facts.threads.iter().map(|(tid, registers)| core(NT_PRSTATUS, prstatus(*tid, facts.stat, registers)));
    let mut notes: Vec<NewNote> = threads.next().into_iter().collect();
    notes.push(core(NT_PRPSINFO, prpsinfo(facts)));
    notes.push(core(NT_AUXV, facts.auxv.to_vec()));
    notes.push(core(NT_FILE, files(facts.mappings, facts.root, page_size(&auxv(facts.auxv)))));
    notes.push(NewNote { name: name.to_owned(), kind, content: Vec::new() });
    notes.extend(threads);
    notes
}

/// The processor that this program runs on, and so any process that it can stop; `None` if cores of it are not supported.
pub(super) fn machine() -> Option<Machine> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Machine::X86_64),
        "aarch64" => Some(Machine::Aarch64),
        _ => None,
    }
}

/// Registers in the order of `struct user_regs_struct` (Linux, arch/x86/include/asm/user_64.h).
#[cfg(target_arch = "x86_64")]
pub(super) fn register_words(registers: &user_regs_struct) -> Vec<u64> {
    let r = registers;
    vec![
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi,
        r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ]
}

/// Registers in the order of `struct user_pt_regs` (Linux, arch/arm64/include/uapi/asm/ptrace.h).
#[cfg(target_arch = "aarch64")]
pub(super) fn register_words(registers: &user_regs_struct) -> Vec<u64> {
    let r = registers;
    r.regs.iter().copied().chain([r.sp, r.pc, r.pstate]).collect()
}

/// `struct elf_prstatus`. No signal is being delivered to the thread, and its times are not told.
fn prstatus(tid: i32, stat: &Stat, registers: &[u64]) -> Vec<u8> {
    let mut content = vec![0; PRSTATUS_TID];
    for number in [tid, stat.parent, stat.group, stat.session] {
        content.extend(number.to_le_bytes());
    }
    content.resize(PRSTATUS_REGISTERS, 0);
    content.extend(registers.iter().flat_map(|word| word.to_le_bytes()));
    // `pr_fpvalid`, and what aligns the struct.
    content.resize(content.len() + 8, 0);
    content
}

/// `struct elf_prpsinfo`.
fn prpsinfo(facts: &Facts<'_>) -> Vec<u8> {
    let stat = facts.stat;
    let state = b"RSDTZW".iter().position(|&letter| letter == stat.state).unwrap_or(0);
    let mut content = vec![state as u8, stat.state, u8::from(stat.state == b'Z'), stat.nice as i8 as u8];
    content.extend([0; 4]);
    content.extend(stat.flags.to_le_bytes());
    content.extend(facts.status.user.to_le_bytes());
    content.extend(facts.status.group.to_le_bytes());
    for number in [facts.pid, stat.parent, stat.group, stat.session] {
        content.extend(number.to_le_bytes());
    }
    content.extend(fixed::<NAME>(&stat.name));
    // The kernel puts a blank in the place of each zero.
    let arguments: Vec<u8> =
        facts.arguments.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
    content.extend(fixed::<ARGUMENTS>(&arguments));
    content
}

/// A C string field of a fixed size.
fn fixed<const SIZE: usize>(text: &[u8]) -> [u8; SIZE] {
    let mut field = [0; SIZE];
    for (to, from) in field.iter_mut().zip(text.iter().take(SIZE - 1)) {
        *to = *from;
    }
    field
}

/// `NT_FILE`: number of mappings, page size; start, end and page of the file of each; then their paths.
fn files(mappings: &[Mapping], root: &[u8], page: u64) -> Vec<u8> {
    let with_file: Vec<&Mapping> = mappings.iter().filter(|mapping| mapping.has_file()).collect();
    let mut content = Vec::new();
    content.extend((with_file.len() as u64).to_le_bytes());
    content.extend(page.to_le_bytes());
    for mapping in &with_file {
        let words = [mapping.start, mapping.end, mapping.offset / page.max(1)];
        content.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    for mapping in &with_file {
        content.extend(seen_below(&mapping.path, root));
        content.push(0);
    }
    content
}

/// A path as a process sees it whose root directory has the path `root` for us. What lies outside keeps its path.
pub(super) fn seen_below<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root).filter(|rest| rest.starts_with(b"/")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::mappings::parse_maps;
    use super::*;
    use crate::corefile::linux::AT_PAGESZ;
    use crate::corefile::{CoreLayout, CoreMaker, Inputs, NewSegment, SearchOptions};
    use std::io::Write;

    fn auxv_of(pairs: &[(u64, u64)]) -> Vec<u8> {
        pairs.iter().flat_map(|(kind, value)| [kind.to_le_bytes(), value.to_le_bytes()].concat()).collect()
    }

    #[test]
    fn notes_are_read_as_the_kernels_are() {
        let text = b"1000-3000 r-xp 00002000 fe:00 5    /jail/bin/a b (deleted)\n\
                     3000-4000 rw-p 00000000 00:00 0    [heap]\n5000-6000 r--p 00000000 fe:00 6 /x\\012y\n";
        let mappings = parse_maps(text).unwrap();
        let stat = Stat {
            name: b"a-very-long-name-of-a-process".to_vec(),
            state: b'S',
            parent: 7,
            ..Stat::default()
        };
        let facts = Facts {
            pid: 12,
            stat: &stat,
            status: &Status { user: 1000, ..Status::default() },
            arguments: b"a\0-c\0x y\0",
            threads: &[],
            auxv: &auxv_of(&[(3, 0x1040), (AT_PAGESZ, 4096), (0, 0)]),
            mappings: &mappings,
            root: b"/jail",
        };
        let mut notes = notes(&facts);
        let words: Vec<u64> = (0..34).collect();
        let thread = |tid| NewNote {
            name: "CORE".to_owned(),
            kind: NT_PRSTATUS,
            content: prstatus(tid, &stat, &words),
        };
        notes.insert(0, thread(12));
        notes.push(thread(13));

        let segment = NewSegment { vaddr: 0x3000, memsz: 0x1000, filesz: 0, flags: 6, apart: false };
        let layout = CoreLayout::new(Machine::Aarch64, &notes, &[segment]);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(layout.header_bytes()).unwrap();
        let inputs =
            Inputs::open(file.path(), &SearchOptions { core_only: true, ..Default::default() }).unwrap();
        assert_eq!(inputs.core().maker(), CoreMaker::Capture);
        let read = inputs.notes();
        assert!(read.complete);
        let process = read.process.as_ref().unwrap();
        assert_eq!((process.pid, process.ppid, process.state), (12, 7, 'S'));
        assert_eq!((process.name.as_str(), process.command_line.as_str()), ("a-very-long-nam", "a -c x y"));
        assert_eq!(read.threads.iter().map(|thread| thread.tid).collect::<Vec<_>>(), [12, 13]);
        assert_eq!(read.threads[0].registers.get("x30"), Some(30));
        assert_eq!((read.signal, read.auxv_value(3)), (None, Some(0x1040)));
        let files: Vec<_> =
            read.files.iter().map(|f| (f.start, f.end, f.file_offset, f.path.as_str())).collect();
        assert_eq!(files, [(0x1000, 0x3000, 0x2000, "/bin/a b (deleted)"), (0x5000, 0x6000, 0, "/x\ny")]);
    }

    #[test]
    fn structs_have_the_sizes_of_the_kernels() {
        let stat = Stat::default();
        assert_eq!(prstatus(1, &stat, &[0; 27]).len(), 336);
        assert_eq!(prstatus(1, &stat, &[0; 34]).len(), 392);
        let facts = Facts {
            pid: 1,
            stat: &stat,
            status: &Status::default(),
            arguments: &[b'a'; 500],
            threads: &[],
            auxv: &[],
            mappings: &[],
            root: b"/",
        };
        let content = prpsinfo(&facts);
        assert_eq!((content.len(), content.last()), (136, Some(&0)));
    }

    #[test]
    fn paths_lose_the_root_they_are_below() {
        assert_eq!(seen_below(b"/jail/bin/a", b"/jail"), b"/bin/a");
        assert_eq!(seen_below(b"/jailed/a", b"/jail"), b"/jailed/a");
        assert_eq!(seen_below(b"/bin/a", b"/"), b"/bin/a");
        assert_eq!(seen_below(b"/other", b"/jail"), b"/other");
    }
}
