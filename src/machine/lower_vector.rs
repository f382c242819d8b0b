//! From decoded SSE instructions to the interpreter's vector operations.
//!
//! It knows the 16-byte moves, bitwise operations and byte comparisons compilers emit to copy, clear and scan
//! memory. It refuses to know floating-point arithmetic and wider vectors.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::lower::{location, operand};
use super::operation::{Operand, VectorBinary, VectorOperand, VectorOperation, Width, Xmm};

/// The vector operation of `instruction`, when it is in the subset.
pub(super) fn lower(instruction: &Instruction) -> Option<VectorOperation> {
    if let Some(kind) = binary(instruction.mnemonic()) {
        let (to, from) = (xmm(instruction, 0)?, vector_operand(instruction, 1)?);
        return Some(VectorOperation::Binary { kind, to, from });
    }
    moves(instruction).or_else(|| halves(instruction)).or_else(|| rearrangements(instruction))
}

fn binary(mnemonic: Mnemonic) -> Option<VectorBinary> {
    Some(match mnemonic {
        Mnemonic::Pand | Mnemonic::Andps | Mnemonic::Andpd => VectorBinary::And,
        Mnemonic::Pandn | Mnemonic::Andnps | Mnemonic::Andnpd => VectorBinary::AndNot,
        Mnemonic::Por | Mnemonic::Orps | Mnemonic::Orpd => VectorBinary::Or,
        Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd => VectorBinary::Xor,
        Mnemonic::Paddq => VectorBinary::AddQuads,
        Mnemonic::Paddd => VectorBinary::AddLongs,
        Mnemonic::Psubq => VectorBinary::SubtractQuads,
        Mnemonic::Pcmpeqb => VectorBinary::EqualBytes,
        Mnemonic::Pcmpeqd => VectorBinary::EqualLongs,
        Mnemonic::Punpcklqdq | Mnemonic::Unpcklpd => VectorBinary::UnpackLowQuads,
        Mnemonic::Punpckhqdq | Mnemonic::Unpckhpd => VectorBinary::UnpackHighQuads,
        _ => return None,
    })
}

fn moves(instruction: &Instruction) -> Option<VectorOperation> {
    match instruction.mnemonic() {
        Mnemonic::Movups
        | Mnemonic::Movaps
        | Mnemonic::Movupd
        | Mnemonic::Movapd
        | Mnemonic::Movdqu
        | Mnemonic::Movdqa
        | Mnemonic::Lddqu
        | Mnemonic::Movntdq
        | Mnemonic::Movntps => Some(VectorOperation::Move {
            to: vector_operand(instruction, 0)?,
            from: vector_operand(instruction, 1)?,
        }),
        Mnemonic::Movq => scalar(instruction, Width::Quad, false),
        Mnemonic::Movd => scalar(instruction, Width::Long, false),
        Mnemonic::Movsd => scalar(instruction, Width::Quad, true),
        Mnemonic::Movss => scalar(instruction, Width::Long, true),
        _ => None,
    }
}

/// A move of the low element; between registers `movsd` and `movss` keep the rest, `movq` clears it.
fn scalar(instruction: &Instruction, width: Width, merges: bool) -> Option<VectorOperation> {
    Some(match (xmm(instruction, 0), xmm(instruction, 1)) {
        (Some(to), Some(from)) if merges => VectorOperation::Merge { to, from, width },
        (Some(to), Some(from)) => VectorOperation::ClearHigh { to, from },
        (Some(to), None) => VectorOperation::Insert { to, from: operand(instruction, 1)?, width },
        (None, Some(from)) => VectorOperation::Extract { to: operand(instruction, 0)?, from, width },
        (None, None) => return None,
    })
}

fn halves(instruction: &Instruction) -> Option<VectorOperation> {
    let high = matches!(instruction.mnemonic(), Mnemonic::Movhps | Mnemonic::Movhpd);
    match instruction.mnemonic() {
        Mnemonic::Movlps | Mnemonic::Movlpd | Mnemonic::Movhps | Mnemonic::Movhpd => {
            match (xmm(instruction, 0), xmm(instruction, 1)) {
                (Some(to), None) => Some(VectorOperation::InsertHalf {
                    to,
                    from: Operand::Memory(location(instruction)?),
                    high,
                }),
                (None, Some(from)) => Some(VectorOperation::ExtractHalf {
                    to: Operand::Memory(location(instruction)?),
                    from,
                    high,
                }),
                _ => None,
            }
        }
        Mnemonic::Pinsrq => Some(VectorOperation::InsertHalf {
            to: xmm(instruction, 0)?,
            from: operand(instruction, 1)?,
            high: instruction.immediate8() & 1 == 1,
        }),
        Mnemonic::Pextrq => Some(VectorOperation::ExtractHalf {
            to: operand(instruction, 0)?,
            from: xmm(instruction, 1)?,
            high: instruction.immediate8() & 1 == 1,
        }),
        _ => None,
    }
}

fn rearrangements(instruction: &Instruction) -> Option<VectorOperation> {
    Some(match instruction.mnemonic() {
        Mnemonic::Movhlps => VectorOperation::Binary {
            kind: VectorBinary::MoveHighToLow,
            to: xmm(instruction, 0)?,
            from: vector_operand(instruction, 1)?,
        },
        Mnemonic::Movlhps => VectorOperation::Binary {
            kind: VectorBinary::UnpackLowQuads,
            to: xmm(instruction, 0)?,
            from: vector_operand(instruction, 1)?,
        },
        Mnemonic::Pshufd => VectorOperation::ShuffleLongs {
            to: xmm(instruction, 0)?,
            from: vector_operand(instruction, 1)?,
            order: instruction.immediate8(),
        },
        Mnemonic::Pmovmskb => {
            let Operand::Register(to) = operand(instruction, 0)? else { return None };
            VectorOperation::ByteMask { to, from: xmm(instruction, 1)? }
        }
        _ => return None,
    })
}

fn vector_operand(instruction: &Instruction, index: u32) -> Option<VectorOperand> {
    match instruction.op_kind(index) {
        OpKind::Register => xmm(instruction, index).map(VectorOperand::Register),
        OpKind::Memory => location(instruction).map(VectorOperand::Memory),
        _ => None,
    }
}

fn xmm(instruction: &Instruction, index: u32) -> Option<Xmm> {
    if instruction.op_kind(index) != OpKind::Register {
        return None;
    }
    let register = instruction.op_register(index);
    let number = (register as u32).checked_sub(Register::XMM0 as u32)?;
    u8::try_from(number).ok().filter(|number| *number < 16).map(Xmm)
}
