//! docs/supported-versions.md: what is shown for which version and build, rendered from what this repository has: committed
//! cores, the cells that `.ci/run` expects, embedded tables and facts, and what the proofs list as lost without files.
//!
//! `EXUVIA_UPDATE=1 cargo test --test matrix document` writes it anew.

use crate::cells::Origin;
use crate::untold;
use exuvia::cpython::{PyVersion, Support, embedded_tables};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/supported-versions.md";
const COMMAND: &str = "EXUVIA_UPDATE=1 cargo test --test matrix document";

/// Whether the document is to be written, not compared.
pub fn is_update() -> bool {
    std::env::var_os("EXUVIA_UPDATE").is_some()
}

/// The trial that compares the document, or writes it.
pub fn trial(root: &Path) -> Trial {
    let root = root.to_owned();
    Trial::test("document::supported-versions", move || {
        let now = Shown::of(&root)?.render();
        let path = root.join(DOCUMENT);
        if is_update() {
            return std::fs::write(&path, now).map_err(|error| format!("{}: {error}", path.display()).into());
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let first = now.lines().zip(committed.lines()).find(|(now, committed)| now != committed);
        match now == committed {
            true => Ok(()),
            false => Err(format!("{DOCUMENT} is not as of now, run `{COMMAND}`; first: {first:?}").into()),
        }
    })
}

/// A minor release with a build of it, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Build {
    minor: (u32, u32),
    /// Letters of fixtures/interpreters.py.
    letters: String,
}

impl Build {
    fn new(minor: &str, letters: &str) -> Result<Self, String> {
        let parts =
            minor.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        Ok(Self {
            minor: parts.ok_or_else(|| format!("{minor} is no release"))?,
            letters: letters.to_owned(),
        })
    }

