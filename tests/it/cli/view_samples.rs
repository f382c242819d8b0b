//! One document of each view with everything in it, for the tests of the schema and of pages.

use exuvia::report::Hex;
use exuvia::report::views::HeldObject;
use exuvia::report::views::caches::{CacheRow, CachesReport};
use exuvia::report::views::exceptions::{ExceptionRow, ExceptionType, ExceptionsReport};
use exuvia::report::views::generators::{GeneratorGroupRow, GeneratorRow, GeneratorsReport};
use exuvia::report::views::tasks::{AwaitRow, TaskGroupRow, TaskRow, TasksReport};

/// What a process may have put into any name.
fn evil() -> String {
    "a\x1b[31mb".to_owned()
}

fn held() -> HeldObject {
    HeldObject { address: Hex(1), type_name: evil(), retained_bytes: Some(1), path: Some(evil()) }
}

pub fn tasks() -> TasksReport {
    let group = TaskGroupRow {
        coroutine: Some(evil()),
        state: "pending",
        function: Some(evil()),
        file: Some(evil()),
        line: Some(1),
        tasks: 1,
        retained_bytes: 1,
    };
    let step = AwaitRow {
        address: Hex(1),
        type_name: evil(),
        function: Some(evil()),
        file: Some(evil()),
        line: Some(1),
    };
    let task = TaskRow {
        object: held(),
        state: "pending",
        name: Some(evil()),
        coroutine: Some(evil()),
        awaits: vec![step],
        waits_for: Some(Hex(1)),
        exception: Some(evil()),
    };
    TasksReport {
        view: "tasks",
        tasks_total: 2,
        pending: 1,
        ended: 1,
        groups_total: 2,
        groups: vec![group],
        tasks: vec![task],
    }
}

pub fn generators() -> GeneratorsReport {
    let group = GeneratorGroupRow {
        kind: "generator",
        state: "suspended",
        function: evil(),
        file: Some(evil()),
        line: Some(1),
        count: 1,
        retained_bytes: 1,
    };
    let generator = GeneratorRow {
        object: held(),
        state: "suspended",
        function: evil(),
        file: Some(evil()),
        line: Some(1),
        awaits: Some(Hex(1)),
    };
    GeneratorsReport {
        view: "generators",
        generators_total: 2,
        groups_total: 2,
        groups: vec![group],
        generators: vec![generator],
    }
}

pub fn caches() -> CachesReport {
    let cache = CacheRow {
        object: held(),
        function: Some(evil()),
        maxsize: Some(1),
        entries: Some(1),
        hits: 1,
        misses: 1,
        hits_permille: Some(500),
    };
    CachesReport { view: "caches", caches_total: 2, entries: 1, caches: vec![cache] }
}

pub fn exceptions() -> ExceptionsReport {
    let of_type = ExceptionType { type_name: evil(), exceptions: 1, with_traceback: 1, frames: 1 };
    let exception = ExceptionRow {
        object: held(),
        frames: 1,
        function: Some(evil()),
        file: Some(evil()),
        context: Some(Hex(1)),
    };
    ExceptionsReport {
        view: "exceptions",
        exceptions_total: 2,
        with_traceback: 1,
        types_total: 2,
        types: vec![of_type],
        exceptions: vec![exception],
    }
}
