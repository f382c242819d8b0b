//! The index: it changes no answer, and nothing that is wrong with it does.

use super::{exuvia, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// What an index has an answer to.
const QUESTIONS: [&[&str]; 11] = [
    &["types", "@", "--json"],
    &["types", "@", "--retained", "--json"],
    &["types", "@", "--retained", "--filter", "app.*", "--json"],
    &["dominators", "@", "--json"],
    &["cuts", "@", "--json"],
    &["objects", "@", "dict", "--json"],
    &["show", "@", "app.cache.SESSIONS", "--json"],
    &["referrers", "@", "app.cache.Entry", "--json"],
    &["referents", "@", "app.cache.SESSIONS", "--json"],
    &["paths", "@", "app.cache.SESSIONS", "--json"],
    &["cycles", "@", "--json"],
];

/// A committed core of its own for a test, in a directory of its own.
fn core() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let core = folder.path().join("core.zst");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores/3.12.1-service/core.zst");
    std::fs::copy(committed, &core).expect("the core is copied");
    (folder, core)
}

fn beside(core: &Path) -> PathBuf {
    core.with_file_name("core.zst.exuvia-index")
}

fn ask(question: &[&str], core: &Path, options: &[&str]) -> Output {
    let words = question.iter().map(|word| if *word == "@" { core.as_os_str() } else { word.as_ref() });
    let words: Vec<_> = words.chain(options.iter().map(|option| (*option).as_ref())).collect();
    let words: Vec<&dyn AsRef<std::ffi::OsStr>> = words.iter().map(|word| word as _).collect();
    exuvia(&words)
}

fn make(core: &Path, options: &[&str]) {
    let made = ask(&["index", "@"], core, options);
    assert!(made.status.success(), "{}", stderr(&made));
}

/// Asks everything with and without the index; what was said on standard error while it was in use.
fn same_answers(core: &Path, options: &[&str]) -> String {
    let mut said = String::new();
    for question in QUESTIONS {
        let (with, without) = (ask(question, core, options), ask(question, core, &["--no-index"]));
        assert!(with.status.success() && without.status.success(), "{question:?}: {}", stderr(&with));
        assert!(with.stdout == without.stdout, "{question:?}: the index changes the answer");
        assert_eq!(stderr(&without), "");
        said.push_str(&stderr(&with));
    }
    said
}

#[test]
fn an_index_changes_no_answer() {
    let (_folder, core) = core();
    make(&core, &[]);
    assert_eq!(beside(&core).metadata().expect("an index").permissions().mode() & 0o777, 0o600);
    assert_eq!(same_answers(&core, &[]), "");
}

#[test]
fn without_being_asked_nothing_is_kept_of_a_small_heap() {
    let (_folder, core) = core();
    let output = ask(&["suspects", "@"], &core, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!beside(&core).exists());
}

#[test]
fn a_damaged_index_is_named_and_not_believed() {
    let (_folder, core) = core();
    make(&core, &[]);
    let whole = std::fs::read(beside(&core)).expect("an index");
    let mut said = String::new();
    // Somewhere in each of its columns, and at both ends.
    for part in 0..24 {
        let mut damaged = whole.clone();
        let at = (damaged.len() - 1) * part / 23;
        damaged[at] ^= 0x40;
        std::fs::write(beside(&core), &damaged).expect("writable");
        let question = QUESTIONS[part % QUESTIONS.len()];
        let (with, without) = (ask(question, &core, &[]), ask(question, &core, &["--no-index"]));
        assert!(with.stdout == without.stdout, "{question:?}: byte {at} changes the answer");
        said.push_str(&stderr(&with));
    }
    assert!(said.contains("is not used") && said.contains("damaged"), "{said}");
    for length in [0, 1, 39, 40, whole.len() / 2, whole.len() - 1] {
        std::fs::write(beside(&core), &whole[..length]).expect("writable");
        let said = stderr(&ask(&["cycles", "@"], &core, &[]));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("is not used"), "{said}");
    }
    make(&core, &[]);
    assert!(std::fs::read(beside(&core)).expect("an index") == whole, "a damaged index is made anew");
}

#[test]
fn an_index_of_another_core_is_not_believed() {
    let (_folder, first) = core();
    let (_other_folder, second) = core();
    make(&first, &[]);
    // The same bytes at another time: it may be any other core.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().write(true).open(&second).expect("a core");
    file.set_modified(later).expect("its time is set");
    std::fs::copy(beside(&first), beside(&second)).expect("copied");
    let said = same_answers(&second, &[]);
    assert!(said.contains("another core"), "{said}");
    make(&second, &[]);
    assert_eq!(same_answers(&second, &[]), "");
}

#[test]
fn an_index_depends_on_how_the_core_was_read() {
    let (_folder, core) = core();
    make(&core, &[]);
    let said = stderr(&ask(&["types", "@"], &core, &["--layouts", "table"]));
    assert!(said.contains("choice of files"), "{said}");
}

#[test]
fn an_index_lies_where_it_was_told_to() {
    let (folder, core) = core();
    let elsewhere = folder.path().join("indexes");
    let option = elsewhere.to_str().expect("text").to_owned();
    make(&core, &["--index-dir", &option]);
    assert!(!beside(&core).exists());
    let names: Vec<_> = std::fs::read_dir(&elsewhere).expect("a directory").flatten().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(same_answers(&core, &["--index-dir", &option]), "");
}

#[test]
fn indexes_written_at_once_do_not_clash() {
    let (folder, core) = core();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| make(&core, &[]));
        }
    });
    assert_eq!(same_answers(&core, &[]), "");
    let names = std::fs::read_dir(folder.path()).expect("a directory").flatten().count();
    assert_eq!(names, 2, "nothing but the core and its index is left");
}

#[test]
fn what_cannot_be_meant_is_said() {
    let (_folder, core) = core();
    make(&core, &[]);
    let index = beside(&core);
    let output = ask(&["types", "@"], &index, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("is an index") && stderr(&output).contains("core"),
        "{}",
        stderr(&output)
    );
    for options in [&["--no-index"][..], &["--no-index", "--index-dir", "x"]] {
        assert_eq!(ask(&["index", "@"], &core, options).status.code(), Some(2));
    }
}
