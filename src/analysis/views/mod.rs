//! What the frameworks that people run say of themselves, decoded from their objects: tasks, generators, greenlets, caches, queues,
//! buffers, modules.
//!
//! Knows which objects are of interest and in which order; refuses to know text, JSON and memory layouts. Of each object it is
//! told what it keeps alive alone and by which path it is held ([`Keepers`]).

mod buffers;
mod caches;
mod exceptions;
mod generators;
mod greenlets;
mod modules;
mod registries;
mod tasks;
mod threads;

pub use buffers::{Buffer, buffers};
pub use caches::{CachedFunction, caches};
pub use exceptions::{KeptException, Raised, exceptions};
pub use generators::{GeneratorGroup, GeneratorKind, GeneratorView, generators, group_generators};
pub use greenlets::{GreenletFrame, GreenletView, greenlets};
pub use modules::{ImportedModule, imported_modules, modules};
pub use registries::{
    Executor, LogHandler, PoolKind, Queue, WeakRegistry, executors, log_handlers, log_records, queues,
    weak_registries,
};
pub use tasks::{AwaitStep, Task, TaskGroup, group_tasks, tasks};
pub use threads::{LocalOfThreads, locals_of_threads, values_of_namespace};

use super::{Heap, PathWriter, Reached};
use crate::corefile::Address;
use crate::cpython::{Runtime, TypeInfo, get_attribute, is_str, read_str};
use crate::heap::ObjectId;
use std::cmp::Reverse;

/// Longest name of a function or module, in characters.
const MAX_NAME: usize = 1024;

/// What tells who keeps an object, and what that keeps.
#[derive(Debug)]
pub struct Keepers<'h, 'core> {
    heap: Heap<'h, 'core>,
    reached: Reached<'h>,
    writer: PathWriter<'h, 'core>,
}

impl<'h, 'core> Keepers<'h, 'core> {
    /// Of one heap.
    pub fn new(heap: Heap<'h, 'core>, reached: Reached<'h>) -> Self {
        Self { heap, reached, writer: PathWriter::new(heap) }
    }

    /// The heap.
    pub fn heap(&self) -> Heap<'h, 'core> {
        self.heap
    }

    /// Bytes that would be freed with `id` alone; `None` for garbage, which nothing keeps.
    pub fn retained(&self, id: ObjectId) -> Option<u64> {
        self.reached.holders.is_reachable(id.0).then(|| self.reached.retention.bytes(id))
    }

    /// The best path that holds `id`; `None` for garbage.
    pub fn path(&mut self, id: ObjectId) -> Option<String> {
        let nodes = self.reached.holders.path_to(id.0)?;
        Some(self.writer.name(&nodes, self.reached.roots))
    }

    /// The objects that keep most first; those that keep as much in the order of their addresses.
    pub fn sort<T>(&self, list: &mut [T], id: impl Fn(&T) -> ObjectId) {
        list.sort_by_key(|entry| (Reverse(self.retained(id(entry))), id(entry)));
    }
}

/// Reads what all views read, so that a saved heap has it.
pub fn read_views(heap: Heap<'_, '_>) {
    tasks(heap);
    caches(heap);
    exceptions(heap);
    generators(heap);
    greenlets(heap);
    buffers(heap);
    imported_modules(heap);
    queues(heap);
    executors(heap);
    log_handlers(heap);
    weak_registries(heap);
    locals_of_threads(heap);
}

/// All instances of the types that `is_wanted` accepts, by address. Types are asked once each.
fn instances(heap: Heap<'_, '_>, is_wanted: impl Fn(&TypeInfo) -> bool) -> Vec<ObjectId> {
    heap.nodes_of_types(|_, info| is_wanted(info)).iter().map(ObjectId).collect()
}

/// `module.qualname` of a function or what wraps one; `None` where it has no name.
fn callable_name(runtime: &Runtime<'_>, function: Address) -> Option<String> {
    let text = |name: &str| {
        let object = get_attribute(runtime, function, name)?;
        is_str(runtime, object).then(|| read_str(runtime, object, MAX_NAME).ok())?
    };
    let qualname = text("__qualname__")?;
    Some(match text("__module__") {
        Some(module) => format!("{module}.{qualname}"),
        None => qualname,
    })
}
