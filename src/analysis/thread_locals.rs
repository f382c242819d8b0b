//! What `threading.local` objects keep for which thread.
//!
//! Knows the implementation in C (Modules/_threadmodule.c) and the one in Python (Lib/_threading_local.py): which namespaces each
//! has, and what ties them to a thread. Refuses to judge whether they should be there. What ties is, in C, a small object that the
//! thread state holds (up to 3.12 one for each local, in the state's dict; since 3.13 one for all); in Python the `Thread` object,
//! which `threading` forgets when the thread ends, though others may hold it.

use super::suspects::{Special, special};
use super::{Heap, keeps_alive};
use crate::corefile::Address;
use crate::cpython::{
    Lookup, ReadField, ThreadState, WalkKind, dict_items, get_attribute, lookup, thread_objects, tuple_items,
};
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;

/// What a namespace in C is found by.
const TOKEN: &str = "_thread._localdummy";

/// Whose a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceOwner {
    /// That of a thread that an interpreter has: its `PyThreadState`.
    Thread(Address),
    /// That of a thread that no interpreter has any more; its `Thread` object, where there is one.
    Ended(Option<ObjectId>),
    /// That cannot be told.
    Unknown,
}

/// What one `threading.local` keeps for one thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalNamespace {
    /// The dict of its attributes.
    pub dict: ObjectId,
    /// Attributes it has.
    pub values: u64,
    /// Whose it is.
    pub owner: NamespaceOwner,
}

/// What ties namespaces to threads.
#[derive(Debug, Default)]
pub struct ThreadTies {
    /// Threads by the small objects that their states hold.
    by_token: FxHashMap<Address, Address>,
    /// Threads by their `Thread` objects.
    by_object: FxHashMap<Address, Address>,
    /// A state's dict could not be read: a thread that is not found may be there all the same.
    incomplete: bool,
}

impl ThreadTies {
    /// Of all threads of all interpreters.
    pub fn find(heap: Heap<'_, '_>) -> Self {
        let mut ties = Self::default();
        for interpreter in &heap.runtime.interpreters {
            for thread in &interpreter.threads {
                ties.tokens(heap, thread);
            }
            let objects = thread_objects(heap.runtime, interpreter.modules, &interpreter.threads);
            ties.by_object.extend(objects.into_iter().map(|(object, thread)| (object, thread.address)));
        }
        ties
    }

    fn tokens(&mut self, heap: Heap<'_, '_>, thread: &ThreadState) {
        let (space, l) = (&heap.runtime.space, &heap.runtime.layouts.thread);
        if let Some(field) = l.threading_local_key {
            match space.field(thread.address, field) {
                // A thread that never used a local has none.
                Ok(token) => self.by_token.extend((token != 0).then_some((token, thread.address))),
                Err(_) => self.incomplete = true,
            }
            return;
        }
        match space.field(thread.address, l.dict) {
            Ok(0) => {}
            Ok(dict) if heap.objects.find(dict).is_some() => {
                let values = dict_items(heap.runtime, dict).into_iter().map(|(_, value)| value);
                let tokens = values.filter(|&value| is_token(heap, value));
                self.by_token.extend(tokens.map(|token| (token, thread.address)));
            }
            Ok(_) | Err(_) => self.incomplete = true,
        }
    }

    fn owner_by_token(&self, token: Address) -> NamespaceOwner {
        match self.by_token.get(&token) {
            Some(&thread) => NamespaceOwner::Thread(thread),
            None if self.incomplete => NamespaceOwner::Unknown,
            None => NamespaceOwner::Ended(None),
        }
    }
}

/// Every `threading.local`, by address.
pub fn thread_locals(heap: Heap<'_, '_>) -> Vec<ObjectId> {
    let is_local = |info: &_| matches!(special(heap, info), Some(Special::Local | Special::PythonLocal));
    heap.nodes_of_types(|_, info| is_local(info)).iter().map(ObjectId).collect()
}

