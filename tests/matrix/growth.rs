//! `diff` and `trend` tell what a program did: `fixtures/programs/grow.py` grows in known steps, and is captured after each.

use crate::cells;
use crate::program::{exuvia, output, printed};
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Steps of the first process.
const STEPS: usize = 3;
/// How much more a second process does in each step.
const SCALE: u64 = 2;

/// A trial for each interpreter that can be run here.
pub fn trials(root: &Path) -> Vec<Trial> {
    let found = cells::interpreters(root);
    let can_run = |path: &Path| {
        let output = Command::new(path).args(["-S", "-c", "import json, gc"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    found
        .into_iter()
        .filter(|(_, path)| can_run(path))
        .map(|(cell, path)| Trial::test(format!("growth::{cell}"), move || prove(&path).map_err(Into::into)))
        .collect()
}

/// A running program, with what it said last; killed at the end.
struct Program {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(interpreter: &Path, program: &str, scale: u64) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs").join(program);
        let mut command = Command::new(interpreter);
        command.args(["-S", "-s", "-B"]).arg(path).arg(scale.to_string());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{}: {error}", interpreter.display()))?;
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{error}: {line:?}"))
    }

    fn step(&mut self) -> Result<Value, String> {
        self.to.write_all(b"\n").and_then(|()| self.to.flush()).map_err(|error| error.to_string())?;
        self.answer()
    }

    fn capture(&self, to: &Path) -> Result<(), String> {
        let mut command = exuvia();
        command.args(["capture", &self.child.id().to_string(), "--level", "1", "-o"]).arg(to);
        printed(&mut command).map(drop)
    }
}

/// What was captured, each with what the interpreter said.
struct Cores {
    files: Vec<PathBuf>,
    told: Vec<Value>,
}

fn prove(interpreter: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut program = Program::start(interpreter, "grow.py", 1)?;
    let mut cores = Cores { files: Vec::new(), told: vec![program.answer()?] };
    for step in 0..=STEPS {
        if step > 0 {
            cores.told.push(program.step()?);
        }
        cores.files.push(folder.path().join(format!("step-{step}.core.zst")));
        program.capture(cores.files.last().expect("a file"))?;
    }
    drop(program);
    same_process(&cores)?;
    in_every_step(&cores)?;
    let mut other = Program::start(interpreter, "grow.py", SCALE)?;
    other.answer()?;
    cores.told.push(other.step()?);
    cores.files.push(folder.path().join("other.core.zst"));
    other.capture(&cores.files[STEPS + 1])?;
    drop(other);
    other_process(&cores)?;
    other_program(interpreter, &cores, folder.path())
}

/// The document that compares cores.
fn asked(command: &str, files: &[&PathBuf]) -> Result<Value, String> {
    let mut line = exuvia();
    line.arg(command).args(files).args(["--json", "--limit", "100000"]);
    let text = printed(&mut line)?;
    let mut document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(document["result"].take())
}

fn row<'v>(rows: &'v Value, key: &str, name: &str) -> Option<&'v Value> {
    rows.as_array()?.iter().find(|row| row[key] == name)
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The growth of all planted types is what the interpreter says, and the leak comes first.
fn changes_are_as_told(result: &Value, before: &Value, after: &Value) -> Result<(), String> {
    for (name, was) in before["types"].as_object().expect("types") {
        let is = &after["types"][name];
        let found = row(&result["types"], "type_name", name);
        if was == is {
            // Listed for what was replaced, if that is known.
            check(found.is_none_or(|row| row["growth_bytes"] == 0), || format!("{name} changed: {found:?}"))?;
            continue;
        }
        let found = found.ok_or_else(|| format!("{name} is not in the list"))?;
        let ours = [
            &found["objects_before"],
            &found["bytes_before"],
            &found["objects_after"],
            &found["bytes_after"],
        ];
        check(ours == [&was[0], &was[1], &is[0], &is[1]], || {
            format!("{name}: {found} is not {was} then {is}")
        })?;
    }
    for (path, was) in before["held"].as_object().expect("places") {
        let is = &after["held"][path];
        let found =
            row(&result["holders"], "path", path).ok_or_else(|| format!("{path} is not in the list"))?;
        check([&found["entries_before"], &found["entries_after"]] == [was, is], || {
            format!("{path}: {found} has not {was} entries, then {is}")
        })?;
    }
    let first = &result["holders"][0];
    check(first["path"] == "__main__.LEAK" && first["growth_bytes"].as_i64() > Some(0), || {
        format!("the first holder is {first}")
    })?;
    let explained = row(&result["holders"], "path", "__main__.BUS");
    check(explained.is_none(), || format!("what __main__.BUS.listeners explains is listed: {explained:?}"))
}

fn same_process(cores: &Cores) -> Result<(), String> {
    let result = asked("diff", &[&cores.files[1], &cores.files[2]])?;
    check(result["matched_by"] == "address", || format!("matched by {}", result["matched_by"]))?;
    changes_are_as_told(&result, &cores.told[1], &cores.told[2])?;
    for (name, new, gone) in
        [("__main__.Entry", 1000, 0), ("__main__.Churned", 300, 300), ("__main__.Shed", 0, 500)]
    {
        let found =
            row(&result["types"], "type_name", name).ok_or_else(|| format!("{name} is not listed"))?;
        let matched = &found["matched"];
        check(matched["new_objects"] == new && matched["gone_objects"] == gone, || {
            format!("{name}: {matched}")
        })?;
    }
    let kept = row(&result["types"], "type_name", "__main__.Kept");
    check(kept.is_none(), || format!("what was not touched is listed: {kept:?}"))?;
    let nothing = asked("diff", &[&cores.files[1], &cores.files[1]])?;
    check(nothing["types_total"] == 0 && nothing["holders_total"] == 0, || {
        format!("a core differs from itself: {nothing}")
    })
}

fn other_process(cores: &Cores) -> Result<(), String> {
    let result = asked("diff", &[&cores.files[0], &cores.files[STEPS + 1]])?;
    check(result["matched_by"] == "type_and_path" && result["matched"].is_null(), || {
        format!("matched by {}, {}", result["matched_by"], result["matched"])
    })?;
    changes_are_as_told(&result, &cores.told[0], &cores.told[STEPS + 1])
}

fn in_every_step(cores: &Cores) -> Result<(), String> {
    let files: Vec<&PathBuf> = cores.files.iter().collect();
    let result = asked("trend", &files)?;
    let entries = row(&result["types"], "name", "__main__.Entry").ok_or("Entry is not in the trend")?;
    for (step, told) in cores.told.iter().enumerate() {
        let told = &told["types"]["__main__.Entry"];
        check([&entries["counts"][step], &entries["bytes"][step]] == [&told[0], &told[1]], || {
            format!("step {step}: {entries}, not {told}")
        })?;
    }
    for name in ["__main__.Shed", "__main__.Churned", "__main__.Kept"] {
        check(row(&result["types"], "name", name).is_none(), || format!("{name} did not grow, and is told"))?;
    }
    let paths: Vec<&Value> =
        result["holders"].as_array().expect("a list").iter().map(|row| &row["name"]).collect();
    check(paths.starts_with(&[&"__main__.LEAK".into(), &"__main__.BUS.listeners".into()]), || {
        format!("the first to grow in every step are {paths:?}")
    })?;
    check(!paths.contains(&&"__main__.WAVES".into()), || "what grew in every other step is told".to_owned())
}

/// Another program is refused, unless that is asked for.
fn other_program(interpreter: &Path, cores: &Cores, folder: &Path) -> Result<(), String> {
    let other = Program::start(interpreter, "idle.py", 1)?;
    let file = folder.join("idle.core.zst");
    let mut waiting = other;
    waiting.answer()?;
    waiting.capture(&file)?;
    drop(waiting);
    for command in ["diff", "trend"] {
        let mut line = exuvia();
        let refused = output(line.arg(command).args([&cores.files[0], &file]))?;
        let said = String::from_utf8_lossy(&refused.stderr);
        check(refused.status.code() == Some(2) && said.lines().count() == 1, || {
            format!("{:?}: {said}", refused.status)
        })?;
        check(said.contains("grow.py") && said.contains("idle.py") && said.contains("--force"), || {
            said.to_string()
        })?;
        printed(exuvia().arg(command).args([&cores.files[0], &file]).arg("--force"))?;
    }
    Ok(())
}
