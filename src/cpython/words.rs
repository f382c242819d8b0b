//! Reading little-endian words and named fields. Knows widths; refuses to know what they mean.

use crate::corefile::{Address, AddressSpace, ReadError};
use crate::layout::Field;

/// The 64-bit word at `offset` of `bytes`; 0 past the end (callers size their slices first).
#[inline(always)]
pub fn word(bytes: &[u8], offset: usize) -> u64 {
    match bytes.get(offset..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => 0,
    }
}

/// The 32-bit word at `offset` of `bytes`; 0 past the end.
#[inline(always)]
pub fn half(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>) {
        Some(chunk) => u32::from_le_bytes(*chunk),
        None => 0,
    }
}

/// Offset of a field as an index.
#[inline(always)]
pub fn at(field: Field) -> usize {
    field.offset as usize
}

/// Named fields of structs in the dead process.
pub trait ReadField {
    /// A pointer or other 8-byte field of the struct at `base`.
    ///
    /// # Errors
    /// The field's memory is not there.
    fn field(&self, base: Address, field: Field) -> Result<u64, ReadError>;

    /// An unsigned field of any width, bit-fields included.
    ///
    /// # Errors
    /// The field's memory is not there.
    fn small(&self, base: Address, field: Field) -> Result<u64, ReadError>;

    /// A signed field of 1, 2, 4 or 8 bytes.
    ///
    /// # Errors
    /// The field's memory is not there.
    fn signed(&self, base: Address, field: Field) -> Result<i64, ReadError>;
}

impl ReadField for AddressSpace<'_> {
    #[inline]
    fn field(&self, base: Address, field: Field) -> Result<u64, ReadError> {
        self.read_u64(base.wrapping_add(u64::from(field.offset)))
    }

    #[inline]
    fn small(&self, base: Address, field: Field) -> Result<u64, ReadError> {
        let address = base.wrapping_add(u64::from(field.offset));
        let raw = match field.size {
            0 | 1 => u64::from(self.read_u8(address)?),
            2 => u64::from(self.read_u16(address)?),
            3 | 4 => u64::from(self.read_u32(address)?),
            _ => self.read_u64(address)?,
        };
        Ok(match field.bits {
            None => raw,
            Some(bits) => {
                (raw >> bits.offset) & 1u64.checked_shl(u32::from(bits.width)).map_or(u64::MAX, |b| b - 1)
            }
        })
    }

    #[inline]
    fn signed(&self, base: Address, field: Field) -> Result<i64, ReadError> {
        let raw = self.small(base, field)?;
        Ok(match field.size {
            0 | 1 => i64::from(raw as u8 as i8),
            2 => i64::from(raw as u16 as i16),
            3 | 4 => i64::from(raw as u32 as i32),
            _ => raw as i64,
        })
    }
}
