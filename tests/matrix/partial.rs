//! Cores that have a part of the process: filtered by the kernel or by gcore, cut off, with their files in place, stripped,
//! replaced by those of another build, or away.
//!
//! `fixtures/partial.py` takes them, each beside the whole core of the same process, which is the truth here: whatever
//! less memory tells must be in it, and may be called exact only if it is all of it.

use crate::program::{self, document};
use crate::without;
use exuvia::analysis::collect;
use exuvia::corefile::{Inputs, ModuleStatus, SearchOptions};
use exuvia::cpython::{References, Runtime};
use exuvia::graph::EdgeKind;
use exuvia::heap::{ObjectId, build_graph, census};
use exuvia::report::{AnswerState, Coverage};
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much of a core is left of it, in percent.
const CUTS: [u64; 4] = [25, 50, 75, 90];
/// The filter whose cores are cut off: that of most systems.
const USUAL: &str = "0x33";
/// Every command that answers without a target, and one that has one.
const COMMANDS: [&[&str]; 9] = [
    &["overview"],
    &["info"],
    &["types"],
    &["threads", "--values"],
    &["cycles"],
    &["suspects"],
    &["objects", "dict"],
    &["referrers", "dict"],
    &["paths", "function"],
];

/// `partial.json`.
#[derive(Debug, Deserialize)]
struct Partial {
    root: Option<PathBuf>,
}

/// What is left of the process' files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    InPlace,
    Stripped,
    /// In the place that is looked at first there are files of another build.
    AnotherBuild,
    Absent,
}

/// What a core tells of a heap.
struct Told {
    /// Address, then type and size.
    objects: BTreeMap<u64, (u64, u64)>,
    /// What each object visits, sorted.
    references: BTreeMap<u64, Vec<u64>>,
    garbage: BTreeSet<u64>,
    states: BTreeMap<&'static str, AnswerState>,
    /// A file that nothing in the core speaks for.
    unproven: Option<PathBuf>,
}

/// A trial for each filter of each directory of `fixtures/partial.py`.
pub fn trials(live: &Path) -> Vec<Trial> {
    let mut trials = Vec::new();
    for directory in crate::directories(live).into_iter().filter(|path| path.join("partial.json").exists()) {
        for filter in crate::directories(&directory) {
            let name = format!("{}-{}", crate::name_of(&directory), crate::name_of(&filter));
            let name = name.replacen("partial-", "partial::", 1);
            let directory = directory.clone();
            trials.push(Trial::test(name, move || prove(&directory, &filter).map_err(Into::into)));
        }
    }
    if trials.is_empty() {
        let expected = std::env::var_os("EXUVIA_TOOLS").is_some();
        let none = || Err("fixtures/partial.py made no cores".into());
        trials.push(Trial::test("partial", none).with_ignored_flag(!expected));
    }
    trials
}

fn prove(directory: &Path, filter: &Path) -> Result<(), String> {
    let text = std::fs::read(directory.join("partial.json")).map_err(|error| error.to_string())?;
    let partial: Partial = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let whole = filter.join("whole");
    let truth = told(&whole, &options(Files::InPlace, &partial, &whole, directory)?.1)?
        .ok_or("the whole core is not decoded")?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let writers = ["gcore", "kernel"].map(|writer| filter.join(writer));
    for core in writers.iter().filter(|core| core.exists()) {
        for files in [Files::InPlace, Files::Stripped, Files::AnotherBuild, Files::Absent] {
            let what = format!("{} {files:?}", core.display());
            let (_root, options) = options(files, &partial, &whole, directory)?;
            let found = told(core, &options).map_err(|error| format!("{what}: {error}"))?;
            let found = found.ok_or_else(|| format!("{what}: not decoded"))?;
            claims_are_true(&found, &truth).map_err(|error| format!("{what}: {error}"))?;
            all_is_told(&found, &truth).map_err(|error| format!("{what}: {error}"))?;
        }
        if filter.ends_with(USUAL) {
            cut_off(core, &partial, &truth, scratch.path())?;
        }
    }
    match writers.iter().all(|core| core.exists()) {
        true => same_answers(&writers, &partial),
        false => Ok(()),
    }
}

/// Where files are looked for; the directory lives as long as they are needed.
fn options(
    files: Files,
    partial: &Partial,
    whole: &Path,
    directory: &Path,
) -> Result<(Option<tempfile::TempDir>, SearchOptions), String> {
    let debug_dirs: Vec<PathBuf> = partial.root.iter().map(|root| root.join("usr/lib/debug")).collect();
    let in_place = SearchOptions { sysroot: partial.root.clone(), debug_dirs, ..SearchOptions::default() };
    if files == Files::InPlace {
        return Ok((None, in_place));
    }
    if files == Files::Absent {
        return Ok((None, SearchOptions { core_only: true, ..SearchOptions::default() }));
    }
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    let inputs = Inputs::open(whole, &in_place).map_err(|error| error.to_string())?;
    match files {
        Files::Stripped => without::strip_into(root.path(), &inputs)?,
        _ => another_build_into(root.path(), &inputs, directory)?,
    }
    let options = SearchOptions { sysroot: Some(root.path().to_owned()), ..SearchOptions::default() };
    Ok((Some(root), options))
}

