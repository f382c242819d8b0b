//! Roots: references into the heap that no object holds, from interpreters, threads, stacks and static memory.
//!
//! Knows which members of the runtime's structs are references; refuses to know what they lead to. References that
//! libraries keep in variables of their own are not here: no name says where they are.

use super::frame::{Variables, filled, frame_chain, generator_of, is_shown};
use super::stack_ref::{StackRef, frame_code, frame_field};
use super::words::{ReadField, word};
use super::{Interpreter, Runtime, Slot, ThreadState};
use crate::corefile::Address;
use crate::layout::Field;

/// More functions than anybody registers with `atexit`; a larger count is damage.
const MAX_CALLBACKS: u64 = 1 << 20;
/// Largest table of references inside or behind an interpreter's state that is believed, in bytes.
const MAX_TABLE: u64 = 1 << 20;
/// More variables and temporaries than any frame has.
const MAX_SLOTS: u64 = 1 << 20;

/// What holds a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RootKind {
    /// An interpreter, in this member.
    Interpreter(&'static str),
    /// A thread, in this member.
    Thread(&'static str),
    /// A frame of a thread's stack.
    Frame,
    /// A type in static memory, which is never freed.
    StaticType,
}

/// One reference that no object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootReference {
    /// The object referred to.
    pub target: Address,
    /// What holds it.
    pub kind: RootKind,
    /// Index in [`Runtime::interpreters`]; 0 for static types, which all interpreters share.
    pub interpreter: usize,
    /// Index in [`Interpreter::threads`], for threads and frames.
    pub thread: Option<usize>,
    /// For frames that Python shows: how many shown frames lie further in, which is the frame's index in what
    /// [`super::thread_frames`] returns.
    pub depth: Option<u32>,
    /// The place inside the holder.
    pub slot: Option<Slot>,
    /// Certainly a reference to a live object. Otherwise a word of the part of an evaluation stack whose height was in
    /// a register: it may be left over and lead to freed memory, or to an object that came there later.
    pub certain: bool,
    /// One of the references that the target's refcount counts.
    pub counted: bool,
}

/// Calls `each` with every reference that interpreters, threads, frames and static memory hold.
///
/// Frames of running generators stand on a stack, but their references are their generators'; such a frame
/// gives one uncounted reference to its generator, and the doubtful part of its evaluation stack.
pub fn roots(runtime: &Runtime<'_>, each: &mut impl FnMut(RootReference)) {
    for (index, interpreter) in runtime.interpreters.iter().enumerate() {
        let mut holder = Holder { runtime, each: &mut *each, interpreter: index, thread: None, depth: None };
        holder.interpreter(interpreter);
        for (position, thread) in interpreter.threads.iter().enumerate() {
            holder.thread = Some(position);
            holder.thread(thread);
            holder.stack(thread);
        }
    }
    let mut holder = Holder { runtime, each, interpreter: 0, thread: None, depth: None };
    for (_, info) in runtime.types.iter().filter(|(_, info)| !info.is_heap_type()) {
        holder.emit(RootKind::StaticType, info.address, None);
    }
}

/// Where the references reported next stand.
struct Holder<'r, 'core, F> {
    runtime: &'r Runtime<'core>,
    each: &'r mut F,
    interpreter: usize,
    thread: Option<usize>,
    depth: Option<u32>,
}

impl<F: FnMut(RootReference)> Holder<'_, '_, F> {
    /// Reports a counted reference unless it is NULL.
    fn emit(&mut self, kind: RootKind, target: Address, slot: Option<Slot>) {
        self.report(kind, target, slot, true, true);
    }

    fn report(&mut self, kind: RootKind, target: Address, slot: Option<Slot>, certain: bool, counted: bool) {
        if target != 0 {
            let Self { interpreter, thread, depth, .. } = *self;
            (self.each)(RootReference { target, kind, interpreter, thread, depth, slot, certain, counted });
        }
    }

    /// Reports a member of the struct at `base`; nothing when this interpreter has no such member.
    fn member(&mut self, kind: RootKind, base: Address, field: Option<Field>) {
        let Some(field) = field else { return };
        if let Ok(target) = self.runtime.space.field(base, field) {
            self.emit(kind, target, None);
        }
    }

