//! A file of columns, written from its start to its end; the header comes last, so that a file not finished is none.

use std::io::{self, Seek, SeekFrom, Write};

use super::column::Plain;
use super::file::stored_name;
use super::{ALIGNMENT, CHUNK, FORMAT, HEADER, MAGIC, ORDER, checksum, checksum_of};
use twox_hash::XxHash3_64;
use zerocopy::IntoBytes;

/// Writes columns, one after the other.
#[derive(Debug)]
pub struct ColumnWriter<W> {
    out: W,
    at: u64,
    directory: Vec<u8>,
}

impl<W: Write + Seek> ColumnWriter<W> {
    /// Begins at the start of `out`, which is empty.
    ///
    /// # Errors
    /// Of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&[0; HEADER])?;
        Ok(Self { out, at: HEADER as u64, directory: Vec::new() })
    }

    /// Writes a column.
    ///
    /// # Errors
    /// Of the output.
    pub fn column<T: Plain>(&mut self, name: &str, numbers: &[T]) -> io::Result<()> {
        let start = self.align()?;
        let bytes = numbers.as_bytes();
        self.put(bytes)?;
        self.enter(name, start, checksum(bytes));
        Ok(())
    }

    /// Writes a column that lies in several places.
    ///
    /// # Errors
    /// Of the output.
    pub fn parts<'a, T: Plain>(
        &mut self,
        name: &str,
        parts: impl IntoIterator<Item = &'a [T]>,
    ) -> io::Result<()> {
        let start = self.align()?;
        let (mut chunk, mut sums) = (Vec::with_capacity(CHUNK), Vec::new());
        for part in parts {
            let mut rest = part.as_bytes();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(CHUNK - chunk.len()));
                chunk.extend_from_slice(now);
                rest = later;
                if chunk.len() == CHUNK {
                    sums.push(XxHash3_64::oneshot(&chunk));
                    self.put(&chunk)?;
                    chunk.clear();
                }
            }
        }
        if !chunk.is_empty() {
            sums.push(XxHash3_64::oneshot(&chunk));
            self.put(&chunk)?;
        }
        self.enter(name, start, checksum_of(&sums));
        Ok(())
    }

    /// Writes the list of columns and the header.
    ///
    /// # Errors
    /// Of the output.
    pub fn finish(mut self) -> io::Result<W> {
        let place = self.align()?;
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&MAGIC)?;
        self.out.write_all(&FORMAT.to_le_bytes())?;
        self.out.write_all(&ORDER.to_ne_bytes())?;
        for word in [place, directory.len() as u64, XxHash3_64::oneshot(&directory)] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn enter(&mut self, name: &str, start: u64, checksum: u64) {
        self.directory.extend(stored_name(name));
        for word in [start, self.at - start, checksum] {
            self.directory.extend(word.to_le_bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn align(&mut self) -> io::Result<u64> {
        let gap = self.at.next_multiple_of(ALIGNMENT) - self.at;
        io::copy(&mut io::Read::take(io::repeat(0), gap), &mut self.out)?;
        self.at += gap;
        Ok(self.at)
    }
}
