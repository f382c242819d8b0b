//! Finds the files of modules and proves that they are the ones the process had.
//!
//! Knows build-ids, sysroots and debug directories; refuses to know what the files are wanted for. A file
//! that is proven wrong is never used.

use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::SectionHeader;
use goblin::elf::program_header::{PF_W, ProgramHeader};
use goblin::elf::section_header::{SHF_EXECINSTR, SHT_NOBITS, SHT_NOTE};

use super::Address;
use super::address_space::AddressSpace;
use super::build_id::BuildId;
use super::debug_search::{self, DebugFile, DebugSource, debug_dirs};
use super::elf::{ElfHeaders, clipped};
use super::linux::PAGE;
use super::mapped_file::MappedFile;
use super::modules::{
    HeadersInCore, LoadedFile, Module, ModuleStatus, flags_of_page, load_bias, loads, memory_end,
};
use super::relocated;
use super::search_places::SearchPlaces;

/// Bytes of a page that may differ before it is another page: breakpoints are patched into code.
const PATCHED_BYTES: usize = 16;
/// Mapped paths under these are no files that could be found again.
const NOT_ON_DISK: [&str; 4] = ["/dev/", "/memfd:", "/SYSV", "/proc/"];

/// Where files of the process are looked for.
#[derive(Clone, Debug, Default)]
pub struct SearchOptions {
    /// The program itself.
    pub exe: Option<PathBuf>,
    /// The file system of the machine or container that the core comes from: a directory, a tar of one, or a saved image.
    pub sysroot: Option<PathBuf>,
    /// Directories with separate debug files, by build-id (`.build-id`) or by the paths of their programs.
    pub debug_dirs: Vec<PathBuf>,
    /// Look nowhere: what the core itself holds must do.
    pub core_only: bool,
    /// Directories where a debuginfod client keeps what it has downloaded, each file by the build-id.
    pub debuginfod_caches: Vec<PathBuf>,
}

/// Finds the file of one load. `core` is the memory the core alone has.
pub(super) fn find(
    loaded: LoadedFile,
    is_executable: bool,
    core: &AddressSpace<'_>,
    files: &SearchPlaces,
) -> Module {
    let image_in_core = loaded.is_in(core);
    let in_core = loaded.build_id_in_core(core);
    let build_id = in_core.clone().flatten();
    let mut search = Search {
        loaded: &loaded,
        core,
        process: in_core,
        tried: Vec::new(),
        refused: None,
        debug_file: None,
        not_elf: matches!(loaded.headers, HeadersInCore::NotElf),
    };
    let accepted = search.run(files, is_executable);
    let Search { tried, refused, debug_file, not_elf, .. } = search;
    let (file, status) = match accepted {
        Some((file, status)) => (Some(file), status),
        None if not_elf => (None, ModuleStatus::NotElf),
        None => (None, refused.unwrap_or(ModuleStatus::Missing { tried })),
    };
    let wanted = build_id.clone().or_else(|| file.as_ref().and_then(|file| build_id_of_file(file.bytes())));
    let mut debug_tried = Vec::new();
    let debug_file = debug_file.map(|file| DebugFile { file, source: DebugSource::InPlace });
    let debug_file = debug_file.or_else(|| {
        debug_search::separate(wanted.as_ref(), file.as_ref(), &loaded.path, files, &mut debug_tried)
    });
    let placement = Placement::of(&loaded, file.as_ref());
    Module {
        start: loaded.start(),
        end: placement.end,
        load_bias: placement.bias,
        loads: placement.loads,
        build_id,
        is_executable,
        status,
        file,
        debug_file,
        debug_tried,
        image_in_core,
        page: loaded.page,
        saved: None,
        path: loaded.path,
        deleted: loaded.deleted,
        mappings: loaded.mappings,
    }
}

/// Where a module lies, by its headers in the core or else in its file.
struct Placement {
    bias: u64,
    end: Address,
    loads: Vec<ProgramHeader>,
}

impl Placement {
    fn of(loaded: &LoadedFile, file: Option<&MappedFile>) -> Placement {
        let from_file = file.and_then(|file| ElfHeaders::parse(file.bytes()).ok());
        let headers = match &loaded.headers {
            HeadersInCore::Elf(elf) => Some(elf),
            _ => from_file.as_ref(),
        };
        let Some(elf) = headers else {
            return Placement { bias: loaded.start(), end: loaded.mapped_end(), loads: Vec::new() };
        };
        let bias = load_bias(elf, &loaded.mappings, loaded.page);
        let end = loaded.mapped_end().max(memory_end(elf, bias, loaded.page));
        Placement { bias, end, loads: loads(elf) }
    }
}

