//! `dominators`: the dominator tree, biggest first.

use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::analysis::{DominatorKind, DominatorRow, DominatorRows};
use crate::heap::ObjectTable;
use serde::Serialize;

/// Smaller shares of what is left out are not mentioned in text, in thousandths.
const LEAST_REST: u32 = 10;

/// The answer of `dominators`.
#[derive(Clone, Debug, Serialize)]
pub struct DominatorsReport {
    /// What was asked for; `null` for the whole heap.
    pub target: Option<String>,
    /// Bytes that the tree has: all that is alive, or what the target retains.
    pub bytes: u64,
    /// Objects that these are.
    pub objects: u64,
    /// Rows of greater depth are left out.
    pub depth: u32,
    /// The tree in preorder.
    pub rows: Vec<DominatorLine>,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct DominatorLine {
    /// 0 for the top.
    pub depth: u32,
    /// `object`, `group` (objects of one type), `run` (of objects one behind the other, beside which nothing is worth a row) or
    /// `rest` (what `--limit` leaves out).
    pub kind: &'static str,
    /// Python path of the object, of a group's largest, of the end of a run; `null` for the rest.
    pub path: Option<String>,
    /// Where the row above holds it.
    pub label: String,
    /// Type of the objects; of a run, of its first; empty for the rest.
    pub type_name: String,
    /// The object, a group's largest, a run's first; `null` for the rest.
    pub address: Option<Hex>,
    /// Objects in the row.
    pub count: u64,
    /// Their own size.
    pub bytes: u64,
    /// What would be freed with each of them: their own size and that of all they dominate.
    pub retained_bytes: u64,
    /// Objects that these are.
    pub retained_objects: u64,
    /// Share of the tree's bytes, in thousandths.
    pub share_permille: u32,
}

impl DominatorsReport {
    /// Names what `found` holds.
    pub fn new(objects: &ObjectTable, target: Option<String>, depth: u32, found: &DominatorRows) -> Self {
        let line = |row: &DominatorRow| DominatorLine {
            depth: row.depth,
            kind: match row.kind {
                DominatorKind::Object => "object",
                DominatorKind::Group => "group",
                DominatorKind::Run => "run",
                DominatorKind::Rest => "rest",
            },
            path: row.object.map(|_| row.path.clone()),
            label: row.label.clone(),
            type_name: row.type_name.clone(),
            address: row.object.map(|id| Hex(objects.address(id))),
            count: row.count,
            bytes: row.bytes,
            retained_bytes: row.retained_bytes,
            retained_objects: row.retained_objects,
            share_permille: number::permille(row.retained_bytes, found.bytes),
        };
        let rows = found.rows.iter().map(line).collect();
        Self { target, bytes: found.bytes, objects: found.objects, depth, rows }
    }
}

impl Report for DominatorsReport {
    const COMMAND: &'static str = "dominators";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let objects = number::counted(self.objects, "object", coverage.objects_bounded());
        let bytes = number::at_least_bytes(self.bytes, coverage.sizes_bounded());
        let title = match &self.target {
            Some(target) => format!("{target} dominates {objects}, {bytes}"),
            None => format!("Dominator tree of all that is alive: {objects}, {bytes}"),
        };
        page.paragraph(Tone::Strong, 2, &title);
        if self.rows.is_empty() {
            return;
        }
        page.gap();
        page.table(&self.table(coverage));
        page.gap();
        page.note(
            "retained: what would be freed with the object; of several, what would be freed with each of them, in sum",
        );
        let further = |row: &&DominatorLine| row.kind == "object" && (row.depth > 0 || self.target.is_none());
        let largest = self.rows.iter().filter(further).max_by_key(|row| row.retained_bytes);
        if let Some(address) = largest.and_then(|row| row.address) {
            page.note(&format!("next: exuvia dominators CORE {address}"));
        }
        page.note("next: exuvia cuts CORE, to see which single reference frees most");
        coverage.render_warnings(page, &["sizes", "references"]);
    }
}

impl DominatorsReport {
    fn table(&self, coverage: &Coverage) -> Table {
        let mut table = Table::new(&[
            ("retained", Align::Right),
            ("share", Align::Right),
            ("objects", Align::Right),
            ("what", Align::Left),
        ]);
        // What is left out is told where it would have been a row.
        let told = |row: &&DominatorLine| row.kind != "rest" || row.share_permille >= LEAST_REST;
        for row in self.rows.iter().filter(told) {
            table.row(vec![
                number::at_least_bytes(row.retained_bytes, coverage.sizes_bounded()),
                number::percent(row.share_permille),
                number::count(row.retained_objects),
                format!("{}{}", "  ".repeat(row.depth.min(32) as usize), row.what()),
            ]);
        }
        table
    }
}

impl DominatorLine {
    fn what(&self) -> String {
        let many = number::count(self.count);
        match self.kind {
            "run" => format!("… {many} steps of {}", self.label),
            "rest" => format!("({many} more objects, in smaller parts)"),
            "group" if self.label.is_empty() => format!("{} ×{many}", self.type_name),
            "group" => format!("{} → {} ×{many}", self.label, self.type_name),
            _ => format!("{} → {}", self.label, self.type_name),
        }
    }
}
