//! Which cell of the table of versions and builds a directory of `fixtures/make.py` is of, which cells are asked for, and
//! which interpreters there are.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `origin.json`: which interpreter a core is of, and how it was run.
#[derive(Clone, Debug, Deserialize)]
pub struct Origin {
    /// The cell's name (fixtures/interpreters.py): version, build and environment.
    pub cell: String,
    pub version: String,
    /// Letters for what the build has besides the default: `t`, `d`, `tr`, `counts`.
    pub build: String,
    /// What the environment had besides `PYTHONHASHSEED`.
    pub environment: BTreeMap<String, String>,
    /// The program that was run.
    pub scenario: String,
    /// The root file system the interpreter was run in, if not ours.
    pub root: Option<PathBuf>,
}

impl Origin {
    /// That of a directory, if it is one of `fixtures/make.py`.
    pub fn of(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join("origin.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", directory.display())))
    }

    /// The value of `PYTHONMALLOC` that says where memory came from (Objects/obmalloc.c, `_PyMem_SetupAllocators`).
    pub fn allocator(&self) -> String {
        let own = if self.build.starts_with('t') { "mimalloc" } else { "pymalloc" };
        match self.environment.get("PYTHONMALLOC").map(String::as_str) {
            Some("debug") => format!("{own}_debug"),
            Some(named) => named.to_owned(),
            None if self.build.contains('d') => format!("{own}_debug"),
            None => own.to_owned(),
        }
    }

    /// The minor version: `3.13`.
    pub fn minor(&self) -> String {
        self.version.split('.').take(2).collect::<Vec<_>>().join(".")
    }

    /// The cell without the patch release: `3.13t`, `3.12+debug`.
    pub fn kind(&self) -> String {
        let environment = self.cell.strip_prefix(&format!("{}{}", self.version, self.build));
        format!("{}{}{}", self.minor(), self.build, environment.unwrap_or_default())
    }
}

/// Cells and executables that `fixtures/interpreters.py` lists.
pub fn interpreters(root: &Path) -> Vec<(String, PathBuf)> {
    let listed = Command::new("python3").arg(root.join("fixtures/interpreters.py")).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line =
        |line: &str| line.split_once(' ').map(|(cell, path)| (cell.to_owned(), PathBuf::from(path.trim())));
    text.lines().filter_map(line).collect()
}

/// What `EXUVIA_EXPECT` asks for and no directory is of. It lists cells, with or without the patch release.
pub fn missing(expected: &str, found: &[Origin]) -> Vec<String> {
    let asked = expected.split(',').map(str::trim).filter(|cell| !cell.is_empty());
    asked
        .filter(|&asked| !found.iter().any(|origin| origin.cell == asked || origin.kind() == asked))
        .map(str::to_owned)
        .collect()
}
