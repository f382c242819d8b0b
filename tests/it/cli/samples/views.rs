//! Reports of the views.

use exuvia::report::Hex;
use exuvia::report::views::HeldObject;
use exuvia::report::views::buffers::{BufferRow, BuffersReport, MappedRow, OwnerRow};
use exuvia::report::views::caches::{CacheRow, CachesReport};
use exuvia::report::views::exceptions::{ExceptionRow, ExceptionType, ExceptionsReport};
use exuvia::report::views::generators::{GeneratorGroupRow, GeneratorRow, GeneratorsReport};
use exuvia::report::views::greenlets::{GreenletRow, GreenletsReport};
use exuvia::report::views::logging::{HandlerRow, LoggingReport};
use exuvia::report::views::modules::{ImportedRow, ModulesReport};
use exuvia::report::views::queues::{ExecutorRow, QueueRow, QueuesReport};
use exuvia::report::views::tasks::{AwaitRow, TaskGroupRow, TaskRow, TasksReport};
use exuvia::report::views::threads::{LocalRow, NamespaceRow, ThreadLocalsReport, ThreadRow, ValueRow};
use exuvia::report::views::weak::{RegistryRow, WeakReport};

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

pub fn greenlets() -> GreenletsReport {
    let greenlet = GreenletRow {
        object: held(),
        state: "suspended",
        is_main: false,
        runs: Some(evil()),
        function: Some(evil()),
        file: Some(evil()),
        line: Some(1),
        frames: 2,
        parent: Some(Hex(1)),
    };
    GreenletsReport {
        view: "greenlets",
        greenlets_total: 2,
        not_started: 0,
        suspended: 1,
        running: 0,
        finished: 0,
        stranded: 0,
        unknown: 1,
        greenlets: vec![greenlet],
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
        line: Some(1),
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

pub fn buffers() -> BuffersReport {
    let owner = OwnerRow { address: Hex(1), type_name: evil(), bytes: 1 };
    let mapped = MappedRow { state: "open", address: Some(Hex(1)), file: Some(evil()), file_offset: Some(1) };
    let buffer =
        BufferRow { object: held(), bytes: Some(1), mapped: Some(mapped), owner: Some(owner), pins: true };
    BuffersReport { view: "buffers", buffers_total: 2, pins: 1, buffers: vec![buffer] }
}

pub fn modules() -> ModulesReport {
    let module = ImportedRow {
        address: Hex(1),
        name: evil(),
        functions: 1,
        classes: 1,
        retained_objects: 1,
        retained_bytes: 1,
    };
    ModulesReport { view: "modules", modules_total: 2, retained_bytes: 1, modules: vec![module] }
}

pub fn queues() -> QueuesReport {
    let queue = QueueRow { object: held(), items: Some(1), maxsize: Some(1) };
    let executor = ExecutorRow {
        object: held(),
        kind: "processes",
        workers: Some(1),
        max_workers: Some(1),
        waiting: Some(1),
        pending: Some(1),
    };
    QueuesReport {
        view: "queues",
        queues_total: 2,
        items: 1,
        queues: vec![queue],
        executors_total: 2,
        executors: vec![executor],
    }
}

pub fn threads() -> ThreadLocalsReport {
    let thread = ThreadRow {
        interpreter: 1,
        state: Hex(1),
        ident: 1,
        name: Some(evil()),
        tid: Some(1),
        locals: 1,
        values: 1,
        retained_bytes: 1,
    };
    let value = ValueRow { name: Some(evil()), address: Hex(1), type_name: evil(), retained_bytes: Some(1) };
    let namespace = NamespaceRow {
        thread: "ended",
        state: Some(Hex(1)),
        thread_object: Some(Hex(1)),
        name: Some(evil()),
        address: Hex(1),
        retained_bytes: Some(1),
        values_total: 2,
        values: vec![value],
    };
    let local = LocalRow { object: held(), namespaces_total: 2, ended: 1, namespaces: vec![namespace] };
    ThreadLocalsReport {
        view: "threads",
        threads_total: 2,
        threads: vec![thread],
        locals_total: 2,
        namespaces: 2,
        ended: 1,
        ended_bytes: 1,
        locals: vec![local],
    }
}

pub fn logging() -> LoggingReport {
    let handler = HandlerRow { object: held(), level: Some(30), buffered: Some(1) };
    LoggingReport { view: "logging", records: 1, handlers_total: 2, handlers: vec![handler] }
}

pub fn weak() -> WeakReport {
    let registry = RegistryRow { object: held(), entries: 2, dead: 1 };
    WeakReport { view: "weak", registries_total: 2, entries: 2, dead: 1, registries: vec![registry] }
}
