//! Reports of the commands about who holds what, and what would go with it.

use super::{header, text};
use exuvia::report::Hex;
use exuvia::report::cuts::{CutLine, CutsReport};
use exuvia::report::dominators::{DominatorLine, DominatorsReport};
use exuvia::report::free_if::{FreeIfReport, FreedAmount, FreedObject, FreedType, SurvivorRow};
use exuvia::report::paths::{MergedLine, PathLine, PathStepLine, PathsReport};
use exuvia::report::referrers::{CountRow, ReferenceLine, ReferencesReport};
use exuvia::report::suspects::{
    Amount, ConditionRow, LeastRow, LeastRows, MostlyRow, SuspectRow, SuspectsReport,
};

pub fn references() -> ReferencesReport {
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

pub fn paths() -> PathsReport {
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

pub fn dominators() -> DominatorsReport {
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

pub fn cuts() -> CutsReport {
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

pub fn free_if() -> FreeIfReport {
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

pub fn suspects() -> SuspectsReport {
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
