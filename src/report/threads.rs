//! `threads`: the Python stack of every thread, who held the GIL, and which exceptions were under way.

use super::header::type_name;
use super::page::{columns, cut};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, signal_name};
use crate::corefile::{Address, CoreMaker, Inputs, ThreadNote};
use crate::cpython::{
    Frame, PreviewLimits, ReadField, Runtime, ThreadState, Values, preview, thread_exceptions, thread_frames,
    thread_name,
};
use serde::Serialize;

/// Longest preview of a value, in characters.
const MAX_PREVIEW: usize = 100;
/// Columns that a value gets in any case.
const LEAST_VALUE: usize = 20;
/// Columns before a variable.
const INDENT: usize = 9;
/// Most variables of one frame.
const MAX_LOCALS: usize = 40;
/// Most threads without Python state that are listed.
const MAX_OTHERS: usize = 100;

/// The answer of `threads`.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadsReport {
    /// Whether values of variables are shown.
    pub values: bool,
    /// Python threads there are.
    pub threads_total: u64,
    /// The first of them: by interpreter, the main thread first.
    pub threads: Vec<PythonThread>,
    /// Threads of the process that no interpreter knows.
    pub others_total: u64,
    /// The first of them.
    pub others: Vec<OtherThread>,
}

/// A thread that runs Python.
#[derive(Clone, Debug, Serialize)]
pub struct PythonThread {
    /// Id of its interpreter; 0 is the main one.
    pub interpreter: i64,
    /// Its `PyThreadState`.
    pub state: Hex,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// `threading.get_native_id()`, where the release keeps it.
    pub native_id: Option<u64>,
    /// `threading.Thread.name`, for threads that `threading` knows.
    pub name: Option<String>,
    /// Its number in the core; `null` if the thread has ended, as after a fork.
    pub tid: Option<i32>,
    /// How that was told: `native_id` or `thread_pointer` (ids differ between PID namespaces).
    pub tid_by: Option<&'static str>,
    /// The signal it was being given.
    pub signal: Option<String>,
    /// It held the GIL.
    pub holds_gil: bool,
    /// The exception being handled (`sys.exception()`).
    pub handled: Option<ExceptionLine>,
    /// The exception on its way to a handler.
    pub raised: Option<ExceptionLine>,
    /// Frames there are.
    pub frames_total: u64,
    /// The innermost of them, innermost first.
    pub frames: Vec<FrameRow>,
    /// Why the stack is known in part only.
    pub damage: Option<String>,
}

/// An exception.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionLine {
    /// The object.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// Its value, as far as values are shown.
    pub value: String,
}

/// A frame.
#[derive(Clone, Debug, Serialize)]
pub struct FrameRow {
    /// Its `_PyInterpreterFrame`.
    pub address: Hex,
    /// Qualified name of the function.
    pub function: String,
    /// Its file.
    pub file: String,
    /// Line being executed.
    pub line: Option<u32>,
    /// Variables that are set.
    pub locals_total: u64,
    /// The first of them.
    pub locals: Vec<LocalRow>,
}

/// A variable.
#[derive(Clone, Debug, Serialize)]
pub struct LocalRow {
    /// Its name.
    pub name: String,
    /// The object it names.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// Its value; `null` unless values are shown.
    pub value: Option<String>,
}

/// A thread of the process without Python.
#[derive(Clone, Debug, Serialize)]
pub struct OtherThread {
    /// Its number in the core.
    pub tid: i32,
    /// The signal it was being given.
    pub signal: Option<String>,
}

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct ThreadOptions {
    /// Whether values appear.
    pub values: Values,
    /// Most threads, and most frames of each.
    pub limit: usize,
}

