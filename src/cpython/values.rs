//! Contents of str, bytes, int and float objects.
//!
//! Knows their encodings; refuses to decide who may see them (a core holds secrets).

use super::Runtime;
use super::words::{ReadField, word};
use crate::corefile::{Address, ReadError};

/// The hash that a set gives to the place of a removed element, beside the object `_dummy_struct` that no name leads to
/// in a stripped file (Objects/setobject.c, `set_discard_entry`, 3.8 to 3.15). No element has it: -1 means failure.
pub const REMOVED_HASH: u64 = u64::MAX;

/// Where a str keeps its characters.
#[derive(Clone, Copy, Debug)]
pub struct StrText {
    /// First character.
    pub address: Address,
    /// Characters (code points).
    pub length: u64,
    /// Bytes of each character: 1, 2 or 4.
    pub kind: u32,
}

impl StrText {
    /// Bytes of each character; 1 also where `kind` is no such number, as in a str that has no characters yet (3.8 to 3.11,
    /// `PyUnicode_WCHAR_KIND`).
    pub fn width(&self) -> usize {
        match self.kind {
            2 => 2,
            4 => 4,
            _ => 1,
        }
    }

    /// Bytes of all characters.
    pub fn bytes(&self) -> u64 {
        self.length.saturating_mul(self.width() as u64)
    }
}

/// Locates the characters of the str at `address`.
///
/// # Errors
/// It is not readable.
pub fn str_text(runtime: &Runtime<'_>, address: Address) -> Result<StrText, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let compact = space.small(address, l.ascii.compact)? != 0;
    let ascii = space.small(address, l.ascii.ascii)? != 0;
    let text = match (compact, ascii) {
        (true, true) => address.wrapping_add(u64::from(l.ascii.size)),
        (true, false) => address.wrapping_add(u64::from(l.compact_unicode.size)),
        (false, _) => space.field(address, l.unicode.text)?,
    };
    Ok(StrText {
        address: text,
        length: space.field(address, l.ascii.length)?,
        kind: space.small(address, l.ascii.kind)? as u32,
    })
}

/// The first `max` characters of the str at `address`, as Rust text; lone surrogates become U+FFFD.
///
/// # Errors
/// It is not readable.
pub fn read_str(runtime: &Runtime<'_>, address: Address, max: usize) -> Result<String, ReadError> {
    let text = str_text(runtime, address)?;
    let length = usize::try_from(text.length).unwrap_or(usize::MAX).min(max);
    let width = text.width();
    let bytes = runtime.space.payload(text.address, length.saturating_mul(width))?;
    if runtime.redacted && bytes.iter().all(|&byte| byte == 0) {
        return Ok("*".repeat(length));
    }
    let decode = |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok(match width {
        1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
        2 => bytes.as_chunks::<2>().0.iter().map(|&c| decode(u32::from(u16::from_le_bytes(c)))).collect(),
        _ => bytes.as_chunks::<4>().0.iter().map(|&c| decode(u32::from_le_bytes(c))).collect(),
    })
}

/// Whether the object at `address` is a str equal to the ASCII text `wanted`.
pub fn str_equals(runtime: &Runtime<'_>, address: Address, wanted: &str) -> bool {
    if !is_str(runtime, address) {
        return false;
    }
    match str_text(runtime, address) {
        Ok(text) if text.length == wanted.len() as u64 && text.kind == 1 => {
            runtime.space.payload(text.address, wanted.len()).is_ok_and(|bytes| bytes == wanted.as_bytes())
        }
        _ => false,
    }
}

/// Whether the object at `address` is an instance of str or of a subclass.
pub fn is_str(runtime: &Runtime<'_>, address: Address) -> bool {
    has_flag(runtime, address, super::type_flags::UNICODE_SUBCLASS)
}

/// Whether the type of the object at `address` has the `tp_flags` bit `flag`.
pub fn has_flag(runtime: &Runtime<'_>, address: Address, flag: u64) -> bool {
    let l = &runtime.layouts;
    runtime
        .space
        .field(address, l.object.type_)
        .and_then(|type_| runtime.space.field(type_, l.type_.flags))
        .is_ok_and(|flags| flags & flag != 0)
}

