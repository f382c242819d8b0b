//! One document of each command with everything in it: no value missing, no list empty.

use super::growth_samples;
use super::view_samples;
use exuvia::report::captured::CapturedReport;
use exuvia::report::coverage::{
    Answer, AnswerState, BrokenList, CensusCoverage, Coverage, CutOff, DamagedInput, MemoryCoverage,
    ModuleCoverage, PythonCoverage, ReferenceCoverage,
};
use exuvia::report::cuts::{CutLine, CutsReport};
use exuvia::report::cycles::{CyclesReport, EdgeLine, GroupLine, InterpreterLine, StepLine, TypeCount};
use exuvia::report::dominators::{DominatorLine, DominatorsReport};
use exuvia::report::free_if::{FreeIfReport, FreedAmount, FreedObject, FreedType, SurvivorRow};
use exuvia::report::header::ObjectHeader;
use exuvia::report::index::IndexReport;
use exuvia::report::info::{
    InfoReport, InterpreterRow, LayoutRow, ModuleRow, OutlineIdentity, PythonIdentity,
};
use exuvia::report::objects::{ObjectFilter, ObjectsReport, TypeLine};
use exuvia::report::outline::{OutlineFrameRow, OutlineReport, OutlineThreadRow};
use exuvia::report::overview::{
    AllocatorTotals, CollectorState, GarbageSummary, GenerationState, HeapTotals, NextStep, OverviewReport,
    SuspectLine, ThreadPlace, ThreadSummary,
};
use exuvia::report::paths::{MergedLine, PathLine, PathStepLine, PathsReport};
use exuvia::report::referrers::{
    CountRow, ReferenceLine, ReferencesReport, ReferentsReport, ReferrersReport,
};
use exuvia::report::saved::{SavedReport, SavedSizes};
use exuvia::report::show::{ShowReport, ShowRow};
use exuvia::report::suspects::{
    Amount, ConditionRow, LeastRow, LeastRows, MostlyRow, SuspectRow, SuspectsReport,
};
use exuvia::report::threads::{ExceptionLine, FrameRow, LocalRow, OtherThread, PythonThread, ThreadsReport};
use exuvia::report::types::{CountsRow, Rest, TypeRow, TypeSelection, TypesReport};
use exuvia::report::{CoreIdentity, Envelope, Hex, Page, Report, Signal};
use serde_json::Value;
use std::path::Path;

/// Commands with their documents.
pub fn documents() -> Vec<(&'static str, Value)> {
    vec![
        ("overview", document(&overview())),
        ("info", document(&info())),
        ("types", document(&types())),
        ("objects", document(&objects())),
        ("show", document(&show())),
        ("threads", document(&threads())),
        ("threads by the process alone", document(&outline())),
        ("referrers", document(&ReferrersReport(references()))),
        ("referents", document(&ReferentsReport(references()))),
        ("paths", document(&paths())),
        ("dominators", document(&dominators())),
        ("cuts", document(&cuts())),
        ("free-if", document(&free_if())),
        ("cycles", document(&cycles())),
        ("suspects", document(&suspects())),
        ("waste", document(&growth_samples::waste())),
        ("diff", document(&growth_samples::diff())),
        ("trend", document(&growth_samples::trend())),
        ("view tasks", document(&view_samples::tasks())),
        ("view threads", document(&view_samples::threads())),
        ("view generators", document(&view_samples::generators())),
        ("view caches", document(&view_samples::caches())),
        ("view exceptions", document(&view_samples::exceptions())),
        ("view buffers", document(&view_samples::buffers())),
        ("view modules", document(&view_samples::modules())),
        ("view queues", document(&view_samples::queues())),
        ("view logging", document(&view_samples::logging())),
        ("view weak", document(&view_samples::weak())),
        ("index", document(&IndexReport::new(Path::new("core.exuvia-index"), 1, 1, 1))),
        ("capture", document(&captured())),
        ("save", document(&saved())),
    ]
}

fn document<R: Report>(report: &R) -> Value {
    let text = Envelope::new(&core(), &coverage(), report).to_json().expect("serialisable");
    serde_json::from_str(&text).expect("JSON")
}

fn saved() -> SavedReport {
    let sizes = SavedSizes { kept: 1, left_out: 1, uncompressed: 1, written: 1 };
    SavedReport::new(Path::new("heap.core.zst"), sizes, 1)
}

