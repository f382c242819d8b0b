//! The collector's own state: the list of every generation, thresholds, counts, whether it was at work.
//!
//! Knows list heads and GC heads; refuses to know what the objects behind them are.

use super::interpreter::Interpreter;
use super::words::{ReadField, at, word};
use super::{GC_HEAD_SIZE, Runtime};
use crate::corefile::{Address, ReadError};
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
#[derive(Debug)]
pub struct GcList {
    /// Index of the interpreter in [`Runtime::interpreters`].
    pub interpreter: usize,
    /// Which list.
    pub generation: Generation,
    /// Objects in list order (the object, not its GC head).
    pub objects: Vec<Address>,
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
        for (index, counters) in generations.iter_mut().enumerate() {
            let base =
                address + u64::from(l.gc.generations.offset) + index as u64 * u64::from(l.gc_generation.size);
            counters.threshold = space.signed(base, l.gc_generation.threshold)? as i32;
            counters.count = space.signed(base, l.gc_generation.count)? as i32;
            if let Some(stats) = l.gc.stats {
                let base = address + u64::from(stats.offset) + index as u64 * u64::from(l.gc_stats.size);
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

/// Address of the head of one of the lists of `interpreter`.
pub fn list_head(runtime: &Runtime<'_>, interpreter: &Interpreter, generation: Generation) -> Address {
    let l = &runtime.layouts;
    let base = interpreter.gc_address;
    match generation {
        Generation::Permanent => base + u64::from(l.gc.permanent.offset),
        other => base + u64::from(l.gc.generations.offset) + other as u64 * u64::from(l.gc_generation.size),
    }
}

/// Walks the lists of every interpreter.
pub fn walk_lists(runtime: &Runtime<'_>) -> Vec<GcList> {
    let mut lists = Vec::new();
    let mut walked = FxHashSet::default();
    for (index, interpreter) in runtime.interpreters.iter().enumerate() {
        // Up to 3.8 all interpreters share one collector: its objects are the main one's.
        let shared = !walked.insert(interpreter.gc_address);
        for generation in Generation::LISTS {
            let head = list_head(runtime, interpreter, generation);
            let mut list = GcList {
                interpreter: index,
                generation,
                objects: Vec::new(),
                types: FxHashSet::default(),
                broken_at: None,
            };
            if !shared {
                list.broken_at = walk(runtime, head, interpreter.gc.collecting, &mut list);
            }
            lists.push(list);
        }
    }
    lists
}

/// Follows `_gc_next` from `head` until it comes round, and fills `list`. Where it had to stop before, it says.
///
/// At rest every step is checked against `_gc_prev`, which also rules out a ring that leaves out the head. During a
/// collection `_gc_prev` may hold counts, so there only the number of steps bounds the walk. The type is read on the
/// way: it stands beside the GC head, and a second pass over all objects would cost as much as this one.
fn walk(runtime: &Runtime<'_>, head: Address, collecting: bool, list: &mut GcList) -> Option<Address> {
    let l = &runtime.layouts;
    let bound = runtime.mapped_bytes / 32 + 1;
    let length = GC_HEAD_SIZE as usize + runtime.header.size as usize;
    let type_at = GC_HEAD_SIZE as usize + runtime.header.type_at as usize;
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
        list.objects.push(current.wrapping_add(GC_HEAD_SIZE));
        let type_ = word(bytes, type_at);
        if type_ != last_type {
            last_type = type_;
            list.types.insert(type_);
        }
        previous = current;
        current = word(bytes, at(l.gc_head.next));
    }
}
