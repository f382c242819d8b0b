//! What a heap holds, in a form that outlives its core and can be compared with that of another.
//!
//! Objects of different processes have nothing in common but what they are and who holds them: types are compared by name,
//! holders by their Python paths. Within one process objects are matched by address besides. Refuses to know which cores
//! may be compared.

mod diff;
mod trend;

use super::suspects::places;
use super::{Collection, Heap, Retention, Roots, SuspectKind, Suspects, python_name};
use crate::corefile::Address;
use crate::cpython::{Growing, room};
use rustc_hash::FxHashMap;

pub use diff::{Amount, Change, Diff, Matched, TypeChange, diff};
pub use trend::{Series, Trend, trend};

/// All instances of the types of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSize {
    /// The name as Python writes it.
    pub name: String,
    /// Their number.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

/// What one place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderSize {
    /// Its Python path; what differs from run to run, such as the number of a thread, is left out.
    pub path: String,
    /// Type of what is there.
    pub type_name: String,
    /// Bytes that would be freed with that alone.
    pub bytes: u64,
    /// Entries of a list, dict or set.
    pub entries: Option<u64>,
    /// What made it a suspect, if anything did.
    pub suspect: Option<SuspectKind>,
}

/// A heap at one time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Types, by name.
    pub types: Vec<TypeSize>,
    /// Named places that hold anything, by path.
    pub holders: Vec<HolderSize>,
    /// All objects.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Size of what a full collection would free.
    pub garbage_bytes: u64,
    /// Every object, in order of address; empty unless objects are to be matched: 20 bytes an object.
    placed: Placed,
}

#[derive(Clone, Debug, Default)]
struct Placed {
    addresses: Vec<Address>,
    /// Numbers of types in [`Snapshot::types`].
    types: Vec<u32>,
    sizes: Vec<u64>,
}

impl Snapshot {
    /// Sums a heap up. `roots` are all roots; `with_objects` keeps what objects are matched by.
    pub fn new(
        heap: Heap<'_, '_>,
        roots: &Roots,
        retention: &Retention,
        suspects: &Suspects,
        garbage: &Collection,
        with_objects: bool,
    ) -> Self {
        let (types, numbers) = types(heap);
        let mut snapshot = Self {
            objects: types.iter().map(|row| row.objects).sum(),
            bytes: types.iter().map(|row| row.bytes).sum(),
            types,
            holders: holders(heap, roots, retention, suspects),
            garbage_bytes: garbage.bytes(),
            placed: Placed::default(),
        };
        if with_objects {
            let number = |id| numbers.get(heap.objects.type_id(id).0 as usize).copied().unwrap_or(0);
            snapshot.placed = Placed {
                addresses: heap.objects.addresses().to_vec(),
                types: heap.objects.ids().map(number).collect(),
                sizes: heap.objects.ids().map(|id| heap.objects.size(id)).collect(),
            };
        }
        snapshot
    }
}

/// Types by name, and for each type id the number of its name.
fn types(heap: Heap<'_, '_>) -> (Vec<TypeSize>, Vec<u32>) {
    let mut names: Vec<&str> = heap.runtime.types.iter().map(|(_, info)| python_name(&info.name)).collect();
    names.sort_unstable();
    names.dedup();
    let number = |name: &str| names.binary_search(&name).unwrap_or(0) as u32;
    let numbers: Vec<u32> =
        heap.runtime.types.iter().map(|(_, info)| number(python_name(&info.name))).collect();
    let mut rows: Vec<TypeSize> =
        names.iter().map(|name| TypeSize { name: (*name).to_owned(), objects: 0, bytes: 0 }).collect();
    let counted = super::histogram(heap.objects, numbers.len(), &super::Selection::default());
    for total in counted.types {
        let row = numbers.get(total.type_id.0 as usize).and_then(|&number| rows.get_mut(number as usize));
        if let Some(row) = row {
            row.objects += total.objects;
            row.bytes = row.bytes.saturating_add(total.bytes);
        }
    }
    (rows, numbers)
}

/// What named places hold. A place that several names lead to has the first; places that differ in nothing that lasts are one.
fn holders(heap: Heap<'_, '_>, roots: &Roots, retention: &Retention, suspects: &Suspects) -> Vec<HolderSize> {
    let kinds: FxHashMap<u32, SuspectKind> =
        suspects.list.iter().filter_map(|suspect| Some((suspect.object?.0, suspect.kind))).collect();
    let mut found: FxHashMap<String, HolderSize> = FxHashMap::default();
    let mut add = |path: String, node: u32, type_name: &str, bytes: u64, entries: Option<u64>| {
        let suspect = kinds.get(&node).copied();
        let path = lasting(&path);
        match found.get_mut(&path) {
            Some(known) => {
                known.bytes = known.bytes.saturating_add(bytes);
                known.entries = known.entries.zip(entries).map(|(one, two)| one.saturating_add(two));
                known.suspect = known.suspect.or(suspect);
            }
            None => {
                let holder = HolderSize {
                    path: path.clone(),
                    type_name: type_name.to_owned(),
                    bytes,
                    entries,
                    suspect,
                };
                found.insert(path, holder);
            }
        }
    };
    let mut named = crate::graph::NodeSet::new(heap.objects.len());
    for place in places(heap, roots).list {
        named.insert(place.object.0);
        let info = heap.type_of(place.object);
        let entries = Growing::of(heap.runtime, info)
            .and_then(|kind| room(heap.runtime, kind, heap.objects.address(place.object)).ok())
            .map(|room| room.used);
        let bytes = retention.bytes(place.object);
        if bytes > 0 {
            add(place.path, place.object.0, python_name(&info.name), bytes, entries);
        }
    }
    for suspect in &suspects.list {
        if let Some(id) = suspect.object.filter(|id| !named.contains(id.0)) {
            let bytes = suspect.retained.unwrap_or(suspect.bytes);
            add(suspect.path.clone(), id.0, &suspect.type_name, bytes, None);
        }
    }
    let mut holders: Vec<HolderSize> = found.into_values().collect();
    holders.sort_by(|a, b| a.path.cmp(&b.path));
    holders
}

/// A path without what another run of the program has otherwise: numbers of threads, addresses.
fn lasting(path: &str) -> String {
    let thread = path.strip_prefix("thread ").and_then(|rest| rest.split_once(" · "));
    let path = match thread {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("thread · {rest}")
        }
        _ => path.to_owned(),
    };
    let mut text = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some((before, behind)) = rest.split_once(" at 0x") {
        text.push_str(before);
        rest = behind.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_another_run_has_otherwise() {
        for (path, lasts) in [
            ("app.cache.SESSIONS", "app.cache.SESSIONS"),
            ("thread 4242 · worker() · rows", "thread · worker() · rows"),
            ("thread local · x", "thread local · x"),
            ("<dict at 0x7f00aa>['k'] of <list at 0x10>", "<dict>['k'] of <list>"),
        ] {
            assert_eq!(lasting(path), lasts);
        }
    }
}
