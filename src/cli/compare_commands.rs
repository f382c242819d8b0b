//! The commands that look for savings and compare heaps.

use super::args::{Common, DiffArguments, TrendArguments, WasteArguments};
use super::graph_commands::{heap, whole_graph};
use super::output::print_report;
use super::session::{Opened, Session};
use crate::analysis::{self, Snapshot, Thresholds, WasteLimits};
use crate::corefile::ProcessIdentity;
use crate::cpython::{Program, Values};
use crate::report::diff::DiffReport;
use crate::report::growth::ComparedCore;
use crate::report::trend::TrendReport;
use crate::report::waste::WasteReport;
use crate::report::{CoreIdentity, Coverage};
use anyhow::bail;
use std::path::{Path, PathBuf};

/// Findings, and values, of `waste`.
const WASTE_LIMIT: usize = 12;
/// Rows of each list of `diff` and `trend`.
const GROWTH_LIMIT: usize = 15;

/// `waste`.
///
/// # Errors
/// The core cannot be decoded.
pub fn waste(arguments: &WasteArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    session.progress.phase("comparing values and measuring room");
    let limit = common.limit.unwrap_or(WASTE_LIMIT);
    let heap = heap(&session.runtime, &census, &graph);
    let found = analysis::waste(heap, WasteLimits { groups: limit, held: limit, within: None });
    let values = if arguments.values { Values::Shown } else { Values::Hidden };
    let report = WasteReport::new(heap, &found, values, limit);
    session.finish(&report, common)
}

/// `diff`.
///
/// # Errors
/// A core cannot be decoded, or they are of different programs.
pub fn diff(arguments: &DiffArguments, common: &Common) -> anyhow::Result<()> {
    let cores = [arguments.before.clone(), arguments.after.clone()];
    check_programs(&cores, arguments.force, common)?;
    let before = Measured::new(&arguments.before, common, true)?;
    let after = Measured::new(&arguments.after, common, true)?;
    let by_address = before.process.is_of_process(&after.process);
    let found = analysis::diff(&before.heap, &after.heap, by_address);
    let limit = common.limit.unwrap_or(GROWTH_LIMIT);
    let report = DiffReport::new(before.compared(), after.compared(), &found, limit);
    print_report(&report, &after.identity, &after.coverage, common)
}

/// `trend`.
///
/// # Errors
/// As [`diff`].
pub fn trend(arguments: &TrendArguments, common: &Common) -> anyhow::Result<()> {
    check_programs(&arguments.cores, arguments.force, common)?;
    let (mut compared, mut heaps, mut last) = (Vec::new(), Vec::new(), None);
    for core in &arguments.cores {
        let measured = Measured::new(core, common, false)?;
        compared.push(measured.compared());
        heaps.push(measured.heap);
        last = Some((measured.identity, measured.coverage));
    }
    let Some((identity, coverage)) = last else { bail!("no core file was given; see `exuvia trend --help`") };
    let found = analysis::trend(&heaps);
    let report = TrendReport::new(compared, &found, common.limit.unwrap_or(GROWTH_LIMIT));
    print_report(&report, &identity, &coverage, common)
}

/// Refuses cores of different programs, before any of their heaps is read.
fn check_programs(cores: &[PathBuf], force: bool, common: &Common) -> anyhow::Result<()> {
    let pipes = cores.iter().filter(|core| core.as_os_str() == "-").count();
    if pipes > 0 {
        bail!(
            "cores that are compared are opened more than once: write the one from the pipe to a file first"
        );
    }
    if force {
        return Ok(());
    }
    let mut first: Option<(&Path, Program)> = None;
    for core in cores {
        let mut opened = Opened::open(core, common)?;
        let session = opened.session()?;
        let program = Program::of(session.inputs, &session.runtime);
        match &first {
            Some((other, known)) if known.is_same(&program) == Some(false) => bail!(
                "{} is of {known}, {} of {program}: two different programs; --force compares them all the same",
                other.display(),
                core.display()
            ),
            Some(_) => {}
            None => first = Some((core, program)),
        }
    }
    Ok(())
}

/// A heap that was summed up, with what is known of its core.
struct Measured {
    identity: CoreIdentity,
    coverage: Coverage,
    process: ProcessIdentity,
    written: Option<u64>,
    heap: Snapshot,
}

impl Measured {
    /// Opens and measures a core. `with_objects`: they may have to be matched.
    fn new(core: &Path, common: &Common, with_objects: bool) -> anyhow::Result<Self> {
        let mut opened = Opened::open(core, common)?;
        let mut session = opened.session()?;
        let heap = snapshot(&mut session, with_objects)?;
        Ok(Self {
            process: ProcessIdentity::of(session.inputs.notes(), &session.runtime.space),
            written: session.inputs.core().modified(),
            identity: session.identity,
            coverage: session.coverage,
            heap,
        })
    }

    fn compared(&self) -> ComparedCore {
        let bounded = self.coverage.objects_bounded() || self.coverage.sizes_bounded();
        ComparedCore::new(&self.identity, self.written, &self.heap, bounded)
    }
}

fn snapshot(session: &mut Session<'_>, with_objects: bool) -> anyhow::Result<Snapshot> {
    let (census, graph) = whole_graph(session)?;
    let alive = session.alive(&census, &graph);
    let thresholds = Thresholds::default();
    let suspects = session.suspects(&census, &graph, &alive, &thresholds);
    session.progress.phase("looking for what holds what");
    let heap = heap(&session.runtime, &census, &graph);
    Ok(Snapshot::new(heap, &alive.roots, &alive.retention, &suspects, &alive.garbage, with_objects))
}
