//! The proofs on every core there is: the committed fixtures, and cores made live by every interpreter found.
//!
//! A trial for each core. `EXUVIA_LIVE=DIR` uses cores made before (`python3 fixtures/make.py DIR --plan`); otherwise they are
//! made in a temporary directory. A minor version without an interpreter is a trial that counts as ignored; a cell that
//! `EXUVIA_EXPECT=3.13,3.13t,3.14d` lists and no live core is of fails.

mod captured;
mod cells;
mod containers;
mod credible;
mod cuts;
mod debug_files;
mod document;
mod dominators;
mod embedded;
mod growth;
mod oracle;
mod partial;
mod program;
mod proofs;
#[path = "../common/questions.rs"]
mod questions;
mod redacted;
mod retained;
mod saved;
mod shallow;
mod sources;
mod suspects;
mod untold;
mod views;
mod waste;
mod without;

use cells::Origin;
use exuvia::corefile::SearchOptions;
use libtest_mimic::{Arguments, Trial};
use oracle::Oracle;
use std::path::{Path, PathBuf};
use std::process::Command;
use without::Files;

/// Scenarios whose live cores are saved too: that with most types of its own.
const SAVED: [&str; 1] = ["service"];
/// Minors the live matrix is for.
const MINORS: [&str; 8] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut trials = Vec::new();
    for directory in directories(&root.join("fixtures/cores")) {
        trials.extend(trial_of_saved(directory.clone()));
        trials.extend(trial_of_redacted(directory.clone()));
        trials.extend(trial_of_retained(directory.clone()));
        trials.extend(trial_of_suspects("fixture", directory.clone()));
        trials.extend(trial_of_shallow(directory.clone()));
        trials.extend(trial("fixture", directory));
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let live = match std::env::var_os("EXUVIA_LIVE") {
        Some(directory) => PathBuf::from(directory),
        None if arguments.list || document::is_update() => PathBuf::new(),
        None => {
            make_live(root, temporary.path());
            temporary.path().to_owned()
        }
    };
    let made = directories(&live);
    let origins: Vec<Origin> = made.iter().filter_map(|directory| Origin::of(directory)).collect();
    let expected = std::env::var("EXUVIA_EXPECT").unwrap_or_default();
    for cell in cells::missing(&expected, &origins) {
        let missing = format!("no CPython {cell} with debug information was found");
        trials.push(Trial::test(format!("live::{cell}"), move || Err(missing.into())));
    }
    for minor in MINORS.iter().filter(|&&minor| !origins.iter().any(|origin| origin.minor() == minor)) {
        trials.push(Trial::test(format!("live::{minor}.*"), || Ok(())).with_ignored_flag(true));
    }
    for directory in made {
        for files in [Files::Stripped, Files::Absent] {
            trials.extend(trial_without(files, directory.clone()));
        }
        trials.extend(trial_of_sources(directory.clone()));
        trials.extend(
            Origin::of(&directory)
                .filter(|origin| SAVED.contains(&origin.scenario.as_str()))
                .and_then(|_| trial_of_saved(directory.clone())),
        );
        trials.extend(trial_of_containers(directory.clone()));
        trials.extend(trial_of_retained(directory.clone()));
        trials.extend(trial_of_shallow(directory.clone()));
        trials.extend(trial_of_waste(directory.clone()));
        trials.extend(trial_of_suspects("live", directory.clone()));
        trials.extend(trial_of_views(directory.clone()));
        trials.extend(trial_of_cuts(directory.clone()));
        trials.extend(trial("live", directory));
    }
    trials.extend(partial::trials(&live));
    trials.extend(debug_files::trials());
    trials.extend(embedded::trials());
    // Looking for interpreters takes a moment, which other trials need not wait for.
    let wanted = |kind: &str| {
        let asked = arguments.filter.as_deref().is_none_or(|filter| filter.contains(kind));
        asked && !arguments.list && !document::is_update()
    };
    if wanted("capture") {
        trials.extend(captured::trials(root));
    }
    if wanted("growth") {
        trials.extend(growth::trials(root));
    }
    if wanted("secrets") {
        trials.extend(redacted::trials(root));
    }
    trials.push(document::trial(root));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(temporary);
    conclusion.exit();
}

/// Runs the scenarios on every interpreter that is found; without a Python there is nothing to run.
fn make_live(root: &Path, into: &Path) {
    for (program, options) in [("make.py", &["--plan"][..]), ("partial.py", &[])] {
        let program = root.join("fixtures").join(program);
        match Command::new("python3").arg(&program).arg(into).args(options).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("no live cores: python3 cannot be run: {error}"),
        }
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

fn core_in(directory: &Path) -> Option<PathBuf> {
    ["core", "core.zst"].map(|name| directory.join(name)).into_iter().find(|path| path.exists())
}

/// The trial of one core; `None` for a directory that holds none.
fn trial(kind: &str, directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("{kind}::{}", name_of(&directory)), move || {
        let core = core_in(&directory).ok_or("no core file")?;
        let oracle = Oracle::new(directory.join("oracle"));
        proofs::prove(&core, &oracle, None, &search(&origin)).map_err(Into::into)
    }))
}

