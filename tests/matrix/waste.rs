//! `waste` counts what the interpreter counts: `fixtures/programs/counted.py` over the heap of `waste.py`.

use crate::oracle::Oracle;
use exuvia::analysis::{Heap, Waste, WasteHolder, WasteKind, WasteLimits, waste};
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::Runtime;
use exuvia::graph::NodeSet;
use exuvia::heap::{build_graph, census};
use std::collections::BTreeMap;
use std::path::Path;

/// Kind and type -> numbers.
type Numbers = BTreeMap<(String, String), Vec<u64>>;

/// Types whose room the interpreter was asked of.
const CONTAINERS: [&str; 3] = ["dict", "list", "set"];
/// Findings, by kind and type, and a place that is among the first to hold their objects.
const HELD: [(&str, &str, &str, &str); 3] = [
    ("duplicates", "str", "planted.Row", ".city"),
    ("duplicates", "float", "planted.Row", ".rate"),
    ("duplicates", "tuple", "planted.Row", ".place"),
];

/// Compares all numbers, over the objects that the interpreter could list.
pub fn prove(core: &Path, oracle: &Oracle, options: &SearchOptions) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let objects = &census.objects;
    let graph = build_graph(&runtime, objects).map_err(|error| error.to_string())?;
    let listed = oracle.objects();
    let nodes = listed.iter().filter_map(|object| objects.find(object.address)).map(|id| id.0);
    let within = NodeSet::from_nodes(objects.len(), nodes);
    if within.len() != listed.len() {
        return Err(format!("{} of {} objects are known", within.len(), listed.len()));
    }
    let heap = Heap { runtime: &runtime, objects, graph: &graph };
    let limits = WasteLimits { groups: 10, held: usize::MAX, within: Some(&within) };
    let found = waste(heap, limits);
    let theirs = told(oracle);
    let ours = counted(heap, &found);
    let ours: Numbers = ours.into_iter().filter(|(key, _)| is_comparable(key, &theirs)).collect();
    if ours != theirs {
        let keys = ours.keys().chain(theirs.keys());
        let different: Vec<String> = keys
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| format!("{key:?}: {:?}, the interpreter says {:?}", ours.get(key), theirs.get(key)))
            .collect();
        return Err(different.join("; "));
    }
    for (kind, type_name, holder, label) in HELD {
        let finding = found.findings.iter().find(|finding| {
            finding.kind.name() == kind && heap.runtime.types.get(finding.type_id).name.ends_with(type_name)
        });
        let told = finding.map_or(&[][..], |finding| &finding.holders);
        // Up to 3.10 attributes are in a dict.
        let key = format!("['{}']", label.trim_start_matches('.'));
        let is_there = |place: &WasteHolder| {
            (&*place.type_name, &*place.label) == (holder, label)
                || (&*place.type_name, &place.label) == ("dict", &key)
        };
        if !told.iter().any(is_there) {
            return Err(format!("{kind} of {type_name} are held by {told:?}, not by {holder}{label}"));
        }
    }
    Ok(())
}

/// Whether the interpreter was asked about a finding.
fn is_comparable(key: &(String, String), theirs: &Numbers) -> bool {
    match key.0.as_str() {
        "duplicates" => true,
        "empty" | "sparse" | "over_allocated" => CONTAINERS.contains(&key.1.as_str()),
        _ => theirs.contains_key(key),
    }
}

/// What we found.
fn counted(heap: Heap<'_, '_>, found: &Waste) -> Numbers {
    let mut numbers = Numbers::new();
    for finding in &found.findings {
        let name = &*heap.runtime.types.get(finding.type_id).name;
        let name = name.strip_prefix("builtins.").unwrap_or(name).to_owned();
        let values = match finding.kind {
            WasteKind::Duplicates(_) => vec![finding.values, finding.objects, finding.bytes],
            _ => vec![finding.objects, finding.bytes],
        };
        numbers.insert((finding.kind.name().to_owned(), name), values);
    }
    numbers
}

/// What the interpreter says.
fn told(oracle: &Oracle) -> Numbers {
    let counted = oracle.counted();
    let rows = |kind: &str, rows: &BTreeMap<String, Vec<u64>>| -> Vec<((String, String), Vec<u64>)> {
        rows.iter().map(|(name, row)| ((kind.to_owned(), name.clone()), row.clone())).collect()
    };
    let mut numbers: Numbers = rows("duplicates", &counted.duplicates).into_iter().collect();
    for (kind, found) in counted.room.iter().chain(&counted.classes) {
        numbers.extend(rows(kind, found));
    }
    numbers
}