impl ThreadsReport {
    /// Reads every stack.
    pub fn new(inputs: &Inputs, runtime: &Runtime<'_>, options: ThreadOptions) -> Self {
        let notes = &inputs.notes().threads;
        let writer = Writer { inputs, runtime, options };
        let mut threads = Vec::new();
        let mut known = Vec::new();
        let mut threads_total = 0;
        for interpreter in &runtime.interpreters {
            // The chain is newest first.
            for thread in interpreter.threads.iter().rev() {
                threads_total += 1;
                let note = note_of(notes, thread);
                known.extend(note.map(|(note, _)| note.tid));
                if threads.len() < options.limit {
                    threads.push(writer.thread(interpreter.id, interpreter.modules, thread, note));
                }
            }
        }
        let others: Vec<OtherThread> = notes
            .iter()
            .filter(|note| !known.contains(&note.tid))
            .map(|note| OtherThread { tid: note.tid, signal: signal_of(inputs, note) })
            .collect();
        Self {
            values: options.values == Values::Shown,
            threads_total,
            threads,
            others_total: others.len() as u64,
            others: others.into_iter().take(MAX_OTHERS).collect(),
        }
    }
}

/// The signal a thread was being given. The kernel notes the one the process died of for every thread, but puts the
/// thread that got it first (Linux, fs/binfmt_elf.c, `fill_note_info`); GDB's are those it stopped the process by.
fn signal_of(inputs: &Inputs, note: &ThreadNote) -> Option<String> {
    let is_first = inputs.notes().threads.first().is_some_and(|first| first.tid == note.tid);
    let is_told = is_first && note.signal != 0 && inputs.core().maker() != CoreMaker::Gcore;
    is_told.then(|| signal_name(note.signal))
}

/// The core's note of a thread, and how it was found. Its thread pointer tells it in any PID namespace.
pub(super) fn note_of<'n>(
    notes: &'n [ThreadNote],
    thread: &ThreadState,
) -> Option<(&'n ThreadNote, &'static str)> {
    let by = |holds: &dyn Fn(&ThreadNote) -> bool| notes.iter().find(|note| holds(note));
    let pointer = by(&|note| note.registers.is_pthread(thread.thread_id));
    let native = || by(&|note| thread.native_id.is_some_and(|id| i64::from(note.tid) == id as i64));
    match pointer {
        Some(note) => Some((note, "thread_pointer")),
        None => native().map(|note| (note, "native_id")),
    }
}

struct Writer<'r, 'core> {
    inputs: &'r Inputs,
    runtime: &'r Runtime<'core>,
    options: ThreadOptions,
}

impl<'r> Writer<'r, '_> {
    fn thread(
        &self,
        interpreter: i64,
        modules: Address,
        thread: &ThreadState,
        note: Option<(&ThreadNote, &'static str)>,
    ) -> PythonThread {
        let (frames, damage) = thread_frames(self.runtime, thread);
        let exceptions = thread_exceptions(self.runtime, thread);
        PythonThread {
            interpreter,
            state: Hex(thread.address),
            ident: thread.thread_id,
            native_id: thread.native_id,
            name: thread_name(self.runtime, modules, thread),
            tid: note.map(|(note, _)| note.tid),
            tid_by: note.map(|(_, by)| by),
            signal: note.and_then(|(note, _)| signal_of(self.inputs, note)),
            holds_gil: thread.holds_gil,
            handled: exceptions.handled.map(|object| self.exception(object)),
            raised: exceptions.raised.map(|object| self.exception(object)),
            frames_total: frames.len() as u64,
            frames: frames.iter().take(self.options.limit).map(|frame| self.frame(frame)).collect(),
            damage: damage.map(|damage| damage.to_string()),
        }
    }

    fn exception(&self, object: Address) -> ExceptionLine {
        ExceptionLine { address: Hex(object), type_name: self.type_name(object), value: self.value(object) }
    }

    fn frame(&self, frame: &Frame) -> FrameRow {
        let local = |local: &crate::cpython::FrameLocal| LocalRow {
            name: local.name.clone(),
            address: Hex(local.object),
            type_name: self.type_name(local.object),
            value: (self.options.values == Values::Shown).then(|| self.value(local.object)),
        };
        FrameRow {
            address: Hex(frame.address),
            function: frame.qualname.clone(),
            file: frame.filename.clone(),
            line: frame.line,
            locals_total: frame.locals.len() as u64,
            locals: frame.locals.iter().take(MAX_LOCALS).map(local).collect(),
        }
    }

    fn type_name(&self, object: Address) -> String {
        let type_ = self.runtime.space.field(object, self.runtime.layouts.object.type_).unwrap_or(0);
        type_name(self.runtime.types.of(type_))
    }

    fn value(&self, object: Address) -> String {
        let limits = PreviewLimits { max_chars: MAX_PREVIEW, ..PreviewLimits::default() };
        preview(self.runtime, object, self.options.values, limits).text
    }
}