/// Where the files of a live interpreter are.
fn search(origin: &Origin) -> SearchOptions {
    let debug_dirs = origin.root.iter().map(|root| root.join("usr/lib/debug")).collect();
    SearchOptions { sysroot: origin.root.clone(), debug_dirs, ..SearchOptions::default() }
}

/// The trial of one core as if its files were not whole; `None` for a directory that holds none.
fn trial_without(files: Files, directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("{}::{}", files.name(), name_of(&directory)), move || {
        let oracle = Oracle::new(directory.join("oracle"));
        without::prove(&directory.join("core"), &oracle, files, &search(&origin)).map_err(Into::into)
    }))
}

/// The trial of a heap saved from a core; `None` for a directory that holds none.
fn trial_of_saved(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("saved::{}", name_of(&directory)), move || {
        let core = core_in(&directory).ok_or("no core file")?;
        saved::prove(&core, &origin).map_err(Into::into)
    }))
}

/// The trial of what objects and types of a core retain; `None` for a directory that holds none.
fn trial_of_retained(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("retained::{}", name_of(&directory)), move || {
        let core = core_in(&directory).ok_or("no core file")?;
        retained::prove(&core, &search(&origin)).map_err(Into::into)
    }))
}

/// The trial of what objects of a core own besides their size; `None` for a directory that holds none.
fn trial_of_shallow(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("shallow::{}", name_of(&directory)), move || {
        let core = core_in(&directory).ok_or("no core file")?;
        shallow::prove(&core, &search(&origin)).map_err(Into::into)
    }))
}

/// The trial of every form of a container's files, for one core of each cell.
fn trial_of_containers(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    (origin.environment.is_empty() && origin.scenario == "bare").then(|| {
        Trial::test(format!("containers::{}", name_of(&directory)), move || {
            containers::prove(&directory.join("core"), &search(&origin)).map_err(Into::into)
        })
    })
}

/// The trial of what could be saved, for each core whose interpreter counted that.
fn trial_of_waste(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    (origin.scenario == "waste").then(|| {
        Trial::test(format!("waste::{}", name_of(&directory)), move || {
            let oracle = Oracle::new(directory.join("oracle"));
            waste::prove(&directory.join("core"), &oracle, &search(&origin)).map_err(Into::into)
        })
    })
}

/// The trial of what is suspected, of scenarios that say what there is to find.
fn trial_of_suspects(kind: &str, directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    suspects::is_proved(&origin.scenario).then(|| {
        Trial::test(format!("suspects::{kind}::{}", name_of(&directory)), move || {
            let core = core_in(&directory).ok_or("no core file")?;
            let oracle = Oracle::new(directory.join("oracle"));
            suspects::prove(&core, &oracle, &origin).map_err(Into::into)
        })
    })
}

/// The trial of what `view` decodes, for each core whose interpreter said what it sees.
fn trial_of_views(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    (origin.scenario == "service").then(|| {
        Trial::test(format!("views::{}", name_of(&directory)), move || {
            let oracle = Oracle::new(directory.join("oracle"));
            views::prove(&directory.join("core"), &oracle, &search(&origin)).map_err(Into::into)
        })
    })
}

/// The trial of what single cuts free; `None` where the oracle made none.
fn trial_of_cuts(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    let oracle = Oracle::new(directory.join("oracle"));
    oracle.has_cuts().then(|| {
        Trial::test(format!("cuts::{}", name_of(&directory)), move || {
            cuts::prove(&directory.join("core"), &oracle, &search(&origin), &origin).map_err(Into::into)
        })
    })
}

/// The trial of a redacted heap of a core; `None` for a directory that holds none.
fn trial_of_redacted(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    Some(Trial::test(format!("redacted::{}", name_of(&directory)), move || {
        let core = core_in(&directory).ok_or("no core file")?;
        redacted::prove(&core, &origin).map_err(Into::into)
    }))
}

/// The trial of every source of layouts, for one core of each cell: that with most types, or, of a cell that differs from
/// another in its environment alone, the smallest.
fn trial_of_sources(directory: PathBuf) -> Option<Trial> {
    let origin = Origin::of(&directory)?;
    let chosen = if origin.environment.is_empty() { "service" } else { "bare" };
    (origin.scenario == chosen).then(|| {
        Trial::test(format!("layouts::{}", name_of(&directory)), move || {
            sources::prove(&directory.join("core"), &search(&origin), &origin.minor()).map_err(Into::into)
        })
    })
}
