//! Line numbers: the location table of code objects.
//!
//! Knows the format of `co_linetable` since 3.11 (Objects/locations.md), and that there were others before; refuses to know frames and source files, and
//! skips columns and end lines. A table is bytes of a dead process: whatever it says, decoding ends.

use super::Runtime;
use super::old_lines::{line_in_line_table, line_in_lnotab};
use super::values::read_bytes;
use super::words::ReadField;
use crate::corefile::Address;

/// Longest table that is read, in bytes; the largest modules have some hundred kilobytes.
const MAX_TABLE: usize = 1 << 24;

/// Marks the first byte of an entry.
const ENTRY: u8 = 0x80;
/// Entry kinds (`_PyCodeLocationInfoKind`, Include/cpython/code.h); 0 to 9 are short forms on the same line.
const ONE_LINE_0: u8 = 10;
const ONE_LINE_2: u8 = 12;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
const NO_LOCATION: u8 = 15;

/// Line of the instruction `unit` code units (of two bytes) after the start of the bytecode of `code`, as
/// `PyCode_Addr2Line` gives it: a negative offset is a frame that has not started, which is on the code's first line.
///
/// `None`: the compiler gave the instruction no line, or the table is damaged or does not cover it.
pub fn line_of(runtime: &Runtime<'_>, code: Address, unit: i64) -> Option<u32> {
    let first_line = runtime.space.signed(code, runtime.layouts.code.firstlineno).ok()?;
    let Ok(unit) = u64::try_from(unit) else { return u32::try_from(first_line).ok() };
    let l = &runtime.layouts.code;
    let table = |field| {
        let table = runtime.space.field(code, field).ok()?;
        read_bytes(runtime, table, MAX_TABLE).ok()
    };
    match (l.linetable, l.lnotab) {
        // `co_linetable` of 3.10 shares no more than the name.
        (Some(field), _) if l.localsplusnames.is_some() => line_in_table(table(field)?, first_line, unit),
        (Some(field), _) => line_in_line_table(table(field)?, first_line, unit.checked_mul(2)?),
        (None, Some(field)) => line_in_lnotab(table(field)?, first_line, unit.checked_mul(2)?),
        (None, None) => None,
    }
}

/// Line of code unit `unit` according to `table`, whose first entry counts from `first_line`.
pub(super) fn line_in_table(table: &[u8], first_line: i64, unit: u64) -> Option<u32> {
    let mut line = first_line;
    let mut covered = 0u64;
    let mut rest = table;
    while let Some((&head, after)) = rest.split_first() {
        if head & ENTRY == 0 {
            return None;
        }
        // An entry ends where the next begins, whatever its kind would need: so does the interpreter skip it.
        let (body, next) =
            after.split_at(after.iter().position(|byte| byte & ENTRY != 0).unwrap_or(after.len()));
        let kind = (head >> 3) & 15;
        line = line.checked_add(line_delta(kind, body)?)?;
        covered += u64::from(head & 7) + 1;
        if unit < covered {
            // Line 0 is a line: the first instruction of a module is there.
            return if kind == NO_LOCATION { None } else { i32::try_from(line).ok()?.try_into().ok() };
        }
        rest = next;
    }
    None
}

/// Lines from the entry before to this one.
fn line_delta(kind: u8, body: &[u8]) -> Option<i64> {
    match kind {
        ONE_LINE_0..=ONE_LINE_2 => Some(i64::from(kind - ONE_LINE_0)),
        NO_COLUMNS | LONG => signed_varint(body),
        _ => Some(0),
    }
}

