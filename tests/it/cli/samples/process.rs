//! Reports of the commands about the process and the files that are made of it.

use super::text;
use exuvia::report::Hex;
use exuvia::report::captured::CapturedReport;
use exuvia::report::info::{
    InfoReport, InterpreterRow, LayoutRow, ModuleRow, OutlineIdentity, PythonIdentity,
};
use exuvia::report::outline::{OutlineFrameRow, OutlineReport, OutlineThreadRow};
use exuvia::report::saved::{SavedReport, SavedSizes};
use exuvia::report::threads::{ExceptionLine, FrameRow, LocalRow, OtherThread, PythonThread, ThreadsReport};
use std::path::Path;

pub fn info() -> InfoReport {
    InfoReport {
        parent_pid: Some(1),
        file_modified: Some(1),
        threads: 1,
        python: Some(PythonIdentity {
            version: text("3.12.1"),
            sys_version: Some(text("3.12.1 (main)")),
            build: "default",
            gil_enabled: true,
            abiflags: Some(String::new()),
            allocator: Some(text("pymalloc")),
            runtime: Hex(1),
            interpreters_total: 1,
            interpreters: vec![InterpreterRow {
                id: 0,
                address: Hex(1),
                threads: 1,
                gc_enabled: true,
                gc_collecting: false,
                tracked_objects: 1,
            }],
            types: 1,
        }),
        python_problem: Some(text("none")),
        python_outline: Some(OutlineIdentity {
            version: text("3.16.0"),
            free_threaded: false,
            in_order_of: Some("3.15"),
            threads: 1,
        }),
        modules_total: 1,
        modules: vec![ModuleRow {
            path: text("/usr/bin/python3"),
            start: Hex(0),
            end: Hex(1),
            build_id: Some(text("0a1b")),
            is_executable: true,
            is_python: true,
            deleted: false,
            status: "refused",
            file: Some(text("/usr/bin/python3")),
            debug_file: false,
            debug_info: Some(text("/usr/lib/debug/.build-id/0a/1b.debug")),
            debug_found_by: Some(text("build-id directory")),
            debug_tried: vec![text("/x")],
            symbols: Some("all"),
            compared: Some(true),
            in_core: false,
            advice: Some(text("another build")),
        }],
        layout_sources: vec![text("DWARF of python3")],
        layouts: Some(vec![LayoutRow {
            structure: text("PyObject"),
            field: Some(text("ob_type")),
            offset: Some(8),
            size: Some(8),
            bit: Some(0),
            bit_width: Some(1),
            origin: Some(text("DWARF")),
        }]),
    }
}

pub fn threads() -> ThreadsReport {
    let exception =
        || ExceptionLine { address: Hex(1), type_name: text("ValueError"), value: text("ValueError('x')") };
    ThreadsReport {
        values: true,
        threads_total: 1,
        threads: vec![PythonThread {
            interpreter: 0,
            state: Hex(1),
            ident: 1,
            native_id: Some(1),
            name: Some(text("MainThread")),
            tid: Some(1),
            tid_by: Some("native_id"),
            signal: Some(text("SIGSEGV")),
            holds_gil: true,
            handled: Some(exception()),
            raised: Some(exception()),
            frames_total: 2,
            frames: vec![FrameRow {
                address: Hex(1),
                function: text("main"),
                file: text("app.py"),
                line: Some(1),
                locals_total: 2,
                locals: vec![LocalRow {
                    name: text("x"),
                    address: Hex(1),
                    type_name: text("int"),
                    value: Some(text("1")),
                }],
            }],
            damage: Some(text("unreadable")),
        }],
        others_total: 1,
        others: vec![OtherThread { tid: 2, signal: Some(text("SIGTERM")) }],
    }
}

pub fn outline() -> OutlineReport {
    OutlineReport {
        problem: text("no layouts"),
        version: text("3.16.0"),
        free_threaded: false,
        in_order_of: Some("3.15"),
        threads_total: 1,
        threads: vec![OutlineThreadRow {
            interpreter: 0,
            state: Hex(1),
            ident: 1,
            native_id: 1,
            frames_total: 1,
            frames: vec![OutlineFrameRow {
                function: Some(text("main")),
                file: Some(text("app.py")),
                line: Some(1),
            }],
        }],
    }
}

pub fn saved() -> SavedReport {
    let sizes = SavedSizes { kept: 1, left_out: 1, uncompressed: 1, written: 1 };
    SavedReport::new(Path::new("heap.core.zst"), sizes, 1)
}

pub fn captured() -> CapturedReport {
    CapturedReport {
        file: text("heap.core.zst"),
        file_bytes: 1,
        raw: true,
        pause_microseconds: 1,
        threads: 1,
        mapped_bytes: 1,
        copied_bytes: 1,
        later_bytes: 1,
        unreadable_bytes: 1,
    }
}
