//! Thread-locals: what each keeps for which thread, ended ones included.
//!
//! Knows attributes of namespaces; refuses to know stacks, which `threads` shows.

use crate::analysis::{Heap, LocalNamespace, ThreadTies, namespaces_of, thread_locals};
use crate::corefile::Address;
use crate::cpython::dict_items;
use crate::heap::ObjectId;

/// One `threading.local`.
#[derive(Clone, Debug)]
pub struct LocalOfThreads {
    /// The object.
    pub id: ObjectId,
    /// What it keeps for threads, by address; threads without values have none.
    pub namespaces: Vec<LocalNamespace>,
}

/// All of them, by address.
pub fn locals_of_threads(heap: Heap<'_, '_>) -> Vec<LocalOfThreads> {
    let ties = ThreadTies::find(heap);
    let read = |id| LocalOfThreads { id, namespaces: namespaces_of(heap, &ties, id) };
    thread_locals(heap).into_iter().map(read).collect()
}

/// The attributes in a namespace: name (mostly a str) and value.
pub fn values_of_namespace(heap: Heap<'_, '_>, namespace: &LocalNamespace) -> Vec<(Address, ObjectId)> {
    let items = dict_items(heap.runtime, heap.objects.address(namespace.dict)).into_iter();
    items.filter_map(|(name, value)| Some((name, heap.objects.find(value)?))).collect()
}
