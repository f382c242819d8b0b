//! `index`: works out what later commands need, and keeps it.

use super::alive::Alive;
use super::args::{Common, CoreArgument};
use super::output::say;
use super::session::{Opened, Session};
use crate::analysis::{Heap, Holders, TypeGroups, retained_by_types};
use crate::heap::{Counted, HeapGraph};
use crate::index::{Contents, IndexError};
use crate::report::index::IndexReport;
use std::path::PathBuf;

/// Smaller heaps are analysed in less time than anybody notices: no index is kept of them unless it is asked for.
const LEAST_OBJECTS: usize = 1_000_000;

/// `index`.
///
/// # Errors
/// The core cannot be decoded, or no index be written.
pub fn index(arguments: &CoreArgument, common: &Common) -> anyhow::Result<()> {
    if common.no_index {
        anyhow::bail!("`index` with --no-index would do nothing; leave one of them out");
    }
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let counted = session.objects()?;
    let graph = session.graph(&counted)?;
    let (objects, references) = (counted.objects.len() as u64, graph.forward.edges());
    let path = match session.kept.path() {
        Some(path) => path.to_owned(),
        None => {
            let alive = session.alive(&counted, &graph);
            let written = session.keep_index(&counted, &graph, &alive, None)?;
            written.ok_or_else(|| {
                anyhow::anyhow!("of standard input no index is kept; save it to a file first")
            })?
        }
    };
    let bytes = std::fs::metadata(&path)?.len();
    session.finish(&IndexReport::new(&path, bytes, objects, references), common)
}

impl Session<'_> {
    /// Keeps what was worked out, with what only an index needs; `None` if nothing is to be kept.
    ///
    /// # Errors
    /// There is no place that takes it.
    fn keep_index(
        &mut self,
        counted: &Counted,
        graph: &HeapGraph,
        alive: &Alive,
        holders: Option<&Holders>,
    ) -> Result<Option<PathBuf>, IndexError> {
        let Alive { garbage, roots, retention } = alive;
        let searched;
        let holders = match holders {
            Some(holders) => holders,
            None => {
                searched = self.holders(counted, graph, roots);
                &searched
            }
        };
        self.progress.phase("measuring what types retain together");
        let runtime = &self.runtime;
        let heap = Heap { runtime, objects: &counted.objects, graph };
        let retained_types = &retained_by_types(heap, roots, retention, &TypeGroups::each(runtime));
        self.progress.phase("writing the index");
        self.kept.keep(Contents {
            runtime,
            counted,
            graph,
            garbage,
            roots,
            holders,
            retention,
            retained_types,
        })
    }

    /// Keeps what a command has worked out besides its answer, if the heap is large. That it cannot be kept is said, no error.
    /// `holders` are the best paths, if the answer needed them.
    pub(super) fn keep_for_next(
        &mut self,
        counted: &Counted,
        graph: &HeapGraph,
        alive: &Alive,
        holders: Option<&Holders>,
    ) {
        // What types retain is worked out for the index alone.
        let is_large = counted.objects.len() >= LEAST_OBJECTS;
        if !self.kept.is_wanted() || !is_large || self.kept.path().is_some() {
            return;
        }
        let written = self.keep_index(counted, graph, alive, holders);
        self.progress.finish();
        match written {
            Ok(Some(path)) => say(&format!("kept for the next command: {}", path.display())),
            Ok(None) => {}
            Err(error) => say(&error.to_string()),
        }
    }
}
