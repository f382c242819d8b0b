//! What to look at first when a process uses too much memory.
//!
//! Knows an ordered list of rules, each of which looks at one kind of evidence, and the thresholds below which nothing is
//! said; refuses to claim a leak: one core shows size, not growth.

mod claims;
mod owners;
mod places;
mod rules;

use super::{Collection, Heap, Roots};
use crate::heap::ObjectId;
use claims::{Claim, Claims};
use places::Place;
use std::cmp::Reverse;

pub(super) use owners::is_structure;
pub use owners::retained_by_suspects;
pub(super) use places::stdlib_names;

/// Nothing smaller is a suspect, wherever it is, in bytes.
pub const MIN_BYTES: u64 = 1 << 20;
/// Nor anything with a smaller share of the heap, in basis points.
pub const MIN_SHARE: u32 = 200;
/// What application code names, outside the standard library, is a suspect from here on, in bytes.
pub const MIN_APPLICATION_BYTES: u64 = 32 << 10;
/// And from this share on, in basis points.
pub const MIN_APPLICATION_SHARE: u32 = 50;
/// A container with fewer entries is no unbounded one.
pub const MIN_ENTRIES: u64 = 50;
/// Fewer suspended generators of one function are no finding.
pub const MIN_GENERATORS: u64 = 100;
/// Fewer frames in tracebacks are no finding.
pub const MIN_FRAMES: u64 = 20;
/// From this share on size alone is strong evidence, in basis points.
pub const LARGE_SHARE: u32 = 1000;

/// Why something is a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuspectKind {
    /// Cycles that no collection has freed.
    Garbage,
    /// `lru_cache(maxsize=None)` or `functools.cache`.
    UnboundedCache,
    /// A container of callbacks that grows.
    Listeners,
    /// Exceptions that keep the frames they passed, and these their variables.
    Exceptions,
    /// A container without a bound that a module, class, instance or default argument holds.
    Container,
    /// A container with a bound, all the same large.
    BoundedContainer,
    /// Suspended generators, coroutines or tasks of one function.
    Suspended,
    /// A variable of a running function, or what a thread keeps for itself.
    ThreadOwned,
    /// One object that holds much.
    Owner,
}

/// How much speaks for a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Large, but perhaps meant to be.
    Low,
    /// Large for the program, and nothing bounds it.
    Medium,
    /// A large part of the heap, or a pattern that is hardly ever meant.
    High,
}

/// What to do about a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// The collector was disabled.
    EnableCollector,
    /// Thresholds had not been reached, or a collection was under way.
    CollectSooner,
    /// Legacy finalizers keep the collector from freeing.
    RemoveLegacyFinalizers,
    /// Give the cache a size.
    BoundCache,
    /// A cache on a method keeps every instance it was called on.
    CacheOnInstance,
    /// Hold listeners weakly, or remove them.
    WeakListeners,
    /// Do not keep exceptions with their tracebacks.
    ClearTracebacks,
    /// Evict what is no longer needed, or hold it weakly.
    BoundContainer,
    /// Lower the bound, if so much is not needed.
    LowerBound,
    /// Close what is not iterated to its end, await or cancel tasks.
    CloseSuspended,
    /// Process in parts, or delete the variable sooner.
    ReleaseLocal,
    /// See what it holds and whether all of it is needed.
    Inspect,
}

/// One suspect.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Why.
    pub kind: SuspectKind,
    /// Its name as Python would write it.
    pub path: String,
    /// The object, where it is one.
    pub object: Option<ObjectId>,
    /// Its type.
    pub type_name: String,
    /// What counts as evidence: entries, cycles' objects, exceptions, generators.
    pub count: u64,
    /// Objects it reaches first.
    pub objects: u64,
    /// Bytes of these: reachable through data and first claimed, see [`suspects`].
    pub bytes: u64,
    /// Bytes that would be freed with it alone; only where dominance was computed ([`retained_by_suspects`]).
    pub retained: Option<u64>,
    /// Share of all objects' bytes, in basis points, by `bytes`.
    pub share: u32,
    /// How sure.
    pub confidence: Confidence,
    /// What to do.
    pub remedy: Remedy,
}

/// All suspects.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    /// The surest first, then the largest.
    pub list: Vec<Suspect>,
    /// Bytes of all objects.
    pub heap_bytes: u64,
}

impl SuspectKind {
    /// The kind in words; `count` is the suspect's.
    pub fn evidence(self, count: u64) -> String {
        match self {
            Self::Garbage => format!("{count} unreachable objects, not collected"),
            Self::UnboundedCache => format!("lru_cache without bound, {count} results"),
            Self::Listeners => format!("{count} callbacks registered"),
            Self::Exceptions => format!("exceptions hold {count} frames"),
            Self::Container => format!("{count} entries, nothing bounds it"),
            Self::BoundedContainer => format!("{count} entries, bounded"),
            Self::Suspended => format!("{count} suspended"),
            Self::ThreadOwned => format!("{count} entries in use by a thread"),
            Self::Owner => "one object holds much".to_owned(),
        }
    }
}

