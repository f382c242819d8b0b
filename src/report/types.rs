//! `types`: how many objects of each type there are, and what they take.

use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use crate::analysis::{Histogram, TypeTotal};
use crate::cpython::{AllocationCounts, Generation, Runtime, type_module};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `types`.
#[derive(Clone, Debug, Serialize)]
pub struct TypesReport {
    /// What was counted.
    pub selection: TypeSelection,
    /// `bytes`, `count` or `name`.
    pub sort: &'static str,
    /// `type` or `module`: what a row stands for.
    pub group: &'static str,
    /// Objects that were selected.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Rows there are.
    pub total_rows: u64,
    /// The first of them.
    pub rows: Vec<TypeRow>,
    /// What is in the rows that are left out.
    pub others: Rest,
}

/// Which objects were counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TypeSelection {
    /// Only types whose name matches this pattern.
    pub filter: Option<String>,
    /// Only objects in this generation: `0`, `1`, `2`, `permanent` or `untracked`.
    pub generation: Option<String>,
    /// Only what a full collection would free.
    pub garbage: bool,
}

/// A type, or all types of a module.
#[derive(Clone, Debug, Serialize)]
pub struct TypeRow {
    /// The type's qualified name, or the module's.
    pub name: String,
    /// `__module__` of the type.
    pub module: String,
    /// The type object; `null` for modules.
    pub address: Option<Hex>,
    /// Types in the row.
    pub types: u64,
    /// Their direct instances.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`.
    pub bytes: u64,
    /// Share of all selected bytes, in thousandths.
    pub share_permille: u32,
    /// `sys.getcounts()` of the type; `null` for modules, and where the build does not count (`COUNT_ALLOCS`, up to 3.8).
    pub counts: Option<CountsRow>,
}

/// What a build with `COUNT_ALLOCS` counted of a type's direct instances.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CountsRow {
    /// Made so far.
    pub allocs: u64,
    /// Freed so far.
    pub frees: u64,
    /// Most at a time.
    pub max: u64,
}

impl From<AllocationCounts> for CountsRow {
    fn from(counts: AllocationCounts) -> Self {
        Self { allocs: counts.allocs, frees: counts.frees, max: counts.max }
    }
}

/// Rows that are not listed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rest {
    /// How many.
    pub rows: u64,
    /// Objects in them.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeSort {
    /// Largest first.
    Bytes,
    /// Most objects first.
    Count,
    /// Alphabetically.
    Name,
}

impl TypeSort {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Name => "name",
        }
    }
}

/// How the rows are made.
#[derive(Clone, Copy, Debug)]
pub struct TypeOptions {
    /// Their order.
    pub sort: TypeSort,
    /// One row for each module.
    pub by_module: bool,
    /// Most rows.
    pub limit: usize,
}

impl TypesReport {
    /// Names the types of `histogram` that `wanted` accepts by full name.
    pub fn new(
        runtime: &Runtime<'_>,
        histogram: &Histogram,
        selection: TypeSelection,
        options: TypeOptions,
        wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let accepted = histogram.types.iter().filter(|total| wanted(&runtime.types.get(total.type_id).name));
        let mut rows: Vec<TypeRow> = accepted.map(|total| type_row(runtime, total)).collect();
        if options.by_module {
            rows = by_module(rows);
        }
        let (objects, bytes) =
            rows.iter().fold((0, 0), |(objects, bytes), row| (objects + row.objects, bytes + row.bytes));
        for row in &mut rows {
            row.share_permille = number::permille(row.bytes, bytes);
        }
        sort(&mut rows, options.sort);
        let total_rows = rows.len() as u64;
        let hidden = rows.split_off(options.limit.min(rows.len()));
        let others = hidden.iter().fold(Rest::default(), |rest, row| Rest {
            rows: rest.rows + 1,
            objects: rest.objects + row.objects,
            bytes: rest.bytes + row.bytes,
        });
        let group = if options.by_module { "module" } else { "type" };
        Self { selection, sort: options.sort.name(), group, objects, bytes, total_rows, rows, others }
    }

