//! A bounded interpreter of x86-64 machine code over the memory of a dead process.
//!
//! An extension type says what it references in one place only: its `tp_traverse(self, visit, arg)`, which is
//! machine code. This module follows that code, instruction by instruction, in the memory of the dead
//! process, and records each call of the visitor. So the references of any type are known exactly, without
//! running anything natively and without knowing the type.
//!
//! It knows instructions, registers, memory and the calling convention (System V psABI for x86-64). It
//! refuses to know Python: what an object, a type or a module is, and where `tp_traverse` stands, is the
//! caller's business.
//!
//! Safety and bounds: instructions outside a small subset stop the run; writes go to a private stack and a
//! bounded overlay; instructions and calls are counted against [`Limits`]. The dead process is only ever
//! read.
//!
//! ```text
//! code (bytes → operations: lower, lower_vector) ─▶ execute, vector (effects; arithmetic) ─▶ space (memory)
//!                          └──────── run: blocks, calls, visits, limits; standard: memcmp & co ───┘
//! ```

mod arithmetic;
mod code;
mod execute;
mod lower;
mod lower_vector;
mod operation;
mod run;
mod space;
mod standard;
mod vector;

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use code::Blocks;
use execute::Processor;
use run::{Run, known};
pub use space::Memory;
use space::{Scratch, Space, Word};
pub use standard::StandardFunction;

/// Why a run stopped before the traversal returned. The visits until then are not the whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The process ran on another processor.
    #[error("the code is for {machine}, and only x86-64 code is followed")]
    UnsupportedMachine {
        /// The processor, as people call it.
        machine: &'static str,
    },
    /// The code reads memory that the core file does not hold.
    #[error("the code at {at:#x} reads {address:#x}, which the core file and the mapped files do not hold")]
    UnreadableMemory {
        /// Address of the instruction.
        at: u64,
        /// The address it reads, or writes.
        address: u64,
    },
    /// An instruction outside the subset.
    #[error(
        "the instruction {text} at {at:#x} is outside the interpreted subset; classify this type by layout"
    )]
    UnsupportedInstruction {
        /// Address of the instruction.
        at: u64,
        /// The decoder's name for it.
        text: String,
        /// The memory word through which the function was called, when it was an indirect call: a slot of the
        /// global offset table whose relocation names the function. See [`CodeCache::bind`].
        entered_through: Option<u64>,
    },
    /// A call, jump or return to an address without readable code.
    #[error(
        "the code at {at:#x} transfers to {target:#x}, where no code can be read; is the module's file missing?"
    )]
    BadCall {
        /// Address of the transferring code's block.
        at: u64,
        /// The address it transfers to.
        target: u64,
    },
    /// A call through a procedure linkage table entry that the process had not bound yet.
    #[error(
        "the call through the unbound slot {got_slot:#x} needs its relocation; resolve it and bind the slot"
    )]
    UnboundCall {
        /// Address of the slot in the global offset table; see [`CodeCache::bind`].
        got_slot: u64,
    },
    /// Thread-local storage is read but the thread's base is not known.
    #[error("the code at {at:#x} reads thread-local offset {offset:#x}; supply the thread's fs base")]
    ThreadLocal {
        /// Address of the instruction.
        at: u64,
        /// Offset from the thread's base.
        offset: u64,
    },
    /// The code writes more distinct words than the overlay holds.
    #[error("the code at {at:#x} writes too much memory for a traversal; classify this type by layout")]
    TooManyWrites {
        /// Address of the instruction.
        at: u64,
    },
    /// A division by zero or an overflowing quotient.
    #[error("the division at {at:#x} faults; the object is damaged or already torn down")]
    DivideError {
        /// Address of the instruction.
        at: u64,
    },
    /// [`Limits::instructions`] were executed.
    #[error("the instruction limit was reached; raise it if the object is a very large container")]
    StepLimit,
    /// [`Limits::call_depth`] or the private stack was exceeded.
    #[error("calls at {at:#x} nest too deep for a traversal; classify this type by layout")]
    CallDepth {
        /// Address of the instruction, or of the called function.
        at: u64,
    },
}

/// One call of the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The visited address: the referenced object.
    pub target: u64,
    /// Address of the memory word the value was loaded from, when it came through moves, the stack, or
    /// arithmetic with constants (tag bits) only.
    pub loaded_from: Option<u64>,
}

/// The caller's own answer to a call or tail call, in place of following it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The function returns this value at once, without visiting anything.
    Return(u64),
    /// The function at this address is followed instead.
    Redirect(u64),
}

/// What a call through a slot of the global offset table reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The function at this address.
    Function(u64),
    /// A C library function, carried out by its meaning.
    Standard(StandardFunction),
}

/// What one run may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Executed instructions (counted per block of at most 64).
    pub instructions: u64,
    /// Nested calls.
    pub call_depth: u32,
}

