//! What a redacted heap answers, and what is not in it.
//!
//! Structure is the same as that of the core, byte by byte of what is decoded. That nothing else is left is shown with
//! `fixtures/programs/secrets.py`, which plants secrets wherever a process may have them.

use crate::cells::Origin;
use crate::program::{command, document, printed};
use crate::questions::{OF_HEAP, Question};
use crate::saved::{dumped_alike, files_of};
use libtest_mimic::Trial;
use rustc_hash::FxHashSet;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is asked of both besides every `view`; of contents the answers name no more than how long they are.
const QUESTIONS: &[Question] = &[
    &["types", "--limit", "100000"],
    &["types", "--garbage"],
    &["types", "--retained"],
    &["dominators"],
    &["cuts"],
    &["cycles"],
    &["suspects"],
    &["threads"],
    &["objects", "dict"],
    &["referents", "function"],
    &["paths", "type"],
    &["free-if", "sys.path", "--list"],
    &["free-if", "dict", "--list"],
    &["free-if", "function"],
];
/// Of this, what no contents are needed for is the same.
const WASTE: Question = &["waste", "--limit", "100000"];
/// Secrets that must be in the core for the proof to mean anything.
const LEAST_SECRETS: usize = 1000;

/// A redacted heap of a core has its structure.
pub fn prove(core: &Path, origin: &Origin) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let files = files_of(origin);
    for what in ["values", "names"] {
        let saved = folder.path().join(format!("{what}.core.zst"));
        save(core, &saved, what, &files)?;
        dumped_alike(core, &files, &saved, folder.path())?;
        if what == "values" {
            compare(core, &files, &saved)?;
        }
    }
    Ok(())
}

/// Asks both.
fn compare(core: &Path, files: &[OsString], saved: &Path) -> Result<(), String> {
    let views = OF_HEAP.iter().filter(|question| question[0].starts_with("view "));
    for question in QUESTIONS.iter().chain(views) {
        let (of_core, of_saved) = (document(question, core, files)?, document(question, saved, &[])?);
        for part in ["result", "coverage"] {
            if let Some(place) = difference(&of_core[part], &of_saved[part]) {
                return Err(format!("{question:?}: the {part} of the redacted heap differs: {place}"));
            }
        }
    }
    let (of_core, of_saved) = (document(WASTE, core, files)?, document(WASTE, saved, &[])?);
    let (of_core, of_saved) = (&of_core["result"], &of_saved["result"]);
    let told = [&of_core["compared"], &of_saved["compared"], &of_saved["groups_total"]];
    if told != [&Value::from(true), &Value::from(false), &Value::from(0)] {
        return Err(format!("{WASTE:?}: it is not said that values could not be compared: {told:?}"));
    }
    match difference(&without_duplicates(of_core), &without_duplicates(of_saved)) {
        None => Ok(()),
        Some(place) => Err(format!("{WASTE:?} of the redacted heap differs: {place}")),
    }
}

/// What `waste` finds that no contents are needed for.
fn without_duplicates(result: &Value) -> Value {
    let findings = result["findings"].as_array().into_iter().flatten();
    findings.filter(|finding| finding["kind"] != "duplicates").cloned().collect()
}

/// The first place where a redacted heap's document says something else. In the place of contents it has as many asterisks, in
/// labels none of the keys.
fn difference(of_core: &Value, of_saved: &Value) -> Option<String> {
    match (of_core, of_saved) {
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut items = one.iter().zip(other).enumerate();
            items.find_map(|(index, (one, other))| Some(format!("[{index}]{}", difference(one, other)?)))
        }
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            let mut members = one.iter();
            members.find_map(|(key, value)| {
                Some(format!(".{key}{}", difference(value, other.get(key).unwrap_or(&Value::Null))?))
            })
        }
        (Value::String(one), Value::String(other)) if *other == "*".repeat(one.chars().count()) => None,
        _ if without_keys(of_core) == without_keys(of_saved) => None,
        _ => Some(format!(": {of_core} and {of_saved}")),
    }
}

/// A document without what labels show of keys, which are contents: `['…']`.
fn without_keys(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let parts = text.split("['").enumerate();
            let kept = parts.map(|(number, part)| match number {
                0 => part,
                _ => part.split_once("']").map_or("", |(_, rest)| rest),
            });
            Value::String(kept.collect())
        }
        Value::Array(items) => items.iter().map(without_keys).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), without_keys(value))).collect()
        }
        other => other.clone(),
    }
}

fn save(core: &Path, saved: &Path, what: &str, files: &[OsString]) -> Result<(), String> {
    let options = [&format!("--redact={what}"), "--level", "3", "-o"];
    printed(command(&["save"], core, files).args(options).arg(saved)).map(drop)
}