    /// The rows as a table.
    pub fn table(&self, coverage: &Coverage) -> Table {
        let counters: &[(&str, Align)] = match self.rows.iter().any(|row| row.counts.is_some()) {
            true => &[("allocs", Align::Right), ("frees", Align::Right), ("max", Align::Right)],
            false => &[],
        };
        let mut columns = vec![("count", Align::Right), ("size", Align::Right), ("share", Align::Right)];
        columns.extend(counters);
        columns.push((self.group, Align::Left));
        let mut table = Table::new(&columns);
        let cells = |counts: Option<CountsRow>| {
            let numbers = counts.map(|counts| [counts.allocs, counts.frees, counts.max].map(number::count));
            numbers.unwrap_or_default().into_iter().take(counters.len())
        };
        let (count_bound, size_bound) = (coverage.objects_bounded(), coverage.sizes_bounded());
        for row in &self.rows {
            let mut cell = vec![
                number::at_least(row.objects, count_bound),
                number::at_least_bytes(row.bytes, size_bound),
                number::percent(row.share_permille),
            ];
            cell.extend(cells(row.counts));
            cell.push(row.name.clone());
            table.row(cell);
        }
        if self.others.rows > 0 {
            let mut cell = vec![
                number::at_least(self.others.objects, count_bound),
                number::at_least_bytes(self.others.bytes, size_bound),
                number::percent(number::permille(self.others.bytes, self.bytes)),
            ];
            cell.extend(cells(None));
            cell.push(format!("({} more, see --limit)", number::count(self.others.rows)));
            table.row(cell);
        }
        table
    }
}

fn type_row(runtime: &Runtime<'_>, total: &TypeTotal) -> TypeRow {
    let info = runtime.types.get(total.type_id);
    TypeRow {
        name: short_type_name(&info.name).to_owned(),
        module: type_module(runtime, info.address).unwrap_or_default(),
        address: Some(Hex(info.address)),
        types: 1,
        objects: total.objects,
        bytes: total.bytes,
        share_permille: 0,
        counts: info.counts.map(CountsRow::from),
    }
}

fn by_module(rows: Vec<TypeRow>) -> Vec<TypeRow> {
    let mut modules: BTreeMap<String, TypeRow> = BTreeMap::new();
    for row in rows {
        let module = modules.entry(row.module.clone()).or_insert_with(|| TypeRow {
            name: if row.module.is_empty() { "(no module)".to_owned() } else { row.module.clone() },
            module: row.module.clone(),
            address: None,
            types: 0,
            objects: 0,
            bytes: 0,
            share_permille: 0,
            counts: None,
        });
        module.types += 1;
        module.objects += row.objects;
        module.bytes += row.bytes;
    }
    modules.into_values().collect()
}

/// Ties are broken by name and address, so that the order is always the same.
fn sort(rows: &mut [TypeRow], order: TypeSort) {
    rows.sort_by(|a, b| {
        let by_number = match order {
            TypeSort::Bytes => b.bytes.cmp(&a.bytes).then(b.objects.cmp(&a.objects)),
            TypeSort::Count => b.objects.cmp(&a.objects).then(b.bytes.cmp(&a.bytes)),
            TypeSort::Name => std::cmp::Ordering::Equal,
        };
        by_number.then_with(|| a.name.cmp(&b.name)).then(a.address.cmp(&b.address))
    });
}

/// Name of a generation, or of being in none, as options and reports spell it.
pub fn generation_name(generation: Option<Generation>) -> &'static str {
    generation.map_or("untracked", Generation::name)
}

impl Report for TypesReport {
    const COMMAND: &'static str = "types";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let mut of = String::new();
        if self.selection.garbage {
            of.push_str(" that a full collection would free");
        }
        match self.selection.generation.as_deref() {
            Some("untracked") => of.push_str(" that the collector does not track"),
            Some(generation) => of.push_str(&format!(" in generation {generation}")),
            None => {}
        }
        if let Some(filter) = &self.selection.filter {
            of.push_str(&format!(" of types like {filter}"));
        }
        page.paragraph(
            Tone::Strong,
            2,
            &format!(
                "{} objects{of}, {}, {} {}s",
                number::at_least(self.objects, coverage.objects_bounded()),
                number::at_least_bytes(self.bytes, coverage.sizes_bounded()),
                number::count(self.total_rows),
                self.group,
            ),
        );
        if !self.rows.is_empty() {
            page.gap();
            page.table(&self.table(coverage));
        }
        let answers: &[&str] = if self.selection.garbage { &["sizes", "garbage"] } else { &["sizes"] };
        coverage.render_warnings(page, answers);
    }
}
