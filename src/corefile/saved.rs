//! What a saved heap says of the core it was made from: a note of its own, beside the notes of that core.
//!
//! A saved heap is an ordinary core whose memory is part of the source's. What the source was (its size, who wrote it, how
//! much of the memory it had) and which files of its modules were found cannot be learnt from that part, so it is written
//! down when the heap is saved and believed when it is opened. Knows that note; refuses to know what the files told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address_space::{AddressSpace, PieceSource};
use super::build_id::BuildId;
use super::core_source::Damage;
use super::debug_search::DebugSource;
use super::elf::{CoreMaker, Truncation};
use super::inputs::Inputs;
use super::modules::{Module, ModuleStatus};
use super::notes::FileMapping;

/// Owner of the notes that only saved heaps have.
pub const NOTE_OWNER: &str = "EXUVIA";
/// Type of the note that holds a [`Source`], as JSON.
pub const NOTE_SOURCE: u32 = 1;
/// Type of the note that holds what the files of the modules told, as JSON; its reader is in `debuginfo`.
pub const NOTE_ANSWERS: u32 = 2;
/// Type of the note that holds the layout table that was used besides, as text.
pub const NOTE_TABLE: u32 = 3;

/// What was overwritten in a saved heap; the later the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redaction {
    /// Contents of str, bytes, numbers and buffers, and all memory that no answer needs.
    Values,
    /// Likewise, and names.
    Names,
}

/// How much of the process' memory can be read, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryFigures {
    /// Mapped in the process.
    pub mapped: u64,
    /// The part of that which the process could write to, without what it had not touched.
    pub writable: u64,
    /// In the core.
    pub in_core: u64,
    /// Not in the core, and read from the files of modules.
    pub from_files: u64,
    /// Anonymous memory that the writer left out, as the process had not touched it.
    pub untouched: u64,
    /// Not to be had.
    pub missing: u64,
    /// The part of that which the process could write to.
    pub missing_writable: u64,
}

/// The core that a heap was saved from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Version of the program that saved it.
    pub exuvia: String,
    /// What was overwritten, if anything was.
    pub redacted: Option<Redaction>,
    /// Size of the core in bytes.
    pub size: u64,
    /// Who wrote it.
    pub maker: CoreMaker,
    /// How much of it was missing at its end.
    pub truncation: Option<Truncation>,
    /// Why it could not be unpacked to its end.
    #[serde(default)]
    pub damage: Option<Damage>,
    /// Whether all its notes could be read.
    pub notes_complete: bool,
    /// When it was last written, in seconds since 1970 (UTC).
    pub modified: Option<u64>,
    /// What could be read of the memory.
    pub memory: MemoryFigures,
    /// The mapped files.
    pub(super) modules: Vec<SavedModule>,
}

/// What was known of a mapped file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedModule {
    path: String,
    deleted: bool,
    start: u64,
    end: u64,
    load_bias: u64,
    build_id: Option<BuildId>,
    is_executable: bool,
    status: ModuleStatus,
    has_file: bool,
    debug_path: Option<PathBuf>,
    debug_source: Option<DebugSource>,
    debug_tried: Vec<PathBuf>,
    image_in_core: bool,
    page: u64,
    mappings: Vec<FileMapping>,
}

impl SavedModule {
    fn of(module: &Module) -> Self {
        Self {
            path: module.path.clone(),
            deleted: module.deleted,
            start: module.start,
            end: module.end,
            load_bias: module.load_bias,
            build_id: module.build_id.clone(),
            is_executable: module.is_executable,
            status: module.status.clone(),
            has_file: module.has_file(),
            debug_path: module.debug_path().map(ToOwned::to_owned),
            debug_source: module.debug_source(),
            debug_tried: module.debug_tried().to_vec(),
            image_in_core: module.image_in_core(),
            page: module.page,
            mappings: module.mappings.clone(),
        }
    }

