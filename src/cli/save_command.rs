//! `save`: opens a core, lets everything be read, and writes what is worth keeping.

use super::args::{Common, SaveArguments, SavedForm};
use super::session::Opened;
use crate::corefile::{NewFile, Recorded, Redaction, SeekableWriter};
use crate::cpython::Runtime;
use crate::report::saved::{SavedReport, SavedSizes};
use crate::report::{CoreIdentity, Coverage};
use crate::saved::{Plan, Renaming, keep_contents, keep_structure, read_everything};
use anyhow::Context;
use std::fs::File;
use std::io::Write;

/// Level of compression by size: a small heap is written once and read often, a large one should not take minutes.
const LEVELS: [(u64, i32); 3] = [(64 << 20, 19), (512 << 20, 9), (4 << 30, 6)];
/// Content of a frame in bytes: pages that are alike may lie more than a few MiB apart.
const FRAME: usize = 16 << 20;
/// Level of compression of larger ones.
const FAST: i32 = 3;

/// What was saved, and of which core.
pub(super) struct SavedHeap {
    /// Its sizes.
    pub sizes: SavedSizes,
    /// Objects on the heap.
    pub objects: u64,
    /// Which core it is from.
    pub identity: CoreIdentity,
    /// How much of that could be read.
    pub coverage: Coverage,
}

/// `save`.
///
/// # Errors
/// The core cannot be decoded, or the file not be written.
pub fn save(arguments: &SaveArguments, common: &Common) -> anyhow::Result<()> {
    let output = NewFile::create(&arguments.output, arguments.force)?;
    let opened = Opened::open(&arguments.core, common)?;
    let saved = write_saved(opened, output.file(), arguments.form)?;
    output.into_place()?;
    let report = SavedReport::new(&arguments.output, saved.sizes, saved.objects);
    super::output::print_report(&report, &saved.identity, &saved.coverage, common)
}

/// Writes the heap of an opened core to `output`, from its start.
///
/// # Errors
/// The core cannot be decoded, or the output not be written.
pub(super) fn write_saved(mut opened: Opened, output: &File, form: SavedForm) -> anyhow::Result<SavedHeap> {
    let redact = form.redact.map(Redaction::from);
    opened.inputs.record_reads(if redact.is_some() { Recorded::Structure } else { Recorded::Everything });
    let Opened { inputs, table, source, mut progress, .. } = opened;
    progress.phase("decoding the interpreter");
    let mut runtime = Runtime::open_with(&inputs, table.as_ref(), source)?;
    progress.phase("reading the heap");
    let whole = read_everything(&inputs, &mut runtime)?;
    let renaming = match redact {
        None => {
            keep_contents(&inputs, &runtime, &whole);
            Renaming::default()
        }
        Some(redaction) => keep_structure(&inputs, &runtime, &whole, redaction),
    };
    progress.phase("writing the saved heap");
    let plan = Plan::new(&inputs, &runtime, redact, renaming)?;
    let level = form.level.unwrap_or_else(|| level_for(plan.kept));
    let mut out = SeekableWriter::new(output, level).with_frames_of(FRAME);
    plan.write(&mut out).and_then(|()| out.finish()?.flush()).context("cannot write the saved heap")?;
    let written = output.metadata().context("cannot tell the size of the output")?.len();
    let mut coverage = Coverage::new(&inputs, Some(&runtime));
    coverage.add_census(&whole.census.figures());
    coverage.add_references(whole.graph.figures());
    let identity = CoreIdentity::new(&inputs, Some(&runtime));
    progress.finish();
    let sizes = SavedSizes { kept: plan.kept, left_out: plan.left_out, uncompressed: plan.size(), written };
    Ok(SavedHeap { sizes, objects: whole.census.objects.len() as u64, identity, coverage })
}

fn level_for(bytes: u64) -> i32 {
    LEVELS.iter().find(|(most, _)| bytes <= *most).map_or(FAST, |&(_, level)| level)
}
