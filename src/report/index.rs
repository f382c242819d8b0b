//! `index`: where what was worked out is kept.

use super::{CoreIdentity, Coverage, Page, Report, number};
use serde::Serialize;
use std::path::Path;

/// The answer of `index`.
#[derive(Clone, Debug, Serialize)]
pub struct IndexReport {
    /// The file; commands that are asked the same core find it.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Objects it has.
    pub objects: u64,
    /// References it has.
    pub references: u64,
}

impl IndexReport {
    /// Of the file at `path`.
    pub fn new(path: &Path, bytes: u64, objects: u64, references: u64) -> Self {
        Self { path: path.display().to_string(), bytes, objects, references }
    }
}

impl Report for IndexReport {
    const COMMAND: &'static str = "index";

    fn render(&self, page: &mut Page, _core: &CoreIdentity, coverage: &Coverage) {
        let size = format!("{}: {}", self.path, number::bytes(self.bytes));
        page.pair("Index", &size);
        let heap =
            format!("{} objects, {} references", number::count(self.objects), number::count(self.references));
        page.pair("Heap", &heap);
        page.note("Commands about this core use it from now on. It may be deleted at any time; --no-index does without.");
        coverage.render_warnings(page, &["objects", "references"]);
    }
}
