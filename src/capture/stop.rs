//! Stops all threads of a process and lets them go again. Knows ptrace; refuses to know why they are stopped.
//!
//! `PTRACE_SEIZE` and `PTRACE_INTERRUPT` send no signal: the process does not notice, and system calls that a thread was
//! waiting in go on afterwards as ptrace(2) says. Nothing here asks the kernel to kill the process with us
//! (`PTRACE_O_EXITKILL`), so whatever ends this program, the kernel lets the threads go.
//!
//! A thread may be about to get a signal just when it stops. That the stop is looked at without being taken note of
//! (`WNOWAIT`) keeps the signal where it is: the thread gets it when it goes on, even if it is our end that lets it go.
//!
//! The kernel knows tracers by thread: the thread that calls [`stop`] must be the one that calls the rest, and it should
//! end soon after. Its end lets go what [`Stopped::release`] cannot: see there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::error::CaptureError;
use super::notes::register_words;
use super::process;

/// How long a thread may take to stop: one that starts a program (`vfork`) waits for that, one that waits for a disk cannot
/// be stopped at all until it comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited without giving the processor away for longer than a moment.
const SPIN: Duration = Duration::from_millis(2);
/// Between two looks after that.
const NAP: Duration = Duration::from_micros(200);
/// The event of a stop that is none: the thread is about to get a signal.
const NO_EVENT: i32 = 0;
/// Times that the list of threads may have grown meanwhile.
const MOST_ROUNDS: usize = 1000;

/// A thread that stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoppedThread {
    pub(super) tid: i32,
    release: Release,
}

/// How a thread is to be let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// With the signal that it was about to get when it stopped, if there was one.
    Detach(Option<Signal>),
    /// It was about to get a signal that has no name here (a real-time one), which only the kernel itself can hand on: it
    /// does when the tracing thread ends.
    ByOurEnd,
}

/// A process whose threads all stand still. Dropping it lets them go.
#[derive(Debug)]
pub(super) struct Stopped {
    /// By id, but the first thread of the process first.
    pub(super) threads: Vec<StoppedThread>,
    since: Instant,
}

/// Stops every thread of a process.
///
/// # Errors
/// It may not be traced, has ended, or does not stop; all threads run on then.
pub(super) fn stop(pid: i32) -> Result<Stopped, CaptureError> {
    let mut known: BTreeMap<i32, Option<StoppedThread>> = BTreeMap::new();
    // Being traced stops nothing: the clock starts with the first interruption.
    let mut fresh = seize_new(pid, &known)?;
    let mut stopped = Stopped { threads: Vec::new(), since: Instant::now() };
    for _ in 0..MOST_ROUNDS {
        if fresh.is_empty() {
            stopped.threads.extend(known.into_values().flatten());
            stopped.threads.sort_by_key(|thread| (thread.tid != pid, thread.tid));
            return match stopped.threads.first() {
                Some(first) if first.tid == pid => Ok(stopped),
                _ => Err(CaptureError::Ended { pid }),
            };
        }
        for &tid in &fresh {
            // A thread that is gone is noticed below.
            let _ = ptrace::interrupt(Pid::from_raw(tid));
        }
        for &tid in &fresh {
            let found = wait_until_stopped(pid, tid, stopped.since);
            if found.is_err() {
                stopped.threads.extend(known.values().flatten());
            }
            known.insert(tid, found?);
        }
        // Threads that were not stopped yet may have started others.
        fresh = match seize_new(pid, &known) {
            Ok(fresh) => fresh,
            Err(error) => {
                stopped.threads.extend(known.into_values().flatten());
                return Err(error);
            }
        };
    }
    stopped.threads.extend(known.into_values().flatten());
    Err(CaptureError::TooManyThreads { pid })
}

/// Begins to trace the threads that are not known yet.
fn seize_new(pid: i32, known: &BTreeMap<i32, Option<StoppedThread>>) -> Result<Vec<i32>, CaptureError> {
    let mut fresh = Vec::new();
    for tid in process::threads(pid)? {
        if known.contains_key(&tid) {
            continue;
        }
        match ptrace::seize(Pid::from_raw(tid), ptrace::Options::empty()) {
            Ok(()) => fresh.push(tid),
            Err(Errno::ESRCH) => {}
            // Also what the kernel says of a thread that is just ending.
            Err(_) if is_gone(pid, tid) => {}
            Err(Errno::EPERM) => return Err(process::not_permitted(pid)),
            Err(error) => {
                let path = process::path(pid, "task");
                return Err(CaptureError::Proc { path, source: error.into() });
            }
        }
    }
    Ok(fresh)
}

fn is_gone(pid: i32, tid: i32) -> bool {
    process::stat_of_thread(pid, tid).map_or(true, |stat| stat.has_ended())
}

/// Waits until a thread that was interrupted stands still; `None` if it ended instead.
fn wait_until_stopped(pid: i32, tid: i32, since: Instant) -> Result<Option<StoppedThread>, CaptureError> {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::__WALL;
    let flags = flags | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let begun = Instant::now();
    loop {
        let release = match waitid(Id::Pid(Pid::from_raw(tid)), flags) {
            Ok(WaitStatus::StillAlive) => {
                if begun.elapsed() < SPIN {
                    thread::yield_now();
                    continue;
                }
                if is_gone(pid, tid) {
                    return Ok(None);
                }
                if since.elapsed() > PATIENCE {
                    let state = process::stat_of_thread(pid, tid).map_or('?', |stat| char::from(stat.state));
                    return Err(CaptureError::NotStopped { pid, tid, state, seconds: PATIENCE.as_secs() });
                }
                thread::sleep(NAP);
                continue;
            }
            Ok(WaitStatus::PtraceEvent(_, signal, NO_EVENT) | WaitStatus::Stopped(_, signal)) => {
                Release::Detach(Some(signal))
            }
            Ok(WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_)) => Release::Detach(None),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => return Ok(None),
            Err(Errno::EINVAL) => Release::ByOurEnd,
            Ok(WaitStatus::Continued(_)) | Err(_) => continue,
        };
        return Ok(Some(StoppedThread { tid, release }));
    }
}

impl Stopped {
    /// General registers of each thread; a thread that was killed meanwhile is left out.
    pub(super) fn registers(&self) -> Vec<(i32, Vec<u64>)> {
        let read = |thread: &StoppedThread| {
            let registers = ptrace::getregs(Pid::from_raw(thread.tid)).ok()?;
            Some((thread.tid, register_words(&registers)))
        };
        self.threads.iter().filter_map(read).collect()
    }

    /// Lets all threads go and tells how long the first of them stood. A thread that waits for a signal without a name goes
    /// on when the calling thread ends.
    pub(super) fn release(mut self) -> Duration {
        self.detach();
        self.since.elapsed()
    }

    fn detach(&mut self) {
        for thread in self.threads.drain(..) {
            if let Release::Detach(signal) = thread.release {
                // It fails only for a thread that is gone.
                let _ = ptrace::detach(Pid::from_raw(thread.tid), signal);
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.detach();
    }
}
