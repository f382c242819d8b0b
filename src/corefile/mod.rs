//! L0: the bytes of a dead process. Knows ELF cores; refuses to know Python and DWARF.
//!
//! [`Inputs::open`] maps a core file and the files of the modules that were loaded, and proves by build-id
//! that they belong together. [`AddressSpace`] then reads the process' memory as it was: what the core has
//! comes from the core, what the kernel left out because a file has it comes from that file, and the rest
//! is told apart as unmapped ([`ReadError::Unmapped`]) or merely not in the core ([`ReadError::NotInCore`]).

mod address_space;
mod archive_tree;
mod build_id;
mod compressed;
mod core_source;
mod debug_search;
mod elf;
mod error;
mod image_layout;
mod inputs;
mod kept;
mod link_map;
pub(crate) mod linux;
mod mapped_file;
mod module_search;
mod modules;
mod new_file;
mod notes;
mod piece_table;
mod process_identity;
mod read_log;
mod registers;
mod relocated;
mod saved;
mod search_places;
mod sparse_file;
mod splice;
mod tar_reader;
#[cfg(test)]
mod tests;
mod writer;

pub use address_space::{AddressSpace, Piece, PieceSource};
pub use build_id::BuildId;
pub use compressed::{Format, MOST_WINDOW, SeekableWriter, Stop, decompress};
pub use core_source::Damage;
pub use debug_search::{DebugSource, separate_debug_file};
pub(crate) use elf::CAPTURE_NOTE;
pub use elf::{CoreFile, CoreMaker, Machine, Segment, Truncation};
pub use error::{CoreError, ReadError};
pub use inputs::Inputs;
pub use kept::Kept;
pub use mapped_file::MappedFile;
pub use module_search::SearchOptions;
pub use modules::{Module, ModuleStatus};
pub use new_file::{NewFile, NewFileError, remove_unfinished};
pub use notes::{FileMapping, Notes, ProcessNote, SignalNote, ThreadNote};
pub use process_identity::ProcessIdentity;
pub use read_log::{ReadLog, Recorded};
pub use registers::Registers;
pub use saved::{MemoryFigures, NOTE_ANSWERS, NOTE_OWNER, NOTE_SOURCE, NOTE_TABLE, Redaction, Source};
pub use search_places::SearchPlaces;
pub use sparse_file::{SparseWriter, temporary_file};
pub use writer::{CoreLayout, NewNote, NewSegment};

/// A virtual address in the dead process.
pub type Address = u64;
