//! What `free-if` says against what `del` freed in a twin of the process (fixtures/programs/cuts.py): the same objects.

use crate::cells::Origin;
use crate::oracle::Oracle;
use exuvia::analysis::free_if::{self, Cut, FreeIf};
use exuvia::analysis::{Heap, Root, Roots, collect};
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{PreviewLimits, Runtime, Values, preview};
use exuvia::graph::NodeSet;
use exuvia::heap::{ObjectId, build_graph, census};
use exuvia::query;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;

/// Single differences that are told of each cut.
const MAX_EXAMPLES: usize = 12;

/// What C types own and neither their traversal nor a known struct shows: when an object of the first type is freed, those of
/// the others that only it held are freed too. `_thread._local` has its key, a function with a weak reference to itself, and
/// takes its dummies out of the threads' dicts (Modules/_threadmodule.c, up to 3.12); a profiler has the names in its tree
/// (Modules/_lsprof.c); up to 3.8 the data of an abstract class (Modules/_abc.c) and the memo of a pickler
/// (Modules/_pickle.c) are not shown. A callback of `_threading_local` (Lib/_threading_local.py, `local_deleted`) takes a weak
/// reference out of the threads' dicts, and with it what its own callback has.
const UNSHOWN: [(&str, &[&str]); 6] = [
    (
        "_thread._local",
        &["str", "builtin_function_or_method", "weakref", "weakref.ReferenceType", "_thread._localdummy"],
    ),
    ("_lsprof.Profiler", &["str"]),
    ("_abc_data", &["set", "weakref", "builtin_function_or_method"]),
    ("_pickle.Pickler", &["list", "dict"]),
    (
        "_threading_local._localimpl",
        &["weakref", "weakref.ReferenceType", "function", "cell", "tuple", "int"],
    ),
    ("_testcapi.ContainerNoGC", &["list"]),
];

/// `PREFIX.cuts.json`.
#[derive(Debug, Deserialize)]
pub struct Cuts {
    cuts: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    path: String,
    at_once: Vec<u64>,
    freed: Vec<u64>,
}

/// Makes every cut on the core.
pub fn prove(core: &Path, oracle: &Oracle, options: &SearchOptions, origin: &Origin) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let graph = build_graph(&runtime, &census.objects).map_err(|error| error.to_string())?;
    let heap = Heap { runtime: &runtime, objects: &census.objects, graph: &graph };
    let garbage = collect(&runtime, &census.objects, &graph);
    let roots = Roots::find(heap, &garbage);
    let known: BTreeSet<u64> = oracle.objects().iter().map(|object| object.address).collect();
    let mut wrong = Vec::new();
    let cuts = oracle.cuts().cuts;
    if cuts.is_empty() {
        return Err("the oracle has no cuts".to_owned());
    }
    for row in cuts {
        let cut = find(heap, &row.path).map_err(|error| format!("{}: {error}", row.path))?;
        let found = free_if::free_if(heap, &roots, &garbage, &cut, 8);
        let ids = |set: &NodeSet| -> BTreeSet<u64> {
            let all = set.iter().filter_map(|node| heap.id(node)).map(|id| heap.objects.address(id));
            all.filter(|address| known.contains(address)).collect()
        };
        let unshown = unshown(heap, &found);
        let edges =
            found.freed.iter().chain(garbage.unreachable.iter()).flat_map(|node| heap.graph.forward.of(node));
        let held = NodeSet::from_nodes(heap.objects.len(), edges.map(|edge| edge.target()));
        let keys = names(heap, &cut);
        let differ =
            |what: &str, mut ours: BTreeSet<u64>, theirs: &[u64]| {
                let theirs: BTreeSet<u64> = theirs.iter().copied().collect();
                ours.extend(theirs.iter().copied().filter(|&id| {
                    heap.objects.find(id).is_some_and(|id| unshown.contains(&heap.type_name(id)))
                }));
                // A name that only the type cache holds, or holds besides what is freed or garbage, goes when another
                // takes its place (Objects/typeobject.c).
                // A word left over on an evaluation stack may lead there too.
                let only_in_c = |id: ObjectId| match roots.origin(id.0) {
                    Some(Root::Reference(root)) => !root.certain,
                    origin => matches!(origin, Some(Root::HeldByC(_))),
                };
                let lacking: Vec<u64> = theirs.difference(&ours).copied().collect();
                ours.extend(lacking.into_iter().filter(|&id| {
                    heap.objects.find(id).is_some_and(|id| {
                        heap.type_name(id) == "str"
                            && (only_in_c(id) || held.contains(id.0) || is_only_interned(heap, &roots, id))
                    })
                }));
                // Deleting an attribute may leave its name in the type cache.
                ours.retain(|id| theirs.contains(id) || !keys.contains(id));
                let list = |one: &BTreeSet<u64>, other: &BTreeSet<u64>| {
                    let only: Vec<u64> = one.difference(other).copied().collect();
                    let few: Vec<String> =
                        only.iter().take(MAX_EXAMPLES).map(|&id| name(heap, &roots, id)).collect();
                    format!("{} [{}]", only.len(), few.join(", "))
                };
                (ours != theirs).then(|| {
                    format!(
                        "{}: {what} {}, not {}: missing {}; surplus {}",
                        row.path,
                        ours.len(),
                        theirs.len(),
                        list(&theirs, &ours),
                        list(&ours, &theirs)
                    )
                })
            };
        // Up to 3.8, one object that its finalizer brings back keeps all garbage (Modules/gcmodule.c, `check_garbage`).
        if origin.minor() != "3.8" || origin.scenario != "garbage" {
            wrong.extend(differ("freed", ids(&found.freed), &row.freed));
        }
        if !origin.build.starts_with('t') {
            wrong.extend(differ("freed at once", ids(&found.at_once), &row.at_once));
        }
        wrong.extend(
            same_by_object(heap, &roots, &garbage, &cut, &found)
                .err()
                .map(|why| format!("{}: {why}", row.path)),
        );
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Whether nothing but a dict of interned strings refers to an object: that counts nothing, and lets the object go.
fn is_only_interned(heap: Heap<'_, '_>, roots: &Roots, id: ObjectId) -> bool {
    let interned = roots.interned();
    let mut nodes = heap.graph.forward.blocks().flat_map(|block| block.iter());
    nodes.all(|(node, edges)| interned.contains(&node) || edges.iter().all(|edge| edge.target() != id.0))
}

/// Types of objects that go with freed ones though no reference shows it.
fn unshown(heap: Heap<'_, '_>, found: &FreeIf) -> Vec<&'static str> {
    let freed =
        |name: &str| found.freed.iter().filter_map(|node| heap.id(node)).any(|id| heap.type_name(id) == name);
    UNSHOWN.iter().filter(|(owner, _)| freed(owner)).flat_map(|(_, types)| types.iter().copied()).collect()
}

