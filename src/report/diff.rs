//! `diff`: what is different between two heaps.

use super::growth::{ComparedCore, clamped, signed_bytes, signed_count};
use super::suspects::kind_name;
use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::analysis::{Amount, Change, Diff, Matched, TypeChange};
use serde::Serialize;

/// The answer of `diff`.
#[derive(Clone, Debug, Serialize)]
pub struct DiffReport {
    /// The first core.
    pub before: ComparedCore,
    /// The second, which `core` and `coverage` are about.
    pub after: ComparedCore,
    /// `address` in cores of one process, else `type_and_path`.
    pub matched_by: &'static str,
    /// Bytes of all objects of the second less those of the first.
    pub growth_bytes: i64,
    /// Objects likewise.
    pub growth_objects: i64,
    /// Objects that are new and gone; `null` unless they were matched.
    pub matched: Option<MatchedRow>,
    /// Types that are not as they were.
    pub types_total: u64,
    /// The first of them: the largest growth, and behind it the largest loss.
    pub types: Vec<TypeChangeRow>,
    /// Named places that do not hold what they held.
    pub holders_total: u64,
    /// The first of them likewise.
    pub holders: Vec<HolderChangeRow>,
    /// Suspects of either heap that do not hold what they held.
    pub suspects_total: u64,
    /// The first of them likewise.
    pub suspects: Vec<HolderChangeRow>,
}

/// New and gone objects.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MatchedRow {
    /// Objects in the second core only.
    pub new_objects: u64,
    /// Their size.
    pub new_bytes: u64,
    /// Objects in the first core only.
    pub gone_objects: u64,
    /// Their size.
    pub gone_bytes: u64,
}

impl From<Matched> for MatchedRow {
    fn from(matched: Matched) -> Self {
        Self {
            new_objects: matched.new.objects,
            new_bytes: matched.new.bytes,
            gone_objects: matched.gone.objects,
            gone_bytes: matched.gone.bytes,
        }
    }
}

/// One type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeChangeRow {
    /// Its name.
    pub type_name: String,
    /// Bytes that it grew by.
    pub growth_bytes: i64,
    /// Objects there were.
    pub objects_before: u64,
    /// Objects there are.
    pub objects_after: u64,
    /// Bytes there were.
    pub bytes_before: u64,
    /// Bytes there are.
    pub bytes_after: u64,
    /// New and gone objects; `null` unless they were matched.
    pub matched: Option<MatchedRow>,
}

/// One named place.
#[derive(Clone, Debug, Serialize)]
pub struct HolderChangeRow {
    /// Its path.
    pub path: String,
    /// Type of what is there.
    pub type_name: String,
    /// `new`, `gone`, `grown` or `shrunk`.
    pub change: &'static str,
    /// Bytes that it grew by.
    pub growth_bytes: i64,
    /// Bytes that it retained; `null` where it was not.
    pub bytes_before: Option<u64>,
    /// Bytes that it retains; `null` where it is gone.
    pub bytes_after: Option<u64>,
    /// Entries that it had, of lists, dicts and sets.
    pub entries_before: Option<u64>,
    /// Entries that it has.
    pub entries_after: Option<u64>,
    /// What makes it a suspect, as `suspects` has it; `null` if it is none.
    pub suspect: Option<&'static str>,
}

impl DiffReport {
    /// Cuts what was found to `limit` rows of each kind.
    pub fn new(before: ComparedCore, after: ComparedCore, found: &Diff, limit: usize) -> Self {
        let change = |after: u64, before: u64| clamped(i128::from(after) - i128::from(before));
        Self {
            matched_by: if found.matched.is_some() { "address" } else { "type_and_path" },
            growth_bytes: change(after.bytes, before.bytes),
            growth_objects: change(after.objects, before.objects),
            matched: found.matched.map(MatchedRow::from),
            types_total: found.types.len() as u64,
            types: both_ends(&found.types, limit, TypeChange::growth).into_iter().map(type_row).collect(),
            holders_total: found.holders.len() as u64,
            holders: both_ends(&found.holders, limit, Change::growth).into_iter().map(holder_row).collect(),
            suspects_total: found.suspects.len() as u64,
            suspects: both_ends(&found.suspects, limit, Change::growth).into_iter().map(holder_row).collect(),
            before,
            after,
        }
    }

    fn types_table(&self) -> Table {
        let mut columns = vec![
            ("growth", Align::Right),
            ("before", Align::Right),
            ("after", Align::Right),
            ("objects", Align::Right),
        ];
        if self.matched.is_some() {
            columns.extend([("new", Align::Right), ("gone", Align::Right)]);
        }
        columns.push(("type", Align::Left));
        let mut table = Table::new(&columns);
        for row in &self.types {
            let mut cells = vec![
                signed_bytes(i128::from(row.growth_bytes)),
                number::bytes(row.bytes_before),
                number::bytes(row.bytes_after),
                signed_count(i128::from(row.objects_after) - i128::from(row.objects_before)),
            ];
            if self.matched.is_some() {
                let count = |count: fn(&MatchedRow) -> u64| {
                    row.matched.as_ref().map_or(String::new(), |matched| number::count(count(matched)))
                };
                cells.push(count(|matched| matched.new_objects));
                cells.push(count(|matched| matched.gone_objects));
            }
            cells.push(row.type_name.clone());
            table.row(cells);
        }
        table
    }
}

