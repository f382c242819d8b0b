//! From options to an opened core: what every command begins with.

use super::alive::Alive;
use super::args::Common;
use super::kept_index::KeptIndex;
use super::output::Progress;
use crate::analysis::{
    Collection, Heap, Holders, Retention, Roots, Suspects, Thresholds, collect, retained_by_suspects,
    suspects,
};
use crate::corefile::{Inputs, ModuleStatus, SearchOptions};
use crate::cpython::{Known, Outline, PythonError, Runtime};
use crate::heap::{Census, Counted, HeapGraph, build_graph, census};
use crate::index::Index;
use crate::layout::{Origin, Table};
use crate::report::{CoreIdentity, Coverage};
use anyhow::{Context, anyhow, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Files of one run. Owns every mapping; the rest borrows from it.
#[derive(Debug)]
pub struct Opened {
    /// Core and modules.
    pub inputs: Inputs,
    /// The layout table that was given.
    pub table: Option<Table>,
    /// The only source of layouts to use, if one was named.
    pub source: Option<Origin>,
    /// What earlier commands have kept of this core, and where more is kept.
    pub kept: KeptIndex,
    /// Tells the user what is being done.
    pub progress: Progress,
}

/// A decoded interpreter, and what can be said about it so far.
#[derive(Debug)]
pub struct Session<'core> {
    /// The files it is read from.
    pub inputs: &'core Inputs,
    /// The interpreter.
    pub runtime: Runtime<'core>,
    /// Which core it is from.
    pub identity: CoreIdentity,
    /// How much of it can be read.
    pub coverage: Coverage,
    /// What earlier commands have kept of this core.
    pub kept: &'core KeptIndex,
    /// Tells the user what is being done.
    pub progress: &'core mut Progress,
}

impl Opened {
    /// Opens the core and finds the files of its modules.
    ///
    /// # Errors
    /// The core or the layout table cannot be used.
    pub fn open(core: &Path, common: &Common) -> anyhow::Result<Self> {
        let mut progress = Progress::new(common.verbose);
        let table = common.layout.as_deref().map(read_table).transpose()?;
        let options = SearchOptions {
            exe: common.exe.clone(),
            sysroot: common.sysroot.clone(),
            debug_dirs: common.debug_dir.clone(),
            core_only: common.core_only,
            debuginfod_caches: debuginfod_caches(&|name| std::env::var_os(name)),
        };
        check_exists(common)?;
        progress.phase("opening the core and its modules");
        let inputs = Inputs::open(core, &options)?;
        if let Some(refusal) = wrong_executable(&inputs, common) {
            bail!(refusal);
        }
        let source = common.layouts.map(Origin::from);
        let kept = KeptIndex::new(core, common, &inputs, table.as_ref(), source);
        Ok(Self { inputs, table, source, kept, progress })
    }

    /// Decodes the interpreter.
    ///
    /// # Errors
    /// There is none, or nothing tells how to decode it; then with what can be asked all the same.
    pub fn session(&mut self) -> anyhow::Result<Session<'_>> {
        let known = self.kept.open(&mut self.inputs);
        let Self { inputs, table, source, kept, progress } = self;
        let inputs: &Inputs = inputs;
        decode(inputs, table.as_ref(), *source, kept, &known, progress).map_err(
            |problem| match Outline::read(inputs) {
                Some(_) => anyhow!("{problem}; `exuvia threads` tells its stacks all the same"),
                None => problem.into(),
            },
        )
    }

    /// As [`Self::session`], without that advice.
    ///
    /// # Errors
    /// There is none, or nothing tells how to decode it.
    pub fn decode(&mut self) -> Result<Session<'_>, PythonError> {
        let known = self.kept.open(&mut self.inputs);
        decode(&self.inputs, self.table.as_ref(), self.source, &self.kept, &known, &mut self.progress)
    }
}

fn decode<'core>(
    inputs: &'core Inputs,
    table: Option<&'core Table>,
    source: Option<Origin>,
    kept: &'core KeptIndex,
    known: &Known,
    progress: &'core mut Progress,
) -> Result<Session<'core>, PythonError> {
    progress.phase("decoding the interpreter");
    let runtime = Runtime::open_known(inputs, table, source, known)?;
    kept.fits(&runtime);
    let identity = CoreIdentity::new(inputs, Some(&runtime));
    let coverage = Coverage::new(inputs, Some(&runtime));
    Ok(Session { inputs, runtime, identity, coverage, kept, progress })
}

