//! Objects of which more can be told than what they refer to: views of buffers, tasks, thread-locals.
//!
//! Knows by its type which object is one; refuses to judge whether there are too many.

use crate::analysis::labels::Labels;
use crate::analysis::thread_locals::{NamespaceOwner, ThreadTies, namespaces_of};
use crate::analysis::{Heap, keeps_alive};
use crate::cpython::{
    FutureState, Slot, TypeInfo, WalkKind, generator_frame, state_in_attribute, type_flags, view_length,
};
use crate::graph::EdgeKind;
use crate::heap::ObjectId;

/// A buffer that is smaller is not worth a copy, in bytes.
const MIN_BUFFER: u64 = 4096;
/// A view pins its buffer if it shows less than one part in so many.
const SMALL_PART: u64 = 4;
/// Most steps up a type's bases.
const MAX_BASES: usize = 64;
/// Ancestors whose instances are views, tasks, futures, thread-locals.
const SPECIAL: &[(&str, Special)] = &[
    ("builtins.memoryview", Special::View),
    ("_asyncio.Task", Special::Task),
    ("asyncio.tasks.Task", Special::Task),
    ("asyncio.futures.Future", Special::Future),
    ("concurrent.futures._base.Future", Special::Future),
    ("_thread._local", Special::Local),
    ("_threading_local.local", Special::PythonLocal),
];

/// What instances of a type are besides data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A memoryview or numpy array.
    View,
    /// An `asyncio.Task` made in C.
    Task,
    /// A future or task made in Python.
    Future,
    /// A `threading.local` made in C.
    Local,
    /// A `threading.local` made in Python.
    PythonLocal,
}

/// What instances of a type are; `None` for most types.
pub fn special(heap: Heap<'_, '_>, info: &TypeInfo) -> Option<Special> {
    if info.walk.kind == WalkKind::NumpyArray {
        return Some(Special::View);
    }
    let types = &heap.runtime.types;
    let bases = std::iter::successors(Some(info), |info| types.of(info.base));
    bases.take(MAX_BASES).find_map(|base| {
        SPECIAL.iter().find(|(name, _)| *name == base.name.as_ref()).map(|&(_, special)| special)
    })
}

/// Whether instances of a type are exceptions.
pub fn is_exception(info: &TypeInfo) -> bool {
    info.flags & type_flags::BASE_EXC_SUBCLASS != 0
}

/// A buffer that only a small view keeps.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// Bytes that the view shows.
    pub shown: u64,
    /// Its part of the bytes of the buffer: all, where it is the only view.
    pub kept: u64,
}

/// The buffer that `view` pins: nothing but views refers to it, and they show a small part.
pub fn pinned(heap: Heap<'_, '_>, view: ObjectId) -> Option<Pinned> {
    let shown = view_length(heap.runtime, heap.objects.address(view))?;
    let (buffer, views) = viewed(heap, view)?;
    let bytes = heap.objects.shallow(buffer);
    let small = shown.saturating_mul(views).saturating_mul(SMALL_PART) < bytes;
    let alone = heap.refcount(buffer) == Some(1);
    (bytes >= MIN_BUFFER && small && alone).then_some(Pinned { shown, kept: bytes / views })
}

/// What a memoryview or numpy array shows the bytes of, and how many views share the reference to that.
pub fn viewed(heap: Heap<'_, '_>, view: ObjectId) -> Option<(ObjectId, u64)> {
    let held = |from: ObjectId, wanted: &dyn Fn(ObjectId) -> bool| {
        let edges = heap.graph.forward.of(from.0).iter().filter(|edge| keeps_alive(edge.kind()));
        edges.filter_map(|edge| heap.id(edge.target())).find(|&target| wanted(target))
    };
    // All memoryviews of a buffer share one object that refers to it (Objects/memoryobject.c, _PyManagedBufferObject).
    match heap.type_of(view).walk.kind {
        WalkKind::NumpyArray => Some((base_of_array(heap, view)?, 1)),
        _ => {
            let shared = held(view, &|target| heap.type_name(target) == "managedbuffer")?;
            let is_type = |target| heap.type_of(target).walk.kind == WalkKind::Type;
            Some((held(shared, &|target| !is_type(target))?, heap.refcount(shared)?.max(1)))
        }
    }
}

/// What a numpy array is a view of.
fn base_of_array(heap: Heap<'_, '_>, array: ObjectId) -> Option<ObjectId> {
    let mut base = None;
    Labels::new(heap).each(array, &mut |target, _, slot| {
        if slot == Slot::Field("base") {
            base = Some(target);
        }
    });
    base
}

/// Whether a task or future is done: its coroutine has ended, or it says so.
pub fn is_finished(heap: Heap<'_, '_>, object: ObjectId, special: Special) -> bool {
    let (runtime, address) = (heap.runtime, heap.objects.address(object));
    match special {
        // Modules/_asynciomodule.c: the state is an enum that not every build tells, but what it runs is known in all. This
        // is asked of every task of the heap: `task_facts`, which looks members up by their names, is for those that are shown.
        Special::Task => {
            let edges = heap.graph.forward.of(object.0).iter();
            let mut visited = edges.filter(|edge| edge.kind() == EdgeKind::Visited);
            visited.any(|edge| {
                heap.id(edge.target()).is_some_and(|target| {
                    heap.type_of(target).walk.kind == WalkKind::Generator
                        && generator_frame(runtime, heap.objects.address(target)).is_none()
                })
            })
        }
        Special::Future => matches!(
            state_in_attribute(runtime, address),
            Some(FutureState::Finished | FutureState::Cancelled)
        ),
        Special::View | Special::Local | Special::PythonLocal => false,
    }
}

/// Threads that have values in a `threading.local`, and how many of them have ended.
pub fn threads_of_local(heap: Heap<'_, '_>, local: ObjectId) -> (u64, u64) {
    let namespaces = namespaces_of(heap, &ThreadTies::find(heap), local);
    let ended = namespaces.iter().filter(|one| matches!(one.owner, NamespaceOwner::Ended(_)));
    (namespaces.len() as u64, ended.count() as u64)
}
