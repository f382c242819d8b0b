//! The program on cores that are cut off, zeroed or overwritten, and on what is no core of a Python at all: it ends,
//! it says what is missing, and it never claims more than an undamaged core shows.

mod core_image;
mod planted;
mod program;
mod wrong_input;

use crate::questions::{OF_HEAP, Question, words};
use core_image::CoreImage;
use program::{Fixture, Run, exuvia, fixtures};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// What is asked besides [`OF_HEAP`]: every other command, on a type or a path that most heaps have.
const ALSO: &[Question] = &[
    &["objects", "dict"],
    &["show", "sys.modules", "--depth", "3"],
    &["referrers", "str"],
    &["referents", "dict"],
    &["paths", "function"],
    &["dominators", "dict"],
    &["free-if", "sys.modules['sys']"],
    &["free-if", "function", "--list"],
    &["diff"],
    &["dev layouts"],
    &["dev dump"],
];

/// Puts a question to a core; `scratch` is where `dev dump` may write.
fn run(question: &[&str], core: &Path, scratch: &Path) -> Run {
    let core = core.to_str().expect("a path");
    let cores = if question[0] == "diff" { vec![core; 2] } else { vec![core] };
    let mut arguments = words(question, &cores);
    if question == ["dev dump"] {
        arguments.push(scratch.to_str().expect("a path"));
    }
    exuvia(&arguments)
}

/// Fails unless the run ended as a run may end.
fn assert_orderly(run: &Run, what: &str) {
    assert!(!run.stderr.contains("panicked"), "{what}: {}", run.stderr);
    match run.code {
        Some(0) => assert!(!run.stderr.contains("exuvia: "), "{what}: done, and yet {}", run.stderr),
        Some(2) => {
            assert!(run.stderr.starts_with("exuvia: "), "{what}: {:?}", run.stderr);
            assert_eq!(run.stderr.lines().count(), 1, "{what}: {}", run.stderr);
        }
        code => panic!("{what}: exit code {code:?}, {}", run.stderr),
    }
}

/// Runs every command on each damaged form of each committed core, and gives the runs of one core to `judge`.
fn on_damaged(damages: &dyn Fn(&CoreImage) -> Vec<(String, CoreImage)>, judge: &dyn Fn(&Damaged<'_>)) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for fixture in fixtures() {
        for (damage, image) in damages(&fixture.core) {
            let what = format!("{} {damage}", fixture.name);
            let core = directory.path().join("core");
            std::fs::write(&core, image.bytes()).expect("the damaged core is written");
            let scratch = directory.path().join("dump");
            for command in [OF_HEAP, ALSO].concat() {
                let run = run(command, &core, &scratch);
                assert_orderly(&run, &format!("{what}: {command:?}"));
            }
            judge(&Damaged { what: &what, fixture: &fixture, core: &core, directory: directory.path() });
        }
    }
}

/// A damaged core on disk.
struct Damaged<'a> {
    what: &'a str,
    fixture: &'a Fixture,
    core: &'a Path,
    directory: &'a Path,
}

impl Damaged<'_> {
    fn json(&self, command: &[&str]) -> Option<Value> {
        let run = run(&[command, &["--json"]].concat(), self.core, self.directory);
        assert_orderly(&run, self.what);
        // `info` describes the process even where no interpreter can be decoded.
        (!run.stdout.is_empty()).then(|| serde_json::from_str(&run.stdout).expect("a JSON document"))
    }

    /// What `dev dump` says: addresses of the garbage and of all objects; `None` if nothing could be decoded.
    fn dump(&self, core: &Path) -> Option<(BTreeSet<u64>, BTreeSet<u64>)> {
        let prefix = self.directory.join("sets");
        let run = run(&["dev dump"], core, &prefix);
        assert_orderly(&run, self.what);
        let words = |extension: &str| -> Vec<u64> {
            let file = self.directory.join(format!("sets.{extension}"));
            let bytes = std::fs::read(file).expect("a file of the dump");
            bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
        };
        let objects = |triples: Vec<u64>| triples.chunks_exact(3).map(|triple| triple[0]).collect();
        (run.code == Some(0))
            .then(|| (words("garbage.bin").into_iter().collect(), objects(words("objs.bin"))))
    }
}

