//! Which core an index is of, and by which files and options it was decoded.
//!
//! Knows what an answer depends on; refuses to read more of a core than its notes, as it may have terabytes. A core that is
//! written anew has another time or other notes.

use crate::corefile::{Inputs, Module};
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Changes when what an index holds means something else, between releases of the program.
const CONTENTS: u32 = 2;

/// Everything that must be as it was for an index to be used: compared as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    text: String,
}

impl Key {
    /// Of the core at `path`, opened as `inputs`, decoded with options that `choices` tells.
    pub fn new(path: &Path, inputs: &Inputs, choices: &str) -> Self {
        let mut text = format!("exuvia {} contents {CONTENTS}\n", env!("CARGO_PKG_VERSION"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "core {}", state_of(path));
        for note in inputs.notes_of_core() {
            let _ = writeln!(
                text,
                "note {} {} {:016x}",
                note.name,
                note.kind,
                crate::columns::fingerprint(&note.content)
            );
        }
        for module in inputs.modules() {
            let _ = writeln!(text, "module {:#x} {} {}", module.start, module.path, file_of(module));
        }
        let _ = writeln!(text, "choices {choices}");
        Self { text }
    }

    /// The key as an index has it.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Size and time of a file.
fn state_of(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(found) => format!("{} {}.{:09}", found.len(), found.mtime(), found.mtime_nsec()),
        Err(_) => "-".to_owned(),
    }
}

/// The files that stand for a module.
fn file_of(module: &Module) -> String {
    let files = module.file().into_iter().chain(module.debug_file());
    let each: Vec<String> =
        files.map(|file| format!("{} {}", file.path().display(), state_of(file.path()))).collect();
    each.join(" ")
}
