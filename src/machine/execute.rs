//! Effects of integer operations on registers, flags and memory.
//!
//! It knows the state of one run. It refuses to know where code comes from and what a call target means: it
//! reports transfers of control and leaves them to the caller.

use super::arithmetic::{self, Flags};
use super::code::Block;
use super::operation::{Binary, BitTest, Gpr, Location, Operand, Operation, Width};
use super::space::{Fault, Memory, STACK_TOP, Space, Word};
use super::vector::Vector;

/// Elements a string operation may move at once.
const STRING_ELEMENTS: u64 = 1 << 16;

/// Where control goes after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// A branch or the end of the block: the same function goes on.
    Within {
        target: u64,
    },
    /// A jump that may be a tail call; `slot` is the memory word a target was read from.
    Jump {
        target: u64,
        slot: Option<u64>,
    },
    /// A call; the return address is on the stack.
    Call {
        target: u64,
        slot: Option<u64>,
    },
    Return {
        target: u64,
    },
}

/// Registers, flags and memory of one run.
#[derive(Debug)]
pub(super) struct Processor<'a, M> {
    /// The general registers; the rest stay zero (see [`Gpr::ABSENT`]).
    registers: [Word; 32],
    pub(super) vectors: [Vector; 16],
    pub(super) flags: Flags,
    pub(super) space: Space<'a, M>,
}

impl<'a, M: Memory> Processor<'a, M> {
    /// All registers zero but the stack pointer, which is at the top of the empty private stack.
    pub(super) fn new(space: Space<'a, M>) -> Self {
        let mut processor = Processor {
            registers: [Word::default(); 32],
            vectors: [Vector::default(); 16],
            flags: Flags::default(),
            space,
        };
        processor.set(Gpr::RSP, Word::computed(STACK_TOP));
        processor
    }

    /// The whole register.
    #[inline]
    pub(super) fn get(&self, register: Gpr) -> Word {
        self.registers[usize::from(register.0 & 31)]
    }

    /// Replaces the whole register.
    #[inline]
    pub(super) fn set(&mut self, register: Gpr, word: Word) {
        self.registers[usize::from(register.0 & 31)] = word;
    }

    /// Pushes 64 bits.
    pub(super) fn push(&mut self, word: Word) -> Result<(), Fault> {
        let top = self.get(Gpr::RSP).value.wrapping_sub(8);
        self.space.store(top, Width::Quad, word)?;
        self.set(Gpr::RSP, Word::computed(top));
        Ok(())
    }

    /// Pops 64 bits.
    pub(super) fn pop(&mut self) -> Result<Word, Fault> {
        let top = self.get(Gpr::RSP).value;
        let word = self.space.load(top, Width::Quad)?;
        self.set(Gpr::RSP, Word::computed(top.wrapping_add(8)));
        Ok(word)
    }

    /// Executes `block` until control leaves it. On a fault, the address of the instruction comes with it.
    #[inline]
    pub(super) fn run(&mut self, block: &Block) -> Result<Transfer, (u64, Fault)> {
        let mut end = 0;
        for step in &block.steps {
            match self.step(&step.operation, step.next) {
                Ok(None) => end = step.next,
                Ok(Some(transfer)) => return Ok(transfer),
                Err(fault) => return Err((step.at, fault)),
            }
        }
        Ok(Transfer::Within { target: end })
    }

    #[inline]
    fn step(&mut self, operation: &Operation, next: u64) -> Result<Option<Transfer>, Fault> {
        match *operation {
            Operation::Nothing => {}
            Operation::Move { width, to, from } => {
                let word = self.read(width, &from)?;
                self.write(width, &to, word)?;
            }
            Operation::Push { from } => {
                let word = self.read(Width::Quad, &from)?;
                self.push(word)?;
            }
            Operation::Pop { to } => {
                let word = self.pop()?;
                self.write(Width::Quad, &to, word)?;
            }
            Operation::Binary { kind, width, to, from } => self.binary(kind, width, &to, &from)?,
            Operation::BranchIf { condition, target } => {
                return Ok(self.flags.hold(condition).then_some(Transfer::Within { target }));
            }
            Operation::Jump { target } => return Ok(Some(Transfer::Jump { target, slot: None })),
            Operation::JumpThrough { target } => {
                let (target, slot) = self.indirect(&target)?;
                return Ok(Some(Transfer::Jump { target, slot }));
            }
            Operation::Call { target } => {
                self.push(Word::computed(next))?;
                return Ok(Some(Transfer::Call { target, slot: None }));
            }
            Operation::CallThrough { target } => {
                let (target, slot) = self.indirect(&target)?;
                self.push(Word::computed(next))?;
                return Ok(Some(Transfer::Call { target, slot }));
            }
            Operation::Return { release } => {
                let target = self.pop()?.value;
                let top = self.get(Gpr::RSP).value.wrapping_add(u64::from(release));
                self.set(Gpr::RSP, Word::computed(top));
                return Ok(Some(Transfer::Return { target }));
            }
            ref other => self.other(other)?,
        }
        Ok(None)
    }

