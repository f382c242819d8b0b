//! Where the bytes of a core come from: a file, a pipe or standard input, compressed or not.
//!
//! Knows what has to be decoded or copied before it can be mapped; refuses to know what a core is. Nothing is decoded into
//! memory, and a stream that is cut off or damaged is kept as far as it went.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::compressed::{
    Format, MAGIC_SIZE, MOST_WINDOW, PARALLEL_WINDOW, Stop, decompress, frame_content, seek_table,
};
use super::error::CoreError;
use super::mapped_file::MappedFile;
use super::sparse_file::SparseFile;

/// What stands for standard input on the command line.
const STANDARD_INPUT: &str = "-";
/// Most frames that are decoded at the same time: their windows together are no larger than the one of a single stream.
const MOST_DECODERS: usize = (MOST_WINDOW / PARALLEL_WINDOW) as usize;
/// Bytes of a stream copied at a time.
const BUFFER: usize = 256 << 10;

/// A compressed core, or one from a pipe, that could be had in part only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Bytes that were decoded.
    pub decoded: u64,
    /// Why there are no more: what the decoder said.
    pub reason: String,
}

/// A core's bytes.
#[derive(Debug)]
pub(super) struct CoreSource {
    pub(super) file: MappedFile,
    pub(super) damage: Option<Damage>,
    /// When the file was last written to; `None` of streams.
    pub(super) modified: Option<SystemTime>,
    /// Whether it could be opened by its path once more.
    pub(super) repeatable: bool,
}

impl MappedFile {
    /// Maps what is in a file: the content of a compressed one is unpacked to an unnamed sparse temporary file first (in
    /// `TMPDIR`), never into memory. `-` is standard input. Of a damaged file there is as much as could be unpacked.
    ///
    /// # Errors
    /// [`CoreError::Open`], [`CoreError::NotRegular`], [`CoreError::Temporary`].
    pub fn open(path: &Path) -> Result<MappedFile, CoreError> {
        open(path).map(|source| source.file)
    }
}

/// Opens a core: a path, or `-` for standard input. What is not a plain file is decoded or copied to an unnamed sparse
/// temporary file first.
///
/// # Errors
/// [`CoreError::Open`], [`CoreError::NotRegular`], [`CoreError::Temporary`].
pub(super) fn open(path: &Path) -> Result<CoreSource, CoreError> {
    let opened = |source| CoreError::Open { path: path.to_owned(), source };
    let file = match path.to_str() {
        Some(STANDARD_INPUT) => File::from(io::stdin().as_fd().try_clone_to_owned().map_err(opened)?),
        _ => {
            accepted(path, &std::fs::metadata(path).map_err(opened)?)?;
            File::open(path).map_err(opened)?
        }
    };
    let metadata = file.metadata().map_err(opened)?;
    accepted(path, &metadata)?;
    if !metadata.is_file() {
        return from_stream(path, file);
    }
    let mut start = [0; MAGIC_SIZE];
    let found = file.read_at(&mut start, 0).map_err(opened)?;
    let (mapped, damage) = match Format::of(start.get(..found).unwrap_or_default()) {
        None => (MappedFile::of(path, &file)?, None),
        Some(_) => decoded(path, &file)?,
    };
    let repeatable = path.to_str() != Some(STANDARD_INPUT);
    let modified = metadata.modified().ok().filter(|_| repeatable);
    Ok(CoreSource { file: mapped, damage, modified, repeatable })
}

/// The content of a mapped file: of a compressed one what can be unpacked of it, of others the file itself.
///
/// # Errors
/// [`CoreError::Temporary`].
pub(super) fn unpacked(file: MappedFile) -> Result<MappedFile, CoreError> {
    match Format::of(file.bytes()) {
        None => Ok(file),
        Some(_) => {
            let output = temporary(file.path())?;
            from_decoder(file.path(), output, file.bytes()).map(|(file, _)| file)
        }
    }
}