    /// The module as it was known, without its file.
    pub(super) fn module(&self) -> Module {
        Module {
            path: self.path.clone(),
            deleted: self.deleted,
            start: self.start,
            end: self.end,
            load_bias: self.load_bias,
            build_id: self.build_id.clone(),
            is_executable: self.is_executable,
            status: self.status.clone(),
            mappings: self.mappings.clone(),
            loads: Vec::new(),
            file: None,
            debug_file: None,
            debug_tried: self.debug_tried.clone(),
            image_in_core: self.image_in_core,
            page: self.page,
            saved: Some(SavedFiles {
                has_file: self.has_file,
                debug_path: self.debug_path.clone(),
                debug_source: self.debug_source,
            }),
        }
    }
}

/// Which files of a module there were when its heap was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedFiles {
    pub(super) has_file: bool,
    pub(super) debug_path: Option<PathBuf>,
    pub(super) debug_source: Option<DebugSource>,
}

impl Source {
    /// What a heap saved from `inputs` has to say of it; a saved heap passes on what it was told.
    pub fn of(inputs: &Inputs, space: &AddressSpace<'_>, redacted: Option<Redaction>) -> Self {
        let core = inputs.core();
        Self {
            exuvia: env!("CARGO_PKG_VERSION").to_owned(),
            redacted: redacted.max(inputs.saved_from().and_then(|source| source.redacted)),
            size: core.size(),
            maker: core.maker(),
            truncation: core.truncation(),
            damage: core.damage().cloned(),
            notes_complete: inputs.notes().complete,
            modified: core.modified(),
            memory: inputs.memory_figures(space),
            modules: inputs.modules().iter().map(SavedModule::of).collect(),
        }
    }

    /// Passes every path through `rename`.
    pub fn rename(&mut self, rename: &mut dyn FnMut(&str) -> String) {
        for module in &mut self.modules {
            let mut renamed = |path: &mut PathBuf| *path = PathBuf::from(rename(&path.to_string_lossy()));
            module.debug_path.iter_mut().chain(&mut module.debug_tried).for_each(&mut renamed);
            match &mut module.status {
                ModuleStatus::Matched { path }
                | ModuleStatus::Unverified { path, .. }
                | ModuleStatus::Refused { path, .. } => renamed(path),
                ModuleStatus::Missing { tried } => tried.iter_mut().for_each(renamed),
                ModuleStatus::NotElf => {}
            }
            module.path = rename(&module.path);
            module.mappings.iter_mut().for_each(|mapping| mapping.path = rename(&mapping.path));
        }
    }

    /// Reads the note's content; `None` if it is not what this program writes.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    /// The note's content.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// The figures of an address space, taken from its pieces.
pub(super) fn memory_figures(inputs: &Inputs, space: &AddressSpace<'_>) -> MemoryFigures {
    let mut figures = MemoryFigures::default();
    // Zero-initialised data of a module are anonymous too.
    let is_of_file = |start: u64| {
        let mut mappings = inputs.modules().iter().flat_map(|module| module.mappings());
        mappings.any(|mapping| (mapping.start..mapping.end).contains(&start))
    };
    let is_anonymous = |start: u64, writable: bool| writable && !is_of_file(start);
    // The kernel leaves out memory that was never written to (fs/coredump.c, vma_dump_size), as it leaves out all
    // anonymous memory when told to: then the core has none of it.
    let whole = inputs.core().truncation().is_none();
    let keeps_anonymous = whole
        && space
            .pieces()
            .iter()
            .any(|piece| piece.bytes.is_some() && is_anonymous(piece.start, piece.writable));
    for piece in space.pieces() {
        figures.mapped += piece.len;
        match (piece.bytes, piece.source) {
            (Some(_), PieceSource::Core) => figures.in_core += piece.len,
            (Some(_), PieceSource::Module(_)) => figures.from_files += piece.len,
            (None, _) if keeps_anonymous && is_anonymous(piece.start, piece.writable) => {
                figures.untouched += piece.len;
                continue;
            }
            (None, _) => {
                figures.missing += piece.len;
                if piece.writable {
                    figures.missing_writable += piece.len;
                }
            }
        }
        if piece.writable {
            figures.writable += piece.len;
        }
    }
    figures
}
