//! Opens everything one analysis reads, in order: core, notes, modules.
//!
//! Knows which module is the program; refuses to keep anything but the mappings and their tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::address_space::AddressSpace;
use super::build_id::BuildId;
use super::debug_search;
use super::elf::CoreFile;
use super::error::CoreError;
use super::kept::Kept;
use super::link_map;
use super::linux::{AT_ENTRY, AT_EXECFN, AT_PHDR, page_size};
use super::mapped_file::MappedFile;
use super::module_search::{self, SearchOptions};
use super::modules::{LoadedFile, Module, loaded_files};
use super::notes::{NoteReader, Notes};
use super::read_log::Recorded;
use super::saved::{self, MemoryFigures, NOTE_OWNER, SavedModule, Source};
use super::search_places::SearchPlaces;
use super::splice;
use super::writer::NewNote;

/// Longest path read from the process' memory (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// How much larger than the bytes it is made of a module image may be, for the parts between them.
const IMAGE_SLACK: u64 = 64 << 20;

/// Every file of an analysis, mapped. Everything else borrows from it.
#[derive(Debug)]
pub struct Inputs {
    core: CoreFile,
    notes: Notes,
    modules: Vec<Module>,
    expanded: Kept<Box<[u8]>>,
    places: SearchPlaces,
    found_later: Kept<MappedFile>,
    recording: Option<Recorded>,
    /// Notes that an earlier analysis of the same core left, by type.
    recalled: BTreeMap<u32, Vec<u8>>,
}

impl Inputs {
    /// Opens a core (plain or compressed, from a file or a pipe) and looks for the files of its modules.
    ///
    /// # Errors
    /// [`CoreError`] if the core cannot be used. Damage and missing module files are not errors: see
    /// [`CoreFile::truncation`], [`Notes::complete`] and [`Module::status`].
    pub fn open(core: &Path, options: &SearchOptions) -> Result<Inputs, CoreError> {
        let core = CoreFile::open(core)?;
        let notes = Notes::read(&core);
        let memory = splice::address_space(&core, &[]);
        if let Some(source) = core.saved_from() {
            let modules = source.modules.iter().map(SavedModule::module).collect();
            drop(memory);
            return Ok(Inputs::of(core, notes, modules, SearchPlaces::default()));
        }
        let places = SearchPlaces::open(options, Some(core.machine()))?;
        let page = page_size(&notes.auxv);
        let listed = match notes.files.as_slice() {
            [] => link_map::file_mappings(&notes, &memory, &places, page),
            files => files.to_vec(),
        };
        let loaded = loaded_files(&listed, &memory, page);
        let executable = executable(&loaded, &notes, &memory);
        let modules = loaded.into_iter().enumerate();
        let modules = modules
            .map(|(index, loaded)| module_search::find(loaded, executable == Some(index), &memory, &places))
            .collect();
        drop(memory);
        Ok(Inputs::of(core, notes, modules, places))
    }

    fn of(core: CoreFile, notes: Notes, modules: Vec<Module>, places: SearchPlaces) -> Inputs {
        Inputs {
            core,
            notes,
            modules,
            expanded: Kept::default(),
            places,
            found_later: Kept::default(),
            recording: None,
            recalled: BTreeMap::new(),
        }
    }

    /// What a saved heap says of the core it was made from; `None` for other cores.
    pub fn saved_from(&self) -> Option<&Source> {
        self.core.saved_from()
    }

    /// The content of the note of that type which only saved heaps have (`NOTE_*`), or which was recalled.
    pub fn saved_note(&self, kind: u32) -> Option<&[u8]> {
        self.core.own_note(kind).or_else(|| self.recalled.get(&kind).map(Vec::as_slice))
    }

    /// Takes in a note that an earlier analysis of the same core has kept.
    pub fn recall(&mut self, kind: u32, content: Vec<u8>) {
        self.recalled.insert(kind, content);
    }

    /// Forgets what was recalled.
    pub fn forget(&mut self) {
        self.recalled.clear();
    }

    /// How much of the memory can be read; of a saved heap, how much could be read of its source.
    pub fn memory_figures(&self, space: &AddressSpace<'_>) -> MemoryFigures {
        match self.saved_from() {
            Some(source) if self.core.is_whole() => source.memory,
            _ => saved::memory_figures(self, space),
        }
    }

    /// The notes of the core but those that only saved heaps have, as far as they can be read.
    pub fn notes_of_core(&self) -> Vec<NewNote> {
        let mut all = Vec::new();
        for segment in self.core.note_segments() {
            let notes = NoteReader::new(segment.bytes, segment.align);
            all.extend(notes.filter(|note| note.name != NOTE_OWNER.as_bytes()).map(|note| NewNote {
                name: String::from_utf8_lossy(note.name).into_owned(),
                kind: note.kind,
                content: note.content.to_vec(),
            }));
        }
        all
    }

    /// The core file.
    pub fn core(&self) -> &CoreFile {
        &self.core
    }

    /// What its notes say.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The mapped files, by address.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The program itself.
    pub fn executable(&self) -> Option<&Module> {
        self.modules.iter().find(|module| module.is_executable)
    }

    /// The module an address lies in.
    pub fn module_at(&self, address: super::Address) -> Option<&Module> {
        self.modules.iter().find(|module| module.contains(address))
    }

    /// Where decompressed sections of the modules' files are kept.
    pub fn expanded(&self) -> &Kept<Box<[u8]>> {
        &self.expanded
    }

