//! The parts of one ELF file: sections, segments, notes, the dynamic symbol table. Knows the ELF-64 file
//! format; refuses to know what the sections mean and at which address the file was loaded.
//!
//! The section table may be missing (removed by a stripper, or beyond the end of a truncated file): whatever the
//! dynamic loader itself needs is then found through the program headers.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::{Elf, Header, ProgramHeader, SectionHeader};
use goblin::elf::{dynamic, header, program_header, section_header};

use super::DebugInfoError;

/// Size of one ELF-64 symbol table entry in bytes.
pub(super) const SYMBOL_SIZE: usize = 24;

const NOTE_GNU_BUILD_ID: u32 = 3;

/// One ELF file, with its section and program headers decoded. Borrows the bytes of the file.
#[derive(Clone)]
pub struct ElfImage<'d> {
    bytes: &'d [u8],
    sections: Vec<SectionHeader>,
    section_names: &'d [u8],
    segments: Vec<ProgramHeader>,
}

/// A symbol table and the strings its names are in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SymbolTable<'d> {
    pub entries: &'d [u8],
    pub strings: &'d [u8],
}

impl std::fmt::Debug for ElfImage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElfImage")
            .field("bytes", &self.bytes.len())
            .field("sections", &self.sections.len())
            .field("segments", &self.segments.len())
            .finish()
    }
}

impl<'d> ElfImage<'d> {
    /// Decodes the headers of the ELF file in `bytes`.
    ///
    /// Only a bad ELF header is an error. A section or program header table that is missing or cut off is taken
    /// as empty, because either one alone is enough for symbols.
    ///
    /// # Errors
    /// [`DebugInfoError::NotElf`] and [`DebugInfoError::UnsupportedElf`].
    pub fn parse(bytes: &'d [u8]) -> Result<Self, DebugInfoError> {
        if bytes.get(..4) != Some(header::ELFMAG.as_slice()) {
            return Err(DebugInfoError::NotElf { reason: "no ELF magic number".to_owned() });
        }
        if bytes.get(header::EI_CLASS) != Some(&header::ELFCLASS64) {
            return Err(DebugInfoError::UnsupportedElf { what: "not ELFCLASS64" });
        }
        if bytes.get(header::EI_DATA) != Some(&header::ELFDATA2LSB) {
            return Err(DebugInfoError::UnsupportedElf { what: "not little-endian" });
        }
        let header =
            Elf::parse_header(bytes).map_err(|e| DebugInfoError::NotElf { reason: e.to_string() })?;
        let ctx = Ctx::new(Container::Big, Endian::Little);
        let sections = parse_sections(bytes, &header, ctx);
        let section_names = section_name_strings(bytes, &header, &sections);
        let segments = usize::try_from(header.e_phoff)
            .ok()
            .and_then(|at| ProgramHeader::parse(bytes, at, usize::from(header.e_phnum), ctx).ok())
            .unwrap_or_default();
        Ok(Self { bytes, sections, section_names, segments })
    }

