//! The collector's own state: the list of every generation, thresholds, counts, whether it was at work.
//!
//! Knows list heads and GC heads; refuses to know what the objects behind them are.

use super::interpreter::Interpreter;
use super::words::{ReadField, at, word};
use super::{PythonError, Runtime};
use crate::columns::Column;
use crate::corefile::{Address, ReadError};
use crate::layout::Field;
use rustc_hash::FxHashSet;

/// Low bits of `_gc_next` and `_gc_prev` that are flags (Include/internal/pycore_gc.h).
const POINTER_MASK: u64 = !3;

/// Which list an object is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Generation {
    /// Youngest.
    Young = 0,
    /// Survived one collection.
    Middle = 1,
    /// Survived a middle collection.
    Old = 2,
    /// `gc.freeze()`, and immortal containers in 3.12 and 3.13.
    Permanent = 3,
    /// On no list: taken off by a collection that was under way, or a list was damaged.
    Detached = 4,
}

impl Generation {
    /// All lists an interpreter keeps, in its own order.
    pub const LISTS: [Generation; 4] = [Self::Young, Self::Middle, Self::Old, Self::Permanent];

    /// The generation's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Young => "0",
            Self::Middle => "1",
            Self::Old => "2",
            Self::Permanent => "permanent",
            Self::Detached => "detached",
        }
    }

    /// The inverse of `self as u8`; anything unknown is [`Generation::Detached`].
    pub fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Young,
            1 => Self::Middle,
            2 => Self::Old,
            3 => Self::Permanent,
            _ => Self::Detached,
        }
    }
}

/// Counters of one generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct GenerationCounters {
    /// Collection starts when `count` exceeds this; 0 disables.
    pub threshold: i32,
    /// Allocations minus deallocations, or collections of the generation below.
    pub count: i32,
    /// Collections so far (`gc.get_stats()`).
    pub collections: u64,
    /// Objects collected so far.
    pub collected: u64,
    /// Objects found uncollectable so far.
    pub uncollectable: u64,
}

/// `gc` as one interpreter had it.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcState {
    /// `gc.isenabled()`.
    pub enabled: bool,
    /// `gc.get_debug()`.
    pub debug: i32,
    /// The three generations.
    pub generations: [GenerationCounters; 3],
    /// A collection was under way: lists live partly on the C stack, GC heads may hold counts.
    pub collecting: bool,
    /// The list `gc.garbage`.
    pub garbage: Address,
    /// The list `gc.callbacks`.
    pub callbacks: Address,
    /// Objects that survived the last full collection (`long_lived_total`).
    pub long_lived_total: i64,
    /// Objects that survived a middle collection since (`long_lived_pending`).
    pub long_lived_pending: i64,
}

/// One list, walked.
#[derive(Clone, Debug)]
pub struct GcList {
    /// Index of the interpreter in [`Runtime::interpreters`].
    pub interpreter: usize,
    /// Which list.
    pub generation: Generation,
    /// Objects in list order (the object, not its GC head).
    pub objects: Column<Address>,
    /// Their types, each once.
    pub types: FxHashSet<Address>,
    /// Where the walk had to stop before it came round: links that contradict each other or are unreadable.
    pub broken_at: Option<Address>,
}

impl GcState {
    /// Reads the state at `address` (`PyInterpreterState.gc`).
    ///
    /// # Errors
    /// The struct is not readable.
    pub fn read(runtime: &Runtime<'_>, address: Address) -> Result<Self, ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let optional = |field| match field {
            Some(field) => space.signed(address, field),
            None => Ok(0),
        };
        let mut generations = [GenerationCounters::default(); 3];
        let lists = ListHeads::find(runtime, address);
        for (index, counters) in generations.iter_mut().enumerate() {
            if let Some(base) = lists.thresholds.get(index).copied().flatten() {
                counters.threshold = space.signed(base, l.gc_generation.threshold)? as i32;
            }
            if let Some(base) = lists.counts.get(index).copied().flatten() {
                counters.count = space.signed(base, l.gc_generation.count)? as i32;
            }
            if let Some(base) = stats_address(runtime, address, index)? {
                let read = |field: Option<_>| field.map_or(Ok(0), |field| space.field(base, field));
                counters.collections = read(l.gc_stats.collections)?;
                counters.collected = read(l.gc_stats.collected)?;
                counters.uncollectable = read(l.gc_stats.uncollectable)?;
            }
        }
        Ok(Self {
            enabled: space.signed(address, l.gc.enabled)? != 0,
            debug: space.signed(address, l.gc.debug)? as i32,
            generations,
            collecting: space.signed(address, l.gc.collecting)? != 0,
            garbage: space.field(address, l.gc.garbage)?,
            callbacks: space.field(address, l.gc.callbacks)?,
            long_lived_total: optional(l.gc.long_lived_total)?,
            long_lived_pending: optional(l.gc.long_lived_pending)?,
        })
    }
}

