//! `exuvia capture` on processes that are alive: what is captured is whole, and the process does not notice.
//!
//! The process is `fixtures/programs/busy.py`, which checks each of its own waits. Trials are ignored where no interpreter is
//! found or the system lets nobody trace a process of the same user.

use crate::cells;
use crate::program::{self, printed};
use exuvia::analysis::collect;
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{AllocatorKind, Runtime};
use exuvia::heap::{build_graph, census};
use exuvia::report::Coverage;
use libtest_mimic::Trial;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Captures in a row of a build with a GIL, and of one without.
const CAPTURES: usize = 100;
const CAPTURES_FREE_THREADED: usize = 25;
/// Captures that are killed.
const KILLS: u32 = 20;
/// Processes that end while they are captured.
const ENDS: u32 = 10;
/// How long something may take that takes a moment, on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(120);
/// Reports that are compared with those of gcore's core.
const COMPARED: [&[&str]; 4] =
    [&["overview"], &["types", "--limit", "100000"], &["threads", "--values"], &["suspects"]];

type Proof = fn(&Path) -> Result<(), String>;

/// All trials: the newest default build and the newest free-threaded one.
pub fn trials(root: &Path) -> Vec<Trial> {
    const PROOFS: [(&str, Proof); 4] = [
        ("busy", |interpreter| captured_again_and_again(interpreter, CAPTURES)),
        ("gcore", same_answers_as_gcore),
        ("killed", killed_captures_leave_nothing),
        ("ended", processes_that_end_are_told),
    ];
    let found = cells::interpreters(root);
    let newest = |free_threaded: bool| {
        let of_kind = |cell: &str| {
            let (release, build) = cell.split_at(cell.find(char::is_alphabetic).unwrap_or(cell.len()));
            !release.is_empty() && build == if free_threaded { "t" } else { "" }
        };
        found.iter().rev().find(|(cell, path)| of_kind(cell) && can_run(path)).cloned()
    };
    let kinds = [("default", newest(false)), ("free-threaded", newest(true))];
    let allowed = kinds.iter().flat_map(|(_, found)| found).next().is_some_and(|(_, path)| may_capture(path));
    let mut trials = Vec::new();
    for (kind, interpreter) in kinds {
        for (name, mut proof) in PROOFS {
            if (kind, name) == ("free-threaded", "busy") {
                proof = |interpreter| captured_again_and_again(interpreter, CAPTURES_FREE_THREADED);
            }
            let lacks = name == "gcore" && Command::new("gcore").arg("--help").output().is_err();
            trials.push(match &interpreter {
                Some((cell, path)) if allowed && !lacks => {
                    let path = path.clone();
                    Trial::test(format!("capture::{name}-{cell}"), move || proof(&path).map_err(Into::into))
                }
                _ => Trial::test(format!("capture::{name}-{kind}"), || Ok(())).with_ignored_flag(true),
            });
        }
    }
    trials
}

fn can_run(interpreter: &Path) -> bool {
    let output = Command::new(interpreter).args(["-c", "import select, socket, subprocess"]).output();
    output.is_ok_and(|output| output.status.success())
}

fn may_capture(interpreter: &Path) -> bool {
    let Ok(scene) = Scene::new() else { return false };
    let Ok(target) = scene.start(interpreter, &["-c", "import time; time.sleep(600)"]) else { return false };
    let output = scene.capture(&target, "probe", &["--raw"]).output();
    output.is_ok_and(|output| !String::from_utf8_lossy(&output.stderr).contains("may not be captured"))
}

/// A directory for one trial.
struct Scene {
    directory: tempfile::TempDir,
}

