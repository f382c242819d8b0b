//! Python's literals: how str, bytes, int, float and complex values are written.
//!
//! Knows values only; refuses to know where they came from. Nothing it writes can act on a terminal.

use std::fmt::Write;

/// Base of the groups of decimal digits that long division yields: nine digits.
const GROUP: u64 = 1_000_000_000;

/// Whether Python would show the character as it is (`str.isprintable()`): no control or format characters (bidi
/// overrides among them), no separators but the space, nothing unassigned.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    // The standard library has the same rule, for its own escapes. Behind another character it leaves combining
    // marks as they are, as Python does.
    let shown: String = ['a', character].iter().collect();
    !shown.escape_debug().any(|c| c == '\\')
}

/// Writes one code point inside a literal.
fn push_code_point(out: &mut String, code: u32) {
    match char::from_u32(code) {
        Some('\t') => out.push_str("\\t"),
        Some('\n') => out.push_str("\\n"),
        Some('\r') => out.push_str("\\r"),
        Some('\\') => out.push_str("\\\\"),
        Some(character) if is_printable(character) => out.push(character),
        _ => push_escape(out, code),
    }
}

/// Writes `\xhh`, `\uhhhh` or `\Uhhhhhhhh`. Writing to a String cannot fail.
fn push_escape(out: &mut String, code: u32) {
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// The quote that needs no escape, single if both or none do.
fn quote_for(codes: impl Iterator<Item = u32>) -> char {
    let (mut single, mut double) = (false, false);
    for code in codes {
        single |= code == u32::from('\'');
        double |= code == u32::from('"');
    }
    if single && !double { '"' } else { '\'' }
}

/// A str literal of these code points, which may be lone surrogates.
pub fn quote_code_points(codes: &[u32]) -> String {
    let quote = quote_for(codes.iter().copied());
    let mut out = String::with_capacity(codes.len().saturating_add(2));
    out.push(quote);
    for &code in codes {
        if code == u32::from(quote) {
            out.push('\\');
        }
        push_code_point(&mut out, code);
    }
    out.push(quote);
    out
}

/// `repr()` of a str.
pub fn quote_text(text: &str) -> String {
    let codes: Vec<u32> = text.chars().map(u32::from).collect();
    quote_code_points(&codes)
}

/// `repr()` of a bytes object.
pub fn quote_bytes(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.iter().map(|&byte| u32::from(byte)));
    let mut out = String::with_capacity(bytes.len().saturating_add(3));
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\t' | b'\n' | b'\r' | b'\\' => push_code_point(&mut out, u32::from(byte)),
            b' '..=b'~' => {
                if char::from(byte) == quote {
                    out.push('\\');
                }
                out.push(char::from(byte));
            }
            _ => push_escape(&mut out, u32::from(byte)),
        }
    }
    out.push(quote);
    out
}

/// Text from a core, fit for a terminal: characters that are not printable are escaped, all others left alone.
pub fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_printable(character) {
            out.push(character)
        } else {
            push_code_point(&mut out, u32::from(character))
        }
    }
    out
}

/// `repr()` of a float: the shortest digits that read back as the same value.
pub fn float_repr(value: f64) -> String {
    let text = shortest(value);
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_whole { format!("{text}.0") } else { text }
}

/// The value in Python's format code `r` without the trailing `.0`, as the parts of a complex are written
/// (Python/pystrtod.c, `format_float_short`): exponents below -4 and from 16 on are written out.
fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        // Rust's own format never uses exponents, and adds no fraction to whole numbers.
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// `repr()` of a complex (Objects/complexobject.c, `complex_repr`).
pub fn complex_repr(real: f64, imaginary: f64) -> String {
    if real == 0.0 && real.is_sign_positive() {
        return format!("{}j", shortest(imaginary));
    }
    let imaginary = shortest(imaginary);
    let sign = if imaginary.starts_with('-') { "" } else { "+" };
    format!("({}{sign}{imaginary}j)", shortest(real))
}

