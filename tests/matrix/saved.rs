//! What a saved heap answers: the very same documents as its core, with no other file present.

use crate::cells::Origin;
use crate::program::{answer, command, output, printed};
use crate::questions::{OF_HEAP, OF_TARGETS, Question};
use std::ffi::OsString;
use std::path::Path;

/// What is asked of both besides [`OF_HEAP`] and [`OF_TARGETS`]: more of the heap.
const ALSO: &[Question] = &[
    &["types", "--limit", "100000"],
    &["dominators", "--depth", "5"],
    &["dominators", "sys.modules"],
    &["objects", "str", "--min-size", "200"],
    &["threads", "--values", "--limit", "1000"],
    &["show", "sys.modules", "--depth", "2", "--limit", "100"],
    &["show", "sys", "--depth", "3", "--limit", "200"],
    &["show", "sys.modules['builtins']", "--depth", "2", "--limit", "300"],
    &["referrers", "dict"],
    &["referents", "function"],
    &["referents", "type"],
    &["paths", "module"],
    &["free-if", "sys.modules['os']", "--list"],
];

/// Saves the heap of a core, and asks both.
pub fn prove(core: &Path, origin: &Origin) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let saved = folder.path().join("heap.core.zst");
    let files = files_of(origin);
    let save = ["--level", "3", "-o"];
    printed(command(&["save"], core, &files).args(save).arg(&saved))?;
    for question in [OF_HEAP, OF_TARGETS, ALSO].concat() {
        let of_core = answer(question, core, &files)?;
        let of_saved = answer(question, &saved, &[])?;
        if of_core != of_saved {
            return Err(format!("{question:?}: {}", first_difference(&of_core, &of_saved)));
        }
    }
    dumped_alike(core, &files, &saved, folder.path())?;
    let layouts = |of: &Path, files: &[OsString]| output(&mut command(&["dev layouts"], of, files));
    match layouts(core, &files)?.stdout == layouts(&saved, &[])?.stdout {
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

/// Everything that was decoded is the same, byte by byte.
pub fn dumped_alike(core: &Path, files: &[OsString], saved: &Path, folder: &Path) -> Result<(), String> {
    let dump = |of: &Path, files: &[OsString], prefix: &str| {
        printed(command(&["dev dump"], of, files).arg(folder.join(prefix)))
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
