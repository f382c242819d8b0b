//! A file as a byte slice. The crate's only `unsafe` is here.
//!
//! Knows mmap and zstd; refuses to know what the bytes mean. No access advice is given to the kernel: a
//! census walks a core in address order and symbol tables are read in runs, so its own read-ahead is right.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::error::CoreError;

/// First four bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A zstd frame header of an empty frame; see [`frame_decoder`].
const EMPTY_ZSTD_FRAME: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];

/// Unit of the zero test while decompressing: one page, the unit a file system can leave out.
const BLOCK: usize = 4096;

/// A read-only private mapping of a whole regular file.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps a file. A zstd file is decompressed first, into an unnamed sparse temporary file (in `TMPDIR`),
    /// never into memory.
    ///
    /// # Errors
    /// [`CoreError::Open`], [`CoreError::NotRegular`], [`CoreError::Decompress`].
    pub fn open(path: &Path) -> Result<MappedFile, CoreError> {
        let mut file = open_regular(path)?;
        let opened = |source| CoreError::Open { path: path.to_owned(), source };
        let mut magic = [0; ZSTD_MAGIC.len()];
        let found = read_up_to(&mut file, &mut magic).map_err(opened)?;
        file.seek(SeekFrom::Start(0)).map_err(opened)?;
        if magic.get(..found) == Some(&ZSTD_MAGIC[..]) {
            return map(path, &decompress(path, file)?);
        }
        map(path, &file)
    }

    /// Maps a file as it is, even when it is compressed: what a process had mapped are the file's own bytes.
    ///
    /// # Errors
    /// [`CoreError::Open`], [`CoreError::NotRegular`].
    pub fn open_as_is(path: &Path) -> Result<MappedFile, CoreError> {
        map(path, &open_regular(path)?)
    }

    /// The path the file was opened by (of a compressed file: the compressed one).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file (of a compressed file: the decompressed ones).
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

/// Opens a regular file; anything else (a pipe, a device) could block or be endless.
fn open_regular(path: &Path) -> Result<File, CoreError> {
    let opened = |source| CoreError::Open { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(opened)?.is_file() {
        return Err(CoreError::NotRegular { path: path.to_owned() });
    }
    File::open(path).map_err(opened)
}

fn map(path: &Path, file: &File) -> Result<MappedFile, CoreError> {
    let opened = |source| CoreError::Open { path: path.to_owned(), source };
    if file.metadata().map_err(opened)?.len() == 0 {
        return Ok(MappedFile { path: path.to_owned(), map: None });
    }
    // SAFETY: the mapping is private and read-only, and this type only hands out shared slices that cannot
    // outlive it. What cannot be excluded: another process truncating the file while it is mapped (then a
    // read raises SIGBUS and the program dies) or rewriting it (then bytes change under a `&[u8]`). Input
    // files are dead evidence which nobody is expected to edit, and mapping them is what makes cores larger
    // than memory readable at all.
    let map = unsafe { Mmap::map(file) }.map_err(opened)?;
    Ok(MappedFile { path: path.to_owned(), map: Some(map) })
}

/// Decompresses all frames of a zstd file to an unnamed temporary file.
fn decompress(path: &Path, file: File) -> Result<File, CoreError> {
    let failed = |written, reason: String| CoreError::Decompress { path: path.to_owned(), written, reason };
    let mut output =
        SparseWriter { file: temporary_file().map_err(|e| failed(0, temporary(&e)))?, length: 0 };
    if let Err(reason) = decompress_frames(file, &mut output) {
        return Err(failed(output.length, reason));
    }
    let length = output.length;
    output.finish().map_err(|e| failed(length, temporary(&e)))
}

/// An unnamed file for something as large as a core: where `TMPDIR` says, else not in `/tmp`, which may be
/// memory, if `/var/tmp` is there.
fn temporary_file() -> io::Result<File> {
    if std::env::var_os("TMPDIR").is_none()
        && let Ok(file) = tempfile::tempfile_in("/var/tmp")
    {
        return Ok(file);
    }
    tempfile::tempfile()
}

fn temporary(error: &io::Error) -> String {
    format!("temporary file (set TMPDIR to a directory with room): {error}")
}

fn decompress_frames(file: File, output: &mut SparseWriter) -> Result<(), String> {
    let mut source = BufReader::with_capacity(1 << 20, file);
    let mut buffer = vec![0; 1 << 20];
    let mut decoder = frame_decoder().map_err(|e| e.to_string())?;
    while !source.fill_buf().map_err(|e| e.to_string())?.is_empty() {
        let mut frame = match StreamingDecoder::new_with_decoder(&mut source, &mut decoder) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                source.seek_relative(i64::from(length)).map_err(|e| e.to_string())?;
                continue;
            }
            Err(FrameDecoderError::WindowSizeTooBig { requested }) => {
                return Err(format!(
                    "its window of {requested} bytes is too large (made with --long or --ultra)"
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        copy_frame(&mut frame, &mut buffer, output)?;
    }
    Ok(())
}

fn copy_frame(frame: &mut impl Read, buffer: &mut [u8], output: &mut SparseWriter) -> Result<(), String> {
    loop {
        let count = frame.read(buffer).map_err(|e| e.to_string())?;
        if count == 0 {
            return Ok(());
        }
        output.append(buffer.get(..count).unwrap_or_default()).map_err(|e| temporary(&e))?;
    }
}

/// A decoder that has already seen a frame: ruzstd 0.8 limits the window size (which is a number from the
/// input that it allocates) only when a decoder is used again.
pub(crate) fn frame_decoder() -> Result<FrameDecoder, FrameDecoderError> {
    let mut decoder = FrameDecoder::new();
    decoder.init(&EMPTY_ZSTD_FRAME[..])?;
    Ok(decoder)
}

/// Writes a file from its start and leaves out blocks of zeros: cores are full of them.
struct SparseWriter {
    file: File,
    length: u64,
}

impl SparseWriter {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let zeros = bytes.chunks(BLOCK).take_while(|block| is_zero(block)).map(<[u8]>::len).sum();
            let (hole, rest) = bytes.split_at(zeros);
            let dense = rest.chunks(BLOCK).take_while(|block| !is_zero(block)).map(<[u8]>::len).sum();
            let (dense, rest) = rest.split_at(dense);
            if !hole.is_empty() {
                self.file.seek(SeekFrom::Current(hole.len() as i64))?;
            }
            self.file.write_all(dense)?;
            self.length += (hole.len() + dense.len()) as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<File> {
        self.file.set_len(self.length)?;
        Ok(self.file)
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
