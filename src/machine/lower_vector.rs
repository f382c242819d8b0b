//! From decoded SSE and AVX instructions to the interpreter's vector operations.
//!
//! It knows the 16- and 32-byte moves, bitwise operations and byte comparisons compilers emit to copy, clear and
//! scan memory. It refuses to know floating-point arithmetic, masked operations and 64-byte vectors.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::lower::operand;
use super::operation::{
    Extent, Operand, Operation, VectorBinary, VectorOperand, VectorOperation, Width, Xmm,
};

/// SSE, or AVX with its separate destination.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Sse,
    Avx,
}

/// The vector operation of `instruction`, when it is in the subset.
pub(super) fn lower(instruction: &Instruction) -> Option<Operation> {
    if instruction.op_mask() != Register::None || instruction.is_broadcast() {
        return None;
    }
    let wide = registers(instruction).any(|register| (Register::YMM0..=Register::YMM31).contains(&register));
    let (family, operation) = moves(instruction)
        .or_else(|| binary(instruction))
        .or_else(|| lanes(instruction))
        .or_else(|| if wide { None } else { elements(instruction).or_else(|| halves(instruction)) })?;
    let extent = match family {
        Family::Sse => Extent::Legacy,
        Family::Avx if wide => Extent::Whole,
        Family::Avx => Extent::Half,
    };
    Some(Operation::Vector { extent, operation })
}

/// Whole registers.
fn moves(instruction: &Instruction) -> Option<(Family, VectorOperation)> {
    let family = match instruction.mnemonic() {
        Mnemonic::Movups
        | Mnemonic::Movaps
        | Mnemonic::Movupd
        | Mnemonic::Movapd
        | Mnemonic::Movdqu
        | Mnemonic::Movdqa
        | Mnemonic::Lddqu
        | Mnemonic::Movntdq
        | Mnemonic::Movntps => Family::Sse,
        Mnemonic::Vmovups
        | Mnemonic::Vmovaps
        | Mnemonic::Vmovupd
        | Mnemonic::Vmovapd
        | Mnemonic::Vmovdqu
        | Mnemonic::Vmovdqa
        | Mnemonic::Vlddqu
        | Mnemonic::Vmovdqu8
        | Mnemonic::Vmovdqu16
        | Mnemonic::Vmovdqu32
        | Mnemonic::Vmovdqu64
        | Mnemonic::Vmovdqa32
        | Mnemonic::Vmovdqa64 => Family::Avx,
        _ => return None,
    };
    let (to, from) = (vector_operand(instruction, 0)?, vector_operand(instruction, 1)?);
    Some((family, VectorOperation::Move { to, from }))
}

/// Combinations of two registers; SSE's destination is its first source.
fn binary(instruction: &Instruction) -> Option<(Family, VectorOperation)> {
    let (family, kind) = binary_kind(instruction.mnemonic())?;
    let (first, second) = if family == Family::Avx { (1, 2) } else { (0, 1) };
    let operation = VectorOperation::Binary {
        kind,
        to: register(instruction, 0)?,
        left: register(instruction, first)?,
        right: vector_operand(instruction, second)?,
    };
    Some((family, operation))
}

