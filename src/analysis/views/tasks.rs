//! Tasks of asyncio: what each runs, how far it is, and what it waits for, step by step.
//!
//! Knows coroutines, awaitables and futures; refuses to know event loops and what would wake a future.

use super::instances;
use crate::analysis::{Heap, python_name};
use crate::corefile::Address;
use crate::cpython::{
    FutureState, Generator, awaited_through, get_attribute, is_str, is_task, read_str, task_facts,
};
use crate::heap::ObjectId;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// Longest chain of awaits that is followed.
const MAX_STEPS: usize = 10_000;

/// One task.
#[derive(Clone, Debug)]
pub struct Task {
    /// The task.
    pub id: ObjectId,
    /// How far it is; `None` where that is not known.
    pub state: Option<FutureState>,
    /// `__qualname__` of what it runs, else the type of that; `None` where that is not known.
    pub coroutine: Option<String>,
    /// What it runs, and what that awaits, and so on.
    pub awaits: Vec<AwaitStep>,
    /// The future or task it waits for.
    pub waits_for: Option<Address>,
    /// Type of the exception it has ended with.
    pub exception: Option<String>,
    /// Its name, see [`crate::cpython::task_name`].
    pub name: Option<Address>,
}

/// One step of what a task awaits.
#[derive(Clone, Debug)]
pub struct AwaitStep {
    /// A coroutine, generator or other awaitable.
    pub object: Address,
    /// Its type.
    pub type_name: String,
    /// `__qualname__`, of coroutines and generators.
    pub function: Option<String>,
    /// File of its code, while it has a frame.
    pub file: Option<String>,
    /// The line it is at.
    pub line: Option<u32>,
}

/// Tasks of one coroutine that are as far and wait in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskGroup {
    /// `__qualname__` of what they run.
    pub coroutine: Option<String>,
    /// How far they are.
    pub state: Option<FutureState>,
    /// Function, file and line in which the last coroutine of each waits.
    pub waiting_in: Option<(String, Option<String>, Option<u32>)>,
    /// How many there are.
    pub tasks: u64,
    /// The sum of the bytes that each of them keeps alive alone.
    pub bytes: u64,
}

/// All tasks, by address.
pub fn tasks(heap: Heap<'_, '_>) -> Vec<Task> {
    let found = instances(heap, |info| is_task(heap.runtime, info));
    found.into_iter().map(|id| read(heap, id)).collect()
}

fn read(heap: Heap<'_, '_>, id: ObjectId) -> Task {
    let runtime = heap.runtime;
    let facts = task_facts(runtime, heap.objects.address(id));
    let awaits = facts.coroutine.map(|coroutine| chain(heap, coroutine)).unwrap_or_default();
    let coroutine =
        awaits.first().map(|step| step.function.clone().unwrap_or_else(|| step.type_name.clone()));
    Task {
        id,
        state: facts.state,
        coroutine,
        waits_for: facts.waits_for,
        exception: facts.exception.and_then(|exception| type_name(heap, exception)),
        name: facts.name,
        awaits,
    }
}

/// What `coroutine` awaits, itself first, up to a future or what nothing more is known of.
fn chain(heap: Heap<'_, '_>, coroutine: Address) -> Vec<AwaitStep> {
    let runtime = heap.runtime;
    let mut steps = Vec::new();
    let mut seen = FxHashSet::default();
    let mut next = Some(coroutine);
    while let Some(object) = next.filter(|&object| steps.len() < MAX_STEPS && seen.insert(object)) {
        let Some(type_name) = type_name(heap, object) else { break };
        let generator = Generator::read(runtime, object);
        next = match &generator {
            Some(generator) => generator.awaited,
            None => awaited_through(runtime, object),
        };
        let frame = generator.as_ref().and_then(|generator| generator.frame.as_ref());
        let (file, line) = (frame.map(|frame| frame.filename.clone()), frame.and_then(|frame| frame.line));
        let function = match generator {
            Some(generator) => Some(generator.qualname),
            // Coroutines of compiled modules.
            None => get_attribute(runtime, object, "__qualname__")
                .filter(|&name| is_str(runtime, name))
                .and_then(|name| read_str(runtime, name, super::MAX_NAME).ok()),
        };
        steps.push(AwaitStep { object, type_name, function, file, line });
    }
    steps
}

fn type_name(heap: Heap<'_, '_>, object: Address) -> Option<String> {
    let id = heap.objects.find(object)?;
    Some(python_name(&heap.type_of(id).name).to_owned())
}

/// Puts tasks together, those that keep most first; `bytes` is what one keeps.
pub fn group_tasks(list: &[Task], bytes: impl Fn(ObjectId) -> u64) -> Vec<TaskGroup> {
    let mut groups: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for task in list {
        let innermost = task.awaits.iter().rev().find(|step| step.line.is_some());
        let place =
            innermost.map(|step| (step.function.as_deref().unwrap_or_default(), &step.file, step.line));
        let (count, sum) = groups.entry((task.state, &task.coroutine, place)).or_default();
        *count += 1;
        *sum = sum.saturating_add(bytes(task.id));
    }
    let mut list = Vec::new();
    for ((state, coroutine, place), (tasks, bytes)) in groups {
        let waiting_in = place.map(|(function, file, line)| (function.to_owned(), file.clone(), line));
        list.push(TaskGroup { coroutine: coroutine.clone(), state, waiting_in, tasks, bytes });
    }
    // Stable: those that keep as much stay in the order of their names.
    list.sort_by_key(|group| std::cmp::Reverse((group.bytes, group.tasks)));
    list
}