/// The decimal digits of an int stored in digits of 30 bits, least significant first. Takes quadratic time: callers
/// bound the number of digits.
pub fn decimal(negative: bool, digits: &[u32]) -> String {
    let mut rest = digits.to_vec();
    let mut groups = Vec::new();
    loop {
        while rest.last() == Some(&0) {
            rest.pop();
        }
        if rest.is_empty() {
            break;
        }
        let mut remainder = 0u64;
        for digit in rest.iter_mut().rev() {
            let value = (remainder << 30) | u64::from(*digit & 0x3fff_ffff);
            *digit = (value / GROUP) as u32;
            remainder = value % GROUP;
        }
        groups.push(remainder);
    }
    let mut out = if negative { "-".to_owned() } else { String::new() };
    match groups.split_last() {
        None => out.push('0'),
        Some((first, others)) => {
            out.push_str(&first.to_string());
            others.iter().rev().for_each(|group| out.push_str(&format!("{group:09}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (0.000_123_45, "0.00012345"),
            (5e-324, "5e-324"),
            (1.5e300, "1.5e+300"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(float_repr(value), expected);
        }
    }

    #[test]
    fn complex_numbers_are_written_as_python_does() {
        assert_eq!(complex_repr(0.0, 1.0), "1j");
        assert_eq!(complex_repr(0.0, -1.0), "-1j");
        assert_eq!(complex_repr(-0.0, 1.0), "(-0+1j)");
        assert_eq!(complex_repr(1.0, 2.0), "(1+2j)");
        assert_eq!(complex_repr(1.0, f64::NAN), "(1+nanj)");
        assert_eq!(complex_repr(0.0, 1e20), "1e+20j");
        assert_eq!(complex_repr(0.5, -0.0), "(0.5-0j)");
    }

    #[test]
    fn text_is_quoted_and_escaped_as_python_does() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("say \"hi\"", "'say \"hi\"'"),
            ("both ' and \"", "'both \\' and \"'"),
            ("tab\tnl\ncr\r\\", "'tab\\tnl\\ncr\\r\\\\'"),
            ("\0\x1b[31m\x7f", "'\\x00\\x1b[31m\\x7f'"),
            ("é\u{a0}\u{ad}", "'é\\xa0\\xad'"),
            ("\u{202e}\u{2066}", "'\\u202e\\u2066'"),
            ("\u{e0001}\u{1f600}", "'\\U000e0001\u{1f600}'"),
            ("e\u{301}", "'e\u{301}'"),
            ("\u{2028}", "'\\u2028'"),
        ] {
            assert_eq!(quote_text(text), expected);
        }
        assert_eq!(quote_code_points(&[0xd800, 0x61]), "'\\ud800a'");
    }

    #[test]
    fn bytes_are_quoted_and_escaped_as_python_does() {
        assert_eq!(quote_bytes(b"x"), "b'x'");
        assert_eq!(quote_bytes(b"it's"), "b\"it's\"");
        assert_eq!(quote_bytes(b"\"'"), "b'\"\\''");
        assert_eq!(quote_bytes(b"\x00\xff\n\t\\"), "b'\\x00\\xff\\n\\t\\\\'");
    }

    #[test]
    fn long_ints_are_exact() {
        assert_eq!(decimal(false, &[]), "0");
        assert_eq!(decimal(true, &[1]), "-1");
        assert_eq!(decimal(false, &[0, 0, 1]), (1u128 << 60).to_string());
        // Non-leading groups keep their zeros.
        assert_eq!(decimal(false, &[1_000_000_000 & 0x3fff_ffff]), "1000000000");
    }

    proptest! {
        #[test]
        fn decimal_agrees_with_native_integers(value: u128) {
            let digits: Vec<u32> = (0..5).map(|i| ((value >> (30 * i)) & 0x3fff_ffff) as u32).collect();
            prop_assert_eq!(decimal(false, &digits), value.to_string());
        }

        #[test]
        fn floats_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            if !value.is_nan() {
                prop_assert_eq!(float_repr(value).parse::<f64>().map(f64::to_bits), Ok(bits));
            }
        }

        #[test]
        fn nothing_escaped_can_act_on_a_terminal(text: String) {
            let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            prop_assert!(!escape_text(&text).chars().any(acts));
            prop_assert!(!quote_text(&text).chars().any(acts));
        }
    }
}