    /// The operations that are neither frequent nor transfers of control.
    fn other(&mut self, operation: &Operation) -> Result<(), Fault> {
        match *operation {
            Operation::ZeroExtend { width, to, from, from_width } => {
                let value = from_width.truncate(self.read(from_width, &from)?.value);
                self.write_register(width, to, Word::computed(value));
            }
            Operation::SignExtend { width, to, from, from_width } => {
                let value = from_width.sign_extend(self.read(from_width, &from)?.value) as u64;
                self.write_register(width, to, Word::computed(value));
            }
            Operation::LoadAddress { width, to, of } => {
                let address = self.offset(&of);
                // `lea` is how compilers add a constant, for example to strip a tag: the value keeps its
                // origin.
                let origin = if of.index == Gpr::ABSENT { self.get(of.base).origin } else { 0 };
                self.write_register(width, to, Word { value: address, origin });
            }
            Operation::Leave => {
                let frame = self.get(Gpr::RBP);
                self.set(Gpr::RSP, frame);
                let saved = self.pop()?;
                self.set(Gpr::RBP, saved);
            }
            Operation::SetIf { condition, to } => {
                let value = u64::from(self.flags.hold(condition));
                self.write(Width::Byte, &to, Word::computed(value))?;
            }
            Operation::MoveIf { condition, width, to, from } => {
                // The source is read, and the upper half cleared, whether or not the condition holds.
                let moved = self.read(width, &from)?;
                let word = if self.flags.hold(condition) { moved } else { self.get(to) };
                self.write_register(width, to, word);
            }
            Operation::Exchange { width, left, right } => {
                let (first, second) = (self.read(width, &left)?, self.read(width, &right)?);
                self.write(width, &left, second)?;
                self.write(width, &right, first)?;
            }
            Operation::ExchangeAdd { width, to, from } => {
                let (held, added) = (self.read(width, &to)?, self.read(width, &from)?);
                let (sum, flags) = arithmetic::add(width, held.value, added.value, false);
                self.write(width, &from, held)?;
                self.write(width, &to, Word::computed(sum))?;
                self.flags = flags;
            }
            Operation::CompareExchange { width, to, from } => self.compare_exchange(width, &to, &from)?,
            Operation::BitTest { kind, width, of, index } => self.bit_test(kind, width, &of, &index)?,
            Operation::FillString { width, repeat } => self.fill_string(width, repeat)?,
            Operation::CopyString { width, repeat } => self.copy_string(width, repeat)?,
            Operation::Vector { extent, ref operation } => self.vector(extent, operation)?,
            ref other => self.calculate(other)?,
        }
        Ok(())
    }

    /// The operations that compute a number.
    fn calculate(&mut self, operation: &Operation) -> Result<(), Fault> {
        match *operation {
            Operation::Unary { kind, width, to } => {
                let value = self.read(width, &to)?.value;
                let (result, flags) = arithmetic::unary(kind, width, value, self.flags);
                self.write(width, &to, Word::computed(result))?;
                self.flags = flags;
            }
            Operation::Shift { kind, width, to, count } => {
                let count = self.read(Width::Byte, &count)?.value;
                let value = self.read(width, &to)?.value;
                let (result, flags) = arithmetic::shift(kind, width, value, count, self.flags);
                self.write(width, &to, Word::computed(result))?;
                self.flags = flags;
            }
            Operation::Multiply { width, to, left, right } => {
                let (left, right) = (self.read(width, &left)?.value, self.read(width, &right)?.value);
                let (product, flags) = arithmetic::multiply(width, left, right);
                self.write_register(width, to, Word::computed(product));
                self.flags = flags;
            }
            Operation::MultiplyWide { signed, width, by } => {
                let by = self.read(width, &by)?.value;
                let (low, high, flags) =
                    arithmetic::multiply_wide(signed, width, self.get(Gpr::RAX).value, by);
                self.write_wide(width, low, high)?;
                self.flags = flags;
            }
            Operation::Divide { signed, width, by } => {
                let by = self.read(width, &by)?.value;
                let (low, high) = self.read_wide(width)?;
                let (quotient, remainder) =
                    arithmetic::divide(signed, width, high, low, by).ok_or(Fault::DivideError)?;
                self.write_wide(width, quotient, remainder)?;
            }
            Operation::ExtendAccumulator { width } => {
                let half = match width {
                    Width::Quad => Width::Long,
                    Width::Long => Width::Half,
                    Width::Half | Width::Byte => Width::Byte,
                };
                let value = half.sign_extend(self.get(Gpr::RAX).value) as u64;
                self.write_register(width, Gpr::RAX, Word::computed(value));
            }
            Operation::SpreadSign { width } => {
                let sign = if width.is_negative(self.get(Gpr::RAX).value) { u64::MAX } else { 0 };
                self.write_register(width, Gpr::RDX, Word::computed(sign));
            }
            Operation::BitCount { kind, width, to, from } => {
                let value = self.read(width, &from)?.value;
                let (result, flags) = arithmetic::bit_count(kind, width, value, self.flags);
                if let Some(result) = result {
                    self.write_register(width, to, Word::computed(result));
                }
                self.flags = flags;
            }
            ref other => return self.bit_field(other),
        }
        Ok(())
    }

