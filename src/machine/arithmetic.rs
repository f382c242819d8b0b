//! Integer arithmetic with the processor's flags, as pure functions.
//!
//! It knows results and flags (Intel SDM volume 1, section 3.4.3.1, and volume 2 per instruction). It refuses
//! to know registers and memory. The adjust flag is not modelled: only decimal arithmetic, absent from 64-bit
//! code, reads it. Flags the manual leaves undefined get what current processors do, or keep a fixed value.

use super::operation::{Binary, BitCount, Condition, LowestBit, Shift, Unary, Width};

/// The status flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) carry: bool,
    pub(super) zero: bool,
    pub(super) negative: bool,
    pub(super) overflow: bool,
    /// The low byte of the last result has an even number of set bits.
    pub(super) parity: bool,
}

impl Flags {
    /// Flags of a result whose carry and overflow are clear.
    pub(super) fn of_result(width: Width, result: u64) -> Flags {
        Flags {
            carry: false,
            zero: width.truncate(result) == 0,
            negative: width.is_negative(result),
            overflow: false,
            parity: (result as u8).count_ones() & 1 == 0,
        }
    }

    /// Whether `condition` holds.
    pub(super) fn hold(self, condition: Condition) -> bool {
        match condition {
            Condition::Overflow => self.overflow,
            Condition::NotOverflow => !self.overflow,
            Condition::Below => self.carry,
            Condition::AboveOrEqual => !self.carry,
            Condition::Equal => self.zero,
            Condition::NotEqual => !self.zero,
            Condition::BelowOrEqual => self.carry || self.zero,
            Condition::Above => !self.carry && !self.zero,
            Condition::Negative => self.negative,
            Condition::NotNegative => !self.negative,
            Condition::ParityEven => self.parity,
            Condition::ParityOdd => !self.parity,
            Condition::Less => self.negative != self.overflow,
            Condition::GreaterOrEqual => self.negative == self.overflow,
            Condition::LessOrEqual => self.zero || self.negative != self.overflow,
            Condition::Greater => !self.zero && self.negative == self.overflow,
        }
    }
}

/// `left + right + carry` and its flags.
pub(super) fn add(width: Width, left: u64, right: u64, carry: bool) -> (u64, Flags) {
    let (left, right) = (width.truncate(left), width.truncate(right));
    let (partial, first) = left.overflowing_add(right);
    let (full, second) = partial.overflowing_add(u64::from(carry));
    let result = width.truncate(full);
    let mut flags = Flags::of_result(width, result);
    flags.carry = first || second || full != result;
    flags.overflow = width.is_negative((left ^ result) & (right ^ result));
    (result, flags)
}

/// `left - right - borrow` and its flags.
pub(super) fn subtract(width: Width, left: u64, right: u64, borrow: bool) -> (u64, Flags) {
    let (left, right) = (width.truncate(left), width.truncate(right));
    let (partial, first) = left.overflowing_sub(right);
    let (full, second) = partial.overflowing_sub(u64::from(borrow));
    let result = width.truncate(full);
    let mut flags = Flags::of_result(width, result);
    flags.carry = first || second;
    flags.overflow = width.is_negative((left ^ right) & (left ^ result));
    (result, flags)
}

/// The result of a two-operand operation and its flags; `Compare` and `Test` return the result they would
/// drop.
pub(super) fn binary(kind: Binary, width: Width, left: u64, right: u64, carry: bool) -> (u64, Flags) {
    let logic = |result: u64| (width.truncate(result), Flags::of_result(width, result));
    match kind {
        Binary::Add => add(width, left, right, false),
        Binary::AddCarry => add(width, left, right, carry),
        Binary::Subtract | Binary::Compare => subtract(width, left, right, false),
        Binary::SubtractBorrow => subtract(width, left, right, carry),
        Binary::And | Binary::Test => logic(left & right),
        Binary::Or => logic(left | right),
        Binary::Xor => logic(left ^ right),
    }
}

/// The result of a one-operand operation and the flags after it.
pub(super) fn unary(kind: Unary, width: Width, value: u64, before: Flags) -> (u64, Flags) {
    match kind {
        Unary::Increment => {
            let (result, flags) = add(width, value, 1, false);
            (result, Flags { carry: before.carry, ..flags })
        }
        Unary::Decrement => {
            let (result, flags) = subtract(width, value, 1, false);
            (result, Flags { carry: before.carry, ..flags })
        }
        Unary::Negate => subtract(width, 0, value, false),
        Unary::Not => (width.truncate(!value), before),
        Unary::SwapBytes => {
            let unused = 64_u32.saturating_sub(width.bits());
            (value.swap_bytes().checked_shr(unused).unwrap_or(0), before)
        }
    }
}

/// The result of a shift or rotation and the flags after it.
pub(super) fn shift(kind: Shift, width: Width, value: u64, count: u64, before: Flags) -> (u64, Flags) {
    let bits = width.bits();
    // The processor uses five bits of the count, six for 64-bit operands.
    let count = (count as u32) & if width == Width::Quad { 63 } else { 31 };
    if count == 0 {
        return (width.truncate(value), before);
    }
    let value = width.truncate(value);
    match kind {
        Shift::Left => {
            // 128 bits keep the last bit shifted out for every width.
            let wide = u128::from(value) << count;
            let result = width.truncate(wide as u64);
            let mut flags = Flags::of_result(width, result);
            flags.carry = (wide >> bits) & 1 == 1;
            flags.overflow = width.is_negative(result) != flags.carry;
            (result, flags)
        }
        Shift::RightLogical => {
            let last_out = value.checked_shr(count.saturating_sub(1)).unwrap_or(0);
            let result = last_out >> 1;
            let mut flags = Flags::of_result(width, result);
            flags.carry = last_out & 1 == 1;
            flags.overflow = width.is_negative(value);
            (result, flags)
        }
        Shift::RightArithmetic => {
            let last_out = width.sign_extend(value) >> count.saturating_sub(1).min(63);
            let result = width.truncate((last_out >> 1) as u64);
            let mut flags = Flags::of_result(width, result);
            flags.carry = last_out & 1 == 1;
            (result, flags)
        }
        Shift::RotateLeft => {
            let result = rotate_left(width, value, count);
            let carry = result & 1 == 1;
            (result, Flags { carry, overflow: width.is_negative(result) != carry, ..before })
        }
        Shift::RotateRight => {
            let turn = bits.saturating_sub(count % bits);
            let result = rotate_left(width, value, turn);
            let carry = width.is_negative(result);
            (result, Flags { carry, overflow: carry != width.is_negative(result << 1), ..before })
        }
    }
}