/// Which `gc_generation` of a collector's state plays which part. `None`: nothing does.
#[derive(Clone, Copy, Debug, Default)]
struct ListHeads {
    /// Lists of `gc.get_objects(generation=…)` for 0, 1 and 2.
    lists: [[Option<Address>; 2]; 3],
    /// Where `gc.get_threshold()` looks.
    thresholds: [Option<Address>; 3],
    /// Where `gc.get_count()` looks.
    counts: [Option<Address>; 3],
}

impl ListHeads {
    /// Finds them in the state at `address` by what it has: three generations, or the young list and two spaces of
    /// old objects.
    fn find(runtime: &Runtime<'_>, address: Address) -> Self {
        let (space, l) = (&runtime.space, &runtime.layouts.gc);
        let size = u64::from(runtime.layouts.gc_generation.size);
        let element =
            |field: Field, index: u64| Some(address.wrapping_add(u64::from(field.offset) + index * size));
        if let Some(field) = l.generations {
            let each = [element(field, 0), element(field, 1), element(field, 2)];
            return Self { lists: each.map(|list| [list, None]), thresholds: each, counts: each };
        }
        let (Some(young), Some(old)) = (l.young, l.old) else { return Self::default() };
        let (young, old) = (element(young, 0), [element(old, 0), element(old, 1)]);
        let Some(visited) = l.visited_space else {
            let each = [young, old[0], old[1]];
            return Self { lists: each.map(|list| [list, None]), thresholds: each, counts: each };
        };
        // The incremental collector (Python/gc.c, _PyGC_GetObjects, and Modules/gcmodule.c, gc_get_threshold_impl and
        // gc_get_count_impl, 3.14.0): no object is in generation 1, all old ones are in generation 2, of which one
        // space has been visited in this round and the other has not.
        let (visited, pending) = match space.signed(address, visited) {
            Ok(1) => (old[1], old[0]),
            _ => (old[0], old[1]),
        };
        Self {
            lists: [[young, None], [None, None], old],
            thresholds: [young, old[0], None],
            counts: [young, visited, pending],
        }
    }
}

/// Address of the statistics of a generation: an element of an array in the state itself, or behind a pointer the
/// newest entry of a ring (3.15; Modules/gcmodule.c, `gc_get_stats_impl`).
fn stats_address(
    runtime: &Runtime<'_>,
    gc: Address,
    generation: usize,
) -> Result<Option<Address>, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some(field) = l.gc.stats else { return Ok(None) };
    let size = u64::from(l.gc_stats.size);
    let (Some(young), Some(old)) = (l.gc_stats_buffers.young, l.gc_stats_buffers.old) else {
        return Ok(Some(gc.wrapping_add(u64::from(field.offset) + generation as u64 * size)));
    };
    let buffers = space.field(gc, field)?;
    let (offset, items, index) = match generation.checked_sub(1) {
        None => (u64::from(young.offset), l.gc_young_stats.items, l.gc_young_stats.index),
        Some(older) => (
            u64::from(old.offset) + older as u64 * u64::from(l.gc_old_stats.size),
            l.gc_old_stats.items,
            l.gc_old_stats.index,
        ),
    };
    let (Some(items), Some(index)) = (items, index) else { return Ok(None) };
    let ring = buffers.wrapping_add(offset);
    let newest = space.small(ring, index)?;
    Ok(Some(ring.wrapping_add(u64::from(items.offset) + newest * size)))
}

/// Addresses of the heads of the lists of `interpreter` that make up `generation`: one, or two spaces.
fn list_heads(
    runtime: &Runtime<'_>,
    interpreter: &Interpreter,
    generation: Generation,
) -> [Option<Address>; 2] {
    let base = interpreter.gc_address;
    match generation {
        Generation::Permanent => {
            [Some(base.wrapping_add(u64::from(runtime.layouts.gc.permanent.offset))), None]
        }
        other => ListHeads::find(runtime, base).lists.get(other as usize).copied().unwrap_or_default(),
    }
}

