//! `trend`: what grew in every step of a row of cores.

use super::growth::{ComparedCore, clamped, signed_bytes};
use super::suspects::kind_name;
use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::analysis::{Series, Trend};
use serde::Serialize;

/// Seconds of an hour.
const HOUR: i128 = 3600;

/// The answer of `trend`.
#[derive(Clone, Debug, Serialize)]
pub struct TrendReport {
    /// The cores, in the order in which they were given; `core` and `coverage` are about the last.
    pub cores: Vec<ComparedCore>,
    /// Seconds from the first core to the last; `null` if a time is not known, or they are not in order of time.
    pub seconds: Option<u64>,
    /// By how many bytes an hour all objects grew, from the first core to the last.
    pub bytes_per_hour: Option<i64>,
    /// Types that grew in every step.
    pub types_total: u64,
    /// The first of them, those that grew most.
    pub types: Vec<SeriesRow>,
    /// Named places that grew in every step.
    pub holders_total: u64,
    /// The first of them likewise.
    pub holders: Vec<SeriesRow>,
}

/// One type or place over time.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesRow {
    /// The type's name, or the place's path.
    pub name: String,
    /// The type.
    pub type_name: String,
    /// Bytes in the last core less those in the first.
    pub growth_bytes: u64,
    /// The same an hour; `null` if times are not known.
    pub bytes_per_hour: Option<i64>,
    /// Bytes in each core: of places, those that would be freed with them alone.
    pub bytes: Vec<u64>,
    /// Objects, or entries, in each core.
    pub counts: Vec<u64>,
    /// What makes the place a suspect in the last core; `null` if it is none.
    pub suspect: Option<&'static str>,
}

impl TrendReport {
    /// Cuts what was found to `limit` types and places.
    pub fn new(cores: Vec<ComparedCore>, found: &Trend, limit: usize) -> Self {
        let seconds = seconds(&cores);
        let bytes = |core: Option<&ComparedCore>| core.map_or(0, |core| i128::from(core.bytes));
        let row = |series: &Series| SeriesRow {
            name: series.name.clone(),
            type_name: series.type_name.clone(),
            growth_bytes: series.growth(),
            bytes_per_hour: per_hour(i128::from(series.growth()), seconds),
            bytes: series.bytes.clone(),
            counts: series.counts.clone(),
            suspect: series.suspect.map(kind_name),
        };
        Self {
            seconds,
            bytes_per_hour: per_hour(bytes(cores.last()) - bytes(cores.first()), seconds),
            types_total: found.types.len() as u64,
            types: found.types.iter().take(limit).map(row).collect(),
            holders_total: found.holders.len() as u64,
            holders: found.holders.iter().take(limit).map(row).collect(),
            cores,
        }
    }

    fn table(&self, rows: &[SeriesRow], what: &str) -> Table {
        let mut table = Table::new(&[
            ("growth", Align::Right),
            ("an hour", Align::Right),
            ("first", Align::Right),
            ("last", Align::Right),
            ("count", Align::Right),
            (what, Align::Left),
        ]);
        for row in rows {
            let end = |end: Option<&u64>| end.copied().map_or(String::new(), number::bytes);
            let counts = (row.counts.first().copied(), row.counts.last().copied());
            table.row(vec![
                signed_bytes(i128::from(row.growth_bytes)),
                row.bytes_per_hour.map_or("?".to_owned(), |bytes| signed_bytes(i128::from(bytes))),
                end(row.bytes.first()),
                end(row.bytes.last()),
                match counts {
                    (Some(first), Some(last)) if last > 0 => {
                        format!("{} → {}", number::count(first), number::count(last))
                    }
                    _ => String::new(),
                },
                row.name.clone(),
            ]);
        }
        table
    }
}

/// Seconds from the first core to the last, if all times are known and ascend.
fn seconds(cores: &[ComparedCore]) -> Option<u64> {
    let times: Vec<u64> = cores.iter().map(|core| core.written).collect::<Option<_>>()?;
    let (first, last) = (times.first()?, times.last()?);
    last.checked_sub(*first).filter(|&seconds| seconds > 0 && times.is_sorted())
}

fn per_hour(change: i128, seconds: Option<u64>) -> Option<i64> {
    seconds.map(|seconds| clamped(change * HOUR / i128::from(seconds.max(1))))
}

impl Report for TrendReport {
    const COMMAND: &'static str = "trend";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        for (index, core) in self.cores.iter().enumerate() {
            core.render(page, &(index + 1).to_string());
        }
        match (self.seconds, self.bytes_per_hour) {
            (Some(seconds), Some(slope)) => page.pair(
                "growth",
                &format!(
                    "{} an hour, over {} by the times at which the files of the cores were last changed",
                    signed_bytes(i128::from(slope)),
                    number::counted(seconds, "second", false)
                ),
            ),
            _ => page.warning(
                "no slope: the time of a core is not known, or they are not in order of time; steps are as they were given",
            ),
        }
        if self.cores.iter().any(|core| core.bounded) {
            page.warning("part of a heap is missing: growth may be of what could be read");
        }
        if self.types.is_empty() && self.holders.is_empty() {
            page.gap();
            page.paragraph(Tone::Strong, 2, "Nothing grew in every step");
        }
        for (title, what, rows, total) in [
            ("Places that grew in every step", "path", &self.holders, self.holders_total),
            ("Types that grew in every step", "type", &self.types, self.types_total),
        ] {
            if rows.is_empty() {
                continue;
            }
            page.heading(title);
            page.table(&self.table(rows, what));
            let hidden = total.saturating_sub(rows.len() as u64);
            if hidden > 0 {
                page.note(&format!("and {} more, see --limit", number::count(hidden)));
            }
        }
        if let Some(first) = self.holders.first() {
            page.gap();
            page.note(&format!("next: exuvia show {} '{}'", core.argument(), first.name));
        }
        coverage.render_warnings(page, &["objects", "sizes", "references"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(written: Option<u64>) -> ComparedCore {
        ComparedCore {
            path: String::new(),
            pid: None,
            python: None,
            written,
            objects: 0,
            bytes: 0,
            garbage_bytes: 0,
            bounded: false,
        }
    }

    #[test]
    fn a_slope_needs_all_times_in_order() {
        let of = |times: &[Option<u64>]| seconds(&times.iter().map(|&time| core(time)).collect::<Vec<_>>());
        assert_eq!(of(&[Some(10), Some(10), Some(40)]), Some(30));
        assert_eq!(of(&[Some(10), None, Some(40)]), None);
        assert_eq!(of(&[Some(10), Some(5), Some(40)]), None);
        assert_eq!(of(&[Some(10), Some(10)]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(per_hour(100, Some(1800)), Some(200));
        assert_eq!(per_hour(-100, Some(7200)), Some(-50));
        assert_eq!(per_hour(100, None), None);
    }
}