fn binary_kind(mnemonic: Mnemonic) -> Option<(Family, VectorBinary)> {
    use Family::{Avx, Sse};
    Some(match mnemonic {
        Mnemonic::Pand | Mnemonic::Andps | Mnemonic::Andpd => (Sse, VectorBinary::And),
        Mnemonic::Vpand | Mnemonic::Vandps | Mnemonic::Vandpd => (Avx, VectorBinary::And),
        Mnemonic::Vpandd | Mnemonic::Vpandq => (Avx, VectorBinary::And),
        Mnemonic::Pandn | Mnemonic::Andnps | Mnemonic::Andnpd => (Sse, VectorBinary::AndNot),
        Mnemonic::Vpandn | Mnemonic::Vandnps | Mnemonic::Vandnpd => (Avx, VectorBinary::AndNot),
        Mnemonic::Por | Mnemonic::Orps | Mnemonic::Orpd => (Sse, VectorBinary::Or),
        Mnemonic::Vpor | Mnemonic::Vorps | Mnemonic::Vorpd => (Avx, VectorBinary::Or),
        Mnemonic::Vpord | Mnemonic::Vporq => (Avx, VectorBinary::Or),
        Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd => (Sse, VectorBinary::Xor),
        Mnemonic::Vpxor | Mnemonic::Vxorps | Mnemonic::Vxorpd => (Avx, VectorBinary::Xor),
        Mnemonic::Vpxord | Mnemonic::Vpxorq => (Avx, VectorBinary::Xor),
        Mnemonic::Paddq => (Sse, VectorBinary::AddQuads),
        Mnemonic::Vpaddq => (Avx, VectorBinary::AddQuads),
        Mnemonic::Paddd => (Sse, VectorBinary::AddLongs),
        Mnemonic::Vpaddd => (Avx, VectorBinary::AddLongs),
        Mnemonic::Psubq => (Sse, VectorBinary::SubtractQuads),
        Mnemonic::Vpsubq => (Avx, VectorBinary::SubtractQuads),
        Mnemonic::Pcmpeqb => (Sse, VectorBinary::EqualBytes),
        Mnemonic::Vpcmpeqb => (Avx, VectorBinary::EqualBytes),
        Mnemonic::Pcmpeqd => (Sse, VectorBinary::EqualLongs),
        Mnemonic::Vpcmpeqd => (Avx, VectorBinary::EqualLongs),
        Mnemonic::Punpcklqdq | Mnemonic::Unpcklpd | Mnemonic::Movlhps => (Sse, VectorBinary::UnpackLowQuads),
        Mnemonic::Vpunpcklqdq | Mnemonic::Vunpcklpd | Mnemonic::Vmovlhps => {
            (Avx, VectorBinary::UnpackLowQuads)
        }
        Mnemonic::Punpckhqdq | Mnemonic::Unpckhpd => (Sse, VectorBinary::UnpackHighQuads),
        Mnemonic::Vpunpckhqdq | Mnemonic::Vunpckhpd => (Avx, VectorBinary::UnpackHighQuads),
        Mnemonic::Movhlps => (Sse, VectorBinary::MoveHighToLow),
        Mnemonic::Vmovhlps => (Avx, VectorBinary::MoveHighToLow),
        _ => return None,
    })
}

/// Operations on, or within, 16-byte lanes.
fn lanes(instruction: &Instruction) -> Option<(Family, VectorOperation)> {
    let shuffle = |family| {
        let (to, from) = (register(instruction, 0)?, vector_operand(instruction, 1)?);
        Some((family, VectorOperation::ShuffleLongs { to, from, order: instruction.immediate8() }))
    };
    let mask = |family| {
        let Operand::Register(to) = operand(instruction, 0)? else { return None };
        Some((family, VectorOperation::ByteMask { to, from: register(instruction, 1)? }))
    };
    let high = || instruction.immediate8() & 1 == 1;
    match instruction.mnemonic() {
        Mnemonic::Pshufd => shuffle(Family::Sse),
        Mnemonic::Vpshufd => shuffle(Family::Avx),
        Mnemonic::Pmovmskb => mask(Family::Sse),
        Mnemonic::Vpmovmskb => mask(Family::Avx),
        Mnemonic::Vzeroupper => Some((Family::Avx, VectorOperation::ZeroRegisters { all: false })),
        Mnemonic::Vzeroall => Some((Family::Avx, VectorOperation::ZeroRegisters { all: true })),
        Mnemonic::Vinserti128 | Mnemonic::Vinsertf128 => {
            let (to, rest) = (register(instruction, 0)?, register(instruction, 1)?);
            let from = vector_operand(instruction, 2)?;
            Some((Family::Avx, VectorOperation::InsertLane { to, rest, from, high: high() }))
        }
        Mnemonic::Vextracti128 | Mnemonic::Vextractf128 => {
            let (to, from) = (vector_operand(instruction, 0)?, register(instruction, 1)?);
            Some((Family::Avx, VectorOperation::ExtractLane { to, from, high: high() }))
        }
        _ => None,
    }
}

/// The low element alone.
fn elements(instruction: &Instruction) -> Option<(Family, VectorOperation)> {
    use Family::{Avx, Sse};
    let compare = |family, width| {
        let (left, right) = (register(instruction, 0)?, vector_operand(instruction, 1)?);
        Some((family, VectorOperation::CompareScalar { left, right, width }))
    };
    match instruction.mnemonic() {
        Mnemonic::Movq => scalar(instruction, Sse, Width::Quad, false),
        Mnemonic::Vmovq => scalar(instruction, Avx, Width::Quad, false),
        Mnemonic::Movd => scalar(instruction, Sse, Width::Long, false),
        Mnemonic::Vmovd => scalar(instruction, Avx, Width::Long, false),
        Mnemonic::Movsd => scalar(instruction, Sse, Width::Quad, true),
        Mnemonic::Vmovsd => scalar(instruction, Avx, Width::Quad, true),
        Mnemonic::Movss => scalar(instruction, Sse, Width::Long, true),
        Mnemonic::Vmovss => scalar(instruction, Avx, Width::Long, true),
        Mnemonic::Comisd | Mnemonic::Ucomisd => compare(Sse, Width::Quad),
        Mnemonic::Vcomisd | Mnemonic::Vucomisd => compare(Avx, Width::Quad),
        Mnemonic::Comiss | Mnemonic::Ucomiss => compare(Sse, Width::Long),
        Mnemonic::Vcomiss | Mnemonic::Vucomiss => compare(Avx, Width::Long),
        _ => None,
    }
}

