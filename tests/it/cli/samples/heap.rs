//! Reports of the commands that show what is on the heap.

use super::{header, text};
use exuvia::report::Hex;
use exuvia::report::cycles::{CyclesReport, EdgeLine, GroupLine, InterpreterLine, StepLine, TypeCount};
use exuvia::report::objects::{ObjectFilter, ObjectsReport, TypeLine};
use exuvia::report::overview::{
    AllocatorTotals, CollectorState, GarbageSummary, GenerationState, HeapTotals, NextStep, OverviewReport,
    SuspectLine, ThreadPlace, ThreadSummary,
};
use exuvia::report::show::{ShowReport, ShowRow};
use exuvia::report::types::{CountsRow, Rest, TypeRow, TypeSelection, TypesReport};

pub fn overview() -> OverviewReport {
    let generation = GenerationState {
        objects: 1,
        count: 1,
        threshold: 700,
        collections: 1,
        collected: 1,
        uncollectable: 0,
    };
    OverviewReport {
        heap: HeapTotals { objects: 1, bytes: 1, shallow_bytes: 2, types: 1, references: 1 },
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

pub fn types() -> TypesReport {
    TypesReport {
        selection: TypeSelection { filter: Some(text("*")), generation: Some(text("2")), garbage: true },
        sort: "bytes",
        group: "type",
        objects: 2,
        bytes: 2,
        shallow_bytes: 3,
        total_rows: 2,
        rows: vec![TypeRow {
            name: text("app.Entry\x1b[31m"),
            module: text("app"),
            address: Some(Hex(1)),
            types: 1,
            objects: 1,
            bytes: 1,
            share_permille: 500,
            shallow_bytes: 2,
            retained_bytes: Some(1),
            retained_objects: Some(1),
            counts: Some(CountsRow { allocs: 3, frees: 2, max: 2 }),
        }],
        others: Rest { rows: 1, objects: 1, bytes: 1 },
    }
}

pub fn objects() -> ObjectsReport {
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

pub fn show() -> ShowReport {
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

pub fn cycles() -> CyclesReport {
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
