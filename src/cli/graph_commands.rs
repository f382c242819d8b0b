//! The commands that need the graph of references: who holds what, and what is garbage.

use super::args::{Common, CoreArgument, TargetArguments};
use super::session::{Opened, Session};
use crate::analysis::{self, Direction, Heap, Holders, PathsLimits};
use crate::cpython::Runtime;
use crate::graph::NodeSet;
use crate::heap::{Counted, HeapGraph};
use crate::query::{self, Target};
use crate::report::cycles::CyclesReport;
use crate::report::paths::PathsReport;
use crate::report::referrers::{ReferencesReport, ReferentsReport, ReferrersReport};

/// Rows of `referrers` and `referents`.
const REFERENCES_LIMIT: usize = 30;
/// Paths to one object.
const PATHS_LIMIT: usize = 5;
/// Steps of merged paths.
const MERGED_LIMIT: usize = 40;
/// Shapes of `cycles`.
const CYCLES_LIMIT: usize = 8;

/// `referrers`.
///
/// # Errors
/// The core cannot be decoded, or the target names nothing.
pub fn referrers(arguments: &TargetArguments, common: &Common) -> anyhow::Result<()> {
    references(arguments, common, Direction::Referrers)
}

/// `referents`.
///
/// # Errors
/// As [`referrers`].
pub fn referents(arguments: &TargetArguments, common: &Common) -> anyhow::Result<()> {
    references(arguments, common, Direction::Referents)
}

fn references(arguments: &TargetArguments, common: &Common, direction: Direction) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let target = query::resolve(&session.runtime, &query::parse(&arguments.target)?)?;
    let wanted = nodes(heap(&session.runtime, &census, &graph), &target, arguments.class_itself)?;
    let limit = common.limit.unwrap_or(REFERENCES_LIMIT);
    let roots = match direction {
        Direction::Referrers => {
            let garbage = session.collect(&census, &graph);
            Some(session.roots(&census, &graph, &garbage))
        }
        Direction::Referents => None,
    };
    session.progress.phase("looking for references");
    let heap = heap(&session.runtime, &census, &graph);
    let found = analysis::references(heap, roots.as_ref(), &wanted, direction, limit);
    let report = ReferencesReport::new(heap, target.text, wanted.len() as u64, direction, &found, limit);
    match direction {
        Direction::Referrers => session.finish(&ReferrersReport(report), common),
        Direction::Referents => session.finish(&ReferentsReport(report), common),
    }
}

/// `paths`.
///
/// # Errors
/// As [`referrers`].
pub fn paths(arguments: &TargetArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let target = query::resolve(&session.runtime, &query::parse(&arguments.target)?)?;
    let wanted = nodes(heap(&session.runtime, &census, &graph), &target, arguments.class_itself)?;
    let garbage = session.collect(&census, &graph);
    let roots = session.roots(&census, &graph, &garbage);
    session.progress.phase("looking for paths");
    let known = session.kept.get(|index| index.holders(&census));
    let heap = heap(&session.runtime, &census, &graph);
    let report = match wanted.iter().next().and_then(|node| heap.id(node)) {
        Some(object) if wanted.len() == 1 => {
            let found =
                analysis::paths(heap, &roots, known.as_ref(), object, common.limit.unwrap_or(PATHS_LIMIT));
            PathsReport::single(heap, target.text, &found)
        }
        _ => {
            let holders = known.unwrap_or_else(|| Holders::search(heap, &roots, None));
            let steps = common.limit.unwrap_or(MERGED_LIMIT);
            let limits = PathsLimits { steps, ..PathsLimits::default() };
            let found = analysis::merged_paths(heap, &roots, &holders, &wanted, limits);
            PathsReport::merged(heap, target.text, &found)
        }
    };
    session.finish(&report, common)
}

/// `cycles`.
///
/// # Errors
/// The core cannot be decoded.
pub fn cycles(arguments: &CoreArgument, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let garbage = session.collect(&census, &graph);
    session.progress.phase("telling cycles apart");
    let found = analysis::cycles(heap(&session.runtime, &census, &graph), &garbage);
    let report = CyclesReport::new(&census.objects, &garbage, &found, common.limit.unwrap_or(CYCLES_LIMIT));
    session.finish(&report, common)
}

/// All objects and their references.
///
/// # Errors
/// The heap cannot be counted.
pub(super) fn whole_graph(session: &mut Session<'_>) -> anyhow::Result<(Counted, HeapGraph)> {
    let census = session.objects()?;
    let graph = session.graph(&census)?;
    Ok((census, graph))
}

/// What questions are asked of.
pub(super) fn heap<'h, 'core>(
    runtime: &'h Runtime<'core>,
    census: &'h Counted,
    graph: &'h HeapGraph,
) -> Heap<'h, 'core> {
    Heap { runtime, objects: &census.objects, graph }
}

/// The objects a target stands for: itself, or all direct instances of a class, unless the class is wanted.
///
/// # Errors
/// It stands for no object that was counted.
pub(super) fn nodes(heap: Heap<'_, '_>, target: &Target, class_itself: bool) -> anyhow::Result<NodeSet> {
    let objects = heap.objects;
    if target.types.is_empty() || class_itself {
        let address = target.require_object()?;
        let Some(id) = objects.find(address) else {
            anyhow::bail!(
                "{} at {address:#x} is no object that was counted; `exuvia show` reads it all the same",
                target.text
            );
        };
        return Ok(NodeSet::from_nodes(objects.len(), [id.0]));
    }
    instances(heap, target)
}

/// All direct instances of the types that a target names.
pub(super) fn instances(heap: Heap<'_, '_>, target: &Target) -> anyhow::Result<NodeSet> {
    let found = heap.nodes_of_types(|id, _| target.types.contains(&id));
    if found.is_empty() {
        anyhow::bail!("{} has no direct instances; --class-itself asks about the class", target.text);
    }
    Ok(found)
}
