//! `view modules`: modules by the memory that their import cost.

use super::hidden;
use crate::analysis::views::{ImportedModule, Keepers};
use crate::report::table::{Align, Table};
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view modules`.
#[derive(Clone, Debug, Serialize)]
pub struct ModulesReport {
    /// `modules`.
    pub view: &'static str,
    /// How many there are.
    pub modules_total: u64,
    /// What they cost, each by itself: the sum.
    pub retained_bytes: u64,
    /// Those that cost most.
    pub modules: Vec<ImportedRow>,
}

/// One module.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedRow {
    /// The module.
    pub address: Hex,
    /// Its name in `sys.modules`.
    pub name: String,
    /// Functions whose globals are its namespace.
    pub functions: u64,
    /// Classes whose `__module__` is its name.
    pub classes: u64,
    /// Objects that would go with it and all of these.
    pub retained_objects: u64,
    /// Bytes of those.
    pub retained_bytes: u64,
}

impl ModulesReport {
    /// Names the first `limit` of what was found.
    pub fn new(keepers: &Keepers<'_, '_>, found: &[ImportedModule], limit: usize) -> Self {
        let objects = keepers.heap().objects;
        let row = |module: &ImportedModule| ImportedRow {
            address: Hex(objects.address(module.id)),
            name: module.name.clone(),
            functions: module.functions,
            classes: module.classes,
            retained_objects: module.total.nodes,
            retained_bytes: module.total.weight,
        };
        Self {
            view: "modules",
            modules_total: found.len() as u64,
            retained_bytes: found.iter().map(|module| module.total.weight).fold(0, u64::saturating_add),
            modules: found.iter().take(limit).map(row).collect(),
        }
    }
}

impl Report for ModulesReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.modules_total, "module", coverage.objects_bounded());
        let bytes = number::at_least_bytes(self.retained_bytes, coverage.sizes_bounded());
        page.paragraph(
            Tone::Strong,
            2,
            &format!("{total} keep {bytes} with their functions and classes, data in them included"),
        );
        let mut table = Table::new(&[
            ("keeps", Align::Right),
            ("objects", Align::Right),
            ("functions", Align::Right),
            ("classes", Align::Right),
            ("module", Align::Left),
        ]);
        for row in &self.modules {
            let numbers = [row.retained_objects, row.functions, row.classes].map(number::count);
            let kept = [number::bytes(row.retained_bytes)].into_iter().chain(numbers);
            table.row(kept.chain([row.name.clone()]).collect());
        }
        page.gap();
        page.table(&table);
        hidden(page, self.modules_total, self.modules.len());
        if let Some(first) = self.modules.first() {
            page.gap();
            page.note(&format!("next: exuvia dominators {} {}", core.argument(), first.address));
        }
        coverage.render_warnings(page, &["objects", "references"]);
    }
}
