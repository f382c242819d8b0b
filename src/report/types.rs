//! `types`: how many objects of each type there are, and what they take.

use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use crate::analysis::{Histogram, TypeGrouping, TypeGroups, TypeTotal};
use crate::cpython::{AllocationCounts, Generation, Runtime, type_module};
use crate::graph::GroupTotal;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// The answer of `types`.
#[derive(Clone, Debug, Serialize)]
pub struct TypesReport {
    /// What was counted.
    pub selection: TypeSelection,
    /// `bytes`, `count`, `name` or `retained`.
    pub sort: &'static str,
    /// `type`, `module` or `package`: what a row stands for.
    pub group: &'static str,
    /// Objects that were selected.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`.
    pub bytes: u64,
    /// `bytes` with the memory that these objects alone own and `sys.getsizeof()` does not count, as far as that is known.
    pub shallow_bytes: u64,
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

/// A type, or all types of a module or package.
#[derive(Clone, Debug, Serialize)]
pub struct TypeRow {
    /// The type's qualified name, or the module's or package's.
    pub name: String,
    /// `__module__` of the type; empty for packages.
    pub module: String,
    /// The type object; `null` for modules and packages.
    pub address: Option<Hex>,
    /// Types in the row.
    pub types: u64,
    /// Their direct instances.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`.
    pub bytes: u64,
    /// Share of all selected bytes, in thousandths.
    pub share_permille: u32,
    /// `bytes` with the memory that these objects alone own and `sys.getsizeof()` does not count, as far as that is known.
    pub shallow_bytes: u64,
    /// Bytes that nothing else keeps alive: what would be freed if all these instances went, themselves included, in shallow
    /// sizes; `null` unless it was asked for.
    pub retained_bytes: Option<u64>,
    /// Objects of that size.
    pub retained_objects: Option<u64>,
    /// `sys.getcounts()` of the type; `null` for groups, and where the build does not count (`COUNT_ALLOCS`, up to 3.8).
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
    /// What keeps most bytes alive first.
    Retained,
}

impl TypeSort {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Name => "name",
            Self::Retained => "retained",
        }
    }
}

/// How the rows are made.
#[derive(Clone, Copy, Debug)]
pub struct TypeOptions {
    /// Their order.
    pub sort: TypeSort,
    /// Most rows.
    pub limit: usize,
}

impl TypesReport {
    /// A row for each group of types that has instances in `histogram`. `retained` says what the instances of each group keep
    /// alive together, if that was asked for.
    pub fn new(
        runtime: &Runtime<'_>,
        histogram: &Histogram,
        selection: TypeSelection,
        options: TypeOptions,
        groups: &TypeGroups,
        retained: Option<&[GroupTotal]>,
    ) -> Self {
        let mut rows = rows(runtime, histogram, groups, retained);
        let sum = |of: fn(&TypeRow) -> u64| rows.iter().map(of).fold(0, u64::saturating_add);
        let (objects, bytes) = (sum(|row| row.objects), sum(|row| row.bytes));
        let shallow_bytes = sum(|row| row.shallow_bytes);
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
        let group = groups.grouping.name();
        let sort = options.sort.name();
        Self { selection, sort, group, objects, bytes, shallow_bytes, total_rows, rows, others }
    }

    /// The rows as a table.
    pub fn table(&self, coverage: &Coverage) -> Table {
        let counters: &[(&str, Align)] = match self.rows.iter().any(|row| row.counts.is_some()) {
            true => &[("allocs", Align::Right), ("frees", Align::Right), ("max", Align::Right)],
            false => &[],
        };
        let mut columns = vec![("count", Align::Right), ("size", Align::Right), ("share", Align::Right)];
        let owns = self.rows.iter().any(TypeRow::owns_besides);
        if owns {
            columns.push(("shallow", Align::Right));
        }
        let retains = self.rows.iter().any(|row| row.retained_bytes.is_some());
        if retains {
            columns.push(("retained", Align::Right));
        }
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
            cell.extend(owns.then(|| number::at_least_bytes(row.shallow_bytes, size_bound)));
            let kept = row.retained_bytes.map(|bytes| number::at_least_bytes(bytes, size_bound));
            cell.extend(kept);
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
            cell.extend(owns.then(String::new));
            // What rows keep alive overlaps: a sum would count it several times.
            cell.extend(retains.then(String::new));
            cell.extend(cells(None));
            cell.push(format!("({} more, see --limit)", number::count(self.others.rows)));
            table.row(cell);
        }
        table
    }
}

