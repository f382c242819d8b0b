//! What is different between two heaps.
//!
//! Knows what to match by; refuses to know whether a change is a leak.

use super::{HolderSize, Placed, Snapshot, TypeSize};
use crate::analysis::SuspectKind;
use std::cmp::{Ordering, Reverse};

/// Holders at each end of the list among which the ones that explain others are looked for.
pub(super) const MOST_COMPARED: usize = 1000;

/// Objects and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What became of the objects of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// In the second heap, and not in the first.
    pub new: Amount,
    /// In the first, and not in the second.
    pub gone: Amount,
}

/// One type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeChange {
    /// Its name.
    pub name: String,
    /// What there was.
    pub before: Amount,
    /// What there is.
    pub after: Amount,
    /// Only where objects were matched.
    pub matched: Option<Matched>,
}

impl TypeChange {
    /// By how many bytes it grew.
    pub fn growth(&self) -> i128 {
        i128::from(self.after.bytes) - i128::from(self.before.bytes)
    }
}

/// One holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// Type of what is there in the second heap, or was in the first.
    pub type_name: String,
    /// Bytes that it retained; `None` where it was not.
    pub before: Option<u64>,
    /// Bytes that it retains; `None` where it is gone.
    pub after: Option<u64>,
    /// Entries before and after, of containers.
    pub entries: (Option<u64>, Option<u64>),
    /// What makes it a suspect in the second heap, or made it one in the first.
    pub suspect: Option<SuspectKind>,
}

impl Change {
    /// By how many bytes it grew.
    pub fn growth(&self) -> i128 {
        i128::from(self.after.unwrap_or(0)) - i128::from(self.before.unwrap_or(0))
    }
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Types that are not as they were, the largest growth first, the largest loss last.
    pub types: Vec<TypeChange>,
    /// Holders likewise. One whose change is nearly all that of another below it is left out.
    pub holders: Vec<Change>,
    /// Holders that are or were suspects.
    pub suspects: Vec<Change>,
    /// New and gone objects of all types; only where they were matched.
    pub matched: Option<Matched>,
}

/// Compares two heaps. `by_address`: they are of one process, and both were summed up with their objects.
pub fn diff(before: &Snapshot, after: &Snapshot, by_address: bool) -> Diff {
    let mut types = type_changes(&before.types, &after.types);
    let mut matched = None;
    if by_address {
        matched = Some(match_objects(before, after, &mut types));
    }
    let is_changed = |change: &TypeChange| {
        change.before != change.after || change.matched.is_some_and(|matched| matched != Matched::default())
    };
    types.retain(is_changed);
    types.sort_by(|a, b| Reverse(a.growth()).cmp(&Reverse(b.growth())).then_with(|| a.name.cmp(&b.name)));
    let all = holder_changes(&before.holders, &after.holders);
    let suspects = all.iter().filter(|change| change.suspect.is_some()).cloned().collect();
    Diff { types, holders: unexplained(all), suspects, matched }
}

/// Joins two lists in order of their keys, and calls `each` with what either has.
fn join<'s, T>(
    before: &'s [T],
    after: &'s [T],
    key: impl Fn(&T) -> &str,
    mut each: impl FnMut(Option<&'s T>, Option<&'s T>),
) {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(two)) => key(one).cmp(key(two)),
        };
        match order {
            Ordering::Less => each(old.next(), None),
            Ordering::Greater => each(None, new.next()),
            Ordering::Equal => each(old.next(), new.next()),
        }
    }
}

/// All types of both, by name.
fn type_changes(before: &[TypeSize], after: &[TypeSize]) -> Vec<TypeChange> {
    let amount = |row: Option<&TypeSize>| {
        row.map_or(Amount::default(), |row| Amount { objects: row.objects, bytes: row.bytes })
    };
    let mut changes = Vec::new();
    join(
        before,
        after,
        |row| &row.name,
        |old, new| {
            let name = old.or(new).map_or(String::new(), |row| row.name.clone());
            changes.push(TypeChange { name, before: amount(old), after: amount(new), matched: None });
        },
    );
    changes
}

