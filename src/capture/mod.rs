//! Takes a core of a process that goes on running. Knows ptrace and `/proc` of Linux; refuses to know what the memory means.
//!
//! [`Target::capture`] stops all threads, copies what the process can change, lets them go, and then reads what can wait.
//! Nothing runs in the process, and it is not forked; what the kernel demands is what it demands of any debugger. The file
//! is an ordinary core as the kernel writes them, so [`Inputs`](crate::corefile::Inputs) needs to know nothing of this.
//!
//! How long the process stands still is what all this is about: everything that can be done before or afterwards is. The
//! plan (`plan`) is made and the memory copied (`copy`) in between.

mod copy;
mod error;
mod late;
mod mappings;
mod notes;
mod pages;
mod plan;
mod process;
mod stop;

pub use error::CaptureError;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::corefile::{CoreLayout, Machine, NewNote, NewSegment, Registers, linux};
use copy::{Memory, Piece, Tally, Workers};
use mappings::{Details, Mapping, parse_maps, parse_smaps};
use notes::Facts;
use pages::PageMap;
use plan::{Plan, Range, plan};
use process::{Stat, Status, parse_stat, parse_status};

/// `e_machine` and class of an ELF header lie within so many bytes.
const ELF_START: usize = 20;

/// A process that may be captured.
#[derive(Debug)]
pub struct Target {
    pid: i32,
    machine: Machine,
    /// Ticks at which it started, which tell it from a later process of that number.
    started: u64,
    /// Its root directory, by our paths.
    root_path: PathBuf,
    /// Its root directory, if it is not ours. Open, so that it can be used when the process is gone.
    root: Option<File>,
    /// Whether it has process numbers of its own.
    own_numbers: bool,
}

/// What a capture took, and what it cost the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Threads that were stopped.
    pub threads: usize,
    /// From the first thread's stop to the last thread's release.
    pub pause: Duration,
    /// Bytes copied meanwhile.
    pub copied_bytes: u64,
    /// Bytes read afterwards: of files that are mapped.
    pub later_bytes: u64,
    /// Bytes that could not be read, and are zero in the copy.
    pub unreadable_bytes: u64,
    /// Bytes that the process had mapped.
    pub mapped_bytes: u64,
}

impl Target {
    /// Looks at a process, without stopping it.
    ///
    /// # Errors
    /// There is no such process, or none that can be captured.
    pub fn open(pid: i32) -> Result<Target, CaptureError> {
        if pid == std::process::id() as i32 {
            return Err(CaptureError::OwnProcess { pid });
        }
        let missing = |error| match error {
            CaptureError::Ended { pid } => CaptureError::NoProcess { pid },
            other => other,
        };
        let status = parse_status(&process::read(pid, "status").map_err(missing)?);
        if status.process != pid {
            return Err(CaptureError::IsThread { tid: pid, pid: status.process });
        }
        let text = process::read(pid, "stat").map_err(missing)?;
        let stat = parse_stat(&text).ok_or_else(|| process::unexpected(pid, "stat", &text))?;
        if stat.is_kernel_thread() {
            return Err(CaptureError::KernelThread { pid });
        }
        if stat.has_ended() {
            return Err(CaptureError::Ended { pid });
        }
        let link = process::path(pid, "root");
        let root_path =
            std::fs::read_link(&link).map_err(|source| process::failed(pid, link.clone(), source))?;
        let root = match same_file(&link, Path::new("/")) && same_namespace(pid, "mnt") {
            true => None,
            false => Some(File::open(&link).map_err(|source| process::failed(pid, link, source))?),
        };
        let own_numbers = !same_namespace(pid, "pid");
        Ok(Target { pid, machine: machine(pid)?, started: stat.started, root_path, root, own_numbers })
    }