/// A move of the low element; between registers `movsd` and `movss` keep the rest, `movq` clears it.
fn scalar(
    instruction: &Instruction,
    family: Family,
    width: Width,
    merges: bool,
) -> Option<(Family, VectorOperation)> {
    let operation = match (register(instruction, 0), register(instruction, 1), register(instruction, 2)) {
        (Some(to), Some(rest), Some(from)) if merges => VectorOperation::Merge { to, rest, from, width },
        (Some(to), Some(from), None) if merges => VectorOperation::Merge { to, rest: to, from, width },
        (Some(to), Some(from), None) => VectorOperation::ClearHigh { to, from },
        (Some(to), None, None) => VectorOperation::Insert { to, from: operand(instruction, 1)?, width },
        (None, Some(from), None) => VectorOperation::Extract { to: operand(instruction, 0)?, from, width },
        _ => return None,
    };
    Some((family, operation))
}

/// One 64-bit half of a register.
fn halves(instruction: &Instruction) -> Option<(Family, VectorOperation)> {
    use Family::{Avx, Sse};
    let immediate = || instruction.immediate8() & 1 == 1;
    let insert = |family, high| {
        let (rest, from) = if family == Avx { (1, 2) } else { (0, 1) };
        let (to, rest) = (register(instruction, 0)?, register(instruction, rest)?);
        Some((family, VectorOperation::InsertHalf { to, rest, from: operand(instruction, from)?, high }))
    };
    let extract = |family, high| {
        let (to, from) = (operand(instruction, 0)?, register(instruction, 1)?);
        Some((family, VectorOperation::ExtractHalf { to, from, high }))
    };
    let stores = instruction.op0_kind() == OpKind::Memory;
    match instruction.mnemonic() {
        Mnemonic::Movlps | Mnemonic::Movlpd if stores => extract(Sse, false),
        Mnemonic::Vmovlps | Mnemonic::Vmovlpd if stores => extract(Avx, false),
        Mnemonic::Movhps | Mnemonic::Movhpd if stores => extract(Sse, true),
        Mnemonic::Vmovhps | Mnemonic::Vmovhpd if stores => extract(Avx, true),
        Mnemonic::Movlps | Mnemonic::Movlpd => insert(Sse, false),
        Mnemonic::Vmovlps | Mnemonic::Vmovlpd => insert(Avx, false),
        Mnemonic::Movhps | Mnemonic::Movhpd => insert(Sse, true),
        Mnemonic::Vmovhps | Mnemonic::Vmovhpd => insert(Avx, true),
        Mnemonic::Pinsrq => insert(Sse, immediate()),
        Mnemonic::Vpinsrq => insert(Avx, immediate()),
        Mnemonic::Pextrq => extract(Sse, immediate()),
        Mnemonic::Vpextrq => extract(Avx, immediate()),
        _ => None,
    }
}

fn vector_operand(instruction: &Instruction, index: u32) -> Option<VectorOperand> {
    match instruction.op_kind(index) {
        OpKind::Register => register(instruction, index).map(VectorOperand::Register),
        OpKind::Memory => super::lower::location(instruction).map(VectorOperand::Memory),
        _ => None,
    }
}

fn registers(instruction: &Instruction) -> impl Iterator<Item = Register> + '_ {
    (0..instruction.op_count())
        .filter(|index| instruction.op_kind(*index) == OpKind::Register)
        .map(|index| instruction.op_register(index))
}

/// The 16- or 32-byte register at `index`, one of the first sixteen.
fn register(instruction: &Instruction, index: u32) -> Option<Xmm> {
    if index >= instruction.op_count() || instruction.op_kind(index) != OpKind::Register {
        return None;
    }
    let register = instruction.op_register(index);
    [Register::XMM0, Register::YMM0]
        .into_iter()
        .filter_map(|first| (register as u32).checked_sub(first as u32))
        .find(|number| *number < 16)
        .and_then(|number| u8::try_from(number).ok())
        .map(Xmm)
}
