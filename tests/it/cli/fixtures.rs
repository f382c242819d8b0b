//! Every command on every committed core: it succeeds, and its document is as described.

use super::{exuvia, schema, stderr};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Directories with a core.
fn cores() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[test]
fn an_executable_of_another_build_is_refused_by_name() {
    let cores = cores();
    let directory = cores.first().expect("fixtures/cores has cores");
    let core = ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
    let other = Path::new(env!("CARGO_BIN_EXE_exuvia"));
    let output = exuvia(&[
        &"types",
        &core.expect("a core"),
        &"--exe",
        &other,
        &"--layout",
        &directory.join("layout.txt"),
    ]);
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
        let layout = directory.join("layout.txt");
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
            &["cycles"],
            &["suspects"],
        ] {
            let (command, rest) = arguments.split_first().expect("a command");
            let mut line: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![command, &core, &"--json"];
            line.extend(rest.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
            if layout.exists() {
                line.extend([&"--layout" as &dyn AsRef<std::ffi::OsStr>, &layout]);
            }
            let output = exuvia(&line);
            assert!(output.status.success(), "{} {arguments:?}: {}", core.display(), stderr(&output));
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(document["command"], *command);
            let wrong = schema::differences(command, &[document], false);
            assert_eq!(wrong, Vec::<String>::new(), "{} {arguments:?}", core.display());
        }
    }
}
