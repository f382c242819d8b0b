//! Interpreters that are not called `python`: an executable under another name, files that are deleted while the process
//! runs (as the one-file programs of PyInstaller do when they end), programs that embed libpython.
//!
//! A trial without gcc, gcore or an interpreter to build against counts as ignored, unless `EXUVIA_TOOLS` is set.

use crate::program::document;
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What each process runs, behind a line that the case puts before it.
const PROGRAM: &str = "
import os, sys
class Session:
    pass
kept = [Session() for _ in range(1000)]
def wait(depth):
    here = 'waiting'
    os.write(1, b'.')
    os.read(0, 1)
wait(1)
";

/// A program with an interpreter inside. It runs what stands in the file named by its argument.
const EMBEDDING: &str = r#"
#include <Python.h>
#include <stdio.h>
int main(int argc, char **argv) {
    Py_Initialize();
    FILE *file = fopen(argv[1], "r");
    return file == NULL || PyRun_SimpleFile(file, argv[1]);
}
"#;

/// An installation with what it takes to build against it.
#[derive(Clone, Debug)]
struct Installation {
    prefix: PathBuf,
    /// `3.12`.
    minor: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// The executable has another name.
    Renamed,
    /// The executable and libpython are deleted by the program itself.
    Deleted,
    /// A program linked to libpython.
    Dynamic,
    /// A program with libpython inside, and no symbols but those that others link to.
    StaticStripped,
}

/// A trial for each case.
pub fn trials() -> Vec<Trial> {
    let expected = std::env::var_os("EXUVIA_TOOLS").is_some();
    let tools = ["gcc", "gcore", "strip"].into_iter().all(crate::debug_files::is_installed);
    let found = if tools { installations() } else { Vec::new() };
    let trial = |(case, name): (Case, &str)| {
        let fitting = found.iter().find(|installation| case.fits(installation)).cloned();
        let ignored = fitting.is_none() && !expected;
        let run = move || match &fitting {
            Some(installation) => prove(case, installation).map_err(Into::into),
            None => Err("no gcc, gcore, strip or CPython with its headers and library".into()),
        };
        Trial::test(format!("embedded::{name}"), run).with_ignored_flag(ignored)
    };
    let cases = [
        (Case::Renamed, "renamed"),
        (Case::Deleted, "deleted"),
        (Case::Dynamic, "dynamic"),
        (Case::StaticStripped, "static-stripped"),
    ];
    cases.into_iter().map(trial).collect()
}

/// Installations below pyenv, `$PYTHONS` and the usual prefixes, with headers.
fn installations() -> Vec<Installation> {
    let variable = |name: &str, default: &str| {
        std::env::var_os(name).map_or_else(|| PathBuf::from(default), PathBuf::from)
    };
    let home = variable("HOME", "/");
    let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let mut prefixes = crate::directories(&pyenv.join("versions"));
    prefixes.extend(crate::directories(&variable("PYTHONS", "/opt/pythons")));
    prefixes.extend(["/usr/local", "/usr"].map(PathBuf::from));
    let of_prefix = |prefix: &PathBuf| {
        let minors = crate::MINORS.iter().filter(|minor| {
            prefix.join(format!("include/python{minor}/Python.h")).exists()
                && prefix.join(format!("bin/python{minor}")).exists()
        });
        minors
            .map(|minor| Installation { prefix: prefix.clone(), minor: (*minor).to_owned() })
            .collect::<Vec<_>>()
    };
    prefixes.iter().flat_map(of_prefix).collect()
}

impl Installation {
    fn executable(&self) -> PathBuf {
        self.prefix.join(format!("bin/python{}", self.minor))
    }

    fn shared(&self) -> PathBuf {
        self.prefix.join(format!("lib/libpython{}.so.1.0", self.minor))
    }

    fn archive(&self) -> PathBuf {
        self.prefix.join(format!("lib/libpython{}.a", self.minor))
    }
}

impl Case {
    fn fits(self, installation: &Installation) -> bool {
        match self {
            Self::Renamed => true,
            Self::Deleted | Self::Dynamic => installation.shared().exists(),
            Self::StaticStripped => installation.archive().exists() && !installation.shared().exists(),
        }
    }
}