impl Remedy {
    /// The remedy in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::EnableCollector => "call gc.enable(), or gc.collect() at quiet moments",
            Self::CollectSooner => {
                "call gc.collect() after bursts, or lower gc.set_threshold(); see `cycles`"
            }
            Self::RemoveLegacyFinalizers => {
                "these have tp_del: break the cycle by hand, or update the extension type"
            }
            Self::BoundCache => "bound it: lru_cache(maxsize=…), or call .cache_clear()",
            Self::CacheOnInstance => {
                "the cache keeps every `self`: use cached_property, or cache per instance"
            }
            Self::WeakListeners => {
                "hold listeners in a weakref.WeakSet or as WeakMethod, or unsubscribe them"
            }
            Self::ClearTracebacks => {
                "keep str(exc), not exc: del exc, or traceback.clear_frames(exc.__traceback__)"
            }
            Self::BoundContainer => "bound it: evict old entries, deque(maxlen=…), or a WeakValueDictionary",
            Self::LowerBound => "lower its bound if so many entries are not needed",
            Self::CloseSuspended => "close() generators that are not finished; await or cancel tasks",
            Self::ReleaseLocal => "work in batches, or del the variable before waiting",
            Self::Inspect => "look inside: `show`, `referents`",
        }
    }
}

/// What the rules look at.
struct Survey<'s, 'h, 'core> {
    heap: Heap<'h, 'core>,
    garbage: &'s Collection,
    /// Places with what they claim, in the order of claiming.
    places: Vec<(Place, Claim)>,
    /// Suspended generators by function.
    suspended: Vec<rules::Suspension>,
    heap_bytes: u64,
}

/// Finds suspects by one traversal of the heap: every object is counted for the first place that reaches it through
/// data, larger containers first. A share so measured is what a place reaches, not what would be freed with it.
pub fn suspects(heap: Heap<'_, '_>, roots: &Roots, garbage: &Collection) -> Suspects {
    let mut places = places::places(heap, roots);
    claims::order(heap, &mut places.list);
    let mut claims = Claims::new(heap, &places, garbage);
    let claimed = std::mem::take(&mut places.list)
        .into_iter()
        .map(|place| {
            let claim = claims.claim(place.object);
            (place, claim)
        })
        .collect();
    let survey = Survey {
        heap,
        garbage,
        places: claimed,
        suspended: rules::suspensions(heap, garbage, &mut claims),
        heap_bytes: heap.objects.total_size(),
    };
    let mut list: Vec<Suspect> = Vec::new();
    for rule in rules::RULES {
        for suspect in rule(&survey) {
            // The first rule that speaks of an object has the most to say.
            if suspect.object.is_none() || list.iter().all(|known| known.object != suspect.object) {
                list.push(suspect);
            }
        }
    }
    sort(&mut list);
    Suspects { list, heap_bytes: survey.heap_bytes }
}

/// The surest first, then the largest.
fn sort(list: &mut [Suspect]) {
    list.sort_by(|a, b| {
        let size = |suspect: &Suspect| suspect.bytes.max(suspect.retained.unwrap_or(0));
        (Reverse(a.confidence), Reverse(size(a)), a.kind, &a.path).cmp(&(
            Reverse(b.confidence),
            Reverse(size(b)),
            b.kind,
            &b.path,
        ))
    });
}

/// `part` of `whole` in basis points.
fn share(part: u64, whole: u64) -> u32 {
    let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(confidence: Confidence, bytes: u64, retained: Option<u64>, path: &str) -> Suspect {
        Suspect {
            kind: SuspectKind::Container,
            path: path.to_owned(),
            object: None,
            type_name: "dict".to_owned(),
            count: 1,
            objects: 1,
            bytes,
            retained,
            share: 0,
            confidence,
            remedy: Remedy::Inspect,
        }
    }

    #[test]
    fn the_surest_come_first_then_the_largest() {
        let mut list = [
            suspect(Confidence::Low, 900, None, "low"),
            suspect(Confidence::High, 10, None, "small"),
            suspect(Confidence::High, 20, None, "b"),
            suspect(Confidence::High, 5, Some(20), "a"),
        ];
        sort(&mut list);
        assert_eq!(list.each_ref().map(|suspect| suspect.path.as_str()), ["a", "b", "small", "low"]);
    }

    #[test]
    fn shares_are_basis_points_of_any_size() {
        assert_eq!(share(1, 4), 2500);
        assert_eq!(share(0, 0), 0);
        assert_eq!(share(u64::MAX, u64::MAX), 10_000);
    }
}
