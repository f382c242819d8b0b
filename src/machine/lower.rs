//! From decoded x86-64 instructions to the interpreter's operations.
//!
//! It knows which instructions belong to the subset and where their operands are. It refuses to know effects.
//! An instruction or operand form outside the subset becomes [`Operation::Unsupported`]; nothing is guessed.

use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind, Register};

use super::lower_vector;
use super::operation::{
    Binary, BitCount, BitTest, Condition, Gpr, Location, LowestBit, Operand, Operation, Shift, Unary, Width,
};

/// The operation of `instruction`, or [`Operation::Unsupported`].
pub(super) fn lower(instruction: &Instruction) -> Operation {
    integer(instruction)
        .or_else(|| bit_fields(instruction))
        .or_else(|| lower_vector::lower(instruction))
        .unwrap_or(Operation::Unsupported)
}

fn integer(instruction: &Instruction) -> Option<Operation> {
    conditional(instruction)
        .or_else(|| transfer(instruction))
        .or_else(|| arithmetic(instruction))
        .or_else(|| control(instruction))
}

/// Copies between registers, memory and the stack.
fn transfer(instruction: &Instruction) -> Option<Operation> {
    Some(match instruction.mnemonic() {
        // A prefetch and a fence have no effect on values; `endbr64` is a no-op by definition; the direction
        // flag is clear throughout, since `std` is outside the subset.
        Mnemonic::Nop
        | Mnemonic::Endbr64
        | Mnemonic::Cld
        | Mnemonic::Pause
        | Mnemonic::Mfence
        | Mnemonic::Lfence
        | Mnemonic::Sfence
        | Mnemonic::Prefetcht0
        | Mnemonic::Prefetcht1
        | Mnemonic::Prefetcht2
        | Mnemonic::Prefetchnta
        | Mnemonic::Prefetchw => Operation::Nothing,
        Mnemonic::Mov => Operation::Move {
            width: width(instruction)?,
            to: operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        },
        Mnemonic::Movzx => Operation::ZeroExtend {
            width: width(instruction)?,
            to: register_operand(instruction, 0)?,
            from: operand(instruction, 1)?,
            from_width: operand_width(instruction, 1)?,
        },
        Mnemonic::Movsx | Mnemonic::Movsxd => Operation::SignExtend {
            width: width(instruction)?,
            to: register_operand(instruction, 0)?,
            from: operand(instruction, 1)?,
            from_width: operand_width(instruction, 1)?,
        },
        Mnemonic::Lea => Operation::LoadAddress {
            width: operand_width(instruction, 0)?,
            to: register_operand(instruction, 0)?,
            of: Location { thread_local: false, ..location(instruction)? },
        },
        Mnemonic::Push if stack_width(instruction) => Operation::Push { from: operand(instruction, 0)? },
        Mnemonic::Pop if stack_width(instruction) => Operation::Pop { to: operand(instruction, 0)? },
        Mnemonic::Leave => Operation::Leave,
        Mnemonic::Xchg => Operation::Exchange {
            width: width(instruction)?,
            left: operand(instruction, 0)?,
            right: operand(instruction, 1)?,
        },
        Mnemonic::Xadd => Operation::ExchangeAdd {
            width: width(instruction)?,
            to: operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        },
        Mnemonic::Cmpxchg => Operation::CompareExchange {
            width: width(instruction)?,
            to: operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        },
        Mnemonic::Cbw => Operation::ExtendAccumulator { width: Width::Half },
        Mnemonic::Cwde => Operation::ExtendAccumulator { width: Width::Long },
        Mnemonic::Cdqe => Operation::ExtendAccumulator { width: Width::Quad },
        Mnemonic::Cwd => Operation::SpreadSign { width: Width::Half },
        Mnemonic::Cdq => Operation::SpreadSign { width: Width::Long },
        Mnemonic::Cqo => Operation::SpreadSign { width: Width::Quad },
        Mnemonic::Stosb => fill_string(instruction, Width::Byte)?,
        Mnemonic::Stosd => fill_string(instruction, Width::Long)?,
        Mnemonic::Stosq => fill_string(instruction, Width::Quad)?,
        Mnemonic::Movsb => copy_string(instruction, Width::Byte)?,
        Mnemonic::Movsd if instruction.op0_kind() == OpKind::MemoryESRDI => {
            copy_string(instruction, Width::Long)?
        }
        Mnemonic::Movsq => copy_string(instruction, Width::Quad)?,
        _ => return None,
    })
}