    /// The operations on bit fields with a separate destination.
    fn bit_field(&mut self, operation: &Operation) -> Result<(), Fault> {
        let (width, to, result, flags) = match *operation {
            Operation::AndNot { width, to, left, right } => {
                let (left, right) = (self.read(width, &left)?.value, self.read(width, &right)?.value);
                let (result, flags) = arithmetic::binary(Binary::And, width, !left, right, false);
                (width, to, result, flags)
            }
            Operation::ShiftInto { kind, width, to, from, count } => {
                let (value, count) = (self.read(width, &from)?.value, self.read(width, &count)?.value);
                let (result, _) = arithmetic::shift(kind, width, value, count, self.flags);
                (width, to, result, self.flags)
            }
            Operation::ZeroHighBits { width, to, from, count } => {
                let (value, count) = (self.read(width, &from)?.value, self.read(width, &count)?.value);
                let (result, flags) = arithmetic::zero_high_bits(width, value, count);
                (width, to, result, flags)
            }
            Operation::LowestBit { kind, width, to, from } => {
                let (result, flags) = arithmetic::lowest_bit(kind, width, self.read(width, &from)?.value);
                (width, to, result, flags)
            }
            _ => return Err(Fault::Unsupported),
        };
        self.write_register(width, to, Word::computed(result));
        self.flags = flags;
        Ok(())
    }

    #[inline]
    fn binary(&mut self, kind: Binary, width: Width, to: &Operand, from: &Operand) -> Result<(), Fault> {
        let right = self.read(width, from)?;
        let left = self.read(width, to)?;
        let (value, flags) = arithmetic::binary(kind, width, left.value, right.value, self.flags.carry);
        if !matches!(kind, Binary::Compare | Binary::Test) {
            // A pointer stripped of its tag, or moved by a constant, still came from the same word.
            let origin = if matches!(from, Operand::Immediate(_)) { left.origin } else { 0 };
            self.write(width, to, Word { value, origin })?;
        }
        self.flags = flags;
        Ok(())
    }

    fn compare_exchange(&mut self, width: Width, to: &Operand, from: &Operand) -> Result<(), Fault> {
        let held = self.read(width, to)?;
        let (_, flags) = arithmetic::subtract(width, self.get(Gpr::RAX).value, held.value, false);
        if flags.zero {
            let new = self.read(width, from)?;
            self.write(width, to, new)?;
        } else {
            self.write_register(width, Gpr::RAX, held);
        }
        self.flags = flags;
        Ok(())
    }

    fn bit_test(&mut self, kind: BitTest, width: Width, of: &Operand, index: &Operand) -> Result<(), Fault> {
        let mut of = *of;
        let position = self.read(width, index)?.value;
        if let (Operand::Memory(location), Operand::Register(_)) = (&mut of, index) {
            // A register indexes a bit string that starts at the operand and may extend to both sides.
            let element = width.sign_extend(position).div_euclid(i64::from(width.bits()));
            let bytes = element.wrapping_mul(width.bytes() as i64);
            location.displacement = location.displacement.wrapping_add(bytes as u64);
        }
        let value = self.read(width, &of)?.value;
        let bit = 1_u64.wrapping_shl(position as u32 & width.bits().saturating_sub(1));
        let changed = match kind {
            BitTest::Keep => None,
            BitTest::Set => Some(value | bit),
            BitTest::Reset => Some(value & !bit),
            BitTest::Complement => Some(value ^ bit),
        };
        if let Some(changed) = changed {
            self.write(width, &of, Word::computed(changed))?;
        }
        self.flags.carry = value & bit != 0;
        Ok(())
    }

    fn fill_string(&mut self, width: Width, repeat: bool) -> Result<(), Fault> {
        let word = self.get(Gpr::RAX);
        self.string(width, repeat, |processor| {
            let to = processor.get(Gpr::RDI).value;
            processor.space.store(to, width, word)
        })
    }

