//! Objects that have been found and have no number yet: rows and columns in order of address.
//!
//! Knows how rows become columns, and how columns are joined in place: at tens of millions of objects a second copy would
//! be most of the memory and half of the time. Refuses to know where objects are found.

use super::table::ObjectFlags;
use crate::corefile::Address;
use crate::cpython::TypeId;

/// What an object alone owns that `sys.getsizeof()` does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Nothing that is known.
    Nothing,
    /// As many bytes as most instances of its type.
    Usual,
    /// So many bytes; negative where `sys.getsizeof()` counts other objects.
    Other(i64),
}

/// One object, before it has a number.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its address.
    pub address: Address,
    /// Its type.
    pub type_id: TypeId,
    /// `sys.getsizeof()`, in bytes.
    pub size: u64,
    /// What it owns besides.
    pub owned: Owned,
    /// Its flags.
    pub flags: ObjectFlags,
}

/// Objects in order of address, as columns.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub(super) addresses: Vec<Address>,
    pub(super) types: Vec<TypeId>,
    /// `u32::MAX`: see `large`.
    pub(super) sizes: Vec<u32>,
    pub(super) flags: Vec<ObjectFlags>,
    pub(super) large: Vec<(Address, u64)>,
    /// Rows of objects that own what their type does not tell, ascending, and how many bytes.
    pub(super) owning: Vec<u32>,
    pub(super) owned: Vec<i64>,
}

impl Columns {
    /// Appends an object; addresses must ascend.
    #[inline]
    pub fn push(&mut self, found: Found) {
        if let Owned::Other(bytes) = found.owned {
            self.owning.push(self.addresses.len() as u32);
            self.owned.push(bytes);
        }
        self.addresses.push(found.address);
        self.types.push(found.type_id);
        self.flags.push(found.flags.with_owned(found.owned));
        match u32::try_from(found.size) {
            Ok(size) if size != u32::MAX => self.sizes.push(size),
            _ => {
                self.sizes.push(u32::MAX);
                self.large.push((found.address, found.size));
            }
        }
    }

    /// Appends all of `other`, which lies higher, and leaves it empty.
    pub fn append(&mut self, other: &mut Self) {
        let before = self.addresses.len() as u32;
        self.owning.extend(other.owning.drain(..).map(|row| row.wrapping_add(before)));
        self.owned.append(&mut other.owned);
        self.addresses.append(&mut other.addresses);
        self.types.append(&mut other.types);
        self.sizes.append(&mut other.sizes);
        self.flags.append(&mut other.flags);
        self.large.append(&mut other.large);
    }

    /// Puts the rows of `other` where their addresses belong.
    pub fn insert(&mut self, mut other: Self) {
        let places = places(&self.addresses, &other.addresses);
        let mut before = places.iter().peekable();
        let mut inserted = 0u32;
        for row in &mut self.owning {
            while before.next_if(|&&place| place <= *row as usize).is_some() {
                inserted = inserted.wrapping_add(1);
            }
            *row = row.wrapping_add(inserted);
        }
        for row in &mut other.owning {
            *row = row.wrapping_add(places.get(*row as usize).map_or(0, |&place| place as u32));
        }
        let owning = self::places(&self.owning, &other.owning);
        spread(&mut self.owning, &owning, &other.owning);
        spread(&mut self.owned, &owning, &other.owned);
        self.large.append(&mut other.large);
        rayon::join(
            || spread(&mut self.addresses, &places, &other.addresses),
            || {
                spread(&mut self.types, &places, &other.types);
                spread(&mut self.sizes, &places, &other.sizes);
                spread(&mut self.flags, &places, &other.flags);
            },
        );
    }

    /// Makes room for `count` more objects.
    pub fn reserve(&mut self, count: usize) {
        self.addresses.reserve_exact(count);
        self.types.reserve_exact(count);
        self.sizes.reserve_exact(count);
        self.flags.reserve_exact(count);
    }
}

/// In front of what in `column` each of `values` belongs. These ascend whatever the columns say: regions of a damaged process may
/// overlap.
fn places<T: Ord>(column: &[T], values: &[T]) -> Vec<usize> {
    let mut place = 0;
    let next = |value: &T| {
        place += column.get(place..).unwrap_or_default().partition_point(|at| at < value);
        place
    };
    values.iter().map(next).collect()
}

/// Puts each of `values` in front of what is at its place in `column`; places ascend.
fn spread<T: Copy>(column: &mut Vec<T>, places: &[usize], values: &[T]) {
    let mut end = column.len();
    column.extend_from_slice(values);
    for (before, (&place, &value)) in places.iter().zip(values).enumerate().rev() {
        column.copy_within(place..end, place + before + 1);
        if let Some(slot) = column.get_mut(place + before) {
            *slot = value;
        }
        end = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn columns<'a>(rows: impl IntoIterator<Item = &'a Found>) -> Columns {
        let mut columns = Columns::default();
        rows.into_iter().for_each(|&row| columns.push(row));
        columns
    }

    fn row(address: u64, choice: u32) -> Found {
        let owned = match choice % 3 {
            0 => Owned::Nothing,
            1 => Owned::Usual,
            _ => Owned::Other(i64::from(choice)),
        };
        let size = if choice.is_multiple_of(5) { 1 << 40 } else { u64::from(choice) };
        Found { address, type_id: TypeId(choice), size, owned, flags: ObjectFlags::UNTRACKED }
    }

    proptest! {
        /// Whatever is in them, nothing is lost.
        #[test]
        fn all_are_kept_in_any_order(there in proptest::collection::vec((0u64..50, any::<u32>()), 0..30),
                                     inserted in proptest::collection::vec((0u64..50, any::<u32>()), 0..30)) {
            let pushed = |rows: &[(u64, u32)]| {
                let rows: Vec<Found> = rows.iter().map(|&(address, choice)| row(address, choice)).collect();
                columns(&rows)
            };
            let mut joined = pushed(&there);
            joined.insert(pushed(&inserted));
            let mut expected = [there, inserted].concat();
            expected.sort_unstable();
            let mut found: Vec<_> = joined.addresses.into_iter().zip(joined.types.iter().map(|id| id.0)).collect();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }

        /// Parts, joined by appending and by inserting, are what all rows give at once.
        #[test]
        fn joined_as_pushed(rows in proptest::collection::btree_map(0u64..200, (any::<u32>(), 0u8..3), 0..60)) {
            let all: BTreeMap<u64, Found> = rows.iter().map(|(&at, &(choice, _))| (at, row(at, choice))).collect();
            let is_inserted = |address: &u64| rows.get(address).is_some_and(|&(_, part)| part == 0);
            let (inserted, there): (Vec<&Found>, Vec<&Found>) = all.values().partition(|row| is_inserted(&row.address));
            let (low, high) = there.split_at(there.len() / 2);
            let mut joined = columns(low.iter().copied());
            joined.append(&mut columns(high.iter().copied()));
            joined.insert(columns(inserted));
            joined.large.sort_unstable();
            let mut expected = columns(all.values());
            expected.large.sort_unstable();
            prop_assert_eq!(format!("{joined:?}"), format!("{expected:?}"));
        }
    }
}
