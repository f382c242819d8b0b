//! `view threads`: what `threading.local` objects keep for which thread, and what is left of threads that have ended.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Keepers, LocalOfThreads, values_of_namespace};
use crate::analysis::{LocalNamespace, NamespaceOwner};
use crate::corefile::{Address, ThreadNote};
use crate::cpython::{is_str, name_of_thread, read_str, thread_name};
use crate::report::table::{Align, Table};
use crate::report::threads::note_of;
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use serde::Serialize;
use std::cmp::Reverse;

/// Longest name of an attribute, in characters.
const MAX_NAME: usize = 200;
/// Attributes of one namespace that text shows.
const SHOWN_VALUES: usize = 5;

/// The answer of `view threads`.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadLocalsReport {
    /// `threads`.
    pub view: &'static str,
    /// Threads that interpreters have.
    pub threads_total: u64,
    /// Those that keep most in thread-locals.
    pub threads: Vec<ThreadRow>,
    /// `threading.local` objects there are.
    pub locals_total: u64,
    /// Namespaces with values in all of them, one for each thread that has any.
    pub namespaces: u64,
    /// Those of threads that have ended.
    pub ended: u64,
    /// The sum of what these keep alive.
    pub ended_bytes: u64,
    /// The locals that keep most.
    pub locals: Vec<LocalRow>,
}

/// A thread that an interpreter has.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadRow {
    /// Id of its interpreter; 0 is the main one.
    pub interpreter: i64,
    /// Its `PyThreadState`.
    pub state: Hex,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// `threading.Thread.name`, for threads that `threading` knows.
    pub name: Option<String>,
    /// Its number in the core; `null` if it has ended without its interpreter being told, or the process was forked.
    pub tid: Option<i32>,
    /// `threading.local` objects that it has values in.
    pub locals: u64,
    /// Values it has in these.
    pub values: u64,
    /// The sum of what its namespaces keep alive.
    pub retained_bytes: u64,
}

/// One `threading.local`.
#[derive(Clone, Debug, Serialize)]
pub struct LocalRow {
    /// The object.
    pub object: HeldObject,
    /// Threads that have values in it.
    pub namespaces_total: u64,
    /// Those of them that have ended.
    pub ended: u64,
    /// What it has for threads, that which keeps most first.
    pub namespaces: Vec<NamespaceRow>,
}

/// What a local has for one thread.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceRow {
    /// `running` (it is in the core), `ended`, or `unknown` whose it is.
    pub thread: &'static str,
    /// The `PyThreadState`, of threads that an interpreter has.
    pub state: Option<Hex>,
    /// The `Thread` object of a thread that has ended, if that is there.
    pub thread_object: Option<Hex>,
    /// `threading.Thread.name`.
    pub name: Option<String>,
    /// The dict.
    pub address: Hex,
    /// Bytes that would be freed with it alone; `null` for garbage.
    pub retained_bytes: Option<u64>,
    /// Attributes it has.
    pub values_total: u64,
    /// Those that keep most.
    pub values: Vec<ValueRow>,
}

/// One attribute.
#[derive(Clone, Debug, Serialize)]
pub struct ValueRow {
    /// Its name; `null` if that is no str.
    pub name: Option<String>,
    /// The value.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// Bytes that would be freed with it alone; `null` for garbage.
    pub retained_bytes: Option<u64>,
}

