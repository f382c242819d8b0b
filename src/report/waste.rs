//! `waste`: memory that the same program could do without.

use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use crate::analysis::{Heap, ValueGroup, Waste, WasteFinding, WasteKind};
use crate::cpython::{PreviewLimits, Values, preview, value_length};
use serde::Serialize;

/// Columns of a value.
const VALUE_WIDTH: usize = 60;

/// The answer of `waste`.
#[derive(Clone, Debug, Serialize)]
pub struct WasteReport {
    /// Bytes of all objects.
    pub heap_bytes: u64,
    /// Whether the values of `groups` are shown.
    pub values: bool,
    /// Whether values were compared: not if they were overwritten when the heap was saved.
    pub compared: bool,
    /// Objects whose value could not be read: they count as unlike any other.
    pub unread_values: u64,
    /// How many findings there are.
    pub findings_total: u64,
    /// The first of them, the most bytes first.
    pub findings: Vec<WasteRow>,
    /// Values that exist more than once.
    pub groups_total: u64,
    /// Those of them whose copies take most.
    pub groups: Vec<GroupRow>,
}

/// What one type's objects waste in one way.
#[derive(Clone, Debug, Serialize)]
pub struct WasteRow {
    /// `duplicates`, `empty`, `sparse`, `over_allocated`, `unshared_keys` or `no_slots`.
    pub kind: &'static str,
    /// The type of the objects.
    pub type_name: String,
    /// Objects concerned; of duplicates, the copies but for one of each value.
    pub objects: u64,
    /// Of duplicates, distinct values that exist more than once; else `null`.
    pub distinct: Option<u64>,
    /// Of `no_slots`, names that `__slots__` would list; else `null`.
    pub names: Option<u64>,
    /// Bytes that the remedy would save.
    pub bytes: u64,
    /// Their share of all objects' bytes, in thousandths.
    pub share_permille: u32,
    /// Objects, spread evenly, whose holders were looked for.
    pub sampled: u64,
    /// Who holds those.
    pub holders: Vec<HolderRow>,
    /// Objects that waste most.
    pub examples: Vec<Hex>,
    /// What to do.
    pub remedy: &'static str,
}

/// Who holds wasted objects.
#[derive(Clone, Debug, Serialize)]
pub struct HolderRow {
    /// Type of the holders.
    pub type_name: String,
    /// Where in them.
    pub label: String,
    /// References to objects of the sample.
    pub references: u64,
}

/// A value that exists more than once.
#[derive(Clone, Debug, Serialize)]
pub struct GroupRow {
    /// Its type.
    pub type_name: &'static str,
    /// Objects with this value.
    pub copies: u64,
    /// Bytes of all of them but the largest.
    pub bytes: u64,
    /// Characters, bytes, bits, or items; `null` if that cannot be read.
    pub length: Option<u64>,
    /// The value, shortened; `null` unless values are shown.
    pub value: Option<String>,
    /// One of the objects.
    pub example: Hex,
}

impl WasteReport {
    /// Names what was found, and cuts it to `limit` findings and values.
    pub fn new(heap: Heap<'_, '_>, found: &Waste, values: Values, limit: usize) -> Self {
        let heap_bytes = heap.objects.total_shallow();
        Self {
            heap_bytes,
            values: values == Values::Shown,
            compared: found.compared,
            unread_values: found.unread,
            findings_total: found.findings.len() as u64,
            findings: found
                .findings
                .iter()
                .take(limit)
                .map(|finding| row(heap, finding, heap_bytes))
                .collect(),
            groups_total: found.groups_total,
            groups: found.groups.iter().take(limit).map(|group| group_row(heap, group, values)).collect(),
        }
    }

    fn groups_table(&self) -> Table {
        let mut columns = vec![
            ("copies", Align::Right),
            ("saved", Align::Right),
            ("length", Align::Right),
            ("type", Align::Left),
            ("example", Align::Left),
        ];
        if self.values {
            columns.push(("value", Align::Left));
        }
        let mut table = Table::new(&columns);
        for group in &self.groups {
            table.row(vec![
                number::count(group.copies),
                number::bytes(group.bytes),
                group.length_text(),
                group.type_name.to_owned(),
                group.example.to_string(),
                group.value.clone().unwrap_or_default(),
            ]);
        }
        table
    }
}

impl GroupRow {
    /// Items or characters as they are; of a number, what it takes.
    fn length_text(&self) -> String {
        match (self.type_name, self.length) {
            (_, None) => "?".to_owned(),
            ("int", Some(bits)) => format!("≤{bits} bits"),
            ("float", Some(_)) => "–".to_owned(),
            (_, Some(length)) => number::count(length),
        }
    }
}