    /// The directory that has the file system the process sees, if that is not ours. It serves as long as this value lives,
    /// even when the process is gone.
    pub fn other_root(&self) -> Option<PathBuf> {
        self.root.as_ref().map(|root| PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd())))
    }

    /// Copies the process into an empty file, as a core; `threads` work at it. When it returns, the process runs again.
    ///
    /// # Errors
    /// [`CaptureError`]; the process runs on in each case.
    pub fn capture(&self, into: &File, threads: usize) -> Result<Captured, CaptureError> {
        let details = process::read(self.pid, "smaps").map(|text| parse_smaps(&text)).unwrap_or_default();
        let mut workers = Workers::new(threads);
        self.prepare(&details, &mut workers, into)?;
        // A thread of its own, which ends afterwards: its end lets go whatever could not be let go otherwise.
        let stopped = thread::scope(|scope| {
            let tracer = scope.spawn(|| self.copy_stopped(&details, &mut workers, into));
            tracer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let Taken { mut plan, mappings, notes, threads, pause, tally } = stopped?;
        let files = late::Files { target: self, mappings: &mappings };
        let later_bytes = files.read(&mut plan, &notes, into)?;
        let layout = CoreLayout::new(self.machine, &notes, &plan.segments);
        let write = |source| CaptureError::Write { source };
        into.write_all_at(layout.header_bytes(), 0).map_err(write)?;
        into.set_len(layout.size()).map_err(write)?;
        Ok(Captured {
            threads,
            pause,
            copied_bytes: tally.read,
            later_bytes,
            unreadable_bytes: tally.unreadable,
            mapped_bytes: mappings.iter().map(Mapping::len).fold(0, u64::saturating_add),
        })
    }

    /// Everything that happens while the process stands still, and nothing else.
    fn copy_stopped(
        &self,
        details: &[Details],
        workers: &mut Workers,
        into: &File,
    ) -> Result<Taken, CaptureError> {
        let stopped = stop::stop(self.pid)?;
        let pid = self.pid;
        let memory = Memory::open(pid);
        let mut registers = stopped.registers();
        let text = process::read(pid, "maps")?;
        let mappings = parse_maps(&text).map_err(|line| process::unexpected(pid, "maps", line.as_bytes()))?;
        let auxv = process::read(pid, "auxv")?;
        if mappings.is_empty() || registers.is_empty() {
            return Err(CaptureError::Ended { pid });
        }
        if self.own_numbers {
            for (tid, _) in &mut registers {
                *tid = self.own_number(*tid);
            }
        }
        let notes = self.notes(&registers, &auxv, &mappings)?;
        let (pages, plan) = self.plan(&mappings, details, &auxv);
        let pieces = self.pieces(&plan, &notes);
        let tally = workers.copy(&memory, &pages, &pieces, into)?;
        let threads = registers.len();
        let pause = stopped.release();
        Ok(Taken { plan, mappings, notes, threads, pause, tally })
    }

    /// What notes tell of the process as it is now.
    fn notes(
        &self,
        threads: &[(i32, Vec<u64>)],
        auxv: &[u8],
        mappings: &[Mapping],
    ) -> Result<Vec<NewNote>, CaptureError> {
        let status = parse_status(&process::read(self.pid, "status")?);
        let own_pid = status.numbers.last().copied().filter(|_| self.own_numbers);
        Ok(notes::notes(&Facts {
            pid: own_pid.unwrap_or(self.pid),
            stat: &self.stat()?,
            status: &status,
            arguments: &process::read(self.pid, "cmdline")?,
            threads,
            auxv,
            mappings,
            root: self.root_path.as_os_str().as_bytes(),
        }))
    }

    /// Does beforehand what can be done of copying, as far as things will be where they are now.
    fn prepare(&self, details: &[Details], workers: &mut Workers, into: &File) -> Result<(), CaptureError> {
        let mappings: Vec<Mapping> = details.iter().map(|details| details.mapping.clone()).collect();
        let auxv = process::read(self.pid, "auxv")?;
        // Of notes only the size matters here.
        let registers = vec![0; Registers::count(self.machine)];
        let threads: Vec<_> =
            process::threads(self.pid)?.into_iter().map(|tid| (tid, registers.clone())).collect();
        let notes = self.notes(&threads, &auxv, &mappings)?;
        let (pages, plan) = self.plan(&mappings, details, &auxv);
        workers.prepare(&pages, &self.pieces(&plan, &notes), into, process::available_memory() / 2)
    }

    /// Which pages the process has, and what is to be copied of these mappings.
    fn plan(&self, mappings: &[Mapping], details: &[Details], auxv: &[u8]) -> (PageMap, Plan) {
        let pages = PageMap::open(self.pid, linux::page_size(&linux::auxv(auxv)));
        let runs = |mapping: &Mapping, wanted| pages.runs(mapping.start, mapping.end, wanted);
        let plan = plan(mappings, details, &runs);
        (pages, plan)
    }

    /// Where in the file everything goes that is copied while the process stands still.
    fn pieces(&self, plan: &Plan, notes: &[NewNote]) -> Vec<Piece> {
        let layout = CoreLayout::new(self.machine, notes, &plan.segments);
        let piece = |range: &Range| {
            let offset = layout.offset_of(range.segment)?;
            Some(Piece { start: range.start, end: range.end, offset, absent: range.absent })
        };
        plan.ranges.iter().filter_map(piece).collect()
    }

    fn stat(&self) -> Result<Stat, CaptureError> {
        let text = process::read(self.pid, "stat")?;
        let stat = parse_stat(&text).ok_or_else(|| process::unexpected(self.pid, "stat", &text))?;
        match stat.started == self.started && !stat.has_ended() {
            true => Ok(stat),
            false => Err(CaptureError::Ended { pid: self.pid }),
        }
    }

    /// The number that a thread has for itself, as the kernel's cores have it.
    fn own_number(&self, tid: i32) -> i32 {
        let text = process::read_of_thread(self.pid, tid, "status");
        let status: Option<Status> = text.ok().map(|text| parse_status(&text));
        status.and_then(|status| status.numbers.last().copied()).unwrap_or(tid)
    }

    /// A path of `/proc/PID/maps` as the process sees it.
    fn seen<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        notes::seen_below(path, self.root_path.as_os_str().as_bytes())
    }
}