impl TypeRow {
    /// Whether the two sizes differ.
    fn owns_besides(&self) -> bool {
        self.shallow_bytes != self.bytes
    }
}

fn rows(
    runtime: &Runtime<'_>,
    histogram: &Histogram,
    groups: &TypeGroups,
    retained: Option<&[GroupTotal]>,
) -> Vec<TypeRow> {
    let mut rows: Vec<TypeRow> = Vec::new();
    let mut row_of: FxHashMap<u32, usize> = FxHashMap::default();
    for total in &histogram.types {
        let Some(group) = groups.of(total.type_id) else { continue };
        let index = *row_of.entry(group).or_insert_with(|| {
            let kept = retained.and_then(|totals| totals.get(group as usize));
            rows.push(TypeRow {
                retained_bytes: kept.map(|total| total.weight),
                retained_objects: kept.map(|total| total.nodes),
                ..empty_row(runtime, total, groups, group)
            });
            rows.len() - 1
        });
        if let Some(row) = rows.get_mut(index) {
            row.types += 1;
            row.objects += total.objects;
            row.bytes += total.bytes;
            row.shallow_bytes = row.shallow_bytes.saturating_add(total.shallow);
        }
    }
    rows
}

/// The row of a group, one of whose types is that of `total`, with nothing counted.
fn empty_row(runtime: &Runtime<'_>, total: &TypeTotal, groups: &TypeGroups, group: u32) -> TypeRow {
    let info = runtime.types.get(total.type_id);
    let is_type = groups.grouping == TypeGrouping::Type;
    let name = match groups.grouping {
        TypeGrouping::Type => short_type_name(&info.name).to_owned(),
        _ => groups.name(group).to_owned(),
    };
    let module = match groups.grouping {
        TypeGrouping::Type => type_module(runtime, info.address).unwrap_or_default(),
        TypeGrouping::Module => name.clone(),
        TypeGrouping::Package => String::new(),
    };
    TypeRow {
        name: if name.is_empty() { format!("(no {})", groups.grouping.name()) } else { name },
        module,
        address: is_type.then_some(Hex(info.address)),
        types: 0,
        objects: 0,
        bytes: 0,
        share_permille: 0,
        shallow_bytes: 0,
        retained_bytes: None,
        retained_objects: None,
        counts: info.counts.map(CountsRow::from).filter(|_| is_type),
    }
}

/// Ties are broken by name and address, so that the order is always the same.
fn sort(rows: &mut [TypeRow], order: TypeSort) {
    rows.sort_by(|a, b| {
        let by_number = match order {
            TypeSort::Bytes => b.bytes.cmp(&a.bytes).then(b.objects.cmp(&a.objects)),
            TypeSort::Count => b.objects.cmp(&a.objects).then(b.bytes.cmp(&a.bytes)),
            TypeSort::Name => std::cmp::Ordering::Equal,
            TypeSort::Retained => b.retained_bytes.cmp(&a.retained_bytes).then(b.bytes.cmp(&a.bytes)),
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
                number::both_sizes(self.bytes, self.shallow_bytes, coverage.sizes_bounded()),
                number::count(self.total_rows),
                self.group,
            ),
        );
        if !self.rows.is_empty() {
            page.gap();
            page.table(&self.table(coverage));
        }
        if self.rows.iter().any(TypeRow::owns_besides) {
            page.gap();
            page.note(
                "size: sys.getsizeof(); shallow: with the memory that objects alone own and it does not count, such as the \
                 attributes of instances",
            );
        }
        let retains = self.rows.iter().any(|row| row.retained_bytes.is_some());
        if let (Some(first), true) = (self.rows.first(), retains) {
            page.gap();
            page.note(&format!(
                "retained: what would be freed if all instances of the {} went at once, each object counted once; rows \
                 overlap, so they do not add up",
                self.group
            ));
            if self.group == "package" {
                page.note(
                    "package: by the path of the modules in sys.modules; what is in site-packages goes by the name it \
                     has there",
                );
            }
            if first.address.is_some() {
                page.note(&format!("next: exuvia dominators CORE {}", first.name));
            }
        }
        let answers: &[&str] = match (self.selection.garbage, retains) {
            (true, _) => &["sizes", "garbage"],
            (_, true) => &["sizes", "references"],
            _ => &["sizes"],
        };
        coverage.render_warnings(page, answers);
    }
}
