//! Sizes and shares as people write them: `500MB`, `1.5GiB`, `20%`.
//!
//! Knows decimal units (`KB` is 1000 bytes) and binary ones (`KiB` is 1024); refuses signs, exponents and units that could be
//! either.

/// Units of sizes in bytes, in the order in which they are named.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
/// Most digits behind the point.
const MAX_DECIMALS: usize = 6;

/// A size or share that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// No size.
    #[error("{0} is no size: write a number of bytes, or one with a unit, such as 500MB or 1.5GiB")]
    NoSize(String),
    /// Below 1 and without a sign.
    #[error(
        "{0} may be meant as {0}% or as a part of 1: write a percentage with its sign, such as 30% or 0.3%"
    )]
    PartOrPercentage(String),
    /// No share.
    #[error("{0} is no share: write a percentage from 0 to 100, such as 20% or 0.5%")]
    NoShare(String),
    /// No count.
    #[error("{0} is no number: write a count such as 10000")]
    NoCount(String),
}

/// A size in bytes: a number with a unit or without one.
///
/// # Errors
/// It is none.
pub fn parse_size(text: &str) -> Result<u64, AmountError> {
    let size = || {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end)?;
        let unit = unit.trim_start();
        let (_, factor) = match unit {
            "" => UNITS.first().copied()?,
            _ => UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?,
        };
        scaled(number, factor)
    };
    size().ok_or_else(|| AmountError::NoSize(text.to_owned()))
}

/// A share in basis points: a percentage from 0 to 100, with or without `%`; with it if it is below 1, which could as well be
/// a part of 1.
///
/// # Errors
/// It is none.
pub fn parse_share(text: &str) -> Result<u32, AmountError> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let is_part = number == text && number.trim_start_matches('0').starts_with('.');
    if is_part && scaled(number, 100).is_some() {
        return Err(AmountError::PartOrPercentage(text.to_owned()));
    }
    let share = scaled(number, 100).and_then(|points| u32::try_from(points).ok());
    share.filter(|&points| points <= 10_000).ok_or_else(|| AmountError::NoShare(text.to_owned()))
}

/// A count.
///
/// # Errors
/// It is none.
pub fn parse_count(text: &str) -> Result<u64, AmountError> {
    scaled(text, 1).filter(|_| !text.contains('.')).ok_or_else(|| AmountError::NoCount(text.to_owned()))
}

/// A decimal number times `factor`, without its fraction; `None` if it is no number or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > MAX_DECIMALS {
        return None;
    }
    if number.ends_with('.') {
        return None;
    }
    let places = u32::try_from(decimals.len()).ok()?;
    let mantissa: u128 = format!("{whole}{decimals}").parse().ok()?;
    let scaled = mantissa.checked_mul(u128::from(factor))? / 10u128.checked_pow(places)?;
    u64::try_from(scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_or_binary_units_or_none() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("500MB", 500_000_000),
            ("1.5GiB", 3 << 29),
            ("2 kb", 2000),
            ("0.5KiB", 512),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MB", "-1", "1e3", "5M", "1.2.3", "1.", ".5", "1,000", "18446744073709551616", "5 apples"]
        {
            assert_eq!(parse_size(text), Err(AmountError::NoSize(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(parse_share("20%"), Ok(2000));
        assert_eq!(parse_share("0.5%"), Ok(50));
        assert_eq!(parse_share("1.5"), Ok(150));
        assert_eq!(parse_share("0"), Ok(0));
        for text in ["0.5", "00.01"] {
            assert_eq!(parse_share(text), Err(AmountError::PartOrPercentage(text.to_owned())));
        }
        assert_eq!(parse_share("100%"), Ok(10_000));
        for text in ["", "%", "101%", "-1%", "a"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_whole() {
        assert_eq!(parse_count("10000"), Ok(10_000));
        assert!(parse_count("1.5").is_err() && parse_count("many").is_err() && parse_count("").is_err());
    }
}