    fn copy_string(&mut self, width: Width, repeat: bool) -> Result<(), Fault> {
        self.string(width, repeat, |processor| {
            let (from, to) = (processor.get(Gpr::RSI).value, processor.get(Gpr::RDI).value);
            let word = processor.space.load(from, width)?;
            processor.space.store(to, width, word)?;
            let next = from.wrapping_add(width.bytes() as u64);
            processor.set(Gpr::RSI, Word::computed(next));
            Ok(())
        })
    }

    /// Runs `element` once or `rcx` times, moving `rdi` on after each. The direction flag is clear, as the
    /// calling convention guarantees.
    fn string(
        &mut self,
        width: Width,
        repeat: bool,
        element: impl Fn(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let count = if repeat { self.get(Gpr::RCX).value } else { 1 };
        if count > STRING_ELEMENTS {
            return Err(Fault::StringTooLong);
        }
        for _ in 0..count {
            element(self)?;
            let next = self.get(Gpr::RDI).value.wrapping_add(width.bytes() as u64);
            self.set(Gpr::RDI, Word::computed(next));
        }
        if repeat {
            self.set(Gpr::RCX, Word::computed(0));
        }
        Ok(())
    }

    /// Writes `high:low` to `rdx:rax`, or to `ax` for bytes.
    fn write_wide(&mut self, width: Width, low: u64, high: u64) -> Result<(), Fault> {
        self.write_register(width, Gpr::RAX, Word::computed(low));
        match width {
            Width::Byte => self.write(width, &Operand::HighByte(Gpr::RAX), Word::computed(high)),
            _ => self.write(width, &Operand::Register(Gpr::RDX), Word::computed(high)),
        }
    }

    /// Low and high half of `rdx:rax`, or of `ax` for bytes.
    fn read_wide(&self, width: Width) -> Result<(u64, u64), Fault> {
        let low = self.get(Gpr::RAX).value;
        let high = match width {
            Width::Byte => self.read(width, &Operand::HighByte(Gpr::RAX))?.value,
            _ => self.get(Gpr::RDX).value,
        };
        Ok((low, high))
    }

    /// The target of an indirect transfer and the memory word it was read from.
    fn indirect(&self, target: &Operand) -> Result<(u64, Option<u64>), Fault> {
        let slot = match target {
            Operand::Memory(location) if !location.thread_local => Some(self.offset(location)),
            _ => None,
        };
        Ok((self.read(Width::Quad, target)?.value, slot))
    }

    /// The operand's value; bits above `width` are unspecified.
    #[inline]
    pub(super) fn read(&self, width: Width, operand: &Operand) -> Result<Word, Fault> {
        match operand {
            Operand::Register(register) => Ok(self.get(*register)),
            Operand::HighByte(register) => Ok(Word::computed(self.get(*register).value >> 8)),
            Operand::Immediate(value) => Ok(Word::computed(*value)),
            Operand::Memory(location) => {
                let offset = self.offset(location);
                match Space::<M>::canary(location, offset) {
                    Some(canary) => Ok(canary),
                    None => self.space.load(self.address(location, offset)?, width),
                }
            }
        }
    }

    /// Replaces `width` of the operand; a 32-bit register write clears the upper half.
    #[inline]
    pub(super) fn write(&mut self, width: Width, operand: &Operand, word: Word) -> Result<(), Fault> {
        match operand {
            Operand::Register(register) => {
                self.write_register(width, *register, word);
                Ok(())
            }
            Operand::HighByte(register) => {
                let kept = self.get(*register).value & !0xff00;
                self.set(*register, Word::computed(kept | (word.value & 0xff) << 8));
                Ok(())
            }
            Operand::Immediate(_) => Err(Fault::Unsupported),
            Operand::Memory(location) => {
                let address = self.address(location, self.offset(location))?;
                self.space.store(address, width, word)
            }
        }
    }

    #[inline]
    pub(super) fn write_register(&mut self, width: Width, register: Gpr, word: Word) {
        let word = match width {
            Width::Quad => word,
            Width::Long => Word::computed(width.truncate(word.value)),
            Width::Half => Word::computed(self.get(register).value & !0xffff | width.truncate(word.value)),
            Width::Byte => Word::computed(self.get(register).value & !0xff | width.truncate(word.value)),
        };
        self.set(register, word);
    }

    /// The address inside its segment.
    #[inline]
    fn offset(&self, location: &Location) -> u64 {
        let index = self.get(location.index).value.wrapping_shl(u32::from(location.shift));
        location.displacement.wrapping_add(self.get(location.base).value).wrapping_add(index)
    }

    #[inline]
    fn address(&self, location: &Location, offset: u64) -> Result<u64, Fault> {
        if location.thread_local { self.space.thread_local(offset) } else { Ok(offset) }
    }

    /// The absolute address of `location`.
    pub(super) fn resolve(&self, location: &Location) -> Result<u64, Fault> {
        self.address(location, self.offset(location))
    }
}