struct Search<'a> {
    loaded: &'a LoadedFile,
    core: &'a AddressSpace<'a>,
    /// Build-id in the process: `None` unknown, `Some(None)` it has none.
    process: Option<Option<BuildId>>,
    tried: Vec<PathBuf>,
    refused: Option<ModuleStatus>,
    debug_file: Option<MappedFile>,
    not_elf: bool,
}

impl Search<'_> {
    fn run(&mut self, files: &SearchPlaces, is_executable: bool) -> Option<(MappedFile, ModuleStatus)> {
        if self.not_elf {
            return None;
        }
        let process = self.process.clone().flatten();
        let places = candidates(&self.loaded.path, process.as_ref(), files, is_executable);
        let found = self.first_of(places, files);
        // The path lies, or the file has another one there: its build-id tells. A core's own data files have none.
        found.or_else(|| {
            let id = process.filter(|_| !self.not_elf && !files.options.core_only)?;
            let name = self.loaded.path.rsplit('/').next().unwrap_or_default();
            self.first_of(files.with_build_id(name, &id), files)
        })
    }

    fn first_of(
        &mut self,
        candidates: Vec<PathBuf>,
        files: &SearchPlaces,
    ) -> Option<(MappedFile, ModuleStatus)> {
        for candidate in candidates {
            if self.tried.contains(&candidate) {
                continue;
            }
            self.tried.push(candidate.clone());
            let Some(file) = files.file(&candidate) else { continue };
            let Ok(headers) = ElfHeaders::parse(file.bytes()) else {
                self.note_other_format(&candidate);
                continue;
            };
            if is_debug_only(file.bytes(), &headers) {
                self.keep_debug_file(file);
                continue;
            }
            if let Some(status) = self.judge(&file, &headers) {
                return Some((file, status));
            }
        }
        None
    }

    /// A file that is not ELF: a mapped data file, unless the process had an ELF file there.
    fn note_other_format(&mut self, candidate: &Path) {
        match self.loaded.headers {
            HeadersInCore::Elf(_) => self.refuse(candidate, None),
            _ => self.not_elf = true,
        }
    }

    fn keep_debug_file(&mut self, file: MappedFile) {
        let found = build_id_of_file(file.bytes());
        if found.is_some() && found == self.process.clone().flatten() {
            self.debug_file.get_or_insert(file);
        } else {
            self.refuse(file.path(), found);
        }
    }

    fn refuse(&mut self, path: &Path, found: Option<BuildId>) {
        let expected = self.process.clone().flatten();
        self.refused.get_or_insert(ModuleStatus::Refused { path: path.to_owned(), expected, found });
    }

    /// Accepts a candidate and says how sure that is, or refuses it.
    fn judge(&mut self, file: &MappedFile, headers: &ElfHeaders) -> Option<ModuleStatus> {
        let path = file.path();
        let found = build_id_of_file(file.bytes());
        if let Some(expected) = &self.process {
            if *expected != found {
                self.refuse(path, found);
                return None;
            }
            if expected.is_some() {
                return Some(ModuleStatus::Matched { path: path.to_owned() });
            }
        }
        let comparison = compare(self.loaded, self.core, file.bytes(), headers);
        let bias = load_bias(headers, &self.loaded.mappings, self.loaded.page);
        let relocated = relocated::compare(self.core, file.bytes(), headers, bias);
        let compared = comparison.equal_pages > 0 || relocated.equal > 0;
        // A file that took the place of a deleted one is most likely another build: ask for some proof.
        let unproven = self.loaded.deleted && !compared;
        if comparison.differs_at.is_some() || relocated.refutes() || unproven {
            self.refuse(path, found);
            return None;
        }
        let why = match self.process {
            Some(_) => "it has no build-id",
            None => "its build-id is not in the core",
        };
        let reason = format!(
            "{why}; {} of its pages and {} of its relocated words are in the core and equal",
            comparison.equal_pages, relocated.equal
        );
        Some(ModuleStatus::Unverified { path: path.to_owned(), reason, compared })
    }
}

/// Paths to try, best first.
fn candidates(
    path: &str,
    process: Option<&BuildId>,
    files: &SearchPlaces,
    is_executable: bool,
) -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    let options = &files.options;
    if options.core_only {
        return candidates;
    }
    if is_executable {
        candidates.extend(options.exe.clone());
    }
    let on_disk = path.starts_with('/') && !NOT_ON_DISK.iter().any(|prefix| path.starts_with(prefix));
    if on_disk {
        if let Some(sysroot) = &options.sysroot {
            candidates.push(files.below(sysroot, path));
            candidates.extend(process.into_iter().flat_map(|_| below_from_outside(files, sysroot, path)));
        }
        candidates.push(PathBuf::from(path));
    }
    if let Some(entry) = process.and_then(BuildId::directory_entry) {
        candidates.extend(debug_dirs(files).iter().map(|dir| dir.join(".build-id").join(&entry)));
    }
    if let Some(id) = process {
        let caches = options.debuginfod_caches.iter();
        candidates.extend(caches.map(|cache| cache.join(id.to_string()).join("executable")));
    }
    candidates
}

