//! Which objects have the same value: for every object of a type that never changes, the lowest one that it equals.
//!
//! Two objects are equal here if their types are the same, and their bytes, or, of tuples and frozensets, all that is in
//! them: values of these types by value, anything else by identity. Replacing one by the other would be noticed by `is`
//! alone. Hashes only bring candidates together; what is counted as equal was compared, so that no collision can lie.
//! Refuses to know holders and text.

use super::{CHUNK, ValueGroup, WasteFinding, WasteKind, is_within};
use crate::cpython::{PlainValue, Runtime, TypeId, ValueKind, each_element};
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::cmp::Reverse;
use std::hash::{Hash, Hasher};

/// A container whose items are not all settled.
const UNSETTLED: u32 = u32::MAX;
/// Containers inside each other whose values are compared; deeper ones, and those in cycles, equal nothing but themselves.
const MOST_LEVELS: usize = 64;
/// What an item is marked with that is no known object.
const UNKNOWN: u64 = 1 << 63;

/// What is told of one type.
#[derive(Clone, Copy, Debug)]
pub struct KindTotal {
    kind: ValueKind,
    type_id: TypeId,
    /// Values that exist more than once.
    pub values: u64,
    /// Objects that have them, but for one of each.
    pub copies: u64,
    /// Their bytes.
    bytes: u64,
    example: ObjectId,
    example_bytes: u64,
}

/// Equal values.
#[derive(Clone, Debug, Default)]
pub struct ValueClasses {
    /// For each node the lowest that it equals: 4 bytes an object.
    canon: Vec<u32>,
    /// By type.
    pub totals: Vec<KindTotal>,
    /// Values whose copies take most.
    pub largest: Vec<ValueGroup>,
    /// Objects that could not be read.
    pub unread: u64,
}

/// A node with the hash of its value, and, once settled, with the lowest node of the same value in the hash's place.
type Hashed = (u64, u32);

impl ValueClasses {
    /// Compares all values, of `within` alone if that is given. At most `limit` single ones are told.
    pub fn find(
        runtime: &Runtime<'_>,
        objects: &ObjectTable,
        within: Option<&NodeSet>,
        limit: usize,
    ) -> Self {
        let kinds: Vec<Option<ValueKind>> =
            runtime.types.iter().map(|(_, info)| ValueKind::of(info)).collect();
        let canon = (0..objects.len() as u32).collect();
        let mut search =
            Search { runtime, objects, kinds, within, limit, found: Self { canon, ..Self::default() } };
        for kind in ValueKind::ALL.into_iter().filter(|kind| !kind.is_container()) {
            search.plain(kind);
        }
        search.containers();
        let mut found = search.found;
        keep_largest(&mut found.largest, limit);
        found
    }

    /// The lowest node with the value of `node`: another one exactly for all copies but that.
    #[inline]
    pub fn is_copy(&self, node: u32) -> bool {
        self.canon.get(node as usize).is_some_and(|&canon| canon != node)
    }

    /// The findings that the totals are.
    pub fn findings(&self) -> impl Iterator<Item = WasteFinding> + '_ {
        self.totals.iter().filter(|total| total.copies > 0).map(|total| WasteFinding {
            kind: WasteKind::Duplicates(total.kind),
            type_id: total.type_id,
            objects: total.copies,
            values: total.values,
            names: 0,
            bytes: total.bytes,
            examples: vec![total.example],
            sampled: 0,
            holders: Vec::new(),
        })
    }
}

struct Search<'s, 'core> {
    runtime: &'s Runtime<'core>,
    objects: &'s ObjectTable,
    /// By type.
    kinds: Vec<Option<ValueKind>>,
    within: Option<&'s NodeSet>,
    limit: usize,
    found: ValueClasses,
}

/// What is known of a container's value.
enum Key {
    /// What stands for each item.
    Items(Vec<u64>),
    /// An item is not settled.
    Later,
    /// It cannot be read.
    Unread,
}

impl Search<'_, '_> {
    fn kind_of(&self, node: u32) -> Option<ValueKind> {
        let type_id = self.objects.types_column().get(node as usize)?;
        self.kinds.get(type_id.0 as usize).copied().flatten()
    }

