//! The rules: each looks at one kind of evidence.
//!
//! Knows what speaks for and against a suspect; refuses to know how bytes were attributed.

use super::claims::{Claim, Claims};
use super::places::{Level, Place, is_container};
use super::{
    Confidence, LARGE_SHARE, MIN_APPLICATION_BYTES, MIN_APPLICATION_SHARE, MIN_BYTES, MIN_ENTRIES,
    MIN_FRAMES, MIN_GENERATORS, MIN_SHARE, Remedy, Survey, Suspect, SuspectKind, share,
};
use crate::analysis::labels::Labels;
use crate::analysis::{Collection, Heap, WhyUncollected, python_name};
use crate::corefile::Address;
use crate::cpython::{Bound, Slot, WalkKind, bound_of, generator_frame, read_str};
use crate::heap::ObjectId;
use std::collections::BTreeMap;

/// A rule.
pub type Rule = fn(&Survey<'_, '_, '_>) -> Vec<Suspect>;

/// All rules. Where two speak of one object the first counts.
pub const RULES: &[Rule] = &[
    uncollected_garbage,
    exceptions_holding_frames,
    unbounded_caches,
    listener_registries,
    containers,
    suspended_functions,
    owned_by_threads,
    single_owners,
];

/// Objects from which on finding garbage is worth a word, whatever their size.
const MIN_GARBAGE_BYTES: u64 = 256 << 10;
/// Longest name of a function, in characters.
const MAX_NAME: usize = 200;

impl Survey<'_, '_, '_> {
    /// Whether so many bytes at a place are worth a word.
    fn is_large(&self, place: &Place, bytes: u64) -> bool {
        let share = share(bytes, self.heap_bytes);
        match place.stdlib {
            true => bytes >= MIN_BYTES && share >= MIN_SHARE,
            false => bytes >= MIN_APPLICATION_BYTES && share >= MIN_APPLICATION_SHARE,
        }
    }

    fn suspect(
        &self,
        kind: SuspectKind,
        place: &Place,
        claim: &Claim,
        count: u64,
        remedy: Remedy,
    ) -> Suspect {
        let share = share(claim.bytes, self.heap_bytes);
        let large = share >= LARGE_SHARE && claim.bytes >= MIN_BYTES;
        let confidence = match kind {
            SuspectKind::UnboundedCache | SuspectKind::Listeners | SuspectKind::Exceptions => {
                Confidence::High
            }
            SuspectKind::BoundedContainer => Confidence::Low,
            SuspectKind::Owner | SuspectKind::ThreadOwned if large => Confidence::Medium,
            SuspectKind::Owner | SuspectKind::ThreadOwned => Confidence::Low,
            _ if large => Confidence::High,
            _ if place.stdlib => Confidence::Low,
            _ => Confidence::Medium,
        };
        Suspect {
            kind,
            path: place.path.clone(),
            object: Some(place.object),
            type_name: self.heap.type_name(place.object).to_owned(),
            count,
            objects: claim.objects,
            bytes: claim.bytes,
            retained: None,
            share,
            confidence,
            remedy,
        }
    }

    /// Large places that satisfy `wanted`.
    fn large<'p>(
        &'p self,
        wanted: impl Fn(&Place) -> bool + 'p,
    ) -> impl Iterator<Item = &'p (Place, Claim)> + 'p {
        self.places.iter().filter(move |(place, claim)| self.is_large(place, claim.bytes) && wanted(place))
    }
}

/// Cycles that a collection would free.
fn uncollected_garbage(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let garbage = survey.garbage;
    let bytes = garbage.unreachable_bytes.saturating_add(garbage.held_bytes);
    let share = share(bytes, survey.heap_bytes);
    if bytes < MIN_GARBAGE_BYTES || share < MIN_APPLICATION_SHARE {
        return Vec::new();
    }
    let objects = garbage.unreachable.len() as u64;
    let off =
        garbage.why.iter().any(|why| matches!(why, WhyUncollected::Disabled | WhyUncollected::ZeroThreshold));
    vec![Suspect {
        kind: SuspectKind::Garbage,
        path: "unreachable cycles".to_owned(),
        object: None,
        type_name: String::new(),
        count: objects,
        objects: objects + garbage.held.len() as u64,
        bytes,
        retained: Some(bytes),
        share,
        confidence: Confidence::High,
        remedy: match (garbage.uncollectable.is_empty(), off) {
            (false, _) => Remedy::RemoveLegacyFinalizers,
            (true, true) => Remedy::EnableCollector,
            (true, false) => Remedy::CollectSooner,
        },
    }]
}

