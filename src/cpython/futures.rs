//! Futures and tasks of asyncio: state, coroutine, and what they wait for.
//!
//! Knows `TaskObj` and `FutureObj` (Modules/_asynciomodule.c) by the names of their members, and the attributes that the classes in
//! Lib/asyncio use in their place. Where no debug information names the members, a task's coroutine and what it waits for
//! are known by their types among what it refers to, and how a task has ended is not known. Refuses to know event loops.

use super::attributes::{get_attribute, mro};
use super::frame::{GeneratorState, generator_state};
use super::members::member_offset;
use super::references::References;
use super::types::{TypeInfo, WalkKind};
use super::values::{is_str, read_int, read_str};
use super::{Runtime, type_flags};
use crate::corefile::Address;
use crate::graph::EdgeKind;

/// Longest name of a state, in characters.
const MAX_STATE: usize = 32;
/// Classes of tasks, made in C and in Python.
const TASKS: [&str; 2] = ["_asyncio.Task", "asyncio.tasks.Task"];
/// Classes of futures, which tasks are.
const FUTURES: [&str; 2] = ["_asyncio.Future", "asyncio.futures.Future"];

/// How far a future or task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FutureState {
    /// It has no result yet.
    Pending,
    /// It has a result, or an exception.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It has ended; how is not known.
    Ended,
}

/// What a task says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskFacts {
    /// How far it is, where that is known.
    pub state: Option<FutureState>,
    /// The coroutine it runs.
    pub coroutine: Option<Address>,
    /// The future or task it waits for.
    pub waits_for: Option<Address>,
    /// The exception it has ended with.
    pub exception: Option<Address>,
    /// Its name: a str, or since 3.12 the number of a name that nobody has asked for.
    pub name: Option<Address>,
}

/// Whether `info` or a class above it has one of these qualified names.
pub fn inherits(runtime: &Runtime<'_>, info: &TypeInfo, names: &[&str]) -> bool {
    let named = |address| runtime.types.of(address).is_some_and(|base| names.contains(&base.name.as_ref()));
    names.contains(&info.name.as_ref()) || mro(runtime, info.address).into_iter().any(named)
}

/// Whether instances of a type are tasks.
pub fn is_task(runtime: &Runtime<'_>, info: &TypeInfo) -> bool {
    inherits(runtime, info, &TASKS)
}

/// Whether instances of a type are futures or tasks.
pub fn is_future(runtime: &Runtime<'_>, info: &TypeInfo) -> bool {
    inherits(runtime, info, &FUTURES) || is_task(runtime, info)
}

/// Reads the task at `task`; what is not known is `None`.
pub fn task_facts(runtime: &Runtime<'_>, task: Address) -> TaskFacts {
    let Some(info) = super::attributes::type_of(runtime, task).and_then(|type_| runtime.types.of(type_))
    else {
        return TaskFacts::default();
    };
    let mut facts = match inherits(runtime, info, &[TASKS[0]]) {
        true => facts_of_struct(runtime, info, task),
        false => facts_of_attributes(runtime, task),
    };
    // The coroutine knows whether there is more to do.
    let ended = facts.coroutine.and_then(|coroutine| generator_state(runtime, coroutine));
    facts.state = facts.state.or_else(|| {
        Some(if ended? == GeneratorState::Closed { FutureState::Ended } else { FutureState::Pending })
    });
    if facts.state != Some(FutureState::Pending) {
        facts.waits_for = None;
    }
    facts
}

/// The name of a task, at most `max` characters.
pub fn task_name(runtime: &Runtime<'_>, name: Address, max: usize) -> Option<String> {
    if is_str(runtime, name) {
        return read_str(runtime, name, max).ok();
    }
    // Modules/_asynciomodule.c, TaskObj_get_name.
    let is_int = super::values::has_flag(runtime, name, type_flags::LONG_SUBCLASS);
    is_int.then(|| read_int(runtime, name).ok().flatten())?.map(|number| format!("Task-{number}"))
}