impl Default for Limits {
    /// Four million instructions, enough for a container of some hundred thousand elements; 64 nested calls.
    fn default() -> Self {
        Limits { instructions: 4_000_000, call_depth: 64 }
    }
}

/// Decoded instructions and working memory, reused by many runs over the same dead process on one thread.
#[derive(Debug)]
pub struct CodeCache {
    blocks: Blocks,
    bindings: FxHashMap<u64, Binding>,
    scratch: Scratch,
    limits: Limits,
    thread_base: Option<u64>,
}

impl Default for CodeCache {
    fn default() -> Self {
        CodeCache::new(Limits::default())
    }
}

impl CodeCache {
    /// An empty cache whose runs are held to `limits`.
    pub fn new(limits: Limits) -> CodeCache {
        CodeCache {
            blocks: Blocks::default(),
            bindings: FxHashMap::default(),
            scratch: Scratch::new(),
            limits,
            thread_base: None,
        }
    }

    /// Runs speak for the thread whose `fs` base is `base` (`NT_PRSTATUS` of the core file has it).
    #[must_use]
    pub fn with_thread_base(mut self, base: u64) -> CodeCache {
        self.thread_base = Some(base);
        self
    }

    /// Calls through the slot of the global offset table at `got_slot` reach `binding`, whatever the slot
    /// holds.
    pub fn bind(&mut self, got_slot: u64, binding: Binding) {
        self.bindings.insert(got_slot, binding);
    }

    /// The 64-bit word at `address` reads as `value` in every run, for example the current thread state of a
    /// process that died with the GIL released. False, and without effect, when the address is not a multiple
    /// of eight.
    #[must_use]
    pub fn assume(&mut self, address: u64, value: u64) -> bool {
        self.scratch.assume(address, value)
    }

    fn run<M: Memory>(
        &mut self,
        memory: &M,
        entry: u64,
        object: u64,
        hooks: &dyn Fn(u64) -> Option<Hook>,
        visit: &mut dyn FnMut(Visit),
    ) -> Result<Word, Stop> {
        let space = Space::new(memory, &mut self.scratch, self.thread_base);
        Run::new(memory, &mut self.blocks, Processor::new(space), &self.bindings, hooks, self.limits)
            .follow(entry, object, visit)
    }
}

/// Follows `entry(object, visitor, argument)` and reports each call of the visitor, in order.
///
/// The visitor returns zero. Other calls are followed into the callee unless `hooks` answers for the target.
/// After an error the visits reported so far are a prefix of the answer; after [`Stop::UnboundCall`] the
/// caller can [`bind`](CodeCache::bind) the slot and run again.
///
/// # Errors
///
/// A [`Stop`] when the code cannot be followed to its return.
pub fn traverse<M: Memory>(
    memory: &M,
    code: &mut CodeCache,
    entry: u64,
    object: u64,
    hooks: &dyn Fn(u64) -> Option<Hook>,
    visit: &mut dyn FnMut(Visit),
) -> Result<(), Stop> {
    code.run(memory, entry, object, hooks, visit).map(|_| ())
}

/// What a followed function returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The integer or pointer result.
    pub value: u64,
    /// Address of the memory word it was loaded from, as in [`Visit::loaded_from`].
    pub loaded_from: Option<u64>,
}

/// Follows `entry(argument)` to its return, for functions of at most one argument that only look: getters.
///
/// # Errors
///
/// As [`traverse`].
pub fn call<M: Memory>(
    memory: &M,
    code: &mut CodeCache,
    entry: u64,
    argument: u64,
    hooks: &dyn Fn(u64) -> Option<Hook>,
) -> Result<Returned, Stop> {
    let word = code.run(memory, entry, argument, hooks, &mut |_| ())?;
    Ok(Returned { value: word.value, loaded_from: known(word.origin) })
}

/// A reference and, when the visited value was loaded from inside the object, the field it was loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldVisit {
    /// The referenced object.
    pub target: u64,
    /// Offset in bytes of the field from the object's address.
    pub offset: Option<u64>,
}

/// Like [`traverse`], with each visit placed in the `size` bytes of the object where it was loaded from
/// there.
///
/// # Errors
///
/// As [`traverse`].
pub fn shape<M: Memory>(
    memory: &M,
    code: &mut CodeCache,
    entry: u64,
    object: u64,
    size: u64,
    hooks: &dyn Fn(u64) -> Option<Hook>,
) -> Result<Vec<FieldVisit>, Stop> {
    let mut fields = Vec::new();
    traverse(memory, code, entry, object, hooks, &mut |visit| {
        let offset =
            visit.loaded_from.and_then(|from| from.checked_sub(object)).filter(|offset| *offset < size);
        fields.push(FieldVisit { target: visit.target, offset });
    })?;
    Ok(fields)
}
