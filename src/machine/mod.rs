//! A bounded interpreter of x86-64 machine code over the memory of a dead process.
//!
//! An extension type says what it references in one place only: its `tp_traverse(self, visit, arg)`, which is machine
//! code. This module follows that code, instruction by instruction, in the memory of the dead process, and records
//! each call of the visitor. So the references of any type are known exactly, without running anything natively and
//! without knowing the type.
//!
//! It knows instructions, registers, memory and the calling convention (System V psABI for x86-64). It refuses to know
//! Python: what an object, a type or a module is, and where `tp_traverse` stands, is the caller's business.
//!
//! Safety and bounds: instructions outside a small subset stop the run; writes go to a private stack and a bounded
//! overlay; instructions and calls are counted against [`Limits`]. The dead process is only ever read.
//!
//! ```text
//! code (bytes → operations: lower, lower_vector) ─▶ execute, vector (effects; arithmetic) ─▶ space (memory)
//!                                   └────────── this file: calls, visits, limits ──────────┘
//! ```

mod arithmetic;
mod code;
mod execute;
mod lower;
mod lower_vector;
mod operation;
mod space;
mod vector;

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use code::Blocks;
use execute::{Processor, Transfer};
use operation::Gpr;
pub use space::Memory;
use space::{Fault, Scratch, Space, Word};

/// Address of the visitor: not canonical, so no code of a process can be there.
const VISITOR: u64 = 0x5afe_0001_0000_0000;
/// Where the traversal returns to.
const HOME: u64 = 0x5afe_0002_0000_0000;
/// The `arg` handed through to the visitor. It points nowhere: a traversal has no business looking behind it.
const ARGUMENT: u64 = 0x5afe_0003_0000_0000;

/// Why a run stopped before the traversal returned. The visits until then are not the whole answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
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
    /// Address of the memory word the value was loaded from, when it came through moves, the stack, or arithmetic
    /// with constants (tag bits) only.
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
    bindings: FxHashMap<u64, u64>,
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

    /// Calls through the unbound slot at `got_slot` go to `target`, as the dynamic linker would have bound it.
    pub fn bind(&mut self, got_slot: u64, target: u64) {
        self.bindings.insert(got_slot, target);
    }
}

/// Follows `entry(object, visitor, argument)` and reports each call of the visitor, in order.
///
/// The visitor returns zero. Other calls are followed into the callee unless `hooks` answers for the target. After an
/// error the visits reported so far are a prefix of the answer; after [`Stop::UnboundCall`] the caller can
/// [`bind`](CodeCache::bind) the slot and run again.
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
    let CodeCache { blocks, bindings, scratch, limits, thread_base } = code;
    let space = Space::new(memory, scratch, *thread_base);
    let calls = Calls { bindings, hooks, depth: 0, depth_limit: limits.call_depth };
    Run { memory, blocks, processor: Processor::new(space), calls, budget: limits.instructions }
        .follow(entry, object, visit)
}

/// A reference and, when the visited value was loaded from inside the object, the field it was loaded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldVisit {
    /// The referenced object.
    pub target: u64,
    /// Offset in bytes of the field from the object's address.
    pub offset: Option<u64>,
}

/// Like [`traverse`], with each visit placed in the `size` bytes of the object where it was loaded from there.
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

/// Where control goes after a call or jump has been looked at.
enum Next {
    Continue(u64),
    Finished,
}

/// One run.
struct Run<'a, M> {
    memory: &'a M,
    blocks: &'a mut Blocks,
    processor: Processor<'a, M>,
    calls: Calls<'a>,
    budget: u64,
}