    /// Of a cell's name, with or without the patch release, without the environment: `3.13.15t`, `3.9dtr`.
    fn of_cell(cell: &str) -> Result<Self, String> {
        let cell = cell.split('+').next().unwrap_or_default();
        let mut parts = cell.splitn(3, '.');
        let (major, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (minor, letters) = rest.split_at(digits(rest));
        let letters = match parts.next() {
            Some(patch) => {
                let patch = &patch[digits(patch)..];
                patch.strip_prefix("rc").map_or(patch, |serial| &serial[digits(serial)..])
            }
            None => letters,
        };
        Self::new(&format!("{major}.{minor}"), letters)
    }

    /// Of the name of a table or of facts: `3.13-free-threaded`.
    fn of_name(name: &str) -> Result<Self, String> {
        let (minor, flavour) = name.split_once('-').unwrap_or((name, ""));
        let letters = match flavour {
            "" => "",
            "free-threaded" => "t",
            "debug" => "d",
            "trace-refs" => "dtr",
            "count-allocs" => "counts",
            other => return Err(format!("{other} is no flavour")),
        };
        Self::new(minor, letters)
    }

    fn release(&self) -> String {
        format!("{}.{}", self.minor.0, self.minor.1)
    }

    /// Its name in words.
    fn words(&self) -> &str {
        match self.letters.as_str() {
            "" => "default (GIL)",
            "t" => "free-threaded",
            "d" => "debug",
            "dtr" => "debug, trace-refs",
            "counts" => "COUNT_ALLOCS",
            other => other,
        }
    }

    /// Whose facts serve it: those of builds whose objects have the same header.
    fn facts(&self) -> Self {
        let letters = match self.letters.as_str() {
            "" | "d" | "counts" => "",
            // From 3.13 on trace-refs builds keep their list elsewhere (Include/internal/pycore_object_state.h).
            "dtr" if self.minor > (3, 12) => "",
            other => other,
        };
        Self { minor: self.minor, letters: letters.to_owned() }
    }
}

/// What is shown of one build.
#[derive(Debug, Default)]
struct Row {
    /// Scenarios of committed cores, by cell.
    committed: BTreeMap<String, Vec<String>>,
    /// Cells that `.ci/run` expects.
    expected: Vec<String>,
    /// Releases that an embedded table is for.
    releases: Vec<String>,
}

/// Everything that the document tells.
#[derive(Debug)]
struct Shown {
    rows: BTreeMap<Build, Row>,
    facts: BTreeSet<Build>,
}

impl Shown {
    fn of(root: &Path) -> Result<Self, String> {
        let mut rows: BTreeMap<Build, Row> = BTreeMap::new();
        for directory in entries(&root.join("fixtures/cores")) {
            let Some(origin) = Origin::of(&directory) else { continue };
            let row = rows.entry(Build::new(&origin.minor(), &origin.build)?).or_default();
            let name =
                directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let cell = name.strip_suffix(&format!("-{}", origin.scenario)).unwrap_or(&name);
            row.committed.entry(cell.to_owned()).or_default().push(origin.scenario);
        }
        let script =
            std::fs::read_to_string(root.join(".ci/run")).map_err(|error| format!(".ci/run: {error}"))?;
        for cell in expected_cells(&script) {
            rows.entry(Build::of_cell(cell)?).or_default().expected.push(cell.to_owned());
        }
        for embedded in embedded_tables() {
            let table = embedded.table().map_err(|error| format!("{}: {error}", embedded.name))?;
            let groups = table.variants.iter().map(|variant| match variant.first == variant.last {
                true => variant.first.clone(),
                false => format!("{} to {}", variant.first, variant.last),
            });
            rows.entry(Build::of_name(embedded.name)?).or_default().releases.extend(groups);
        }
        let names = entries(&root.join("facts"))
            .into_iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".facts")?.to_owned()));
        let facts = names.map(|name| Build::of_name(&name)).collect::<Result<_, _>>()?;
        Ok(Self { rows, facts })
    }

    fn render(&self) -> String {
        let mut text = format!(
            "# Supported versions\n\nThis file is rendered by a test from what the repository has, and compared with it. After a \
             change of\ncommitted cores, tables, facts or `.ci/run`: `{COMMAND}`.\n\n"
        );
        text.push_str(PROOFS);
        text.push_str("| release | build | committed cores | expected live by `.ci/run` | facts | without any file |\n|---|---|---|---|---|---|\n");
        for (build, row) in &self.rows {
            let _ = writeln!(text, "| {} |", self.cells(build, row).join(" | "));
        }
        text.push_str(TABLES);
        text.push_str("| release | build | releases whose layouts are embedded, each group with its own |\n|---|---|---|\n");
        for (build, row) in self.rows.iter().filter(|(_, row)| !row.releases.is_empty()) {
            let _ =
                writeln!(text, "| {} | {} | {} |", build.release(), build.words(), row.releases.join("; "));
        }
        text.push_str(BY_NAMES);
        for (release, holds) in OTHER_RELEASES {
            let version = PyVersion::parse(release).map(PyVersion::support);
            let word = match version {
                Some(Support::Proved) => "proved",
                Some(Support::ByNames) => "by names",
                Some(Support::Unknown) | None => "refused",
            };
            let minor = release.rsplit_once('.').map_or(*release, |(minor, _)| minor);
            let _ = writeln!(text, "| {minor} | {word} | {holds} |");
        }
        text.push_str(WITHOUT_FILES);
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reason) in untold::BEYOND_MEMBERS {
            reasons.entry(reason).or_default().push(name);
        }
        for (reason, names) in reasons {
            let _ = writeln!(text, "| {} | inferred | {reason} |", code(&names));
        }
        for (module, reason) in untold::MODULES_BEYOND_MEMBERS {
            let _ = writeln!(text, "| module `{module}` | inferred | {reason} |");
        }
        let _ = writeln!(
            text,
            "| {} | inferred | of an extension that no fact tells of |",
            code(untold::OF_EXTENSIONS)
        );
        let _ = writeln!(
            text,
            "| {} | size without its items | the size of an item stands in the program |",
            code(untold::UNMEASURED)
        );
        for (name, reason) in untold::UNNAMED {
            let _ = writeln!(text, "| `{name}` | shown by where it was found | {reason} |");
        }
        text
    }

    fn cells(&self, build: &Build, row: &Row) -> [String; 6] {
        let committed =
            row.committed.iter().map(|(cell, scenarios)| format!("{cell} ({})", scenarios.join(", ")));
        let facts = self.facts.contains(&build.facts());
        let without = match (row.releases.is_empty(), facts) {
            (false, true) => "as below",
            (false, false) => "as below; references of all types made in C are inferred",
            (true, _) => "with a table of the build (`--layout`)",
        };
        [
            build.release(),
            build.words().to_owned(),
            committed.collect::<Vec<_>>().join("; "),
            row.expected.join(", "),
            if facts { "yes" } else { "no" }.to_owned(),
            without.to_owned(),
        ]
    }
}

