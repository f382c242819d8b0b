//! Effects of operations on the vector registers.
//!
//! It knows 16-byte lanes as two words, so that pointers copied in pairs keep their origins. It refuses to know
//! floating-point arithmetic; alignment faults are not raised.

use super::arithmetic::Flags;
use super::execute::Processor;
use super::operation::{Extent, VectorBinary, VectorOperand, VectorOperation, Width, Xmm};
use super::space::{Fault, Memory, Word};

/// 16 bytes as two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    low: Word,
    high: Word,
}

/// A 32-byte register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vector {
    low: Lane,
    high: Lane,
}

impl Lane {
    fn half(self, high: bool) -> Word {
        if high { self.high } else { self.low }
    }

    fn with_half(self, high: bool, word: Word) -> Lane {
        if high { Lane { high: word, ..self } } else { Lane { low: word, ..self } }
    }

    /// 32-bit element `index & 3`.
    fn long(self, index: u8) -> u64 {
        let word = self.half(index & 2 != 0).value;
        if index & 1 == 0 { Width::Long.truncate(word) } else { word >> 32 }
    }

    fn map(self, other: Lane, combine: impl Fn(u64, u64) -> u64) -> Lane {
        Lane {
            low: Word::computed(combine(self.low.value, other.low.value)),
            high: Word::computed(combine(self.high.value, other.high.value)),
        }
    }
}

impl<M: Memory> Processor<'_, M> {
    /// Executes one vector operation.
    pub(super) fn vector(&mut self, extent: Extent, operation: &VectorOperation) -> Result<(), Fault> {
        match *operation {
            VectorOperation::Move { to: VectorOperand::Register(to), from } => {
                let vector = self.read_vector(extent, &from)?;
                self.set_vector(extent, to, vector);
            }
            VectorOperation::Move { to: VectorOperand::Memory(location), from } => {
                let vector = self.read_vector(extent, &from)?;
                let address = self.resolve(&location)?;
                self.store_lane(address, vector.low)?;
                if extent == Extent::Whole {
                    self.store_lane(address.wrapping_add(16), vector.high)?;
                }
            }
            VectorOperation::Binary { kind, to, left, right } => {
                let (left, right) = (self.get_vector(left), self.read_vector(extent, &right)?);
                let (low, high) = (binary(kind, left.low, right.low), binary(kind, left.high, right.high));
                self.set_vector(extent, to, Vector { low, high });
            }
            VectorOperation::ShuffleLongs { to, from, order } => {
                let from = self.read_vector(extent, &from)?;
                let (low, high) = (shuffled(from.low, order), shuffled(from.high, order));
                self.set_vector(extent, to, Vector { low, high });
            }
            VectorOperation::ByteMask { to, from } => {
                let from = self.get_vector(from);
                let high = if extent == Extent::Whole { byte_tops(from.high) } else { 0 };
                self.write_register(Width::Long, to, Word::computed(byte_tops(from.low) | high << 16));
            }
            VectorOperation::InsertLane { to, rest, from, high } => {
                let (rest, lane) = (self.get_vector(rest), self.read_vector(Extent::Half, &from)?.low);
                let whole = if high { Vector { high: lane, ..rest } } else { Vector { low: lane, ..rest } };
                self.set_vector(Extent::Whole, to, whole);
            }
            VectorOperation::ExtractLane { to, from, high } => {
                let from = self.get_vector(from);
                let lane = if high { from.high } else { from.low };
                match to {
                    VectorOperand::Register(to) => self.set_lane(Extent::Half, to, lane),
                    VectorOperand::Memory(location) => self.store_lane(self.resolve(&location)?, lane)?,
                }
            }
            VectorOperation::ZeroRegisters { all } => {
                for vector in &mut self.vectors {
                    *vector =
                        Vector { low: if all { Lane::default() } else { vector.low }, ..Vector::default() };
                }
            }
            ref other => self.element(extent, other)?,
        }
        Ok(())
    }

    /// The operations on the low lane's elements.
    fn element(&mut self, extent: Extent, operation: &VectorOperation) -> Result<(), Fault> {
        match *operation {
            VectorOperation::Insert { to, from, width } => {
                let low = scalar(width, self.read(width, &from)?);
                self.set_lane(extent, to, Lane { low, high: Word::default() });
            }
            VectorOperation::Extract { to, from, width } => {
                let word = scalar(width, self.get_vector(from).low.low);
                self.write(width, &to, word)?;
            }
            VectorOperation::Merge { to, rest, from, width } => {
                let (rest, from) = (self.get_vector(rest).low, self.get_vector(from).low);
                let low = match width {
                    Width::Quad => from.low,
                    _ => Word::computed(rest.low.value >> 32 << 32 | Width::Long.truncate(from.low.value)),
                };
                self.set_lane(extent, to, Lane { low, ..rest });
            }
            VectorOperation::ClearHigh { to, from } => {
                let from = self.get_vector(from).low;
                self.set_lane(extent, to, Lane { high: Word::default(), ..from });
            }
            VectorOperation::InsertHalf { to, rest, from, high } => {
                let word = self.read(Width::Quad, &from)?;
                self.set_lane(extent, to, self.get_vector(rest).low.with_half(high, word));
            }
            VectorOperation::ExtractHalf { to, from, high } => {
                let word = self.get_vector(from).low.half(high);
                self.write(Width::Quad, &to, word)?;
            }
            VectorOperation::CompareScalar { left, right, width } => {
                let left = self.get_vector(left).low.low.value;
                let right = match right {
                    VectorOperand::Register(register) => self.get_vector(register).low.low.value,
                    VectorOperand::Memory(location) => {
                        self.space.load(self.resolve(&location)?, width)?.value
                    }
                };
                self.flags = compare_scalar(width, left, right);
            }
            _ => return Err(Fault::Unsupported),
        }
        Ok(())
    }

    fn get_vector(&self, register: Xmm) -> Vector {
        self.vectors[usize::from(register.0 & 15)]
    }

    fn set_vector(&mut self, extent: Extent, register: Xmm, vector: Vector) {
        let target = &mut self.vectors[usize::from(register.0 & 15)];
        target.low = vector.low;
        match extent {
            Extent::Legacy => {}
            Extent::Half => target.high = Lane::default(),
            Extent::Whole => target.high = vector.high,
        }
    }

    fn set_lane(&mut self, extent: Extent, register: Xmm, low: Lane) {
        self.set_vector(extent, register, Vector { low, high: Lane::default() });
    }

    fn read_vector(&self, extent: Extent, operand: &VectorOperand) -> Result<Vector, Fault> {
        let location = match operand {
            VectorOperand::Register(register) => return Ok(self.get_vector(*register)),
            VectorOperand::Memory(location) => location,
        };
        let address = self.resolve(location)?;
        let low = self.load_lane(address)?;
        let high =
            if extent == Extent::Whole { self.load_lane(address.wrapping_add(16))? } else { Lane::default() };
        Ok(Vector { low, high })
    }

    fn load_lane(&self, address: u64) -> Result<Lane, Fault> {
        Ok(Lane {
            low: self.space.load(address, Width::Quad)?,
            high: self.space.load(address.wrapping_add(8), Width::Quad)?,
        })
    }

    fn store_lane(&mut self, address: u64, lane: Lane) -> Result<(), Fault> {
        self.space.store(address, Width::Quad, lane.low)?;
        self.space.store(address.wrapping_add(8), Width::Quad, lane.high)
    }
}

