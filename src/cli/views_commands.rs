//! `view`: what frameworks say of themselves.

use super::args::{Common, ViewArguments, ViewChoice};
use super::graph_commands::{heap, whole_graph};
use super::output::print;
use super::session::Opened;
use crate::analysis::views::{
    Keepers, buffers, caches, exceptions, executors, generators, greenlets, locals_of_threads, log_handlers,
    log_records, modules, queues, tasks, weak_registries,
};
use crate::cpython::Values;
use crate::report::views::buffers::BuffersReport;
use crate::report::views::caches::CachesReport;
use crate::report::views::exceptions::ExceptionsReport;
use crate::report::views::generators::GeneratorsReport;
use crate::report::views::greenlets::GreenletsReport;
use crate::report::views::logging::LoggingReport;
use crate::report::views::modules::ModulesReport;
use crate::report::views::queues::QueuesReport;
use crate::report::views::tasks::TasksReport;
use crate::report::views::threads::ThreadLocalsReport;
use crate::report::views::weak::WeakReport;
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
    let (counted, graph) = whole_graph(&mut session)?;
    let alive = session.alive(&counted, &graph);
    let holders = session.holders(&counted, &graph, &alive.roots);
    session.progress.phase("decoding what frameworks keep");
    let heap = heap(&session.runtime, &counted, &graph);
    let reached = alive.reached(&holders);
    let keepers = &mut Keepers::new(heap, reached);
    let limit = common.limit.unwrap_or(VIEW_LIMIT);
    let values = if arguments.values { Values::Shown } else { Values::Hidden };
    match view {
        ViewChoice::Tasks => {
            let report = TasksReport::new(keepers, tasks(heap), values, limit);
            session.print(&report, common)?;
        }
        ViewChoice::Generators => {
            let report = GeneratorsReport::new(keepers, generators(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Greenlets => {
            let report = GreenletsReport::new(keepers, greenlets(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Caches => {
            let report = CachesReport::new(keepers, caches(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Exceptions => {
            let report = ExceptionsReport::new(keepers, exceptions(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Buffers => {
            let report = BuffersReport::new(keepers, &session.inputs.notes().files, buffers(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Modules => {
            let report = ModulesReport::new(keepers, &modules(heap, reached), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Queues => {
            let report = QueuesReport::new(keepers, queues(heap), executors(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Logging => {
            let report = LoggingReport::new(keepers, log_handlers(heap), log_records(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Threads => {
            let notes = &session.inputs.notes().threads;
            let report = ThreadLocalsReport::new(keepers, notes, locals_of_threads(heap), limit);
            session.print(&report, common)?;
        }
        ViewChoice::Weak => {
            let report = WeakReport::new(keepers, weak_registries(heap), limit);
            session.print(&report, common)?;
        }
    }
    session.keep_for_next(&counted, &graph, &alive, Some(&holders));
    Ok(())
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
