//! Arguments, help and exit codes.

use super::{exuvia, stderr, stdout};

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [["--help"], ["--version"]] {
        let output = exuvia(&[&arguments[0]]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).is_empty());
        assert!(stdout(&output).contains("exuvia"));
    }
    let output = exuvia(&[&"types", &"--help"]);
    assert!(stdout(&output).contains("Example:\n  exuvia types core.4242"), "{}", stdout(&output));
}

#[test]
fn wrong_arguments_are_refused_with_status_2_and_a_hint() {
    for (arguments, hint) in [
        (&["--no-such-option"][..], "--no-such-option"),
        (&["types"], "<CORE>"),
        (&["types", "core", "--sort", "colour"], "possible values: count, bytes, name"),
        (&["typs", "core"], "no command is called typs"),
        (&["core", "types"], "stands before the command"),
        (&["types", "core", "-j", "0"], "0 is not in 1..=1024"),
    ] {
        let line: Vec<&dyn AsRef<std::ffi::OsStr>> = arguments.iter().map(|argument| argument as _).collect();
        let output = exuvia(&line);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stdout(&output).is_empty(), "{arguments:?}");
        assert!(stderr(&output).contains(hint), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn nothing_at_all_shows_the_help_and_fails() {
    let output = exuvia(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Usage:"));
}