/// `word` cut to `width`; only a whole word keeps its origin.
fn scalar(width: Width, word: Word) -> Word {
    if width == Width::Quad { word } else { Word::computed(width.truncate(word.value)) }
}

fn binary(kind: VectorBinary, left: Lane, right: Lane) -> Lane {
    match kind {
        VectorBinary::And => left.map(right, |left, right| left & right),
        VectorBinary::AndNot => left.map(right, |left, right| !left & right),
        VectorBinary::Or => left.map(right, |left, right| left | right),
        VectorBinary::Xor => left.map(right, |left, right| left ^ right),
        VectorBinary::AddQuads => left.map(right, u64::wrapping_add),
        VectorBinary::AddLongs => left.map(right, |left, right| {
            let low = Width::Long.truncate(left.wrapping_add(right));
            (left >> 32).wrapping_add(right >> 32) << 32 | low
        }),
        VectorBinary::SubtractQuads => left.map(right, u64::wrapping_sub),
        VectorBinary::EqualBytes => left.map(right, |left, right| equal_elements(left, right, Width::Byte)),
        VectorBinary::EqualLongs => left.map(right, |left, right| equal_elements(left, right, Width::Long)),
        VectorBinary::UnpackLowQuads => Lane { low: left.low, high: right.low },
        VectorBinary::UnpackHighQuads => Lane { low: left.high, high: right.high },
        VectorBinary::MoveHighToLow => Lane { low: right.high, high: left.high },
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
fn byte_tops(lane: Lane) -> u64 {
    let tops = |word: Word| {
        let bytes = word.value.to_le_bytes();
        bytes.iter().zip(0_u32..).fold(0, |mask, (byte, n)| mask | u64::from(byte >> 7) << n)
    };
    tops(lane.low) | tops(lane.high) << 8
}

/// A lane's 32-bit elements in the order of the two-bit fields; a word moved in one piece keeps its origin.
fn shuffled(lane: Lane, order: u8) -> Lane {
    let half = |fields: u8| match fields {
        0b0100 => lane.low,
        0b1110 => lane.high,
        _ => Word::computed(lane.long(fields & 3) | lane.long(fields >> 2) << 32),
    };
    Lane { low: half(order & 15), high: half(order >> 4) }
}

/// Flags of `comisd` and `comiss`: unordered sets all three.
fn compare_scalar(width: Width, left: u64, right: u64) -> Flags {
    let number = |bits: u64| match width {
        Width::Quad => f64::from_bits(bits),
        _ => f64::from(f32::from_bits(bits as u32)),
    };
    let order = number(left).partial_cmp(&number(right));
    Flags {
        carry: order.is_none_or(|order| order.is_lt()),
        zero: order.is_none_or(|order| order.is_eq()),
        parity: order.is_none(),
        ..Flags::default()
    }
}
