//! Whether layouts fit a process, asked of nothing but its memory: no symbol, no file.
//!
//! Knows how the structs of an interpreter refer to each other; refuses to know where the layouts come from.

use super::layouts::Layouts;
use super::semantics::type_flags;
use super::words::ReadField;
use crate::corefile::{Address, AddressSpace, ReadError};
use crate::layout::Field;

/// Most interpreters and threads that are looked at.
const MAX_CHAIN: usize = 64;
/// Longest chain of types of types.
const MAX_TYPES: usize = 8;
/// Most bytes of any type's fixed part.
const MAX_BASICSIZE: u64 = 1 << 20;

/// Bits of a link between objects that are no address (Include/internal/pycore_gc.h).
const LINK_BITS: u64 = 3;

/// Something that must hold in every interpreter and does not, with the address it was looked for at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What does not hold.
    pub what: String,
    /// Where.
    pub address: Address,
}

type Fit<T = ()> = Result<T, Misfit>;

/// Follows what `layouts` says from the `_PyRuntime` at `runtime`.
///
/// # Errors
/// The first thing that cannot be so in an interpreter.
pub fn fits(space: &AddressSpace<'_>, layouts: &Layouts, runtime: Address) -> Fit {
    let check = Check { space, l: layouts };
    let l = layouts;
    let head = check.pointer(runtime, l.runtime.interpreters_head, "_PyRuntimeState.interpreters.head")?;
    let main = check.pointer(runtime, l.runtime.interpreters_main, "_PyRuntimeState.interpreters.main")?;
    let mut interpreter = head;
    let mut seen_main = false;
    for _ in 0..MAX_CHAIN {
        if interpreter == 0 {
            break;
        }
        seen_main |= interpreter == main;
        check.interpreter(interpreter, interpreter == main)?;
        interpreter = check.word(interpreter, l.interpreter.next, "PyInterpreterState.next")?;
    }
    if !seen_main && interpreter == 0 {
        return misfit("the main interpreter is not in the list of interpreters", main);
    }
    Ok(())
}

fn misfit<T>(what: impl Into<String>, address: Address) -> Fit<T> {
    Err(Misfit { what: what.into(), address })
}

/// A field that some builds do not have.
fn field(field: impl Into<Option<Field>>) -> Option<Field> {
    field.into()
}

struct Check<'a, 'core> {
    space: &'a AddressSpace<'core>,
    l: &'a Layouts,
}

impl Check<'_, '_> {
    fn word(&self, base: Address, field: Field, name: &str) -> Fit<u64> {
        match self.space.read_u64(base.wrapping_add(u64::from(field.offset))) {
            Ok(word) => Ok(word),
            Err(ReadError::NotInCore(_)) => misfit(format!("{name} is not in the core"), base),
            Err(_) => misfit(format!("{name} cannot be read"), base),
        }
    }

    /// A pointer that is never NULL.
    fn pointer(&self, base: Address, field: Field, name: &str) -> Fit<Address> {
        let pointer = self.word(base, field, name)?;
        match pointer != 0 && pointer.is_multiple_of(8) && self.space.is_mapped(pointer) {
            true => Ok(pointer),
            false => misfit(format!("{name} is {pointer:#x}, which is no address"), base),
        }
    }

    fn interpreter(&self, interpreter: Address, is_main: bool) -> Fit {
        let l = &self.l.interpreter;
        self.threads(interpreter, is_main)?;
        if let Some(collector) = field(l.gc) {
            self.collector(interpreter.wrapping_add(u64::from(collector.offset)))?;
        }
        let dicts = [(l.sysdict, "sysdict"), (l.builtins, "builtins"), (l.modules, "modules")];
        let mut dict_type = None;
        for (field, name) in dicts {
            let name = format!("PyInterpreterState.{name}");
            let dict = self.pointer(interpreter, field, &name)?;
            let type_ = self.object(dict, &name)?;
            if *dict_type.get_or_insert(type_) != type_ {
                return misfit(format!("{name} has another type than PyInterpreterState.sysdict"), dict);
            }
            self.dict(dict, type_, &name)?;
        }
        // Spread over the struct, so that a shift of any part of it shows.
        for (field, name) in [
            (l.dict, "dict"),
            (l.importlib, "importlib"),
            (l.import_func, "import_func"),
            (l.codec_search_path, "codec_search_path"),
            (l.codec_error_registry, "codec_error_registry"),
            (l.errnomap, "exc_state.errnomap"),
            (l.exception_group, "exc_state.PyExc_ExceptionGroup"),
            (l.not_shareable_error, "xi.PyExc_NotShareableError"),
            (l.interned, "cached_objects.interned_strings"),
            (l.objreduce, "cached_objects.objreduce"),
            (l.generic_type, "cached_objects.generic_type"),
            (l.typevar_type, "cached_objects.typevar_type"),
            (l.paramspeckwargs_type, "cached_objects.paramspeckwargs_type"),
            (l.warnings_filters, "warnings.filters"),
        ] {
            let Some(field) = field else { continue };
            let name = format!("PyInterpreterState.{name}");
            match self.word(interpreter, field, &name)? {
                0 => {}
                object => drop(self.object(object, &name)?),
            }
        }
        Ok(())
    }