/// All holders of both that changed, the largest growth first.
fn holder_changes(before: &[HolderSize], after: &[HolderSize]) -> Vec<Change> {
    let mut changes = Vec::new();
    join(
        before,
        after,
        |row| &row.path,
        |old, new| {
            let Some(either) = new.or(old) else { return };
            changes.push(Change {
                path: either.path.clone(),
                type_name: either.type_name.clone(),
                before: old.map(|row| row.bytes),
                after: new.map(|row| row.bytes),
                entries: (old.and_then(|row| row.entries), new.and_then(|row| row.entries)),
                suspect: new.and_then(|row| row.suspect).or_else(|| old.and_then(|row| row.suspect)),
            });
        },
    );
    changes.retain(|change| change.before != change.after);
    changes.sort_by(|a, b| Reverse(a.growth()).cmp(&Reverse(b.growth())).then_with(|| a.path.cmp(&b.path)));
    changes
}

/// Leaves out those whose change is nearly all that of one below them: `app.BUS` where `app.BUS.listeners` grew. Looked for
/// among the largest changes of both signs.
fn unexplained(changes: Vec<Change>) -> Vec<Change> {
    let is_large = |place: usize| place < MOST_COMPARED || changes.len() - place <= MOST_COMPARED;
    let large = || changes.iter().enumerate().filter(|&(place, _)| is_large(place)).map(|(_, change)| change);
    let explains = |below: &Change, above: &Change| {
        let (part, whole) = (below.growth(), above.growth());
        (part > 0) == (whole > 0) && is_below(&below.path, &above.path) && is_most(part, whole)
    };
    let kept: Vec<bool> = changes
        .iter()
        .enumerate()
        .map(|(place, change)| !is_large(place) || !large().any(|other| explains(other, change)))
        .collect();
    changes.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(change, _)| change).collect()
}

/// Whether a path goes on where another ends.
pub(super) fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Whether a part explains the whole: four fifths of it do.
pub(super) fn is_most(part: i128, whole: i128) -> bool {
    part.unsigned_abs().saturating_mul(5) >= whole.unsigned_abs().saturating_mul(4)
}

