//! Every command on every committed core: it succeeds, and its document is as described.

use super::{exuvia, schema, stderr};
use crate::questions::{OF_HEAP, OF_TARGETS, words};
use clap::{CommandFactory, ValueEnum};
use exuvia::cli::args::{Arguments, ViewChoice};
use exuvia::corefile::{Inputs, SearchOptions};
use serde_json::Value;
use std::ffi::OsStr;
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

/// `buffered` has the file where `iobase`, the struct of its base, has the attributes (Modules/_io).
#[test]
fn a_member_is_named_by_the_struct_that_an_instance_is() {
    for cell in ["3.8.18-bare", "3.12.1-service", "3.15.0rc1t-bare"] {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores").join(cell).join("core.zst");
        let output = exuvia(&[&"referents", &core, &"sys.modules['sys'].stdin.buffer", &"--json"]);
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        let counts = document["result"]["counts"].as_array().expect("references by type and label");
        let file = counts.iter().find(|count| count["type_name"] == "_io.FileIO");
        assert_eq!(file.map(|file| &file["label"]), Some(&Value::from(".raw")), "{cell}: {counts:#?}");
    }
}

#[test]
fn every_command_answers_with_the_document_that_is_described() {
    let cores = cores();
    assert!(!cores.is_empty(), "fixtures/cores has no cores");
    for directory in cores {
        let core =
            ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
        let Some(core) = core else { panic!("{} has no core", directory.display()) };
        let core = core.to_str().expect("a path");
        for question in [OF_HEAP, OF_TARGETS].concat() {
            let mut line = words(question, &[core]);
            line.push("--json");
            let line: Vec<&dyn AsRef<OsStr>> = line.iter().map(|word| word as &dyn AsRef<OsStr>).collect();
            let output = exuvia(&line);
            assert!(output.status.success(), "{core} {question:?}: {}", stderr(&output));
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let section = question[0];
            assert_eq!(Some(document["command"].as_str().expect("a command")), section.split(' ').next());
            let wrong = schema::differences(section, &[document], false);
            assert_eq!(wrong, Vec::<String>::new(), "{core} {question:?}");
        }
    }
}

/// What takes no core alone, or has no document.
const NOT_ASKED: [&str; 7] = ["index", "diff", "trend", "capture", "save", "layouts", "dev"];

#[test]
fn every_command_and_every_view_is_asked() {
    let commands = Arguments::command();
    let commands = commands.get_subcommands().map(|command| command.get_name().to_owned());
    let commands = commands.filter(|name| name != "view" && !NOT_ASKED.contains(&name.as_str()));
    let views = ViewChoice::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    for name in commands.chain(views.map(|view| format!("view {}", view.get_name()))) {
        assert!([OF_HEAP, OF_TARGETS].concat().iter().any(|question| question[0] == name), "{name}");
    }
}
