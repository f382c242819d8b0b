//! `view`: what frameworks say of themselves.

use super::args::{Common, ViewArguments, ViewChoice};
use super::output::print;
use super::session::{Opened, Session};
use crate::analysis::views::{Keepers, caches, exceptions, generators, tasks};
use crate::analysis::{Heap, Reached};
use crate::cpython::Values;
use crate::report::Report;
use crate::report::views::caches::CachesReport;
use crate::report::views::exceptions::ExceptionsReport;
use crate::report::views::generators::GeneratorsReport;
use crate::report::views::tasks::TasksReport;
use clap::ValueEnum;

/// Rows of each list.
const VIEW_LIMIT: usize = 20;

/// `view`.
///
/// # Errors
/// The core cannot be decoded.
pub fn view(arguments: &ViewArguments, common: &Common) -> anyhow::Result<()> {
    let (Some(view), Some(core)) = (arguments.view, &arguments.core) else { return list() };
    let mut opened = Opened::open(core, common)?;
    let mut session = opened.session()?;
    let counted = session.objects()?;
    let graph = session.graph(&counted)?;
    let garbage = session.collect(&counted, &graph);
    let (roots, retention) = session.retention(&counted, &graph, &garbage);
    let holders = session.holders(&counted, &graph, &roots);
    session.progress.phase("decoding what frameworks keep");
    let heap = Heap { runtime: &session.runtime, objects: &counted.objects, graph: &graph };
    let reached = Reached { roots: &roots, retention: &retention, holders: &holders };
    let keepers = &mut Keepers::new(heap, reached);
    let limit = common.limit.unwrap_or(VIEW_LIMIT);
    let values = if arguments.values { Values::Shown } else { Values::Hidden };
    match view {
        ViewChoice::Tasks => {
            let report = TasksReport::new(keepers, tasks(heap), values, limit);
            written(&mut session, &report, common)?;
        }
        ViewChoice::Generators => {
            let report = GeneratorsReport::new(keepers, generators(heap), limit);
            written(&mut session, &report, common)?;
        }
        ViewChoice::Caches => {
            let report = CachesReport::new(keepers, caches(heap), limit);
            written(&mut session, &report, common)?;
        }
        ViewChoice::Exceptions => {
            let report = ExceptionsReport::new(keepers, exceptions(heap), limit);
            written(&mut session, &report, common)?;
        }
    }
    session.keep_for_next(&counted, &graph, &garbage, &roots, &retention);
    Ok(())
}

fn written<R: Report>(session: &mut Session<'_>, report: &R, common: &Common) -> anyhow::Result<()> {
    session.print(report, common)
}

/// What there is to look at.
fn list() -> anyhow::Result<()> {
    let mut text = String::new();
    for choice in ViewChoice::value_variants() {
        let Some(value) = choice.to_possible_value() else { continue };
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("{:<12} {help}\n", value.get_name()));
    }
    print(&text)
}