fn rotate_left(width: Width, value: u64, count: u32) -> u64 {
    match width {
        Width::Byte => u64::from((value as u8).rotate_left(count)),
        Width::Half => u64::from((value as u16).rotate_left(count)),
        Width::Long => u64::from((value as u32).rotate_left(count)),
        Width::Quad => value.rotate_left(count),
    }
}

/// The signed product cut to `width`; carry and overflow say that it did not fit.
pub(super) fn multiply(width: Width, left: u64, right: u64) -> (u64, Flags) {
    let (low, _, flags) = multiply_wide(true, width, left, right);
    (low, flags)
}

/// Low half, high half and flags of the full product.
pub(super) fn multiply_wide(signed: bool, width: Width, left: u64, right: u64) -> (u64, u64, Flags) {
    let (low, high, fits) = if signed {
        let product = i128::from(width.sign_extend(left)) * i128::from(width.sign_extend(right));
        let low = width.truncate(product as u64);
        (low, (product >> width.bits()) as u64, i128::from(width.sign_extend(low)) == product)
    } else {
        let product = u128::from(width.truncate(left)) * u128::from(width.truncate(right));
        let low = width.truncate(product as u64);
        (low, (product >> width.bits()) as u64, u128::from(low) == product)
    };
    let mut flags = Flags::of_result(width, low);
    flags.carry = !fits;
    flags.overflow = !fits;
    (low, width.truncate(high), flags)
}

/// Quotient and remainder of `high:low / by`, or nothing where the processor raises a divide error.
pub(super) fn divide(signed: bool, width: Width, high: u64, low: u64, by: u64) -> Option<(u64, u64)> {
    let bits = width.bits();
    let dividend = (u128::from(width.truncate(high)) << bits) | u128::from(width.truncate(low));
    if signed {
        let unused = 128_u32.saturating_sub(bits.saturating_mul(2));
        let dividend = ((dividend << unused) as i128) >> unused;
        let divisor = i128::from(width.sign_extend(by));
        let quotient = dividend.checked_div(divisor)?;
        let remainder = dividend.checked_rem(divisor)?;
        let cut = width.truncate(quotient as u64);
        (i128::from(width.sign_extend(cut)) == quotient).then(|| (cut, width.truncate(remainder as u64)))
    } else {
        let divisor = u128::from(width.truncate(by));
        let quotient = dividend.checked_div(divisor)?;
        let remainder = dividend.checked_rem(divisor)?;
        let cut = width.truncate(quotient as u64);
        (u128::from(cut) == quotient).then_some((cut, remainder as u64))
    }
}

/// The count or position, nothing where the destination stays as it was, and the flags.
pub(super) fn bit_count(kind: BitCount, width: Width, value: u64, before: Flags) -> (Option<u64>, Flags) {
    let value = width.truncate(value);
    let unused = 64_u32.saturating_sub(width.bits());
    let trailing = u64::from(value.trailing_zeros().min(width.bits()));
    let leading = u64::from(value.leading_zeros().saturating_sub(unused));
    let top = u64::from(width.bits()).saturating_sub(1).saturating_sub(leading);
    let scanned = |position| (Some(position).filter(|_| value != 0), Flags { zero: value == 0, ..before });
    let counted = |count| (Some(count), Flags { carry: value == 0, zero: count == 0, ..before });
    match kind {
        BitCount::ScanForward => scanned(trailing),
        BitCount::ScanReverse => scanned(top),
        BitCount::TrailingZeros => counted(trailing),
        BitCount::LeadingZeros => counted(leading),
        BitCount::Population => {
            (Some(u64::from(value.count_ones())), Flags { zero: value == 0, ..Flags::default() })
        }
    }
}

/// `value` without the bits from position `count` (its low byte) on; carry says that there were none to clear.
pub(super) fn zero_high_bits(width: Width, value: u64, count: u64) -> (u64, Flags) {
    let count = u32::from(count as u8);
    let kept = if count < width.bits() { 1_u64.wrapping_shl(count).wrapping_sub(1) } else { u64::MAX };
    let result = width.truncate(value & kept);
    (result, Flags { carry: count >= width.bits(), ..Flags::of_result(width, result) })
}

/// `value` with its lowest set bit changed; carry says whether there was one (`blsi`) or was none (`blsr`, `blsmsk`).
pub(super) fn lowest_bit(kind: LowestBit, width: Width, value: u64) -> (u64, Flags) {
    let value = width.truncate(value);
    let below = value.wrapping_sub(1);
    let result = width.truncate(match kind {
        LowestBit::Reset => value & below,
        LowestBit::Isolate => value & value.wrapping_neg(),
        LowestBit::Mask => value ^ below,
    });
    let carry = (value == 0) != (kind == LowestBit::Isolate);
    (result, Flags { carry, ..Flags::of_result(width, result) })
}
