//! Whether two cores are of one process: then an address means the same in both.
//!
//! Cores do not note when a process was started. What tells instead is where the kernel put things at its start, and the
//! random bytes that it left on the stack. Knows the auxiliary vector; refuses to know what runs in the process.

use super::linux::{AT_ENTRY, AT_PHDR, auxv_value};
use super::notes::Notes;
use super::{Address, AddressSpace};

/// Where the dynamic linker was mapped, where 16 random bytes lie, and where the vdso was mapped (include/uapi/linux/auxvec.h).
const AT_BASE: u64 = 7;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;
/// Length of the random bytes.
const RANDOM: usize = 16;

/// What stays the same as long as a process lives and runs one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Its id, in the namespace of whoever wrote the core.
    pid: Option<i32>,
    /// Addresses that are different in each process, unless that was turned off.
    placement: Vec<Option<Address>>,
    /// Random bytes, if they are in the core and were not overwritten.
    random: Option<[u8; RANDOM]>,
}

impl ProcessIdentity {
    /// Reads it from a core.
    pub fn of(notes: &Notes, memory: &AddressSpace<'_>) -> Self {
        let value = |kind| auxv_value(&notes.auxv, kind);
        let random = value(AT_RANDOM).and_then(|at| memory.payload(at, RANDOM).ok()?.first_chunk().copied());
        Self {
            pid: notes.process.as_ref().map(|process| process.pid),
            placement: [AT_PHDR, AT_ENTRY, AT_BASE, AT_RANDOM, AT_SYSINFO_EHDR].map(value).to_vec(),
            random: random.filter(|bytes| *bytes != [0; RANDOM]),
        }
    }

    /// Whether both are of one process. A child that was forked is another one; where nothing tells, so is the other core's.
    pub fn is_of_process(&self, other: &Self) -> bool {
        let known = self.pid.is_some() && self.placement.iter().any(Option::is_some);
        let alike = match (&self.random, &other.random) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        known && alike && self.pid == other.pid && self.placement == other.placement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(pid: i32, base: u64, random: Option<u8>) -> ProcessIdentity {
        ProcessIdentity {
            pid: Some(pid),
            placement: vec![Some(base), None],
            random: random.map(|byte| [byte; RANDOM]),
        }
    }

    #[test]
    fn one_process_has_one_id_one_placement_and_the_same_random_bytes() {
        let one = identity(7, 0x1000, Some(3));
        assert!(one.is_of_process(&identity(7, 0x1000, Some(3))));
        assert!(one.is_of_process(&identity(7, 0x1000, None)));
        for other in
            [identity(8, 0x1000, Some(3)), identity(7, 0x2000, Some(3)), identity(7, 0x1000, Some(4))]
        {
            assert!(!one.is_of_process(&other) && !other.is_of_process(&one), "{other:?}");
        }
        let nothing = ProcessIdentity { pid: Some(7), placement: vec![None, None], random: None };
        assert!(!nothing.is_of_process(&nothing));
    }
}
