//! Python stacks: the frames of threads, generators and frame objects, with their variables.
//!
//! Knows `_PyInterpreterFrame`, the frame object that stood in its place up to 3.10, and which frames Python shows;
//! refuses to know what objects they hold and who else holds those. Shows what `sys._current_frames()` and `f_back` would, with `f_locals` as it would have been.

mod suspended;
mod variables;

pub use suspended::{Generator, GeneratorState, generator_state};
pub use variables::{Variables, filled};

use super::lines::line_of;
use super::stack_ref::{StackRef, frame_code, frame_field};
use super::types::WalkKind;
use super::values::{is_str, read_str};
use super::words::{ReadField, word};
use super::{Runtime, ThreadState};
use crate::corefile::{Address, ReadError};
use rustc_hash::{FxHashMap, FxHashSet};
use variables::{CELL, FREE, HIDDEN};

/// `FRAME_OWNED_BY_GENERATOR` (Include/internal/pycore_frame.h, 3.11 to 3.13).
const OWNED_BY_GENERATOR: u64 = 1;
/// `CO_OPTIMIZED` (Include/cpython/code.h): local variables live in slots, not in a dict.
const OPTIMIZED: u64 = 1;
/// Longest name that is read, in characters.
const MAX_NAME: usize = 1024;
/// Bytes of names, variables and line tables that one stack may cost: over a million ordinary frames.
const MAX_STACK_BYTES: usize = 1 << 30;

/// One frame of a Python stack.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its `_PyInterpreterFrame`; up to 3.10 its frame object.
    pub address: Address,
    /// Its code object.
    pub code: Address,
    /// The function object it runs; 0 up to 3.10, where frames do not know it.
    pub function: Address,
    /// `f_globals`.
    pub globals: Address,
    /// `co_name`.
    pub name: String,
    /// `co_qualname`; `co_name` up to 3.10, where code does not know its qualified name.
    pub qualname: String,
    /// `co_filename`.
    pub filename: String,
    /// `f_lineno`; `None` where the compiler gave the instruction no line.
    pub line: Option<u32>,
    /// `co_firstlineno`.
    pub first_line: u32,
    /// It was in the interpreter's loop, so that how many temporaries it had is not known (`stacktop` is −1, `stackpointer` NULL).
    pub running: bool,
    /// The variables in slots that were set, in slot order.
    pub locals: Vec<FrameLocal>,
    /// The namespace of a module's or class's frame: a dict, or what a metaclass prepared; 0 for functions. It is given
    /// even while a comprehension of the body runs, when `f_locals` of 3.13 shows nothing but `locals`.
    pub locals_dict: Address,
    /// A dict of names put into `f_locals` by hand, or 0. Variables it names stand in `locals`, which is right about
    /// them: up to 3.12 it is what the last `locals()` left (PEP 667).
    pub extra_locals: Address,
}

/// One variable of a frame.
#[derive(Clone, Debug)]
pub struct FrameLocal {
    /// Its name.
    pub name: String,
    /// Its value: for a variable shared with other functions, what its cell holds.
    pub object: Address,
    /// The cell that the frame holds instead of the value.
    pub cell: Option<Address>,
    /// Its word among those of the frame.
    pub index: u32,
}

/// Why a stack is known in part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackDamage {
    /// A frame, its code or its variables cannot be read.
    #[error("frame {frame:#x} is not readable: {source}; frames or variables are missing from the stack")]
    Unreadable {
        /// The `_PyInterpreterFrame`.
        frame: Address,
        /// What was missing.
        source: ReadError,
    },
    /// A frame's code is not a code object.
    #[error("what frame {frame:#x} runs, {code:#x}, is no code object; the frame is missing from the stack")]
    NoCode {
        /// The `_PyInterpreterFrame`.
        frame: Address,
        /// What stands in the place of its code.
        code: Address,
    },
    /// The chain comes back to a frame.
    #[error("the stack comes back to frame {frame:#x}; it ends there")]
    Cycle {
        /// The `_PyInterpreterFrame`.
        frame: Address,
    },
    /// The stack is longer than the memory it stands in, or its names are larger than any program's.
    #[error("the stack is too large to be true or to be shown whole; frames from {frame:#x} on are left out")]
    TooLarge {
        /// The first `_PyInterpreterFrame` left out.
        frame: Address,
    },
}