    /// The file that the debug information in the file `from` names by a path and a build-id. `has_id` may accept a file
    /// whose build-id is another one, by another mark.
    ///
    /// # Errors
    /// Where it was looked for.
    pub fn supplementary_file(
        &self,
        from: &Path,
        name: &str,
        id: &[u8],
        has_id: &dyn Fn(&[u8]) -> bool,
    ) -> Result<&MappedFile, Vec<PathBuf>> {
        let wanted = BuildId::new(id);
        let right = |file: &MappedFile| {
            let found = module_search::build_id_of_file(file.bytes());
            (found.is_some() && found == wanted) || has_id(file.bytes())
        };
        // Many modules share one such file.
        if let Some(file) = self.found_later.iter().find(|file| right(file)) {
            return Ok(file);
        }
        let places = debug_search::supplementary_places(from, name, wanted.as_ref(), &self.places);
        let found = places.iter().filter_map(|place| self.places.file(place)).find(right);
        found.and_then(|file| self.found_later.keep(file)).ok_or(places)
    }

    /// Files that may hold the split unit `name`, which was compiled in `directory` for the program `program`. Nothing
    /// is known of them but their names: the unit's id must tell.
    pub fn split_files(&self, program: &Path, name: &str, directory: Option<&str>) -> Vec<&MappedFile> {
        let places = debug_search::split_places(program, name, directory, &self.places);
        let files = places.iter().filter_map(|place| self.places.file(place));
        files.filter_map(|file| self.found_later.keep(file)).collect()
    }

    /// The package of split units of a module; the ids of its units must tell whether it is the right one.
    pub fn split_package(&self, module: &Module) -> Option<&MappedFile> {
        let files: Vec<&Path> =
            module.file().into_iter().chain(module.debug_file()).map(MappedFile::path).collect();
        let places = debug_search::package_places(&files, &self.places);
        let mut packages = places.iter().filter_map(|place| self.places.file(place));
        self.found_later.keep(packages.next()?)
    }

    /// Builds the address space. This takes time; do it once and share it.
    pub fn space(&self) -> AddressSpace<'_> {
        let space = splice::address_space(&self.core, &self.modules);
        match self.recording {
            Some(what) => space.recording(what),
            None => space,
        }
    }

    /// Lets every address space that is built from now on record what is read of it.
    pub fn record_reads(&mut self, what: Recorded) {
        self.recording = Some(what);
    }

    /// A module's ELF image put together from its pages in the core, at their file offsets, for a core
    /// that has to do without the file. Parts that are not in the core (section headers and debug sections
    /// always) are zero, and what the process wrote to (relocated data, `.dynamic`) is as it left it.
    ///
    /// `None` if the page with the ELF header is not in the core, or the offsets are absurd.
    pub fn module_image(&self, module: &Module) -> Option<Cow<'_, [u8]>> {
        image(&splice::address_space(&self.core, &[]), module)
    }
}

fn image<'core>(core: &AddressSpace<'core>, module: &Module) -> Option<Cow<'core, [u8]>> {
    let first = module.mappings().first().filter(|mapping| mapping.file_offset == 0)?;
    if !core.slice(first.start, 4).is_ok_and(|magic| magic == b"\x7fELF") {
        return None;
    }
    let mut parts = Vec::new();
    for mapping in module.mappings() {
        let mut address = mapping.start;
        while address < mapping.end {
            let Some(piece) = core.piece_at(address) else {
                let next = core.pieces().partition_point(|piece| piece.start <= address);
                address = core.pieces().get(next).map_or(mapping.end, |piece| piece.start);
                continue;
            };
            if let Ok(bytes) = core.peek_from(address) {
                let wanted = (mapping.end - address) as usize;
                let offset = mapping.file_offset.checked_add(address - mapping.start)?;
                parts.push((offset, bytes.get(..wanted).unwrap_or(bytes)));
            }
            address = piece.end();
        }
    }
    if let [(0, only)] = parts.as_slice() {
        return Some(Cow::Borrowed(*only));
    }
    assemble(&parts).map(Cow::Owned)
}

/// Lays parts out by file offset. Of two that share a page of the file the first is kept: segments follow
/// each other in address order, and the later one is the one that is written to.
fn assemble(parts: &[(u64, &[u8])]) -> Option<Vec<u8>> {
    let ends = parts.iter().map(|(offset, bytes)| offset.saturating_add(bytes.len() as u64));
    let length = ends.max()?;
    let present: u64 = parts.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    if length > present.saturating_add(IMAGE_SLACK) {
        return None;
    }
    let mut image = vec![0; length as usize];
    for (offset, bytes) in parts.iter().rev() {
        let start = *offset as usize;
        image.get_mut(start..start + bytes.len())?.copy_from_slice(bytes);
    }
    Some(image)
}

/// Finds the program among the mapped files: by its program headers, its entry point or its path, which the
/// kernel put into the auxiliary vector; without one, the first mapping.
fn executable(loaded: &[LoadedFile], notes: &Notes, memory: &AddressSpace<'_>) -> Option<usize> {
    let by_address = |kind| {
        let address = notes.auxv_value(kind)?;
        let holds = |file: &LoadedFile| file.mappings.iter().any(|m| (m.start..m.end).contains(&address));
        loaded.iter().position(holds)
    };
    let by_path = || {
        let path = memory.c_string(notes.auxv_value(AT_EXECFN)?, LONGEST_PATH).ok()?;
        loaded.iter().position(|file| file.path.as_bytes() == path)
    };
    let first = || (!loaded.is_empty()).then_some(0);
    by_address(AT_PHDR).or_else(|| by_address(AT_ENTRY)).or_else(by_path).or_else(first)
}