/// What the collector of every interpreter knows: its lists walked or, where it keeps bits in the headers, its heaps.
///
/// # Errors
/// The allocators' memory cannot be found.
pub fn find_lists(runtime: &Runtime<'_>) -> Result<Vec<GcList>, PythonError> {
    if runtime.header.has_gc_bits() { super::gc_heaps::lists(runtime) } else { Ok(walk_lists(runtime)) }
}

/// What walking a list finds.
#[derive(Default)]
struct Walked {
    objects: Vec<Address>,
    types: FxHashSet<Address>,
}

/// Walks the lists of every interpreter.
fn walk_lists(runtime: &Runtime<'_>) -> Vec<GcList> {
    let mut lists = Vec::new();
    let mut seen = FxHashSet::default();
    for (index, interpreter) in runtime.interpreters.iter().enumerate() {
        // Up to 3.8 all interpreters share one collector: its objects are the main one's.
        let shared = !seen.insert(interpreter.gc_address);
        for generation in Generation::LISTS {
            let mut walked = Walked::default();
            let mut broken_at = None;
            let heads = if shared { [None; 2] } else { list_heads(runtime, interpreter, generation) };
            for head in heads.into_iter().flatten() {
                let stopped_at = walk(runtime, head, interpreter.gc.collecting, &mut walked);
                broken_at = broken_at.or(stopped_at);
            }
            let Walked { objects, types } = walked;
            lists.push(GcList { interpreter: index, generation, objects: objects.into(), types, broken_at });
        }
    }
    lists
}

/// Follows `_gc_next` from `head` until it comes round, and fills `list`. Where it had to stop before, it says.
///
/// At rest every step is checked against `_gc_prev`, which also rules out a ring that leaves out the head. During a
/// collection `_gc_prev` may hold counts, so there only the number of steps bounds the walk. The type is read on the
/// way: it stands beside the GC head, and a second pass over all objects would cost as much as this one.
fn walk(runtime: &Runtime<'_>, head: Address, collecting: bool, list: &mut Walked) -> Option<Address> {
    let l = &runtime.layouts;
    let bound = runtime.mapped_bytes / 32 + 1;
    let head_size = u64::from(runtime.semantics.gc_head);
    let length = head_size as usize + runtime.header.size as usize;
    let type_at = head_size as usize + runtime.header.type_at as usize;
    let mut previous = head;
    let mut last_type = 0;
    let Ok(mut current) = runtime.space.field(head, l.gc_head.next) else { return Some(head) };
    loop {
        current &= POINTER_MASK;
        if current == head {
            return None;
        }
        let Ok(bytes) = runtime.space.slice(current, length) else { return Some(previous) };
        let agrees = word(bytes, at(l.gc_head.prev)) & POINTER_MASK == previous;
        if (!agrees && !collecting) || list.objects.len() as u64 >= bound {
            return Some(previous);
        }
        list.objects.push(current.wrapping_add(head_size));
        let type_ = word(bytes, type_at);
        if type_ != last_type {
            last_type = type_;
            list.types.insert(type_);
        }
        previous = current;
        current = word(bytes, at(l.gc_head.next));
    }
}

/// Whether the object at `object` is on a list of the collector, as its links tell: the next entry leads back to it. During
/// a collection `_gc_prev` may hold counts, so there it is enough that the next entry is an object. `false` where that
/// cannot be read.
pub fn is_listed(runtime: &Runtime<'_>, object: Address) -> bool {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let head_size = u64::from(runtime.semantics.gc_head);
    let head = object.wrapping_sub(head_size);
    let Ok(next) = space.field(head, l.gc_head.next).map(|next| next & POINTER_MASK) else { return false };
    if next == head {
        return false;
    }
    if space.field(next, l.gc_head.prev).is_ok_and(|back| back & POINTER_MASK == head) {
        return true;
    }
    let type_ = || space.field(next.wrapping_add(head_size), l.object.type_);
    let collecting = runtime.interpreters.iter().any(|interpreter| interpreter.gc.collecting);
    collecting && type_().is_ok_and(|type_| runtime.types.id_of(type_).is_some())
}
