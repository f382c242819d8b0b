//! What is left to say where no layouts fit: the threads of a process by its own description.

use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone};
use crate::cpython::Outline;
use serde::Serialize;

/// The answer of `threads` where nothing but `_Py_DebugOffsets` tells of the structs.
#[derive(Clone, Debug, Serialize)]
pub struct OutlineReport {
    /// Why there is no more.
    pub problem: String,
    /// The release.
    pub version: String,
    /// Whether the build has no GIL.
    pub free_threaded: bool,
    /// Release whose order of `_Py_DebugOffsets` was taken, where that of its own is not known; the threads found prove it.
    pub in_order_of: Option<&'static str>,
    /// Threads there are.
    pub threads_total: u64,
    /// The first of them.
    pub threads: Vec<OutlineThreadRow>,
}

/// One thread.
#[derive(Clone, Debug, Serialize)]
pub struct OutlineThreadRow {
    /// Id of its interpreter.
    pub interpreter: u64,
    /// Its `PyThreadState`.
    pub state: Hex,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// `threading.get_native_id()`.
    pub native_id: u64,
    /// Its frames.
    pub frames_total: u64,
    /// The first of them, innermost first.
    pub frames: Vec<OutlineFrameRow>,
}

/// One frame.
#[derive(Clone, Debug, Serialize)]
pub struct OutlineFrameRow {
    /// Qualified name of the function.
    pub function: Option<String>,
    /// File of its code.
    pub file: Option<String>,
    /// Line that was running.
    pub line: Option<u32>,
}

impl OutlineReport {
    /// Takes at most `limit` threads, and frames of each.
    pub fn new(outline: &Outline, problem: String, limit: usize) -> Self {
        let threads = outline.threads.iter().take(limit).map(|thread| OutlineThreadRow {
            interpreter: thread.interpreter,
            state: Hex(thread.state),
            ident: thread.ident,
            native_id: thread.native_id,
            frames_total: thread.frames.len() as u64,
            frames: thread.frames.iter().take(limit).cloned().map(OutlineFrameRow::from).collect(),
        });
        Self {
            problem,
            version: outline.version.to_string(),
            free_threaded: outline.free_threaded,
            in_order_of: outline.in_order_of,
            threads_total: outline.threads.len() as u64,
            threads: threads.collect(),
        }
    }
}

/// What is to be said where an order of words was borrowed.
pub(super) fn borrowed(in_order_of: Option<&str>) -> String {
    in_order_of.map_or(String::new(), |release| {
        format!(
            " It says so in an order that is not known for this release; that of {release} was taken, since it leads to \
             threads of this core and to code."
        )
    })
}

impl From<crate::cpython::OutlineFrame> for OutlineFrameRow {
    fn from(frame: crate::cpython::OutlineFrame) -> Self {
        Self { function: frame.function, file: frame.file, line: frame.line }
    }
}

impl Report for OutlineReport {
    const COMMAND: &'static str = "threads";

    fn render(&self, page: &mut Page, _core: &CoreIdentity, _coverage: &Coverage) {
        page.warning(&self.problem);
        let build = if self.free_threaded { " (free-threaded)" } else { "" };
        page.paragraph(
            Tone::Plain,
            0,
            &format!(
                "CPython {}{build}: only what the process says of its own layouts is used, which is enough for threads \
                 and their stacks.{}",
                self.version,
                borrowed(self.in_order_of)
            ),
        );
        for thread in &self.threads {
            page.gap();
            page.line(
                Tone::Strong,
                0,
                &format!("Thread {} of interpreter {}", thread.native_id, thread.interpreter),
            );
            for frame in &thread.frames {
                let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
                let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
                page.line(Tone::Plain, 2, &format!("{}  {}{line}", text(&frame.function), text(&frame.file)));
            }
            if thread.frames_total > thread.frames.len() as u64 {
                page.line(
                    Tone::Faint,
                    2,
                    &format!("… {} more", thread.frames_total - thread.frames.len() as u64),
                );
            }
        }
    }
}