    /// The bytes of a section as they are in this file; `None` if there is no such section or it occupies no
    /// bytes. See [`ElfImage::expanded_section`] for sections that may be compressed.
    pub fn section(&self, name: &str) -> Option<&'d [u8]> {
        self.stored_section(name).map(|(bytes, _)| bytes)
    }

    /// Link-time address of the section of that name; `None` if there is none or it is not loaded.
    pub fn section_address(&self, name: &str) -> Option<u64> {
        let section = self.sections.iter().find(|s| self.section_name(s) == name.as_bytes())?;
        (section.sh_addr != 0).then_some(section.sh_addr)
    }

    /// The NUL-terminated texts of the read-only data, in whatever encoding.
    pub fn strings(&self) -> impl Iterator<Item = &'d [u8]> {
        self.section(".rodata").unwrap_or_default().split(|byte| *byte == 0)
    }

    /// The bytes of a section as they are in this file, and whether it is marked as compressed
    /// (`SHF_COMPRESSED`).
    pub(super) fn stored_section(&self, name: &str) -> Option<(&'d [u8], bool)> {
        let flag = u64::from(section_header::SHF_COMPRESSED);
        let section = self.sections.iter().find(|s| self.section_name(s) == name.as_bytes())?;
        Some((self.section_bytes(section)?, section.sh_flags & flag != 0))
    }

    /// Whether the file has types, functions and lines (`.debug_info`), compressed or not.
    pub fn has_debug_info(&self) -> bool {
        [".debug_info", ".zdebug_info"].iter().any(|name| self.stored_section(name).is_some())
    }

    /// Whether the file has every symbol that its linker knew (`.symtab`), and not only those for other modules.
    pub fn has_all_symbols(&self) -> bool {
        self.full_symbol_table().is_some()
    }

    /// The linker's build-id, from the `NT_GNU_BUILD_ID` note.
    pub fn build_id(&self) -> Option<&'d [u8]> {
        let in_segments = self
            .segments
            .iter()
            .filter(|p| p.p_type == program_header::PT_NOTE)
            .filter_map(|p| file_range(self.bytes, p.p_offset, p.p_filesz))
            .find_map(build_id_in_notes);
        in_segments.or_else(|| {
            let notes = self.sections.iter().filter(|s| s.sh_type == section_header::SHT_NOTE);
            notes.filter_map(|s| self.section_bytes(s)).find_map(build_id_in_notes)
        })
    }

    /// The bytes of the file from a link-time address to the end of its segment's part of the file.
    pub fn at_link_address(&self, address: u64) -> Option<&'d [u8]> {
        self.segments.iter().filter(|p| p.p_type == program_header::PT_LOAD).find_map(|p| {
            let skip = address.checked_sub(p.p_vaddr).filter(|skip| *skip < p.p_filesz)?;
            let start = usize::try_from(p.p_offset.checked_add(skip)?).ok()?;
            let end = p.p_offset.saturating_add(p.p_filesz).min(self.bytes.len() as u64);
            self.bytes.get(start..usize::try_from(end).ok()?)
        })
    }

    /// `.symtab`: every symbol the linker kept.
    pub(super) fn full_symbol_table(&self) -> Option<SymbolTable<'d>> {
        self.symbol_section(section_header::SHT_SYMTAB)
    }

    /// `.dynsym`: the symbols the dynamic loader sees, by section or else through `PT_DYNAMIC`.
    pub(super) fn dynamic_symbol_table(&self) -> Option<SymbolTable<'d>> {
        self.symbol_section(section_header::SHT_DYNSYM).or_else(|| self.symbols_of_dynamic_segment())
    }

    fn section_name(&self, section: &SectionHeader) -> &'d [u8] {
        c_string(self.section_names, section.sh_name).unwrap_or_default()
    }

    fn section_bytes(&self, section: &SectionHeader) -> Option<&'d [u8]> {
        if section.sh_type == section_header::SHT_NOBITS {
            return None;
        }
        file_range(self.bytes, section.sh_offset, section.sh_size)
    }

    fn symbol_section(&self, kind: u32) -> Option<SymbolTable<'d>> {
        let section = self.sections.iter().find(|s| s.sh_type == kind)?;
        let strings = self.sections.get(usize::try_from(section.sh_link).ok()?)?;
        Some(SymbolTable { entries: self.section_bytes(section)?, strings: self.section_bytes(strings)? })
    }

    fn symbols_of_dynamic_segment(&self) -> Option<SymbolTable<'d>> {
        let segment = self.segments.iter().find(|p| p.p_type == program_header::PT_DYNAMIC)?;
        let entries = file_range(self.bytes, segment.p_offset, segment.p_filesz)?;
        let tag = |wanted| dynamic_tag(entries, wanted);
        let symbols_at = tag(dynamic::DT_SYMTAB)?;
        let strings_at = tag(dynamic::DT_STRTAB)?;
        let strings = self.at_link_address(strings_at)?;
        let strings_size = usize::try_from(tag(dynamic::DT_STRSZ)?).ok()?.min(strings.len());
        let count = tag(dynamic::DT_HASH)
            .and_then(|at| symbol_count_of_hash(self.at_link_address(at)?))
            .or_else(|| symbol_count_of_gnu_hash(self.at_link_address(tag(dynamic::DT_GNU_HASH)?)?))
            // Linkers put the strings right behind the symbols, so the gap is what is left to count by.
            .or_else(|| usize::try_from(strings_at.checked_sub(symbols_at)? / SYMBOL_SIZE as u64).ok())?;
        let symbols = self.at_link_address(symbols_at)?;
        let size = count.saturating_mul(SYMBOL_SIZE).min(symbols.len());
        Some(SymbolTable { entries: symbols.get(..size)?, strings: strings.get(..strings_size)? })
    }
}