/// At most `limit` rows of a list that begins with growth and ends with loss: those of the largest changes, in order.
fn both_ends<T>(list: &[T], limit: usize, growth: impl Fn(&T) -> i128) -> Vec<&T> {
    let mut places: Vec<usize> = (0..list.len()).collect();
    places
        .sort_by_key(|&place| std::cmp::Reverse(list.get(place).map_or(0, |row| growth(row).unsigned_abs())));
    places.truncate(limit);
    places.sort_unstable();
    places.into_iter().filter_map(|place| list.get(place)).collect()
}

fn type_row(change: &TypeChange) -> TypeChangeRow {
    let (Amount { objects: objects_before, bytes: bytes_before }, after) = (change.before, change.after);
    TypeChangeRow {
        type_name: change.name.clone(),
        growth_bytes: clamped(change.growth()),
        objects_before,
        objects_after: after.objects,
        bytes_before,
        bytes_after: after.bytes,
        matched: change.matched.map(MatchedRow::from),
    }
}

fn holder_row(change: &Change) -> HolderChangeRow {
    HolderChangeRow {
        path: change.path.clone(),
        type_name: change.type_name.clone(),
        change: match (change.before, change.after) {
            (None, _) => "new",
            (_, None) => "gone",
            (before, after) if before < after => "grown",
            _ => "shrunk",
        },
        growth_bytes: clamped(change.growth()),
        bytes_before: change.before,
        bytes_after: change.after,
        entries_before: change.entries.0,
        entries_after: change.entries.1,
        suspect: change.suspect.map(kind_name),
    }
}

/// Holders as a table.
fn holders_table(rows: &[HolderChangeRow]) -> Table {
    let mut table = Table::new(&[
        ("growth", Align::Right),
        ("before", Align::Right),
        ("after", Align::Right),
        ("entries", Align::Right),
        ("path", Align::Left),
        ("", Align::Left),
    ]);
    for row in rows {
        let bytes = |bytes: Option<u64>| bytes.map_or("-".to_owned(), number::bytes);
        let entries = match (row.entries_before, row.entries_after) {
            (Some(before), Some(after)) => signed_count(i128::from(after) - i128::from(before)),
            (None, Some(after)) => number::count(after),
            _ => String::new(),
        };
        let remark = match row.change {
            "new" | "gone" => row.change,
            _ => row.suspect.unwrap_or_default(),
        };
        table.row(vec![
            signed_bytes(i128::from(row.growth_bytes)),
            bytes(row.bytes_before),
            bytes(row.bytes_after),
            entries,
            row.path.clone(),
            remark.to_owned(),
        ]);
    }
    table
}

fn hidden(page: &mut Page, total: u64, shown: usize) {
    let hidden = total.saturating_sub(shown as u64);
    if hidden > 0 {
        page.note(&format!("and {} more, see --limit", number::count(hidden)));
    }
}

impl Report for DiffReport {
    const COMMAND: &'static str = "diff";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        self.before.render(page, "A");
        self.after.render(page, "B");
        let objects = signed_count(i128::from(self.growth_objects));
        page.pair("growth", &format!("{}, {objects} objects", signed_bytes(i128::from(self.growth_bytes))));
        match self.matched {
            Some(matched) => page.pair(
                "matched by",
                &format!(
                    "address and type: both are of one process; {} new ({}), {} gone ({})",
                    number::count(matched.new_objects),
                    number::bytes(matched.new_bytes),
                    number::count(matched.gone_objects),
                    number::bytes(matched.gone_bytes)
                ),
            ),
            None => page.pair("matched by", "type and path: these are two processes"),
        }
        if self.before.written.zip(self.after.written).is_some_and(|(before, after)| before > after) {
            page.warning("A was written after B: what is called growth here was loss");
        }
        if self.before.bounded || self.after.bounded {
            page.warning("part of a heap is missing: changes may be of what could be read");
        }
        if self.types.is_empty() && self.holders.is_empty() {
            page.gap();
            page.paragraph(Tone::Strong, 2, "Nothing has changed");
        }
        if !self.types.is_empty() {
            page.heading("By type");
            page.table(&self.types_table());
            hidden(page, self.types_total, self.types.len());
        }
        for (title, rows, total) in [
            ("By holder: bytes that would be freed with it alone", &self.holders, self.holders_total),
            ("Suspects", &self.suspects, self.suspects_total),
        ] {
            if !rows.is_empty() {
                page.heading(title);
                page.table(&holders_table(rows));
                hidden(page, total, rows.len());
            }
        }
        if let Some(first) = self.holders.first().filter(|row| row.growth_bytes > 0) {
            page.gap();
            page.note(&format!("next: exuvia show {} '{}'", core.argument(), first.path));
        }
        coverage.render_warnings(page, &["objects", "sizes", "references"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_changes_of_both_signs_are_listed_in_order() {
        let list = [9, 5, 1, -2, -8];
        let shown = |limit| both_ends(&list, limit, |&row| row).into_iter().copied().collect::<Vec<i128>>();
        assert_eq!(shown(3), [9, 5, -8]);
        assert_eq!(shown(9), list);
        assert_eq!(shown(0), Vec::<i128>::new());
    }
}
