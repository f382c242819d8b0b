//! Copies memory of a process that stands still into a file, with several threads. Knows `process_vm_readv` and
//! `/proc/PID/mem`; refuses to know what the memory is.
//!
//! This is what a capture's pause consists of, so bytes go the shortest way: large reads of many ranges at a time into a
//! buffer that stays in the processor's cache, from there into the file, pages of zeros left out. Writing where the file has
//! no memory yet takes most of the time, ten times that of all else: so [`Workers::prepare`] writes zeros to where the bytes
//! will most likely go, while the process still runs.

use std::fs::File;
use std::io::{IoSliceMut, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::error::CaptureError;
use super::pages::{PageMap, Wanted};
use super::plan::Absent;
use super::process;
use crate::corefile::SparseWriter;

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;
/// Ranges read at a time (`IOV_MAX` is 1024).
const MOST_RANGES: usize = 512;
/// Bytes that one thread takes on at a time.
const CHUNK: u64 = 8 << 20;
/// Bytes that are read or given up as a whole: the smallest page.
const PAGE: usize = 4096;
/// Most threads: more than the memory has use for.
const MOST_WORKERS: usize = 8;

/// Memory to copy and where in the file it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where in the file its first byte goes.
    pub(super) offset: u64,
    pub(super) absent: Absent,
}

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Bytes read.
    pub(super) read: u64,
    /// Bytes that could not be read; the file has zeros there, as the kernel's cores have.
    pub(super) unreadable: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.read += other.read;
        self.unreadable += other.unreadable;
    }
}

/// The memory of a process.
#[derive(Debug)]
pub(super) struct Memory {
    pid: i32,
    /// Reads what the process itself may not (`PROT_NONE`), and everything where `process_vm_readv` is forbidden.
    file: Option<File>,
    forbidden: AtomicBool,
}

impl Memory {
    /// The memory that the process has now: if it runs another program later, this is still the old one's.
    pub(super) fn open(pid: i32) -> Memory {
        let file = File::open(process::path(pid, "mem")).ok();
        Memory { pid, file, forbidden: AtomicBool::new(false) }
    }

