//! Threads: their frames, lines, variables and exceptions.

use super::{Differences, View};
use crate::oracle::{self, Oracle};
use exuvia::cpython::{self, Runtime, ThreadState, thread_exceptions, thread_frames};
use std::collections::BTreeMap;

impl View<'_, '_> {
    /// Proof 5: every thread's stack, with lines and the identities of locals.
    pub fn threads(&self, oracle: &Oracle, differences: &mut Differences) {
        let mut said = oracle.threads();
        // Late patch releases (3.13.18, 3.14.10, 3.15.2) show a caller only the threads of its own interpreter.
        for interpreter in &self.runtime.interpreters[1..] {
            let Some(oracle) = oracle.of_interpreter(interpreter.id) else { continue };
            for thread in oracle.threads_if_asked() {
                if said.threads.iter().all(|known| known.ident != thread.ident) {
                    said.threads.push(thread);
                }
            }
        }
        let mut wrong = Vec::new();
        // Threads of all interpreters; of thread states of one thread, Python shows the oldest interpreter's.
        let mut threads: BTreeMap<u64, &ThreadState> = BTreeMap::new();
        for thread in self.runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads) {
            if !thread_frames(self.runtime, thread).0.is_empty() {
                threads.entry(thread.thread_id).or_insert(thread);
            }
        }
        for theirs in &said.threads {
            let Some(&thread) = threads.get(&theirs.ident) else {
                wrong.push(format!("thread {} is missing", theirs.ident));
                continue;
            };
            let (frames, damage) = thread_frames(self.runtime, thread);
            if let Some(damage) = damage {
                wrong.push(format!("thread {}: {damage}", theirs.ident));
            }
            // Up to 3.10 a thread state does not keep it: the core's note of the thread does.
            let of_note = || {
                let note = self.notes.iter().find(|note| note.registers.is_pthread(thread.thread_id));
                note.and_then(|note| u64::try_from(note.tid).ok())
            };
            let native = thread.native_id.or_else(of_note);
            if theirs.native_id.is_some_and(|said| native != Some(said)) {
                wrong.push(format!(
                    "thread {}: native id {native:?}, not {:?}",
                    theirs.ident, theirs.native_id
                ));
            }
            let handled = thread_exceptions(self.runtime, thread).handled;
            if theirs.handled_is_known && handled != theirs.handled_exception {
                wrong.push(format!(
                    "thread {}: handles {handled:?}, not {:?}",
                    theirs.ident, theirs.handled_exception
                ));
            }
            if frames.len() != theirs.frames.len() {
                let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
                wrong.push(format!(
                    "thread {}: {names:?}, {} frames said",
                    theirs.ident,
                    theirs.frames.len()
                ));
                continue;
            }
            // The dumped process left its fork behind: only the line of its innermost frame has moved.
            let forking = Some(theirs.ident) == said.forking_thread;
            for (depth, (ours, theirs)) in frames.iter().zip(&theirs.frames).enumerate() {
                wrong.extend(frame_differences(self.runtime, ours, theirs, forking && depth == 0));
            }
        }
        if threads.len() != said.threads.len() {
            wrong.push(format!("{} threads, not {}", threads.len(), said.threads.len()));
        }
        differences.all("stacks", wrong);
    }
}

fn frame_differences(
    runtime: &Runtime<'_>,
    ours: &cpython::Frame,
    theirs: &oracle::Frame,
    line_has_moved: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let place = format!("{} ({}:{:?})", theirs.function, theirs.file, theirs.line);
    let qualname = theirs.qualname.as_ref().unwrap_or(&theirs.function);
    if (&ours.name, &ours.qualname, &ours.filename) != (&theirs.function, qualname, &theirs.file) {
        wrong.push(format!("{place}: is {} in {}", ours.qualname, ours.filename));
    }
    if ours.line != theirs.line && !line_has_moved {
        wrong.push(format!("{place}: line {:?}", ours.line));
    }
    if (ours.code, ours.globals) != (theirs.code, theirs.globals) {
        wrong.push(format!("{place}: code or globals differ"));
    }
    if theirs.locals_are_globals {
        return wrong;
    }
    let said: BTreeMap<&str, u64> = theirs.locals.iter().map(|(name, id, _)| (name.as_str(), *id)).collect();
    let mut found: BTreeMap<String, u64> = ours.locals.iter().map(|l| (l.name.clone(), l.object)).collect();
    if ours.locals_dict != 0 {
        for (key, value) in cpython::dict_items(runtime, ours.locals_dict) {
            found.insert(cpython::read_str(runtime, key, 1000).unwrap_or_default(), value);
        }
    }
    for (name, id) in &said {
        if found.get(*name) != Some(id) && !(line_has_moved && *name == "child") {
            wrong.push(format!("{place}: local {name} is {:x?}, not {id:#x}", found.get(*name)));
        }
    }
    wrong.extend(
        found
            .keys()
            .filter(|name| !said.contains_key(name.as_str()))
            .map(|name| format!("{place}: local {name} is none of the interpreter's")),
    );
    wrong
}