/// Files in a sysroot for a path as it was seen from outside of it: `gcore` names the files of a container or a chroot as
/// its own user would. The directories before the sysroot's are unknown, so each that may be dropped is; only a
/// build-id can tell whether that was right.
fn below_from_outside<'a>(
    files: &'a SearchPlaces,
    sysroot: &'a Path,
    path: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    let parts = path.match_indices('/').skip(1);
    let inside = parts.filter_map(|(at, _)| path.get(at..)).map(|rest| files.below(sysroot, rest));
    inside.filter(|candidate| files.is_file(candidate))
}

/// The build-id in an ELF file: in a section (a separate debug file keeps its note sections, but its program
/// headers may point nowhere), else in a note segment.
pub(super) fn build_id_of_file(bytes: &[u8]) -> Option<BuildId> {
    let headers = ElfHeaders::parse(bytes).ok()?;
    let sections = sections(bytes, &headers);
    let notes = sections.iter().filter(|section| section.sh_type == SHT_NOTE);
    let mut in_sections = notes.filter_map(|section| {
        BuildId::in_notes(clipped(bytes, section.sh_offset, section.sh_size), section.sh_addralign)
    });
    in_sections.next().or_else(|| {
        let mut notes = headers.notes();
        notes.find_map(|note| BuildId::in_notes(clipped(bytes, note.p_offset, note.p_filesz), note.p_align))
    })
}

/// The section headers, or none if their table does not fit.
pub(super) fn sections(bytes: &[u8], headers: &ElfHeaders) -> Vec<SectionHeader> {
    let (offset, count) = (headers.header.e_shoff, usize::from(headers.header.e_shnum));
    if offset == 0 || count == 0 || offset > bytes.len() as u64 {
        return Vec::new();
    }
    let context = Ctx::new(Container::Big, Endian::Little);
    SectionHeader::parse(bytes, offset as usize, count, context).unwrap_or_default()
}

/// Whether a file only carries debug sections, its code removed (`objcopy --only-keep-debug`).
fn is_debug_only(bytes: &[u8], headers: &ElfHeaders) -> bool {
    let sections = sections(bytes, headers);
    let mut code = sections.iter().filter(|section| section.sh_flags & u64::from(SHF_EXECINSTR) != 0);
    code.next().is_some_and(|first| first.sh_type == SHT_NOBITS && code.all(|s| s.sh_type == SHT_NOBITS))
}

/// What comparing a file with the core's copy of its read-only pages gave.
struct Comparison {
    equal_pages: usize,
    differs_at: Option<Address>,
}

/// Compares every page of the file that is in the core and that nobody writes: relocated data differs.
fn compare(loaded: &LoadedFile, core: &AddressSpace<'_>, file: &[u8], headers: &ElfHeaders) -> Comparison {
    let loads = loads(headers);
    let bias = load_bias(headers, &loaded.mappings, loaded.page);
    let mut equal_pages = 0;
    for mapping in &loaded.mappings {
        let mut address = mapping.start;
        while address < mapping.end {
            let Some(piece) = core.piece_at(address) else {
                address = next_piece(core, address).max(address.saturating_add(PAGE));
                continue;
            };
            if piece.bytes.is_none() || piece.writable {
                address = piece.end();
                continue;
            }
            let offset = mapping.file_offset.saturating_add(address - mapping.start);
            let flags = flags_of_page(&loads, bias, address, loaded.page);
            if flags != 0 && flags & PF_W == 0 {
                match page_equals(core, address, clipped(file, offset, PAGE)) {
                    Some(true) => equal_pages += 1,
                    Some(false) => return Comparison { equal_pages, differs_at: Some(address) },
                    None => {}
                }
            }
            address = address.saturating_add(PAGE);
        }
    }
    Comparison { equal_pages, differs_at: None }
}

/// Start of the first piece after an unmapped address.
fn next_piece(core: &AddressSpace<'_>, address: Address) -> Address {
    let next = core.pieces().partition_point(|piece| piece.start <= address);
    core.pieces().get(next).map_or(Address::MAX, |piece| piece.start)
}

/// Whether a page is the file's, but for a few patched bytes; `None` if it is not (all) in the core or
/// beyond the file.
fn page_equals(core: &AddressSpace<'_>, address: Address, file: &[u8]) -> Option<bool> {
    if file.is_empty() {
        return None;
    }
    let memory = core.slice(address, file.len()).ok()?;
    let differing = memory.iter().zip(file).filter(|(memory, file)| memory != file).count();
    Some(differing <= PATCHED_BYTES)
}