/// A trial for each interpreter that can be run here: none of its secrets is left.
pub fn trials(root: &Path) -> Vec<Trial> {
    let runnable = |(_, path): &(String, PathBuf)| {
        let output = Command::new(path).args(["-c", "import ctypes, mmap, array"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    // `core(5)`: a pattern may lead elsewhere, or to a program.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let written_here = !pattern.starts_with('|') && !pattern.contains('/');
    let found: Vec<_> = crate::cells::interpreters(root).into_iter().filter(runnable).collect();
    if found.is_empty() || !written_here {
        return vec![Trial::test("secrets", || Ok(())).with_ignored_flag(true)];
    }
    let trial = |(cell, path): (String, PathBuf)| {
        let program = root.join("fixtures/programs/secrets.py");
        Trial::test(format!("secrets::{cell}"), move || secrets_are_gone(&path, &program).map_err(Into::into))
    };
    found.into_iter().map(trial).collect()
}

fn secrets_are_gone(interpreter: &Path, program: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let prefix = folder.path().join("planted");
    // The core is the kernel's, in the working directory.
    let run = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"])
        .arg(interpreter)
        .args(["-S", "-s", "-B"])
        .args([program, &prefix])
        .current_dir(folder.path())
        .output()
        .map_err(|error| error.to_string())?;
    let written = std::fs::read_dir(folder.path()).map_err(|error| error.to_string())?.flatten();
    let mut written = written.filter(|entry| entry.file_name().to_string_lossy().starts_with("core"));
    let core = written.next().map(|entry| entry.path());
    let core =
        core.ok_or_else(|| format!("no core was written; {}", String::from_utf8_lossy(&run.stderr)))?;
    let secrets = planted(&prefix, "secrets")?;
    let names = planted(&prefix, "names")?;
    let whole = std::fs::read(&core).map_err(|error| error.to_string())?;
    let there = left_in(&whole, &secrets).len();
    if there < LEAST_SECRETS || left_in(&whole, &names).len() < names.len() {
        return Err(format!("only {there} of {} secrets, or not all names, are in the core", secrets.len()));
    }
    drop(whole);
    for what in ["values", "names"] {
        let saved = folder.path().join(format!("{what}.core.zst"));
        save(&core, &saved, what, &[])?;
        dumped_alike(&core, &[], &saved, folder.path())?;
        let stored = std::fs::read(&saved).map_err(|error| error.to_string())?;
        let decoded = zstd::decode_all(&stored[..]).map_err(|error| error.to_string())?;
        let left = |planted: &[(String, Vec<u8>)]| {
            let mut left = left_in(&decoded, planted);
            left.extend(left_in(&stored, planted));
            left
        };
        let (secrets_left, names_left) = (left(&secrets), left(&names));
        if !secrets_left.is_empty() {
            return Err(format!("--redact={what} leaves {secrets_left:?}"));
        }
        match what {
            "values" if left_in(&decoded, &names).len() != names.len() => {
                return Err(format!(
                    "--redact=values lost names: of {}, {names_left:?} are left",
                    names.len()
                ));
            }
            "names" if !names_left.is_empty() => return Err(format!("--redact=names leaves {names_left:?}")),
            _ => {}
        }
    }
    Ok(())
}

/// What was planted where.
fn planted(prefix: &Path, kind: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let path = prefix.with_extension(format!("{kind}.json"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let listed: Vec<(String, String)> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let bytes = |hex: &str| -> Option<Vec<u8>> {
        let pairs = hex.as_bytes().as_chunks::<2>().0;
        pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let decoded = listed.into_iter().map(|(place, hex)| Some((place, bytes(&hex)?)));
    decoded.collect::<Option<_>>().ok_or_else(|| format!("{}: no hexadecimal digits", path.display()))
}

/// Which of the planted texts stand in `memory`, by their places. The first eight bytes are enough to give one away; all are
/// looked for in one pass, as a core of a free-threaded build has a gigabyte.
fn left_in(memory: &[u8], planted: &[(String, Vec<u8>)]) -> Vec<String> {
    let start = |text: &[u8]| text.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let wanted: FxHashSet<u64> = planted.iter().filter_map(|(_, text)| start(text)).collect();
    let filter: FxHashSet<u16> = wanted.iter().map(|&word| word as u16).collect();
    let mut is_first = vec![false; 1 << 16];
    filter.iter().for_each(|&low| is_first[usize::from(low)] = true);
    let found: FxHashSet<u64> = memory
        .windows(8)
        .filter(|window| is_first[usize::from(u16::from_le_bytes([window[0], window[1]]))])
        .filter_map(start)
        .filter(|word| wanted.contains(word))
        .collect();
    let is_left = |text: &[u8]| start(text).is_none_or(|word| found.contains(&word));
    planted.iter().filter(|(_, text)| is_left(text)).map(|(place, _)| place.clone()).collect()
}
