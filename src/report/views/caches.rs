//! `view caches`: functions with an `lru_cache`.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{CachedFunction, Keepers};
use crate::cpython::Bound;
use crate::report::{CoreIdentity, Coverage, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view caches`.
#[derive(Clone, Debug, Serialize)]
pub struct CachesReport {
    /// `caches`.
    pub view: &'static str,
    /// How many there are.
    pub caches_total: u64,
    /// Results in all of them.
    pub entries: u64,
    /// Those that keep most.
    pub caches: Vec<CacheRow>,
}

/// One function with a cache.
#[derive(Clone, Debug, Serialize)]
pub struct CacheRow {
    /// The wrapper.
    pub object: HeldObject,
    /// The function; `null` where that cannot be told.
    pub function: Option<String>,
    /// `maxsize`; `null` for none.
    pub maxsize: Option<u64>,
    /// Results it has; `null` where that is not readable.
    pub entries: Option<u64>,
    /// Calls answered from the cache.
    pub hits: u64,
    /// Calls that ran the function.
    pub misses: u64,
    /// Share of calls answered from the cache, in thousandths; `null` before the first call.
    pub hits_permille: Option<u32>,
}

impl CachesReport {
    /// Names the first `limit` of what was found.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<CachedFunction>, limit: usize) -> Self {
        keepers.sort(&mut found, |cache| cache.id);
        Self {
            view: "caches",
            caches_total: found.len() as u64,
            entries: found.iter().filter_map(|cache| cache.info.entries).fold(0, u64::saturating_add),
            caches: found.iter().take(limit).map(|cache| row(keepers, cache)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, cache: &CachedFunction) -> CacheRow {
    let info = cache.info;
    let calls = info.hits.saturating_add(info.misses);
    CacheRow {
        object: HeldObject::new(keepers, cache.id),
        function: cache.function.clone(),
        maxsize: match info.bound {
            Bound::Unbounded => None,
            Bound::Entries(entries) => Some(entries),
        },
        entries: info.entries,
        hits: info.hits,
        misses: info.misses,
        hits_permille: (calls > 0).then(|| number::permille(info.hits, calls)),
    }
}

impl Report for CachesReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.objects_bounded();
        let total = number::counted(self.caches_total, "function", bound);
        page.paragraph(
            Tone::Strong,
            2,
            &format!("{total} with an lru_cache, {}", number::counted(self.entries, "result", bound)),
        );
        for row in &self.caches {
            row.object.render(page, row.function.as_deref().unwrap_or("a function without a name"));
            let size = match row.maxsize {
                Some(maxsize) => format!("of at most {}", number::count(maxsize)),
                None => "without bound".to_owned(),
            };
            let use_ = match row.hits_permille {
                Some(hits) => format!(
                    "{} hits, {} misses: {} of calls",
                    number::count(row.hits),
                    number::count(row.misses),
                    number::percent(hits)
                ),
                None => "never called".to_owned(),
            };
            let results =
                row.entries.map_or_else(|| "? results".to_owned(), |n| number::counted(n, "result", false));
            page.line(Tone::Plain, 4, &format!("{results} {size}; {use_}"));
        }
        hidden(page, self.caches_total, self.caches.len());
        if self.caches.iter().any(|row| row.maxsize.is_none() && row.entries != Some(0)) {
            page.gap();
            page.note("a cache without bound keeps every result: lru_cache(maxsize=…), or .cache_clear()");
        }
        end(page, core, coverage, self.caches.first().map(|row| &row.object));
    }
}
