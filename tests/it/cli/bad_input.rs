//! Bad input: one clear line each, exit status 2, and what to try.

use super::{exuvia, stderr, stdout};
use std::path::PathBuf;
use tempfile::TempDir;

/// An ELF header of a 64-bit little-endian file with `count` program headers right behind it.
fn elf_header(kind: u16, machine: u16, count: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    header.extend(kind.to_le_bytes());
    header.extend(machine.to_le_bytes());
    header.extend(1u32.to_le_bytes());
    header.extend([0; 8]);
    header.extend(64u64.to_le_bytes());
    header.extend([0; 8]);
    header.extend([0; 4]);
    for number in [64u16, 56, count, 64, 0, 0] {
        header.extend(number.to_le_bytes());
    }
    header
}

/// A core with one page of zeros and no notes.
fn core_without_python() -> Vec<u8> {
    let mut core = elf_header(4, 62, 1);
    let (load, read_write) = (1u32, 6u32);
    core.extend(load.to_le_bytes());
    core.extend(read_write.to_le_bytes());
    for number in [4096u64, 0x1000_0000, 0, 4096, 4096, 4096] {
        core.extend(number.to_le_bytes());
    }
    core.resize(8192, 0);
    core
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    says: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let case = |name, bytes, says| Case { name, bytes, says };
    let mut cut = core_without_python();
    cut.truncate(100);
    vec![
        case("text", b"no core at all\n".to_vec(), &["not an ELF file", "core file"]),
        case("empty", Vec::new(), &["is empty", "ulimit -c"]),
        case("program", elf_header(3, 62, 0), &["not a core file", "--exe"]),
        case("riscv", elf_header(4, 243, 1), &["machine 243", "x86-64", "AArch64"]),
        case("headers-only", cut, &["ends inside its ELF headers", "take the core again"]),
        case("no-python", core_without_python(), &["no CPython was found", "--exe"]),
    ]
}

#[test]
fn each_bad_core_gets_one_line_and_status_2() {
    let dir = TempDir::new().expect("a temporary directory");
    for Case { name, bytes, says } in cases() {
        let path: PathBuf = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        for command in ["overview", "types", "threads"] {
            let output = exuvia(&[&command, &path]);
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{name}: {message}");
            assert!(stdout(&output).is_empty(), "{name}");
            assert!(message.starts_with("exuvia: ") && message.lines().count() == 1, "{name}: {message}");
            for expected in says {
                assert!(message.contains(expected), "{name}: {message}");
            }
        }
    }
}

#[test]
fn a_missing_core_is_named() {
    let output = exuvia(&[&"no/such/core"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot open no/such/core"), "{}", stderr(&output));
}

#[test]
fn info_describes_what_it_can_and_still_fails_without_python() {
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join("core");
    std::fs::write(&path, core_without_python()).expect("a file");
    let output = exuvia(&[&"info", &path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("none decoded"));
    assert!(stderr(&output).contains("no CPython was found"));
    let document: serde_json::Value =
        serde_json::from_slice(&exuvia(&[&"info", &path, &"--json"]).stdout).expect("JSON");
    assert!(document["result"]["python_problem"].is_string());
    assert_eq!(super::schema::differences("info", &[document], false), Vec::<String>::new());
}

#[test]
fn directories_and_tables_that_are_not_there_are_named() {
    let dir = TempDir::new().expect("a temporary directory");
    let core = dir.path().join("core");
    std::fs::write(&core, core_without_python()).expect("a file");
    let table = dir.path().join("table");
    std::fs::write(&table, "no table\n").expect("a file");
    let absent = dir.path().join("absent");
    for (option, path, says) in [
        ("--sysroot", &absent, "--sysroot"),
        ("--sysroot", &table, "holds no file system: it is no tar archive"),
        ("--exe", &absent, "--exe"),
        ("--debug-dir", &absent, "--debug-dir"),
        ("--layout", &absent, "exuvia layouts extract"),
        ("--layout", &table, "is no layout table"),
    ] {
        let output = exuvia(&[&"types", &core, &option, path]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{option}: {message}");
        assert!(message.contains(says) && message.lines().count() == 1, "{option}: {message}");
    }
}

#[test]
fn names_from_the_command_line_cannot_act_on_a_terminal() {
    let output = exuvia(&[&"types", &"\x1b]0;owned\x07"]);
    assert!(!stderr(&output).contains('\x1b'));
}

#[test]
fn thresholds_that_are_none_and_types_that_nobody_has_are_refused() {
    let core = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cores/3.12.1-bare/core.zst");
    for (arguments, says) in [
        (["--fail-if", "retained>much"], "much is no size"),
        (["--fail-if", "leaks>1"], "nothing is measured by leaks"),
        (["--fail-if", "suspects"], "MEASURE>THRESHOLD"),
        (["--fail-if", "objects(app.Nobody)>1"], "app.Nobody"),
        (["--fail-if", "objects(sys.path)>1"], "sys.path is an object, not a type"),
        (["--fail-if", "retained(no.such.thing)>1"], "--fail-if retained(no.such.thing)>1"),
        (["--min-share", "200%"], "200% is no share"),
        (["--min-bytes", "5 apples"], "5 apples is no size"),
        (["--min-bytes", "-5"], "-5 is no size"),
        (["--min-share", "-5"], "-5 is no share"),
    ] {
        let [option, value] = arguments;
        let output = exuvia(&[&"suspects", &core, &option, &value]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{value}: {message}");
        assert!(stdout(&output).is_empty(), "{value}");
        let lines: Vec<&str> = message.lines().collect();
        assert!(lines.first().is_some_and(|line| line.contains(says)), "{value}: {message}");
    }
}

#[test]
fn a_condition_that_holds_is_status_1_and_the_document_is_whole() {
    let core = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cores/3.12.1-bare/core.zst");
    let status = |condition: &str| {
        let output = exuvia(&[&"suspects", &core, &"--json", &"--fail-if", &condition]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), document["result"]["conditions"][0]["holds"].as_bool())
    };
    assert_eq!(status("heap>1KiB"), (Some(1), Some(true)));
    assert_eq!(status("suspects>0"), (Some(0), Some(false)));
}
