//! `objects`: the instances of a type, largest first.

use super::header::ObjectHeader;
use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use crate::analysis::Instances;
use crate::cpython::{Runtime, TypeId};
use crate::heap::ObjectTable;
use serde::Serialize;

/// Most types named.
const MAX_TYPES: usize = 20;

/// The answer of `objects`.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectsReport {
    /// What was asked for.
    pub target: String,
    /// Types it names.
    pub types_total: u64,
    /// The first of them.
    pub types: Vec<TypeLine>,
    /// What was filtered out.
    pub filter: ObjectFilter,
    /// Direct instances that are left.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// The largest of them.
    pub rows: Vec<ObjectHeader>,
}

/// A type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeLine {
    /// Its qualified name.
    pub name: String,
    /// Its type object.
    pub address: Hex,
}

/// Which instances were wanted; bounds are inclusive.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ObjectFilter {
    /// Least size in bytes.
    pub min_size: Option<u64>,
    /// Greatest size in bytes.
    pub max_size: Option<u64>,
    /// Least refcount.
    pub min_refcount: Option<u64>,
    /// Greatest refcount.
    pub max_refcount: Option<u64>,
    /// `0`, `1`, `2`, `permanent` or `untracked`.
    pub generation: Option<String>,
}

impl ObjectsReport {
    /// Names what `found` holds.
    pub fn new(
        runtime: &Runtime<'_>,
        objects: &ObjectTable,
        target: String,
        types: &[TypeId],
        filter: ObjectFilter,
        found: &Instances,
    ) -> Self {
        let line = |&id: &TypeId| {
            let info = runtime.types.get(id);
            TypeLine { name: short_type_name(&info.name).to_owned(), address: Hex(info.address) }
        };
        Self {
            target,
            types_total: types.len() as u64,
            types: types.iter().take(MAX_TYPES).map(line).collect(),
            filter,
            objects: found.objects,
            bytes: found.bytes,
            rows: found.largest.iter().map(|&id| ObjectHeader::counted(runtime, objects, id)).collect(),
        }
    }
}

impl Report for ObjectsReport {
    const COMMAND: &'static str = "objects";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        page.paragraph(
            Tone::Strong,
            2,
            &format!(
                "{} of {}, {}",
                number::counted(self.objects, "instance", coverage.objects_bounded()),
                self.target,
                number::at_least_bytes(self.bytes, coverage.sizes_bounded())
            ),
        );
        if self.types_total > 1 {
            let names: Vec<&str> = self.types.iter().map(|line| line.name.as_str()).collect();
            page.note(&format!("{} types: {}", self.types_total, names.join(", ")));
        }
        if !self.rows.is_empty() {
            page.gap();
            page.table(&self.table());
        }
        let hidden = self.objects - self.rows.len() as u64;
        if hidden > 0 {
            page.note(&format!("and {} smaller ones, see --limit", number::count(hidden)));
        }
        if let Some(first) = self.rows.first() {
            page.gap();
            page.note(&format!("next: exuvia show CORE {}", first.address));
        }
        coverage.render_warnings(page, &["sizes"]);
    }
}

impl ObjectsReport {
    fn table(&self) -> Table {
        let differs = self.rows.iter().any(|row| row.shallow_text().is_some());
        let mut columns = vec![("size", Align::Right)];
        columns.extend(differs.then_some(("shallow", Align::Right)));
        columns.extend([
            ("refcount", Align::Right),
            ("generation", Align::Left),
            ("address", Align::Left),
            ("type", Align::Left),
        ]);
        let mut table = Table::new(&columns);
        for row in &self.rows {
            let mut cells = vec![row.size_text()];
            cells.extend(differs.then(|| row.shallow_text().unwrap_or_else(|| row.size_text())));
            cells.extend([
                row.refcount_text(),
                row.generation.to_owned(),
                row.address.to_string(),
                row.type_name.clone(),
            ]);
            table.row(cells);
        }
        table
    }
}