/// Arithmetic, shifts and bit operations.
fn arithmetic(instruction: &Instruction) -> Option<Operation> {
    let binary = |kind| {
        Some(Operation::Binary {
            kind,
            width: width(instruction)?,
            to: operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        })
    };
    let unary =
        |kind| Some(Operation::Unary { kind, width: width(instruction)?, to: operand(instruction, 0)? });
    let shift = |kind| {
        Some(Operation::Shift {
            kind,
            width: width(instruction)?,
            to: operand(instruction, 0)?,
            count: operand(instruction, 1)?,
        })
    };
    let bit_test = |kind| {
        Some(Operation::BitTest {
            kind,
            width: width(instruction)?,
            of: operand(instruction, 0)?,
            index: operand(instruction, 1)?,
        })
    };
    let bit_count = |kind| {
        Some(Operation::BitCount {
            kind,
            width: width(instruction)?,
            to: register_operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        })
    };
    match instruction.mnemonic() {
        Mnemonic::Add => binary(Binary::Add),
        Mnemonic::Adc => binary(Binary::AddCarry),
        Mnemonic::Sub => binary(Binary::Subtract),
        Mnemonic::Sbb => binary(Binary::SubtractBorrow),
        Mnemonic::And => binary(Binary::And),
        Mnemonic::Or => binary(Binary::Or),
        Mnemonic::Xor => binary(Binary::Xor),
        Mnemonic::Cmp => binary(Binary::Compare),
        Mnemonic::Test => binary(Binary::Test),
        Mnemonic::Inc => unary(Unary::Increment),
        Mnemonic::Dec => unary(Unary::Decrement),
        Mnemonic::Neg => unary(Unary::Negate),
        Mnemonic::Not => unary(Unary::Not),
        Mnemonic::Bswap => unary(Unary::SwapBytes).filter(|_| width(instruction) != Some(Width::Half)),
        Mnemonic::Shl | Mnemonic::Sal => shift(Shift::Left),
        Mnemonic::Shr => shift(Shift::RightLogical),
        Mnemonic::Sar => shift(Shift::RightArithmetic),
        Mnemonic::Rol => shift(Shift::RotateLeft),
        Mnemonic::Ror => shift(Shift::RotateRight),
        Mnemonic::Bt => bit_test(BitTest::Keep),
        Mnemonic::Bts => bit_test(BitTest::Set),
        Mnemonic::Btr => bit_test(BitTest::Reset),
        Mnemonic::Btc => bit_test(BitTest::Complement),
        Mnemonic::Bsf => bit_count(BitCount::ScanForward),
        Mnemonic::Bsr => bit_count(BitCount::ScanReverse),
        Mnemonic::Tzcnt => bit_count(BitCount::TrailingZeros),
        Mnemonic::Lzcnt => bit_count(BitCount::LeadingZeros),
        Mnemonic::Popcnt => bit_count(BitCount::Population),
        Mnemonic::Imul | Mnemonic::Mul | Mnemonic::Div | Mnemonic::Idiv => multiplication(instruction),
        _ => None,
    }
}

/// BMI1 and BMI2: what compilers use in place of shifts and masks when the target processor has them.
fn bit_fields(instruction: &Instruction) -> Option<Operation> {
    let width = width(instruction)?;
    let to = || register_operand(instruction, 0);
    let operand = |index| operand(instruction, index);
    let shift =
        |kind| Some(Operation::ShiftInto { kind, width, to: to()?, from: operand(1)?, count: operand(2)? });
    let lowest = |kind| Some(Operation::LowestBit { kind, width, to: to()?, from: operand(1)? });
    match instruction.mnemonic() {
        Mnemonic::Andn => Some(Operation::AndNot { width, to: to()?, left: operand(1)?, right: operand(2)? }),
        Mnemonic::Shlx => shift(Shift::Left),
        Mnemonic::Shrx => shift(Shift::RightLogical),
        Mnemonic::Sarx => shift(Shift::RightArithmetic),
        Mnemonic::Rorx => shift(Shift::RotateRight),
        Mnemonic::Bzhi => {
            Some(Operation::ZeroHighBits { width, to: to()?, from: operand(1)?, count: operand(2)? })
        }
        Mnemonic::Blsr => lowest(LowestBit::Reset),
        Mnemonic::Blsi => lowest(LowestBit::Isolate),
        Mnemonic::Blsmsk => lowest(LowestBit::Mask),
        _ => None,
    }
}