    /// All nodes that `wanted` accepts by kind.
    fn nodes<'a>(
        &'a self,
        wanted: impl Fn(ValueKind) -> bool + Sync + Send + 'a,
    ) -> impl ParallelIterator<Item = u32> + 'a {
        (0..self.objects.len() as u32)
            .into_par_iter()
            .with_min_len(CHUNK)
            .filter(move |&node| self.kind_of(node).is_some_and(&wanted) && is_within(self.within, node))
    }

    /// Settles the objects of a kind that hold no others.
    fn plain(&mut self, kind: ValueKind) {
        let value =
            |node: u32| PlainValue::read(self.runtime, kind, self.objects.address(ObjectId(node))).ok();
        let (mut hashed, unread): (Vec<Hashed>, Vec<u32>) =
            self.nodes(|found| found == kind).partition_map(|node| match value(node) {
                Some(value) => rayon::iter::Either::Left((hash(&value), node)),
                None => rayon::iter::Either::Right(node),
            });
        settle(&mut hashed, value);
        self.found.unread += unread.len() as u64;
        self.take(kind, &hashed);
    }

    /// Settles tuples and frozensets, those first that hold none that is not settled.
    fn containers(&mut self) {
        let mut pending: Vec<u32> = self.nodes(ValueKind::is_container).collect();
        for &node in &pending {
            self.settle_as(node, UNSETTLED);
        }
        for _ in 0..MOST_LEVELS {
            if pending.is_empty() {
                break;
            }
            let before = pending.len();
            let keys = pending.par_iter().map(|&node| {
                let key = match self.key(node) {
                    Key::Items(items) => Some(hash(&items)),
                    Key::Later => None,
                    Key::Unread => Some(UNKNOWN),
                };
                (key, node)
            });
            let (mut ready, later): (Vec<Hashed>, Vec<u32>) = keys.partition_map(|(key, node)| match key {
                Some(key) => rayon::iter::Either::Left((key, node)),
                None => rayon::iter::Either::Right(node),
            });
            pending = later;
            for kind in ValueKind::ALL.into_iter().filter(|kind| kind.is_container()) {
                let mut hashed: Vec<Hashed> =
                    ready.iter().copied().filter(|&(_, node)| self.kind_of(node) == Some(kind)).collect();
                settle(&mut hashed, |node| match self.key(node) {
                    Key::Items(items) => Ok(items),
                    // Equals nothing but itself.
                    Key::Later | Key::Unread => Err(node),
                });
                self.take(kind, &hashed);
            }
            ready.clear();
            if pending.len() == before {
                break;
            }
        }
        for node in pending {
            self.settle_as(node, node);
        }
    }

    fn settle_as(&mut self, node: u32, as_node: u32) {
        if let Some(canon) = self.found.canon.get_mut(node as usize) {
            *canon = as_node;
        }
    }

    /// What the items of a container are: the lowest node that each equals.
    fn key(&self, node: u32) -> Key {
        let Some(kind) = self.kind_of(node) else { return Key::Unread };
        let (mut items, mut later) = (Vec::new(), false);
        let read = each_element(self.runtime, kind, self.objects.address(ObjectId(node)), |item| {
            let canon = self.objects.find(item).and_then(|id| self.found.canon.get(id.0 as usize));
            later |= canon == Some(&UNSETTLED);
            items.push(canon.map_or(item | UNKNOWN, |&canon| u64::from(canon)));
        });
        if read.is_err() {
            return Key::Unread;
        }
        if later {
            return Key::Later;
        }
        if kind == ValueKind::FrozenSet {
            // Their order is that of the table.
            items.sort_unstable();
        }
        Key::Items(items)
    }

    /// Notes what is settled, and counts it. `settled` is in order of representatives' runs.
    fn take(&mut self, kind: ValueKind, settled: &[Hashed]) {
        let Some(&(_, first)) = settled.first() else { return };
        let type_id = self.objects.type_id(ObjectId(first));
        let mut total = KindTotal {
            kind,
            type_id,
            values: 0,
            copies: 0,
            bytes: 0,
            example: ObjectId(first),
            example_bytes: 0,
        };
        for run in settled.chunk_by(|a, b| a.0 == b.0) {
            let (mut sum, mut most) = (0u64, 0);
            for &(canon, node) in run {
                self.settle_as(node, canon as u32);
                let size = self.objects.size(ObjectId(node));
                sum = sum.saturating_add(size);
                most = most.max(size);
            }
            if let [(_, lowest), _, ..] = *run {
                let (example, bytes) = (ObjectId(lowest), sum - most);
                let copies = run.len() as u64;
                total.values += 1;
                total.copies += copies - 1;
                total.bytes = total.bytes.saturating_add(bytes);
                if (bytes, Reverse(lowest)) > (total.example_bytes, Reverse(total.example.0)) {
                    (total.example, total.example_bytes) = (example, bytes);
                }
                self.found.largest.push(ValueGroup { kind, example, copies, bytes });
                if self.found.largest.len() > self.limit.saturating_mul(2).saturating_add(CHUNK) {
                    keep_largest(&mut self.found.largest, self.limit);
                }
            }
        }
        self.add(total);
    }

    /// Adds a total to those of other levels.
    fn add(&mut self, total: KindTotal) {
        match self.found.totals.iter_mut().find(|known| known.kind == total.kind) {
            None => self.found.totals.push(total),
            Some(known) => {
                known.values += total.values;
                known.copies += total.copies;
                known.bytes = known.bytes.saturating_add(total.bytes);
                let rank = |total: &KindTotal| (total.example_bytes, Reverse(total.example.0));
                if rank(&total) > rank(known) {
                    (known.example, known.example_bytes) = (total.example, total.example_bytes);
                }
            }
        }
    }
}

