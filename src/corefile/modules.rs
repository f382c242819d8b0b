//! The files a process had mapped, one [`Module`] for each time a program or library was loaded.
//!
//! Knows how a loader lays an ELF file out in memory; refuses to know symbols and DWARF, and where files are
//! looked for (see `module_search`).

use std::path::{Path, PathBuf};

use goblin::elf::header::ET_EXEC;
use goblin::elf::program_header::ProgramHeader;
use serde::{Deserialize, Serialize};

use super::Address;
use super::address_space::AddressSpace;
use super::build_id::BuildId;
use super::debug_search::{DebugFile, DebugSource};
use super::elf::{ElfHeaders, HeaderError};
use super::mapped_file::MappedFile;
use super::notes::FileMapping;
use super::saved::SavedFiles;

/// What the kernel appends to the path of a file that is mapped and no longer has that name.
const DELETED: &str = " (deleted)";
/// Most `PT_LOAD`s of a module that are looked at; linkers write two to six.
const MOST_LOADS: usize = 64;

/// What was found on disk for a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleStatus {
    /// A file with the build-id the process had.
    Matched {
        /// The file.
        path: PathBuf,
    },
    /// A file that is used although nothing proves it is the right one.
    Unverified {
        /// The file.
        path: PathBuf,
        /// Why it could not be verified, and what was compared instead.
        reason: String,
        /// Whether something was: pages or relocated words of it that are in the core and equal. Without, its path alone
        /// speaks for it.
        compared: bool,
    },
    /// No file.
    Missing {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// Only files that are not the one the process had; none is used.
    Refused {
        /// The first such file.
        path: PathBuf,
        /// The build-id in the process; `None` if it is not known and the bytes in the core differ.
        expected: Option<BuildId>,
        /// The build-id in the file, if it has one.
        found: Option<BuildId>,
    },
    /// Mapped, but not a program or library.
    NotElf,
}

/// One load of a program or library, or a mapped data file.
#[derive(Debug)]
pub struct Module {
    /// Path as the process saw it, without the kernel's ` (deleted)`.
    pub path: String,
    /// Whether the file had lost its name when the core was taken (as after an upgrade).
    pub deleted: bool,
    /// First address.
    pub start: Address,
    /// First address after the module, its zero-initialised data included where the headers are known.
    pub end: Address,
    /// What to add to an address in the ELF file to get one in the process.
    pub load_bias: u64,
    /// Build-id of the process' copy; `None` if its headers are not in the core or it has none.
    pub build_id: Option<BuildId>,
    /// Whether this is the program itself and not a library.
    pub is_executable: bool,
    /// What was found on disk.
    pub status: ModuleStatus,
    pub(super) mappings: Vec<FileMapping>,
    pub(super) loads: Vec<ProgramHeader>,
    pub(super) file: Option<MappedFile>,
    pub(super) debug_file: Option<DebugFile>,
    pub(super) debug_tried: Vec<PathBuf>,
    pub(super) image_in_core: bool,
    pub(super) page: u64,
    /// Of a saved heap: which files there were.
    pub(super) saved: Option<SavedFiles>,
}

impl Module {
    /// Last component of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether an address lies within the module.
    pub fn contains(&self, address: Address) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// The file on disk, if one was found and not refused.
    pub fn file(&self) -> Option<&MappedFile> {
        self.file.as_ref()
    }

    /// Whether a file was found on disk and not refused; for a saved heap, when it was saved.
    pub fn has_file(&self) -> bool {
        self.saved.as_ref().map_or(self.file.is_some(), |saved| saved.has_file)
    }

    /// The bytes of that file.
    pub fn elf_bytes(&self) -> Option<&[u8]> {
        self.file.as_ref().map(MappedFile::bytes)
    }

    /// The separate debug file, known to be the right one by its build-id or its checksum.
    pub fn debug_file(&self) -> Option<&MappedFile> {
        self.debug_file.as_ref().map(|found| &found.file)
    }

    /// Path of that file; for a saved heap, when it was saved.
    pub fn debug_path(&self) -> Option<&Path> {
        match &self.saved {
            Some(saved) => saved.debug_path.as_deref(),
            None => self.debug_file().map(MappedFile::path),
        }
    }

