//! One report of each command with everything in it, no value missing and no list empty: what its document and its page are
//! tested with.

mod growth;
mod heap;
mod holders;
mod process;
mod views;

use exuvia::report::coverage::{
    Answer, AnswerState, BrokenList, CensusCoverage, Coverage, CutOff, DamagedInput, MemoryCoverage,
    ModuleCoverage, PythonCoverage, ReferenceCoverage,
};
use exuvia::report::header::ObjectHeader;
use exuvia::report::index::IndexReport;
use exuvia::report::referrers::{ReferentsReport, ReferrersReport};
use exuvia::report::{CoreIdentity, Envelope, Hex, Page, Report, Signal};
use serde_json::Value;
use std::path::Path;

/// One report, as it is shown.
pub struct Sample {
    /// Its section in docs/json-schema.md.
    pub section: &'static str,
    /// Its document.
    pub document: Value,
    /// Its text.
    pub page: String,
}

impl Sample {
    fn of<R: Report>(section: &'static str, report: &R) -> Self {
        let (core, coverage) = (core(), coverage());
        let text = Envelope::new(&core, &coverage, report).to_json().expect("serialisable");
        let document = serde_json::from_str(&text).expect("JSON");
        let mut page = Page::new(100, false);
        report.render(&mut page, &core, &coverage);
        Self { section, document, page: page.into_text() }
    }
}

/// All of them.
pub fn samples() -> Vec<Sample> {
    vec![
        Sample::of("overview", &heap::overview()),
        Sample::of("info", &process::info()),
        Sample::of("types", &heap::types()),
        Sample::of("objects", &heap::objects()),
        Sample::of("show", &heap::show()),
        Sample::of("threads", &process::threads()),
        Sample::of("threads by the process alone", &process::outline()),
        Sample::of("referrers", &ReferrersReport(holders::references())),
        Sample::of("referents", &ReferentsReport(holders::references())),
        Sample::of("paths", &holders::paths()),
        Sample::of("dominators", &holders::dominators()),
        Sample::of("cuts", &holders::cuts()),
        Sample::of("free-if", &holders::free_if()),
        Sample::of("cycles", &heap::cycles()),
        Sample::of("suspects", &holders::suspects()),
        Sample::of("waste", &growth::waste()),
        Sample::of("diff", &growth::diff()),
        Sample::of("trend", &growth::trend()),
        Sample::of("view tasks", &views::tasks()),
        Sample::of("view threads", &views::threads()),
        Sample::of("view generators", &views::generators()),
        Sample::of("view greenlets", &views::greenlets()),
        Sample::of("view caches", &views::caches()),
        Sample::of("view exceptions", &views::exceptions()),
        Sample::of("view buffers", &views::buffers()),
        Sample::of("view modules", &views::modules()),
        Sample::of("view queues", &views::queues()),
        Sample::of("view logging", &views::logging()),
        Sample::of("view weak", &views::weak()),
        Sample::of("index", &IndexReport::new(Path::new("core.exuvia-index"), 1, 1, 1)),
        Sample::of("capture", &process::captured()),
        Sample::of("save", &process::saved()),
    ]
}

/// The sample of a section.
pub fn sample(section: &str) -> Sample {
    samples().into_iter().find(|sample| sample.section == section).expect("a section with a sample")
}

fn text(word: &str) -> String {
    word.to_owned()
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

#[test]
fn numbers_that_are_bounds_are_marked_and_explained() {
    let page = sample("types").page;
    assert!(page.contains("≥ 2 objects"), "{page}");
    let page = sample("info").page;
    assert!(page.contains("bounded: cut off"), "{page}");
}

#[test]
fn no_text_from_the_process_acts_on_the_terminal() {
    for Sample { section, page, .. } in samples() {
        assert!(!page.contains('\x1b'), "{section}: {page:?}");
    }
}

#[test]
fn what_is_left_out_of_a_list_is_counted() {
    let page = sample("show").page;
    assert!(page.contains("and 2 more, see --limit"), "{page}");
    assert!(page.contains("(2 members)"), "{page}");
    let page = sample("threads").page;
    assert!(page.contains("1 more variable") && page.contains("1 outer frame"), "{page}");
}

#[test]
fn long_runs_are_one_row_and_c_code_that_holds_too_is_told() {
    let page = sample("dominators").page;
    assert!(page.contains("  … 12 steps of app.Node.next"), "{page}");
    assert!(page.contains("→ app.Node ×12") && page.contains("(12 more objects"), "{page}");
    let page = sample("cuts").page;
    assert!(page.contains("an item of a dict") && page.contains("but 1 reference in C to it"), "{page}");
    assert!(page.contains("and 1 more, see --limit"), "{page}");
}
