//! `capture`: copies a running process, lets it go, and writes what was asked for of the copy.

use super::args::{CaptureArguments, Common};
use super::interrupt;
use super::output::{Progress, print_report, say};
use super::save_command::write_saved;
use super::session::Opened;
use crate::capture::{Captured, Target};
use crate::corefile::{NewFile, temporary_file};
use crate::report::captured::{CapturedReport, in_milliseconds};
use crate::report::{CoreIdentity, Coverage};
use anyhow::Context;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread::available_parallelism;

/// `capture`.
///
/// # Errors
/// The process cannot be captured, is no CPython (without `--raw`), or the file cannot be written. The process runs on.
pub fn capture(arguments: &CaptureArguments, common: &Common) -> anyhow::Result<()> {
    let target = Target::open(arguments.pid)?;
    let output = NewFile::create(&arguments.output, arguments.force)?;
    let temporary = match arguments.raw {
        true => None,
        false => Some(temporary_file().context("cannot make a temporary file; set TMPDIR")?),
    };
    let copy = temporary.as_ref().unwrap_or_else(|| output.file());
    let threads = common.threads.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from);
    let mut progress = Progress::new(common.verbose);
    progress.phase("copying the process");
    let captured = target.capture(copy, threads);
    progress.finish();
    interrupt::allow_suspend();
    let captured = captured?;
    say(&pause(arguments.pid, &captured));

    let root = target.other_root();
    let common = Common { sysroot: common.sysroot.clone().or(root), ..common.clone() };
    let opened = Opened::open(&by_descriptor(copy), &common)?;
    let (mut identity, coverage) = match temporary.is_some() {
        true => {
            let saved = write_saved(opened, output.file(), arguments.form).context(
                "the process goes on, but its heap was not written (`exuvia capture --raw` takes any process)",
            )?;
            (saved.identity, saved.coverage)
        }
        false => (CoreIdentity::new(&opened.inputs, None), Coverage::new(&opened.inputs, None)),
    };
    let written = output.file().metadata().context("cannot tell the size of the output")?.len();
    output.into_place()?;
    identity.path = arguments.output.display().to_string();
    let report = CapturedReport::new(&arguments.output, arguments.raw, written, &captured);
    print_report(&report, &identity, &coverage, &common)
}

/// How long the process stood still, in one line.
fn pause(pid: i32, captured: &Captured) -> String {
    let threads = if captured.threads == 1 { "thread" } else { "threads" };
    format!(
        "process {pid} stood still for {} ({} {threads}, {:.1} MiB copied)",
        in_milliseconds(captured.pause),
        captured.threads,
        captured.copied_bytes as f64 / f64::from(1 << 20),
    )
}

/// A path of an open file, which may have no name.
fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