/// Names as code, separated by commas.
fn code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The cells in the lists of a shell script: what is assigned to a variable, or after `--expect`, and begins with a release.
fn expected_cells(script: &str) -> BTreeSet<&str> {
    let lists = script.lines().filter_map(|line| line.trim().split_once('=')).map(|(_, list)| list);
    let lists = lists.map(|list| list.trim_matches(['"', '\'']));
    lists
        .filter(|list| list.starts_with("3.") && !list.contains(' '))
        .flat_map(|list| list.split(','))
        .collect()
}

fn entries(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

const PROOFS: &str = "\
## What is proved

The proofs (tests/matrix) compare with the interpreter itself, as sets and without tolerance: tracked objects, all objects with type and
size, references, reference counts, garbage, stacks with variables, the allocator's figures. They run on the committed cores everywhere,
and on cores of every interpreter with debug information that is found; `.ci/run` fails where one that it expects is not. Live cores
run three times more: with the files as `strip --strip-all` leaves them, with no file at all, and with each source of layouts alone.

Names of cells are those of fixtures/interpreters.py. *Facts*: what types made in C refer to, recorded in `facts/` for processes without
files. *Without any file*: the process is decoded from nothing but the core, with the differences that the last table lists.

";

const TABLES: &str = "
## Layouts that are embedded

From debug information (`fixtures/layouts.py`), compared again with that of every interpreter found (tests/it/layouts.rs). Where the core's own
release is in no group, a table of the same minor release is used if the process's sizes and memory prove it right, and none otherwise.
Debug builds have the layouts of default builds unless a table of their own is listed. With debug information, or a table made from it by
`exuvia layouts extract`, no embedded one is needed.

";

const BY_NAMES: &str = "
## Other releases

| release | is | what holds |
|---|---|---|
";

/// Other releases, with what was found to hold.
const OTHER_RELEASES: &[(&str, &str)] = &[
    (
        "3.6.0",
        "nothing: there is no `_PyRuntime` to begin with; the message names the release by the process's files",
    ),
    (
        "3.7.0",
        "structs are found by the names of later releases, with debug information only. All questions are answered, and the answers marked as \
         not proved: no test holds them. Tracked objects, their types, sizes and references, and the garbage were compared by hand with \
         what 3.7.16 said of one process, and are equal",
    ),
    (
        "3.16.0",
        "as of any release that is not known: `threads` with their stacks, as far as the process describes itself (3.13 and later), if the \
         threads and code found so prove it; every other question is refused by name",
    ),
];

const WITHOUT_FILES: &str = "
## What the absence of all files costs

Objects, sizes, reference counts, garbage and stacks are as with files, but for these types. *Inferred* references come from a scan of the
object's memory: they are marked, may be too many, and nothing they point to is called garbage.

| types | differ in | why |
|---|---|---|
";
