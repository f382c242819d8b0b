//! Whether what relocation left in the memory of a process is of a certain file: a proof, or a refusal, where neither
//! build-id nor code of it are in the core, as with `coredump_filter` 0x1, which keeps written memory alone.
//!
//! Knows the dynamic section and relative relocations (System V gABI, "Dynamic Linking"), and what a loader does to them;
//! refuses to know symbols. Only what the process cannot have changed later is compared: the dynamic section, and what
//! the loader protected again (`PT_GNU_RELRO`).

use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_NULL, DT_RELA, DT_RELAENT, DT_RELASZ, DT_STRSZ, DT_STRTAB, DT_SYMTAB,
};
use goblin::elf::header::EM_AARCH64;
use goblin::elf::program_header::{PT_DYNAMIC, PT_GNU_RELRO, PT_LOAD, ProgramHeader};

use super::Address;
use super::address_space::AddressSpace;
use super::elf::{ElfHeaders, clipped};

/// Relocations to base plus addend.
const R_X86_64_RELATIVE: u32 = 8;
const R_AARCH64_RELATIVE: u32 = 1027;
/// Size of `Elf64_Rela` and of `Elf64_Dyn`.
const RELA: usize = 24;
const DYN: usize = 16;
/// Entries of a dynamic section that are the file's in every process, some of them moved by the load bias: where its
/// tables lie and how long they are.
const COMPARED: [u64; 7] = [DT_HASH, DT_GNU_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_RELA, DT_RELASZ];
/// Most relocations that are compared.
const MOST: usize = 1 << 16;
/// One word in so many may differ: the loader's own are written before they are protected.
const TOLERATED: usize = 64;

/// What a comparison gave, in words of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relocated {
    /// Words that are in the core as the file has them.
    pub(super) equal: usize,
    /// Words that are in the core and others.
    pub(super) different: usize,
    /// Where the first of these lies.
    pub(super) differs_at: Option<Address>,
}

impl Relocated {
    /// Whether the file is not the one that was loaded.
    pub(super) fn refutes(&self) -> bool {
        self.different > self.equal / TOLERATED
    }

    /// Notes one word. What is not in the core says nothing.
    fn note(&mut self, core: &AddressSpace<'_>, address: Address, expected: impl Fn(u64) -> bool) {
        match core.read_u64(address) {
            Ok(word) if expected(word) => self.equal += 1,
            Ok(_) => {
                self.different += 1;
                self.differs_at = self.differs_at.or(Some(address));
            }
            Err(_) => {}
        }
    }
}

/// Compares the file, loaded at `bias`, with the memory that the core alone has.
pub(super) fn compare(core: &AddressSpace<'_>, file: &[u8], headers: &ElfHeaders, bias: u64) -> Relocated {
    let mut found = Relocated::default();
    let segment = |kind| headers.program_headers.iter().find(move |header| header.p_type == kind);
    let Some(dynamic) = segment(PT_DYNAMIC) else { return found };
    let entries = clipped(file, dynamic.p_offset, dynamic.p_filesz);
    let moved = |word: u64, value: u64| word == value || word == value.wrapping_add(bias);
    for (tag, value, address) in dynamic_entries(entries, bias.wrapping_add(dynamic.p_vaddr)) {
        if COMPARED.contains(&tag) {
            found.note(core, address, |word| word == tag);
            found.note(core, address.wrapping_add(8), |word| moved(word, value));
        }
    }
    if let Some(protected) = segment(PT_GNU_RELRO) {
        for (address, value) in relative(file, headers, entries).take(MOST) {
            if address.wrapping_sub(protected.p_vaddr) < protected.p_memsz {
                let expected = value.wrapping_add(bias);
                found.note(core, bias.wrapping_add(address), |word| word == expected);
            }
        }
    }
    found
}

/// Entries of a dynamic section at `address`: tag, value, and where the entry lies.
fn dynamic_entries(entries: &[u8], address: Address) -> impl Iterator<Item = (u64, u64, Address)> {
    let places = (0u64..).map(move |index| address.wrapping_add(index.wrapping_mul(DYN as u64)));
    let entry = |(entry, place): (&[u8], Address)| Some((word(entry, 0)?, word(entry, 8)?, place));
    entries.chunks_exact(DYN).zip(places).map_while(entry).take_while(|(tag, ..)| *tag != DT_NULL)
}

/// Addresses and addends of the relative relocations of a file, as linked.
fn relative<'f>(
    file: &'f [u8],
    headers: &ElfHeaders,
    entries: &'f [u8],
) -> impl Iterator<Item = (u64, u64)> + use<'f> {
    let value =
        |wanted| dynamic_entries(entries, 0).find(|(tag, ..)| *tag == wanted).map(|(_, value, _)| value);
    let known = value(DT_RELAENT).is_none_or(|size| size == RELA as u64);
    let table = value(DT_RELA).zip(value(DT_RELASZ)).filter(|_| known);
    let table = table.and_then(|(at, size)| Some(clipped(file, file_offset(headers, at)?, size)));
    let wanted = if headers.header.e_machine == EM_AARCH64 { R_AARCH64_RELATIVE } else { R_X86_64_RELATIVE };
    table.unwrap_or_default().chunks_exact(RELA).filter_map(move |entry| {
        let kind = word(entry, 8)? as u32;
        (kind == wanted).then_some((word(entry, 0)?, word(entry, 16)?))
    })
}

/// Where the file has the byte of a link-time address.
fn file_offset(headers: &ElfHeaders, address: u64) -> Option<u64> {
    let holds =
        |load: &&ProgramHeader| load.p_type == PT_LOAD && address.wrapping_sub(load.p_vaddr) < load.p_filesz;
    let load = headers.program_headers.iter().find(holds)?;
    load.p_offset.checked_add(address.wrapping_sub(load.p_vaddr))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}