impl<M: Memory> Run<'_, M> {
    fn follow(mut self, entry: u64, object: u64, visit: &mut dyn FnMut(Visit)) -> Result<(), Stop> {
        self.processor.set(Gpr::RDI, Word::computed(object));
        self.processor.set(Gpr::RSI, Word::computed(VISITOR));
        self.processor.set(Gpr::RDX, Word::computed(ARGUMENT));
        self.processor.push(Word::computed(HOME)).map_err(|fault| self.stop(entry, fault))?;
        let (mut at, mut from) = (entry, entry);
        loop {
            let block = self.blocks.get(self.memory, at);
            if block.steps.is_empty() {
                return Err(Stop::BadCall { at: from, target: at });
            }
            self.budget = self.budget.checked_sub(block.steps.len() as u64).ok_or(Stop::StepLimit)?;
            let transfer = match self.processor.run(block) {
                Ok(transfer) => transfer,
                Err((at, fault)) => return Err(self.stop(at, fault)),
            };
            from = at;
            match self.transfer(from, transfer, visit)? {
                Next::Continue(target) => at = target,
                Next::Finished => return Ok(()),
            }
        }
    }

    #[inline]
    fn transfer(
        &mut self,
        from: u64,
        transfer: Transfer,
        visit: &mut dyn FnMut(Visit),
    ) -> Result<Next, Stop> {
        match transfer {
            Transfer::Within { target } => Ok(Next::Continue(target)),
            Transfer::Return { target } => Ok(self.calls.leave(target)),
            Transfer::Jump { target, slot } => self.enter(from, target, slot, visit),
            Transfer::Call { target, slot } => {
                self.calls.nest(target)?;
                self.enter(from, target, slot, visit)
            }
        }
    }

    /// Control reaches `target` with its return address on top of the stack.
    fn enter(
        &mut self,
        from: u64,
        target: u64,
        slot: Option<u64>,
        visit: &mut dyn FnMut(Visit),
    ) -> Result<Next, Stop> {
        if target == VISITOR {
            let Word { value, origin } = self.processor.get(Gpr::RDI);
            visit(Visit { target: value, loaded_from: Some(origin).filter(|origin| *origin != 0) });
            return self.answer(from, 0);
        }
        let target = match slot {
            Some(got_slot) if self.blocks.get(self.memory, target).is_lazy_stub => {
                *self.calls.bindings.get(&got_slot).ok_or(Stop::UnboundCall { got_slot })?
            }
            _ => target,
        };
        match (self.calls.hooks)(target) {
            Some(Hook::Return(value)) => self.answer(from, value),
            Some(Hook::Redirect(other)) => Ok(Next::Continue(other)),
            None => Ok(Next::Continue(target)),
        }
    }

    /// Returns `value` to whoever called.
    fn answer(&mut self, from: u64, value: u64) -> Result<Next, Stop> {
        self.processor.set(Gpr::RAX, Word::computed(value));
        let target = self.processor.pop().map_err(|fault| self.stop(from, fault))?.value;
        Ok(self.calls.leave(target))
    }

    fn stop(&self, at: u64, fault: Fault) -> Stop {
        match fault {
            Fault::Unreadable { address } => Stop::UnreadableMemory { at, address },
            Fault::StackOverflow => Stop::CallDepth { at },
            Fault::TooManyWrites => Stop::TooManyWrites { at },
            Fault::ThreadLocal { offset } => Stop::ThreadLocal { at, offset },
            Fault::DivideError => Stop::DivideError { at },
            Fault::StringTooLong => Stop::StepLimit,
            Fault::Unsupported => Stop::UnsupportedInstruction { at, text: code::name(self.memory, at) },
        }
    }
}

/// What is known about calls: who answers them and how deep they nest.
struct Calls<'a> {
    bindings: &'a FxHashMap<u64, u64>,
    hooks: &'a dyn Fn(u64) -> Option<Hook>,
    depth: u32,
    depth_limit: u32,
}

impl Calls<'_> {
    fn nest(&mut self, target: u64) -> Result<(), Stop> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.depth_limit { Err(Stop::CallDepth { at: target }) } else { Ok(()) }
    }

    fn leave(&mut self, target: u64) -> Next {
        self.depth = self.depth.saturating_sub(1);
        if target == HOME { Next::Finished } else { Next::Continue(target) }
    }
}
