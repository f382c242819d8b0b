//! `referrers` and `referents`: direct references, with labels, one by one or counted.

use super::header::ObjectHeader;
use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::analysis::{Direction, Heap, ReferencesAnswer};
use crate::graph::EdgeKind;
use serde::Serialize;

/// Up to so many references are listed rather than counted.
const LISTED: u64 = 20;

/// The answer of `referrers`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ReferrersReport(pub ReferencesReport);

/// The answer of `referents`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ReferentsReport(pub ReferencesReport);

/// References in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct ReferencesReport {
    /// What was asked for.
    pub target: String,
    /// How many objects that is.
    pub objects: u64,
    /// How many references there are.
    pub references: u64,
    /// What holds the objects from outside the heap.
    pub roots: Vec<String>,
    /// How many of the objects are held from outside.
    pub rooted_objects: u64,
    /// How many rows there would be in `counts`.
    pub counts_total: u64,
    /// References by type at the other end and label, strong ones first, most first.
    pub counts: Vec<CountRow>,
    /// The first references, in order of address.
    pub rows: Vec<ReferenceLine>,
}

/// References alike.
#[derive(Clone, Debug, Serialize)]
pub struct CountRow {
    /// Type at the other end.
    pub type_name: String,
    /// Where the holder holds, without index or key.
    pub label: String,
    /// `visited`, `owned`, `weak` or `inferred`.
    pub kind: &'static str,
    /// How many.
    pub references: u64,
    /// An object at the other end.
    pub example: super::Hex,
}

/// One reference.
#[derive(Clone, Debug, Serialize)]
pub struct ReferenceLine {
    /// The object at the other end.
    pub other: ObjectHeader,
    /// Where the holder holds.
    pub label: String,
    /// `visited`, `owned`, `weak` or `inferred`.
    pub kind: &'static str,
}

/// What an edge is, in a word.
pub fn kind_name(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Visited => "visited",
        EdgeKind::Owned => "owned",
        EdgeKind::Weak => "weak",
        EdgeKind::Inferred => "inferred",
    }
}

impl ReferencesReport {
    /// Names what was found about `objects` objects that `target` stands for.
    pub fn new(
        heap: Heap<'_, '_>,
        target: String,
        objects: u64,
        direction: Direction,
        found: &ReferencesAnswer,
        limit: usize,
    ) -> Self {
        let line = |row: &crate::analysis::ReferenceRow| ReferenceLine {
            other: ObjectHeader::counted(
                heap.runtime,
                heap.objects,
                match direction {
                    Direction::Referrers => row.holder,
                    Direction::Referents => row.held,
                },
            ),
            label: row.label.clone(),
            kind: kind_name(row.kind),
        };
        let count = |row: &crate::analysis::ReferenceCount| CountRow {
            type_name: row.type_name.clone(),
            label: row.label.clone(),
            kind: kind_name(row.kind),
            references: row.count,
            example: super::Hex(heap.objects.address(row.example)),
        };
        let mut writer = crate::analysis::PathWriter::new(heap);
        Self {
            target,
            objects,
            references: found.total,
            roots: found
                .roots
                .iter()
                .take(limit)
                .map(|&(id, root)| writer.describe_root(id.0, root))
                .collect(),
            rooted_objects: found.root_count,
            counts_total: found.counts.len() as u64,
            counts: found.counts.iter().take(limit).map(count).collect(),
            rows: found.rows.iter().take(limit).map(line).collect(),
        }
    }

    fn render(&self, page: &mut Page, coverage: &Coverage, noun: &str, of: &str) {
        let objects = match self.objects {
            1 => self.target.clone(),
            objects => format!("{} ({})", self.target, number::counted(objects, "object", false)),
        };
        page.paragraph(
            Tone::Strong,
            2,
            &format!("{} {of} {objects}", number::counted(self.references, noun, false)),
        );
        for root in &self.roots {
            page.note(&format!("held by {root}"));
        }
        let hidden = self.rooted_objects.saturating_sub(self.roots.len() as u64);
        if hidden > 0 {
            page.note(&format!("and {} more are held from outside the heap", number::count(hidden)));
        }
        page.gap();
        if self.references <= LISTED && self.rows.len() as u64 == self.references {
            page.table(&self.listed());
        } else {
            page.table(&self.counted());
            let hidden = self.counts_total - self.counts.len() as u64;
            if hidden > 0 {
                page.note(&format!("and {} more rows, see --limit", number::count(hidden)));
            }
        }
        coverage.render_warnings(page, &["references"]);
    }

    fn listed(&self) -> Table {
        let mut table = Table::new(&[
            ("type", Align::Left),
            ("label", Align::Left),
            ("kind", Align::Left),
            ("size", Align::Right),
            ("address", Align::Left),
        ]);
        for row in &self.rows {
            table.row(vec![
                row.other.type_name.clone(),
                row.label.clone(),
                row.kind.to_owned(),
                row.other.size_text(),
                row.other.address.to_string(),
            ]);
        }
        table
    }

    fn counted(&self) -> Table {
        let mut table = Table::new(&[
            ("references", Align::Right),
            ("type", Align::Left),
            ("label", Align::Left),
            ("kind", Align::Left),
            ("e.g.", Align::Left),
        ]);
        for row in &self.counts {
            table.row(vec![
                number::count(row.references),
                row.type_name.clone(),
                row.label.clone(),
                row.kind.to_owned(),
                row.example.to_string(),
            ]);
        }
        table
    }
}

impl Report for ReferrersReport {
    const COMMAND: &'static str = "referrers";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        self.0.render(page, coverage, "reference", "to");
    }
}

impl Report for ReferentsReport {
    const COMMAND: &'static str = "referents";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        self.0.render(page, coverage, "reference", "from");
    }
}
