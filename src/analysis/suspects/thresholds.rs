//! From where on something is worth a word.
//!
//! Knows sizes and shares; refuses to know what has them. Both must be reached: a small program's megabyte is not a large
//! one's, and a large share of a small heap harms nobody.

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

/// The least of everything that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Of what application code names.
    pub application: Least,
    /// Of what the standard library names, of variables of running functions, and of large objects that nothing else
    /// speaks against.
    pub other: Least,
    /// Of garbage.
    pub garbage: Least,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            application: Least { bytes: 32 << 10, share: 50 },
            other: Least { bytes: 1 << 20, share: 200 },
            garbage: Least { bytes: 256 << 10, share: 50 },
        }
    }
}

impl Thresholds {
    /// These with one size for all, one share (in basis points) for all, or both.
    pub fn with(self, bytes: Option<u64>, share: Option<u32>) -> Self {
        let with =
            |least: Least| Least { bytes: bytes.unwrap_or(least.bytes), share: share.unwrap_or(least.share) };
        Self { application: with(self.application), other: with(self.other), garbage: with(self.garbage) }
    }
}

/// `part` of `whole` in basis points.
pub fn share(part: u64, whole: u64) -> u32 {
    let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(u32::MAX)
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

    #[test]
    fn what_is_given_holds_for_all_and_the_rest_stays() {
        let usual = Thresholds::default();
        let given = usual.with(Some(7), None);
        assert_eq!([given.application.bytes, given.other.bytes, given.garbage.bytes], [7; 3]);
        assert_eq!(given.other.share, usual.other.share);
        assert_eq!(usual.with(None, None), usual);
    }
}
