//! One function a command: opens what it needs, asks, and prints the answer.

use super::args::{
    Common, CoreArgument, InfoArguments, ObjectsArguments, ShowArguments, SortKey, ThreadsArguments,
    TypesArguments,
};
use super::output::{print, print_report};
use super::session::{Opened, Session};
use super::{dump, glob, retained_commands};
use crate::analysis::{
    Histogram, InstanceFilter, Selection, Thresholds, TypeGrouping, TypeGroups, histogram, instances,
};
use crate::cpython::{Outline, Runtime, Values};
use crate::graph::GroupTotal;
use crate::query;
use crate::report::info::InfoReport;
use crate::report::objects::{ObjectFilter, ObjectsReport};
use crate::report::outline::OutlineReport;
use crate::report::overview::{OverviewParts, OverviewReport};
use crate::report::show::{ShowOptions, ShowReport};
use crate::report::threads::{ThreadOptions, ThreadsReport};
use crate::report::types::{TypeOptions, TypeSelection, TypeSort, TypesReport, generation_name};
use crate::report::{CoreIdentity, Coverage, short_type_name};
use anyhow::Context;
use std::path::Path;

/// Rows of `types` unless `--limit` says otherwise.
const TYPES_LIMIT: usize = 30;
/// Rows of `objects`.
const OBJECTS_LIMIT: usize = 30;
/// Members of each object of `show`.
const MEMBERS_LIMIT: usize = 30;
/// Threads, and frames of each, of `threads`.
const FRAMES_LIMIT: usize = 50;
/// Types and threads of `overview`.
const OVERVIEW_TYPES: usize = 10;
const OVERVIEW_THREADS: usize = 5;

/// `overview`.
///
/// # Errors
/// The core cannot be decoded.
pub fn overview(arguments: &CoreArgument, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let census = session.census()?;
    let graph = session.graph(&census)?;
    let alive = session.alive(&census, &graph);
    let thresholds = Thresholds::default();
    let suspects = session.suspects(&census, &graph, &alive, &thresholds);
    session.progress.phase("writing the overview");
    let histogram = histogram(&census.objects, session.runtime.types.len(), &Selection::default());
    let types = TypeOptions { sort: TypeSort::Bytes, limit: common.limit.unwrap_or(OVERVIEW_TYPES) };
    let groups = TypeGroups::each(&session.runtime);
    let threads = ThreadOptions { values: Values::Hidden, limit: common.limit.unwrap_or(OVERVIEW_THREADS) };
    let parts = OverviewParts {
        census: &census,
        references: graph.forward.edges(),
        types: TypesReport::new(&session.runtime, &histogram, TypeSelection::default(), types, &groups, None),
        garbage: &alive.garbage,
        suspects: &suspects,
        threads: &ThreadsReport::new(session.inputs, &session.runtime, threads),
    };
    let report = OverviewReport::new(&session.runtime, &session.identity, parts);
    session.print(&report, common)?;
    session.keep_for_next(&census, &graph, &alive, None);
    Ok(())
}

/// `info`. Describes the process even where no interpreter can be decoded, and then fails all the same.
///
/// # Errors
/// The core cannot be opened, or no interpreter decoded.
pub fn info(arguments: &InfoArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    opened.progress.phase("decoding the interpreter");
    let inputs = &opened.inputs;
    let runtime = Runtime::open_with(inputs, opened.table.as_ref(), opened.source);
    let problem = runtime.as_ref().err().map(ToString::to_string);
    let decoded = runtime.as_ref().ok();
    let report = InfoReport::new(inputs, decoded, problem, arguments.show_layouts);
    let identity = CoreIdentity::new(inputs, decoded);
    let coverage = Coverage::new(inputs, decoded);
    drop(opened.progress);
    print_report(&report, &identity, &coverage, common)?;
    runtime.map(drop).map_err(Into::into)
}