/// Places whose tracebacks hold frames.
fn exceptions_holding_frames(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let found = survey.large(|place| !matches!(place.level, Level::Local | Level::Thread));
    found
        .filter(|(_, claim)| claim.frames.min(claim.tracebacks) >= MIN_FRAMES)
        .map(|(place, claim)| {
            survey.suspect(SuspectKind::Exceptions, place, claim, claim.frames, Remedy::ClearTracebacks)
        })
        .collect()
}

/// `lru_cache` wrappers without bound.
fn unbounded_caches(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let heap = survey.heap;
    let unbounded = |place: &Place| {
        heap.type_of(place.object).walk.kind == WalkKind::LruCache
            && bound_of(heap.runtime, heap.objects.address(place.object)) == Some(Bound::Unbounded)
    };
    survey
        .large(unbounded)
        .filter_map(|(place, claim)| {
            let entries = contents(heap, place.object).entries;
            let remedy =
                if place.level == Level::Class { Remedy::CacheOnInstance } else { Remedy::BoundCache };
            (entries >= MIN_ENTRIES)
                .then(|| survey.suspect(SuspectKind::UnboundedCache, place, claim, entries, remedy))
        })
        .collect()
}

/// Containers of callbacks, or of containers of callbacks.
fn listener_registries(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let named = |place: &Place| {
        !matches!(place.level, Level::Local | Level::Thread)
            && is_container(survey.heap.type_of(place.object))
    };
    survey
        .large(named)
        .filter_map(|(place, claim)| {
            let contents = contents(survey.heap, place.object);
            let mostly = contents.callbacks.saturating_mul(2) > contents.entries;
            (mostly && contents.callbacks >= MIN_ENTRIES).then(|| {
                survey.suspect(
                    SuspectKind::Listeners,
                    place,
                    claim,
                    contents.callbacks,
                    Remedy::WeakListeners,
                )
            })
        })
        .collect()
}

/// Other containers that modules, classes and their instances hold.
fn containers(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let heap = survey.heap;
    let named = |place: &Place| {
        !matches!(place.level, Level::Local | Level::Thread) && is_container(heap.type_of(place.object))
    };
    survey
        .large(named)
        .filter_map(|(place, claim)| {
            let entries = contents(heap, place.object).entries;
            let bounded =
                matches!(bound_of(heap.runtime, heap.objects.address(place.object)), Some(Bound::Entries(_)));
            let (kind, remedy) = match bounded {
                true => (SuspectKind::BoundedContainer, Remedy::LowerBound),
                false => (SuspectKind::Container, Remedy::BoundContainer),
            };
            (entries >= MIN_ENTRIES).then(|| survey.suspect(kind, place, claim, entries, remedy))
        })
        .collect()
}

/// Many suspended generators or coroutines of one function.
fn suspended_functions(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let many = survey.suspended.iter().filter(|group| group.count >= MIN_GENERATORS);
    many.map(|group| Suspect {
        kind: SuspectKind::Suspended,
        path: group.function.clone(),
        object: None,
        type_name: group.type_name.clone(),
        count: group.count,
        objects: group.claim.objects,
        bytes: group.claim.bytes,
        retained: None,
        share: share(group.claim.bytes, survey.heap_bytes),
        confidence: Confidence::Medium,
        remedy: Remedy::CloseSuspended,
    })
    .collect()
}

/// What variables of running functions and thread states hold.
fn owned_by_threads(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let of_threads = |place: &Place| matches!(place.level, Level::Local | Level::Thread);
    let large = survey.large(of_threads);
    large
        .filter(|(_, claim)| claim.bytes >= MIN_BYTES && share(claim.bytes, survey.heap_bytes) >= MIN_SHARE)
        .map(|(place, claim)| {
            let entries = contents(survey.heap, place.object).entries;
            survey.suspect(SuspectKind::ThreadOwned, place, claim, entries, Remedy::ReleaseLocal)
        })
        .collect()
}

/// Single objects that hold much and are no containers.
fn single_owners(survey: &Survey<'_, '_, '_>) -> Vec<Suspect> {
    let single = |place: &Place| {
        !matches!(place.level, Level::Local | Level::Thread)
            && !is_container(survey.heap.type_of(place.object))
    };
    let large = survey.large(single);
    large
        .filter(|(_, claim)| claim.bytes >= MIN_BYTES && share(claim.bytes, survey.heap_bytes) >= MIN_SHARE)
        .map(|(place, claim)| survey.suspect(SuspectKind::Owner, place, claim, 1, Remedy::Inspect))
        .collect()
}

