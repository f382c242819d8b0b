//! `save`: what was written, and how much smaller it is.

use super::{CoreIdentity, Coverage, Page, Report, number};
use serde::Serialize;
use std::path::Path;

/// The answer of `save`.
#[derive(Clone, Debug, Serialize)]
pub struct SavedReport {
    /// The file that was written.
    pub file: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its size before compression.
    pub uncompressed_bytes: u64,
    /// Memory of the process that it has.
    pub kept_bytes: u64,
    /// Memory that could be read and was left out.
    pub left_out_bytes: u64,
    /// Objects on the heap.
    pub objects: u64,
}

/// Sizes of a saved heap, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct SavedSizes {
    /// Memory of the process that it has.
    pub kept: u64,
    /// Memory that could be read and was left out.
    pub left_out: u64,
    /// Before compression.
    pub uncompressed: u64,
    /// As written.
    pub written: u64,
}

impl SavedReport {
    /// Describes the file at `path`.
    pub fn new(path: &Path, sizes: SavedSizes, objects: u64) -> Self {
        Self {
            file: path.display().to_string(),
            file_bytes: sizes.written,
            uncompressed_bytes: sizes.uncompressed,
            kept_bytes: sizes.kept,
            left_out_bytes: sizes.left_out,
            objects,
        }
    }
}

impl Report for SavedReport {
    const COMMAND: &'static str = "save";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let share = number::permille(self.file_bytes, core.bytes);
        page.pair(
            "Saved",
            &format!(
                "{}: {}, {} of the core's {}",
                self.file,
                number::bytes(self.file_bytes),
                number::percent(share),
                number::bytes(core.bytes)
            ),
        );
        page.pair(
            "Memory",
            &format!(
                "{} kept, {} left out",
                number::bytes(self.kept_bytes),
                number::bytes(self.left_out_bytes)
            ),
        );
        page.pair("Heap", &number::counted(self.objects, "object", coverage.objects_bounded()));
    }
}
