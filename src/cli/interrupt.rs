//! What happens when the user ends the program early: unfinished files are removed. Knows signals; refuses to know who writes.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use std::thread;

use crate::corefile::remove_unfinished;

/// Signals that end the program and can be waited for.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// Signals that suspend it.
const SUSPENDING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
/// What shells add to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// From here on an ending signal removes unfinished files first, and nothing suspends the program until [`allow_suspend`].
/// To be called before there are other threads: signals that one of them would take do what they always do.
///
/// # Errors
/// The system refuses; it should not.
pub fn watch() -> anyhow::Result<()> {
    let ignored = ignored();
    // Waiting for a signal would undo that it is ignored (`nohup`).
    let ending = ENDING.into_iter().filter(|&signal| ignored >> (signal as i32 - 1) & 1 == 0);
    let ending: SigSet = ending.collect();
    ending.thread_block().context("cannot hold signals back")?;
    suspending().thread_block().context("cannot hold signals back")?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Ok(signal) = ending.wait() {
            remove_unfinished();
            std::process::exit(BY_SIGNAL + signal as i32);
        }
    })?;
    Ok(())
}

/// Lets the user suspend the program again: no process that it has stopped would stand still with it.
pub fn allow_suspend() {
    // If it fails, ^Z has no effect, which harms nobody.
    let _ = suspending().thread_unblock();
}

fn suspending() -> SigSet {
    SUSPENDING.into_iter().collect()
}

/// Signals that whoever started this program had it ignore, as bits.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}