/// In the place of each file of the process, an interpreter that is another; where there is none, this test's own program.
fn another_build_into(root: &Path, inputs: &Inputs, directory: &Path) -> Result<(), String> {
    let other = match another_interpreter(directory) {
        Some(file) => file,
        None => std::env::current_exe().map_err(|error| error.to_string())?,
    };
    for module in inputs.modules().iter().filter(|module| module.file().is_some()) {
        let copy = root.join(module.path.trim_start_matches('/'));
        let folder = copy.parent().ok_or("a file without a folder")?;
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink(&other, &copy).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The file with the interpreter of another directory's cores.
fn another_interpreter(directory: &Path) -> Option<PathBuf> {
    let siblings = crate::directories(directory.parent()?);
    let other = siblings.iter().find(|path| *path != directory && path.join("partial.json").exists())?;
    let core = other.join(USUAL).join("whole");
    let partial: Partial = serde_json::from_slice(&std::fs::read(other.join("partial.json")).ok()?).ok()?;
    let inputs = Inputs::open(&core, &options(Files::InPlace, &partial, &core, other).ok()?.1).ok()?;
    let runtime = Runtime::open(&inputs, None).ok()?;
    Some(inputs.modules().get(runtime.module)?.file()?.path().to_owned())
}

/// What a core tells; `None` if no interpreter is decoded.
fn told(core: &Path, options: &SearchOptions) -> Result<Option<Told>, String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let unproven = inputs.modules().iter().find_map(|module| match &module.status {
        ModuleStatus::Unverified { path, compared: false, .. } => Some(path.clone()),
        _ => None,
    });
    let Ok(mut runtime) = Runtime::open(&inputs, None) else {
        let coverage = Coverage::new(&inputs, None);
        let silent = coverage.answers.iter().any(|answer| answer.state != AnswerState::Unavailable);
        return if silent { Err("answers without an interpreter".to_owned()) } else { Ok(None) };
    };
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let graph = build_graph(&runtime, &census.objects).map_err(|error| error.to_string())?;
    let collection = collect(&runtime, &census.objects, &graph);
    let mut coverage = Coverage::new(&inputs, Some(&runtime));
    coverage.add_census(&census.figures());
    coverage.add_references(graph.figures());
    let objects = &census.objects;
    let mut told = Told {
        objects: BTreeMap::new(),
        references: BTreeMap::new(),
        garbage: collection.unreachable.iter().map(|node| objects.address(ObjectId(node))).collect(),
        states: coverage.answers.iter().map(|answer| (answer.answer, answer.state)).collect(),
        unproven,
    };
    let mut references = References::new(&runtime);
    for id in objects.ids() {
        let (address, info) = (objects.address(id), runtime.types.get(objects.type_id(id)));
        told.objects.insert(address, (info.address, objects.size(id)));
        let mut visited = Vec::new();
        let _ = references.visit(info, address, &mut |referent| {
            if referent.kind == EdgeKind::Visited {
                visited.push(referent.target);
            }
        });
        visited.sort_unstable();
        told.references.insert(address, visited);
    }
    Ok(Some(told))
}

/// Nothing that is not in the truth, and nothing called exact that is not all of it.
fn claims_are_true(found: &Told, truth: &Told) -> Result<(), String> {
    let surplus = found.objects.keys().find(|address| !truth.objects.contains_key(address));
    none(surplus, "an object that is none")?;
    let is_other = |address: &&u64| truth.objects.get(address) != found.objects.get(address);
    none(found.objects.keys().find(is_other), "another type or size of the object")?;
    for (address, visited) in &found.references {
        let all = truth.references.get(address).map_or(&[][..], Vec::as_slice);
        if !is_within(visited, all) {
            return Err(format!("references of {address:#x} that it has not"));
        }
    }
    none(found.garbage.difference(&truth.garbage).next(), "garbage that is none")?;
    for (answer, equal) in [
        ("objects", found.objects.len() == truth.objects.len()),
        ("references", found.references == truth.references),
        ("garbage", found.garbage == truth.garbage),
    ] {
        let state = found.states.get(answer).ok_or("no such answer")?;
        if *state == AnswerState::Exact && !equal {
            return Err(format!("{answer} are said to be exact and are not all"));
        }
    }
    Ok(())
}

fn none(found: Option<&u64>, what: &str) -> Result<(), String> {
    found.map_or(Ok(()), |address| Err(format!("{what}: {address:#x}")))
}

/// Whether each of `few`, sorted, is one of `all`, sorted, as often.
fn is_within(few: &[u64], all: &[u64]) -> bool {
    let mut rest = all.iter();
    few.iter().all(|wanted| rest.any(|found| found == wanted))
}

/// No filter here leaves out what the heap lies in, or what proves the files.
fn all_is_told(found: &Told, truth: &Told) -> Result<(), String> {
    let state = |answer: &str| found.states.get(answer).copied();
    let bounded = |answer: &&str| state(answer) != Some(AnswerState::Exact);
    match ["objects", "sizes", "garbage"].into_iter().find(bounded) {
        _ if found.unproven.is_some() => Err(format!("nothing proves {:?}", found.unproven)),
        Some(answer) => Err(format!("{answer}: {:?}", state(answer))),
        None if found.objects.len() != truth.objects.len() => Err("objects are missing".to_owned()),
        None => Ok(()),
    }
}

/// The core's first parts: what is decoded is true and bounded, and what is not is said to be unavailable.
fn cut_off(core: &Path, partial: &Partial, truth: &Told, scratch: &Path) -> Result<(), String> {
    let short = scratch.join("short");
    for percent in CUTS {
        let copied = Command::new("cp").arg("--sparse=always").arg(core).arg(&short).status();
        if !copied.is_ok_and(|status| status.success()) {
            return Err("cp --sparse=always".to_owned());
        }
        let file = std::fs::OpenOptions::new().write(true).open(&short).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        file.set_len(length / 100 * percent).map_err(|error| error.to_string())?;
        for files in [Files::InPlace, Files::Absent] {
            let what = format!("{} at {percent} % {files:?}", core.display());
            let (_root, options) = options(files, partial, &short, scratch)?;
            let Some(found) = told(&short, &options).map_err(|error| format!("{what}: {error}"))? else {
                continue;
            };
            claims_are_true(&found, truth).map_err(|error| format!("{what}: {error}"))?;
            if found.states.values().any(|state| *state == AnswerState::Exact) {
                return Err(format!("{what}: {:?}", found.states));
            }
        }
        says_what_would_help(&short, percent)?;
    }
    Ok(())
}

/// `info` names what is missing, how much of the memory that objects lie in is there, and what to do.
fn says_what_would_help(core: &Path, percent: u64) -> Result<(), String> {
    // It describes a core of which too little is left to decode it, and fails all the same.
    let output = program::output(&mut program::command(&["info", "--json"], core, &[]))?;
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("{}: {error}: {}", core.display(), String::from_utf8_lossy(&output.stderr))
    })?;
    let answers = report["coverage"]["answers"].to_string();
    match ["cut off", " %", "ulimit"].into_iter().find(|word| !answers.contains(word)) {
        Some(word) => Err(format!("{} at {percent} %: no {word:?} in {answers}", core.display())),
        None => Ok(()),
    }
}

