//! What dies with an object although it does not hold it: entries that wait for its end.
//!
//! Knows weak references to what is freed, and whose callbacks do nothing but take an entry out of a container: those of
//! the standard library's weak containers, of abstract classes, of `weakref.finalize`, of logging; and the table of
//! subclasses that every class keeps (Objects/typeobject.c, `remove_subclass`). Refuses to guess what any other callback
//! does: it is counted.

use super::release::Release;
use crate::analysis::{Heap, Labels};
use crate::cpython::{Slot, WalkKind, get_attribute, is_type, read_str};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// Functions that take a dead reference out of its container: module and qualified name.
const REMOVERS: [(&str, &str); 4] = [
    ("weakref", "WeakValueDictionary.__init__.<locals>.remove"),
    ("weakref", "WeakKeyDictionary.__init__.<locals>.remove"),
    ("_weakrefset", "WeakSet.__init__.<locals>._remove"),
    ("logging", "_removeHandlerRef"),
];
/// Callable whose instances are callbacks, and keys of its own registry (Lib/weakref.py, `finalize`).
const FINALIZE: &str = "weakref.finalize";
/// Longest name that is compared, in characters.
const MAX_NAME: usize = 80;

/// Who frees the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A reference count that reached zero: a weak reference loses its callback when it has called it
    /// (Objects/weakrefobject.c, `PyObject_ClearWeakRefs`).
    Count,
    /// The collector, which lets it keep the callback (`handle_weakrefs`).
    Collector,
}

/// Takes out what waits for the end of freed objects, until nothing more is freed. Returns how many callbacks would run
/// whose effect is not known.
pub fn settle(release: &mut Release<'_, '_>, by: By) -> u64 {
    let heap = release.heap();
    let mut unknown = 0;
    loop {
        let new = release.take_new();
        if new.is_empty() {
            return unknown;
        }
        let new = NodeSet::from_nodes(heap.objects.len(), new);
        let mut leaving = Leaving::default();
        for (weak, referent) in weak_references(heap, &new, &release.freed) {
            match end_of(heap, weak, referent) {
                End::Nothing => {}
                End::Unknown { callback } => {
                    unknown += 1;
                    lose_callback(release, weak, callback, by);
                }
                End::Leaves { callback, token, subclasses } => {
                    if let Some(callback) = callback {
                        lose_callback(release, weak, callback, by);
                    }
                    leaving.insert(token, subclasses);
                }
            }
        }
        take_out(release, &leaving);
        release.run();
    }
}

fn lose_callback(release: &mut Release<'_, '_>, weak: u32, callback: u32, by: By) {
    if by == By::Count {
        release.cut(weak, callback);
    }
}

/// Living weak references to any of `referents`, ascending, each with its referent.
fn weak_references(heap: Heap<'_, '_>, referents: &NodeSet, freed: &NodeSet) -> Vec<(u32, u32)> {
    let parts = heap.graph.forward.par_blocks().map(|block| {
        let mut found = Vec::new();
        for (node, edges) in block.iter() {
            let mut weak = edges.iter().filter(|edge| edge.kind() == EdgeKind::Weak);
            if let Some(edge) = weak.find(|edge| referents.contains(edge.target()))
                && !freed.contains(node)
            {
                found.push((node, edge.target()));
            }
        }
        found
    });
    parts.collect::<Vec<_>>().concat()
}

/// What the end of its referent means to a weak reference.
enum End {
    /// Nobody is told.
    Nothing,
    /// Code runs of which nothing is known.
    Unknown { callback: u32 },
    /// The object `token`, the weak reference or what stands for it, leaves every container; or only those listed.
    Leaves { callback: Option<u32>, token: u32, subclasses: Option<Vec<u32>> },
}

fn end_of(heap: Heap<'_, '_>, weak: u32, referent: u32) -> End {
    let address = heap.objects.address(ObjectId(weak));
    let callback = get_attribute(heap.runtime, address, "__callback__")
        .filter(|&callback| callback != heap.runtime.landmarks.none)
        .and_then(|callback| heap.objects.find(callback));
    let Some(callback) = callback else {
        let referent = heap.objects.address(ObjectId(referent));
        return match is_type(heap.runtime, referent) {
            true => End::Leaves {
                callback: None,
                token: weak,
                subclasses: Some(tables_of_subclasses(heap, referent)),
            },
            false => End::Nothing,
        };
    };
    let callback = callback.0;
    if heap.type_name(ObjectId(callback)) == FINALIZE {
        return End::Leaves { callback: Some(callback), token: callback, subclasses: None };
    }
    match is_remover(heap, callback) {
        true => End::Leaves { callback: Some(callback), token: weak, subclasses: None },
        false => End::Unknown { callback },
    }
}

