//! The proofs on every core there is: the committed fixtures, and cores made live by every interpreter found.
//!
//! A trial for each core. `EXUVIA_LIVE=DIR` uses cores made before (`python3 fixtures/make.py DIR`); otherwise they are made in
//! a temporary directory. A version without an interpreter is a trial that counts as ignored, unless
//! `EXUVIA_EXPECT=3.11,3.12,3.13` asks for it: then it fails.

mod oracle;
mod proofs;
mod without;

use libtest_mimic::{Arguments, Trial};
use oracle::Oracle;
use std::path::{Path, PathBuf};
use std::process::Command;
use without::Files;

/// Minors the live matrix is for.
const MINORS: [&str; 6] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = Vec::new();
    for directory in directories(&root.join("fixtures/cores")) {
        trials.push(trial("fixture", directory));
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let live = match std::env::var_os("EXUVIA_LIVE") {
        Some(directory) => PathBuf::from(directory),
        None if arguments.list => PathBuf::new(),
        None => {
            make_live(root, temporary.path());
            temporary.path().to_owned()
        }
    };
    let made = directories(&live);
    for minor in MINORS {
        let of_minor: Vec<&PathBuf> =
            made.iter().filter(|directory| name_of(directory).starts_with(&format!("{minor}."))).collect();
        if of_minor.is_empty() {
            let expected =
                std::env::var("EXUVIA_EXPECT").is_ok_and(|list| list.split(',').any(|v| v == minor));
            let missing = move || Err(format!("no CPython {minor} with debug information was found").into());
            trials.push(Trial::test(format!("live::{minor}"), missing).with_ignored_flag(!expected));
        }
        let stripped = |&directory: &&PathBuf| trial_without(Files::Stripped, directory.clone());
        trials.extend(of_minor.iter().map(stripped));
        trials.extend(of_minor.into_iter().map(|directory| trial("live", directory.clone())));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(temporary);
    conclusion.exit();
}

/// Runs the scenarios on every interpreter that is found; without a Python there is nothing to run.
fn make_live(root: &Path, into: &Path) {
    let made = Command::new("python3").arg(root.join("fixtures/make.py")).arg(into).output();
    match made {
        Ok(output) if output.status.success() => {}
        Ok(output) => eprintln!("fixtures/make.py: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("no live cores: python3 cannot be run: {error}"),
    }
}

fn name_of(directory: &Path) -> String {
    directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn trial(kind: &str, directory: PathBuf) -> Trial {
    Trial::test(format!("{kind}::{}", name_of(&directory)), move || {
        let core =
            ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists());
        let core = core.ok_or("no core file")?;
        let table = Some(directory.join("layout.txt")).filter(|path| path.exists());
        proofs::prove(&core, &Oracle::new(directory.join("oracle")), table.as_deref()).map_err(Into::into)
    })
}

fn trial_without(files: Files, directory: PathBuf) -> Trial {
    Trial::test(format!("{}::{}", files.name(), name_of(&directory)), move || {
        let oracle = Oracle::new(directory.join("oracle"));
        without::prove(&directory.join("core"), &oracle, files).map_err(Into::into)
    })
}
