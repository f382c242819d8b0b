//! One run: follows control through blocks, calls and returns until the first function comes back.
//!
//! It knows the calling convention, the visitor, bindings and limits. It refuses to know single instructions
//! (see `execute`).

use rustc_hash::FxHashMap;

use super::code::{self, Blocks};
use super::execute::{Processor, Transfer};
use super::operation::Gpr;
use super::space::{Fault, Memory, Word};
use super::{Binding, Hook, Limits, Stop, Visit};

/// Address of the visitor: not canonical, so no code of a process can be there.
const VISITOR: u64 = 0x5afe_0001_0000_0000;
/// Where the followed function returns to.
const HOME: u64 = 0x5afe_0002_0000_0000;
/// The `arg` handed through to the visitor. It points nowhere: a traversal has no business looking behind it.
const ARGUMENT: u64 = 0x5afe_0003_0000_0000;

/// Where control goes after a call or jump has been looked at.
enum Next {
    Continue(u64),
    Finished,
}

/// One run.
pub(super) struct Run<'a, M> {
    memory: &'a M,
    blocks: &'a mut Blocks,
    processor: Processor<'a, M>,
    calls: Calls<'a>,
    budget: u64,
}

impl<'a, M: Memory> Run<'a, M> {
    pub(super) fn new(
        memory: &'a M,
        blocks: &'a mut Blocks,
        processor: Processor<'a, M>,
        bindings: &'a FxHashMap<u64, Binding>,
        hooks: &'a dyn Fn(u64) -> Option<Hook>,
        limits: Limits,
    ) -> Self {
        let calls = Calls { bindings, hooks, depth: 0, depth_limit: limits.call_depth, last_slot: None };
        Run { memory, blocks, processor, calls, budget: limits.instructions }
    }

    /// Follows `entry(object, visitor, argument)` to its return and gives what it returns.
    pub(super) fn follow(
        mut self,
        entry: u64,
        object: u64,
        visit: &mut dyn FnMut(Visit),
    ) -> Result<Word, Stop> {
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
                Next::Finished => return Ok(self.processor.get(Gpr::RAX)),
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
            visit(Visit { target: value, loaded_from: known(origin) });
            return self.answer(from, 0);
        }
        let target = match slot.map(|slot| (slot, self.calls.through(slot))) {
            None => target,
            Some((_, Some(Binding::Function(bound)))) => bound,
            Some((_, Some(Binding::Standard(function)))) => {
                let value = self.processor.standard(function).map_err(|fault| self.stop(from, fault))?;
                return self.answer(from, value);
            }
            Some((got_slot, None)) if self.blocks.get(self.memory, target).is_lazy_stub => {
                return Err(Stop::UnboundCall { got_slot });
            }
            Some(_) => target,
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
            Fault::Unsupported => Stop::UnsupportedInstruction {
                at,
                text: code::name(self.memory, at),
                entered_through: self.calls.last_slot.map(|(_, slot)| slot),
            },
        }
    }
}

/// An origin as the public types have it.
pub(super) fn known(origin: u64) -> Option<u64> {
    Some(origin).filter(|origin| *origin != 0)
}

/// What is known about calls: who answers them and how deep they nest.
struct Calls<'a> {
    bindings: &'a FxHashMap<u64, Binding>,
    hooks: &'a dyn Fn(u64) -> Option<Hook>,
    depth: u32,
    depth_limit: u32,
    /// Depth of, and memory word behind, the last indirect call that has not returned.
    last_slot: Option<(u32, u64)>,
}

impl Calls<'_> {
    fn nest(&mut self, target: u64) -> Result<(), Stop> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.depth_limit { Err(Stop::CallDepth { at: target }) } else { Ok(()) }
    }

    /// Notes an indirect call or jump through `slot`; what the slot is bound to, when the caller said so.
    fn through(&mut self, slot: u64) -> Option<Binding> {
        self.last_slot = Some((self.depth, slot));
        if self.bindings.is_empty() { None } else { self.bindings.get(&slot).copied() }
    }

    fn leave(&mut self, target: u64) -> Next {
        if self.last_slot.is_some_and(|(depth, _)| depth >= self.depth) {
            self.last_slot = None;
        }
        self.depth = self.depth.saturating_sub(1);
        if target == HOME { Next::Finished } else { Next::Continue(target) }
    }
}