/// `types`.
///
/// # Errors
/// The core cannot be decoded, or nothing matches the filter.
pub fn types(arguments: &TypesArguments, common: &Common) -> anyhow::Result<()> {
    let options = TypeOptions { sort: type_order(arguments)?, limit: common.limit.unwrap_or(TYPES_LIMIT) };
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let totals = match kept_totals(&mut session, arguments)? {
        Some(kept) => kept,
        None => totals(&mut session, arguments)?,
    };
    let described = TypeSelection {
        filter: arguments.filter.clone(),
        generation: arguments.generation.map(|choice| generation_name(choice.generation()).to_owned()),
        garbage: arguments.garbage,
    };
    let Totals { groups, histogram, retained } = totals;
    let report =
        TypesReport::new(&session.runtime, &histogram, described, options, &groups, retained.as_deref());
    session.finish(&report, common)
}

/// What `types` tells.
struct Totals {
    groups: TypeGroups,
    histogram: Histogram,
    retained: Option<Vec<GroupTotal>>,
}

/// The types in the groups that are asked for.
fn type_groups(session: &Session<'_>, arguments: &TypesArguments) -> anyhow::Result<TypeGroups> {
    let wanted = |name: &str| {
        arguments.filter.as_deref().is_none_or(|pattern| {
            glob::matches(pattern, name) || glob::matches(pattern, short_type_name(name))
        })
    };
    if let Some(pattern) = &arguments.filter
        && !session.runtime.types.iter().any(|(_, info)| wanted(&info.name))
    {
        return Err(query::QueryError::NoMatch { pattern: pattern.clone() }.into());
    }
    Ok(TypeGroups::new(&session.runtime, type_grouping(arguments), wanted))
}

fn type_grouping(arguments: &TypesArguments) -> TypeGrouping {
    match (arguments.by_module, arguments.by_package) {
        (true, _) => TypeGrouping::Module,
        (_, true) => TypeGrouping::Package,
        _ => TypeGrouping::Type,
    }
}

/// The totals of all objects, if an earlier command has kept them: no object is looked at then.
fn kept_totals(session: &mut Session<'_>, arguments: &TypesArguments) -> anyhow::Result<Option<Totals>> {
    let by_type = type_grouping(arguments) == TypeGrouping::Type;
    if arguments.garbage || arguments.generation.is_some() || (arguments.retained && !by_type) {
        return Ok(None);
    }
    let runtime = &session.runtime;
    let kept = session.kept.get(|index| Ok((index.census_figures()?, index.totals(runtime)?)));
    let retained = match arguments.retained {
        true => retained_commands::kept_retained_types(session),
        false => None,
    };
    let Some((figures, histogram)) = kept.filter(|_| retained.is_some() == arguments.retained) else {
        return Ok(None);
    };
    session.coverage.add_census(&figures);
    Ok(Some(Totals { groups: type_groups(session, arguments)?, histogram, retained }))
}

/// Counts the objects that are asked for.
fn totals(session: &mut Session<'_>, arguments: &TypesArguments) -> anyhow::Result<Totals> {
    let census = session.objects()?;
    let garbage = match arguments.garbage {
        true => {
            let graph = session.graph(&census)?;
            let collection = session.collect(&census, &graph);
            let mut freed = collection.unreachable;
            freed.union_with(&collection.held);
            Some(freed)
        }
        false => None,
    };
    session.progress.phase("counting types");
    let selection = Selection {
        generation: arguments.generation.map(|choice| choice.generation()),
        within: garbage.as_ref(),
    };
    let histogram = histogram(&census.objects, session.runtime.types.len(), &selection);
    let groups = type_groups(session, arguments)?;
    let retained = match arguments.retained {
        true => Some(retained_commands::retained_types(session, &census, &groups)?),
        false => None,
    };
    Ok(Totals { groups, histogram, retained })
}

/// The order of the rows of `types`: by what is asked for.
fn type_order(arguments: &TypesArguments) -> anyhow::Result<TypeSort> {
    match (arguments.sort, arguments.retained) {
        (Some(SortKey::Retained), false) => {
            anyhow::bail!("--sort retained needs --retained, which measures what is kept alive")
        }
        (Some(sort), _) => Ok(sort.into()),
        (None, true) => Ok(TypeSort::Retained),
        (None, false) => Ok(TypeSort::Bytes),
    }
}