/// The state of an answer in a report's coverage.
fn state<'a>(report: &'a Value, answer: &str) -> &'a str {
    let answers = report["coverage"]["answers"].as_array().expect("answers");
    let found = answers.iter().find(|known| known["answer"] == answer).expect("an answer of that name");
    found["state"].as_str().expect("a state")
}

#[test]
fn a_core_that_is_cut_off_is_said_to_be() {
    let cuts = |core: &CoreImage| {
        let cut = |percent| (format!("cut off at {percent} %"), core.cut_off(percent));
        [25, 50, 75, 90].map(cut).to_vec()
    };
    on_damaged(&cuts, &|damaged| {
        let report = damaged.json(&["info"]).expect("info describes any core");
        assert!(report["coverage"]["truncated"]["actual_bytes"].is_u64(), "{}", damaged.what);
        assert_ne!(state(&report, "objects"), "exact", "{}", damaged.what);
        let answers = report["coverage"]["answers"].to_string();
        for word in ["cut off after", " % of writable memory", "ulimit -c"] {
            assert!(answers.contains(word), "{}: {word:?} is not in {answers}", damaged.what);
        }
    });
}

#[test]
fn a_core_of_written_memory_alone_claims_no_more_than_it_knows() {
    let decoded = std::cell::Cell::new(0);
    let filtered = |core: &CoreImage| vec![("with written memory alone".to_owned(), core.written_only())];
    on_damaged(&filtered, &|damaged| {
        let what = damaged.what;
        let Some(report) = damaged.json(&["overview"]) else { return };
        decoded.set(decoded.get() + 1);
        let (garbage, objects) = damaged.dump(damaged.core).expect("what overview decodes, dump does");
        let (all_garbage, all_objects) = damaged.dump(&damaged.fixture.packed).expect("a whole core");
        assert!(objects.is_subset(&all_objects), "{what}: objects that the whole core does not have");
        assert!(garbage.is_subset(&all_garbage), "{what}: garbage that is none in the whole core");
        assert!(
            state(&report, "objects") != "exact" || objects == all_objects,
            "{what}: objects are missing"
        );
        assert!(state(&report, "garbage") != "exact" || garbage == all_garbage, "{what}: garbage is missing");
    });
    assert!(decoded.get() > 0, "no such core could be decoded: this test shows nothing");
}

#[test]
fn what_a_cut_off_core_still_shows_is_bounded_and_true() {
    let decoded = std::cell::Cell::new(0);
    let cuts = |core: &CoreImage| {
        let reversed = core.reversed();
        let cut = |percent| (format!("reversed and cut off at {percent} %"), reversed.cut_off(percent));
        [25, 50, 75, 90].map(cut).to_vec()
    };
    on_damaged(&cuts, &|damaged| {
        let what = damaged.what;
        let Some(report) = damaged.json(&["overview"]) else { return };
        decoded.set(decoded.get() + 1);
        assert!(report["coverage"]["truncated"]["expected_bytes"].is_u64(), "{what}");
        for answer in ["objects", "sizes", "references", "garbage"] {
            assert_eq!(state(&report, answer), "bounded", "{what}: {answer}");
        }
        let (garbage, objects) = damaged.dump(damaged.core).expect("what overview decodes, dump does");
        let (all_garbage, all_objects) = damaged.dump(&damaged.fixture.packed).expect("a whole core");
        assert!(objects.is_subset(&all_objects), "{what}: objects that the whole core does not have");
        assert!(garbage.is_subset(&all_garbage), "{what}: garbage that is none in the whole core");
    });
    assert!(decoded.get() > 0, "no damaged core could be decoded: this test shows nothing");
}

#[test]
fn zeroed_pages_are_survived() {
    let zeroed = |core: &CoreImage| {
        let zero = |(seed, one_in)| (format!("one page in {one_in} zeroed"), core.zero_pages(seed, one_in));
        [(1, 200), (2, 20), (3, 3)].map(zero).to_vec()
    };
    on_damaged(&zeroed, &|_| {});
}

#[test]
fn overwritten_pointers_are_survived() {
    let flipped = |core: &CoreImage| {
        let flip = |(seed, count)| (format!("{count} pointers overwritten"), core.flip_pointers(seed, count));
        [(1, 10), (2, 100), (3, 1000), (4, 10_000)].map(flip).to_vec()
    };
    on_damaged(&flipped, &|_| {});
}
