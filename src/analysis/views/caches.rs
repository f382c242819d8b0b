//! Functions with an `lru_cache`.
//!
//! Knows what `cache_info()` would say; refuses to know the results.

use super::{callable_name, instances};
use crate::analysis::Heap;
use crate::cpython::{CacheFigures, WalkKind, cache_figures};
use crate::heap::ObjectId;

/// One function with a cache.
#[derive(Clone, Debug)]
pub struct CachedFunction {
    /// The wrapper.
    pub id: ObjectId,
    /// `module.qualname` of the function; `None` where that cannot be told.
    pub function: Option<String>,
    /// `cache_info()`.
    pub info: CacheFigures,
}

/// All of them, by address; those that cannot be read are left out.
pub fn caches(heap: Heap<'_, '_>) -> Vec<CachedFunction> {
    let runtime = heap.runtime;
    let wrappers = instances(heap, |info| info.walk.kind == WalkKind::LruCache);
    let read = |id: ObjectId| {
        let info = cache_figures(runtime, heap.objects.address(id))?;
        Some(CachedFunction { id, function: callable_name(runtime, info.function), info })
    };
    wrappers.into_iter().filter_map(read).collect()
}