impl Session<'_> {
    /// Counts all objects.
    ///
    /// # Errors
    /// The allocator's state cannot be found.
    pub fn census(&mut self) -> anyhow::Result<Census> {
        self.progress.phase("counting objects");
        let census = census(&mut self.runtime)?;
        self.coverage.add_census(&census.figures());
        Ok(census)
    }

    /// The objects, as an earlier command has counted them, else counted now: for who needs no figures of the allocators.
    ///
    /// # Errors
    /// As of [`Self::census`].
    pub fn objects(&mut self) -> anyhow::Result<Counted> {
        match self.kept.get(Index::counted) {
            Some(counted) => {
                self.coverage.add_census(&counted.figures());
                Ok(counted)
            }
            None => Ok(self.census()?.counted),
        }
    }

    /// All references.
    ///
    /// # Errors
    /// There are too many objects.
    pub fn graph(&mut self, counted: &Counted) -> anyhow::Result<HeapGraph> {
        self.progress.phase("following references");
        let graph = match self.kept.get(Index::graph) {
            Some(graph) => graph,
            None => build_graph(&self.runtime, &counted.objects)?,
        };
        self.coverage.add_references(graph.figures());
        Ok(graph)
    }

    /// What the cycle detector finds.
    pub fn collect(&mut self, counted: &Counted, graph: &HeapGraph) -> Collection {
        self.progress.phase("looking for garbage");
        let kept = self.kept.get(|index| index.garbage(&self.runtime, counted));
        kept.unwrap_or_else(|| collect(&self.runtime, &counted.objects, graph))
    }

    /// All roots.
    pub fn roots(&mut self, counted: &Counted, graph: &HeapGraph, garbage: &Collection) -> Roots {
        self.progress.phase("looking for roots");
        let heap = Heap { runtime: &self.runtime, objects: &counted.objects, graph };
        let kept = self.kept.get(|index| index.roots(heap, garbage));
        kept.unwrap_or_else(|| Roots::find(heap, garbage))
    }

    /// The best path to every object.
    pub fn holders(&mut self, counted: &Counted, graph: &HeapGraph, roots: &Roots) -> Holders {
        self.progress.phase("looking for paths");
        let heap = Heap { runtime: &self.runtime, objects: &counted.objects, graph };
        let kept = self.kept.get(|index| index.holders(counted));
        kept.unwrap_or_else(|| Holders::search(heap, roots, None))
    }

    /// All roots, and what every live object retains: one search finds both.
    pub fn retention(
        &mut self,
        counted: &Counted,
        graph: &HeapGraph,
        garbage: &Collection,
    ) -> (Roots, Retention) {
        self.progress.phase("measuring what each object retains");
        let heap = Heap { runtime: &self.runtime, objects: &counted.objects, graph };
        let kept = self.kept.get(|index| Ok((index.roots(heap, garbage)?, index.retention(counted)?)));
        kept.unwrap_or_else(|| Retention::with_roots(heap, garbage))
    }

    /// Looks for what to look at first.
    pub fn suspects(
        &mut self,
        counted: &Counted,
        graph: &HeapGraph,
        alive: &Alive,
        thresholds: &Thresholds,
    ) -> Suspects {
        self.progress.phase("looking for suspects");
        let heap = Heap { runtime: &self.runtime, objects: &counted.objects, graph };
        let mut found = suspects(heap, &alive.roots, &alive.garbage, thresholds);
        retained_by_suspects(heap, &alive.roots, &alive.retention, &mut found);
        found
    }
}

/// Refuses the program named with `--exe` if it is another build than the process ran.
fn wrong_executable(inputs: &Inputs, common: &Common) -> Option<String> {
    let named = common.exe.as_deref()?;
    let module = inputs.executable()?;
    let instead = match &module.status {
        ModuleStatus::Matched { path } | ModuleStatus::Unverified { path, .. } if path == named => {
            return None;
        }
        ModuleStatus::Matched { path } | ModuleStatus::Unverified { path, .. } => {
            format!("without --exe, {} is used", path.display())
        }
        _ => "name the build that has this build-id, or leave --exe out".to_owned(),
    };
    let build_id = module.build_id.as_ref().map_or(String::new(), |id| format!(" (build-id {id})"));
    Some(format!(
        "--exe {} is not the program of this core, {}{build_id}: refused; {instead}",
        named.display(),
        module.path
    ))
}

/// Where a debuginfod client keeps its files (elfutils, debuginfod_find_debuginfo(3), "CACHE"): only what it has downloaded
/// before is used. `variable` gives a variable of the environment.
fn debuginfod_caches(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(only) = set("DEBUGINFOD_CACHE_PATH") {
        return vec![only];
    }
    let home = set("HOME");
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
    let current = cache.map(|cache| cache.join("debuginfod_client"));
    current.into_iter().chain(home.map(|home| home.join(".debuginfod_client_cache"))).collect()
}

/// A misspelt directory would only show as modules that are not found.
fn check_exists(common: &Common) -> anyhow::Result<()> {
    let named = [("--exe", common.exe.as_ref()), ("--sysroot", common.sysroot.as_ref())];
    let dirs = common.debug_dir.iter().map(|dir| ("--debug-dir", Some(dir)));
    for (option, path) in named.into_iter().chain(dirs) {
        if let Some(path) = path
            && let Err(error) = std::fs::metadata(path)
        {
            anyhow::bail!("{option} {}: {error}; check the path", path.display());
        }
    }
    Ok(())
}

fn read_table(path: &Path) -> anyhow::Result<Table> {
    let advice = "write one with `exuvia layouts extract`";
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the layout table {}; {advice}", path.display()))?;
    Table::parse(&text).with_context(|| format!("{} is no layout table; {advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_of_debuginfod_is_where_its_clients_put_it() {
        let caches = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            debuginfod_caches(&variable).iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(caches(&[]), Vec::<String>::new());
        let old = "/h/.debuginfod_client_cache";
        assert_eq!(caches(&[("HOME", "/h")]), ["/h/.cache/debuginfod_client", old]);
        assert_eq!(caches(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), ["/x/debuginfod_client", old]);
        assert_eq!(caches(&[("HOME", "/h"), ("DEBUGINFOD_CACHE_PATH", "/d")]), ["/d"]);
    }
}