/// The first `max` bytes of the bytes object at `address`.
///
/// # Errors
/// It is not readable.
pub fn read_bytes<'core>(
    runtime: &Runtime<'core>,
    address: Address,
    max: usize,
) -> Result<&'core [u8], ReadError> {
    let l = &runtime.layouts;
    let length = runtime.space.field(address, l.var_object.ob_size)?;
    let start = address.wrapping_add(u64::from(l.bytes.value.offset));
    runtime.space.payload(start, usize::try_from(length).unwrap_or(usize::MAX).min(max))
}

/// Sign and number of 30-bit digits of the int at `address`.
///
/// # Errors
/// It is not readable.
#[inline]
pub fn int_digits(runtime: &Runtime<'_>, address: Address) -> Result<(bool, u64), ReadError> {
    let l = &runtime.layouts;
    match l.long.lv_tag {
        // Include/cpython/longintrepr.h, 3.12: bits 0-1 sign (2: negative), digit count from bit 3.
        Some(field) => {
            let tag = runtime.space.field(address, field)?;
            Ok((tag & 3 == 2, tag >> 3))
        }
        None => {
            let size = runtime.space.field(address, l.var_object.ob_size)? as i64;
            Ok((size < 0, size.unsigned_abs()))
        }
    }
}

/// The int at `address`, if it fits 128 bits and was not overwritten when the heap was saved.
///
/// # Errors
/// It is not readable.
pub fn read_int(runtime: &Runtime<'_>, address: Address) -> Result<Option<i128>, ReadError> {
    let (negative, digits) = int_digits(runtime, address)?;
    if digits > 4 {
        return Ok(None);
    }
    let start = address.wrapping_add(u64::from(runtime.layouts.long.digits.offset));
    let mut value = 0i128;
    for digit in runtime.space.payload(start, digits as usize * 4)?.as_chunks::<4>().0.iter().rev() {
        value = (value << 30) | i128::from(u32::from_le_bytes(*digit));
    }
    // An int's last digit is not 0, and 0 has no digits.
    if runtime.redacted && digits > 0 && value == 0 {
        return Ok(None);
    }
    Ok(Some(if negative { -value } else { value }))
}

/// As [`read_int`], of an int that says how something else is to be read, and is kept with it when contents are not.
///
/// # Errors
/// It is not readable.
pub fn read_count(runtime: &Runtime<'_>, address: Address) -> Result<Option<i128>, ReadError> {
    let (_, digits) = int_digits(runtime, address)?;
    let start = address.wrapping_add(u64::from(runtime.layouts.long.digits.offset));
    runtime.space.record(start, digits.min(4) as usize * 4);
    read_int(runtime, address)
}

/// The words of the tuple at `address`.
///
/// # Errors
/// It is not readable.
pub fn tuple_items(runtime: &Runtime<'_>, address: Address) -> Result<Vec<Address>, ReadError> {
    let l = &runtime.layouts;
    let length = runtime.space.field(address, l.var_object.ob_size)?;
    let start = address.wrapping_add(u64::from(l.tuple.items.offset));
    words_at(runtime, start, length)
}

/// The words of the list at `address`.
///
/// # Errors
/// It is not readable.
pub fn list_items(runtime: &Runtime<'_>, address: Address) -> Result<Vec<Address>, ReadError> {
    let l = &runtime.layouts;
    let length = runtime.space.field(address, l.var_object.ob_size)?;
    if length == 0 {
        return Ok(Vec::new());
    }
    words_at(runtime, runtime.space.field(address, l.list.items)?, length)
}

fn words_at(runtime: &Runtime<'_>, start: Address, count: u64) -> Result<Vec<Address>, ReadError> {
    let bytes = runtime.space.slice(start, usize::try_from(count.saturating_mul(8)).unwrap_or(usize::MAX))?;
    Ok((0..bytes.len() / 8).map(|index| word(bytes, index * 8)).collect())
}
