//! Why a process cannot be captured. Knows what to advise; refuses to know how the facts are found.

use std::io;
use std::path::PathBuf;

/// Why there is no copy of a process. Each message is one line and says what to try; in each case the process has been let
/// go and nothing was written at the output's name.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No such process.
    #[error("there is no process {pid}; check the number (inside a container, processes have other numbers)")]
    NoProcess {
        /// The number that was given.
        pid: i32,
    },
    /// The number of a thread that is not the first of its process.
    #[error("{tid} is a thread of process {pid}; name the process")]
    IsThread {
        /// The number that was given.
        tid: i32,
        /// The process it belongs to.
        pid: i32,
    },
    /// The process that asks.
    #[error("process {pid} is this program itself; name another one")]
    OwnProcess {
        /// The number that was given.
        pid: i32,
    },
    /// A thread of the kernel.
    #[error("process {pid} is a thread of the kernel and has no memory of its own; name another one")]
    KernelThread {
        /// The number that was given.
        pid: i32,
    },
    /// A process of another processor, or a 32-bit one.
    #[error(
        "process {pid} runs a program for another machine ({what}); only 64-bit x86-64 and AArch64 are supported"
    )]
    OtherMachine {
        /// The process.
        pid: i32,
        /// What its program is for.
        what: String,
    },
    /// It ended before all was copied.
    #[error("process {pid} ended before its memory was copied; nothing was written")]
    Ended {
        /// The process.
        pid: i32,
    },
    /// A debugger has it.
    #[error("process {pid} is being traced by process {tracer} already; end that debugger or tracer first")]
    Traced {
        /// The process.
        pid: i32,
        /// Its tracer.
        tracer: i32,
    },
    /// The kernel does not allow it.
    #[error("process {pid} may not be captured: {why}")]
    NotPermitted {
        /// The process.
        pid: i32,
        /// What forbids it, as far as can be told, and what is needed.
        why: String,
    },
    /// A thread waits in the kernel and cannot be stopped.
    #[error(
        "thread {tid} of process {pid} did not stop within {seconds} s (state {state}); the process was let go, try again later"
    )]
    NotStopped {
        /// The process.
        pid: i32,
        /// The thread.
        tid: i32,
        /// Its state letter, as `ps` shows it.
        state: char,
        /// How long was waited.
        seconds: u64,
    },
    /// New threads appeared faster than they could be stopped.
    #[error("process {pid} starts threads faster than they can be stopped; it was let go, try again later")]
    TooManyThreads {
        /// The process.
        pid: i32,
    },
    /// Something about the process cannot be read.
    #[error("cannot read {}: {source}; check that /proc is mounted and that the process still runs", path.display())]
    Proc {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of `/proc` is not as it should be.
    #[error("{} is not as Linux writes it: {what}; please report this", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What could not be understood.
        what: String,
    },
    /// Memory cannot be read although the process may be traced.
    #[error("cannot read the memory of process {pid} at {address:#x}: {source}")]
    Memory {
        /// The process.
        pid: i32,
        /// First address.
        address: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error(
        "cannot write the copy of the memory: {source}; it needs as much room as the process has memory, and goes to TMPDIR"
    )]
    Write {
        /// What the system said.
        source: io::Error,
    },
}