/// A process that is captured; killed at the end.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scene {
    fn new() -> Result<Self, String> {
        Ok(Self { directory: tempfile::tempdir().map_err(|error| error.to_string())? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self, interpreter: &Path, arguments: &[&str]) -> Result<Target, String> {
        let mut command = Command::new(interpreter);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Target).map_err(|error| format!("{}: {error}", interpreter.display()))
    }

    /// A process under load, once all its threads have done something.
    fn busy(&self, interpreter: &Path) -> Result<Busy, String> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs/busy.py");
        let progress = self.path("progress");
        let arguments = [program.as_os_str(), "100000".as_ref(), progress.as_os_str()];
        let mut command = Command::new(interpreter);
        let child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut busy = Busy { target: Target(child.map_err(|error| error.to_string())?), progress };
        busy.advance()?;
        Ok(busy)
    }

    fn capture(&self, target: &Target, name: &str, options: &[&str]) -> Command {
        let mut command = program::exuvia();
        command.arg("capture").arg(target.0.id().to_string()).args(options);
        command.arg("-o").arg(self.path(name)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A running `busy.py`.
struct Busy {
    target: Target,
    progress: PathBuf,
}

impl Busy {
    /// How often each thread has done its work; fails if one of them has seen something wrong.
    fn steps(&self) -> Result<Vec<u64>, String> {
        let text = std::fs::read_to_string(&self.progress).unwrap_or_default();
        let mut lines = text.lines();
        let Some(totals) = lines.next() else { return Ok(Vec::new()) };
        if totals.split(' ').nth(2) != Some("0") {
            return Err(format!("the process noticed: {text}"));
        }
        let count = |line: &str| line.rsplit(' ').next()?.parse().ok();
        Ok(lines.filter_map(count).collect())
    }

    /// Waits until every thread has gone on.
    fn advance(&mut self) -> Result<(), String> {
        let before = self.steps()?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.target.0.try_wait() {
                return Err(format!("the process ended: {status}"));
            }
            let now = self.steps()?;
            let each = before.iter().copied().chain(std::iter::repeat(0)).zip(&now);
            if !now.is_empty() && each.into_iter().all(|(before, &now)| now > before) {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        Err(format!("some thread stands still: {before:?}, then {:?}", self.steps()?))
    }

    /// Lets it end by itself, which it does only if each of its threads still does what it should.
    fn end(mut self) -> Result<(), String> {
        self.signal("-TERM")?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.target.0.try_wait() {
                self.steps()?;
                let text = std::fs::read_to_string(&self.progress).unwrap_or_default();
                return match status.success() && text.ends_with("done\n") {
                    true => Ok(()),
                    false => Err(format!("the process ended with {status}: {text}")),
                };
            }
            sleep(Duration::from_millis(20));
        }
        Err("the process did not end when told to".to_owned())
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        let sent = Command::new("kill").arg(signal).arg(self.target.0.id().to_string()).status();
        sent.ok().filter(|status| status.success()).map(drop).ok_or_else(|| format!("kill {signal} failed"))
    }

    /// Whether a thread stands still because somebody traces it.
    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.target.0.id()));
        let state = |path: PathBuf| {
            let text = std::fs::read_to_string(path.join("stat")).ok()?;
            text.rsplit_once(") ")?.1.chars().next()
        };
        tasks.into_iter().flatten().flatten().any(|task| matches!(state(task.path()), Some('t' | 'T')))
    }
}

/// Many captures of a process under load: each is whole and consistent, and the process does not notice.
fn captured_again_and_again(interpreter: &Path, captures: usize) -> Result<(), String> {
    let scene = Scene::new()?;
    let mut busy = scene.busy(interpreter)?;
    for number in 0..captures {
        let at = |error| format!("capture {number}: {error}");
        // Now as a whole, now as a heap to keep.
        let options: &[&str] =
            if number % 10 == 9 { &["--force", "--level", "1"] } else { &["--force", "--raw"] };
        printed(&mut scene.capture(&busy.target, "core", options)).map_err(at)?;
        is_consistent(&scene.path("core")).map_err(at)?;
        busy.steps().map_err(at)?;
    }
    let show = ["show", "__main__.KEPT[\"answer\"]", "--json"];
    let shown = printed(&mut program::command(&show, &scene.path("core"), &[]))?;
    if !shown.contains("42") {
        return Err(format!("the answer is not 42: {shown}"));
    }
    busy.advance()?;
    busy.end()
}

/// What must hold of a heap that was captured at any moment: each thread that may change it may be in the middle of one change
/// (a block half allocated, an object half linked), and no more.
fn is_consistent(core: &Path) -> Result<(), String> {
    let inputs = Inputs::open(core, &SearchOptions::default()).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let mut coverage = Coverage::new(&inputs, Some(&runtime));
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    coverage.add_census(&census.figures());
    let graph = build_graph(&runtime, &census.objects).map_err(|error| error.to_string())?;
    coverage.add_references(graph.figures());
    collect(&runtime, &census.objects, &graph);
    let threads = inputs.notes().threads.len() as u64;
    let (Some(python), Some(heap), Some(references)) =
        (&coverage.python, &coverage.census, &coverage.references)
    else {
        return Err("no coverage of the heap".to_owned());
    };
    // With a GIL, one thread at a time changes the heap.
    let in_flight = if census.allocator == AllocatorKind::Mimalloc { threads } else { 1 };
    let moving = python.collecting;
    let facts = [
        ("memory that the process can write to is missing", coverage.memory.missing_writable_bytes == 0),
        ("it is cut off", coverage.truncated.is_none() && coverage.notes_complete),
        ("files were not found", coverage.modules.missing + coverage.modules.refused == 0),
        ("lists of the collector are broken", moving || python.broken_lists.len() as u64 <= in_flight),
        ("lists of the collector have what is no object", moving || heap.unknown_list_entries <= in_flight),
        ("pools are damaged", heap.damaged_pools <= in_flight),
        ("objects cannot be read", heap.unreadable_objects <= in_flight),
        ("references lead nowhere", references.dangling <= in_flight),
        ("threads are missing", threads >= 10),
        ("the heap is too small", heap.objects > 10_000),
    ];
    let broken: Vec<&str> = facts.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what).collect();
    match broken.is_empty() {
        true => Ok(()),
        false => {
            Err(format!("{}: {heap:?} {references:?} {python:?} {:?}", broken.join(", "), coverage.memory))
        }
    }
}

