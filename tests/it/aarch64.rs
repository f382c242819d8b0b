//! Cores of AArch64 processes: the committed heaps as the kernel of such a machine would have written them.
//!
//! The machines agree on word size, byte order and the layout of C structs, so the heap of an x86-64 process is, byte
//! for byte, one that an AArch64 process could have had; what differs is the ELF header and the notes about threads,
//! which are rewritten here. Machine code is the one thing left that is of the wrong kind, and must not be followed.

use exuvia::corefile::MappedFile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of `struct pthread` in glibc 2.36 for AArch64: the thread pointer lies behind it.
const PTHREAD: u64 = 0x740;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// One note, padded to four bytes.
fn note(owner: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for number in [owner.len() as u32, content.len() as u32, kind] {
        note.extend(number.to_le_bytes());
    }
    for part in [owner, content] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

/// `NT_PRSTATUS` with `user_pt_regs` in the place of `user_regs_struct`, and `NT_ARM_TLS`.
fn thread_notes(status: &[u8]) -> Vec<u8> {
    let register = |index: usize| u64_at(status, 112 + 8 * index);
    let (rip, rsp, fs_base) = (register(16), register(19), register(21));
    let mut rewritten = status[..112].to_vec();
    rewritten.resize(392, 0);
    rewritten[112 + 8 * 31..][..8].copy_from_slice(&rsp.to_le_bytes());
    rewritten[112 + 8 * 32..][..8].copy_from_slice(&rip.to_le_bytes());
    let pointer = (fs_base + PTHREAD).to_le_bytes();
    [note(b"CORE\0", 1, &rewritten), note(b"LINUX\0", 0x401, &pointer)].concat()
}

fn rewritten_notes(mut notes: &[u8]) -> Vec<u8> {
    const X86_ONLY: [u32; 2] = [2, 0x202];
    let mut rewritten = Vec::new();
    while notes.len() >= 12 {
        let (owner_size, size) = (u32_at(notes, 0) as usize, u32_at(notes, 4) as usize);
        let kind = u32_at(notes, 8);
        let content_at = 12 + owner_size.next_multiple_of(4);
        let (owner, content) = (&notes[12..12 + owner_size], &notes[content_at..content_at + size]);
        if kind == 1 && owner == b"CORE\0" {
            rewritten.extend(thread_notes(content));
        } else if !X86_ONLY.contains(&kind) {
            rewritten.extend(note(owner, kind, content));
        }
        notes = &notes[content_at + size.next_multiple_of(4)..];
    }
    rewritten
}

/// The core as an AArch64 kernel would have written it.
fn as_aarch64(core: &[u8]) -> Vec<u8> {
    let mut file = core.to_vec();
    file[18..20].copy_from_slice(&183u16.to_le_bytes());
    let table = u64_at(core, 32) as usize;
    let count = usize::from(u16::from_le_bytes([core[56], core[57]]));
    for header in (0..count).map(|index| table + 56 * index).filter(|&at| u32_at(core, at) == 4) {
        let offset = u64_at(core, header + 8) as usize;
        let notes = rewritten_notes(&core[offset..offset + u64_at(core, header + 32) as usize]);
        file.resize(file.len().next_multiple_of(4), 0);
        let place = file.len() as u64;
        file[header + 8..][..8].copy_from_slice(&place.to_le_bytes());
        file[header + 32..][..8].copy_from_slice(&(notes.len() as u64).to_le_bytes());
        file.extend(notes);
    }
    file
}

fn committed(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores").join(name);
    let core = ["core", "core.zst"].map(|file| directory.join(file)).into_iter().find(|path| path.exists());
    core.expect("a committed core")
}

fn document(core: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exuvia"));
    let (name, rest) = arguments.split_first().expect("a command");
    command.arg(name).arg(core).args(rest).args(["--json", "--limit", "100000"]);
    let output = command.output().expect("exuvia runs");
    assert!(output.status.success(), "{}: {}", core.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A committed core and the same as an AArch64 core, in a directory of its own.
struct Pair {
    _dir: tempfile::TempDir,
    cores: [PathBuf; 2],
}

impl Pair {
    fn new(name: &str) -> Pair {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let core = committed(name);
        let image = MappedFile::open(&core).expect("a committed core");
        let aarch64 = dir.path().join("core");
        std::fs::write(&aarch64, as_aarch64(image.bytes())).expect("a file");
        Pair { _dir: dir, cores: [aarch64, core] }
    }

    /// The documents of the AArch64 core and of the other.
    fn ask(&self, arguments: &[&str]) -> [Value; 2] {
        [0, 1].map(|index| document(&self.cores[index], arguments))
    }
}

/// Objects of each type, by the type's address.
fn objects_by_type(types: &Value) -> BTreeMap<String, u64> {
    let rows = types["result"]["rows"].as_array().expect("rows");
    rows.iter().map(|row| (row["address"].to_string(), row["objects"].as_u64().expect("a count"))).collect()
}

fn state(document: &Value, answer: &str) -> Value {
    let answers = document["coverage"]["answers"].as_array().expect("a list");
    answers.iter().find(|found| found["answer"] == answer).expect("an answer")["state"].clone()
}

#[test]
fn the_same_heap_gives_the_same_answers_on_aarch64() {
    for name in ["3.12.1-service", "3.13.0-bare", "3.11.7-garbage"] {
        let pair = Pair::new(name);
        for arguments in [
            &["threads", "--values"][..],
            &["objects", "dict"],
            &["objects", "type"],
            &["show", "sys"],
            &["referents", "sys.modules"],
        ] {
            let [ours, theirs] = pair.ask(arguments);
            assert!(ours["result"] == theirs["result"], "{name}: {arguments:?} answers otherwise");
        }
        let [ours, _] = pair.ask(&["threads"]);
        let threads = ours["result"]["threads"].as_array().expect("threads");
        let by_pointer = threads.iter().filter(|thread| thread["tid_by"] == "thread_pointer");
        assert_eq!(by_pointer.count(), threads.len(), "{name}: threads are told by their pointers");
    }
}

#[test]
fn code_of_another_processor_is_not_followed_and_what_that_hides_is_said() {
    for name in ["3.12.1-service", "3.13.0-bare", "3.11.7-garbage"] {
        let [ours, theirs] = Pair::new(name).ask(&["types"]);
        let (found, all) = (objects_by_type(&ours), objects_by_type(&theirs));
        for (type_, count) in &found {
            assert!(all.get(type_).is_some_and(|all| count <= all), "{name}: {type_} has {count} objects");
        }
        assert_eq!(state(&ours, "stacks"), "exact", "{name}");
        assert_eq!(
            state(&ours, "objects"),
            state(&ours, "references"),
            "{name}: objects are found by references"
        );
        // Facts recorded for the release tell most references; the rest is guessed.
        if state(&ours, "objects") == "exact" {
            assert!(found == all, "{name}: not exact");
        }
        let (found, all): (u64, u64) = (found.values().sum(), all.values().sum());
        assert!(found >= all - all / 1000, "{name}: {found} objects of {all}");
    }
}