impl ThreadLocalsReport {
    /// Names the first `limit` of what was found; `notes` are the threads of the core.
    pub fn new(
        keepers: &mut Keepers<'_, '_>,
        notes: &[ThreadNote],
        mut found: Vec<LocalOfThreads>,
        limit: usize,
    ) -> Self {
        keepers.sort(&mut found, |local| local.id);
        let mut threads = rows_of_threads(keepers, notes, &found);
        let locals_total = found.len() as u64;
        found.retain(|local| !local.namespaces.is_empty());
        let threads_total = threads.len() as u64;
        let writer = Writer { threads: &threads, limit };
        let ended = || found.iter().flat_map(|local| &local.namespaces).filter(|one| writer.has_ended(one));
        let report = Self {
            view: "threads",
            threads_total,
            threads: Vec::new(),
            locals_total,
            namespaces: found.iter().map(|local| local.namespaces.len() as u64).sum(),
            ended: ended().count() as u64,
            ended_bytes: ended().filter_map(|one| keepers.retained(one.dict)).fold(0, u64::saturating_add),
            locals: found.iter().take(limit).map(|local| writer.local(keepers, local)).collect(),
        };
        // Stable: those that keep as much stay in the order in which they began.
        threads.sort_by_key(|thread| Reverse(thread.retained_bytes));
        threads.truncate(limit);
        Self { threads, ..report }
    }
}

/// All threads, by interpreter, the main thread first.
fn rows_of_threads(
    keepers: &Keepers<'_, '_>,
    notes: &[ThreadNote],
    found: &[LocalOfThreads],
) -> Vec<ThreadRow> {
    let runtime = keepers.heap().runtime;
    let mut rows = Vec::new();
    for interpreter in &runtime.interpreters {
        // The chain is newest first.
        for thread in interpreter.threads.iter().rev() {
            let mut row = ThreadRow {
                interpreter: interpreter.id,
                state: Hex(thread.address),
                ident: thread.thread_id,
                name: thread_name(runtime, interpreter.modules, thread),
                tid: note_of(notes, thread).map(|(note, _)| note.tid),
                locals: 0,
                values: 0,
                retained_bytes: 0,
            };
            let namespaces = found.iter().flat_map(|local| &local.namespaces);
            for one in namespaces.filter(|one| one.owner == NamespaceOwner::Thread(thread.address)) {
                row.locals += 1;
                row.values = row.values.saturating_add(one.values);
                let bytes = keepers.retained(one.dict).unwrap_or(0);
                row.retained_bytes = row.retained_bytes.saturating_add(bytes);
            }
            rows.push(row);
        }
    }
    rows
}

/// What rows of locals need to know.
struct Writer<'t> {
    threads: &'t [ThreadRow],
    limit: usize,
}

impl Writer<'_> {
    fn thread_at(&self, state: Address) -> Option<&ThreadRow> {
        self.threads.iter().find(|row| row.state.0 == state)
    }

    /// No interpreter has the thread, or the core has none behind its state.
    fn has_ended(&self, namespace: &LocalNamespace) -> bool {
        match namespace.owner {
            NamespaceOwner::Thread(state) => self.thread_at(state).is_some_and(|row| row.tid.is_none()),
            NamespaceOwner::Ended(_) => true,
            NamespaceOwner::Unknown => false,
        }
    }

    fn local(&self, keepers: &mut Keepers<'_, '_>, local: &LocalOfThreads) -> LocalRow {
        let mut namespaces = local.namespaces.clone();
        keepers.sort(&mut namespaces, |one| one.dict);
        let ended = namespaces.iter().filter(|one| self.has_ended(one)).count();
        LocalRow {
            object: HeldObject::new(keepers, local.id),
            namespaces_total: namespaces.len() as u64,
            ended: ended as u64,
            namespaces: namespaces.iter().take(self.limit).map(|one| self.namespace(keepers, one)).collect(),
        }
    }

    fn namespace(&self, keepers: &Keepers<'_, '_>, namespace: &LocalNamespace) -> NamespaceRow {
        let heap = keepers.heap();
        let (state, thread_object) = match namespace.owner {
            NamespaceOwner::Thread(state) => (Some(state), None),
            NamespaceOwner::Ended(object) => (None, object.map(|object| heap.objects.address(object))),
            NamespaceOwner::Unknown => (None, None),
        };
        let of_state = state.and_then(|state| self.thread_at(state)?.name.clone());
        let thread = match namespace.owner {
            NamespaceOwner::Unknown => "unknown",
            _ if self.has_ended(namespace) => "ended",
            _ => "running",
        };
        NamespaceRow {
            thread,
            state: state.map(Hex),
            thread_object: thread_object.map(Hex),
            name: of_state.or_else(|| name_of_thread(heap.runtime, thread_object?)),
            address: Hex(heap.objects.address(namespace.dict)),
            retained_bytes: keepers.retained(namespace.dict),
            values_total: namespace.values,
            values: values(keepers, namespace, self.limit),
        }
    }
}

