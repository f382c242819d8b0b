//! `save`: opens a core, lets everything be read, and writes what is worth keeping.

use super::args::{Common, SaveArguments};
use super::session::Opened;
use crate::corefile::Recorded;
use crate::cpython::Runtime;
use crate::report::saved::{SavedReport, SavedSizes};
use crate::report::{CoreIdentity, Coverage};
use crate::saved::{Plan, keep_contents, read_everything};
use anyhow::{Context, bail};
use std::io::{BufWriter, Write};
use std::path::Path;

/// `save`.
///
/// # Errors
/// The core cannot be decoded, or the file not be written.
pub fn save(arguments: &SaveArguments, common: &Common) -> anyhow::Result<()> {
    if arguments.output.exists() && !arguments.force {
        bail!("{} exists; name another file or add --force", arguments.output.display());
    }
    let mut opened = Opened::open(&arguments.core, common)?;
    opened.inputs.record_reads(Recorded::Everything);
    let Opened { inputs, table, source, mut progress } = opened;
    progress.phase("decoding the interpreter");
    let mut runtime = Runtime::open_with(&inputs, table.as_ref(), source)?;
    progress.phase("reading the heap");
    let whole = read_everything(&inputs, &mut runtime)?;
    keep_contents(&inputs, &runtime, &whole);
    progress.phase("writing the saved heap");
    let plan = Plan::new(&inputs, &runtime, None)?;
    let written = write(&plan, &arguments.output, arguments.level)?;
    let mut coverage = Coverage::new(&inputs, Some(&runtime));
    coverage.add_census(&whole.census);
    coverage.add_references(&whole.graph);
    let identity = CoreIdentity::new(&inputs, Some(&runtime));
    progress.finish();
    let sizes = SavedSizes { kept: plan.kept, left_out: plan.left_out, uncompressed: plan.size(), written };
    let report = SavedReport::new(&arguments.output, sizes, whole.census.objects.len() as u64);
    super::output::print_report(&report, &identity, &coverage, common)
}

/// Writes the heap beside its final name and gives it that name when it is whole; returns its size in bytes. Only its owner
/// may read it: a heap holds secrets.
fn write(plan: &Plan<'_, '_>, path: &Path, level: i32) -> anyhow::Result<u64> {
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    let mut out = zstd::Encoder::new(BufWriter::new(file.as_file_mut()), level).with_context(cannot)?;
    plan.write(&mut out).with_context(cannot)?;
    out.finish().and_then(|mut out| out.flush()).with_context(cannot)?;
    let written = file.as_file().metadata().with_context(cannot)?.len();
    file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(written)
}