impl Report for ThreadsReport {
    const COMMAND: &'static str = "threads";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        for thread in &self.threads {
            page.heading(&thread.title());
            thread.render(page);
        }
        let hidden = self.threads_total - self.threads.len() as u64;
        if hidden > 0 {
            page.gap();
            page.note(&format!("and {} more, see --limit", number::counted(hidden, "Python thread", false)));
        }
        if self.others_total > 0 {
            page.gap();
            let tids: Vec<String> = self
                .others
                .iter()
                .map(|other| match &other.signal {
                    Some(signal) => format!("{} ({signal})", other.tid),
                    None => other.tid.to_string(),
                })
                .collect();
            let more = if self.others_total > tids.len() as u64 { ", …" } else { "" };
            page.note(&format!(
                "{} without Python: {}{more}",
                number::counted(self.others_total, "thread", false),
                tids.join(", ")
            ));
        }
        if !self.values && self.threads.iter().any(|thread| !thread.frames.is_empty()) {
            page.gap();
            page.note("values are hidden: --values shows them");
        }
        coverage.render_warnings(page, &["stacks"]);
    }
}

impl PythonThread {
    fn title(&self) -> String {
        let number = self.tid.map(i64::from).or(self.native_id.map(|id| id as i64));
        let mut title = number.map_or_else(|| "Thread".to_owned(), |number| format!("Thread {number}"));
        if let Some(name) = &self.name {
            title.push_str(&format!(" {name}"));
        }
        let mut marks = Vec::new();
        if self.interpreter != 0 {
            marks.push(format!("interpreter {}", self.interpreter));
        }
        if self.holds_gil {
            marks.push("holds the GIL".to_owned());
        }
        marks.extend(self.signal.as_ref().map(|signal| format!("received {signal}")));
        if self.tid.is_none() {
            marks.push("not in the core: it had ended, or the process was forked".to_owned());
        }
        if !marks.is_empty() {
            title.push_str(&format!(": {}", marks.join(", ")));
        }
        title
    }

    fn render(&self, page: &mut Page) {
        for (what, exception) in [("handling", &self.handled), ("raising", &self.raised)] {
            if let Some(exception) = exception {
                let address = exception.address.to_string();
                let place =
                    if exception.value.contains(&address) { String::new() } else { format!(" at {address}") };
                page.line(Tone::Warning, 2, &format!("{what} {}{place}", exception.value));
            }
        }
        if self.frames.is_empty() && self.damage.is_none() {
            page.line(Tone::Faint, 2, "no Python frame");
        }
        for (index, frame) in self.frames.iter().enumerate() {
            let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
            page.line(Tone::Plain, 2, &format!("#{index:<3} {}  {}{line}", frame.function, frame.file));
            let widest =
                frame.locals.iter().map(|local| local.name.chars().count()).max().unwrap_or(0).min(24);
            for local in &frame.locals {
                let before = format!("{:widest$}  {}  ", local.name, local.address);
                let room = page.width().saturating_sub(INDENT + columns(&before));
                let what = match &local.value {
                    Some(value) => {
                        let room = room.saturating_sub(columns(&local.type_name) + 2).max(LEAST_VALUE);
                        format!("{}  {}", cut(value, room), local.type_name)
                    }
                    None => local.type_name.clone(),
                };
                page.line(Tone::Faint, INDENT, &format!("{before}{what}"));
            }
            let hidden = frame.locals_total - frame.locals.len() as u64;
            if hidden > 0 {
                page.line(
                    Tone::Faint,
                    INDENT,
                    &format!("and {}", number::counted(hidden, "more variable", false)),
                );
            }
        }
        let hidden = self.frames_total - self.frames.len() as u64;
        if hidden > 0 {
            page.line(
                Tone::Faint,
                2,
                &format!("and {}, see --limit", number::counted(hidden, "outer frame", false)),
            );
        }
        if let Some(damage) = &self.damage {
            page.warning(damage);
        }
    }
}