/// The namespaces with attributes of the `threading.local` at `local`, in the order of their addresses; none of other objects.
pub fn namespaces_of(heap: Heap<'_, '_>, ties: &ThreadTies, local: ObjectId) -> Vec<LocalNamespace> {
    let mut found = match special(heap, heap.type_of(local)) {
        Some(Special::Local) => in_c(heap, ties, local),
        Some(Special::PythonLocal) => in_python(heap, ties, local),
        _ => Vec::new(),
    };
    // The thread that made it has a namespace from the start.
    found.retain(|namespace| namespace.values > 0);
    found.sort_by_key(|namespace| namespace.dict);
    found
}

/// The dicts of which the local has a dict, by weak references to tokens (`dummies`), since 3.13 by tokens (`localdicts`).
fn in_c(heap: Heap<'_, '_>, ties: &ThreadTies, local: ObjectId) -> Vec<LocalNamespace> {
    let edges = heap.graph.forward.of(local.0).iter().filter(|edge| keeps_alive(edge.kind()));
    let dicts = edges.filter_map(|edge| heap.id(edge.target())).filter(|&dict| is_dict(heap, dict));
    let mut found = Vec::new();
    for dict in dicts {
        for (key, value) in dict_items(heap.runtime, heap.objects.address(dict)) {
            let token = match is_token(heap, key) {
                true => Some(key),
                false => reference(heap, key).filter(|&token| token == 0 || is_token(heap, token)),
            };
            if let Some(token) = token {
                found.extend(namespace(heap, value, ties.owner_by_token(token)));
            }
        }
    }
    found
}

/// `_localimpl.dicts`: a weak reference to the `Thread` object and a namespace for each thread.
fn in_python(heap: Heap<'_, '_>, ties: &ThreadTies, local: ObjectId) -> Vec<LocalNamespace> {
    let runtime = heap.runtime;
    let dicts = get_attribute(runtime, heap.objects.address(local), "_local__impl")
        .and_then(|implementation| get_attribute(runtime, implementation, "dicts"));
    let Some(dicts) = dicts.filter(|&dicts| heap.objects.find(dicts).is_some()) else { return Vec::new() };
    let mut found = Vec::new();
    for (_, pair) in dict_items(runtime, dicts) {
        let pair = tuple_items(runtime, pair).unwrap_or_default();
        let [key, value] = pair.as_slice() else { continue };
        let Some(thread) = reference(heap, *key) else { continue };
        let owner = match ties.by_object.get(&thread) {
            Some(&state) => NamespaceOwner::Thread(state),
            None => NamespaceOwner::Ended(heap.objects.find(thread)),
        };
        found.extend(namespace(heap, *value, owner));
    }
    found
}

fn namespace(heap: Heap<'_, '_>, dict: Address, owner: NamespaceOwner) -> Option<LocalNamespace> {
    let dict = heap.objects.find(dict).filter(|&dict| is_dict(heap, dict))?;
    let values = dict_items(heap.runtime, heap.objects.address(dict)).len() as u64;
    Some(LocalNamespace { dict, values, owner })
}

fn is_dict(heap: Heap<'_, '_>, object: ObjectId) -> bool {
    heap.type_of(object).walk.kind == WalkKind::Dict
}

fn is_token(heap: Heap<'_, '_>, object: Address) -> bool {
    heap.objects.find(object).is_some_and(|id| heap.type_of(id).name.as_ref() == TOKEN)
}

/// What the weak reference at `object` refers to, 0 if that is gone; `None` if it is no weak reference.
fn reference(heap: Heap<'_, '_>, object: Address) -> Option<Address> {
    match lookup(heap.runtime, object, "wr_object") {
        Lookup::Found(target) if target == heap.runtime.landmarks.none => Some(0),
        Lookup::Found(target) => Some(target),
        Lookup::Computed(_) | Lookup::Missing => None,
    }
}
