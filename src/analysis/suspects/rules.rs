//! The rules: each looks at one kind of evidence.
//!
//! Knows what speaks for and against a suspect; refuses to know how bytes were attributed.

use super::Survey;
use super::claims::Claim;
use super::contents::Contents;
use super::finding::{Confidence, Evidence, Remedy, Suspect, SuspectKind};
use super::places::{Level, Place, is_container};
use super::special::{Special, is_exception, special, threads_of_local};
use super::suspended::{MIN_GENERATORS, Suspension};
use crate::analysis::share::share;
use crate::analysis::{Collection, Heap, WhyUncollected, python_name};
use crate::cpython::{Bound, TypeInfo, WalkKind, bound_of, cache_figures};

/// A container with fewer entries is no unbounded one.
const MIN_ENTRIES: u64 = 50;
/// Fewer frames in tracebacks are no finding, unless they are of exceptions that a container is for.
const MIN_FRAMES: u64 = 20;
/// And fewer than one frame among so many objects do not make exceptions the reason.
const OBJECTS_A_FRAME: u64 = 64;
/// Nor is garbage of classes if it has more objects than so many for each.
const OBJECTS_A_CLASS: u64 = 20;
/// Fewer finished tasks are no finding.
const MIN_FINISHED: u64 = 20;
/// From this share on size alone is strong evidence, in basis points.
const LARGE_SHARE: u32 = 1000;
/// And from this size on, in bytes.
const LARGE_BYTES: u64 = 1 << 20;
/// Below this share a container may as well be a table that is meant to be so large, in basis points.
const MODEST_SHARE: u32 = 200;
/// And below this size, in bytes.
const MODEST_BYTES: u64 = 256 << 10;

/// A place with all that rules ask of it.
pub struct Case<'c, 'h, 'core> {
    heap: Heap<'h, 'core>,
    place: &'c Place,
    claim: &'c Claim,
    info: &'h TypeInfo,
    contents: Contents,
    /// It is as large as what nothing else speaks against must be.
    is_large: bool,
}

/// What a rule finds.
type Found = Option<(SuspectKind, Evidence, Remedy)>;

/// All rules for places; the first that finds something has the most to say.
const RULES: &[fn(&Case<'_, '_, '_>) -> Found] = &[
    views_that_pin,
    locals_of_threads,
    in_use,
    finished_tasks,
    exceptions_holding_frames,
    caches,
    listeners,
    suspended,
    containers,
    single_owner,
];

/// What speaks against a place; `None` where it is too small, or nothing does.
pub fn of_place(survey: &Survey<'_, '_, '_>, place: &Place, claim: &Claim) -> Option<Suspect> {
    let Survey { heap, thresholds, heap_bytes, .. } = *survey;
    let least = if place.stdlib { thresholds.other } else { thresholds.application };
    if !least.is_reached(claim.bytes, heap_bytes) {
        return None;
    }
    let case = Case {
        heap,
        place,
        claim,
        info: heap.type_of(place.object),
        contents: Contents::of(heap, &survey.entry_kinds, place.object),
        is_large: thresholds.other.is_reached(claim.bytes, heap_bytes),
    };
    let (kind, evidence, remedy) = RULES.iter().find_map(|rule| rule(&case))?;
    Some(Suspect {
        kind,
        path: place.path.clone(),
        object: Some(place.object),
        type_name: heap.type_name(place.object).to_owned(),
        evidence,
        objects: claim.objects,
        bytes: claim.bytes,
        retained: None,
        share: share(claim.bytes, heap_bytes),
        confidence: confidence(kind, claim.bytes, heap_bytes, place.stdlib),
        remedy,
        mostly: None,
        inside: Vec::new(),
    })
}

/// How sure a finding is: patterns that are hardly ever meant, then size.
pub fn confidence(kind: SuspectKind, bytes: u64, heap_bytes: u64, stdlib: bool) -> Confidence {
    let large = share(bytes, heap_bytes) >= LARGE_SHARE && bytes >= LARGE_BYTES;
    let modest = share(bytes, heap_bytes) < MODEST_SHARE || bytes < MODEST_BYTES;
    match kind {
        SuspectKind::UnboundedCache | SuspectKind::Listeners if modest => Confidence::Medium,
        SuspectKind::Garbage
        | SuspectKind::PinnedBuffer
        | SuspectKind::FinishedTasks
        | SuspectKind::UnboundedCache
        | SuspectKind::Listeners
        | SuspectKind::Exceptions => Confidence::High,
        SuspectKind::BoundedContainer => Confidence::Low,
        SuspectKind::Owner | SuspectKind::ThreadOwned if large => Confidence::Medium,
        SuspectKind::Owner | SuspectKind::ThreadOwned => Confidence::Low,
        _ if large => Confidence::High,
        _ if stdlib || modest => Confidence::Low,
        _ => Confidence::Medium,
    }
}

impl Case<'_, '_, '_> {
    /// It is in use by a running function, or a thread keeps it.
    fn is_in_use(&self) -> bool {
        matches!(self.place.level, Level::Local | Level::Thread)
    }

    fn is_container(&self) -> bool {
        is_container(self.info)
    }

    fn bound(&self) -> Option<Bound> {
        bound_of(self.heap.runtime, self.heap.objects.address(self.place.object))
    }
}