    /// Fills the start of `buffer` with the ranges, one behind the other, and tells how many bytes could not be read.
    pub(super) fn read(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<u64, CaptureError> {
        let mut unreadable = 0;
        let mut rest = buffer;
        let mut pending: Vec<(u64, u64)> = ranges.to_vec();
        while let Some(&(start, end)) = pending.first() {
            let done = match self.forbidden.load(Ordering::Relaxed) {
                true => 0,
                false => self.read_many(&pending, rest)?,
            };
            let done = match done {
                0 => {
                    let length = (end - start).min(rest.len() as u64);
                    let into = rest.get_mut(..length as usize).unwrap_or_default();
                    unreadable += self.read_slowly(start, into)?;
                    length
                }
                done => done,
            };
            rest = rest.get_mut(done as usize..).unwrap_or_default();
            advance(&mut pending, done);
        }
        Ok(unreadable)
    }

    /// Bytes that one call read; 0 if not even the first can be read so.
    fn read_many(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<u64, CaptureError> {
        let wanted: u64 = ranges.iter().map(|(start, end)| end - start).sum();
        let wanted = wanted.min(buffer.len() as u64) as usize;
        let remote: Vec<RemoteIoVec> = ranges
            .iter()
            .map(|(start, end)| RemoteIoVec { base: *start as usize, len: (end - start) as usize })
            .collect();
        let mut local = [IoSliceMut::new(buffer.get_mut(..wanted).unwrap_or_default())];
        match process_vm_readv(Pid::from_raw(self.pid), &mut local, &remote) {
            Ok(count) => Ok(count as u64),
            Err(Errno::EFAULT) => Ok(0),
            Err(Errno::EPERM | Errno::ENOSYS) if self.file.is_some() => {
                self.forbidden.store(true, Ordering::Relaxed);
                Ok(0)
            }
            Err(error) => Err(self.failed(ranges.first().map_or(0, |range| range.0), error)),
        }
    }

    /// Reads one range page by page if need be; pages that cannot be read become zeros.
    fn read_slowly(&self, start: u64, into: &mut [u8]) -> Result<u64, CaptureError> {
        let Some(file) = &self.file else {
            into.fill(0);
            return Ok(into.len() as u64);
        };
        if file.read_exact_at(into, start).is_ok() {
            return Ok(0);
        }
        let mut unreadable = 0;
        for (index, page) in into.chunks_mut(PAGE).enumerate() {
            let address = start.saturating_add((index * PAGE) as u64);
            match file.read_at(page, address) {
                Ok(count) if count == page.len() => {}
                // What the kernel answers when the memory itself is gone.
                Ok(0) => return Err(CaptureError::Ended { pid: self.pid }),
                _ => {
                    page.fill(0);
                    unreadable += page.len() as u64;
                }
            }
        }
        Ok(unreadable)
    }

    fn failed(&self, address: u64, error: Errno) -> CaptureError {
        match error {
            Errno::ESRCH => CaptureError::Ended { pid: self.pid },
            Errno::EPERM => process::not_permitted(self.pid),
            error => CaptureError::Memory { pid: self.pid, address, source: error.into() },
        }
    }
}

/// Takes `done` bytes from the front of the ranges.
fn advance(ranges: &mut Vec<(u64, u64)>, mut done: u64) {
    let complete = ranges.iter().take_while(|(start, end)| {
        let fits = end - start <= done;
        done -= if fits { end - start } else { 0 };
        fits
    });
    let complete = complete.count();
    ranges.drain(..complete);
    if let Some(first) = ranges.first_mut() {
        first.0 += done;
    }
}

/// What is done with memory in use: the pieces, and a buffer that is as large as all of them.
type Task<'a> = &'a (dyn Fn(&[Piece], &mut [u8]) -> Result<Tally, CaptureError> + Sync);

/// Threads to be, with what each works with: buffers that have been written to, so that they are in memory.
#[derive(Debug)]
pub(super) struct Workers {
    buffers: Vec<Vec<u8>>,
}

impl Workers {
    pub(super) fn new(threads: usize) -> Workers {
        Workers { buffers: (0..threads.clamp(1, MOST_WORKERS)).map(|_| vec![0xff; BUFFER]).collect() }
    }

    /// Copies all pieces of memory into the file.
    pub(super) fn copy(
        &mut self,
        memory: &Memory,
        pages: &PageMap,
        pieces: &[Piece],
        into: &File,
    ) -> Result<Tally, CaptureError> {
        self.run(pages, pieces, &|ranges, buffer| {
            let lengths = ranges.iter().map(|piece| piece.end - piece.start);
            let mut tally = Tally { read: lengths.sum(), unreadable: 0 };
            let addresses: Vec<(u64, u64)> = ranges.iter().map(|piece| (piece.start, piece.end)).collect();
            tally.unreadable = memory.read(&addresses, buffer)?;
            let mut rest = &*buffer;
            for piece in ranges {
                let (bytes, behind) =
                    rest.split_at_checked((piece.end - piece.start) as usize).unwrap_or_default();
                rest = behind;
                let written = SparseWriter::new(into, piece.offset).write_all(bytes);
                written.map_err(|source| CaptureError::Write { source })?;
            }
            Ok(tally)
        })
    }

    /// Makes the system have memory for what [`Workers::copy`] of these pieces would write, of at most `most` bytes.
    ///
    /// # Errors
    /// There is no room for the copy: better known before the process is stopped.
    pub(super) fn prepare(
        &mut self,
        pages: &PageMap,
        pieces: &[Piece],
        into: &File,
        most: u64,
    ) -> Result<(), CaptureError> {
        let prepared = AtomicU64::new(0);
        let zeros = vec![0; BUFFER];
        let prepare = |ranges: &[Piece], _: &mut [u8]| {
            for piece in ranges {
                let bytes = zeros.get(..(piece.end - piece.start) as usize).unwrap_or_default();
                if prepared.fetch_add(bytes.len() as u64, Ordering::Relaxed) < most {
                    into.write_all_at(bytes, piece.offset)
                        .map_err(|source| CaptureError::Write { source })?;
                }
            }
            Ok(Tally::default())
        };
        self.run(pages, pieces, &prepare).map(drop)
    }

    /// Hands all memory in use to `task`, no more than a buffer at a time.
    fn run(&mut self, pages: &PageMap, pieces: &[Piece], task: Task<'_>) -> Result<Tally, CaptureError> {
        let chunks = chunks(pieces);
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let work = |buffer: &mut Vec<u8>| {
            let mut worker = Worker { pages, task, buffer, batch: Vec::new(), tally: Tally::default() };
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(error) = worker.visit(chunk) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(worker.tally)
        };
        let work = &work;
        let Some((own, others)) = self.buffers.split_first_mut() else { return Ok(Tally::default()) };
        let results: Vec<Result<Tally, CaptureError>> = thread::scope(|scope| {
            let others = others.iter_mut().take(chunks.len().saturating_sub(1));
            let others: Vec<_> = others.map(|buffer| scope.spawn(move || work(buffer))).collect();
            let mut results = vec![work(own)];
            for other in others {
                results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            results
        });
        let mut total = Tally::default();
        for result in results {
            total.add(result?);
        }
        Ok(total)
    }
}

/// Cuts pieces into what one thread does at a time.
fn chunks(pieces: &[Piece]) -> Vec<Piece> {
    let mut chunks = Vec::new();
    for piece in pieces {
        let mut at = piece.start;
        while at < piece.end {
            let end = at.saturating_add(CHUNK).min(piece.end);
            chunks.push(Piece { start: at, end, offset: piece.offset + (at - piece.start), ..*piece });
            at = end;
        }
    }
    chunks
}

struct Worker<'a> {
    pages: &'a PageMap,
    task: Task<'a>,
    buffer: &'a mut Vec<u8>,
    /// What is to be done next: as much as fits into the buffer.
    batch: Vec<Piece>,
    tally: Tally,
}

impl Worker<'_> {
    fn visit(&mut self, chunk: &Piece) -> Result<(), CaptureError> {
        let runs = match chunk.absent {
            Absent::Zero => self.pages.runs(chunk.start, chunk.end, Wanted::Resident),
            Absent::Read => vec![(chunk.start, chunk.end)],
        };
        let mut room = self.buffer.len() as u64;
        for (mut at, end) in runs {
            while at < end {
                let part = at.saturating_add(room).min(end);
                let offset = chunk.offset + (at - chunk.start);
                self.batch.push(Piece { start: at, end: part, offset, absent: chunk.absent });
                room -= part - at;
                at = part;
                if room == 0 || self.batch.len() == MOST_RANGES {
                    self.flush()?;
                    room = self.buffer.len() as u64;
                }
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), CaptureError> {
        self.tally.add((self.task)(&self.batch, self.buffer)?);
        self.batch.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_used_up_from_the_front() {
        let all = vec![(0, 10), (20, 25), (30, 40)];
        for (done, left) in [
            (0, vec![(0, 10), (20, 25), (30, 40)]),
            (4, vec![(4, 10), (20, 25), (30, 40)]),
            (10, vec![(20, 25), (30, 40)]),
            (16, vec![(31, 40)]),
            (25, vec![]),
        ] {
            let mut ranges = all.clone();
            advance(&mut ranges, done);
            assert_eq!(ranges, left, "{done}");
        }
    }

    #[test]
    fn chunks_cover_the_pieces() {
        let piece = Piece { start: 5, end: 5 + 2 * CHUNK + 7, offset: 100, absent: Absent::Read };
        let cut = chunks(&[piece]);
        let facts: Vec<_> = cut.iter().map(|chunk| (chunk.start, chunk.end, chunk.offset)).collect();
        assert_eq!(
            facts,
            [
                (5, 5 + CHUNK, 100),
                (5 + CHUNK, 5 + 2 * CHUNK, 100 + CHUNK),
                (5 + 2 * CHUNK, piece.end, 100 + 2 * CHUNK)
            ]
        );
    }

    #[test]
    fn a_process_that_is_gone_is_told() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let memory = Memory::open(child.id() as i32);
        let read = memory.read(&[(0x1000, 0x2000)], &mut [0; 0x1000]);
        assert!(matches!(read, Err(CaptureError::Ended { .. })), "{read:?}");
    }

    #[test]
    fn what_cannot_be_read_is_zero_and_counted() {
        let here = vec![7u8; 3 * PAGE];
        let address = here.as_ptr() as u64;
        let memory = Memory::open(std::process::id() as i32);
        let mut buffer = vec![9; 2 * PAGE + 16];
        let ranges =
            [(address, address + 16), (PAGE as u64, 2 * PAGE as u64), (address, address + PAGE as u64)];
        assert_eq!(memory.read(&ranges, &mut buffer).unwrap(), PAGE as u64);
        assert!(buffer[..16].iter().all(|&byte| byte == 7));
        assert!(buffer[16..16 + PAGE].iter().all(|&byte| byte == 0));
        assert!(buffer[16 + PAGE..].iter().all(|&byte| byte == 7));
    }
}
