//! Real cores with something wrong about them, and questions that have no answer: one line, exit code 2, what to try.
//!
//! Files that are no cores at all are in `cli::bad_input`.

use super::program::{Fixture, exuvia, fixtures};
use std::path::PathBuf;

/// Fails unless the program refuses these arguments in one line with all of `words`.
fn refused(arguments: &[&str], words: &[&str]) {
    let run = exuvia(arguments);
    assert_eq!(run.code, Some(2), "{arguments:?}: {}{}", run.stdout, run.stderr);
    assert!(run.stderr.starts_with("exuvia: "), "{arguments:?}: {}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
    assert_eq!(run.stdout, "", "{arguments:?}");
    for word in words {
        assert!(run.stderr.contains(word), "{arguments:?}: {word:?} is not in {}", run.stderr);
    }
}

/// A file with that content in a directory that lives as long as the first value.
fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("input");
    std::fs::write(&path, content).expect("the input is written");
    (directory, path)
}

fn refused_content(content: &[u8], words: &[&str]) {
    let (_directory, path) = file(content);
    refused(&[path.to_str().expect("a path")], words);
}

fn first_fixture() -> Fixture {
    fixtures().into_iter().next().expect("at least one")
}

/// Arguments of a question to a committed core.
fn ask(fixture: &Fixture, command: &str, rest: &[&str], words: &[&str]) {
    refused(&[&[command, fixture.packed.to_str().expect("a path")], rest].concat(), words);
}

#[test]
fn a_directory() {
    refused(&[env!("CARGO_MANIFEST_DIR")], &["neither a regular file nor a pipe"]);
}

#[test]
fn a_compressed_core_of_which_nothing_is_left() {
    let packed = std::fs::read(first_fixture().packed).expect("a committed core");
    refused_content(&packed[..12], &["cannot decompress", "cut off", "copy it again"]);
}

#[test]
fn a_python_that_is_too_old_or_unknown() {
    let fixture = first_fixture();
    let release = fixture.name.split('-').next().expect("a fixture is named by its Python");
    let numbers: Vec<u64> = release.split('.').map(|number| number.parse().expect("a number")).collect();
    // Py_Version: major, minor, micro, level (final) and serial (Include/cpython/pylifecycle.h, 3.11).
    let constant = |minor: u64| numbers[0] << 24 | minor << 16 | numbers[2] << 8 | 0xf0;
    for minor in [5, 99] {
        let core = fixture.core.with_word_replaced(constant(numbers[1]), constant(minor));
        let (_directory, path) = file(core.bytes());
        refused(&["overview", path.to_str().expect("a path")], &[&format!("3.{minor}."), "3.8 to 3.15"]);
    }
}

#[test]
fn another_program_is_refused_by_its_build_id() {
    // This test's own program is an executable that the core's process did not run.
    let own = std::env::current_exe().expect("the path of this test");
    let own = own.to_str().expect("a path");
    ask(&first_fixture(), "overview", &["--exe", own], &["build-id", "--exe"]);
}

#[test]
fn an_address_that_is_no_object() {
    let fixture = first_fixture();
    for command in ["show", "referrers", "referents", "paths", "free-if"] {
        ask(&fixture, command, &["0x1000"], &["0x1000"]);
        ask(&fixture, command, &["0xffffffffffffffff"], &["0xffffffffffffffff"]);
    }
}

#[test]
fn a_type_that_does_not_exist() {
    let fixture = first_fixture();
    for command in ["objects", "referrers", "referents", "paths", "dominators", "free-if"] {
        ask(&fixture, command, &["no.such.Type"], &["no.such.Type"]);
    }
    ask(&fixture, "types", &["--filter", "no.such.*"], &["no type matches no.such.*"]);
    ask(&fixture, "objects", &["no.such.*"], &["no type matches no.such.*"]);
    ask(&fixture, "objects", &["functon"], &["function"]);
}

#[test]
fn a_place_that_python_would_not_empty() {
    let fixture = first_fixture();
    ask(&fixture, "free-if", &["sys"], &["sys.modules[\"sys\"]", "--object"]);
    ask(&fixture, "free-if", &["sys.version_info[0]"], &["tuple", "--object"]);
    ask(&fixture, "free-if", &["dict.fromkeys"], &["C code", "--object"]);
    ask(&fixture, "free-if", &["sys.modulse"], &["modulse", "nearest: modules"]);
}

#[test]
fn a_path_that_leads_nowhere_says_what_is_nearest() {
    ask(&first_fixture(), "show", &["sys.modulse"], &["modulse", "nearest: modules"]);
}

#[test]
fn an_expression_that_cannot_be_read() {
    ask(&first_fixture(), "show", &["sys.modules[\"a\""], &["sys.modules"]);
}