/// Buffers that only small views keep are most of it.
fn views_that_pin(case: &Case<'_, '_, '_>) -> Found {
    let Claim { views, shown, pinned, bytes, .. } = *case.claim;
    (views > 0 && pinned.saturating_mul(2) >= bytes).then_some((
        SuspectKind::PinnedBuffer,
        Evidence::Views { views, shown, kept: pinned },
        Remedy::CopyView,
    ))
}

/// A `threading.local` with what all threads keep in it.
fn locals_of_threads(case: &Case<'_, '_, '_>) -> Found {
    let special = special(case.heap, case.info)?;
    if !matches!(special, Special::Local | Special::PythonLocal) {
        return None;
    }
    let (threads, ended) = threads_of_local(case.heap, case.place.object);
    let remedy = match ended.saturating_mul(2) > threads {
        true => Remedy::ForgetThreads,
        false => Remedy::ClearThreadLocals,
    };
    Some((SuspectKind::ThreadLocals, Evidence::Threads { threads, ended }, remedy))
}

/// What variables of running functions and thread states hold.
fn in_use(case: &Case<'_, '_, '_>) -> Found {
    (case.is_in_use() && case.is_large).then_some((
        SuspectKind::ThreadOwned,
        Evidence::InUse(case.contents.entries),
        Remedy::ReleaseLocal,
    ))
}

/// Tasks that are done are most of the entries.
fn finished_tasks(case: &Case<'_, '_, '_>) -> Found {
    let (finished, entries) = (case.claim.finished, case.contents.entries);
    let mostly = case.is_container() && finished.saturating_mul(2) >= entries;
    (!case.is_in_use() && mostly && finished >= MIN_FINISHED).then_some((
        SuspectKind::FinishedTasks,
        Evidence::Finished { finished, entries },
        Remedy::ForgetTasks,
    ))
}

/// Tracebacks hold frames, and exceptions are what this is about.
fn exceptions_holding_frames(case: &Case<'_, '_, '_>) -> Found {
    let frames = case.claim.frames.min(case.claim.tracebacks);
    let contents = case.contents;
    let for_exceptions = is_exception(case.info)
        || contents.exceptions > 0 && contents.exceptions.saturating_mul(2) >= contents.entries;
    let many = frames >= MIN_FRAMES
        && frames.saturating_mul(2) >= contents.entries
        && frames.saturating_mul(OBJECTS_A_FRAME) >= case.claim.objects;
    (!case.is_in_use() && (many || for_exceptions && frames > 0)).then_some((
        SuspectKind::Exceptions,
        Evidence::Frames(frames),
        Remedy::ClearTracebacks,
    ))
}

/// `lru_cache` wrappers without a bound, or with one that is too large.
fn caches(case: &Case<'_, '_, '_>) -> Found {
    let results = case.contents.entries;
    if case.is_in_use() || case.info.walk.kind != WalkKind::LruCache || results < MIN_ENTRIES {
        return None;
    }
    let figures = cache_figures(case.heap.runtime, case.heap.objects.address(case.place.object))?;
    let evidence =
        Evidence::Cache { results, hits: figures.hits, misses: figures.misses, bound: figures.bound };
    Some(match (figures.bound, case.place.level) {
        (Bound::Unbounded, Level::Class) => (SuspectKind::UnboundedCache, evidence, Remedy::CacheOnInstance),
        (Bound::Unbounded, _) => (SuspectKind::UnboundedCache, evidence, Remedy::BoundCache),
        (Bound::Entries(_), _) => (SuspectKind::BoundedContainer, evidence, Remedy::LowerBound),
    })
}

/// Containers of callbacks.
fn listeners(case: &Case<'_, '_, '_>) -> Found {
    let Contents { entries, callbacks, .. } = case.contents;
    let mostly = case.is_container() && callbacks.saturating_mul(2) > entries;
    (!case.is_in_use() && mostly && callbacks >= MIN_ENTRIES).then_some((
        SuspectKind::Listeners,
        Evidence::Callbacks(callbacks),
        Remedy::WeakListeners,
    ))
}

/// Containers of generators, coroutines or tasks that have not ended.
fn suspended(case: &Case<'_, '_, '_>) -> Found {
    let Contents { entries, suspended, .. } = case.contents;
    let mostly = case.is_container() && suspended.saturating_mul(2) > entries;
    (!case.is_in_use() && mostly && suspended >= MIN_GENERATORS).then_some((
        SuspectKind::Suspended,
        Evidence::Suspended(suspended),
        Remedy::CloseSuspended,
    ))
}

