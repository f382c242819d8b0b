//! Build-ids: what names one link of a program or library exactly.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::notes::NoteReader;

/// `NT_GNU_BUILD_ID`, of owner `GNU` (binutils, "Note Sections").
const NT_GNU_BUILD_ID: u32 = 3;
/// Longest build-id believed; linkers write 8 (fast hash), 16 (UUID, MD5) or 20 (SHA-1) bytes.
const LONGEST: usize = 64;

/// The build-id of an ELF file.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BuildId(Box<[u8]>);

impl BuildId {
    /// A build-id of these bytes; `None` if there are none or too many to be one.
    pub fn new(bytes: &[u8]) -> Option<BuildId> {
        (1..=LONGEST).contains(&bytes.len()).then(|| BuildId(bytes.into()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first build-id note among the notes of a segment or section.
    pub(super) fn in_notes(notes: &[u8], align: u64) -> Option<BuildId> {
        let mut notes = NoteReader::new(notes, align);
        let note = notes.find(|note| note.kind == NT_GNU_BUILD_ID && note.name == b"GNU")?;
        BuildId::new(note.content)
    }

    /// `ab/cdef…`: the path below a `.build-id` directory, without a suffix.
    pub(super) fn directory_entry(&self) -> Option<PathBuf> {
        let text = self.to_string();
        let (first, rest) = text.split_at_checked(2)?;
        (!rest.is_empty()).then(|| PathBuf::from(first).join(rest))
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}
