//! From where on something is a suspect, by what it is.

use crate::analysis::Least;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_holds_for_all_and_the_rest_stays() {
        let usual = Thresholds::default();
        let given = usual.with(Some(7), None);
        assert_eq!([given.application.bytes, given.other.bytes, given.garbage.bytes], [7; 3]);
        assert_eq!(given.other.share, usual.other.share);
        assert_eq!(usual.with(None, None), usual);
    }
}