fn prove(case: Case, installation: &Installation) -> Result<(), String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let at = |name: &str| scratch.path().join(name);
    let program = at("billing");
    let mut first = String::new();
    match case {
        Case::Renamed => copy(&installation.executable(), &program)?,
        Case::Deleted => {
            copy(&installation.executable(), &program)?;
            let library = at(&format!("libpython{}.so.1.0", installation.minor));
            copy(&installation.shared(), &library)?;
            first = format!("import os\nos.unlink({:?})\nos.unlink({program:?})\n", library);
        }
        Case::Dynamic => {
            compile(installation, scratch.path(), &["-L", &text(&installation.prefix.join("lib"))])?
        }
        Case::StaticStripped => {
            compile(installation, scratch.path(), &["-Wl,-export-dynamic"])?;
            tool(scratch.path(), &["strip", "--strip-all", "billing"])?;
        }
    }
    std::fs::write(at("app.py"), first + PROGRAM).map_err(|error| error.to_string())?;
    let core = take_core(&program, installation, scratch.path())?;
    tells_all(&core, case)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

fn compile(installation: &Installation, directory: &Path, flags: &[&str]) -> Result<(), String> {
    std::fs::write(directory.join("billing.c"), EMBEDDING).map_err(|error| error.to_string())?;
    let include =
        format!("-I{}", text(&installation.prefix.join(format!("include/python{}", installation.minor))));
    let library = match installation.shared().exists() {
        true => format!("-lpython{}", installation.minor),
        false => text(&installation.archive()),
    };
    let own = ["gcc", "-O1", "-o", "billing", "billing.c", &include];
    tool(directory, &[&own[..], flags, &[&library, "-lm", "-ldl", "-lpthread", "-lutil"]].concat())
}

fn tool(directory: &Path, line: &[&str]) -> Result<(), String> {
    let (tool, arguments) = line.split_first().ok_or("no tool")?;
    let output = Command::new(tool).args(arguments).current_dir(directory).output();
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn take_core(program: &Path, installation: &Installation, directory: &Path) -> Result<PathBuf, String> {
    let libraries = format!("{}:{}", text(directory), text(&installation.prefix.join("lib")));
    let mut process = Command::new(program)
        .arg(directory.join("app.py"))
        .env_clear()
        .env("PYTHONHOME", &installation.prefix)
        .env("LD_LIBRARY_PATH", libraries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut ready = [0];
    let read = process.stdout.as_mut().map(|output| output.read_exact(&mut ready));
    let pid = process.id().to_string();
    let taken = match read {
        Some(Ok(())) => tool(directory, &["gcore", "-o", "core", &pid]),
        _ => Err("the program does not run".to_owned()),
    };
    // It ends by itself when nobody writes to it any more, and a process that has ended cannot be killed.
    let _ = process.kill();
    let _ = process.wait();
    taken.map(|()| directory.join(format!("core.{pid}")))
}

/// The objects that the program made, its stack and locals; all of it exact as far as the files are there.
fn tells_all(core: &Path, case: Case) -> Result<(), String> {
    let types = document(&["types", "--filter", "__main__.Session"], core, &[])?;
    equal(&types["result"]["objects"], &Value::from(1000), "sessions")?;
    let threads = document(&["threads", "--values"], core, &[])?;
    let frame = &threads["result"]["threads"][0]["frames"][0];
    equal(&frame["function"], &Value::from("wait"), "the innermost frame")?;
    let here = frame["locals"].as_array().into_iter().flatten().find(|local| local["name"] == "here");
    equal(&here.map_or(Value::Null, |local| local["value"].clone()), &Value::from("'waiting'"), "the local")?;
    let overview = document(&["overview"], core, &[])?;
    for answer in overview["coverage"]["answers"].as_array().into_iter().flatten() {
        let needs_code = matches!(answer["answer"].as_str(), Some("sizes" | "references" | "garbage"));
        if case != Case::Deleted || !needs_code {
            equal(&answer["state"], &Value::from("exact"), &answer.to_string())?;
        }
    }
    let info = document(&["info"], core, &[])?;
    let modules = info["result"]["modules"].as_array().ok_or("no modules")?;
    let python = modules.iter().find(|module| module["is_python"] == true).ok_or("no Python")?;
    let status = if case == Case::Deleted { "missing" } else { "matched" };
    equal(&python["status"], &Value::from(status), "the file with the interpreter")
}

fn equal(found: &Value, expected: &Value, what: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
}