fn is_remover(heap: Heap<'_, '_>, callback: u32) -> bool {
    let address = heap.objects.address(ObjectId(callback));
    let text = |name: &str| {
        let found = get_attribute(heap.runtime, address, name)?;
        read_str(heap.runtime, found, MAX_NAME).ok()
    };
    if heap.type_name(ObjectId(callback)) == "builtin_function_or_method" {
        // Modules/_abc.c, `_destroy`: the one builtin that is bound to a weak reference, to the set it takes the dead one out of.
        let bound =
            get_attribute(heap.runtime, address, "__self__").and_then(|bound| heap.objects.find(bound));
        return bound.is_some_and(|bound| is_weak_reference(heap, bound));
    }
    let (Some(module), Some(name)) = (text("__module__"), text("__qualname__")) else { return false };
    REMOVERS.contains(&(module.as_str(), name.as_str()))
}

fn is_weak_reference(heap: Heap<'_, '_>, object: ObjectId) -> bool {
    matches!(heap.type_name(object), "weakref" | "weakref.ReferenceType")
}

/// Tables of the direct bases of the class at `class` that know their subclasses.
fn tables_of_subclasses(heap: Heap<'_, '_>, class: u64) -> Vec<u32> {
    let mut labels = Labels::new(heap);
    let mut tables = Vec::new();
    let bases = get_attribute(heap.runtime, class, "__bases__")
        .and_then(|bases| crate::cpython::tuple_items(heap.runtime, bases).ok())
        .unwrap_or_default();
    for base in bases.into_iter().filter_map(|base| heap.objects.find(base)) {
        labels.each(base, &mut |target, _, slot| {
            if slot == Slot::Field("tp_subclasses") {
                tables.push(target.0);
            }
        });
    }
    tables
}

/// Objects that leave the containers they are in; or only those listed.
type Leaving = FxHashMap<u32, Option<Vec<u32>>>;

/// Takes the objects out of dicts (key and value), sets and lists.
fn take_out(release: &mut Release<'_, '_>, leaving: &Leaving) {
    let heap = release.heap();
    let tokens = NodeSet::from_nodes(heap.objects.len(), leaving.keys().copied());
    if tokens.is_empty() {
        return;
    }
    let leaves = |container: u32, token: u32| {
        let only = leaving.get(&token).map(Option::as_ref);
        only.is_some_and(|only| only.is_none_or(|tables| tables.contains(&container)))
    };
    let mut labels = Labels::new(heap);
    let mut emptied = Vec::new();
    for container in containers_of(heap, &tokens, &release.freed) {
        if heap.type_of(ObjectId(container)).walk.kind == WalkKind::Tuple {
            continue;
        }
        let mut references: Vec<(u32, Slot)> = Vec::new();
        labels.each(ObjectId(container), &mut |target, _, slot| references.push((target.0, slot)));
        for &(target, slot) in &references {
            let is_token = tokens.contains(target) && leaves(container, target);
            let key = match slot {
                Slot::Element | Slot::Index(_) if is_token => {
                    release.cut(container, target);
                    continue;
                }
                Slot::Value(key) => heap.objects.find(key).map(|key| key.0),
                _ => continue,
            };
            if is_token || key.is_some_and(|key| tokens.contains(key) && leaves(container, key)) {
                release.cut(container, target);
                if let Some(key) = key {
                    cut_keys(release, &references, container, key);
                }
                let is_table = leaving.get(&target).is_some_and(Option::is_some);
                if is_table
                    && references
                        .iter()
                        .all(|&(held, _)| release.removed.all(&heap.graph.forward, container, held))
                {
                    emptied.push(container);
                }
            }
        }
    }
    if heap.runtime.semantics.empty_subclasses_freed {
        drop_tables(release, &emptied);
    }
}

/// Takes empty tables of subclasses away from their classes.
fn drop_tables(release: &mut Release<'_, '_>, tables: &[u32]) {
    let heap = release.heap();
    let tables = NodeSet::from_nodes(heap.objects.len(), tables.iter().copied());
    for class in containers_of(heap, &tables, &release.freed) {
        let held = heap.graph.forward.of(class).iter().map(|edge| edge.target());
        held.filter(|&held| tables.contains(held)).for_each(|table| release.cut(class, table));
    }
}

/// Takes the references of `container` to its key `key` away: those of `references` that are keys.
pub fn cut_keys(release: &mut Release<'_, '_>, references: &[(u32, Slot)], container: u32, key: u32) {
    let keys = references.iter().filter(|&&(target, slot)| target == key && slot == Slot::Key);
    keys.for_each(|_| release.cut(container, key));
}

/// Living objects that hold any of `tokens`, ascending.
fn containers_of(heap: Heap<'_, '_>, tokens: &NodeSet, freed: &NodeSet) -> Vec<u32> {
    let holds = |edge: &crate::graph::Edge| edge.kind() != EdgeKind::Weak && tokens.contains(edge.target());
    let parts = heap.graph.forward.par_blocks().map(|block| {
        let holders = block.iter().filter(|(node, edges)| !freed.contains(*node) && edges.iter().any(holds));
        holders.map(|(node, _)| node).collect::<Vec<u32>>()
    });
    parts.collect::<Vec<_>>().concat()
}