/// Pipes end; directories and devices are no cores, and sockets cannot be opened by a name.
fn accepted(path: &Path, metadata: &std::fs::Metadata) -> Result<(), CoreError> {
    let kind = metadata.file_type();
    let piped = kind.is_fifo() || (kind.is_socket() && path.to_str() == Some(STANDARD_INPUT));
    if kind.is_file() || piped { Ok(()) } else { Err(CoreError::NotRegular { path: path.to_owned() }) }
}

/// Decodes a compressed file: in parallel if it has a table of its frames that is right, else from its start.
fn decoded(path: &Path, file: &File) -> Result<(MappedFile, Option<Damage>), CoreError> {
    let output = temporary(path)?;
    if let Some(length) = in_parallel(file, &output) {
        return Ok((mapped(path, output, length)?, None));
    }
    output.clear().map_err(|error| unwritable(path, &error))?;
    // Not by the position that a file has, which may be shared with others.
    let input = FromStart { file, at: 0 };
    from_decoder(path, output, input)
}

/// Decodes a seekable file; `None` if it is none, or is not what its table says.
fn in_parallel(file: &File, output: &SparseFile) -> Option<u64> {
    let frames = seek_table(file)?;
    let decoded = frames.par_chunks(frames.len().div_ceil(MOST_DECODERS).max(1)).try_for_each(|frames| {
        let mut frames = frames.iter();
        frames.try_for_each(|frame| frame_content(file, frame, &mut output.writer_at(frame.content_start)))
    });
    let length = frames.last().map_or(0, |last| last.content_start.saturating_add(last.content));
    decoded.ok().map(|()| length)
}

fn from_stream(path: &Path, mut file: File) -> Result<CoreSource, CoreError> {
    let mut start = Vec::new();
    let begun = (&mut file).take(MAGIC_SIZE as u64).read_to_end(&mut start);
    begun.map_err(|source| CoreError::Open { path: path.to_owned(), source })?;
    let compressed = Format::of(&start).is_some();
    let input = io::Cursor::new(start).chain(file);
    let output = temporary(path)?;
    let (file, damage) = match compressed {
        true => from_decoder(path, output, input)?,
        false => copied(path, output, input)?,
    };
    Ok(CoreSource { file, damage, modified: None, repeatable: false })
}

fn from_decoder(
    path: &Path,
    output: SparseFile,
    input: impl Read,
) -> Result<(MappedFile, Option<Damage>), CoreError> {
    let mut writer = output.writer_at(0);
    let result = decompress(input, &mut writer);
    let decoded = writer.position();
    let damage = match result {
        Ok(_) => None,
        Err(Stop::Output(error)) => return Err(unwritable(path, &error)),
        Err(Stop::Damaged(reason) | Stop::TooLarge(reason)) => Some(Damage { decoded, reason }),
    };
    Ok((mapped(path, output, decoded)?, damage))
}

fn copied(
    path: &Path,
    output: SparseFile,
    mut input: impl Read,
) -> Result<(MappedFile, Option<Damage>), CoreError> {
    let mut writer = output.writer_at(0);
    let mut buffer = vec![0; BUFFER];
    let damage = loop {
        match input.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                writer.write_all(bytes).map_err(|error| unwritable(path, &error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let reason = format!("it cannot be read further: {error}");
                break Some(Damage { decoded: writer.position(), reason });
            }
        }
    };
    let length = writer.position();
    Ok((mapped(path, output, length)?, damage))
}

fn temporary(path: &Path) -> Result<SparseFile, CoreError> {
    SparseFile::new().map_err(|error| unwritable(path, &error))
}

fn mapped(path: &Path, output: SparseFile, length: u64) -> Result<MappedFile, CoreError> {
    let file = output.finish(length).map_err(|error| unwritable(path, &error))?;
    MappedFile::of(path, &file)
}

fn unwritable(path: &Path, error: &io::Error) -> CoreError {
    CoreError::Temporary { path: path.to_owned(), reason: error.to_string() }
}

/// A file read from its start.
struct FromStart<'f> {
    file: &'f File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