/// The exceptions of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadExceptions {
    /// The one being handled: what `sys.exception()` would return.
    pub handled: Option<Address>,
    /// The one on its way to a handler.
    pub raised: Option<Address>,
}

/// The frames of `thread`, innermost first, and the first damage met. Frames that Python does not show (entries from
/// C, functions that have not begun) are left out.
pub fn thread_frames(runtime: &Runtime<'_>, thread: &ThreadState) -> (Vec<Frame>, Option<StackDamage>) {
    let (chain, mut damage) = frame_chain(runtime, thread.address);
    let mut reader = FrameReader::new(runtime);
    let mut frames = Vec::new();
    for frame in chain {
        match is_shown(runtime, frame) {
            Ok(false) => {}
            Ok(true) if reader.left == 0 => {
                damage.get_or_insert(StackDamage::TooLarge { frame });
                break;
            }
            Ok(true) => frames.push(reader.read(frame)),
            Err(reason) => {
                damage.get_or_insert(reason);
            }
        }
    }
    (frames, damage.or(reader.damage))
}

/// The frame of the frame object at `object`, as tracebacks hold them; `None` if it is none or not readable.
pub fn frame_of_object(runtime: &Runtime<'_>, object: Address) -> Option<Frame> {
    if kind_of(runtime, object)? != WalkKind::Frame {
        return None;
    }
    read_alone(runtime, frame_in(runtime, object).ok()?)
}

/// The frame that the frame object at `object` stands for: itself up to 3.10.
///
/// # Errors
/// The object is not readable.
pub fn frame_in(runtime: &Runtime<'_>, object: Address) -> Result<Address, ReadError> {
    match runtime.layouts.frame_object.frame {
        Some(field) => runtime.space.field(object, field),
        None => Ok(object),
    }
}

/// The frame of the generator, coroutine or async generator at `generator`; `None` if it is none or has ended.
pub fn generator_frame(runtime: &Runtime<'_>, generator: Address) -> Option<Frame> {
    if kind_of(runtime, generator)? != WalkKind::Generator {
        return None;
    }
    let l = &runtime.layouts.generator;
    let (Some(state), Some(iframe)) = (l.frame_state, l.iframe) else {
        // Up to 3.10 a generator that has ended has let go of its frame object.
        let frame = runtime.space.field(generator, l.frame?).ok()?;
        return (frame != 0).then(|| read_alone(runtime, frame))?;
    };
    let state = runtime.space.signed(generator, state).ok()?;
    // FRAME_STATE_FINISHED: 3.13 leaves one that was closed while suspended completed, not cleared.
    if state > i64::from(runtime.semantics.frame_executing) {
        return None;
    }
    read_alone(runtime, generator.wrapping_add(u64::from(iframe.offset)))
}

/// Generator, coroutine or async generator that `frame` belongs to, if it is one's.
pub fn generator_of(runtime: &Runtime<'_>, frame: Address) -> Option<Address> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let generator = match (l.frame.owner, l.generator.iframe, l.frame.generator) {
        (Some(owner), Some(iframe), _) => {
            if space.small(frame, owner).ok()? != OWNED_BY_GENERATOR {
                return None;
            }
            frame.checked_sub(u64::from(iframe.offset))?
        }
        (_, _, Some(field)) => space.field(frame, field).ok()?,
        _ => return None,
    };
    (kind_of(runtime, generator)? == WalkKind::Generator).then_some(generator)
}

/// The exceptions `thread` was handling and raising.
pub fn thread_exceptions(runtime: &Runtime<'_>, thread: &ThreadState) -> ThreadExceptions {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let object = |address: Address| (address != 0 && address != runtime.landmarks.none).then_some(address);
    let mut handled = None;
    let mut seen = FxHashSet::default();
    // _PyErr_GetTopmostException, Python/errors.c: levels of generators that handle nothing are passed over.
    let mut item = space.field(thread.address, l.thread.exc_info).unwrap_or(0);
    while item != 0 && handled.is_none() && seen.insert(item) {
        handled = space.field(item, l.err_stack_item.exc_value).ok().and_then(object);
        item = space.field(item, l.err_stack_item.previous).unwrap_or(0);
    }
    let raised = l.thread.current_exception.and_then(|field| space.field(thread.address, field).ok());
    ThreadExceptions { handled, raised: raised.and_then(object) }
}

