//! Interpreters and their threads, as `PyInterpreterState` and `PyThreadState` tell them.
//!
//! Knows the two structs and who holds the GIL; refuses to know frames and objects.

use super::gc::GcState;
use super::words::ReadField;
use super::{PythonError, Runtime};
use crate::corefile::Address;
use crate::layout::Field;

/// More interpreters than any process runs; a longer chain is damage.
const MAX_INTERPRETERS: usize = 10_000;
/// More threads than Linux allows one process; a longer chain is damage.
const MAX_THREADS: usize = 4_194_304;

/// One interpreter of the process.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its `PyInterpreterState`.
    pub address: Address,
    /// `interp.id`: 0 is the main one.
    pub id: i64,
    /// Its threads, newest first.
    pub threads: Vec<ThreadState>,
    /// Its `_gc_runtime_state`.
    pub gc_address: Address,
    /// The collector's state.
    pub gc: GcState,
    /// `sys.modules`.
    pub modules: Address,
    /// `sys.__dict__`.
    pub sysdict: Address,
    /// `builtins.__dict__`.
    pub builtins: Address,
    /// Its `_gil_runtime_state`, where that could be found.
    pub gil: Option<Gil>,
}

/// The lock that lets one thread at a time run Python code.
#[derive(Clone, Copy, Debug)]
pub struct Gil {
    /// The `_gil_runtime_state`.
    pub address: Address,
    /// Whether there is one: free-threaded builds have the struct, but use it only when asked to.
    pub enabled: bool,
    /// Whether some thread held it.
    pub locked: bool,
    /// The thread state that held it last.
    pub last_holder: Address,
}

/// One Python thread.
#[derive(Clone, Debug)]
pub struct ThreadState {
    /// Its `PyThreadState`.
    pub address: Address,
    /// `pthread_self()`: see [`Registers::is_pthread`](crate::corefile::Registers::is_pthread).
    pub thread_id: u64,
    /// The kernel's thread id.
    pub native_id: Option<u64>,
    /// Whether it held the GIL.
    pub holds_gil: bool,
}

/// Reads the chain of interpreters from `_PyRuntime`.
///
/// # Errors
/// The chain cannot be read, is empty, or contradicts itself.
pub fn read_all(runtime: &Runtime<'_>) -> Result<Vec<Interpreter>, PythonError> {
    let l = &runtime.layouts;
    let mut interpreters = Vec::new();
    let mut next = runtime
        .space
        .field(runtime.address, l.runtime.interpreters_head)
        .map_err(PythonError::reading("the list of interpreters"))?;
    while next != 0 && interpreters.len() < MAX_INTERPRETERS {
        if interpreters.iter().any(|known: &Interpreter| known.address == next) {
            break;
        }
        let interpreter = read_one(runtime, next)?;
        next = runtime
            .space
            .field(next, l.interpreter.next)
            .map_err(PythonError::reading("the next interpreter"))?;
        interpreters.push(interpreter);
    }
    if interpreters.is_empty() {
        return Err(PythonError::Probe {
            probe: "the runtime has no interpreter: it had not started, or had ended".to_owned(),
            address: runtime.address,
        });
    }
    // The chain is newest first; reports and tests want the main interpreter first.
    interpreters.sort_by_key(|interpreter| interpreter.id);
    Ok(interpreters)
}

fn read_one(runtime: &Runtime<'_>, address: Address) -> Result<Interpreter, PythonError> {
    let (space, l) = (&runtime.space, &runtime.layouts.interpreter);
    let reading = PythonError::reading;
    let gc_address = match (l.gc, runtime.layouts.runtime.gc) {
        (Some(field), _) => address.wrapping_add(u64::from(field.offset)),
        // Up to 3.8 all interpreters share one collector.
        (None, Some(field)) => runtime.address.wrapping_add(u64::from(field.offset)),
        (None, None) => {
            return Err(PythonError::Probe {
                probe: "no layout source knows where the collector's state lies (PyInterpreterState.gc)"
                    .to_owned(),
                address,
            });
        }
    };
    let gil = find_gil(runtime, address);
    let threads = read_threads(runtime, address, gil)?;
    let mut gc = GcState::read(runtime, gc_address).map_err(reading("the collector's state"))?;
    // Modules/gcmodule.c, gc_get_count_impl, free-threaded: what the asking thread has not yet added is added. The main
    // thread asks; threads are listed newest first.
    if let (Some(field), Some(main)) =
        (runtime.layouts.free_threaded.thread_counts.alloc_count, threads.last())
    {
        let uncounted = space.signed(main.address, field).unwrap_or(0);
        let [young, ..] = &mut gc.generations;
        young.count = young.count.saturating_add(i32::try_from(uncounted).unwrap_or(0));
    }
    Ok(Interpreter {
        address,
        id: space.signed(address, l.id).map_err(reading("an interpreter's id"))?,
        threads,
        gc_address,
        gc,
        modules: space.field(address, l.modules).map_err(reading("sys.modules"))?,
        sysdict: space.field(address, l.sysdict).map_err(reading("the dict of sys"))?,
        builtins: space.field(address, l.builtins).map_err(reading("the dict of builtins"))?,
        gil,
    })
}

/// The GIL: per interpreter since 3.12 (a pointer), one for the process before (inside `_PyRuntime`).
fn find_gil(runtime: &Runtime<'_>, interpreter: Address) -> Option<Gil> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let address = match (l.interpreter.gil, l.runtime.gil) {
        (Some(field), _) => space.field(interpreter, field).ok().filter(|&address| address != 0)?,
        (None, Some(field)) => runtime.address + u64::from(field.offset),
        (None, None) => return None,
    };
    let read = |field: Option<Field>| field.and_then(|field| space.signed(address, field).ok());
    let enabled = l.gil.enabled.is_none_or(|field| space.signed(address, field).unwrap_or(0) != 0);
    Some(Gil {
        address,
        enabled,
        locked: enabled && read(l.gil.locked)? > 0,
        last_holder: read(l.gil.last_holder)? as u64,
    })
}

fn read_threads(
    runtime: &Runtime<'_>,
    interpreter: Address,
    gil: Option<Gil>,
) -> Result<Vec<ThreadState>, PythonError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let mut threads: Vec<ThreadState> = Vec::new();
    let mut seen = rustc_hash::FxHashSet::default();
    let mut next = space
        .field(interpreter, l.interpreter.threads_head)
        .map_err(PythonError::reading("an interpreter's threads"))?;
    while next != 0 && threads.len() < MAX_THREADS && seen.insert(next) {
        let owner = space.field(next, l.thread.interp).map_err(PythonError::reading("a thread state"))?;
        if owner != interpreter {
            return Err(PythonError::Probe {
                probe: format!("a thread state says its interpreter is {owner:#x}, not {interpreter:#x}"),
                address: next,
            });
        }
        threads.push(ThreadState {
            address: next,
            thread_id: space.field(next, l.thread.thread_id).unwrap_or(0),
            native_id: l.thread.native_thread_id.and_then(|field| space.field(next, field).ok()),
            holds_gil: gil.is_some_and(|gil| gil.locked && gil.last_holder == next),
        });
        next = space.field(next, l.thread.next).map_err(PythonError::reading("the next thread state"))?;
    }
    Ok(threads)
}
