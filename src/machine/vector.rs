//! Effects of operations on the vector registers.
//!
//! It knows 16-byte values as two words, so that pointers copied in pairs keep their origins. It refuses to
//! know floating-point numbers; alignment faults are not raised.

use super::execute::Processor;
use super::operation::{VectorBinary, VectorOperand, VectorOperation, Width, Xmm};
use super::space::{Fault, Memory, Word};

/// A 16-byte register as two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vector {
    pub(super) low: Word,
    pub(super) high: Word,
}

impl Vector {
    fn half(self, high: bool) -> Word {
        if high { self.high } else { self.low }
    }

    fn with_half(self, high: bool, word: Word) -> Vector {
        if high { Vector { high: word, ..self } } else { Vector { low: word, ..self } }
    }

    /// 32-bit element `index & 3`.
    fn long(self, index: u8) -> u64 {
        let word = self.half(index & 2 != 0).value;
        if index & 1 == 0 { Width::Long.truncate(word) } else { word >> 32 }
    }

    fn map(self, other: Vector, combine: impl Fn(u64, u64) -> u64) -> Vector {
        Vector {
            low: Word::computed(combine(self.low.value, other.low.value)),
            high: Word::computed(combine(self.high.value, other.high.value)),
        }
    }
}

impl<M: Memory> Processor<'_, M> {
    /// Executes one vector operation.
    pub(super) fn vector(&mut self, operation: &VectorOperation) -> Result<(), Fault> {
        match *operation {
            VectorOperation::Move { to, from } => {
                let vector = self.read_vector(&from)?;
                self.write_vector(&to, vector)?;
            }
            VectorOperation::Insert { to, from, width } => {
                let word = scalar(width, self.read(width, &from)?);
                self.set_vector(to, Vector { low: word, high: Word::default() });
            }
            VectorOperation::Extract { to, from, width } => {
                let word = scalar(width, self.get_vector(from).low);
                self.write(width, &to, word)?;
            }
            VectorOperation::Merge { to, from, width } => {
                let (target, source) = (self.get_vector(to), self.get_vector(from));
                let low = match width {
                    Width::Quad => source.low,
                    _ => {
                        Word::computed(target.low.value >> 32 << 32 | Width::Long.truncate(source.low.value))
                    }
                };
                self.set_vector(to, Vector { low, ..target });
            }
            VectorOperation::ClearHigh { to, from } => {
                let source = self.get_vector(from);
                self.set_vector(to, Vector { high: Word::default(), ..source });
            }
            VectorOperation::InsertHalf { to, from, high } => {
                let word = self.read(Width::Quad, &from)?;
                self.set_vector(to, self.get_vector(to).with_half(high, word));
            }
            VectorOperation::ExtractHalf { to, from, high } => {
                let word = self.get_vector(from).half(high);
                self.write(Width::Quad, &to, word)?;
            }
            VectorOperation::Binary { kind, to, from } => {
                let source = self.read_vector(&from)?;
                self.set_vector(to, binary(kind, self.get_vector(to), source));
            }
            VectorOperation::ShuffleLongs { to, from, order } => {
                let source = self.read_vector(&from)?;
                let half = |fields| shuffled(source, fields);
                self.set_vector(to, Vector { low: half(order & 15), high: half(order >> 4) });
            }
            VectorOperation::ByteMask { to, from } => {
                let source = self.get_vector(from);
                let mask = byte_tops(source.low.value) | byte_tops(source.high.value) << 8;
                self.write_register(Width::Long, to, Word::computed(mask));
            }
        }
        Ok(())
    }

    fn get_vector(&self, register: Xmm) -> Vector {
        self.vectors[usize::from(register.0 & 15)]
    }

    fn set_vector(&mut self, register: Xmm, vector: Vector) {
        self.vectors[usize::from(register.0 & 15)] = vector;
    }

    fn read_vector(&self, operand: &VectorOperand) -> Result<Vector, Fault> {
        match operand {
            VectorOperand::Register(register) => Ok(self.get_vector(*register)),
            VectorOperand::Memory(location) => {
                let address = self.resolve(location)?;
                Ok(Vector {
                    low: self.space.load(address, Width::Quad)?,
                    high: self.space.load(address.wrapping_add(8), Width::Quad)?,
                })
            }
        }
    }

    fn write_vector(&mut self, operand: &VectorOperand, vector: Vector) -> Result<(), Fault> {
        match operand {
            VectorOperand::Register(register) => {
                self.set_vector(*register, vector);
                Ok(())
            }
            VectorOperand::Memory(location) => {
                let address = self.resolve(location)?;
                self.space.store(address, Width::Quad, vector.low)?;
                self.space.store(address.wrapping_add(8), Width::Quad, vector.high)
            }
        }
    }
}

/// `word` cut to `width`; only a whole word keeps its origin.
fn scalar(width: Width, word: Word) -> Word {
    if width == Width::Quad { word } else { Word::computed(width.truncate(word.value)) }
}

fn binary(kind: VectorBinary, to: Vector, from: Vector) -> Vector {
    match kind {
        VectorBinary::And => to.map(from, |left, right| left & right),
        VectorBinary::AndNot => to.map(from, |left, right| !left & right),
        VectorBinary::Or => to.map(from, |left, right| left | right),
        VectorBinary::Xor => to.map(from, |left, right| left ^ right),
        VectorBinary::AddQuads => to.map(from, u64::wrapping_add),
        VectorBinary::AddLongs => to.map(from, |left, right| {
            let low = Width::Long.truncate(left.wrapping_add(right));
            (left >> 32).wrapping_add(right >> 32) << 32 | low
        }),
        VectorBinary::SubtractQuads => to.map(from, u64::wrapping_sub),
        VectorBinary::EqualBytes => to.map(from, |left, right| equal_elements(left, right, Width::Byte)),
        VectorBinary::EqualLongs => to.map(from, |left, right| equal_elements(left, right, Width::Long)),
        VectorBinary::UnpackLowQuads => Vector { low: to.low, high: from.low },
        VectorBinary::UnpackHighQuads => Vector { low: to.high, high: from.high },
        VectorBinary::MoveHighToLow => Vector { low: from.high, high: to.high },
    }
}

/// All-ones in every element of `width` in which both words agree.
fn equal_elements(left: u64, right: u64, width: Width) -> u64 {
    let ones = width.truncate(u64::MAX);
    (0..64 / width.bits())
        .map(|element| ones << (element * width.bits()))
        .filter(|mask| (left ^ right) & mask == 0)
        .fold(0, |result, mask| result | mask)
}

/// Bit `n` is the top bit of byte `n`.
fn byte_tops(word: u64) -> u64 {
    word.to_le_bytes().iter().zip(0_u32..).fold(0, |mask, (byte, n)| mask | u64::from(byte >> 7) << n)
}

/// One half of a shuffle from its two two-bit fields; a whole word moved in one piece keeps its origin.
fn shuffled(source: Vector, fields: u8) -> Word {
    match fields {
        0b0100 => source.low,
        0b1110 => source.high,
        _ => Word::computed(source.long(fields & 3) | source.long(fields >> 2) << 32),
    }
}