fn multiplication(instruction: &Instruction) -> Option<Operation> {
    let width = width(instruction)?;
    let first = operand(instruction, 0)?;
    Some(match (instruction.mnemonic(), instruction.op_count()) {
        (Mnemonic::Imul, 1) => Operation::MultiplyWide { signed: true, width, by: first },
        (Mnemonic::Mul, 1) => Operation::MultiplyWide { signed: false, width, by: first },
        (Mnemonic::Idiv, 1) => Operation::Divide { signed: true, width, by: first },
        (Mnemonic::Div, 1) => Operation::Divide { signed: false, width, by: first },
        (Mnemonic::Imul, 2) => Operation::Multiply {
            width,
            to: register_operand(instruction, 0)?,
            left: first,
            right: operand(instruction, 1)?,
        },
        (Mnemonic::Imul, 3) => Operation::Multiply {
            width,
            to: register_operand(instruction, 0)?,
            left: operand(instruction, 1)?,
            right: operand(instruction, 2)?,
        },
        _ => return None,
    })
}

/// Jumps, calls and returns.
fn control(instruction: &Instruction) -> Option<Operation> {
    let direct = matches!(instruction.op0_kind(), OpKind::NearBranch64);
    let quad = || width(instruction) == Some(Width::Quad);
    Some(match instruction.mnemonic() {
        Mnemonic::Jmp if direct => Operation::Jump { target: instruction.near_branch64() },
        Mnemonic::Jmp if quad() => Operation::JumpThrough { target: operand(instruction, 0)? },
        Mnemonic::Call if direct => Operation::Call { target: instruction.near_branch64() },
        Mnemonic::Call if quad() => Operation::CallThrough { target: operand(instruction, 0)? },
        Mnemonic::Ret if instruction.op_count() == 0 => Operation::Return { release: 0 },
        Mnemonic::Ret => Operation::Return { release: instruction.immediate16() },
        _ => return None,
    })
}

/// `jcc`, `setcc` and `cmovcc`.
fn conditional(instruction: &Instruction) -> Option<Operation> {
    let (condition, form) = condition(instruction.mnemonic())?;
    Some(match form {
        Form::Branch if instruction.op0_kind() == OpKind::NearBranch64 => {
            Operation::BranchIf { condition, target: instruction.near_branch64() }
        }
        Form::Branch => return None,
        Form::Set => Operation::SetIf { condition, to: operand(instruction, 0)? },
        Form::Move => Operation::MoveIf {
            condition,
            width: width(instruction)?,
            to: register_operand(instruction, 0)?,
            from: operand(instruction, 1)?,
        },
    })
}

#[derive(Clone, Copy)]
enum Form {
    Branch,
    Set,
    Move,
}

fn condition(mnemonic: Mnemonic) -> Option<(Condition, Form)> {
    macro_rules! conditions {
        ($($branch:ident $set:ident $cmov:ident => $condition:ident,)*) => {
            match mnemonic {
                $(Mnemonic::$branch => Some((Condition::$condition, Form::Branch)),
                Mnemonic::$set => Some((Condition::$condition, Form::Set)),
                Mnemonic::$cmov => Some((Condition::$condition, Form::Move)),)*
                _ => None,
            }
        };
    }
    conditions! {
        Jo Seto Cmovo => Overflow,
        Jno Setno Cmovno => NotOverflow,
        Jb Setb Cmovb => Below,
        Jae Setae Cmovae => AboveOrEqual,
        Je Sete Cmove => Equal,
        Jne Setne Cmovne => NotEqual,
        Jbe Setbe Cmovbe => BelowOrEqual,
        Ja Seta Cmova => Above,
        Js Sets Cmovs => Negative,
        Jns Setns Cmovns => NotNegative,
        Jp Setp Cmovp => ParityEven,
        Jnp Setnp Cmovnp => ParityOdd,
        Jl Setl Cmovl => Less,
        Jge Setge Cmovge => GreaterOrEqual,
        Jle Setle Cmovle => LessOrEqual,
        Jg Setg Cmovg => Greater,
    }
}

fn fill_string(instruction: &Instruction, width: Width) -> Option<Operation> {
    let address = instruction.op0_kind() == OpKind::MemoryESRDI;
    address.then(|| Operation::FillString { width, repeat: instruction.has_rep_prefix() })
}