    /// How that file was found.
    pub fn debug_source(&self) -> Option<DebugSource> {
        match &self.saved {
            Some(saved) => saved.debug_source,
            None => self.debug_file.as_ref().map(|found| found.source),
        }
    }

    /// Where a separate debug file was looked for in vain.
    pub fn debug_tried(&self) -> &[PathBuf] {
        &self.debug_tried
    }

    /// The module's file mappings, in address order.
    pub fn mappings(&self) -> &[FileMapping] {
        &self.mappings
    }

    /// Whether every byte of the module's file mappings is in the core, so that
    /// [`Inputs::module_image`](super::Inputs::module_image) needs no file to be complete.
    pub fn image_in_core(&self) -> bool {
        self.image_in_core
    }

    /// Permissions (`PF_*`) the module's own headers give to an address; 0 if they are not known.
    pub(super) fn flags_at(&self, address: Address) -> u32 {
        flags_of_page(&self.loads, self.load_bias, address, self.page)
    }
}

/// Permissions of the page of an address by the headers of the module loaded there. By address and not by
/// file offset: segments with different permissions share pages of the file, but never of memory. `page` is the
/// process' page size.
pub(super) fn flags_of_page(loads: &[ProgramHeader], bias: u64, address: Address, page: u64) -> u32 {
    let size = page.max(1);
    let page = address / size;
    let covers = |load: &&ProgramHeader| {
        let first = bias.wrapping_add(load.p_vaddr);
        let last = first.saturating_add(load.p_filesz.saturating_sub(1));
        load.p_filesz > 0 && (first / size..=last / size).contains(&page)
    };
    loads.iter().filter(covers).fold(0, |flags, load| flags | load.p_flags)
}

/// The ELF headers of a module as the process had them.
#[derive(Debug)]
pub(super) enum HeadersInCore {
    /// The page is not in the core.
    Absent,
    /// It is there, and the file is not ELF.
    NotElf,
    Elf(ElfHeaders),
}

/// Mappings that belong to one load of one file.
#[derive(Debug)]
pub(super) struct LoadedFile {
    pub(super) path: String,
    pub(super) deleted: bool,
    pub(super) mappings: Vec<FileMapping>,
    pub(super) headers: HeadersInCore,
    /// Size of a page of the process.
    pub(super) page: u64,
    span_end: Address,
}

/// Groups the mapped files into loads. `core` is the memory the core alone has, `page` the process' page size.
pub(super) fn loaded_files(files: &[FileMapping], core: &AddressSpace<'_>, page: u64) -> Vec<LoadedFile> {
    let mut files: Vec<&FileMapping> = files.iter().filter(|file| file.start < file.end).collect();
    files.sort_by_key(|file| file.start);
    let mut free = 0;
    // Memory maps one file at a time; a note that says otherwise must not multiply the work.
    files.retain(|file| {
        let disjoint = file.start >= free;
        free = if disjoint { file.end } else { free };
        disjoint
    });
    let mut loaded: Vec<LoadedFile> = Vec::new();
    let mut latest_by_path = rustc_hash::FxHashMap::default();
    let mut before = None;
    for file in files {
        let latest = latest_by_path.get(file.path.as_str()).copied();
        let is_next = latest.is_some() && latest == before;
        if let Some(group) = latest.and_then(|index: usize| loaded.get_mut(index))
            && group.continues_with(file, is_next)
        {
            group.mappings.push(file.clone());
            before = latest;
            continue;
        }
        before = Some(loaded.len());
        latest_by_path.insert(file.path.as_str(), loaded.len());
        loaded.push(LoadedFile::new(file, core, page));
    }
    loaded
}

impl LoadedFile {
    fn new(first: &FileMapping, core: &AddressSpace<'_>, page: u64) -> LoadedFile {
        let headers = headers_in_core(first, core);
        let name = first.path.strip_suffix(DELETED);
        let mappings = vec![first.clone()];
        let span_end = match &headers {
            HeadersInCore::Elf(elf) => memory_end(elf, load_bias(elf, &mappings, page), page),
            _ => first.start,
        };
        let path = name.unwrap_or(&first.path).to_owned();
        LoadedFile { path, deleted: name.is_some(), mappings, headers, page, span_end }
    }

