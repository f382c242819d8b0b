//! `capture`: what was written of a running process, and how long it stood still for that.

use super::{CoreIdentity, Coverage, Page, Report, number};
use crate::capture::Captured;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The answer of `capture`.
#[derive(Clone, Debug, Serialize)]
pub struct CapturedReport {
    /// The file that was written.
    pub file: String,
    /// Its size.
    pub file_bytes: u64,
    /// All memory is in it, as it was.
    pub raw: bool,
    /// From the stop of the first thread to the release of the last one.
    pub pause_microseconds: u64,
    /// Threads that were stopped.
    pub threads: u64,
    /// Memory that the process had mapped.
    pub mapped_bytes: u64,
    /// Of it, copied while the process stood still.
    pub copied_bytes: u64,
    /// Of it, read from mapped files afterwards.
    pub later_bytes: u64,
    /// Of it, what could not be read, and counts as zeros.
    pub unreadable_bytes: u64,
}

impl CapturedReport {
    /// Describes the file at `path`.
    pub fn new(path: &Path, raw: bool, file_bytes: u64, captured: &Captured) -> Self {
        Self {
            file: path.display().to_string(),
            file_bytes,
            raw,
            pause_microseconds: captured.pause.as_micros().try_into().unwrap_or(u64::MAX),
            threads: captured.threads as u64,
            mapped_bytes: captured.mapped_bytes,
            copied_bytes: captured.copied_bytes,
            later_bytes: captured.later_bytes,
            unreadable_bytes: captured.unreadable_bytes,
        }
    }
}

/// A duration for people: `12.3 ms`.
pub fn in_milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

impl Report for CapturedReport {
    const COMMAND: &'static str = "capture";

    fn render(&self, page: &mut Page, core: &CoreIdentity, _coverage: &Coverage) {
        let process = core.command_line.as_deref().filter(|line| !line.is_empty());
        let process = process.or(core.process.as_deref()).unwrap_or("?");
        let python = core.python.as_ref().map_or(String::new(), |release| format!(", CPython {release}"));
        page.pair("Process", &format!("{}: {process}{python}", core.pid.unwrap_or(0)));
        page.pair("Written", &format!("{}: {}", self.file, number::bytes(self.file_bytes)));
        page.pair(
            "Stood still",
            &format!(
                "{} ({}), while {} of {} were copied",
                in_milliseconds(Duration::from_micros(self.pause_microseconds)),
                number::counted(self.threads, "thread", false),
                number::bytes(self.copied_bytes),
                number::bytes(self.mapped_bytes),
            ),
        );
        if self.unreadable_bytes > 0 {
            page.warning(&format!("{} could not be read", number::bytes(self.unreadable_bytes)));
        }
    }
}