/// What was taken while the process stood still.
struct Taken {
    plan: Plan,
    mappings: Vec<Mapping>,
    notes: Vec<NewNote>,
    threads: usize,
    pause: Duration,
    tally: Tally,
}

/// Whether two paths lead to one file.
fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    identity(one).is_some_and(|found| Some(found) == identity(other))
}

/// Whether a process is in our namespace of a kind. Where that cannot be told, it is taken to be.
fn same_namespace(pid: i32, kind: &str) -> bool {
    let namespace = |path: PathBuf| std::fs::read_link(path).ok();
    let other = namespace(process::path(pid, &format!("ns/{kind}")));
    other.is_none() || other == namespace(PathBuf::from(format!("/proc/self/ns/{kind}")))
}

/// The processor that a process' program is for, which must be ours.
fn machine(pid: i32) -> Result<Machine, CaptureError> {
    const CLASS_64: u8 = 2;
    const CLASS_AT: usize = 4;
    const MACHINE_AT: usize = 18;
    let own = notes::machine();
    let other = |what: &str| CaptureError::OtherMachine { pid, what: what.to_owned() };
    let path = process::path(pid, "exe");
    let mut start = [0; ELF_START];
    let read = File::open(&path).and_then(|file| file.read_exact_at(&mut start, 0));
    read.map_err(|source| process::failed(pid, path, source))?;
    if start.get(CLASS_AT) != Some(&CLASS_64) {
        return Err(other("32 bits"));
    }
    let found =
        start.get(MACHINE_AT..).and_then(|bytes| bytes.first_chunk().copied()).map(u16::from_le_bytes);
    match found.and_then(Machine::of_elf) {
        Some(machine) if Some(machine) == own => Ok(machine),
        _ => Err(other(&format!("ELF machine {}", found.unwrap_or_default()))),
    }
}

/// A segment with so many bytes in the file.
fn with_bytes(segment: NewSegment, filesz: u64) -> NewSegment {
    NewSegment { filesz: filesz.min(segment.memsz), ..segment }
}
