//! `view`: what frameworks say of themselves, one report a view.
//!
//! Knows how an object, what it keeps and its path are written; refuses to know how any of that was found.

pub mod buffers;
pub mod caches;
pub mod exceptions;
pub mod generators;
pub mod greenlets;
pub mod logging;
pub mod modules;
pub mod queues;
pub mod tasks;
pub mod threads;
pub mod weak;

use super::{CoreIdentity, Coverage, Hex, Page, Tone, number, short_type_name};
use crate::analysis::views::Keepers;
use crate::heap::ObjectId;
use serde::Serialize;

/// An object, and who keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct HeldObject {
    /// The object.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// Bytes that would be freed with it alone; `null` for garbage, which nothing keeps.
    pub retained_bytes: Option<u64>,
    /// What holds it, as Python would write it; `null` for garbage.
    pub path: Option<String>,
}

impl HeldObject {
    /// Looks `id` up.
    pub fn new(keepers: &mut Keepers<'_, '_>, id: ObjectId) -> Self {
        let heap = keepers.heap();
        Self {
            address: Hex(heap.objects.address(id)),
            type_name: short_type_name(&heap.type_of(id).name).to_owned(),
            retained_bytes: keepers.retained(id),
            path: keepers.path(id),
        }
    }

    /// `1.2 KiB`, of what it keeps alive.
    fn kept(&self) -> String {
        self.retained_bytes.map_or_else(|| "garbage".to_owned(), number::bytes)
    }

    /// Writes a headline with what it keeps, and who holds it.
    fn render(&self, page: &mut Page, title: &str) {
        page.gap();
        page.line(Tone::Strong, 0, &format!("{}: {title}", self.kept()));
        match &self.path {
            Some(path) => page.line(Tone::Plain, 4, &format!("held by {path}")),
            None => page.line(Tone::Plain, 4, "no root reaches it: it waits for the collector"),
        }
        page.line(Tone::Faint, 4, &format!("{} at {}", self.type_name, self.address));
    }
}

/// `function() in file:line`, as far as known.
fn place(function: Option<&str>, file: Option<&str>, line: Option<u32>) -> String {
    let name = file.map(|file| file.rsplit('/').next().unwrap_or(file));
    let at = match (name, line) {
        (Some(name), Some(line)) => format!(" {name}:{line}"),
        (Some(name), None) => format!(" {name}"),
        (None, _) => String::new(),
    };
    format!("{}(){at}", function.unwrap_or("?"))
}

/// How many rows a list does not show.
fn hidden(page: &mut Page, total: u64, shown: usize) {
    let hidden = total.saturating_sub(shown as u64);
    if hidden > 0 {
        page.gap();
        page.note(&format!("and {} more, see --limit", number::count(hidden)));
    }
}

/// What to ask next about the first object, and which answers are bounds.
fn end(page: &mut Page, core: &CoreIdentity, coverage: &Coverage, first: Option<&HeldObject>) {
    if let Some(first) = first {
        page.gap();
        page.note(&format!("next: exuvia paths {} {}", core.argument(), first.address));
    }
    coverage.render_warnings(page, &["objects", "references"]);
}
