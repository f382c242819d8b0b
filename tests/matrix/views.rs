//! `view` says what the interpreter says: `fixtures/programs/seen.py` over the heap of `service.py`.

use crate::oracle::Oracle;
use exuvia::analysis::views::{
    PoolKind, buffers, caches, exceptions, executors, generators, imported_modules, locals_of_threads,
    log_handlers, queues, tasks, weak_registries,
};
use exuvia::analysis::{Heap, NamespaceOwner, python_name};
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{Bound, FutureState, GeneratorState, Runtime, task_name};
use exuvia::heap::{ObjectId, build_graph, census};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Modules that have more functions and classes by the time the heap is dumped: those that the oracle works with.
const GROWING: [&str; 2] = ["oracle", "ctypes"];

/// Rows by the id that they begin with.
type Rows = BTreeMap<u64, Value>;

/// Compares all views, object by object.
pub fn prove(core: &Path, oracle: &Oracle, options: &SearchOptions) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let graph = build_graph(&runtime, &census.objects).map_err(|error| error.to_string())?;
    let heap = Heap { runtime: &runtime, objects: &census.objects, graph: &graph };
    let seen = oracle.notes()["seen"].clone();
    let answers = [
        ("tasks", seen_tasks(heap)),
        ("generators", seen_generators(heap)),
        ("caches", seen_caches(heap)),
        ("exceptions", seen_exceptions(heap)),
        ("buffers", seen_buffers(heap)),
        ("modules", seen_modules(heap)),
        ("queues", queues(heap).iter().map(|q| json!([at(heap, q.id), q.items, q.bound])).collect()),
        ("executors", seen_executors(heap)),
        ("threads", seen_namespaces(heap)),
        (
            "logging",
            log_handlers(heap).iter().map(|h| json!([at(heap, h.id), h.level, h.buffered])).collect(),
        ),
        ("weak", weak_registries(heap).iter().map(|r| json!([at(heap, r.id), r.entries, r.dead])).collect()),
    ];
    let wrong: Vec<String> =
        answers.iter().flat_map(|(view, ours)| differences(view, ours, &by_id(&seen[view]))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn by_id(rows: &Value) -> Rows {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| Some((row[0].as_u64()?, row.clone()))).collect()
}

/// Rows that differ: everything that either has, but for values that the interpreter cannot tell.
fn differences(view: &str, ours: &[Value], theirs: &Rows) -> Vec<String> {
    let ours = by_id(&Value::Array(ours.to_vec()));
    let mut wrong = Vec::new();
    if theirs.is_empty() {
        wrong.push(format!("{view}: the interpreter has none"));
    }
    for id in ours.keys().chain(theirs.keys().filter(|id| !ours.contains_key(*id))) {
        let (mut one, other) = (ours.get(id).cloned(), theirs.get(id));
        // `inspect` tells the state of async generators since 3.12; a thread tells which namespaces are its own, if it is asked.
        if let (Some(one), Some(Value::Null)) = (&mut one, other.and_then(|row| row.get(1))) {
            one[1] = Value::Null;
        }
        if one.as_ref() != other {
            wrong.push(format!("{view}: {one:?}, the interpreter says {other:?}"));
        }
    }
    wrong
}

fn at(heap: Heap<'_, '_>, id: ObjectId) -> u64 {
    heap.objects.address(id)
}

fn seen_tasks(heap: Heap<'_, '_>) -> Vec<Value> {
    let state = |state| match state {
        Some(FutureState::Pending) => "pending",
        Some(FutureState::Finished) => "finished",
        Some(FutureState::Cancelled) => "cancelled",
        Some(FutureState::Ended) => "ended",
        None => "unknown",
    };
    let row = |task: &exuvia::analysis::views::Task| {
        let chain: Vec<u64> = task.awaits.iter().map(|step| step.object).collect();
        let name = task.name.and_then(|name| task_name(heap.runtime, name, usize::MAX));
        let exception = task.exception.as_deref().map(|name| name.rsplit('.').next());
        json!([at(heap, task.id), state(task.state), task.coroutine, chain, task.waits_for, exception, name])
    };
    tasks(heap).iter().map(row).collect()
}

fn seen_generators(heap: Heap<'_, '_>) -> Vec<Value> {
    let state = |state| match state {
        GeneratorState::Created => "created",
        GeneratorState::Suspended => "suspended",
        GeneratorState::Running => "running",
        GeneratorState::Closed => "closed",
    };
    let row = |one: &exuvia::analysis::views::GeneratorView| {
        json!([at(heap, one.id), state(one.state), one.function, one.file, one.line, one.awaits])
    };
    generators(heap).iter().map(row).collect()
}

fn seen_caches(heap: Heap<'_, '_>) -> Vec<Value> {
    let row = |cache: &exuvia::analysis::views::CachedFunction| {
        let info = cache.info;
        let maxsize = match info.bound {
            Bound::Unbounded => None,
            Bound::Entries(entries) => Some(entries),
        };
        json!([at(heap, cache.id), info.hits, info.misses, maxsize, info.entries, cache.function])
    };
    caches(heap).iter().map(row).collect()
}

fn seen_exceptions(heap: Heap<'_, '_>) -> Vec<Value> {
    let row = |exception: &exuvia::analysis::views::KeptException| {
        let name = python_name(&heap.type_of(exception.id).name);
        let line = exception.raised.as_ref().and_then(|raised| raised.line);
        let context = exception.context.map(|id| at(heap, id));
        json!([at(heap, exception.id), name, exception.frames, line, context])
    };
    exceptions(heap).iter().map(row).collect()
}

/// Memoryviews and mapped memory: the collector does not know other buffers, so that the interpreter cannot list them.
fn seen_buffers(heap: Heap<'_, '_>) -> Vec<Value> {
    let is_listed = |id| ["memoryview", "mmap.mmap"].contains(&heap.type_name(id));
    let views = buffers(heap).into_iter().filter(|buffer| is_listed(buffer.id));
    let owner = |id: Option<ObjectId>| id.map(|id| at(heap, id));
    views.map(|view| json!([at(heap, view.id), view.bytes, owner(view.owner)])).collect()
}

fn seen_modules(heap: Heap<'_, '_>) -> Vec<Value> {
    let row = |module: &exuvia::analysis::views::ImportedModule| {
        json!([at(heap, module.id), module.name, module.functions, module.classes])
    };
    imported_modules(heap).iter().filter(|module| !GROWING.contains(&module.name.as_str())).map(row).collect()
}

fn seen_executors(heap: Heap<'_, '_>) -> Vec<Value> {
    let row = |pool: &exuvia::analysis::views::Executor| {
        let kind = match pool.kind {
            PoolKind::Threads => "threads",
            PoolKind::Processes => "processes",
        };
        json!([at(heap, pool.id), kind, pool.workers, pool.most_workers, pool.waiting, pool.pending])
    };
    executors(heap).iter().map(row).collect()
}

/// Namespaces of thread-locals, each with its thread and its local.
fn seen_namespaces(heap: Heap<'_, '_>) -> Vec<Value> {
    let threads = || heap.runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads);
    let owner = |owner| match owner {
        NamespaceOwner::Thread(state) => {
            json!(threads().find(|thread| thread.address == state).map(|thread| thread.thread_id))
        }
        NamespaceOwner::Ended(_) => json!("ended"),
        NamespaceOwner::Unknown => json!("unknown"),
    };
    let mut rows = Vec::new();
    for local in locals_of_threads(heap) {
        for one in &local.namespaces {
            rows.push(json!([at(heap, one.dict), owner(one.owner), at(heap, local.id), one.values]));
        }
    }
    rows
}
