//! A file of columns, read.
//!
//! A column is checked when it is first asked for, so that a question which needs two of them does not pay for all.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::column::{Bytes, Column, Plain};
use super::{ENTRY, FORMAT, HEADER, MAGIC, NAME, ORDER, checksum};
use twox_hash::XxHash3_64;

/// Why a file, or a column of it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(String);

impl Damaged {
    /// With what is wrong, as the end of a sentence about the file.
    pub fn because(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Columns by name.
#[derive(Clone)]
pub struct ColumnFile {
    file: Bytes,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: [u8; NAME],
    place: Range<usize>,
    checksum: u64,
}

impl ColumnFile {
    /// Opens what a file holds; of its columns only the list is looked at.
    ///
    /// # Errors
    /// It is no such file, or of another format, or its list of columns is damaged.
    pub fn of(file: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self, Damaged> {
        let bytes = (*file).as_ref();
        let header = bytes.get(..HEADER).ok_or_else(|| Damaged::because("it is too short"))?;
        if header.get(..8) != Some(&MAGIC) {
            return Err(Damaged::because("it is no index"));
        }
        let half = |at: usize| {
            header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
        };
        if (half(8), half(12)) != (Some(FORMAT), Some(ORDER)) {
            return Err(Damaged::because("it has the format of another release"));
        }
        let directory = place(bytes, word(header, 16), word(header, 24));
        let directory = directory
            .and_then(|place| bytes.get(place))
            .filter(|found| Some(XxHash3_64::oneshot(found)) == word(header, 32));
        let directory = directory.ok_or_else(|| Damaged::because("its list of columns is damaged"))?;
        let entries = directory.chunks_exact(ENTRY).map(|entry| {
            Some(Entry {
                name: entry.get(..NAME)?.try_into().ok()?,
                place: place(bytes, word(entry, NAME), word(entry, NAME + 8))?,
                checksum: word(entry, NAME + 16)?,
            })
        });
        let entries = entries.collect::<Option<_>>();
        let entries = entries.ok_or_else(|| Damaged::because("it ends before its columns do"))?;
        Ok(Self { file, entries })
    }

    /// A column, after all of it was checked.
    ///
    /// # Errors
    /// There is none of that name, or it is damaged or of another type.
    pub fn column<T: Plain>(&self, name: &str) -> Result<Column<T>, Damaged> {
        let wanted = stored_name(name);
        let entry = self.entries.iter().find(|entry| entry.name == wanted);
        let entry = entry.ok_or_else(|| Damaged::because(format!("it has no {name}")))?;
        let bytes = (*self.file).as_ref().get(entry.place.clone()).unwrap_or_default();
        if checksum(bytes) != entry.checksum {
            return Err(Damaged::because(format!("its {name} are damaged")));
        }
        Column::in_file(self.file.clone(), entry.place.clone())
            .ok_or_else(|| Damaged::because(format!("its {name} are of another kind")))
    }

    /// Names of all columns, in order.
    #[cfg(any(test, feature = "testkit"))]
    pub fn names(&self) -> Vec<String> {
        let name = |entry: &Entry| String::from_utf8_lossy(&entry.name).trim_end_matches('\0').to_owned();
        self.entries.iter().map(name).collect()
    }

    /// Whether there is a column of that name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == stored_name(name))
    }
}

impl fmt::Debug for ColumnFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
        f.debug_list().entries(names).finish()
    }
}

/// A name as it stands in the directory.
pub(super) fn stored_name(name: &str) -> [u8; NAME] {
    let mut stored = [0; NAME];
    stored.iter_mut().zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
    stored
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// A range of the file, if the file has it.
fn place(bytes: &[u8], start: Option<u64>, length: Option<u64>) -> Option<Range<usize>> {
    let start = usize::try_from(start?).ok()?;
    let end = start.checked_add(usize::try_from(length?).ok()?)?;
    bytes.get(start..end).map(|_| start..end)
}
