//! A file as a byte slice. The library's only `unsafe` is here.
//!
//! Knows mmap; refuses to know what the bytes mean. No access advice is given to the kernel: a
//! census walks a core in address order and symbol tables are read in runs, so its own read-ahead is right.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::error::CoreError;

/// A read-only private mapping of a whole regular file, or a part of one.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Option<Arc<Mmap>>,
    part: Range<usize>,
}

impl MappedFile {
    /// Maps a file as it is, even when it is compressed: what a process had mapped are the file's own bytes.
    ///
    /// # Errors
    /// [`CoreError::Open`], [`CoreError::NotRegular`].
    pub fn open_as_is(path: &Path) -> Result<MappedFile, CoreError> {
        MappedFile::of(path, &open_regular(path)?)
    }

    /// Maps an open file, which is called `path`.
    ///
    /// # Errors
    /// [`CoreError::Open`].
    pub(super) fn of(path: &Path, file: &File) -> Result<MappedFile, CoreError> {
        let opened = |source| CoreError::Open { path: path.to_owned(), source };
        if file.metadata().map_err(opened)?.len() == 0 {
            return Ok(MappedFile { path: path.to_owned(), map: None, part: 0..0 });
        }
        // SAFETY: the mapping is private and read-only, and this type only hands out shared slices that cannot
        // outlive it. What cannot be excluded: another process truncating the file while it is mapped (then a
        // read raises SIGBUS and the program dies) or rewriting it (then bytes change under a `&[u8]`). Input
        // files are dead evidence which nobody is expected to edit, and mapping them is what makes cores larger
        // than memory readable at all.
        let map = unsafe { Mmap::map(file) }.map_err(opened)?;
        Ok(MappedFile { path: path.to_owned(), part: 0..map.len(), map: Some(Arc::new(map)) })
    }

    /// A range of the file, which is called `path`, over the same mapping. `None` if the file does not have it.
    pub(super) fn part(&self, path: &Path, range: Range<usize>) -> Option<MappedFile> {
        self.bytes().get(range.clone())?;
        let start = self.part.start.checked_add(range.start)?;
        let part = start..self.part.start.checked_add(range.end)?;
        Some(MappedFile { path: path.to_owned(), map: self.map.clone(), part })
    }

    /// The path the file was opened by (of a compressed file: the compressed one).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file (of a compressed file: the decompressed ones).
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().and_then(|map| map.get(self.part.clone())).unwrap_or_default()
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// Opens a regular file; anything else (a pipe, a device) could block or be endless.
pub(super) fn open_regular(path: &Path) -> Result<File, CoreError> {
    let opened = |source| CoreError::Open { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(opened)?.is_file() {
        return Err(CoreError::NotRegular { path: path.to_owned() });
    }
    File::open(path).map_err(opened)
}
