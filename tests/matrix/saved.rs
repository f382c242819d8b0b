//! What a saved heap answers: the very same documents as its core, with no other file present.

use crate::cells::Origin;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is asked of both. `@` stands for the core.
const QUESTIONS: [&[&str]; 20] = [
    &["overview", "@"],
    &["info", "@", "--show-layouts"],
    &["types", "@", "--limit", "100000"],
    &["types", "@", "--garbage", "--by-module"],
    &["types", "@", "--retained"],
    &["types", "@", "--retained", "--by-package"],
    &["objects", "@", "dict"],
    &["objects", "@", "str", "--min-size", "200"],
    &["threads", "@", "--values", "--limit", "1000"],
    &["cycles", "@"],
    &["suspects", "@"],
    &["show", "@", "sys.modules", "--depth", "2", "--limit", "100"],
    &["show", "@", "sys", "--depth", "3", "--limit", "200"],
    &["show", "@", "sys.modules['builtins']", "--depth", "2", "--limit", "300"],
    &["referrers", "@", "dict"],
    &["referrers", "@", "sys"],
    &["referents", "@", "function"],
    &["referents", "@", "type"],
    &["paths", "@", "module"],
    &["paths", "@", "sys.path"],
];

/// Saves the heap of a core, and asks both.
pub fn prove(core: &Path, origin: &Origin) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let saved = folder.path().join("heap.core.zst");
    let files = files_of(origin);
    let level = ["--level", "3", "-o"].map(OsString::from);
    let save: Vec<OsString> = [OsString::from("save"), core.into()]
        .into_iter()
        .chain(level)
        .chain([saved.clone().into()])
        .collect();
    succeeded(&run(&save, &files), &save)?;
    for question in QUESTIONS {
        let of_core = answer(question, core, &files)?;
        let of_saved = answer(question, &saved, &[])?;
        if of_core != of_saved {
            return Err(format!("{question:?}: {}", first_difference(&of_core, &of_saved)));
        }
    }
    dumped_alike(core, &files, &saved, folder.path())?;
    let layouts =
        |of: &Path, files: &[OsString]| run(&["dev".into(), "layouts".into(), of.into()], files).stdout;
    match layouts(core, &files) == layouts(&saved, &[]) {
        true => Ok(()),
        false => Err("dev layouts differs".to_owned()),
    }
}

/// Options that name the files of a core.
pub fn files_of(origin: &Origin) -> Vec<OsString> {
    let mut files: Vec<OsString> = Vec::new();
    if let Some(root) = &origin.root {
        files.extend(["--sysroot".into(), root.into()]);
        files.extend(["--debug-dir".into(), root.join("usr/lib/debug").into()]);
    }
    files
}

/// The document that answers a question, as JSON.
pub fn document(question: &[&str], core: &Path, files: &[OsString]) -> Result<Value, String> {
    let text = answer(question, core, files)?;
    serde_json::from_str(&text).map_err(|error| format!("{question:?}: {error}: {text}"))
}

/// The document that answers a question, without the name of the core; what it says if there is none.
fn answer(question: &[&str], core: &Path, files: &[OsString]) -> Result<String, String> {
    let arguments: Vec<OsString> =
        question.iter().map(|&word| if word == "@" { core.into() } else { word.into() }).collect();
    let mut all = files.to_vec();
    all.push("--json".into());
    let output = run(&arguments, &all);
    let text = if output.status.success() { output.stdout } else { output.stderr };
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.replace(&core.display().to_string(), "@"))
}

/// Everything that was decoded is the same, byte by byte.
pub fn dumped_alike(core: &Path, files: &[OsString], saved: &Path, folder: &Path) -> Result<(), String> {
    let dump = |of: &Path, files: &[OsString], prefix: &str| {
        let arguments = ["dev".into(), "dump".into(), of.into(), folder.join(prefix).into()];
        succeeded(&run(&arguments, files), &arguments)
    };
    dump(core, files, "core")?;
    dump(saved, &[], "saved")?;
    for kind in ["objs.bin", "edges.bin", "garbage.bin", "tracked.bin", "malloc.txt"] {
        let read = |prefix: &str| std::fs::read(folder.join(format!("{prefix}.{kind}")));
        let (one, other) = (read("core").ok(), read("saved").ok());
        if one.is_none() || one != other {
            return Err(format!("dev dump: {kind} differs, or cannot be read"));
        }
    }
    Ok(())
}

pub fn run(arguments: &[OsString], more: &[OsString]) -> Output {
    let program: PathBuf = env!("CARGO_BIN_EXE_exuvia").into();
    Command::new(program).args(arguments).args(more).output().expect("exuvia runs")
}

pub fn succeeded(output: &Output, arguments: &[OsString]) -> Result<(), String> {
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The first line that differs, of either.
fn first_difference(one: &str, other: &str) -> String {
    let lines = one.lines().zip(other.lines()).enumerate();
    let found = lines.into_iter().find(|(_, (one, other))| one != other);
    found.map_or_else(
        || format!("{} and {} lines", one.lines().count(), other.lines().count()),
        |(number, (one, other))| {
            format!("line {}: {one:?} of the core, {other:?} of the saved heap", number + 1)
        },
    )
}