fn row(heap: Heap<'_, '_>, finding: &WasteFinding, heap_bytes: u64) -> WasteRow {
    WasteRow {
        kind: finding.kind.name(),
        type_name: short_type_name(&heap.runtime.types.get(finding.type_id).name).to_owned(),
        objects: finding.objects,
        distinct: matches!(finding.kind, WasteKind::Duplicates(_)).then_some(finding.values),
        names: (finding.kind == WasteKind::NoSlots).then_some(finding.names),
        bytes: finding.bytes,
        share_permille: number::permille(finding.bytes, heap_bytes),
        sampled: finding.sampled,
        holders: finding
            .holders
            .iter()
            .map(|holder| HolderRow {
                type_name: holder.type_name.clone(),
                label: holder.label.clone(),
                references: holder.references,
            })
            .collect(),
        examples: finding.examples.iter().map(|&id| Hex(heap.objects.address(id))).collect(),
        remedy: finding.kind.remedy(),
    }
}

fn group_row(heap: Heap<'_, '_>, group: &ValueGroup, values: Values) -> GroupRow {
    let address = heap.objects.address(group.example);
    let limits = PreviewLimits { max_chars: VALUE_WIDTH, max_items: 5, max_depth: 2 };
    GroupRow {
        type_name: group.kind.name(),
        copies: group.copies,
        bytes: group.bytes,
        length: value_length(heap.runtime, group.kind, address).ok(),
        value: (values == Values::Shown).then(|| preview(heap.runtime, address, values, limits).text),
        example: Hex(address),
    }
}

impl Report for WasteReport {
    const COMMAND: &'static str = "waste";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        match self.findings_total {
            0 => page.paragraph(Tone::Strong, 2, "Nothing is wasted that could be told"),
            total => page.paragraph(
                Tone::Strong,
                2,
                &format!(
                    "{} in {} of objects; what one saves may be part of what another does",
                    number::counted(total, "finding", false),
                    number::at_least_bytes(self.heap_bytes, coverage.sizes_bounded()),
                ),
            ),
        }
        for (index, row) in self.findings.iter().enumerate() {
            row.render(page, index + 1);
        }
        hidden(page, self.findings_total, self.findings.len());
        if !self.groups.is_empty() {
            page.heading("Values whose copies take most");
            page.table(&self.groups_table());
            hidden(page, self.groups_total, self.groups.len());
            if !self.values {
                page.note("values are not shown; --values shows them, and they may be secrets");
            }
        }
        if !self.compared {
            page.warning("contents were overwritten when this heap was saved: values could not be compared");
        }
        if self.unread_values > 0 {
            page.warning(&format!(
                "{} could not be read and were taken to be unlike any other",
                number::counted(self.unread_values, "value", false)
            ));
        }
        if let Some(example) = self.findings.iter().find_map(|row| row.examples.first()) {
            page.gap();
            page.note(&format!("next: exuvia referrers {} {example}", core.argument()));
        }
        coverage.render_warnings(page, &["objects", "sizes"]);
    }
}

fn hidden(page: &mut Page, total: u64, shown: usize) {
    let hidden = total.saturating_sub(shown as u64);
    if hidden > 0 {
        page.gap();
        page.note(&format!("and {} more, see --limit", number::count(hidden)));
    }
}

impl WasteRow {
    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        page.line(
            Tone::Strong,
            0,
            &format!(
                "{place}. {} ({}): {}",
                number::bytes(self.bytes),
                number::percent(self.share_permille),
                self.title()
            ),
        );
        let total: u64 = self.sampled;
        let holders: Vec<String> = self
            .holders
            .iter()
            .map(|holder| {
                let between = if holder.label.starts_with(['.', '[']) { "" } else { " " };
                format!("{}{between}{} ×{}", holder.type_name, holder.label, number::count(holder.references))
            })
            .collect();
        if !holders.is_empty() {
            let of = if total < self.objects {
                format!(" (of {} looked at)", number::count(total))
            } else {
                String::new()
            };
            page.line(Tone::Plain, 4, &format!("held by {}{of}", holders.join(", ")));
        }
        page.line(Tone::Plain, 4, self.remedy);
        let examples: Vec<String> = self.examples.iter().map(ToString::to_string).collect();
        page.line(Tone::Faint, 4, &format!("e.g. {}", examples.join(", ")));
    }

    fn title(&self) -> String {
        let (name, count) = (&self.type_name, number::count(self.objects));
        match self.kind {
            "duplicates" => format!(
                "{name}: {count} copies too many of {}",
                number::counted(self.distinct.unwrap_or(0), "value", false)
            ),
            "empty" => format!("{count} empty {name}"),
            "sparse" => format!("{count} sparse {name}, mostly room for items they no longer have"),
            "over_allocated" => format!("{count} {name} with more room than items"),
            "unshared_keys" => format!("{count} {name} whose __dict__ shares no keys with others"),
            _ => format!(
                "{count} {name} without __slots__ ({})",
                number::counted(self.names.unwrap_or(0), "name", false)
            ),
        }
    }
}