/// Every `_PyInterpreterFrame` of the thread state at `thread`, innermost first, shown by Python or not.
pub fn frame_chain(runtime: &Runtime<'_>, thread: Address) -> (Vec<Address>, Option<StackDamage>) {
    let l = &runtime.layouts;
    let mut frames = Vec::new();
    let mut seen = FxHashSet::default();
    let bound = runtime.mapped_bytes / u64::from(l.frame.size.max(8));
    let mut next = innermost(runtime, thread);
    loop {
        let frame = match next {
            Ok(0) => return (frames, None),
            Ok(frame) => frame,
            Err(source) => {
                let frame = frames.last().copied().unwrap_or(thread);
                return (frames, Some(StackDamage::Unreadable { frame, source }));
            }
        };
        if frames.len() as u64 >= bound {
            return (frames, Some(StackDamage::TooLarge { frame }));
        }
        if !seen.insert(frame) {
            return (frames, Some(StackDamage::Cycle { frame }));
        }
        frames.push(frame);
        next = runtime.space.field(frame, l.frame.previous);
    }
}

/// The innermost frame: the thread state's own member since 3.13 and up to 3.10, its C frame's between.
fn innermost(runtime: &Runtime<'_>, thread: Address) -> Result<Address, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    if let Some(field) = l.thread.current_frame.or(l.thread.frame) {
        return space.field(thread, field);
    }
    let (Some(cframe), Some(field)) = (l.thread.cframe, l.cframe.current_frame) else { return Ok(0) };
    match space.field(thread, cframe)? {
        0 => Ok(0),
        cframe => space.field(cframe, field),
    }
}

/// Whether Python shows `frame`: neither an entry from C nor a frame that is still making its cells or its generator
/// (`_PyFrame_IsIncomplete`, Include/internal/pycore_frame.h).
pub fn is_shown(runtime: &Runtime<'_>, frame: Address) -> Result<bool, StackDamage> {
    let unreadable = |source| StackDamage::Unreadable { frame, source };
    let (space, l) = (&runtime.space, &runtime.layouts);
    let owner = l.frame.owner.map(|field| space.small(frame, field)).transpose().map_err(unreadable)?;
    if owner.is_some_and(|owner| owner >= u64::from(runtime.semantics.first_shim_owner)) {
        return Ok(false);
    }
    let code = frame_code(runtime, frame).map_err(unreadable)?;
    if kind_of(runtime, code) != Some(WalkKind::Code) {
        return Err(StackDamage::NoCode { frame, code });
    }
    // Up to 3.10 a frame is shown as soon as it is a thread's.
    let Some(begun) = l.code.firsttraceable else { return Ok(true) };
    if owner == Some(OWNED_BY_GENERATOR) {
        return Ok(true);
    }
    let begun = space.signed(code, begun).map_err(unreadable)?;
    Ok(instruction(runtime, frame, code).map_err(unreadable)? >= begun)
}

/// Offset in code units of the instruction a frame is at; −1 or less if it has not begun.
///
/// Up to 3.12 `prev_instr` is the last unit before the next instruction, since 3.13 `instr_ptr` is the instruction itself:
/// both lie in the location table's entry of the instruction that runs. Up to 3.10 `f_lasti` is the last instruction's
/// offset: in units in 3.10, in bytes before, when lines stood in `co_lnotab` (Include/cpython/frameobject.h).
fn instruction(runtime: &Runtime<'_>, frame: Address, code: Address) -> Result<i64, ReadError> {
    let l = &runtime.layouts;
    if let Some(last) = l.frame.lasti {
        let last = runtime.space.signed(frame, last)?;
        return Ok(if l.code.lnotab.is_some() { last >> 1 } else { last });
    }
    let (Some(field), Some(bytecode)) = (l.frame.instr_ptr.or(l.frame.prev_instr), l.code.code_adaptive)
    else {
        return Ok(-1);
    };
    let bytecode = match thread_bytecode(runtime, frame, code)? {
        0 => code.wrapping_add(u64::from(bytecode.offset)),
        copy => copy,
    };
    Ok((runtime.space.field(frame, field)?.wrapping_sub(bytecode) as i64) >> 1)
}

