//! L0: the bytes of a dead process. Knows ELF cores; refuses to know Python and DWARF.

/// A virtual address in the dead process.
pub type Address = u64;
