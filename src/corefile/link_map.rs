//! The mapped files of a process whose core has no `NT_FILE` note (emulators and old kernels write none), as its own
//! dynamic linker listed them.
//!
//! Knows `r_debug` and the part of `link_map` that debuggers may rely on (glibc and musl, link.h), which is reached from the
//! program headers that the auxiliary vector points at; refuses to guess: a library whose headers are neither in memory
//! nor in a file that fits is left out.

use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::program_header::{PT_DYNAMIC, PT_LOAD, PT_PHDR, ProgramHeader};

use super::Address;
use super::address_space::AddressSpace;
use super::elf::ElfHeaders;
use super::linux::{AT_EXECFN, AT_PHDR, AT_PHNUM};
use super::notes::{FileMapping, Notes};
use super::search_places::SearchPlaces;

/// Size of `Elf64_Phdr`, and of an entry of the dynamic section.
const PROGRAM_HEADER: u64 = 56;
const DYNAMIC_ENTRY: u64 = 16;
/// The dynamic section's entry that the linker puts the address of its `r_debug` into.
const DT_DEBUG: u64 = 21;
/// Offset of `r_map` in `r_debug`.
const R_MAP: u64 = 8;
/// Offsets in `link_map`.
const L_NAME: u64 = 8;
const L_LD: u64 = 16;
const L_NEXT: u64 = 24;
/// More than any program has; damage must not make the walks long.
const MOST_HEADERS: u64 = 256;
const MOST_DYNAMIC: u64 = 1024;
const MOST_LIBRARIES: usize = 4096;
const LONGEST_PATH: usize = 4096;

/// What memory and files say about the loaded files.
struct LinkMap<'a> {
    memory: &'a AddressSpace<'a>,
    files: &'a SearchPlaces,
    page: u64,
}

/// One program or library in memory.
struct Image {
    path: String,
    bias: u64,
    headers: Vec<ProgramHeader>,
}

/// The mapped files, by address. `memory` is the memory the core alone has, `page` the process' page size.
pub(super) fn file_mappings(
    notes: &Notes,
    memory: &AddressSpace<'_>,
    files: &SearchPlaces,
    page: u64,
) -> Vec<FileMapping> {
    let map = LinkMap { memory, files, page: page.max(1) };
    let Some(program) = map.program(notes) else { return Vec::new() };
    let mut mappings = map.mappings(&program);
    for library in map.libraries(&program) {
        mappings.extend(map.mappings(&library));
    }
    mappings.sort_by_key(|mapping| mapping.start);
    mappings
}