/// The instructions that a frame runs where each thread has a copy of its own (`_PyFrame_GetBytecode`,
/// Include/internal/pycore_interpframe.h, free-threaded 3.14); 0 where they stand in the code object only.
fn thread_bytecode(runtime: &Runtime<'_>, frame: Address, code: Address) -> Result<Address, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let (Some(index), Some(copies)) = (l.frame.tlbc_index, l.code.tlbc) else { return Ok(0) };
    let (Some(size), Some(entries)) =
        (l.free_threaded.code_array.size_used, l.free_threaded.code_array.entries)
    else {
        return Ok(0);
    };
    let copies = space.field(code, copies)?;
    let index = space.small(frame, index)?;
    if copies == 0 || index >= space.field(copies, size)? {
        return Ok(0);
    }
    space.read_u64(copies.wrapping_add(u64::from(entries.offset)).wrapping_add(index.wrapping_mul(8)))
}

/// How the references of the object at `address` are stored, which also says what it is.
fn kind_of(runtime: &Runtime<'_>, address: Address) -> Option<WalkKind> {
    let type_ = runtime.space.field(address, runtime.layouts.object.type_).ok()?;
    Some(runtime.types.of(type_)?.walk.kind)
}

/// Whether `object` is a cell.
fn is_cell(runtime: &Runtime<'_>, object: Address) -> bool {
    let type_ = runtime.space.field(object, runtime.layouts.object.type_);
    type_
        .ok()
        .and_then(|type_| runtime.types.of(type_))
        .is_some_and(|info| !info.is_heap_type() && info.name.as_ref() == "builtins.cell")
}

/// Reads one frame that is not part of a thread's stack; `None` if Python does not show it or it is not readable.
pub fn read_alone(runtime: &Runtime<'_>, frame: Address) -> Option<Frame> {
    is_shown(runtime, frame).ok()?.then(|| FrameReader::new(runtime).read(frame))
}

/// Reads the frames of one stack: names and lines once for each code, and all together within bounds.
struct FrameReader<'r, 'core> {
    runtime: &'r Runtime<'core>,
    /// Lines already looked up, by code and instruction.
    lines: FxHashMap<(Address, i64), Option<u32>>,
    /// Bytes that may still be spent.
    left: usize,
    /// The first damage met.
    damage: Option<StackDamage>,
}

