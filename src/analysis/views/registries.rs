//! Where frameworks collect what is waiting: queues and executors, handlers of logging, weak registries.
//!
//! Knows the attributes in which Lib/queue.py, Lib/asyncio/queues.py, Lib/multiprocessing/queues.py, Lib/concurrent/futures/,
//! Lib/logging/handlers.py and Lib/weakref.py keep these; refuses to know what is waiting. What is in a pipe is in the kernel.

use super::instances;
use crate::analysis::{Heap, keeps_alive};
use crate::corefile::Address;
use crate::cpython::{
    Items, WalkKind, dict_items, get_attribute, inherits, items, member_value, read_count, type_flags,
};
use crate::heap::ObjectId;

/// Queues made in Python: class, container, bound.
const QUEUES: [(&str, &str, &str); 3] = [
    ("queue.Queue", "queue", "maxsize"),
    ("asyncio.queues.Queue", "_queue", "_maxsize"),
    ("multiprocessing.queues.Queue", "_buffer", "_maxsize"),
];
/// `SEM_VALUE_MAX` (Modules/_multiprocessing/semaphore.c) and 0 are no bound.
const NO_BOUND: u64 = 0x7fff_ffff;
/// A pipe between processes.
const PIPE: &str = "multiprocessing.queues.SimpleQueue";
/// The queue made in C.
const SIMPLE_QUEUE: &str = "_queue.SimpleQueue";
/// Pools: class, what it has of its workers, what waits for one.
const EXECUTORS: [(&str, PoolKind, &str, &str); 2] = [
    ("concurrent.futures.thread.ThreadPoolExecutor", PoolKind::Threads, "_threads", "_work_queue"),
    ("concurrent.futures.process.ProcessPoolExecutor", PoolKind::Processes, "_processes", "_work_ids"),
];
/// Base of handlers.
const HANDLER: &str = "logging.Handler";
/// What is logged.
const RECORD: &str = "logging.LogRecord";
/// Weak registries.
const REGISTRIES: [&str; 3] =
    ["weakref.WeakValueDictionary", "weakref.WeakKeyDictionary", "_weakrefset.WeakSet"];

/// A queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The queue.
    pub id: ObjectId,
    /// Items that wait in it: between processes, those that are not in the pipe yet. `None` where that is not known.
    pub items: Option<u64>,
    /// How many may wait; `None` for any number.
    pub bound: Option<u64>,
}

/// What runs the calls of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Threads of this process.
    Threads,
    /// Other processes.
    Processes,
}

/// A pool of threads or processes.
#[derive(Clone, Debug)]
pub struct Executor {
    /// The executor.
    pub id: ObjectId,
    /// What its workers are.
    pub kind: PoolKind,
    /// Workers it has.
    pub workers: Option<u64>,
    /// Workers it may have.
    pub most_workers: Option<u64>,
    /// Calls that wait for a worker; of processes, for a place in the queue to them.
    pub waiting: Option<u64>,
    /// Calls without a result, those that are given out included; `None` of threads, which keep no account of these.
    pub pending: Option<u64>,
}

/// A handler of logging.
#[derive(Clone, Debug)]
pub struct LogHandler {
    /// The handler.
    pub id: ObjectId,
    /// Its level: 10 is DEBUG, 20 INFO, 30 WARNING, 40 ERROR.
    pub level: Option<u64>,
    /// Records that it keeps back; `None` if it has no buffer.
    pub buffered: Option<u64>,
}

/// A registry that holds its objects weakly.
#[derive(Clone, Debug)]
pub struct WeakRegistry {
    /// The registry.
    pub id: ObjectId,
    /// Entries it has.
    pub entries: u64,
    /// Those of them whose object is gone.
    pub dead: u64,
}

/// All queues, by address.
pub fn queues(heap: Heap<'_, '_>) -> Vec<Queue> {
    let mut found = Vec::new();
    for (class, container, bound) in QUEUES {
        for id in instances(heap, |info| inherits(heap.runtime, info, &[class])) {
            let address = heap.objects.address(id);
            let items = get_attribute(heap.runtime, address, container);
            found.push(Queue {
                id,
                items: items.and_then(|items| length(heap, items)),
                bound: number(heap, address, bound).filter(|bound| (1..NO_BOUND).contains(bound)),
            });
        }
    }
    for id in instances(heap, |info| inherits(heap.runtime, info, &[SIMPLE_QUEUE])) {
        found.push(Queue { id, items: in_simple_queue(heap, id), bound: None });
    }
    for id in instances(heap, |info| inherits(heap.runtime, info, &[PIPE])) {
        found.push(Queue { id, items: None, bound: None });
    }
    found.sort_by_key(|queue| queue.id);
    found
}

/// Modules/_queuemodule.c: a list of which the first `lst_pos` items are taken; since 3.13 a ring, whose items are visited.
fn in_simple_queue(heap: Heap<'_, '_>, id: ObjectId) -> Option<u64> {
    let (runtime, address) = (heap.runtime, heap.objects.address(id));
    let info = heap.type_of(id);
    if let Some(list) = member_value(runtime, info, address, "lst") {
        let taken = member_value(runtime, info, address, "lst_pos")?;
        return length(heap, list)?.checked_sub(taken);
    }
    let edges = heap.graph.forward.of(id.0).iter().filter(|edge| keeps_alive(edge.kind()));
    let targets = edges.filter_map(|edge| heap.id(edge.target()));
    let items: Vec<ObjectId> =
        targets.filter(|&target| heap.type_of(target).walk.kind != WalkKind::Type).collect();
    // Without debug information a ring with one list is not told from the list of earlier releases.
    let is_list = |id: ObjectId| heap.type_of(id).flags & type_flags::LIST_SUBCLASS != 0;
    match items.as_slice() {
        [one] if is_list(*one) && member_value(runtime, info, address, "buf").is_none() => None,
        items => Some(items.len() as u64),
    }
}