    /// Heads of the collector's lists: rings, unless a collection is going on.
    fn collector(&self, collector: Address) -> Fit {
        let l = &self.l.gc;
        let small = |field| self.space.small(collector, field);
        let (Ok(enabled), Ok(collecting)) = (small(l.enabled), small(l.collecting)) else {
            return misfit("_gc_runtime_state cannot be read", collector);
        };
        if enabled > 1 || collecting > 1 {
            return misfit("_gc_runtime_state.enabled or collecting is neither 0 nor 1", collector);
        }
        let (garbage, callbacks) = (
            self.word(collector, l.garbage, "_gc_runtime_state.garbage")?,
            self.word(collector, l.callbacks, "_gc_runtime_state.callbacks")?,
        );
        for (list, name) in [(garbage, "gc.garbage"), (callbacks, "gc.callbacks")] {
            if list != 0 {
                self.object(list, name)?;
            }
        }
        // Builds without a GIL have no such lists; their heads may never have been set.
        if self.l.object.gc_bits.is_some() {
            return Ok(());
        }
        let lists = [(field(l.generations), "generations"), (field(l.permanent), "permanent_generation")];
        for (list, name) in lists {
            let Some(list) = list else { continue };
            self.ring(collector.wrapping_add(u64::from(list.offset)), collecting == 1, name)?;
        }
        Ok(())
    }

    fn ring(&self, head: Address, torn: bool, name: &str) -> Fit {
        let links = &self.l.gc_head;
        let next = self.pointer(head, links.next, &format!("_gc_runtime_state.{name}.head._gc_next"))?;
        let back = self.word(next, links.prev, "PyGC_Head._gc_prev")?;
        match torn || back & !LINK_BITS == head {
            true => Ok(()),
            false => misfit(format!("_gc_runtime_state.{name} is no ring of objects"), head),
        }
    }

    /// The chain of an interpreter's threads. Only the main one always has some: since 3.13 others have them while they run
    /// (Python/crossinterp.c, `_PyXI_NewInterpreter`).
    fn threads(&self, interpreter: Address, is_main: bool) -> Fit {
        let l = &self.l.thread;
        let (head, name) = (self.l.interpreter.threads_head, "PyInterpreterState.threads.head");
        let mut thread = match self.word(interpreter, head, name)? {
            0 if !is_main => 0,
            _ => self.pointer(interpreter, head, name)?,
        };
        let mut previous = 0;
        for _ in 0..MAX_CHAIN {
            if thread == 0 {
                break;
            }
            if self.word(thread, l.interp, "PyThreadState.interp")? != interpreter {
                return misfit("PyThreadState.interp does not lead back to the interpreter", thread);
            }
            if self.word(thread, l.prev, "PyThreadState.prev")? != previous {
                return misfit("PyThreadState.prev is not the thread before", thread);
            }
            self.free_queue(thread)?;
            previous = thread;
            thread = self.word(thread, l.next, "PyThreadState.next")?;
        }
        Ok(())
    }

    /// What builds without a GIL have behind a thread's state: a ring of memory to be freed, set up with the state
    /// (Python/pystate.c, `init_threadstate`, 3.13).
    fn free_queue(&self, thread: Address) -> Fit {
        let l = &self.l.free_threaded;
        let (Some(queue), Some(next)) = (l.thread_counts.mem_free_queue, l.list_node.next) else {
            return Ok(());
        };
        let head = thread.wrapping_add(u64::from(queue.offset));
        let mut node = head;
        for _ in 0..MAX_CHAIN {
            node = self.pointer(node, next, "_PyThreadStateImpl.mem_free_queue.next")?;
            if node == head {
                break;
            }
        }
        Ok(())
    }

    /// The type of an object. The type of its type, and so on, must end at `type`, which is its own.
    fn object(&self, object: Address, name: &str) -> Fit<Address> {
        let type_name = format!("the type of {name}");
        let first = self.pointer(object, self.l.object.type_, &type_name)?;
        let mut type_ = first;
        for _ in 0..MAX_TYPES {
            let size = self.word(type_, self.l.type_.basicsize, "PyTypeObject.tp_basicsize")?;
            let flags = self.word(type_, self.l.type_.flags, "PyTypeObject.tp_flags")?;
            if size == 0 || size > MAX_BASICSIZE || flags & type_flags::READY == 0 {
                break;
            }
            let next = self.pointer(type_, self.l.object.type_, &type_name)?;
            if next != type_ {
                type_ = next;
                continue;
            }
            let expected = u64::from(self.l.heap_type.size);
            return match size == expected {
                true => Ok(first),
                false => misfit(
                    format!("tp_basicsize of `type` is {size}, but PyHeapTypeObject has {expected} bytes"),
                    type_,
                ),
            };
        }
        misfit(format!("{name} is no object: the types of its type do not end at `type`"), object)
    }

    fn dict(&self, dict: Address, type_: Address, name: &str) -> Fit {
        let l = &self.l;
        if self.word(type_, l.type_.flags, "PyTypeObject.tp_flags")? & type_flags::DICT_SUBCLASS == 0 {
            return misfit(format!("{name} is no dict"), dict);
        }
        let size = self.word(type_, l.type_.basicsize, "PyTypeObject.tp_basicsize")?;
        if size != u64::from(l.dict.size) {
            return misfit(
                format!("tp_basicsize of `dict` is {size}, but PyDictObject has {} bytes", l.dict.size),
                type_,
            );
        }
        let keys = self.pointer(dict, l.dict.keys, "PyDictObject.ma_keys")?;
        let used = self.word(dict, l.dict.used, "PyDictObject.ma_used")?;
        let entries = self.space.small(keys, l.dict_keys.nentries);
        match entries {
            Ok(entries) if used <= entries => Ok(()),
            _ => misfit(format!("{name} has more items than entries"), dict),
        }
    }
}
