//! The commands that measure what keeps what alive: dominators, single cuts, and what types retain.

use super::alive::Alive;
use super::args::{Common, CoreArgument, DominatorsArguments};
use super::graph_commands::{heap, nodes, whole_graph};
use super::session::{Opened, Session};
use crate::analysis::{self, DominatorLimits, TypeGrouping, TypeGroups};
use crate::graph::GroupTotal;
use crate::heap::Counted;
use crate::query;
use crate::report::cuts::CutsReport;
use crate::report::dominators::DominatorsReport;

/// Rows of `dominators` below one row.
const DOMINATORS_LIMIT: usize = 10;
/// Cuts.
const CUTS_LIMIT: usize = 20;

/// `dominators`.
///
/// # Errors
/// The core cannot be decoded, or the target names nothing that is alive.
pub fn dominators(arguments: &DominatorsArguments, common: &Common) -> anyhow::Result<()> {
    let expression = arguments.target.as_deref().map(query::parse).transpose()?;
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let target = expression.map(|expression| query::resolve(&session.runtime, &expression)).transpose()?;
    let within = match &target {
        Some(target) => Some(nodes(heap(&session.runtime, &census, &graph), target, arguments.class_itself)?),
        None => None,
    };
    let alive = session.alive(&census, &graph);
    if let (Some(target), Some(within)) = (&target, &within)
        && !within.iter().any(|node| alive.retention.tree().is_reachable(node))
    {
        anyhow::bail!(
            "no root reaches {}: it is garbage and dominates nothing; `exuvia cycles` says more",
            target.text
        );
    }
    let holders = session.holders(&census, &graph, &alive.roots);
    session.progress.phase("naming what dominates");
    let heap = heap(&session.runtime, &census, &graph);
    let limits =
        DominatorLimits { depth: u32::from(arguments.depth), rows: common.limit.unwrap_or(DOMINATORS_LIMIT) };
    let reached = alive.reached(&holders);
    let found = analysis::dominator_rows(heap, reached, within.as_ref(), limits);
    let report =
        DominatorsReport::new(&census.objects, target.map(|target| target.text), limits.depth, &found);
    session.print(&report, common)?;
    session.keep_for_next(&census, &graph, &alive, Some(&holders));
    Ok(())
}

/// `cuts`.
///
/// # Errors
/// The core cannot be decoded.
pub fn cuts(arguments: &CoreArgument, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let alive = session.alive(&census, &graph);
    let holders = session.holders(&census, &graph, &alive.roots);
    session.progress.phase("ranking references");
    let heap = heap(&session.runtime, &census, &graph);
    let reached = alive.reached(&holders);
    let found = analysis::best_cuts(heap, reached, common.limit.unwrap_or(CUTS_LIMIT));
    session.print(&CutsReport::new(&census.objects, &found), common)?;
    session.keep_for_next(&census, &graph, &alive, Some(&holders));
    Ok(())
}

/// What each group of types keeps alive, for `types --retained`.
///
/// # Errors
/// There are too many objects.
pub(super) fn retained_types(
    session: &mut Session<'_>,
    census: &Counted,
    groups: &TypeGroups,
) -> anyhow::Result<Vec<GroupTotal>> {
    if groups.grouping == TypeGrouping::Type
        && let Some(kept) = kept_retained_types(session)
    {
        return Ok(kept);
    }
    let graph = session.graph(census)?;
    let Alive { roots, retention, .. } = session.alive(census, &graph);
    session.progress.phase("measuring what types retain together");
    Ok(analysis::retained_by_types(heap(&session.runtime, census, &graph), &roots, &retention, groups))
}

/// What each type keeps alive, if an earlier command has kept it.
pub(super) fn kept_retained_types(session: &mut Session<'_>) -> Option<Vec<GroupTotal>> {
    let (kept, figures) =
        session.kept.get(|index| Ok((index.retained_types()?, index.reference_figures()?)))?;
    // The references are part of what the answer rests on, even where they are not read.
    session.coverage.add_references(figures);
    Some(kept)
}