/// `objects`.
///
/// # Errors
/// The core cannot be decoded, or the target names no type.
pub fn objects(arguments: &ObjectsArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    // The census first: it may meet types that nothing else knows.
    let census = session.objects()?;
    let target = query::resolve(&session.runtime, &query::parse(&arguments.target)?)?;
    if target.types.is_empty() {
        anyhow::bail!("{} is an object, not a type; `exuvia show CORE TARGET` shows it", target.text);
    }
    session.progress.phase("looking for instances");
    let filter = InstanceFilter {
        selection: Selection {
            generation: arguments.generation.map(|choice| choice.generation()),
            within: None,
        },
        min_size: arguments.min_size,
        max_size: arguments.max_size,
        min_refcount: arguments.min_refcount,
        max_refcount: arguments.max_refcount,
    };
    let limit = common.limit.unwrap_or(OBJECTS_LIMIT);
    let found = instances(&session.runtime, &census.objects, &target.types, &filter, limit);
    let described = ObjectFilter {
        min_size: arguments.min_size,
        max_size: arguments.max_size,
        min_refcount: arguments.min_refcount,
        max_refcount: arguments.max_refcount,
        generation: arguments.generation.map(|choice| generation_name(choice.generation()).to_owned()),
    };
    let report =
        ObjectsReport::new(&session.runtime, &census.objects, target.text, &target.types, described, &found);
    session.finish(&report, common)
}

/// `show`.
///
/// # Errors
/// The core cannot be decoded, or the target names no object.
pub fn show(arguments: &ShowArguments, common: &Common) -> anyhow::Result<()> {
    let expression = query::parse(&arguments.target)?;
    let mut opened = Opened::open(&arguments.core, common)?;
    let session = opened.session()?;
    let target = query::resolve(&session.runtime, &expression)?;
    let object = target.require_object()?;
    let options = ShowOptions {
        depth: usize::from(arguments.depth),
        limit: common.limit.unwrap_or(MEMBERS_LIMIT),
        values: if arguments.hide_values { Values::Hidden } else { Values::Shown },
    };
    let is_class = !target.types.is_empty();
    let report = ShowReport::new(&session.runtime, target.text, object, is_class, options);
    session.finish(&report, common)
}

/// `threads`.
///
/// # Errors
/// The core cannot be decoded.
pub fn threads(arguments: &ThreadsArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let limit = common.limit.unwrap_or(FRAMES_LIMIT);
    let problem = match opened.decode() {
        Ok(session) => {
            let values = if arguments.values { Values::Shown } else { Values::Hidden };
            let report =
                ThreadsReport::new(session.inputs, &session.runtime, ThreadOptions { values, limit });
            return session.finish(&report, common);
        }
        Err(problem) => problem,
    };
    // Of a build that no layouts fit, the process itself tells this much.
    let Opened { inputs, progress, .. } = opened;
    drop(progress);
    let Some(outline) = Outline::read(&inputs) else { return Err(problem.into()) };
    let report = OutlineReport::new(&outline, problem.to_string(), limit);
    print_report(&report, &CoreIdentity::new(&inputs, None), &Coverage::new(&inputs, None), common)?;
    Err(problem.into())
}

/// `dev dump`.
///
/// # Errors
/// The core cannot be decoded, or a file not be written.
pub fn dev_dump(core: &Path, prefix: &Path, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(core, common)?;
    let mut session = opened.session()?;
    session.progress.phase("writing what was decoded");
    dump::dump(&mut session.runtime, prefix)
}

/// `dev layouts`.
///
/// # Errors
/// The core cannot be decoded, or the file not be written.
pub fn dev_layouts(core: &Path, output: Option<&Path>, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(core, common)?;
    let mut session = opened.session()?;
    // Types that only a census meets have structs too.
    session.census()?;
    let text = session.runtime.layout_table().to_string();
    drop(session);
    drop(opened.progress);
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => print(&text),
    }
}

impl Session<'_> {
    /// Clears the progress and prints the answer.
    pub(super) fn finish<R: crate::report::Report>(self, report: &R, common: &Common) -> anyhow::Result<()> {
        self.progress.finish();
        print_report(report, &self.identity, &self.coverage, common)
    }

    /// Prints the answer, before something else is done.
    pub(super) fn print<R: crate::report::Report>(
        &mut self,
        report: &R,
        common: &Common,
    ) -> anyhow::Result<()> {
        self.progress.pause();
        print_report(report, &self.identity, &self.coverage, common)
    }
}