/// Matches objects by address and type, and notes with each type what is new and what is gone. An object that was freed and
/// whose place another of the same type took counts as that.
fn match_objects(before: &Snapshot, after: &Snapshot, changes: &mut [TypeChange]) -> Matched {
    // `changes` has the types of both by name: so each type's number is its place there.
    let numbers = |types: &[TypeSize]| -> Vec<usize> {
        let place = |row: &TypeSize| changes.partition_point(|change| change.name < row.name);
        types.iter().map(place).collect()
    };
    let (old_types, new_types) = (numbers(&before.types), numbers(&after.types));
    let mut found = vec![Matched::default(); changes.len()];
    let type_of = |placed: &Placed, types: &[usize], index: usize| {
        let number = placed.types.get(index).copied().unwrap_or(0);
        types.get(number as usize).copied().unwrap_or(usize::MAX)
    };
    let size_of = |placed: &Placed, index: usize| placed.sizes.get(index).copied().unwrap_or(0);
    let (old, new) = (&before.placed, &after.placed);
    let (mut i, mut j) = (0, 0);
    loop {
        let order = match (old.addresses.get(i), new.addresses.get(j)) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(two)) => one.cmp(two),
        };
        let (was, is) = (type_of(old, &old_types, i), type_of(new, &new_types, j));
        let same = order == Ordering::Equal && was == is;
        if order != Ordering::Greater {
            if let (false, Some(row)) = (same, found.get_mut(was)) {
                row.gone.add(size_of(old, i));
            }
            i += 1;
        }
        if order != Ordering::Less {
            if let (false, Some(row)) = (same, found.get_mut(is)) {
                row.new.add(size_of(new, j));
            }
            j += 1;
        }
    }
    let mut all = Matched::default();
    for (change, row) in changes.iter_mut().zip(found) {
        change.matched = Some(row);
        for (sum, amount) in [(&mut all.new, row.new), (&mut all.gone, row.gone)] {
            sum.objects += amount.objects;
            sum.bytes = sum.bytes.saturating_add(amount.bytes);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(objects: &[(u64, &str, u64)]) -> Snapshot {
        let mut names: Vec<&str> = objects.iter().map(|&(_, name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &str| names.iter().position(|known| *known == name).expect("a name") as u32;
        let sizes = |name: &str| -> Vec<u64> {
            objects.iter().filter(|object| object.1 == name).map(|object| object.2).collect()
        };
        Snapshot {
            types: names
                .iter()
                .map(|&name| TypeSize {
                    name: name.to_owned(),
                    objects: sizes(name).len() as u64,
                    bytes: sizes(name).iter().sum(),
                })
                .collect(),
            placed: Placed {
                addresses: objects.iter().map(|object| object.0).collect(),
                types: objects.iter().map(|object| number(object.1)).collect(),
                sizes: objects.iter().map(|object| object.2).collect(),
            },
            ..Snapshot::default()
        }
    }

    fn amount(objects: u64, bytes: u64) -> Amount {
        Amount { objects, bytes }
    }

    #[test]
    fn objects_of_one_process_are_matched_by_address_and_type() {
        let before = snapshot(&[(1, "a", 10), (2, "b", 20), (3, "a", 30), (9, "z", 5)]);
        let after = snapshot(&[(1, "a", 15), (2, "a", 40), (4, "c", 7), (9, "z", 5)]);
        let found = diff(&before, &after, true);
        let rows: Vec<(&str, i128, Matched)> = found
            .types
            .iter()
            .map(|row| (row.name.as_str(), row.growth(), row.matched.expect("matched")))
            .collect();
        let expected = [
            ("a", 15, Matched { new: amount(1, 40), gone: amount(1, 30) }),
            ("c", 7, Matched { new: amount(1, 7), gone: amount(0, 0) }),
            ("b", -20, Matched { new: amount(0, 0), gone: amount(1, 20) }),
        ];
        assert_eq!(rows, expected);
        assert_eq!(found.matched, Some(Matched { new: amount(2, 47), gone: amount(2, 50) }));
        assert!(diff(&before, &after, false).types.iter().all(|row| row.matched.is_none()));
        assert!(diff(&before, &before, true).types.is_empty());
    }

    fn holder(path: &str, bytes: u64) -> HolderSize {
        HolderSize {
            path: path.to_owned(),
            type_name: "dict".to_owned(),
            bytes,
            entries: Some(bytes / 10),
            suspect: None,
        }
    }

    #[test]
    fn a_holder_whose_growth_is_that_of_another_below_it_is_left_out() {
        let before = Snapshot {
            holders: vec![holder("app.BUS", 100), holder("app.BUS.x", 50)],
            ..Snapshot::default()
        };
        let after = Snapshot {
            holders: vec![holder("app.BUS", 1000), holder("app.BUS.x", 900), holder("app.BUSES", 10)],
            ..Snapshot::default()
        };
        let paths = |found: &Diff| -> Vec<(String, i128)> {
            found.holders.iter().map(|change| (change.path.clone(), change.growth())).collect()
        };
        let grown = diff(&before, &after, false);
        assert_eq!(paths(&grown), [("app.BUS.x".to_owned(), 850), ("app.BUSES".to_owned(), 10)]);
        assert_eq!(grown.holders[0].entries, (Some(5), Some(90)));
        assert_eq!(grown.holders[1].before, None);
        let shrunk = diff(&after, &before, false);
        assert_eq!(paths(&shrunk), [("app.BUSES".to_owned(), -10), ("app.BUS.x".to_owned(), -850)]);
    }
}
