//! The proofs without what most interpreters in production lack: full symbol tables, and the files themselves.
//!
//! Nothing is told of the process: its layouts come from the embedded tables and what its types refer to from the embedded
//! facts. Builds that no embedded table is for have a table printed before, from the whole files; its symbols are left
//! out, and what it tells of types.

use crate::cells::Origin;
use crate::oracle::Oracle;
use crate::proofs;
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{PyVersion, Runtime, embedded_tables};
use exuvia::layout::Table;
use std::path::Path;
use std::process::Command;

/// What is left of the interpreter's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// As `strip --strip-all` leaves them.
    Stripped,
    /// Nothing.
    Absent,
}

impl Files {
    /// The trial's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stripped => "stripped",
            Self::Absent => "absent",
        }
    }
}

/// Runs the proofs on a core whose files are whole on this machine as if they were not.
pub fn prove(core: &Path, oracle: &Oracle, files: Files, search: &SearchOptions) -> Result<(), String> {
    let whole = Inputs::open(core, search).map_err(|error| error.to_string())?;
    let table = match oracle.origin().is_some_and(|origin| is_covered(&origin)) {
        true => None,
        false => {
            let runtime = Runtime::open(&whole, None).map_err(|error| error.to_string())?;
            Some(layouts_only(runtime.layout_table()))
        }
    };
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    let options = match files {
        Files::Stripped => {
            strip_into(root.path(), &whole)?;
            SearchOptions { sysroot: Some(root.path().to_owned()), ..SearchOptions::default() }
        }
        Files::Absent => SearchOptions { core_only: true, ..SearchOptions::default() },
    };
    drop(whole);
    if let (None, Some(origin)) = (&table, oracle.origin()) {
        is_of_release(core, &options, &origin)?;
    }
    proofs::prove(core, oracle, table.as_ref(), &options)
}

/// Several tables of one minor release may fit a process: the one that is used must be of its release.
fn is_of_release(core: &Path, options: &SearchOptions, origin: &Origin) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let used = runtime.layout_sources.iter().find_map(|source| source.rsplit_once(", of "));
    let (_, releases) = used.ok_or("no embedded table was used")?;
    let (first, last) = releases.split_once(" to ").unwrap_or((releases, releases));
    let [first, last, own] = [first, last, origin.version.as_str()].map(PyVersion::parse);
    let (Some(first), Some(last), Some(own)) = (first, last, own) else {
        return Err(format!("{releases}: no releases"));
    };
    match own.lies_within(first, last) {
        true => Ok(()),
        false => Err(format!("{}: layouts of {releases} were used", origin.version)),
    }
}

/// Whether an embedded layout table is for this minor release and flavour of build. A debug build of a release has the
/// layouts of the default build unless a table of its own says otherwise.
fn is_covered(origin: &Origin) -> bool {
    let minor = origin.minor();
    let has = |name: &str| embedded_tables().any(|table| table.name == name);
    match origin.build.as_str() {
        "" | "d" => has(&minor),
        "t" | "td" => has(&format!("{minor}-free-threaded")),
        "dtr" => has(&format!("{minor}-trace-refs")),
        "counts" => has(&format!("{minor}-count-allocs")),
        _ => false,
    }
}

fn layouts_only(mut table: Table) -> Table {
    table.facts.clear();
    for module in &mut table.modules {
        module.symbols.clear();
    }
    table
}

/// A stripped copy of each of the process' files below `root`.
pub fn strip_into(root: &Path, inputs: &Inputs) -> Result<(), String> {
    for module in inputs.modules() {
        let Some(file) = module.file() else { continue };
        let copy = root.join(module.path.trim_start_matches('/'));
        let folder = copy.parent().ok_or("a file without a folder")?;
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let strip = Command::new("strip").arg("--strip-all").arg("-o").arg(&copy).arg(file.path()).status();
        match strip {
            Ok(status) if status.success() => {}
            other => return Err(format!("strip {}: {other:?}", file.path().display())),
        }
    }
    Ok(())
}
