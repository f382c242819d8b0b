//! Static variables of the interpreter that only the full symbol table names, found by what they lead to.
//!
//! Knows the allocator's arena table and the dict of interned strings of releases that keep them in static variables
//! (Objects/obmalloc.c and Objects/unicodeobject.c, up to 3.11). Refuses to guess: what does not agree with itself is
//! not found.

use super::words::{ReadField, at, word};
use super::{DictItems, Runtime, own_data, type_flags, values};
use crate::corefile::Address;

/// Arenas looked at in one table: far more than fit any machine's memory.
const MAX_ARENAS: u32 = 1 << 24;
/// Entries without memory before the first arena of a table: 16 GiB that were given back.
const MAX_LEADING: u32 = 1 << 16;
/// Entries looked at in all candidates: words that lead into zeros must not make the search quadratic.
const MAX_LOOKED: u32 = 1 << 23;
/// Entries of a dict that must be interned strings before it is taken for theirs.
const SAMPLE: usize = 64;
/// Bytes of `nextarena` and `prevarena`, the last members of `struct arena_object` (Objects/obmalloc.c, 3.8 to 3.11).
const LINKS: usize = 16;
/// Fewer interned strings than any interpreter has.
const FEW: u64 = 256;

/// `arenas` and the number of its entries: the array whose arenas' pools repeat their index.
pub(super) fn arena_table(runtime: &Runtime<'_>) -> Option<(Address, u32)> {
    let module = runtime.binaries.module(runtime.module)?;
    let mut left = MAX_LOOKED;
    own_data::find_word(&runtime.space, module, |_, table| {
        let arenas = (table.is_multiple_of(8) && table != 0).then(|| arenas_at(runtime, table, left))?;
        left = left.saturating_sub(arenas.entries);
        (arenas.allocated > 0).then_some((table, arenas.entries))
    })
}

/// What an array of `struct arena_object` has.
#[derive(Default)]
struct Arenas {
    /// Entries until something is no such struct.
    entries: u32,
    /// Entries of arenas with memory.
    allocated: u32,
}

/// Counts the entries of an array of arenas at `table`, which ends where an entry cannot be one. Gives up after `most`
/// entries without an arena.
fn arenas_at(runtime: &Runtime<'_>, table: Address, most: u32) -> Arenas {
    let (space, l) = (&runtime.space, &runtime.layouts.allocators.arena);
    let most = most.min(MAX_LEADING);
    let size = u64::from(runtime.layouts.allocators.arena.size);
    let mut found = Arenas::default();
    let mut ends = 0;
    while found.entries < if found.allocated == 0 { most } else { MAX_ARENAS } {
        let entry = table.wrapping_add(u64::from(found.entries) * size);
        // What looks like a table may be anything: nothing of it is recorded before it turns out to be one.
        let Ok(bytes) = space.peek(entry, size as usize) else { break };
        let address = word(bytes, at(l.address));
        // An entry without memory is chained through `nextarena`; nothing else of it is set (`new_arena`).
        if address == 0 {
            let next = word(bytes, bytes.len().saturating_sub(LINKS));
            ends += u32::from(next == 0);
            let own = next == 0 || next.checked_sub(table).is_some_and(|offset| offset.is_multiple_of(size));
            if ends > 1 || !own {
                break;
            }
        } else if is_arena(runtime, entry, address, found.entries) {
            found.allocated += 1;
        } else {
            break;
        }
        found.entries += 1;
    }
    for index in (0..found.entries).filter(|_| found.allocated > 0 && space.is_recording()) {
        let entry = table.wrapping_add(u64::from(index) * size);
        space.record(entry.wrapping_add(u64::from(l.address.offset)), 8);
        space.record(entry.wrapping_add(size.saturating_sub(LINKS as u64)), 8);
    }
    found
}

/// Whether the arena that `entry` describes is at `address`, by its own figures and by the first pool's.
fn is_arena(runtime: &Runtime<'_>, entry: Address, address: Address, index: u32) -> bool {
    let (space, l, geometry) = (&runtime.space, &runtime.layouts, runtime.semantics.pools);
    let small = |field| space.small(entry, field).unwrap_or(u64::MAX);
    let (free, total) = (small(l.allocators.arena.nfreepools), small(l.allocators.arena.ntotalpools));
    let Some(first_pool) = address.checked_next_multiple_of(geometry.pool) else { return false };
    let next_pool = space.field(entry, l.allocators.arena.pool_address).unwrap_or(0);
    let whole = geometry.arena / geometry.pool;
    let plausible = address.is_multiple_of(8)
        && total <= whole
        && total + 1 >= whole
        && free <= total
        && next_pool >= first_pool
        && next_pool <= address.saturating_add(geometry.arena)
        && next_pool.is_multiple_of(geometry.pool);
    // The first pool is carved as soon as the arena exists.
    plausible
        && (next_pool == first_pool
            || space.small(first_pool, l.allocators.pool.arenaindex) == Ok(u64::from(index)))
}

/// The dict of interned strings: each of its values is its key.
pub(super) fn interned(runtime: &Runtime<'_>) -> Option<Address> {
    let module = runtime.binaries.module(runtime.module)?;
    own_data::find_word(&runtime.space, module, |_, candidate| {
        (candidate.is_multiple_of(8) && is_interned(runtime, candidate)).then_some(candidate)
    })
}

fn is_interned(runtime: &Runtime<'_>, candidate: Address) -> bool {
    if candidate == 0 || !values::has_flag(runtime, candidate, type_flags::DICT_SUBCLASS) {
        return false;
    }
    let Ok(view) = DictItems::read(runtime, candidate) else { return false };
    let present = || view.table.entries().filter(|&(key, value)| key != 0 && value != 0).take(SAMPLE);
    view.split_values.is_none()
        && view.used >= FEW
        && present().all(|(key, value)| key == value && values::is_str(runtime, key))
}
