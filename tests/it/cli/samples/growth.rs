//! Reports of `waste`, `diff` and `trend` with everything in them.

use super::text;
use exuvia::report::Hex;
use exuvia::report::diff::{DiffReport, HolderChangeRow, MatchedRow, TypeChangeRow};
use exuvia::report::growth::ComparedCore;
use exuvia::report::trend::{SeriesRow, TrendReport};
use exuvia::report::waste::{GroupRow, HolderRow, WasteReport, WasteRow};

fn compared() -> ComparedCore {
    ComparedCore {
        path: text("core\x1b"),
        pid: Some(1),
        python: Some(text("3.12.1")),
        written: Some(1),
        objects: 1,
        bytes: 1,
        garbage_bytes: 1,
        bounded: true,
    }
}

pub fn diff() -> DiffReport {
    let matched = Some(MatchedRow { new_objects: 1, new_bytes: 1, gone_objects: 1, gone_bytes: 1 });
    let types = vec![TypeChangeRow {
        type_name: text("app.Entry\x1b"),
        growth_bytes: -1,
        objects_before: 1,
        objects_after: 1,
        bytes_before: 2,
        bytes_after: 1,
        matched,
    }];
    let holders = vec![HolderChangeRow {
        path: text("app.CACHE\x1b"),
        type_name: text("dict"),
        change: "grown",
        growth_bytes: 1,
        bytes_before: Some(1),
        bytes_after: Some(2),
        entries_before: Some(1),
        entries_after: Some(2),
        suspect: Some("container"),
    }];
    DiffReport {
        before: compared(),
        after: compared(),
        matched_by: "address",
        growth_bytes: 0,
        growth_objects: 0,
        matched,
        types_total: 2,
        types,
        holders_total: 2,
        suspects_total: 2,
        suspects: holders.clone(),
        holders,
    }
}

pub fn trend() -> TrendReport {
    let rows = vec![SeriesRow {
        name: text("app.CACHE\x1b"),
        type_name: text("dict"),
        growth_bytes: 1,
        bytes_per_hour: Some(3600),
        bytes: vec![1, 2],
        counts: vec![1, 2],
        suspect: Some("container"),
    }];
    TrendReport {
        cores: vec![compared(), compared()],
        seconds: Some(1),
        bytes_per_hour: Some(0),
        types_total: 2,
        types: rows.clone(),
        holders_total: 2,
        holders: rows,
    }
}

pub fn waste() -> WasteReport {
    let row = WasteRow {
        kind: "duplicates",
        type_name: text("str"),
        objects: 2,
        distinct: Some(1),
        names: Some(1),
        bytes: 1,
        share_permille: 1000,
        sampled: 2,
        holders: vec![HolderRow { type_name: text("dict"), label: text("['k\x1b']"), references: 2 }],
        examples: vec![Hex(1)],
        remedy: "sys.intern()",
    };
    let group = GroupRow {
        type_name: "str",
        copies: 3,
        bytes: 1,
        length: Some(1),
        value: Some(text("'x\x1b'")),
        example: Hex(1),
    };
    WasteReport {
        heap_bytes: 1,
        values: true,
        compared: false,
        unread_values: 1,
        findings_total: 2,
        findings: vec![row],
        groups_total: 2,
        groups: vec![group],
    }
}
