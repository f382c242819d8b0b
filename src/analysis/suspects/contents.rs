//! What a container holds directly.
//!
//! Knows entries by what they are: callbacks, exceptions, anything; refuses to know what is below them.

use super::special::is_exception;
use crate::analysis::Heap;
use crate::analysis::labels::Labels;
use crate::cpython::{Slot, TypeInfo, WalkKind};
use crate::heap::ObjectId;

/// What a container holds directly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents {
    /// Items of a list, values of a dict, elements of a set, results of a cache.
    pub entries: u64,
    /// Entries that are functions, bound methods or partials.
    pub callbacks: u64,
    /// Entries that are exceptions.
    pub exceptions: u64,
}

/// What instances of each type are as entries, by its number.
#[derive(Debug)]
pub struct EntryKinds(Vec<EntryKind>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Other,
    Callback,
    Exception,
}

impl EntryKinds {
    /// Those of a heap's types.
    pub fn of(heap: Heap<'_, '_>) -> Self {
        let kind = |info: &TypeInfo| match () {
            () if is_callback(info) => EntryKind::Callback,
            () if is_exception(info) => EntryKind::Exception,
            () => EntryKind::Other,
        };
        Self(heap.runtime.types.iter().map(|(_, info)| kind(info)).collect())
    }
}

impl Contents {
    /// Those of `object`; nothing for what is no container.
    pub fn of(heap: Heap<'_, '_>, kinds: &EntryKinds, object: ObjectId) -> Self {
        let mut contents = Self::default();
        let mut count = |target: ObjectId| {
            let kind = kinds.0.get(heap.objects.type_id(target).0 as usize);
            contents.entries += 1;
            contents.callbacks += u64::from(kind == Some(&EntryKind::Callback));
            contents.exceptions += u64::from(kind == Some(&EntryKind::Exception));
        };
        let info = heap.type_of(object);
        if info.walk.kind == WalkKind::List && !info.is_heap_type() {
            // A list refers to its items and to nothing else, so that its memory need not be read again.
            let edges = heap.graph.forward.of(object.0).iter();
            edges.filter_map(|edge| heap.id(edge.target())).for_each(count);
            return contents;
        }
        let mut labels = Labels::new(heap);
        labels.each(object, &mut |target, _, slot| {
            if matches!(slot, Slot::Index(_) | Slot::Value(_) | Slot::Element | Slot::CacheLink) {
                count(target);
            }
        });
        if contents.entries == 0 && info.walk.kind == WalkKind::LruCache {
            contents.entries = results_without_order(heap, &mut labels, object);
        }
        contents
    }
}

/// Results of an `lru_cache` without a bound: there is no list of calls, only the dict.
fn results_without_order(heap: Heap<'_, '_>, labels: &mut Labels<'_, '_>, object: ObjectId) -> u64 {
    let mut cache = None;
    labels.each(object, &mut |target, _, slot| {
        if slot == Slot::Field("cache") && heap.type_of(target).walk.kind == WalkKind::Dict {
            cache = Some(target);
        }
    });
    let mut results = 0;
    if let Some(cache) = cache {
        labels.each(cache, &mut |_, _, slot| results += u64::from(matches!(slot, Slot::Value(_))));
    }
    results
}

fn is_callback(info: &TypeInfo) -> bool {
    matches!(
        info.name.as_ref(),
        "builtins.function" | "builtins.method" | "functools.partial" | "builtins.builtin_function_or_method"
    )
}
