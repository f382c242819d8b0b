//! What grew in every step of a row of heaps.
//!
//! Knows order; refuses to know times.

use super::diff::{MOST_COMPARED, is_below, is_most};
use super::{Snapshot, SuspectKind};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// One type or holder over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The type's name, or the holder's path.
    pub name: String,
    /// The holder's type; of a type its name.
    pub type_name: String,
    /// Bytes in each heap, of holders those that they retain; 0 where there was none.
    pub bytes: Vec<u64>,
    /// Objects of the type in each heap, or entries of the holder; 0 where there were none or they have none.
    pub counts: Vec<u64>,
    /// What makes the holder a suspect in the last heap.
    pub suspect: Option<SuspectKind>,
}

impl Series {
    /// Bytes in the last heap less those in the first.
    pub fn growth(&self) -> u64 {
        let (first, last) = (self.bytes.first().copied(), self.bytes.last().copied());
        last.unwrap_or(0).saturating_sub(first.unwrap_or(0))
    }

    fn grew_in_every_step(&self) -> bool {
        self.bytes.windows(2).all(|step| step.first() < step.last())
    }
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    /// Types that grew in every step, those first that grew most.
    pub types: Vec<Series>,
    /// Holders likewise; one whose growth is nearly all that of another below it is left out.
    pub holders: Vec<Series>,
}

/// Finds what grew in every step from one heap to the next.
pub fn trend(heaps: &[Snapshot]) -> Trend {
    let mut types: FxHashMap<&str, Series> = FxHashMap::default();
    let mut holders: FxHashMap<&str, Series> = FxHashMap::default();
    for (step, heap) in heaps.iter().enumerate() {
        for row in &heap.types {
            note(&mut types, &row.name, &row.name, step, heaps.len(), (row.bytes, row.objects));
        }
        for row in &heap.holders {
            let amount = (row.bytes, row.entries.unwrap_or(0));
            let series = note(&mut holders, &row.path, &row.type_name, step, heaps.len(), amount);
            series.suspect = row.suspect;
        }
    }
    Trend { types: grown(types), holders: unexplained(grown(holders)) }
}

fn note<'m, 's>(
    all: &'m mut FxHashMap<&'s str, Series>,
    name: &'s str,
    type_name: &str,
    step: usize,
    steps: usize,
    (bytes, count): (u64, u64),
) -> &'m mut Series {
    let series = all.entry(name).or_insert_with(|| Series {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        bytes: vec![0; steps],
        counts: vec![0; steps],
        suspect: None,
    });
    for (list, value) in [(&mut series.bytes, bytes), (&mut series.counts, count)] {
        if let Some(slot) = list.get_mut(step) {
            *slot = value;
        }
    }
    series
}

fn grown(all: FxHashMap<&str, Series>) -> Vec<Series> {
    let mut found: Vec<Series> = all.into_values().filter(Series::grew_in_every_step).collect();
    found.sort_by(|a, b| Reverse(a.growth()).cmp(&Reverse(b.growth())).then_with(|| a.name.cmp(&b.name)));
    found
}

/// Leaves out holders whose growth is nearly all that of one below them, as far as both are among those that grew most.
fn unexplained(found: Vec<Series>) -> Vec<Series> {
    let (large, _) = found.split_at(found.len().min(MOST_COMPARED));
    let explains = |below: &Series, above: &Series| {
        is_below(&below.name, &above.name) && is_most(i128::from(below.growth()), i128::from(above.growth()))
    };
    let is_explained = |above: &Series| large.iter().any(|below| explains(below, above));
    let explained: Vec<bool> = large.iter().map(is_explained).collect();
    let rest = std::iter::repeat(false);
    found
        .into_iter()
        .zip(explained.into_iter().chain(rest))
        .filter(|(_, gone)| !gone)
        .map(|(row, _)| row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::growth::{HolderSize, TypeSize};

    fn heap(types: &[(&str, u64)], holders: &[(&str, u64)]) -> Snapshot {
        Snapshot {
            types: types
                .iter()
                .map(|&(name, bytes)| TypeSize { name: name.to_owned(), objects: bytes / 10, bytes })
                .collect(),
            holders: holders
                .iter()
                .map(|&(path, bytes)| HolderSize {
                    path: path.to_owned(),
                    type_name: "dict".to_owned(),
                    bytes,
                    entries: None,
                    suspect: None,
                })
                .collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_grew_in_every_step_is_told_and_nothing_else() {
        let heaps = [
            heap(&[("a", 10), ("b", 10), ("c", 90)], &[("m.X", 10), ("m.X.y", 5)]),
            heap(&[("a", 20), ("b", 10), ("c", 80)], &[("m.X", 60), ("m.X.y", 55), ("m.Z", 1)]),
            heap(&[("a", 30), ("b", 90), ("c", 95), ("d", 1)], &[("m.X", 110), ("m.X.y", 105), ("m.Z", 2)]),
        ];
        let found = trend(&heaps);
        let names = |list: &[Series]| -> Vec<(String, Vec<u64>)> {
            list.iter().map(|series| (series.name.clone(), series.bytes.clone())).collect()
        };
        assert_eq!(names(&found.types), [("a".to_owned(), vec![10, 20, 30])]);
        assert_eq!(found.types[0].counts, [1, 2, 3]);
        let expected = [("m.X.y".to_owned(), vec![5, 55, 105]), ("m.Z".to_owned(), vec![0, 1, 2])];
        assert_eq!(names(&found.holders), expected);
    }
}
