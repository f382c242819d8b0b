//! Every command on every committed core: it succeeds, and its document is as described.

use super::{exuvia, schema, stderr};
use exuvia::corefile::{Inputs, SearchOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The most bytes that all of them may have, oracles included.
const MOST: u64 = 40_000_000;
/// The one that is not saved: what a reader finds of whom nothing was told.
const ORDINARY: &str = "3.13.0-bare";

/// Directories with a core.
fn cores() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[test]
fn committed_cores_are_saved_heaps_and_small() {
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    let mut bytes = 0;
    for directory in cores() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            bytes += entry.metadata().expect("a file").len();
        }
        let inputs = Inputs::open(&directory.join("core.zst"), &options).expect("a core");
        let is_saved = inputs.saved_from().is_some();
        assert_eq!(is_saved, !directory.ends_with(ORDINARY), "{}", directory.display());
    }
    assert!((1..=MOST).contains(&bytes), "{bytes} bytes");
}

#[test]
fn an_executable_of_another_build_is_refused_by_name() {
    let cores = cores();
    let directory = cores.first().expect("fixtures/cores has cores");
    let core = ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
    let other = Path::new(env!("CARGO_BIN_EXE_exuvia"));
    let output = exuvia(&[&"types", &core.expect("a core"), &"--exe", &other]);
    let message = stderr(&output);
    assert!(message.contains("is not the program of this core") && message.contains("refused"), "{message}");
    assert_eq!(output.status.code(), Some(2), "{message}");
}

#[test]
fn every_command_answers_with_the_document_that_is_described() {
    let cores = cores();
    assert!(!cores.is_empty(), "fixtures/cores has no cores");
    for directory in cores {
        let core =
            ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
        let Some(core) = core else { panic!("{} has no core", directory.display()) };
        for arguments in [
            &["overview"][..],
            &["info", "--show-layouts"],
            &["types"],
            &["types", "--by-module", "--garbage", "--sort", "count"],
            &["objects", "dict"],
            &["show", "sys", "--depth", "2"],
            &["threads"],
            &["threads", "--values"],
            &["referrers", "sys"],
            &["referents", "sys"],
            &["paths", "sys.path"],
            &["types", "--retained"],
            &["types", "--retained", "--by-package", "--sort", "name"],
            &["dominators"],
            &["dominators", "dict", "--depth", "2"],
            &["cuts"],
            &["free-if", "sys.path", "--list"],
            &["free-if", "function"],
            &["cycles"],
            &["suspects"],
            &["waste"],
            &["waste", "--values"],
            &["view tasks", "--values"],
            &["view threads"],
            &["view generators"],
            &["view caches"],
            &["view exceptions"],
            &["view buffers"],
            &["view modules"],
            &["view queues"],
            &["view logging"],
            &["view weak"],
        ] {
            let (command, rest) = arguments.split_first().expect("a command");
            let words: Vec<&str> = command.split(' ').collect();
            let mut line: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
            line.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
            line.extend([&core as &dyn AsRef<std::ffi::OsStr>, &"--json"]);
            line.extend(rest.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
            let output = exuvia(&line);
            assert!(output.status.success(), "{} {arguments:?}: {}", core.display(), stderr(&output));
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(document["command"], words[0]);
            let wrong = schema::differences(command, &[document], false);
            assert_eq!(wrong, Vec::<String>::new(), "{} {arguments:?}", core.display());
        }
    }
}
