//! How large a part is, and from where on it is worth a word.
//!
//! Knows sizes and shares; refuses to know what has them. Both must be reached: a small program's megabyte is not a large
//! one's, and a large share of a small heap harms nobody.

/// Basis points of a whole.
const WHOLE: u128 = 10_000;

/// `part` of `whole` in basis points, rounded down.
pub fn share(part: u64, whole: u64) -> u32 {
    let share = u128::from(part) * WHOLE / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// What must be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// Bytes.
    pub bytes: u64,
    /// Share of all objects' bytes, in basis points.
    pub share: u32,
}

impl Least {
    /// Whether so many of a heap's bytes are enough.
    pub fn is_reached(self, bytes: u64, heap_bytes: u64) -> bool {
        bytes >= self.bytes && share(bytes, heap_bytes) >= self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_basis_points_of_any_size() {
        assert_eq!(share(1, 4), 2500);
        assert_eq!(share(0, 0), 0);
        assert_eq!(share(u64::MAX, u64::MAX), 10_000);
    }

    #[test]
    fn both_size_and_share_must_be_reached() {
        let least = Least { bytes: 100, share: 1000 };
        assert!(least.is_reached(100, 1000));
        assert!(!least.is_reached(99, 100) && !least.is_reached(100, 1001));
    }
}