    /// Whether a later mapping of the same path is part of this load, and not the file mapped once more (by
    /// `dlmopen`, or as data). The headers tell how far a load reaches; without them, offsets that do not
    /// start again, and no other file between (`is_next`): parts of a data file may be mapped anywhere. Two mappings may begin
    /// at the same offset: segments share pages of the file.
    fn continues_with(&self, next: &FileMapping, is_next: bool) -> bool {
        if let HeadersInCore::Elf(_) = self.headers {
            return next.start < self.span_end;
        }
        let last_offset = self.mappings.last().map_or(0, |mapping| mapping.file_offset);
        is_next && next.file_offset >= last_offset && next.file_offset != 0
    }

    pub(super) fn start(&self) -> Address {
        self.mappings.first().map_or(0, |mapping| mapping.start)
    }

    pub(super) fn mapped_end(&self) -> Address {
        self.mappings.iter().map(|mapping| mapping.end).max().unwrap_or(0)
    }

    /// Whether the core has every byte of the mappings.
    pub(super) fn is_in(&self, core: &AddressSpace<'_>) -> bool {
        self.mappings.iter().all(|mapping| {
            let mut address = mapping.start;
            while let Ok(bytes) = core.peek_from(address) {
                address = address.saturating_add(bytes.len() as u64);
                if address >= mapping.end {
                    return true;
                }
            }
            false
        })
    }

    /// The build-id in the process' memory: outer `None` if that memory is not in the core.
    pub(super) fn build_id_in_core(&self, core: &AddressSpace<'_>) -> Option<Option<BuildId>> {
        let HeadersInCore::Elf(elf) = &self.headers else { return None };
        let bias = load_bias(elf, &self.mappings, self.page);
        let mut all_present = true;
        for note in elf.notes() {
            let address = bias.wrapping_add(note.p_vaddr);
            let Ok(bytes) = core.slice(address, note.p_filesz as usize) else {
                all_present = false;
                continue;
            };
            if let Some(build_id) = BuildId::in_notes(bytes, note.p_align) {
                return Some(Some(build_id));
            }
        }
        all_present.then_some(None)
    }
}

fn headers_in_core(first: &FileMapping, core: &AddressSpace<'_>) -> HeadersInCore {
    if first.file_offset != 0 {
        return HeadersInCore::Absent;
    }
    let Ok(bytes) = core.peek_from(first.start) else { return HeadersInCore::Absent };
    match ElfHeaders::parse(bytes) {
        Ok(headers) if headers.is_complete(bytes.len()) => HeadersInCore::Elf(headers),
        Ok(_) | Err(HeaderError::TooShort { .. }) => HeadersInCore::Absent,
        Err(_) => HeadersInCore::NotElf,
    }
}

/// What to add to the file's addresses: 0 for a program linked to fixed addresses, else by where the first
/// mapping that a `PT_LOAD` covers went.
pub(super) fn load_bias(elf: &ElfHeaders, mappings: &[FileMapping], page: u64) -> u64 {
    if elf.header.e_type == ET_EXEC {
        return 0;
    }
    for mapping in mappings {
        let load = elf.loads().find(|load| {
            let first_page = load.p_offset - load.p_offset.checked_rem(page).unwrap_or(0);
            (first_page..load.p_offset.saturating_add(load.p_filesz)).contains(&mapping.file_offset)
        });
        if let Some(load) = load {
            let address = load.p_vaddr.wrapping_add(mapping.file_offset).wrapping_sub(load.p_offset);
            return mapping.start.wrapping_sub(address);
        }
    }
    // No header fits: the best guess is a file mapped as one piece.
    mappings.first().map_or(0, |mapping| mapping.start.wrapping_sub(mapping.file_offset))
}

/// The `PT_LOAD`s of a module.
pub(super) fn loads(elf: &ElfHeaders) -> Vec<ProgramHeader> {
    elf.loads().take(MOST_LOADS).cloned().collect()
}

/// First address after the last segment, rounded up to a page.
pub(super) fn memory_end(elf: &ElfHeaders, bias: u64, page: u64) -> Address {
    let ends = elf.loads().map(|load| bias.wrapping_add(load.p_vaddr).saturating_add(load.p_memsz));
    ends.max().map_or(0, |end| end.checked_next_multiple_of(page.max(1)).unwrap_or(Address::MAX))
}
