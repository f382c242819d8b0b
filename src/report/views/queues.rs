//! `view queues`: queues, and pools of threads and processes, with what waits in them.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Executor, Keepers, PoolKind, Queue};
use crate::report::{CoreIdentity, Coverage, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view queues`.
#[derive(Clone, Debug, Serialize)]
pub struct QueuesReport {
    /// `queues`.
    pub view: &'static str,
    /// How many queues there are.
    pub queues_total: u64,
    /// Items in all of them, as far as known.
    pub items: u64,
    /// The queues that keep most.
    pub queues: Vec<QueueRow>,
    /// How many executors there are.
    pub executors_total: u64,
    /// The executors that keep most.
    pub executors: Vec<ExecutorRow>,
}

/// One queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueRow {
    /// The queue.
    pub object: HeldObject,
    /// Items that wait in it: between processes, those that are not in the pipe yet. `null` where that is not known.
    pub items: Option<u64>,
    /// How many may wait; `null` for any number.
    pub maxsize: Option<u64>,
}

/// One pool.
#[derive(Clone, Debug, Serialize)]
pub struct ExecutorRow {
    /// The executor.
    pub object: HeldObject,
    /// `threads` or `processes`.
    pub kind: &'static str,
    /// Workers it has.
    pub workers: Option<u64>,
    /// Workers it may have.
    pub max_workers: Option<u64>,
    /// Calls that wait for a worker; `null` where that is not known.
    pub waiting: Option<u64>,
    /// Calls without a result, of pools of processes.
    pub pending: Option<u64>,
}

impl QueuesReport {
    /// Names the first `limit` of what was found.
    pub fn new(
        keepers: &mut Keepers<'_, '_>,
        mut queues: Vec<Queue>,
        mut executors: Vec<Executor>,
        limit: usize,
    ) -> Self {
        keepers.sort(&mut queues, |queue| queue.id);
        keepers.sort(&mut executors, |executor| executor.id);
        let items = queues.iter().filter_map(|queue| queue.items).fold(0, u64::saturating_add);
        let mut rows = Vec::new();
        for queue in queues.iter().take(limit) {
            let object = HeldObject::new(keepers, queue.id);
            rows.push(QueueRow { object, items: queue.items, maxsize: queue.bound });
        }
        let mut pools = Vec::new();
        for executor in executors.iter().take(limit) {
            pools.push(ExecutorRow {
                object: HeldObject::new(keepers, executor.id),
                kind: match executor.kind {
                    PoolKind::Threads => "threads",
                    PoolKind::Processes => "processes",
                },
                workers: executor.workers,
                max_workers: executor.most_workers,
                waiting: executor.waiting,
                pending: executor.pending,
            });
        }
        Self {
            view: "queues",
            queues_total: queues.len() as u64,
            items,
            queues: rows,
            executors_total: executors.len() as u64,
            executors: pools,
        }
    }
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), number::count)
}

impl Report for QueuesReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.objects_bounded();
        let queues = number::counted(self.queues_total, "queue", bound);
        let pools = number::counted(self.executors_total, "pool", bound);
        let items = number::counted(self.items, "item", bound);
        page.paragraph(Tone::Strong, 2, &format!("{queues} with {items}, {pools} of workers"));
        for row in &self.queues {
            let most = row.maxsize.map_or("any number".to_owned(), number::count);
            row.object.render(page, &format!("{} of {most} waiting", known(row.items)));
        }
        hidden(page, self.queues_total, self.queues.len());
        for row in &self.executors {
            let (workers, most) = (known(row.workers), known(row.max_workers));
            let pending = row
                .pending
                .map_or(String::new(), |calls| format!(", {} without a result", number::count(calls)));
            let waiting = known(row.waiting);
            row.object
                .render(page, &format!("{workers} of {most} {}, {waiting} calls waiting{pending}", row.kind));
        }
        hidden(page, self.executors_total, self.executors.len());
        let first = self.queues.first().map(|row| &row.object);
        end(page, core, coverage, first.or(self.executors.first().map(|row| &row.object)));
    }
}