/// Two cores of one process: every command's document is the same, but for who wrote the core, of what the process died,
/// and which of the kernel's own pages are in it.
fn same_answers(cores: &[PathBuf; 2], partial: &Partial) -> Result<(), String> {
    let sysroot = partial.root.iter().flat_map(|root| ["--sysroot".into(), root.into()]);
    let sysroot: Vec<OsString> = sysroot.collect();
    for command in COMMANDS {
        let [first, second] = cores;
        let (mut one, mut other) =
            (document(command, first, &sysroot)?, document(command, second, &sysroot)?);
        for report in [&mut one, &mut other] {
            without_identity(report);
        }
        if one != other {
            return Err(format!(
                "{command:?}: gcore and kernel differ: {}",
                first_difference(&one, &other, "")
            ));
        }
    }
    Ok(())
}

/// Leaves out what says which core it is.
fn without_identity(report: &mut Value) {
    if let Some(object) = report.as_object_mut() {
        object.remove("core");
    }
    report["coverage"]["memory"] = Value::Null;
    report["result"]["next"] = Value::Null;
    report["result"]["file_modified"] = Value::Null;
    forget_signals(report);
}

fn forget_signals(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("signal");
            fields.values_mut().for_each(forget_signals);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_signals),
        _ => {}
    }
}

/// Where two documents part, for people.
fn first_difference(one: &Value, other: &Value, at: &str) -> String {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let key = keys.into_iter().find(|key| a.get(*key) != b.get(*key));
            key.map_or(String::new(), |key| {
                let null = Value::Null;
                first_difference(
                    a.get(key).unwrap_or(&null),
                    b.get(key).unwrap_or(&null),
                    &format!("{at}.{key}"),
                )
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let index = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
            first_difference(&a[index], &b[index], &format!("{at}[{index}]"))
        }
        _ => format!("{at}: {one} and {other}"),
    }
}