/// Leaves the largest groups, in order.
fn keep_largest(groups: &mut Vec<ValueGroup>, limit: usize) {
    groups.sort_unstable_by_key(|group| (Reverse(group.bytes), Reverse(group.copies), group.example.0));
    groups.truncate(limit);
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Brings equal values together, and puts the lowest node of each in the place of the hashes.
fn settle<V: Ord + Send>(hashed: &mut [Hashed], value: impl Fn(u32) -> V + Sync) {
    hashed.par_sort_unstable();
    hashed.par_chunk_by_mut(|a, b| a.0 == b.0).for_each(|run| settle_run(run, &value));
}

/// The same of values with one hash. They are nearly always one value; if not, they are put in order, so that many
/// with one hash, as somebody could make them, do not take the square of their number.
fn settle_run<V: Ord>(run: &mut [Hashed], value: &impl Fn(u32) -> V) {
    let Some((first, others)) = run.split_first() else { return };
    let lowest = first.1;
    let mut is_one = true;
    if !others.is_empty() {
        let one = value(lowest);
        is_one = others.iter().all(|&(_, node)| value(node) == one);
    }
    if is_one {
        run.iter_mut().for_each(|entry| entry.0 = u64::from(lowest));
        return;
    }
    run.sort_by_cached_key(|&(_, node)| (value(node), node));
    let mut known: Option<(V, u32)> = None;
    for entry in run {
        let own = value(entry.1);
        let canon = match known.take() {
            Some((same, canon)) if same == own => canon,
            _ => entry.1,
        };
        entry.0 = u64::from(canon);
        known = Some((own, canon));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(values: &[&str], hash: impl Fn(usize) -> u64) -> Vec<Hashed> {
        let mut hashed: Vec<Hashed> = (0..values.len()).map(|node| (hash(node), node as u32)).collect();
        settle(&mut hashed, |node| values[node as usize].to_owned());
        hashed.sort_by_key(|entry| entry.1);
        hashed
    }

    #[test]
    fn equal_values_get_the_lowest_node_whatever_their_hashes_collide_with() {
        let values = ["b", "a", "b", "c", "a", "b"];
        let expected = [(0, 0), (1, 1), (0, 2), (3, 3), (1, 4), (0, 5)];
        assert_eq!(settled(&values, |_| 7), expected);
        assert_eq!(settled(&values, |node| values[node].as_bytes()[0].into()), expected);
        assert_eq!(settled(&values, |node| u64::from(values[node] == "c")), expected);
    }

    #[test]
    fn the_largest_groups_are_kept_in_order() {
        let group =
            |bytes, copies, node| ValueGroup { kind: ValueKind::Str, example: ObjectId(node), copies, bytes };
        let mut groups = vec![group(1, 2, 0), group(9, 2, 5), group(9, 3, 7), group(9, 2, 4)];
        keep_largest(&mut groups, 3);
        assert_eq!(groups, [group(9, 3, 7), group(9, 2, 4), group(9, 2, 5)]);
    }
}