impl<'r, 'core> FrameReader<'r, 'core> {
    fn new(runtime: &'r Runtime<'core>) -> Self {
        Self { runtime, lines: FxHashMap::default(), left: MAX_STACK_BYTES, damage: None }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Reads `frame`, which [`is_shown`]; what cannot be read is left empty and noted.
    fn read(&mut self, frame: Address) -> Frame {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let pointer = |base, field| space.field(base, field).unwrap_or(0);
        let code = frame_code(self.runtime, frame).unwrap_or(0);
        let function = l.frame.function.and_then(|field| frame_field(self.runtime, frame, field).ok()?);
        let variables = Variables::of(self.runtime, code).unwrap_or_default();
        let flags = space.small(code, l.code.flags).unwrap_or(0);
        let (locals, locals_dict, extra_locals) = match self.variables(frame, code, flags) {
            Ok(found) => found,
            Err(source) => {
                self.damage.get_or_insert(StackDamage::Unreadable { frame, source });
                (Vec::new(), 0, 0)
            }
        };
        self.spend(size_of::<Frame>());
        Frame {
            address: frame,
            code,
            function: function.map_or(0, |function| function.object),
            globals: pointer(frame, l.frame.globals),
            name: self.text(pointer(code, l.code.name)),
            qualname: self.text(pointer(code, l.code.qualname.unwrap_or(l.code.name))),
            filename: self.text(pointer(code, l.code.filename)),
            line: self.line(frame, code),
            first_line: space.small(code, l.code.firstlineno).unwrap_or(0) as u32,
            running: filled(self.runtime, frame, &variables).is_ok_and(|words| words.is_none()),
            locals,
            locals_dict,
            extra_locals,
        }
    }

    fn text(&mut self, object: Address) -> String {
        let text = match is_str(self.runtime, object) {
            true => read_str(self.runtime, object, MAX_NAME).unwrap_or_default(),
            false => String::new(),
        };
        self.spend(text.len());
        text
    }

    /// `f_lineno` (Objects/frameobject.c, `PyFrame_GetLineNumber`): a tracer's word counts more than the table.
    fn line(&mut self, frame: Address, code: Address) -> Option<u32> {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let object = l.frame.frame_obj.map_or(frame, |field| space.field(frame, field).unwrap_or(0));
        // Up to 3.9 the word is meant only while there is a tracer.
        let is_set =
            || l.code.lnotab.is_none() || space.field(object, l.frame_object.trace).is_ok_and(|f| f != 0);
        if kind_of(self.runtime, object) == Some(WalkKind::Frame)
            && is_set()
            && let Ok(line @ 1..) = space.signed(object, l.frame_object.lineno)
        {
            return u32::try_from(line).ok();
        }
        let unit = instruction(self.runtime, frame, code).ok()?;
        if let Some(&line) = self.lines.get(&(code, unit)) {
            return line;
        }
        let line = line_of(self.runtime, code, unit);
        let table =
            l.code.linetable.or(l.code.lnotab).map_or(0, |field| space.field(code, field).unwrap_or(0));
        self.spend(space.field(table, l.var_object.ob_size).unwrap_or(0) as usize);
        self.lines.insert((code, unit), line);
        line
    }

    /// Variables in slots, the namespace, and the names put in by hand: the parts of `f_locals`.
    fn variables(
        &mut self,
        frame: Address,
        code: Address,
        flags: u64,
    ) -> Result<(Vec<FrameLocal>, Address, Address), ReadError> {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let optimized = flags & OPTIMIZED != 0;
        let namespace = space.field(frame, l.frame.locals)?;
        let slots = self.slots(frame, code)?;
        // Since 3.13 (PEP 667) f_locals is a view of the slots, except for a namespace that has no variables of inlined
        // comprehensions at the time, which is shown itself and alone (frame_getlocals).
        let Some(extra) = l.frame_object.extra_locals else {
            // Free variables of a class body are not copied into its namespace (frame_get_var).
            let shown = slots.into_iter().filter(|slot| optimized || slot.kind & FREE == 0);
            let locals = self.locals(shown)?;
            return Ok(if optimized { (locals, 0, namespace) } else { (locals, namespace, 0) });
        };
        let object = l.frame.frame_obj.map_or(Ok(0), |field| space.field(frame, field))?;
        let extra = if object == 0 { 0 } else { space.field(object, extra)? };
        let view = optimized || slots.iter().any(|slot| slot.kind & HIDDEN != 0 && slot.value != 0);
        let locals = if view { self.locals(slots.into_iter())? } else { Vec::new() };
        Ok((locals, if optimized { 0 } else { namespace }, extra))
    }

    /// The variables of a frame that have a name, as its code lists them.
    fn slots(&mut self, frame: Address, code: Address) -> Result<Vec<VariableSlot>, ReadError> {
        let l = &self.runtime.layouts;
        let variables = Variables::of(self.runtime, code)?;
        // A stack top of 0 is a frame that has been cleared: its slots are no longer its own.
        if variables.count() == 0 || filled(self.runtime, frame, &variables)? == Some(0) {
            return Ok(Vec::new());
        }
        let names = variables.names(self.runtime)?;
        let bytes = names.len().saturating_mul(8);
        self.spend(bytes.saturating_mul(2));
        let start = frame.wrapping_add(u64::from(l.frame.localsplus.offset));
        let values = self.runtime.space.slice(start, bytes)?;
        let tagged = self.runtime.semantics.tagged_stack;
        let slot = |(index, &(name, kind)): (usize, &(Address, u8))| VariableSlot {
            index: index as u32,
            kind,
            name,
            value: StackRef::decode(word(values, index * 8), tagged).map_or(0, |found| found.object),
        };
        Ok(names.iter().enumerate().map(slot).collect())
    }

    /// The slots that are set, with cells opened.
    fn locals(&mut self, slots: impl Iterator<Item = VariableSlot>) -> Result<Vec<FrameLocal>, ReadError> {
        let mut locals = Vec::new();
        for slot in slots.filter(|slot| slot.value != 0) {
            // In a frame that is shown all cells of its function have been made, save those of inlined comprehensions,
            // before which the slot holds a plain value: what is no cell is the value itself.
            let cell =
                (slot.kind & (CELL | FREE) != 0 && is_cell(self.runtime, slot.value)).then_some(slot.value);
            let object = match cell {
                Some(cell) => self.runtime.space.field(cell, self.runtime.layouts.cell.contents)?,
                None => slot.value,
            };
            if object != 0 {
                self.spend(size_of::<FrameLocal>());
                locals.push(FrameLocal { name: self.text(slot.name), object, cell, index: slot.index });
            }
        }
        Ok(locals)
    }
}

/// One variable as a frame and its code have it.
struct VariableSlot {
    index: u32,
    kind: u8,
    name: Address,
    value: Address,
}
