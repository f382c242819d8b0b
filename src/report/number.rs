//! Numbers as reports write them: addresses as hexadecimal strings, counts in groups, sizes for people.
//!
//! No floating point anywhere: the same input gives the same bytes on every machine.

use serde::{Serialize, Serializer};
use std::fmt;

/// An address. In JSON a string such as `"0x7f12ab34c010"`: many readers of JSON lose bits of large integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A count with its digits in groups of three: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count that may be a lower bound: `≥ 1,234`.
pub fn at_least(value: u64, is_bound: bool) -> String {
    mark(count(value), is_bound)
}

/// A count with what is counted: `1 thread`, `≥ 2 threads`.
pub fn counted(value: u64, noun: &str, is_bound: bool) -> String {
    format!("{} {noun}{}", at_least(value, is_bound), if value == 1 { "" } else { "s" })
}

/// A size that may be a lower bound.
pub fn at_least_bytes(value: u64, is_bound: bool) -> String {
    mark(bytes(value), is_bound)
}

/// Both sizes of objects where they differ, see [`crate::heap::ObjectTable`]: `624.2 MiB (shallow 691.5 MiB)`.
pub fn both_sizes(size: u64, shallow: u64, is_bound: bool) -> String {
    let size_text = at_least_bytes(size, is_bound);
    if size == shallow {
        return size_text;
    }
    format!("{size_text} (shallow {})", at_least_bytes(shallow, is_bound))
}

fn mark(number: String, is_bound: bool) -> String {
    if is_bound { format!("≥ {number}") } else { number }
}

/// A size for people, with one decimal, rounded half up: `512 B`, `21.8 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut shift = 10;
    for unit in UNITS {
        let scale = 1u128 << shift;
        let tenths = (u128::from(value) * 10 + scale / 2) / scale;
        // 1023.95 KiB rounds to a MiB.
        if tenths < 10_240 || unit == UNITS[UNITS.len() - 1] {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        shift += 10;
    }
    format!("{value} B")
}

/// A size for people and exactly: `21.8 MiB (22,820,360 bytes)`.
pub fn bytes_exactly(value: u64) -> String {
    if value < 1024 { format!("{value} bytes") } else { format!("{} ({} bytes)", bytes(value), count(value)) }
}

/// `part` of `whole` in thousandths, rounded half up; 0 of nothing.
pub fn permille(part: u64, whole: u64) -> u32 {
    let (part, whole) = (u128::from(part), u128::from(whole));
    if whole == 0 { 0 } else { ((part * 2000 + whole) / (whole * 2)) as u32 }
}

/// Thousandths as percent with one decimal: `12.5%`.
pub fn percent(permille: u32) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_one_decimal_of_the_largest_fitting_unit() {
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1535, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_048_524, "1023.9 KiB"),
            (22_820_360, "21.8 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn shares_are_rounded_half_up_and_defined_for_nothing() {
        assert_eq!(permille(1, 3), 333);
        assert_eq!(permille(2, 3), 667);
        assert_eq!(permille(u64::MAX, u64::MAX), 1000);
        assert_eq!(permille(0, 0), 0);
        assert_eq!(percent(7), "0.7%");
    }
}