/// Other containers that modules, classes and their instances hold.
fn containers(case: &Case<'_, '_, '_>) -> Found {
    let Contents { entries, named_functions, weak, .. } = case.contents;
    // Functions by name are what the program consists of; what a weak dict or set has goes with its objects.
    let is_meant = named_functions.saturating_mul(2) > entries
        || weak.saturating_mul(2) > entries && case.place.path.ends_with(".data");
    if case.is_in_use() || !case.is_container() || entries < MIN_ENTRIES || is_meant {
        return None;
    }
    Some(match case.bound() {
        Some(Bound::Entries(bound)) => (
            SuspectKind::BoundedContainer,
            Evidence::Entries { entries, bound: Some(bound) },
            Remedy::LowerBound,
        ),
        Some(Bound::Unbounded) | None => {
            (SuspectKind::Container, Evidence::Entries { entries, bound: None }, Remedy::BoundContainer)
        }
    })
}

/// Single objects, and containers of few entries, that hold much.
fn single_owner(case: &Case<'_, '_, '_>) -> Found {
    (!case.is_in_use() && case.is_large).then_some((
        SuspectKind::Owner,
        Evidence::Parts(case.contents.entries),
        Remedy::Inspect,
    ))
}

/// Cycles that a collection would free.
pub fn uncollected_garbage(survey: &Survey<'_, '_, '_>, garbage: &Collection) -> Option<Suspect> {
    let bytes = garbage.bytes();
    if !survey.thresholds.garbage.is_reached(bytes, survey.heap_bytes) {
        return None;
    }
    let objects = garbage.unreachable.len() as u64;
    let what = most_telling_type(survey.heap, garbage);
    Some(Suspect {
        kind: SuspectKind::Garbage,
        path: match what {
            Some(name) => format!("unreachable cycles of {name}"),
            None => "unreachable cycles".to_owned(),
        },
        object: None,
        type_name: String::new(),
        evidence: Evidence::Unreachable(objects),
        objects: objects + garbage.held.len() as u64,
        bytes,
        retained: Some(bytes),
        share: share(bytes, survey.heap_bytes),
        confidence: Confidence::High,
        remedy: remedy_of_garbage(garbage),
        mostly: None,
        inside: Vec::new(),
    })
}

fn remedy_of_garbage(garbage: &Collection) -> Remedy {
    let says = |wanted: &[WhyUncollected]| garbage.why.iter().any(|why| wanted.contains(why));
    if !garbage.uncollectable.is_empty() {
        Remedy::RemoveLegacyFinalizers
    } else if says(&[WhyUncollected::Disabled, WhyUncollected::ZeroThreshold]) {
        Remedy::EnableCollector
    } else if says(&[WhyUncollected::Incremental]) {
        Remedy::Upgrade
    } else {
        Remedy::CollectSooner
    }
}

/// The type most garbage is of: a class of the program, where there is one.
fn most_telling_type<'h>(heap: Heap<'h, '_>, garbage: &Collection) -> Option<&'h str> {
    let mut counts = vec![0u64; heap.runtime.types.len()];
    for node in garbage.unreachable.iter() {
        let type_id = heap.id(node).map(|id| heap.objects.type_id(id).0 as usize);
        if let Some(count) = type_id.and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    let types = heap.runtime.types.iter().zip(counts).filter(|&(_, count)| count > 0);
    // Of classes that are garbage, everything else is a part.
    let all = garbage.unreachable.len() as u64;
    let rank = |info: &TypeInfo, count: u64| match info.walk.kind {
        _ if info.by_class_statement => 2,
        WalkKind::Type if count.saturating_mul(OBJECTS_A_CLASS) >= all => 1,
        _ => 0,
    };
    types
        .max_by_key(|((_, info), count)| (rank(info, *count), *count))
        .map(|((_, info), _)| python_name(&info.name))
}

/// Many suspended generators or coroutines of one function.
pub fn suspended_function(survey: &Survey<'_, '_, '_>, group: &Suspension) -> Option<Suspect> {
    let Survey { thresholds, heap_bytes, .. } = *survey;
    let large = thresholds.application.is_reached(group.claim.bytes, heap_bytes);
    (group.count >= MIN_GENERATORS && large).then(|| Suspect {
        kind: SuspectKind::Suspended,
        path: group.function.clone(),
        object: None,
        type_name: group.type_name.clone(),
        evidence: Evidence::Suspended(group.count),
        objects: group.claim.objects,
        bytes: group.claim.bytes,
        retained: None,
        share: share(group.claim.bytes, heap_bytes),
        confidence: Confidence::Medium,
        remedy: Remedy::CloseSuspended,
        mostly: None,
        inside: Vec::new(),
    })
}
