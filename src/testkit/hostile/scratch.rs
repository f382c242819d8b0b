//! A file in memory, for readers that take a path.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where files are memory.
const IN_MEMORY: &str = "/dev/shm";

/// A file without a name that is gone when it is dropped.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    path: PathBuf,
}

impl ScratchFile {
    /// A file of these bytes.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        let file = tempfile::tempfile_in(IN_MEMORY).or_else(|_| tempfile::tempfile())?;
        file.write_all_at(bytes, 0)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Self { file, path })
    }

    /// What it can be opened by, as long as it lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Overwrites bytes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Cuts it off, or makes it longer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}