/// A process that stands still has one heap, whoever takes it.
fn same_answers_as_gcore(interpreter: &Path) -> Result<(), String> {
    let scene = Scene::new()?;
    let mut busy = scene.busy(interpreter)?;
    busy.signal("-STOP")?;
    while !busy.is_stopped() {
        sleep(Duration::from_millis(5));
    }
    printed(&mut scene.capture(&busy.target, "before", &["--raw"]))?;
    printed(Command::new("gcore").arg("-o").arg(scene.path("gcore")).arg(busy.target.0.id().to_string()))?;
    printed(&mut scene.capture(&busy.target, "after", &["--raw"]))?;
    printed(&mut scene.capture(&busy.target, "saved", &["--level", "1"]))?;
    if !busy.is_stopped() {
        return Err("the process was stopped before, and is not any more".to_owned());
    }
    busy.signal("-CONT")?;
    let gcore = scene.path(&format!("gcore.{}", busy.target.0.id()));
    for command in COMPARED {
        let expected = answer(&gcore, command)?;
        for name in ["before", "after", "saved"] {
            let found = answer(&scene.path(name), command)?;
            if found != expected {
                return Err(format!(
                    "{command:?} of the capture {name} differs from gcore's:\n{found}\n\n{expected}"
                ));
            }
        }
    }
    busy.advance()?;
    busy.end()
}

/// A command's document without what tells one file from another.
fn answer(core: &Path, command: &[&str]) -> Result<Value, String> {
    let mut document = program::document(command, core, &[])?;
    document["core"] = Value::Null;
    // gcore has the untouched pages that it makes the kernel provide.
    document["coverage"]["memory"] = Value::Null;
    document["result"]["next"] = Value::Null;
    Ok(document)
}

/// A capture that is killed, whenever that is, leaves no file, and the process runs on.
fn killed_captures_leave_nothing(interpreter: &Path) -> Result<(), String> {
    let scene = Scene::new()?;
    let mut busy = scene.busy(interpreter)?;
    let begun = Instant::now();
    printed(&mut scene.capture(&busy.target, "whole", &["--raw", "--force"]))?;
    let whole = begun.elapsed();
    let mut killed = 0;
    for number in 0..KILLS {
        let name = format!("killed-{number}");
        let mut child =
            scene.capture(&busy.target, &name, &["--raw"]).spawn().map_err(|error| error.to_string())?;
        sleep(whole * number / KILLS);
        child.kill().map_err(|error| error.to_string())?;
        let status = child.wait().map_err(|error| error.to_string())?;
        let left: Vec<_> = std::fs::read_dir(scene.directory.path())
            .map_err(|error| error.to_string())?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|found| found.contains("killed"))
            .collect();
        match status.success() {
            true => std::fs::remove_file(scene.path(&name)).map_err(|error| format!("{name}: {error}"))?,
            false if left.is_empty() => killed += 1,
            // It has its name when it is whole, a moment before the program ends.
            false if left == [name.as_str()] => {
                is_consistent(&scene.path(&name))?;
                std::fs::remove_file(scene.path(&name)).map_err(|error| format!("{name}: {error}"))?;
            }
            false => return Err(format!("a killed capture left {left:?}")),
        }
        let begun = Instant::now();
        while busy.is_stopped() {
            if begun.elapsed() > PATIENCE {
                return Err("a killed capture left the process standing still".to_owned());
            }
        }
        busy.advance()?;
    }
    if killed < KILLS / 2 {
        return Err(format!("only {killed} of {KILLS} captures were killed before they were done"));
    }
    busy.end()
}

/// When the process ends meanwhile, that is said in one line, and nothing is written.
fn processes_that_end_are_told(interpreter: &Path) -> Result<(), String> {
    const PROGRAM: &str = "import time; kept = bytearray(100 << 20); print(1, flush=True); time.sleep(600)";
    let scene = Scene::new()?;
    let mut told = 0;
    for number in 0..ENDS {
        let mut target = scene.start(interpreter, &["-c", PROGRAM])?;
        let resident = format!("/proc/{}/statm", target.0.id());
        let pages = || std::fs::read_to_string(&resident).ok()?.split(' ').nth(1)?.parse::<u64>().ok();
        while pages().is_some_and(|pages| pages < (100 << 20) / 4096) {
            sleep(Duration::from_millis(5));
        }
        let name = format!("ended-{number}");
        let child = scene.capture(&target, &name, &["--raw"]).spawn().map_err(|error| error.to_string())?;
        sleep(Duration::from_millis(u64::from(number) * 15));
        target.0.kill().map_err(|error| error.to_string())?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => is_whole(&scene.path(&name))?,
            Some(2) if message.lines().count() == 1 && !scene.path(&name).exists() => told += 1,
            _ => return Err(format!("{name}: {}: {message}", output.status)),
        }
    }
    if told == 0 {
        return Err("no process ended in time".to_owned());
    }
    Ok(())
}

/// Whether a core has all that its headers promise.
fn is_whole(core: &Path) -> Result<(), String> {
    let inputs = Inputs::open(core, &SearchOptions::default()).map_err(|error| error.to_string())?;
    match inputs.core().truncation() {
        None => Ok(()),
        Some(truncation) => Err(format!("{}: {truncation:?}", core.display())),
    }
}
