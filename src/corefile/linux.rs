//! What Linux writes into the notes of a core of a 64-bit process, and into its auxiliary vector: numbers and places, for who
//! reads such notes and for who writes or changes them.
//!
//! Knows include/uapi/linux/{elf,auxvec}.h, include/linux/elfcore.h and fs/binfmt_elf.c; refuses to know which registers there
//! are (see `registers`).

use std::ops::Range;

/// Note types (include/uapi/linux/elf.h).
pub(crate) const NT_PRSTATUS: u32 = 1;
pub(crate) const NT_PRPSINFO: u32 = 3;
pub(crate) const NT_AUXV: u32 = 6;
pub(crate) const NT_SIGINFO: u32 = 0x5349_4749;
pub(crate) const NT_FILE: u32 = 0x4649_4c45;
pub(crate) const NT_ARM_TLS: u32 = 0x401;

/// Auxiliary vector types (include/uapi/linux/auxvec.h).
pub(crate) const AT_PHDR: u64 = 3;
pub(crate) const AT_PHNUM: u64 = 5;
pub(crate) const AT_PAGESZ: u64 = 6;
pub(crate) const AT_ENTRY: u64 = 9;
pub(crate) const AT_EXECFN: u64 = 31;

/// Where `struct elf_prstatus` has the thread's number, and the registers, eight bytes each.
pub(crate) const PRSTATUS_TID: usize = 32;
pub(crate) const PRSTATUS_REGISTERS: usize = 112;
/// Where `struct elf_prpsinfo` has the name of the process, and its arguments, with which it ends.
pub(crate) const PRPSINFO_NAME: Range<usize> = 40..56;
pub(crate) const PRPSINFO_ARGUMENTS: Range<usize> = 56..136;
/// Where `NT_FILE` has its table, and the size of an entry; the paths follow (fs/binfmt_elf.c, `fill_files_note`).
pub(crate) const FILE_TABLE: usize = 16;
pub(crate) const FILE_ENTRY: usize = 24;

/// The smallest page that a supported machine has: that of x86-64, and the usual one of AArch64.
pub(crate) const PAGE: u64 = 4096;
/// The largest one.
const MOST_PAGE: u64 = 64 << 10;

/// The entries of an auxiliary vector, without the final `AT_NULL`.
pub(crate) fn auxv(content: &[u8]) -> Vec<(u64, u64)> {
    let word = |bytes: &[u8]| bytes.first_chunk().map(|word| u64::from_le_bytes(*word));
    let pairs = content.as_chunks::<16>().0.iter();
    let pairs = pairs.filter_map(|pair| Some((word(pair)?, word(pair.get(8..)?)?)));
    pairs.take_while(|&(kind, _)| kind != 0).collect()
}

/// The value of an entry of an auxiliary vector.
pub(crate) fn auxv_value(auxv: &[(u64, u64)], kind: u64) -> Option<u64> {
    auxv.iter().find(|(known, _)| *known == kind).map(|&(_, value)| value)
}

/// The process' page size by its auxiliary vector: AArch64 kernels are built with pages of 4, 16 or 64 KiB.
pub(crate) fn page_size(auxv: &[(u64, u64)]) -> u64 {
    let told = auxv_value(auxv, AT_PAGESZ).filter(|size| size.is_power_of_two());
    told.filter(|size| (PAGE..=MOST_PAGE).contains(size)).unwrap_or(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_size_is_believed_if_it_is_one() {
        let bytes = |size: u64| [AT_PAGESZ.to_le_bytes(), size.to_le_bytes()].concat();
        assert_eq!(page_size(&auxv(&bytes(65536))), 65536);
        for odd in [0, 1, 4097, 1 << 40] {
            assert_eq!(page_size(&auxv(&bytes(odd))), 4096);
        }
        assert_eq!(page_size(&auxv(b"short")), 4096);
    }
}