/// All executors, by address.
pub fn executors(heap: Heap<'_, '_>) -> Vec<Executor> {
    let mut found = Vec::new();
    for (class, kind, workers, queue) in EXECUTORS {
        for id in instances(heap, |info| inherits(heap.runtime, info, &[class])) {
            let address = heap.objects.address(id);
            let attribute = |name: &str| get_attribute(heap.runtime, address, name);
            let size = |name: &str| elements_or_items(heap, attribute(name)?);
            found.push(Executor {
                id,
                kind,
                workers: size(workers),
                most_workers: number(heap, address, "_max_workers"),
                waiting: attribute(queue).and_then(|queue| in_queue(heap, queue)),
                pending: attribute("_pending_work_items").and_then(|calls| length(heap, calls)),
            });
        }
    }
    found.sort_by_key(|executor| executor.id);
    found
}

/// Items of a queue of threads, made in C or in Python.
fn in_queue(heap: Heap<'_, '_>, queue: Address) -> Option<u64> {
    match get_attribute(heap.runtime, queue, "queue") {
        Some(items) => length(heap, items),
        None => in_simple_queue(heap, heap.objects.find(queue)?),
    }
}

/// All handlers of logging, by address.
pub fn log_handlers(heap: Heap<'_, '_>) -> Vec<LogHandler> {
    let found = instances(heap, |info| inherits(heap.runtime, info, &[HANDLER]));
    let read = |id: ObjectId| {
        let address = heap.objects.address(id);
        let buffer = get_attribute(heap.runtime, address, "buffer");
        LogHandler {
            id,
            level: number(heap, address, "level"),
            buffered: buffer.and_then(|buffer| length(heap, buffer)),
        }
    };
    found.into_iter().map(read).collect()
}

/// Records of logging that are alive.
pub fn log_records(heap: Heap<'_, '_>) -> u64 {
    instances(heap, |info| inherits(heap.runtime, info, &[RECORD])).len() as u64
}

/// All weak registries, by address.
pub fn weak_registries(heap: Heap<'_, '_>) -> Vec<WeakRegistry> {
    let found = instances(heap, |info| inherits(heap.runtime, info, &REGISTRIES));
    let read = |id: ObjectId| {
        let data = get_attribute(heap.runtime, heap.objects.address(id), "data")?;
        let references: Vec<Address> = match heap.type_of(heap.objects.find(data)?).walk.kind {
            WalkKind::Set => {
                let set = heap.objects.find(data)?;
                elements(heap, set).map(|element| heap.objects.address(element)).collect()
            }
            _ => {
                let items = dict_items(heap.runtime, data).into_iter();
                items.map(|(key, value)| if is_reference(heap, value) { value } else { key }).collect()
            }
        };
        let none = Some(heap.runtime.landmarks.none);
        let is_dead = |&&reference: &&Address| get_attribute(heap.runtime, reference, "wr_object") == none;
        let dead = references.iter().filter(is_dead).count() as u64;
        Some(WeakRegistry { id, entries: references.len() as u64, dead })
    };
    found.into_iter().filter_map(read).collect()
}

fn is_reference(heap: Heap<'_, '_>, object: Address) -> bool {
    let found = heap.objects.find(object);
    found.is_some_and(|id| inherits(heap.runtime, heap.type_of(id), &["weakref.KeyedRef"]))
}

/// Elements of a set.
fn elements<'h>(heap: Heap<'h, '_>, set: ObjectId) -> impl Iterator<Item = ObjectId> + 'h {
    let edges = heap.graph.forward.of(set.0).iter().filter(|edge| keeps_alive(edge.kind()));
    let count = heap.objects.len();
    let targets = edges.map(|edge| edge.target()).filter(move |&node| (node as usize) < count);
    targets.map(ObjectId)
}

/// Elements of a set, items of another container.
fn elements_or_items(heap: Heap<'_, '_>, container: Address) -> Option<u64> {
    let id = heap.objects.find(container)?;
    match heap.type_of(id).walk.kind {
        WalkKind::Set => Some(elements(heap, id).count() as u64),
        _ => length(heap, container),
    }
}

/// Items of a list, tuple, deque or dict.
fn length(heap: Heap<'_, '_>, container: Address) -> Option<u64> {
    Some(match items(heap.runtime, container)? {
        Items::Sequence(items) => items.len() as u64,
        Items::Mapping(view) => view.used,
    })
}

/// The int in an attribute: a bound or a level, which is kept when contents are not.
fn number(heap: Heap<'_, '_>, object: Address, name: &str) -> Option<u64> {
    let value = get_attribute(heap.runtime, object, name)?;
    let id = heap.objects.find(value)?;
    let is_int = heap.type_of(id).flags & type_flags::LONG_SUBCLASS != 0;
    is_int
        .then(|| read_count(heap.runtime, value).ok().flatten())?
        .and_then(|number| u64::try_from(number).ok())
}
