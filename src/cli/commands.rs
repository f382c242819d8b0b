//! One function a command: opens what it needs, asks, and prints the answer.

use super::args::{Common, InfoArguments, TypesArguments};
use super::output::{print, print_report};
use super::session::Opened;
use super::{dump, glob};
use crate::analysis::{Selection, histogram};
use crate::cpython::Runtime;
use crate::report::info::InfoReport;
use crate::report::types::{TypeOptions, TypeSelection, TypesReport, generation_name};
use crate::report::{CoreIdentity, Coverage, short_type_name};
use anyhow::Context;
use std::path::Path;

/// Rows of `types` unless `--limit` says otherwise.
const TYPES_LIMIT: usize = 30;

/// `info`. Describes the process even where no interpreter can be decoded, and then fails all the same.
///
/// # Errors
/// The core cannot be opened, or no interpreter decoded.
pub fn info(arguments: &InfoArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    opened.progress.phase("decoding the interpreter");
    let inputs = &opened.inputs;
    let runtime = Runtime::open(inputs, opened.table.as_ref());
    let problem = runtime.as_ref().err().map(ToString::to_string);
    let decoded = runtime.as_ref().ok();
    let report = InfoReport::new(inputs, decoded, problem, arguments.layouts);
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
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let census = session.census()?;
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
    let described = TypeSelection {
        filter: arguments.filter.clone(),
        generation: arguments.generation.map(|choice| generation_name(choice.generation()).to_owned()),
        garbage: arguments.garbage,
    };
    let options = TypeOptions {
        sort: arguments.sort.into(),
        by_module: arguments.by_module,
        limit: common.limit.unwrap_or(TYPES_LIMIT),
    };
    let wanted = |name: &str| {
        arguments.filter.as_deref().is_none_or(|pattern| {
            glob::matches(pattern, name) || glob::matches(pattern, short_type_name(name))
        })
    };
    let report = TypesReport::new(&session.runtime, &histogram, described, options, wanted);
    session.finish(&report, common)
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
    let session = opened.session()?;
    let text = session.runtime.layout_table().to_string();
    drop(session);
    drop(opened.progress);
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => print(&text),
    }
}

impl super::session::Session<'_> {
    /// Clears the progress and prints the answer.
    fn finish<R: crate::report::Report>(self, report: &R, common: &Common) -> anyhow::Result<()> {
        self.progress.finish();
        print_report(report, &self.identity, &self.coverage, common)
    }
}