fn copy_string(instruction: &Instruction, width: Width) -> Option<Operation> {
    let addresses = instruction.op0_kind() == OpKind::MemoryESRDI
        && instruction.op1_kind() == OpKind::MemorySegRSI
        && instruction.segment_prefix() == Register::None;
    addresses.then(|| Operation::CopyString { width, repeat: instruction.has_rep_prefix() })
}

/// Whether `push` or `pop` moves 64 bits; the 16-bit forms and segment registers are outside the subset.
fn stack_width(instruction: &Instruction) -> bool {
    match instruction.op0_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => true,
        _ => operand_width(instruction, 0) == Some(Width::Quad),
    }
}

/// Width of the operation: that of its first operand.
fn width(instruction: &Instruction) -> Option<Width> {
    operand_width(instruction, 0)
}

fn operand_width(instruction: &Instruction, index: u32) -> Option<Width> {
    match instruction.op_kind(index) {
        OpKind::Register => gpr(instruction.op_register(index)).map(|(_, width, _)| width),
        OpKind::Memory => memory_width(instruction.memory_size()),
        _ => None,
    }
}

/// Width of a scalar memory operand.
pub(super) fn memory_width(size: MemorySize) -> Option<Width> {
    match size {
        MemorySize::UInt8 | MemorySize::Int8 => Some(Width::Byte),
        MemorySize::UInt16 | MemorySize::Int16 => Some(Width::Half),
        MemorySize::UInt32 | MemorySize::Int32 => Some(Width::Long),
        MemorySize::UInt64 | MemorySize::Int64 | MemorySize::QwordOffset => Some(Width::Quad),
        _ => None,
    }
}

/// The integer operand at `index`.
pub(super) fn operand(instruction: &Instruction, index: u32) -> Option<Operand> {
    match instruction.op_kind(index) {
        OpKind::Register => gpr(instruction.op_register(index)).map(|(register, _, high)| {
            if high { Operand::HighByte(register) } else { Operand::Register(register) }
        }),
        OpKind::Memory => location(instruction).map(Operand::Memory),
        _ => instruction.try_immediate(index).ok().map(Operand::Immediate),
    }
}

fn register_operand(instruction: &Instruction, index: u32) -> Option<Gpr> {
    match operand(instruction, index)? {
        Operand::Register(register) => Some(register),
        _ => None,
    }
}

/// The memory operand, when it is addressed with 64-bit registers and no segment but `fs`.
pub(super) fn location(instruction: &Instruction) -> Option<Location> {
    let thread_local = match instruction.segment_prefix() {
        Register::FS => true,
        Register::GS => return None,
        // The other prefixes are ignored in 64-bit mode; compilers pad with them.
        _ => false,
    };
    let relative = instruction.is_ip_rel_memory_operand();
    let base = if relative { Gpr::ABSENT } else { address_register(instruction.memory_base())? };
    Some(Location {
        base,
        index: address_register(instruction.memory_index())?,
        shift: instruction.memory_index_scale().trailing_zeros() as u8,
        thread_local,
        displacement: instruction.memory_displacement64(),
    })
}

fn address_register(register: Register) -> Option<Gpr> {
    if register == Register::None {
        return Some(Gpr::ABSENT);
    }
    match gpr(register)? {
        (register, Width::Quad, _) => Some(register),
        _ => None,
    }
}

/// Number, width and whether it is a high byte, of a general register.
fn gpr(register: Register) -> Option<(Gpr, Width, bool)> {
    let from =
        |first: Register| (register as u32).checked_sub(first as u32).and_then(|n| u8::try_from(n).ok());
    let number = |first| from(first).map(Gpr);
    Some(match register {
        Register::AL | Register::CL | Register::DL | Register::BL => {
            (number(Register::AL)?, Width::Byte, false)
        }
        Register::AH | Register::CH | Register::DH | Register::BH => {
            (number(Register::AH)?, Width::Byte, true)
        }
        _ if (Register::SPL..=Register::R15L).contains(&register) => {
            // `spl` follows the four high bytes in the decoder's numbering but is register four.
            (Gpr(from(Register::SPL)?.checked_add(4)?), Width::Byte, false)
        }
        _ if (Register::AX..=Register::R15W).contains(&register) => {
            (number(Register::AX)?, Width::Half, false)
        }
        _ if (Register::EAX..=Register::R15D).contains(&register) => {
            (number(Register::EAX)?, Width::Long, false)
        }
        _ if (Register::RAX..=Register::R15).contains(&register) => {
            (number(Register::RAX)?, Width::Quad, false)
        }
        _ => return None,
    })
}
