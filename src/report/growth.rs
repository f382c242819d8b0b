//! What the reports of `diff` and `trend` have in common: which cores, and when they were written.

use super::info::utc;
use super::{CoreIdentity, Page, number};
use crate::analysis::Snapshot;
use serde::Serialize;

/// A core that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct ComparedCore {
    /// Path as it was given.
    pub path: String,
    /// Process id, in the namespace of whoever wrote the core.
    pub pid: Option<i32>,
    /// Release of CPython.
    pub python: Option<String>,
    /// When the core was written, in seconds since 1970 (UTC): when its file was last changed, which a saved heap
    /// remembers of the core that it was made from. `null` of a core from a pipe.
    pub written: Option<u64>,
    /// Its objects.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Size of what a full collection would free.
    pub garbage_bytes: u64,
    /// Whether these numbers are lower bounds.
    pub bounded: bool,
}

impl ComparedCore {
    /// A core and its heap.
    pub fn new(core: &CoreIdentity, written: Option<u64>, heap: &Snapshot, bounded: bool) -> Self {
        Self {
            path: core.path.clone(),
            pid: core.pid,
            python: core.python.clone(),
            written,
            objects: heap.objects,
            bytes: heap.bytes,
            garbage_bytes: heap.garbage_bytes,
            bounded,
        }
    }

    /// Writes it as a line.
    pub(super) fn render(&self, page: &mut Page, label: &str) {
        let pid = self.pid.map_or(String::new(), |pid| format!(", pid {pid}"));
        let time = self.written.map_or(String::new(), |seconds| format!(", {}", utc(seconds)));
        let garbage = match self.garbage_bytes {
            0 => String::new(),
            bytes => format!(", {} of it garbage", number::bytes(bytes)),
        };
        let text = format!(
            "{}{pid}{time}: {} in {}{garbage}",
            self.path,
            number::at_least_bytes(self.bytes, self.bounded),
            number::counted(self.objects, "object", self.bounded),
        );
        page.pair(label, &text);
    }
}

/// A change of size for people: `+1.5 KiB`, `-12 B`.
pub fn signed_bytes(change: i128) -> String {
    signed(change, number::bytes)
}

/// A change of a count for people.
pub fn signed_count(change: i128) -> String {
    signed(change, number::count)
}

fn signed(change: i128, text: impl Fn(u64) -> String) -> String {
    let amount = text(u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX));
    match change.signum() {
        0 => amount,
        1 => format!("+{amount}"),
        _ => format!("-{amount}"),
    }
}

/// A change as documents have it: what 64 bits cannot hold is cut to the nearest that they can.
pub fn clamped(change: i128) -> i64 {
    i64::try_from(change).unwrap_or(if change < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_a_sign_and_nothing_has_none() {
        assert_eq!(signed_bytes(1536), "+1.5 KiB");
        assert_eq!(signed_bytes(-12), "-12 B");
        assert_eq!(signed_count(0), "0");
        assert_eq!(signed_count(-1234), "-1,234");
        assert_eq!((clamped(i128::MAX), clamped(i128::MIN), clamped(-3)), (i64::MAX, i64::MIN, -3));
    }
}