/// The NUL-terminated string at `offset` in a string table, without its NUL.
pub(super) fn c_string(strings: &[u8], offset: usize) -> Option<&[u8]> {
    let tail = strings.get(offset..)?;
    tail.get(..tail.iter().position(|b| *b == 0)?)
}

/// A little-endian 32-bit number at a byte offset.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    bytes.get(offset..end)?.try_into().ok().map(u32::from_le_bytes)
}

/// A little-endian 64-bit number at a byte offset.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(8)?;
    bytes.get(offset..end)?.try_into().ok().map(u64::from_le_bytes)
}

fn file_range(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    bytes.get(start..end)
}

fn parse_sections(bytes: &[u8], header: &Header, ctx: Ctx) -> Vec<SectionHeader> {
    // e_shnum 0 with a table present means that the count is in the first entry; goblin resolves that.
    match usize::try_from(header.e_shoff) {
        Ok(at) if at != 0 => {
            SectionHeader::parse(bytes, at, usize::from(header.e_shnum), ctx).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn section_name_strings<'d>(bytes: &'d [u8], header: &Header, sections: &[SectionHeader]) -> &'d [u8] {
    let mut index = usize::from(header.e_shstrndx);
    if index == section_header::SHN_XINDEX as usize {
        index = sections.first().map_or(0, |s| s.sh_link as usize);
    }
    sections.get(index).and_then(|s| file_range(bytes, s.sh_offset, s.sh_size)).unwrap_or_default()
}

fn build_id_in_notes(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let name_size = u32_at(notes, 0)? as usize;
        let value_size = u32_at(notes, 4)? as usize;
        let kind = u32_at(notes, 8)?;
        let value_at = 12usize.checked_add(name_size.checked_next_multiple_of(4)?)?;
        let value_end = value_at.checked_add(value_size)?;
        let value = notes.get(value_at..value_end)?;
        if kind == NOTE_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0".as_slice()) && name_size == 4 {
            return Some(value);
        }
        notes = notes.get(value_end.checked_next_multiple_of(4)?..)?;
    }
}

fn dynamic_tag(entries: &[u8], wanted: u64) -> Option<u64> {
    entries
        .chunks_exact(16)
        .map_while(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
        .take_while(|(tag, _)| *tag != dynamic::DT_NULL)
        .find_map(|(tag, value)| (tag == wanted).then_some(value))
}

fn symbol_count_of_hash(table: &[u8]) -> Option<usize> {
    u32_at(table, 4).map(|chains| chains as usize)
}

/// A GNU hash table does not state its number of symbols: it is one past the end of the chain that starts last.
fn symbol_count_of_gnu_hash(table: &[u8]) -> Option<usize> {
    let bucket_count = u32_at(table, 0)? as usize;
    let first_hashed = u32_at(table, 4)?;
    let bloom_words = u32_at(table, 8)? as usize;
    let buckets_at = 16usize.checked_add(bloom_words.checked_mul(8)?)?;
    let chains_at = buckets_at.checked_add(bucket_count.checked_mul(4)?)?;
    let buckets = table.get(buckets_at..chains_at)?;
    let last_start = buckets.chunks_exact(4).filter_map(|b| u32_at(b, 0)).max()?;
    let Some(skipped) = last_start.checked_sub(first_hashed) else {
        return Some(first_hashed as usize);
    };
    let chain = table.get(chains_at.checked_add((skipped as usize).checked_mul(4)?)?..)?;
    let length = chain.chunks_exact(4).position(|hash| u32_at(hash, 0).is_some_and(|h| h & 1 != 0))?;
    (last_start as usize).checked_add(length)?.checked_add(1)
}
