//! How large containers that know a bound may grow.
//!
//! Knows `functools.lru_cache` and `collections.deque`; refuses to judge whether a bound is sensible.

use super::Runtime;
use super::dict::DictItems;
use super::types::WalkKind;
use super::words::ReadField;
use crate::corefile::Address;

/// How many entries a container may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As many as are put in.
    Unbounded,
    /// So many; older ones are dropped.
    Entries(u64),
}

/// What an `lru_cache` wrapper says of itself (`cache_info()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheFigures {
    /// `maxsize`.
    pub bound: Bound,
    /// Calls that were answered from the cache.
    pub hits: u64,
    /// Calls that were not.
    pub misses: u64,
    /// `currsize`; `None` where the cache is not readable.
    pub entries: Option<u64>,
    /// The function: `__wrapped__`.
    pub function: Address,
}

/// The figures of the `lru_cache` wrapper at `object` (Modules/_functoolsmodule.c, `lru_cache_cache_info`); `None` for other
/// objects, and when they are not readable.
pub fn cache_figures(runtime: &Runtime<'_>, object: Address) -> Option<CacheFigures> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let type_ = space.field(object, l.object.type_).ok()?;
    if runtime.types.of(type_)?.walk.kind != WalkKind::LruCache {
        return None;
    }
    let count = |field| space.signed(object, field).ok().and_then(|count| u64::try_from(count).ok());
    Some(CacheFigures {
        bound: bound_of(runtime, object)?,
        hits: count(l.lru_cache.hits)?,
        misses: count(l.lru_cache.misses)?,
        entries: space
            .field(object, l.lru_cache.cache)
            .and_then(|cache| DictItems::read(runtime, cache))
            .map(|cache| cache.used)
            .ok(),
        function: space.field(object, l.lru_cache.func).unwrap_or(0),
    })
}

/// The bound of an `lru_cache` wrapper or a deque at `object`; `None` for other objects, which have no notion of one, and
/// when it is not readable. (Modules/_functoolsmodule.c: `maxsize` is -1 for `None`. Modules/_collectionsmodule.c:
/// `maxlen` likewise.)
pub fn bound_of(runtime: &Runtime<'_>, object: Address) -> Option<Bound> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let type_ = space.field(object, l.object.type_).ok()?;
    let field = match runtime.types.of(type_)?.walk.kind {
        WalkKind::LruCache => l.lru_cache.maxsize,
        WalkKind::Deque => l.deque.maxlen?,
        _ => return None,
    };
    let bound = space.signed(object, field).ok()?;
    Some(u64::try_from(bound).map_or(Bound::Unbounded, Bound::Entries))
}
