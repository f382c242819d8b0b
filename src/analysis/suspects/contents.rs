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

impl Contents {
    /// Those of `object`; nothing for what is no container.
    pub fn of(heap: Heap<'_, '_>, object: ObjectId) -> Self {
        let mut labels = Labels::new(heap);
        let mut contents = Self::default();
        labels.each(object, &mut |target, _, slot| {
            if matches!(slot, Slot::Index(_) | Slot::Value(_) | Slot::Element | Slot::CacheLink) {
                let info = heap.type_of(target);
                contents.entries += 1;
                contents.callbacks += u64::from(is_callback(info));
                contents.exceptions += u64::from(is_exception(info));
            }
        });
        if contents.entries == 0 && heap.type_of(object).walk.kind == WalkKind::LruCache {
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