/// Keys that go with the reference, if they are text.
fn names(heap: Heap<'_, '_>, cut: &Cut) -> Vec<u64> {
    let Cut::Reference { target, references, .. } = cut else { return Vec::new() };
    let held = references.iter().filter(|(_, held)| *held != target.0).filter_map(|&(_, held)| heap.id(held));
    held.filter(|&id| heap.type_name(id) == "str").map(|id| heap.objects.address(id)).collect()
}

fn find(heap: Heap<'_, '_>, path: &str) -> Result<Cut, String> {
    let expression = query::parse(path).map_err(|error| error.to_string())?;
    let place = query::held_place(heap.runtime, &expression).map_err(|error| error.to_string())?;
    let place = place.ok_or("a path without a step")?;
    free_if::reference(heap, place.holder, place.step()).map_err(|error| error.to_string())
}

/// An object that goes with its only reference is one that all references go of: the same goes with it, but for a key.
fn same_by_object(
    heap: Heap<'_, '_>,
    roots: &Roots,
    garbage: &exuvia::analysis::Collection,
    cut: &Cut,
    found: &FreeIf,
) -> Result<(), String> {
    let Cut::Reference { target, references, .. } = cut else { return Ok(()) };
    if !found.at_once.contains(target.0) {
        return Ok(());
    }
    let whole = Cut::Objects(NodeSet::from_nodes(heap.objects.len(), [target.0]));
    let mut by_object = free_if::free_if(heap, roots, garbage, &whole, 8).freed;
    let mut by_reference = found.freed.clone();
    for &(_, held) in references.iter().filter(|(_, held)| *held != target.0) {
        by_object.remove(held);
        by_reference.remove(held);
    }
    // What a key that goes holds in turn goes with the reference only.
    let mut only = by_object.clone();
    only.subtract(&by_reference);
    match only.is_empty() {
        true => Ok(()),
        false => Err(format!("{} objects go with the object, not with its only reference", only.len())),
    }
}

/// An object that should not be in a set, or should: with what holds it, as it is gone when anybody looks.
fn name(heap: Heap<'_, '_>, roots: &Roots, address: u64) -> String {
    let Some(id) = heap.objects.find(address) else { return format!("{address:#x}, not counted") };
    let described = |id: ObjectId| {
        let address = heap.objects.address(id);
        let text = preview(heap.runtime, address, Values::Shown, PreviewLimits::default()).text;
        format!("{} {text}", heap.type_name(id))
    };
    let holders = heap.graph.forward.blocks().flat_map(|block| block.iter()).filter_map(|(node, edges)| {
        let holds = edges.iter().any(|edge| edge.target() == id.0);
        holds.then(|| heap.id(node).map(described)).flatten()
    });
    let holders: Vec<String> = holders.take(MAX_EXAMPLES).collect();
    let (count, origin) = (heap.refcount(id), roots.origin(id.0));
    format!("{address:#x} {} ({count:?}), root {origin:?}, held by {holders:?}", described(id))
}