fn captured() -> CapturedReport {
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

fn text(word: &str) -> String {
    word.to_owned()
}

fn core() -> CoreIdentity {
    let signal =
        Signal { number: 11, name: text("SIGSEGV"), fault_address: Some(Hex(0)), sender_pid: Some(1) };
    CoreIdentity {
        path: text("core"),
        repeatable: true,
        bytes: 1,
        written_by: "kernel",
        redacted: Some("values"),
        pid: Some(1),
        process: Some(text("python3")),
        command_line: Some(text("python3 app.py")),
        signal: Some(signal),
        python: Some(text("3.12.1")),
        python_module: Some(text("/usr/lib/libpython3.12.so.1.0")),
        python_build_id: Some(text("0a1b")),
    }
}

fn coverage() -> Coverage {
    Coverage {
        truncated: Some(CutOff { expected_bytes: 2, actual_bytes: 1 }),
        damaged: Some(DamagedInput { decoded_bytes: 1, reason: text("zstd: it is cut off") }),
        notes_complete: false,
        memory: MemoryCoverage::default(),
        modules: ModuleCoverage::default(),
        python: Some(PythonCoverage {
            support: "proved",
            collecting: true,
            broken_lists: vec![BrokenList { interpreter: 0, generation: "2", at: Hex(8) }],
            opaque_types: 1,
            opaque_type_names: vec![text("ext.Type")],
        }),
        census: Some(CensusCoverage {
            objects: 1,
            unreadable_objects: 1,
            unreadable_examples: vec![Hex(16)],
            opaque_objects: 1,
            unknown_list_entries: 1,
            damaged_pools: 1,
            only_reachable: true,
        }),
        references: Some(ReferenceCoverage { edges: 1, dangling: 1, partial_objects: 1 }),
        answers: vec![Answer { answer: "objects", state: AnswerState::Bounded, why: vec![text("cut off")] }],
    }
}

fn overview() -> OverviewReport {
    let generation = GenerationState {
        objects: 1,
        count: 1,
        threshold: 700,
        collections: 1,
        collected: 1,
        uncollectable: 0,
    };
    OverviewReport {
        heap: HeapTotals { objects: 1, bytes: 1, types: 1, references: 1 },
        allocator: AllocatorTotals {
            name: "pymalloc",
            padded: false,
            arenas: 1,
            arena_bytes: 1,
            live_blocks: 1,
            live_bytes: 1,
            free_block_bytes: 1,
            free_pool_bytes: 1,
            other_blocks: 1,
            other_bytes: 1,
            large_blocks: Some(1),
        },
        collectors: vec![CollectorState {
            interpreter: 0,
            enabled: true,
            collecting: false,
            generations: vec![generation],
            permanent_objects: 1,
            garbage_list: Some(1),
        }],
        types: types(),
        garbage: GarbageSummary {
            unreachable_objects: 1,
            unreachable_bytes: 1,
            held_objects: 1,
            held_bytes: 1,
            uncollectable_objects: 1,
            resurrectable_objects: 1,
            inconsistent_objects: 1,
            why: vec![text("the collector is disabled")],
        },
        suspects_total: 1,
        suspects: vec![SuspectLine {
            path: text("app.CACHE"),
            type_name: text("dict"),
            confidence: "high",
            objects: 1,
            bytes: 1,
            share_permille: 1000,
            evidence: text("1 entries"),
            remedy: "bound it",
        }],
        threads: ThreadSummary {
            python: 1,
            others: 1,
            places: vec![ThreadPlace {
                tid: Some(1),
                name: Some(text("MainThread")),
                holds_gil: true,
                signal: Some(text("SIGSEGV")),
                place: Some(text("main (app.py:1)")),
                exception: Some(text("ValueError")),
            }],
        },
        next: vec![NextStep { command: text("exuvia types core"), answers: text("what is there") }],
    }
}

fn info() -> InfoReport {
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

fn types() -> TypesReport {
    TypesReport {
        selection: TypeSelection { filter: Some(text("*")), generation: Some(text("2")), garbage: true },
        sort: "bytes",
        group: "type",
        objects: 2,
        bytes: 2,
        total_rows: 2,
        rows: vec![TypeRow {
            name: text("app.Entry\x1b[31m"),
            module: text("app"),
            address: Some(Hex(1)),
            types: 1,
            objects: 1,
            bytes: 1,
            share_permille: 500,
            shallow_bytes: Some(2),
            retained_bytes: Some(1),
            retained_objects: Some(1),
            counts: Some(CountsRow { allocs: 3, frees: 2, max: 2 }),
        }],
        others: Rest { rows: 1, objects: 1, bytes: 1 },
    }
}

fn header() -> ObjectHeader {
    ObjectHeader {
        address: Hex(1),
        type_name: text("app.Entry"),
        type_address: Hex(2),
        size: Some(1),
        shallow_size: Some(2),
        refcount: Some(1),
        immortal: false,
        generation: "2",
        tracked: true,
    }
}

fn objects() -> ObjectsReport {
    ObjectsReport {
        target: text("app.Entry"),
        types_total: 1,
        types: vec![TypeLine { name: text("app.Entry"), address: Hex(2) }],
        filter: ObjectFilter {
            min_size: Some(1),
            max_size: Some(1),
            min_refcount: Some(1),
            max_refcount: Some(1),
            generation: Some(text("2")),
        },
        objects: 2,
        bytes: 2,
        rows: vec![header()],
    }
}

fn show() -> ShowReport {
    let row = |depth, label: &str, members, shown| ShowRow {
        depth,
        label: text(label),
        header: header(),
        value: text("<app.Entry object at 0x1>"),
        value_truncated: false,
        members,
        members_shown: shown,
        repeated: false,
    };
    ShowReport {
        target: text("app.ENTRY"),
        values: true,
        depth: 1,
        is_class: false,
        cut_off: false,
        rows: vec![row(0, "", 3, 1), row(1, ".owner", 2, 0)],
    }
}

fn threads() -> ThreadsReport {
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

fn outline() -> OutlineReport {
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

fn references() -> ReferencesReport {
    let count = CountRow {
        type_name: text("dict"),
        label: text("[key]"),
        kind: "visited",
        references: 1,
        example: Hex(1),
    };
    ReferencesReport {
        target: text("app.ENTRY"),
        objects: 1,
        references: 1,
        roots: vec![text("frame of main")],
        rooted_objects: 1,
        counts_total: 1,
        counts: vec![count],
        rows: vec![ReferenceLine { other: header(), label: text("['k\x1b']"), kind: "visited" }],
    }
}

fn paths() -> PathsReport {
    PathsReport {
        target: text("app.Entry"),
        reached: 1,
        unreached: 1,
        paths: vec![PathLine {
            name: text("app.ENTRIES[0]"),
            root: text("sys.modules"),
            steps: vec![PathStepLine { label: text("[0]"), kind: "visited", object: header() }],
        }],
        merged: vec![MergedLine {
            depth: 0,
            label: text("[index]"),
            type_name: text("app.Entry"),
            objects: 1,
            targets: 1,
            targets_left_out: 0,
            repeats: false,
            example: Hex(1),
        }],
    }
}

fn dominators() -> DominatorsReport {
    let row = |depth, kind, path: Option<&str>, label: &str, retained_bytes| DominatorLine {
        depth,
        kind,
        path: path.map(text),
        label: text(label),
        type_name: text("app.Node"),
        address: path.map(|_| Hex(1)),
        count: 12,
        bytes: 1,
        retained_bytes,
        retained_objects: 1,
        share_permille: 500,
    };
    let rows = vec![
        row(0, "object", Some("app.HEAD"), "app.HEAD", 9),
        row(1, "run", Some("app.HEAD.next ×13"), "app.Node.next", 8),
        row(2, "group", Some("app.HEAD.next ×13.a"), "[key\x1b]", 7),
        row(2, "rest", None, "", 6),
    ];
    DominatorsReport { target: Some(text("app.HEAD")), bytes: 9, objects: 9, depth: 3, rows }
}

fn cuts() -> CutsReport {
    let cut = CutLine {
        path: text("app.CACHE['k\x1b']"),
        place: "item",
        holder: Some(Hex(2)),
        holder_type: text("dict"),
        address: Hex(1),
        type_name: text("app.Entry"),
        freed_bytes: 1,
        freed_objects: 1,
        share_permille: 1000,
        unknown_references: 1,
    };
    CutsReport { live_bytes: 1, cuts_total: 2, cuts: vec![cut] }
}

fn free_if() -> FreeIfReport {
    let amount = FreedAmount { objects: 3, bytes: 300 };
    FreeIfReport {
        target: text("app.CACHE"),
        reading: "reference",
        statement: Some(text("del app.CACHE")),
        objects: 1,
        freed: amount,
        at_once: FreedAmount { objects: 2, bytes: 200 },
        collected: FreedAmount { objects: 1, bytes: 100 },
        collector_enabled: false,
        finalizers: 1,
        resurrectable: 1,
        uncollectable: 1,
        unknown_callbacks: 1,
        garbage_objects: 1,
        types_total: 2,
        types: vec![FreedType { type_name: text("dict"), objects: 2, bytes: 200 }],
        stays: amount,
        survivors_total: 2,
        survivors: vec![SurvivorRow {
            type_name: text("app.Entry"),
            label: text("[index]"),
            direct: true,
            objects: 2,
            bytes: 100,
            example: Hex(8),
            kept_by: "path",
            holder: text("app.OTHER"),
        }],
        listed: vec![FreedObject { address: Hex(16), type_name: text("dict"), size: 100, at_once: true }],
    }
}

fn cycles() -> CyclesReport {
    let group = GroupLine {
        cycles: 1,
        objects: 2,
        bytes: 2,
        kept_objects: 1,
        kept_bytes: 1,
        total_bytes: 3,
        largest: 2,
        finalizers: 1,
        uncollectable: 1,
        resurrectable: 1,
        generations: [1, 0, 1, 0],
        types: vec![TypeCount { type_name: text("app.Node"), objects: 2 }],
        edges_total: 1,
        edges: vec![EdgeLine { from: text("app.Node"), label: text(".next"), to: text("app.Node") }],
        example: vec![StepLine { address: Hex(1), what: text("app.Node"), label: text(".next") }],
        example_left_out: 1,
        examples: vec![Hex(1)],
    };
    CyclesReport {
        objects: 3,
        bytes: 3,
        unreachable_objects: 2,
        shared_objects: 0,
        shared_bytes: 0,
        why: vec![text("the collector is disabled")],
        detached_objects: 0,
        interpreters: vec![InterpreterLine {
            interpreter: 0,
            tracked_objects: 2,
            unreachable_objects: 2,
            unreachable_bytes: 2,
        }],
        groups_total: 1,
        groups: vec![group],
    }
}

fn suspects() -> SuspectsReport {
    let least = LeastRow { bytes: 1, share_permille: 1 };
    let row = SuspectRow {
        kind: "container",
        path: text("app.CACHE"),
        address: Some(Hex(1)),
        type_name: text("dict"),
        confidence: "high",
        count: 1,
        evidence: text("1 entries"),
        kept_bytes: 1,
        share_permille: 1000,
        retained_bytes: Some(1),
        bytes: 1,
        objects: 1,
        mostly: Some(MostlyRow { type_name: text("str"), objects: 1, bytes: 1 }),
        inside: vec![text("app.CACHE.lru")],
        remedy: "bound it",
        see: text("exuvia show CORE 0x1"),
    };
    SuspectsReport {
        heap_bytes: 1,
        least: LeastRows { application: least, other: least, garbage: least },
        suspects_total: 1,
        suspects: vec![row],
        conditions: vec![ConditionRow::new(text("suspects>0"), Amount::Count(1), true)],
    }
}

fn pages(width: usize) -> Vec<(&'static str, String)> {
    fn page<R: Report>(report: &R, width: usize) -> (&'static str, String) {
        let mut page = Page::new(width, false);
        report.render(&mut page, &core(), &coverage());
        (R::COMMAND, page.into_text())
    }
    vec![
        page(&overview(), width),
        page(&info(), width),
        page(&types(), width),
        page(&objects(), width),
        page(&show(), width),
        page(&threads(), width),
        page(&ReferrersReport(references()), width),
        page(&ReferentsReport(references()), width),
        page(&paths(), width),
        page(&dominators(), width),
        page(&cuts(), width),
        page(&free_if(), width),
        page(&cycles(), width),
        page(&suspects(), width),
        page(&growth_samples::waste(), width),
        page(&growth_samples::diff(), width),
        page(&growth_samples::trend(), width),
        page(&view_samples::tasks(), width),
        page(&view_samples::threads(), width),
        page(&view_samples::generators(), width),
        page(&view_samples::caches(), width),
        page(&view_samples::exceptions(), width),
        page(&view_samples::buffers(), width),
        page(&view_samples::modules(), width),
        page(&view_samples::queues(), width),
        page(&view_samples::logging(), width),
        page(&view_samples::weak(), width),
    ]
}

#[test]
fn numbers_that_are_bounds_are_marked_and_explained() {
    let page = pages(100).into_iter().find(|(command, _)| *command == "types").expect("types").1;
    assert!(page.contains("≥ 2 objects"), "{page}");
    let page = pages(100).into_iter().find(|(command, _)| *command == "info").expect("info").1;
    assert!(page.contains("bounded: cut off"), "{page}");
}

#[test]
fn no_text_from_the_process_acts_on_the_terminal() {
    for (command, page) in pages(100) {
        assert!(!page.contains('\x1b'), "{command}: {page:?}");
    }
}

#[test]
fn what_is_left_out_of_a_list_is_counted() {
    let page = pages(100).into_iter().find(|(command, _)| *command == "show").expect("show").1;
    assert!(page.contains("and 2 more, see --limit"), "{page}");
    assert!(page.contains("(2 members)"), "{page}");
    let page = pages(100).into_iter().find(|(command, _)| *command == "threads").expect("threads").1;
    assert!(page.contains("1 more variable") && page.contains("1 outer frame"), "{page}");
}

#[test]
fn long_runs_are_one_row_and_c_code_that_holds_too_is_told() {
    let of = |wanted| pages(100).into_iter().find(|(command, _)| *command == wanted).expect("a page").1;
    let page = of("dominators");
    assert!(page.contains("  … 12 steps of app.Node.next"), "{page}");
    assert!(page.contains("→ app.Node ×12") && page.contains("(12 more objects"), "{page}");
    let page = of("cuts");
    assert!(page.contains("an item of a dict") && page.contains("but 1 reference in C to it"), "{page}");
    assert!(page.contains("and 1 more, see --limit"), "{page}");
}