    /// Reports `bytes` bytes of references at `start`.
    fn table(&mut self, kind: RootKind, start: Address, bytes: u64) {
        let bytes = bytes.min(MAX_TABLE) & !7;
        let Ok(words) = self.runtime.space.slice(start, bytes as usize) else { return };
        for index in 0..words.len() / 8 {
            self.emit(kind, word(words, index * 8), Some(Slot::Index(index as u64)));
        }
    }

    fn interpreter(&mut self, interpreter: &Interpreter) {
        use RootKind::Interpreter as Member;
        let (base, l) = (interpreter.address, &self.runtime.layouts.interpreter);
        self.emit(Member("gc.garbage"), interpreter.gc.garbage, None);
        self.emit(Member("gc.callbacks"), interpreter.gc.callbacks, None);
        for (name, field) in [
            ("sys.modules", Some(l.modules)),
            ("sys.__dict__", Some(l.sysdict)),
            ("builtins.__dict__", Some(l.builtins)),
            ("interpreter dict", l.dict),
            ("copy of sys.__dict__", l.sysdict_copy),
            ("copy of builtins.__dict__", l.builtins_copy),
            ("modules by index", l.modules_by_index),
            ("importlib", l.importlib),
            ("__import__", l.import_func),
            ("__lazy_import__", l.lazy_import_func),
            ("filter of lazy imports", l.lazy_imports_filter),
            ("lazy modules", l.lazy_modules),
            ("modules of lazy imports under way", l.lazy_importing_modules),
            ("lazy submodules", l.lazy_pending_submodules),
            ("codec search functions", l.codec_search_path),
            ("codec cache", l.codec_search_cache),
            ("codec error handlers", l.codec_error_registry),
            ("functions before fork", l.before_forkers),
            ("functions after fork in the parent", l.after_forkers_parent),
            ("functions after fork in the child", l.after_forkers_child),
            ("warnings.filters", l.warnings_filters),
            ("warnings.onceregistry", l.warnings_once_registry),
            ("warnings.defaultaction", l.warnings_default_action),
            ("warnings context", l.warnings_context),
            ("audit hooks", l.audit_hooks),
            ("trampoline code", l.interpreter_trampoline),
            ("map from errno to exceptions", l.errnomap),
            ("ExceptionGroup", l.exception_group),
            ("NotShareableError", l.not_shareable_error),
            ("interned strings", l.interned),
            ("empty bytes", l.empty_bytes),
            ("empty str", l.empty_str),
            ("cached str 'inf'", l.str_replace_inf),
            ("cached object.__reduce__", l.objreduce),
            ("type slot names", l.type_slots_pname),
            ("typing.Generic", l.generic_type),
            ("typing.TypeVar", l.typevar_type),
            ("typing.TypeVarTuple", l.typevartuple_type),
            ("typing.ParamSpec", l.paramspec_type),
            ("typing.ParamSpecArgs", l.paramspecargs_type),
            ("typing.ParamSpecKwargs", l.paramspeckwargs_type),
            ("type of constant evaluators", l.constevaluator_type),
            ("descriptor of __dict__", l.dict_descriptor),
            ("descriptor of __weakref__", l.weakref_descriptor),
        ] {
            self.member(Member(name), base, field);
        }
        for (name, field) in [
            ("sys.monitoring callbacks", l.monitoring_callables),
            ("sys.monitoring tool names", l.monitoring_tool_names),
            ("common constants", l.common_consts),
            ("small ints", l.small_ints),
            ("bytes of one byte", l.one_byte),
            ("str of one character", l.latin1),
        ] {
            if let Some(field) = field {
                self.table(Member(name), base.wrapping_add(u64::from(field.offset)), u64::from(field.size));
            }
        }
        self.interned(base);
        self.identifiers(base);
        self.syntax_tree_types(base);
        self.atexit(base);
    }