fn values(keepers: &Keepers<'_, '_>, namespace: &LocalNamespace, limit: usize) -> Vec<ValueRow> {
    let heap = keepers.heap();
    let mut found = values_of_namespace(heap, namespace);
    keepers.sort(&mut found, |&(_, value)| value);
    let row = |&(name, value): &(Address, _)| ValueRow {
        name: is_str(heap.runtime, name).then(|| read_str(heap.runtime, name, MAX_NAME).ok()).flatten(),
        address: Hex(heap.objects.address(value)),
        type_name: short_type_name(&heap.type_of(value).name).to_owned(),
        retained_bytes: keepers.retained(value),
    };
    found.iter().take(limit).map(row).collect()
}

impl Report for ThreadLocalsReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.objects_bounded();
        let threads = number::counted(self.threads_total, "thread", false);
        let locals = number::counted(self.locals_total, "thread-local", bound);
        let (values, ended) = (number::count(self.namespaces), number::count(self.ended));
        page.paragraph(
            Tone::Strong,
            2,
            &format!("{threads}, {locals}: {values} times with values of a thread, {ended} of ended ones"),
        );
        if !self.threads.is_empty() {
            page.gap();
            page.table(&self.threads_table());
            hidden(page, self.threads_total, self.threads.len());
        }
        for row in &self.locals {
            row.render(page);
        }
        let with_values = self.locals.iter().filter(|row| row.namespaces_total > 0);
        if self.ended > 0 {
            page.gap();
            page.note(&format!(
                "values of ended threads keep {}: forget the Thread objects, or clear the local before a thread ends",
                number::bytes(self.ended_bytes)
            ));
        }
        end(page, core, coverage, with_values.map(|row| &row.object).next());
    }
}

impl ThreadLocalsReport {
    fn threads_table(&self) -> Table {
        let mut table = Table::new(&[
            ("keeps", Align::Right),
            ("values", Align::Right),
            ("locals", Align::Right),
            ("thread", Align::Right),
            ("name", Align::Left),
        ]);
        for row in &self.threads {
            let name = row.name.clone().unwrap_or_else(|| "?".to_owned());
            table.row(vec![
                number::bytes(row.retained_bytes),
                number::count(row.values),
                number::count(row.locals),
                row.tid.map_or_else(|| "ended".to_owned(), |tid| tid.to_string()),
                name,
            ]);
        }
        table
    }
}

impl LocalRow {
    fn render(&self, page: &mut Page) {
        let threads = number::counted(self.namespaces_total, "thread", false);
        let ended = match self.ended {
            0 => String::new(),
            ended => format!(", {} ended", number::count(ended)),
        };
        self.object.render(page, &format!("values of {threads}{ended}"));
        for row in &self.namespaces {
            page.line(Tone::Plain, 4, &row.line());
        }
        hidden(page, self.namespaces_total, self.namespaces.len());
    }
}

impl NamespaceRow {
    fn line(&self) -> String {
        let name = self.name.as_deref().unwrap_or("?");
        let whose = match self.thread {
            "running" => format!("thread {name}"),
            "ended" => format!("ended thread {name}"),
            _ => "a thread that is not known".to_owned(),
        };
        let kept = self.retained_bytes.map_or_else(|| "garbage".to_owned(), number::bytes);
        let shown = self.values.iter().take(SHOWN_VALUES);
        let values: Vec<String> = shown
            .map(|value| format!(".{} {}", value.name.as_deref().unwrap_or("?"), value.type_name))
            .collect();
        let more = if self.values_total > values.len() as u64 { ", …" } else { "" };
        format!("{whose}: {kept} in {}{more}", values.join(", "))
    }
}
