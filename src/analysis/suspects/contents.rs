//! What a container holds directly.
//!
//! Knows entries by what they are: callbacks, exceptions, anything; refuses to know what is below them.

use super::special::{Special, is_exception, special};
use crate::analysis::Heap;
use crate::analysis::labels::Labels;
use crate::corefile::Address;
use crate::cpython::{ReadField, Slot, TypeInfo, WalkKind};
use crate::heap::ObjectId;
use rustc_hash::FxHashSet;

/// What a container holds directly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents {
    /// Items of a list, values of a dict, elements of a set, results of a cache.
    pub entries: u64,
    /// Entries that are bound methods, partials, or functions of few names: a function under each name is code, not data.
    pub callbacks: u64,
    /// Entries that are functions, each of which has a name of its own.
    pub named_functions: u64,
    /// Entries that are generators, coroutines or tasks.
    pub suspended: u64,
    /// Entries that are weak references.
    pub weak: u64,
    /// Entries that are exceptions.
    pub exceptions: u64,
}

/// What instances of each type are as entries, by its number.
#[derive(Debug)]
pub struct EntryKinds(Vec<EntryKind>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    Other,
    Callback,
    Function,
    Exception,
    Suspended,
    Weak,
}

impl EntryKinds {
    /// Those of a heap's types.
    pub fn of(heap: Heap<'_, '_>) -> Self {
        let kind = |info: &TypeInfo| match () {
            () if info.name.as_ref() == "builtins.function" => EntryKind::Function,
            () if info.walk.kind == WalkKind::Generator || is_task(heap, info) => EntryKind::Suspended,
            () if is_weak_reference(heap, info) => EntryKind::Weak,
            () if is_callback(info) => EntryKind::Callback,
            () if is_exception(info) => EntryKind::Exception,
            () => EntryKind::Other,
        };
        Self(heap.runtime.types.iter().map(|(_, info)| kind(info)).collect())
    }
}

impl Contents {
    /// Those of `object`; nothing for what is no container.
    pub fn of(heap: Heap<'_, '_>, kinds: &EntryKinds, object: ObjectId) -> Self {
        let mut contents = Self::default();
        let mut functions = Functions::new(heap);
        let mut count = |target: ObjectId| {
            contents.entries += 1;
            match kinds.0.get(heap.objects.type_id(target).0 as usize) {
                Some(EntryKind::Callback) => contents.callbacks += 1,
                Some(EntryKind::Function) => functions.count(target),
                Some(EntryKind::Exception) => contents.exceptions += 1,
                Some(EntryKind::Suspended) => contents.suspended += 1,
                Some(EntryKind::Weak) => contents.weak += 1,
                Some(EntryKind::Other) | None => {}
            }
        };
        let info = heap.type_of(object);
        if info.walk.kind == WalkKind::List && !info.is_heap_type() {
            // A list refers to its items and to nothing else, so that its memory need not be read again.
            let edges = heap.graph.forward.of(object.0).iter();
            edges.filter_map(|edge| heap.id(edge.target())).for_each(count);
            return functions.added_to(contents);
        }
        let mut labels = Labels::new(heap);
        labels.each(object, &mut |target, _, slot| {
            if matches!(slot, Slot::Index(_) | Slot::Value(_) | Slot::Element | Slot::CacheLink) {
                count(target);
            }
        });
        if contents.entries == 0 && info.walk.kind == WalkKind::LruCache {
            contents.entries = results_without_order(heap, &mut labels, object);
        }
        functions.added_to(contents)
    }
}

/// Functions among the entries, and how many names they have among them: wrappers that a decorator makes have their code in
/// common, but not the names they were given; listeners made in a loop have both.
struct Functions<'h, 'core> {
    heap: Heap<'h, 'core>,
    count: u64,
    names: FxHashSet<Address>,
}

impl<'h, 'core> Functions<'h, 'core> {
    fn new(heap: Heap<'h, 'core>) -> Self {
        Self { heap, count: 0, names: FxHashSet::default() }
    }

    fn count(&mut self, function: ObjectId) {
        let (runtime, address) = (self.heap.runtime, self.heap.objects.address(function));
        self.count += 1;
        self.names.extend(runtime.space.field(address, runtime.layouts.function.qualname).ok());
    }

    fn added_to(self, contents: Contents) -> Contents {
        match (self.names.len() as u64).saturating_mul(2) > self.count {
            true => Contents { named_functions: self.count, ..contents },
            false => Contents { callbacks: contents.callbacks + self.count, ..contents },
        }
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

fn is_task(heap: Heap<'_, '_>, info: &TypeInfo) -> bool {
    special(heap, info) == Some(Special::Task)
}

fn is_weak_reference(heap: Heap<'_, '_>, info: &TypeInfo) -> bool {
    let base = heap.runtime.types.of(info.base);
    [Some(info), base]
        .into_iter()
        .flatten()
        .any(|info| matches!(info.name.as_ref(), "weakref.ReferenceType" | "builtins.weakref"))
}

fn is_callback(info: &TypeInfo) -> bool {
    matches!(
        info.name.as_ref(),
        "builtins.method" | "functools.partial" | "builtins.builtin_function_or_method"
    )
}
