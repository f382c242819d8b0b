//! The JSON document of every command: what was asked of which core, how much of it could be read, and the answer.
//!
//! `docs/json-schema.md` describes it; a test holds the two together.

use super::{Coverage, Hex, Report};
use crate::corefile::{CoreMaker, Inputs, Redaction};
use crate::cpython::Runtime;
use serde::Serialize;

/// Version of the documents. Grows when a field is renamed, retyped, removed, or changes its meaning; a new field
/// leaves it alone.
pub const SCHEMA_VERSION: u32 = 1;

/// One document.
#[derive(Debug, Serialize)]
pub struct Envelope<'r, R> {
    schema_version: u32,
    command: &'static str,
    exuvia: &'static str,
    core: &'r CoreIdentity,
    coverage: &'r Coverage,
    result: &'r R,
}

impl<'r, R: Report> Envelope<'r, R> {
    /// Wraps a command's result.
    pub fn new(core: &'r CoreIdentity, coverage: &'r Coverage, result: &'r R) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: R::COMMAND,
            exuvia: env!("CARGO_PKG_VERSION"),
            core,
            coverage,
            result,
        }
    }

    /// The document as text, ending in a newline.
    ///
    /// # Errors
    /// None that a report's own types can cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// Which core, and whose.
#[derive(Clone, Debug, Serialize)]
pub struct CoreIdentity {
    /// Path as it was given.
    pub path: String,
    /// Whether it can be opened by that path once more.
    #[serde(skip)]
    pub repeatable: bool,
    /// Its size, after decompression.
    pub bytes: u64,
    /// `kernel`, `gcore`, `capture` or `unknown`.
    pub written_by: &'static str,
    /// What was overwritten when the heap was saved: `values` or `names` (those too); `null` if nothing was.
    pub redacted: Option<&'static str>,
    /// Process id, in the namespace of whoever wrote the core.
    pub pid: Option<i32>,
    /// Name of the process.
    pub process: Option<String>,
    /// Its arguments, as far as the core has them.
    pub command_line: Option<String>,
    /// What it died of; `null` if it went on living.
    pub signal: Option<Signal>,
    /// Release of CPython; `null` if none was found or could be decoded.
    pub python: Option<String>,
    /// File that holds the interpreter.
    pub python_module: Option<String>,
    /// Its build-id.
    pub python_build_id: Option<String>,
}

/// A signal.
#[derive(Clone, Debug, Serialize)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Its name, such as `SIGSEGV`.
    pub name: String,
    /// The address at fault.
    pub fault_address: Option<Hex>,
    /// The process that sent it.
    pub sender_pid: Option<i32>,
}

impl CoreIdentity {
    /// Reads the core's notes; `runtime` adds what the interpreter says.
    pub fn new(inputs: &Inputs, runtime: Option<&Runtime<'_>>) -> Self {
        let (core, notes) = (inputs.core(), inputs.notes());
        let module = runtime.and_then(|runtime| runtime.binaries.module(runtime.module));
        Self {
            path: core.path().display().to_string(),
            repeatable: core.is_repeatable(),
            bytes: core.size(),
            redacted: core.saved_from().and_then(|source| source.redacted).map(|redaction| match redaction {
                Redaction::Values => "values",
                Redaction::Names => "names",
            }),
            written_by: match core.maker() {
                CoreMaker::Kernel => "kernel",
                CoreMaker::Gcore => "gcore",
                CoreMaker::Capture => "capture",
                CoreMaker::Unknown => "unknown",
            },
            pid: notes.process.as_ref().map(|process| process.pid),
            process: notes.process.as_ref().map(|process| process.name.clone()),
            command_line: notes.process.as_ref().map(|process| process.command_line.clone()),
            signal: signal(inputs),
            python: runtime.map(|runtime| runtime.semantics.version.to_string()),
            python_module: module.map(|module| module.path.clone()),
            python_build_id: module.and_then(|module| module.build_id.as_ref()).map(ToString::to_string),
        }
    }

    /// What stands for the core in a command to be typed: of one from a pipe, the word that the help has for it.
    pub fn argument(&self) -> &str {
        if self.repeatable { &self.path } else { "CORE" }
    }

    /// How the process ended, in words.
    pub fn ending(&self) -> String {
        let Some(signal) = &self.signal else {
            return match self.written_by {
                "gcore" | "capture" => "no signal: the core was taken from a running process".to_owned(),
                _ => "no signal is noted in the core".to_owned(),
            };
        };
        let mut text = format!("{} ({})", signal.name, signal.number);
        match (signal.fault_address, signal.sender_pid) {
            (Some(address), _) => text.push_str(&format!(", at fault: address {address}")),
            (None, Some(pid)) if Some(pid) == self.pid => text.push_str(", sent by the process itself"),
            (None, Some(pid)) => text.push_str(&format!(", sent by process {pid}")),
            (None, None) => {}
        }
        text
    }
}

/// The signal by its own note, else the one the first thread was being given. A core that GDB takes of a process names
/// the signals by which GDB stopped it, which did not end it.
fn signal(inputs: &Inputs) -> Option<Signal> {
    const STOPPING: [i32; 3] = [5, 19, 20];
    let notes = inputs.notes();
    let (number, fault_address, sender_pid) = match (notes.signal, notes.threads.first()) {
        (Some(note), _) => (note.number, note.fault_address, note.sender_pid),
        (None, Some(thread)) if thread.signal != 0 => (thread.signal, None, None),
        (None, _) => return None,
    };
    let stopped = inputs.core().maker() == CoreMaker::Gcore && STOPPING.contains(&number);
    (!stopped).then(|| Signal {
        number,
        name: signal_name(number),
        fault_address: fault_address.map(Hex),
        sender_pid,
    })
}

/// Name of a signal on Linux, the same on x86-64 and AArch64 (signal(7)).
pub fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?));
    name.map_or_else(|| format!("signal {number}"), |name| (*name).to_owned())
}