impl LinkMap<'_> {
    /// The program itself: its headers are where the auxiliary vector says, in memory or else in its file.
    fn program(&self, notes: &Notes) -> Option<Image> {
        let address = notes.auxv_value(AT_PHDR)?;
        let count = notes.auxv_value(AT_PHNUM)?.min(MOST_HEADERS);
        let name = notes.auxv_value(AT_EXECFN).and_then(|at| self.text(at));
        let path = name.or_else(|| Some(notes.process.as_ref()?.name.clone()))?;
        let in_memory = || self.headers_at(address, count);
        let headers = in_memory().or_else(|| {
            let given = self.files.options.exe.iter().filter(|_| !self.files.options.core_only).cloned();
            let files = given.chain(self.places(&path)).filter_map(|place| self.headers_of_file(&place));
            files.into_iter().find(|headers| headers.len() as u64 == count)
        })?;
        let own = headers.iter().find(|header| header.p_type == PT_PHDR)?;
        Some(Image { path, bias: address.wrapping_sub(own.p_vaddr), headers })
    }

    /// The libraries, in the order they were loaded. A file that has its dynamic section elsewhere is not the library.
    fn libraries(&self, program: &Image) -> Vec<Image> {
        let mut libraries = Vec::new();
        let mut next = self.first_entry(program).unwrap_or(0);
        let mut seen = rustc_hash::FxHashSet::default();
        while seen.len() < MOST_LIBRARIES && seen.insert(next) {
            let Ok(bias) = self.memory.read_u64(next) else { break };
            let dynamic = self.word(next, L_LD).unwrap_or(0).wrapping_sub(bias);
            let fits = |headers: &Vec<ProgramHeader>| {
                headers.iter().any(|header| header.p_type == PT_DYNAMIC && header.p_vaddr == dynamic)
            };
            let path = self.word(next, L_NAME).and_then(|at| self.text(at));
            if let Some(path) = path.filter(|path| path.starts_with('/')) {
                let in_files =
                    || self.places(&path).iter().filter_map(|place| self.headers_of_file(place)).find(fits);
                if let Some(headers) = self.headers_of_image(bias).filter(fits).or_else(in_files) {
                    libraries.push(Image { path, bias, headers });
                }
            }
            next = self.word(next, L_NEXT).unwrap_or(0);
        }
        libraries
    }

    /// The first `link_map`.
    fn first_entry(&self, program: &Image) -> Option<Address> {
        let dynamic = program.headers.iter().find(|header| header.p_type == PT_DYNAMIC)?;
        let start = program.bias.wrapping_add(dynamic.p_vaddr);
        let entries = (dynamic.p_memsz / DYNAMIC_ENTRY).min(MOST_DYNAMIC);
        let mut entries = (0..entries).map(|index| start.wrapping_add(index * DYNAMIC_ENTRY));
        let debug = entries.find(|&entry| self.memory.read_u64(entry) == Ok(DT_DEBUG))?;
        self.word(self.word(debug, 8)?, R_MAP)
    }

    fn word(&self, base: Address, offset: u64) -> Option<u64> {
        self.memory.read_u64(base.wrapping_add(offset)).ok()
    }

    fn text(&self, address: Address) -> Option<String> {
        let text = self.memory.c_string(address, LONGEST_PATH).ok()?;
        Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
    }

    fn headers_at(&self, address: Address, count: u64) -> Option<Vec<ProgramHeader>> {
        let bytes = self.memory.slice(address, (count * PROGRAM_HEADER) as usize).ok()?;
        ProgramHeader::parse(bytes, 0, count as usize, Ctx::new(Container::Big, Endian::Little)).ok()
    }

    /// The headers of a library, which begins at its bias: libraries are linked to address 0.
    fn headers_of_image(&self, bias: u64) -> Option<Vec<ProgramHeader>> {
        let bytes = self.memory.peek_from(bias).ok()?;
        let headers = ElfHeaders::parse(bytes).ok()?;
        headers.is_complete(bytes.len()).then_some(headers.program_headers)
    }

    /// Where the file of a path is, to read headers from it; whether it is the right one is judged later.
    fn places(&self, path: &str) -> Vec<PathBuf> {
        if self.files.options.core_only {
            return Vec::new();
        }
        let inside = self.files.in_sysroot(path);
        inside.into_iter().chain([path.into()]).collect()
    }

    /// Whole pages for each `PT_LOAD`. Of two that share a page of memory the later one has it: that is what is left
    /// after both were mapped.
    fn mappings(&self, image: &Image) -> Vec<FileMapping> {
        let mut mappings: Vec<FileMapping> = Vec::new();
        for load in image.headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_filesz > 0) {
            let first = image.bias.wrapping_add(load.p_vaddr);
            let within = first % self.page;
            let end = first.saturating_add(load.p_filesz);
            let start = first - within;
            if let Some(last) = mappings.last_mut() {
                last.end = last.end.min(start);
            }
            mappings.push(FileMapping {
                start,
                end: end.checked_next_multiple_of(self.page).unwrap_or(end),
                file_offset: load.p_offset.saturating_sub(within),
                path: image.path.clone(),
            });
        }
        mappings.retain(|mapping| mapping.start < mapping.end);
        mappings
    }

    fn headers_of_file(&self, place: &Path) -> Option<Vec<ProgramHeader>> {
        let file = self.files.file(place)?;
        let headers = ElfHeaders::parse(file.bytes()).ok()?;
        headers.is_complete(file.bytes().len()).then_some(headers.program_headers)
    }
}
