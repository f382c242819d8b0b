//! `view tasks`: tasks of asyncio by coroutine and state, what they await, and who holds them.

use super::{HeldObject, end, hidden, place};
use crate::analysis::views::{AwaitStep, Keepers, Task, group_tasks};
use crate::cpython::{FutureState, Values, task_name};
use crate::report::table::{Align, Table};
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use serde::Serialize;

/// Longest name of a task, in characters.
const MAX_NAME: usize = 200;
/// Steps of a chain that text shows, at either end.
const SHOWN_STEPS: usize = 4;

/// The answer of `view tasks`.
#[derive(Clone, Debug, Serialize)]
pub struct TasksReport {
    /// `tasks`.
    pub view: &'static str,
    /// How many there are.
    pub tasks_total: u64,
    /// Those that have not ended.
    pub pending: u64,
    /// Those that have ended, whose holders keep them for nothing but their result.
    pub ended: u64,
    /// Coroutines, states and places that they are of.
    pub groups_total: u64,
    /// The groups that keep most.
    pub groups: Vec<TaskGroupRow>,
    /// The tasks that keep most.
    pub tasks: Vec<TaskRow>,
}

/// Tasks of one coroutine that are as far and wait in one place.
#[derive(Clone, Debug, Serialize)]
pub struct TaskGroupRow {
    /// `__qualname__` of what they run.
    pub coroutine: Option<String>,
    /// `pending`, `finished`, `cancelled`, `ended` or `unknown`.
    pub state: &'static str,
    /// Function in which the last coroutine of each waits.
    pub function: Option<String>,
    /// Its file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// How many there are.
    pub tasks: u64,
    /// The sum of what each keeps alive alone.
    pub retained_bytes: u64,
}

/// One task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskRow {
    /// The task.
    pub object: HeldObject,
    /// `pending`, `finished`, `cancelled`, `ended` (how is not known) or `unknown`.
    pub state: &'static str,
    /// Its name; `null` unless values are shown.
    pub name: Option<String>,
    /// `__qualname__` of what it runs.
    pub coroutine: Option<String>,
    /// What it runs, what that awaits, and so on.
    pub awaits: Vec<AwaitRow>,
    /// The future or task it waits for.
    pub waits_for: Option<Hex>,
    /// Type of the exception it has ended with.
    pub exception: Option<String>,
}

/// One step of a chain.
#[derive(Clone, Debug, Serialize)]
pub struct AwaitRow {
    /// A coroutine, generator or other awaitable.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// `__qualname__`, of coroutines and generators.
    pub function: Option<String>,
    /// File of its code, while it has a frame.
    pub file: Option<String>,
    /// The line it is at.
    pub line: Option<u32>,
}

impl TasksReport {
    /// Groups what was found, and names the first `limit`.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<Task>, values: Values, limit: usize) -> Self {
        keepers.sort(&mut found, |task| task.id);
        let groups = group_tasks(&found, |id| keepers.retained(id).unwrap_or(0));
        let groups_total = groups.len() as u64;
        let groups = groups.into_iter().take(limit).map(|group| {
            let (function, file, line) = match group.waiting_in {
                Some((function, file, line)) => (Some(function), file, line),
                None => (None, None, None),
            };
            TaskGroupRow {
                coroutine: group.coroutine,
                state: state_name(group.state),
                function,
                file,
                line,
                tasks: group.tasks,
                retained_bytes: group.bytes,
            }
        });
        let count = |wanted: fn(FutureState) -> bool| {
            found.iter().filter(|task| task.state.is_some_and(wanted)).count() as u64
        };
        Self {
            view: "tasks",
            tasks_total: found.len() as u64,
            pending: count(|state| state == FutureState::Pending),
            ended: count(|state| state != FutureState::Pending),
            groups_total,
            groups: groups.collect(),
            tasks: found.iter().take(limit).map(|task| row(keepers, task, values)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, task: &Task, values: Values) -> TaskRow {
    let runtime = keepers.heap().runtime;
    let name = task.name.filter(|_| values == Values::Shown);
    let step = |step: &AwaitStep| AwaitRow {
        address: Hex(step.object),
        type_name: step.type_name.clone(),
        function: step.function.clone(),
        file: step.file.clone(),
        line: step.line,
    };
    TaskRow {
        object: HeldObject::new(keepers, task.id),
        state: state_name(task.state),
        name: name.and_then(|name| task_name(runtime, name, MAX_NAME)),
        coroutine: task.coroutine.clone(),
        awaits: task.awaits.iter().map(step).collect(),
        waits_for: task.waits_for.map(Hex),
        exception: task.exception.clone(),
    }
}

fn state_name(state: Option<FutureState>) -> &'static str {
    match state {
        Some(FutureState::Pending) => "pending",
        Some(FutureState::Finished) => "finished",
        Some(FutureState::Cancelled) => "cancelled",
        Some(FutureState::Ended) => "ended",
        None => "unknown",
    }
}

impl Report for TasksReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.tasks_total, "task", coverage.objects_bounded());
        let (pending, ended) = (number::count(self.pending), number::count(self.ended));
        page.paragraph(Tone::Strong, 2, &format!("{total}: {pending} pending, {ended} ended and still held"));
        if !self.groups.is_empty() {
            page.gap();
            page.table(&self.groups_table());
            hidden(page, self.groups_total, self.groups.len());
        }
        for row in &self.tasks {
            row.render(page);
        }
        hidden(page, self.tasks_total, self.tasks.len());
        end(page, core, coverage, self.tasks.first().map(|row| &row.object));
    }
}

impl TasksReport {
    fn groups_table(&self) -> Table {
        let mut table = Table::new(&[
            ("tasks", Align::Right),
            ("keep", Align::Right),
            ("state", Align::Left),
            ("coroutine", Align::Left),
            ("waiting in", Align::Left),
        ]);
        for row in &self.groups {
            let waiting = row.function.as_deref();
            table.row(vec![
                number::count(row.tasks),
                number::bytes(row.retained_bytes),
                row.state.to_owned(),
                row.coroutine.clone().unwrap_or_else(|| "?".to_owned()),
                waiting.map_or(String::new(), |name| place(Some(name), row.file.as_deref(), row.line)),
            ]);
        }
        table
    }
}

impl TaskRow {
    fn render(&self, page: &mut Page) {
        let name = self.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
        let coroutine = self.coroutine.as_deref().unwrap_or("?");
        self.object.render(page, &format!("{}{name} {coroutine}()", self.state));
        if let Some(exception) = &self.exception {
            page.line(Tone::Plain, 4, &format!("ended with {exception}"));
        }
        if self.state == "pending" {
            let skipped = self.awaits.len().saturating_sub(2 * SHOWN_STEPS);
            for (index, step) in self.awaits.iter().enumerate() {
                if skipped > 0 && index == SHOWN_STEPS {
                    page.line(
                        Tone::Faint,
                        4,
                        &format!("… {}", number::counted(skipped as u64, "step", false)),
                    );
                }
                if (SHOWN_STEPS..SHOWN_STEPS + skipped).contains(&index) {
                    continue;
                }
                let text = match &step.function {
                    Some(function) => place(Some(function), step.file.as_deref(), step.line),
                    None => step.type_name.clone(),
                };
                page.line(Tone::Plain, 4, &format!("{} {text}", if index == 0 { "runs" } else { "→" }));
            }
        }
        if let Some(future) = self.waits_for {
            page.line(Tone::Plain, 4, &format!("waits for {future}"));
        }
    }
}
