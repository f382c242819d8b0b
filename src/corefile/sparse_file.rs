//! The unnamed temporary file that a stream or a compressed core is decoded to, so that it can be mapped.
//!
//! Knows holes: a core is full of zeros, and a file system need not store them; refuses to know where content comes from.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Unit of the zero test: one page, the unit a file system can leave out.
const BLOCK: usize = 4096;

/// An unnamed empty file for something as large as a core: where `TMPDIR` says, else not in `/tmp`, which may be memory, if
/// `/var/tmp` is there.
///
/// # Errors
/// Whatever the system says of the directory.
pub fn temporary_file() -> io::Result<File> {
    if std::env::var_os("TMPDIR").is_none()
        && let Ok(file) = tempfile::tempfile_in("/var/tmp")
    {
        return Ok(file);
    }
    tempfile::tempfile()
}

/// A file that is written from its start or in parts, and that nothing but this process can see.
#[derive(Debug)]
pub(super) struct SparseFile {
    file: File,
}

impl SparseFile {
    /// An empty one: see [`temporary_file`].
    pub(super) fn new() -> io::Result<SparseFile> {
        Ok(SparseFile { file: temporary_file()? })
    }

    /// A writer that begins at a byte of the file. Several may write to different parts at the same time.
    pub(super) fn writer_at(&self, offset: u64) -> SparseWriter<'_> {
        SparseWriter::new(&self.file, offset)
    }

    /// The file, at its final length: behind the last write there may have been zeros.
    pub(super) fn finish(self, length: u64) -> io::Result<File> {
        self.file.set_len(length)?;
        Ok(self.file)
    }

    /// Forgets all that was written.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

/// Writes a part of a file that has nothing there yet, and leaves out blocks of zeros.
#[derive(Debug)]
pub struct SparseWriter<'f> {
    file: &'f File,
    at: u64,
}

impl<'f> SparseWriter<'f> {
    /// A writer that begins at a byte of `file`.
    pub fn new(file: &'f File, offset: u64) -> SparseWriter<'f> {
        SparseWriter { file, at: offset }
    }

    /// Where in the file the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The pieces of `bytes` by the blocks of the file that they lie in.
    fn blocks<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let first = BLOCK - (self.at % BLOCK as u64) as usize;
        let (first, rest) = bytes.split_at(first.min(bytes.len()));
        std::iter::once(first).chain(rest.chunks(BLOCK))
    }
}

impl Write for SparseWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let zeros: usize = self.blocks(bytes).take_while(|block| is_zero(block)).map(<[u8]>::len).sum();
        self.at = self.at.checked_add(zeros as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let rest = bytes.get(zeros..).unwrap_or_default();
        let dense: usize = self.blocks(rest).take_while(|block| !is_zero(block)).map(<[u8]>::len).sum();
        self.file.write_all_at(rest.get(..dense).unwrap_or_default(), self.at)?;
        self.at = self.at.checked_add(dense as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(zeros + dense)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_zero(block: &[u8]) -> bool {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    ZEROS.get(..block.len()) == Some(block)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_zeros_take_no_room() {
        let sparse = SparseFile::new().unwrap();
        let mut content = vec![0u8; 1 << 20];
        content[5] = 1;
        content[500_000..500_100].fill(2);
        content.extend(b"end");
        content.resize(content.len() + 9_999, 0);
        let mut writer = sparse.writer_at(0);
        for piece in content.chunks(777) {
            writer.write_all(piece).unwrap();
        }
        let mut file = sparse.finish(content.len() as u64).unwrap();
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!(read, content);
        let stored = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512;
        assert!(stored < 100_000, "{stored}");
    }

    #[test]
    fn zeros_are_left_out_and_read_back_all_the_same() {
        let mut bytes = vec![0; 5 * BLOCK + 100];
        bytes[BLOCK + 5] = 1;
        bytes[4 * BLOCK] = 2;
        bytes[5 * BLOCK + 99] = 3;
        let file = tempfile::tempfile().unwrap();
        SparseWriter::new(&file, 10).write_all(&bytes).unwrap();
        let mut back = vec![9; bytes.len()];
        file.read_exact_at(&mut back, 10).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn parts_are_written_in_any_order() {
        let sparse = SparseFile::new().unwrap();
        sparse.writer_at(5000).write_all(b"second").unwrap();
        sparse.writer_at(10).write_all(b"first").unwrap();
        let mut file = sparse.finish(5010).unwrap();
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert_eq!((&read[10..15], &read[5000..5006], read.len()), (&b"first"[..], &b"second"[..], 5010));
    }
}