fn facts_of_struct(runtime: &Runtime<'_>, info: &TypeInfo, task: Address) -> TaskFacts {
    let at = |name: &str| Some(task.wrapping_add(u64::from(member_offset(runtime, info, name)?)));
    let object = |name: &str| runtime.space.read_u64(at(name)?).ok().filter(|&object| object != 0);
    let is_none = |object: &Address| *object == runtime.landmarks.none;
    if at("task_coro").is_none() {
        return facts_of_referents(runtime, info, task);
    }
    // `fut_state`, Modules/_asynciomodule.c, 3.8 to 3.15.
    let state = at("task_state").and_then(|place| match runtime.space.read_i32(place).ok()? {
        0 => Some(FutureState::Pending),
        1 => Some(FutureState::Cancelled),
        2 => Some(FutureState::Finished),
        _ => None,
    });
    TaskFacts {
        state,
        coroutine: object("task_coro"),
        waits_for: object("task_fut_waiter"),
        exception: object("task_exception").filter(|object| !is_none(object)),
        name: object("task_name"),
    }
}

/// What a task in C refers to, by type: only the coroutine it runs and what it waits for are such objects while it is pending.
fn facts_of_referents(runtime: &Runtime<'_>, info: &TypeInfo, task: Address) -> TaskFacts {
    let mut facts = TaskFacts::default();
    // What cannot be read is not there.
    let _ = References::new(runtime).visit(info, task, &mut |referent| {
        let type_ = super::attributes::type_of(runtime, referent.target);
        let Some(info) = type_.and_then(|type_| runtime.types.of(type_)) else { return };
        if referent.kind == EdgeKind::Weak {
        } else if info.walk.kind == WalkKind::Generator {
            facts.coroutine.get_or_insert(referent.target);
        } else if is_future(runtime, info) {
            facts.waits_for.get_or_insert(referent.target);
        } else if info.flags & type_flags::BASE_EXC_SUBCLASS != 0 {
            facts.exception.get_or_insert(referent.target);
        }
    });
    facts
}

/// How far a future or task made in Python is (`_state`: Lib/asyncio/base_futures.py, Lib/concurrent/futures/_base.py);
/// `None` where that is not known.
pub fn state_in_attribute(runtime: &Runtime<'_>, future: Address) -> Option<FutureState> {
    let state = read_str(runtime, get_attribute(runtime, future, "_state")?, MAX_STATE).ok()?;
    match state.as_str() {
        "PENDING" | "RUNNING" => Some(FutureState::Pending),
        "CANCELLED" | "CANCELLED_AND_NOTIFIED" => Some(FutureState::Cancelled),
        "FINISHED" => Some(FutureState::Finished),
        _ => None,
    }
}

/// Lib/asyncio/tasks.py and Lib/asyncio/futures.py.
fn facts_of_attributes(runtime: &Runtime<'_>, task: Address) -> TaskFacts {
    let object =
        |name: &str| get_attribute(runtime, task, name).filter(|&object| object != runtime.landmarks.none);
    TaskFacts {
        state: state_in_attribute(runtime, task),
        coroutine: object("_coro"),
        waits_for: object("_fut_waiter"),
        exception: object("_exception"),
        name: object("_name"),
    }
}

/// What an awaitable that is no generator stands in front of: the generator or future that it refers to
/// (`coroutine_wrapper`, `async_generator_asend`, Objects/genobject.c; `FutureIter`, Modules/_asynciomodule.c).
pub fn awaited_through(runtime: &Runtime<'_>, awaitable: Address) -> Option<Address> {
    let kind = |object| super::attributes::type_of(runtime, object).and_then(|type_| runtime.types.of(type_));
    let info = kind(awaitable)?;
    if is_future(runtime, info) {
        return None;
    }
    let mut found = None;
    let _ = References::new(runtime).visit(info, awaitable, &mut |referent| {
        let is_awaitable =
            |info: &TypeInfo| info.walk.kind == WalkKind::Generator || is_future(runtime, info);
        if found.is_none()
            && referent.kind != EdgeKind::Weak
            && kind(referent.target).is_some_and(is_awaitable)
        {
            found = Some(referent.target);
        }
    });
    found
}