    /// The dict of interned strings where the interpreter's state does not have it (3.11: a static variable).
    fn interned(&mut self, interpreter: Address) {
        let l = &self.runtime.layouts.interpreter;
        if l.interned.is_some()
            || self.runtime.interpreters.first().is_none_or(|main| main.address != interpreter)
        {
            return;
        }
        let dict = match self.runtime.symbol("interned") {
            Some(variable) => self.runtime.space.read_u64(variable).unwrap_or(0),
            None => super::statics::interned(self.runtime).unwrap_or(0),
        };
        if super::values::has_flag(self.runtime, dict, super::type_flags::DICT_SUBCLASS) {
            self.emit(RootKind::Interpreter("interned strings"), dict, None);
        }
    }

    /// Strings made for `_Py_IDENTIFIER` (Objects/unicodeobject.c, `_PyUnicode_FromId`).
    fn identifiers(&mut self, interpreter: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts.interpreter);
        let (Some(array), Some(count)) = (l.unicode_ids, l.unicode_ids_count) else { return };
        let (Ok(array), Ok(count)) = (space.field(interpreter, array), space.field(interpreter, count))
        else {
            return;
        };
        if array != 0 {
            self.table(RootKind::Interpreter("identifiers"), array, count.saturating_mul(8));
        }
    }

    /// `struct ast_state` (Include/internal/pycore_ast_state.h): references from its first type to its end.
    fn syntax_tree_types(&mut self, interpreter: Address) {
        let l = &self.runtime.layouts.interpreter;
        let (Some(state), Some(first)) = (l.ast, l.ast_first_type) else { return };
        let Some(bytes) = (state.offset.saturating_add(state.size)).checked_sub(first.offset) else { return };
        let start = interpreter.wrapping_add(u64::from(first.offset));
        self.table(RootKind::Interpreter("types of ast"), start, u64::from(bytes));
    }

    /// Functions to call at exit: an array of pointers to callbacks, in which an unregistered one leaves NULL; since 3.14
    /// a list of tuples.
    fn atexit(&mut self, interpreter: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts.interpreter);
        if l.atexit_ncallbacks.is_none() {
            return self.member(RootKind::Interpreter("atexit"), interpreter, l.atexit_callbacks);
        }
        let (Some(callbacks), Some(count)) = (l.atexit_callbacks, l.atexit_ncallbacks) else { return };
        let Ok(array) = space.field(interpreter, callbacks) else { return };
        let count = space.small(interpreter, count).unwrap_or(0).min(MAX_CALLBACKS);
        let l = &self.runtime.layouts.atexit_callback;
        let Ok(entries) = space.slice(array, (count * 8) as usize) else { return };
        for index in 0..entries.len() / 8 {
            let callback = word(entries, index * 8);
            for field in [l.func, l.args, l.kwargs].into_iter().flatten() {
                let target = space.field(callback, field).unwrap_or(0);
                self.emit(RootKind::Interpreter("atexit"), target, Some(Slot::Index(index as u64)));
            }
        }
    }

    fn thread(&mut self, thread: &ThreadState) {
        use RootKind::Thread as Member;
        let (base, l) = (thread.address, &self.runtime.layouts.thread);
        for (name, field) in [
            ("thread state dict", Some(l.dict)),
            ("context", l.context),
            ("raised exception", l.current_exception),
            ("raised exception's type", l.current_exception_type),
            ("raised exception's traceback", l.current_exception_traceback),
            ("exception to be raised", l.async_exc),
            ("profile function", l.c_profileobj),
            ("trace function", l.c_traceobj),
            ("async generator hook: first iteration", l.async_gen_firstiter),
            ("async generator hook: finalizer", l.async_gen_finalizer),
            ("key of threading.local", l.threading_local_key),
            ("sentinel of threading.local", l.threading_local_sentinel),
        ] {
            self.member(Member(name), base, field);
        }
        let l = &self.runtime.layouts.allocators.thread_impl;
        for (name, field) in [
            ("running event loop", l.asyncio_running_loop),
            ("running task", l.asyncio_running_task),
            ("lazy imports", l.lazy_imports),
        ] {
            self.member(Member(name), base, field);
        }
        let l = &self.runtime.layouts.thread;
        // Further levels of handled exceptions are embedded in running generators, which hold them as objects.
        if let Some(field) = l.exc_state {
            let level = base.wrapping_add(u64::from(field.offset));
            let item = &self.runtime.layouts.err_stack_item;
            for (name, field) in [
                ("handled exception", Some(item.exc_value)),
                ("handled exception's type", item.exc_type),
                ("handled exception's traceback", item.exc_traceback),
            ] {
                self.member(Member(name), level, field);
            }
        }
    }

    fn stack(&mut self, thread: &ThreadState) {
        let mut shown = 0;
        // What is wrong with a stack is thread_frames' to tell; here counts what can be read.
        for frame in frame_chain(self.runtime, thread.address).0 {
            self.depth = None;
            if is_shown(self.runtime, frame) == Ok(true) {
                self.depth = Some(shown);
                shown += 1;
            }
            self.frame(frame);
        }
        self.depth = None;
    }

    fn frame(&mut self, frame: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts.frame);
        // Entries from C borrow their code and have nothing else.
        match l.owner.map(|field| space.small(frame, field)) {
            None => {}
            Some(Ok(owner)) if owner < u64::from(self.runtime.semantics.first_shim_owner) => {}
            Some(_) => return,
        }
        let generator = generator_of(self.runtime, frame);
        match (generator, l.frame_obj) {
            (Some(generator), _) => self.report(RootKind::Frame, generator, None, true, false),
            // Up to 3.10 the frame is an object, which what runs it holds.
            (None, None) => self.emit(RootKind::Frame, frame, Some(Slot::Field("frame_obj"))),
            (None, Some(frame_obj)) => {
                for (name, field) in [("frame_obj", frame_obj), ("f_locals", l.locals)] {
                    let target = space.field(frame, field).unwrap_or(0);
                    self.emit(RootKind::Frame, target, Some(Slot::Field(name)));
                }
                for (name, field) in [("f_funcobj", l.function), ("f_code", Some(l.code))] {
                    let found = field.map(|field| frame_field(self.runtime, frame, field));
                    if let Some(Ok(Some(StackRef { object, counted }))) = found {
                        self.report(RootKind::Frame, object, Some(Slot::Field(name)), true, counted);
                    }
                }
            }
        }
        self.slots(frame, generator.is_some());
    }

    /// Variables and temporaries. While a frame runs its variables are certain, and the temporaries up to the stack's
    /// greatest height may be; else all that it has filled is its own. Up to 3.10 its object counts them.
    fn slots(&mut self, frame: Address, generators: bool) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let code = frame_code(self.runtime, frame).unwrap_or(0);
        let variables = Variables::of(self.runtime, code).unwrap_or_default();
        let (certain, all) = match filled(self.runtime, frame, &variables) {
            Ok(Some(filled)) => (filled.min(MAX_SLOTS), filled.min(MAX_SLOTS)),
            _ => {
                let height = space.small(code, l.code.stacksize).unwrap_or(0).min(MAX_SLOTS);
                (variables.count(), variables.count() + height)
            }
        };
        let tagged = self.runtime.semantics.tagged_stack;
        let of_stack = l.frame.frame_obj.is_some();
        let start = frame.wrapping_add(u64::from(l.frame.localsplus.offset));
        let Ok(words) = space.peek(start, (all * 8) as usize) else { return };
        space.record(start, (certain * 8) as usize);
        for index in 0..all {
            let Some(StackRef { object: target, counted }) =
                StackRef::decode(word(words, index as usize * 8), tagged)
            else {
                continue;
            };
            let certain = index < certain;
            let possible = certain || (target.is_multiple_of(8) && space.is_mapped(target));
            if !possible || (certain && generators) {
                continue;
            }
            // The part of the stack that is not in use holds anything.
            space.record(start.wrapping_add(index * 8), 8);
            self.report(
                RootKind::Frame,
                target,
                Some(variables.slot(index)),
                certain,
                certain && counted && of_stack,
            );
        }
    }
}