/// A number whose lowest bit is its sign, in chunks of six bits, least significant first.
fn signed_varint(bytes: &[u8]) -> Option<i64> {
    let mut value = 0u64;
    // The interpreter's numbers have 32 bits: six chunks.
    for (chunk, byte) in bytes.iter().take(6).enumerate() {
        value |= u64::from(byte & 0x3f) << (6 * chunk);
        if byte & 0x40 == 0 {
            let magnitude = (value >> 1) as i64;
            return Some(if value & 1 == 1 { -magnitude } else { magnitude });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First byte of an entry of `kind` for `units` code units.
    fn head(kind: u8, units: u8) -> u8 {
        0x80 | (kind << 3) | (units - 1)
    }

    /// Lines of the code units 0, 1, 2 ... as far as the table goes and one further.
    fn lines(table: &[u8], first_line: i64, units: u64) -> Vec<Option<u32>> {
        (0..=units).map(|unit| line_in_table(table, first_line, unit)).collect()
    }

    #[test]
    fn short_forms_stay_on_the_line() {
        for kind in 0..ONE_LINE_0 {
            let table = [head(kind, 2), 0x35];
            assert_eq!(lines(&table, 7, 2), [Some(7), Some(7), None], "kind {kind}");
        }
    }

    #[test]
    fn one_line_forms_advance_by_zero_one_and_two() {
        let table = [head(10, 1), 4, 9, head(11, 1), 4, 9, head(12, 1), 4, 9];
        assert_eq!(lines(&table, 100, 3), [Some(100), Some(101), Some(103), None]);
    }

    #[test]
    fn entries_without_columns_carry_a_signed_delta() {
        // +5 is 10 unsigned; −3 is 7; +100 is 200: low six bits 8 with the continuation bit, then 3.
        let table = [head(13, 1), 10, head(13, 1), 7, head(13, 1), 0x48, 0x03];
        assert_eq!(lines(&table, 20, 3), [Some(25), Some(22), Some(122), None]);
    }

    #[test]
    fn long_entries_skip_end_line_and_columns() {
        // Start +1 (2), end +40 (0x28), start column 200 + 1, end column 63.
        let table = [head(14, 8), 2, 0x28, 0x49, 0x03, 0x3f, head(0, 1), 0x11];
        assert_eq!(lines(&table, 1, 9), [[Some(2); 9].as_slice(), &[None]].concat());
    }

    #[test]
    fn an_entry_without_location_has_no_line_and_keeps_the_count() {
        let table = [head(11, 1), 0, 1, head(15, 2), head(11, 1), 0, 1];
        assert_eq!(lines(&table, 3, 4), [Some(4), None, None, Some(5), None]);
    }

    #[test]
    fn line_zero_is_a_line() {
        // A module's RESUME: one line up from firstlineno 1; −1 is 3 unsigned.
        assert_eq!(line_in_table(&[head(14, 1), 3, 1, 0, 0], 1, 0), Some(0));
    }

    #[test]
    fn lines_below_zero_are_no_lines() {
        assert_eq!(line_in_table(&[head(13, 1), 5], 1, 0), None);
    }

    #[test]
    fn a_table_must_begin_with_an_entry() {
        assert_eq!(line_in_table(&[0x01, head(0, 1), 0], 1, 0), None);
        assert_eq!(line_in_table(&[], 1, 0), None);
    }

    #[test]
    fn a_number_that_does_not_end_damages_the_table() {
        assert_eq!(line_in_table(&[head(13, 1)], 1, 0), None);
        assert_eq!(line_in_table(&[head(13, 1), 0x7f, 0x7f], 1, 0), None);
        assert_eq!(line_in_table(&[head(13, 1), 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0], 1, 0), None);
    }

    #[test]
    fn numbers_beyond_the_interpreters_are_no_lines() {
        // 2³⁵ − 1: six chunks of ones.
        assert_eq!(line_in_table(&[head(13, 1), 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x3f], 1, 0), None);
    }

    #[test]
    fn every_table_of_two_entries_ends() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let table = [first, second, 0x7f, 0xff, second, first];
                for unit in [0, 1, 8, 16, u64::MAX] {
                    let line = line_in_table(&table, i64::from(i32::MAX), unit);
                    assert!(line.is_none_or(|line| line <= i32::MAX as u32));
                }
            }
        }
    }
}