/// What a container holds directly.
#[derive(Clone, Copy, Debug, Default)]
struct Contents {
    entries: u64,
    /// Entries that are functions, bound methods or partials, and those in containers that are entries.
    callbacks: u64,
}

fn contents(heap: Heap<'_, '_>, object: ObjectId) -> Contents {
    let mut labels = Labels::new(heap);
    let mut contents = Contents::default();
    labels.each(object, &mut |target, _, slot| {
        if matches!(slot, Slot::Index(_) | Slot::Value(_) | Slot::Element | Slot::CacheLink) {
            contents.entries += 1;
            contents.callbacks += u64::from(is_callback(heap, target));
        }
    });
    if contents.entries == 0 && heap.type_of(object).walk.kind == WalkKind::LruCache {
        // Without a bound there is no list of calls, only the dict.
        let mut cache = None;
        labels.each(object, &mut |target, _, slot| {
            if slot == Slot::Field("cache") {
                cache = Some(target);
            }
        });
        if let Some(cache) = cache {
            labels
                .each(cache, &mut |_, _, slot| contents.entries += u64::from(matches!(slot, Slot::Value(_))));
        }
    }
    contents
}

fn is_callback(heap: Heap<'_, '_>, object: ObjectId) -> bool {
    matches!(
        heap.type_name(object),
        "function" | "method" | "functools.partial" | "builtin_function_or_method"
    )
}

/// Suspended generators, coroutines or async generators of one function.
pub struct Suspension {
    function: String,
    type_name: String,
    count: u64,
    claim: Claim,
}

/// Groups everything suspended by its code and claims what only it has reached.
pub fn suspensions(heap: Heap<'_, '_>, garbage: &Collection, claims: &mut Claims<'_, '_>) -> Vec<Suspension> {
    let is_generator: Vec<bool> =
        heap.runtime.types.iter().map(|(_, info)| info.walk.kind == WalkKind::Generator).collect();
    let mut by_code: BTreeMap<Address, Vec<ObjectId>> = BTreeMap::new();
    let types = heap.objects.types_column().iter().enumerate();
    let generators = types.filter(|(_, id)| is_generator.get(id.0 as usize) == Some(&true));
    let mut labels = Labels::new(heap);
    for (node, _) in generators.filter(|&(node, _)| !garbage.unreachable.contains(node as u32)) {
        let mut code = None;
        labels.each(ObjectId(node as u32), &mut |target, _, slot| {
            if slot == Slot::Field("gi_code") {
                code = Some(heap.objects.address(target));
            }
        });
        if let Some(code) = code {
            by_code.entry(code).or_default().push(ObjectId(node as u32));
        }
    }
    let many = by_code.into_iter().filter(|(_, generators)| generators.len() as u64 >= MIN_GENERATORS);
    many.filter_map(|(code, generators)| suspension(heap, claims, code, &generators)).collect()
}

fn suspension(
    heap: Heap<'_, '_>,
    claims: &mut Claims<'_, '_>,
    code: Address,
    generators: &[ObjectId],
) -> Option<Suspension> {
    let first = *generators.first()?;
    let mut claim = Claim::default();
    let mut count = 0;
    for &generator in generators {
        // Ended ones own no frame.
        if generator_frame(heap.runtime, heap.objects.address(generator)).is_some() {
            let more = claims.claim(generator);
            claim.objects += more.objects;
            claim.bytes += more.bytes;
            count += 1;
        }
    }
    let mut names = [None, None];
    let code = heap.objects.find(code)?;
    Labels::new(heap).each(code, &mut |target, _, slot| match slot {
        Slot::Field("co_qualname") => names[0] = Some(target),
        Slot::Field("co_filename") => names[1] = Some(target),
        _ => {}
    });
    let [name, file] = names.map(|name| {
        let text = name.and_then(|name| read_str(heap.runtime, heap.objects.address(name), MAX_NAME).ok());
        text.unwrap_or_else(|| "?".to_owned())
    });
    let type_name = python_name(&heap.type_of(first).name).to_owned();
    Some(Suspension { function: format!("{name}() in {file}"), type_name, count, claim })
}
