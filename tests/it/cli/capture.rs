//! `exuvia capture` of what cannot be captured, and of what is no Python: messages, exit status, and that nothing is left.

use super::{exuvia, stderr};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output};

/// A process that waits; killed at the end.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("sleep starts"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn capture(pid: &str, output: &Path, options: &[&str]) -> Output {
    let mut arguments: Vec<&dyn AsRef<OsStr>> = vec![&"capture", &pid, &"-o", &output];
    arguments.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
    exuvia(&arguments)
}

/// Fails with status 2, one line that says `hint`, and no file.
#[track_caller]
fn fails(output: &Output, hint: &str, file: &Path) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(hint), "{message}");
    let of_errors = message.lines().filter(|line| !line.contains(" stood still for "));
    assert_eq!(of_errors.count(), 1, "{message}");
    assert!(!file.exists() && output.stdout.is_empty());
}

/// Whether this machine lets nobody trace a process that is not its own child (Yama).
fn is_forbidden(output: &Output) -> bool {
    stderr(output).contains("may not be captured")
}

#[test]
fn what_is_no_process_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("heap");
    // Above the largest number that Linux gives (PID_MAX_LIMIT).
    fails(&capture("4194305", &file, &[]), "there is no process 4194305", &file);
    for odd in ["0", "-1", "x", "99999999999"] {
        let output = capture(odd, &file, &[]);
        assert_eq!(output.status.code(), Some(2), "{odd}");
        assert!(!file.exists());
    }
    let mut ended = Command::new("true").spawn().expect("true starts");
    let number = ended.id().to_string();
    while !std::fs::read_to_string(format!("/proc/{number}/stat")).expect("its stat").contains(") Z ") {}
    fails(&capture(&number, &file, &[]), "ended before", &file);
    ended.wait().expect("its end");
}

#[test]
fn what_is_no_python_is_captured_as_it_is_and_not_otherwise() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("heap");
    let sleeper = Sleeper::new();
    let number = sleeper.0.id().to_string();
    let refused = capture(&number, &file, &[]);
    if is_forbidden(&refused) {
        return;
    }
    fails(&refused, "`exuvia capture --raw` takes any process", &file);
    let raw = capture(&number, &file, &["--raw"]);
    assert!(raw.status.success(), "{}", stderr(&raw));
    assert!(stderr(&raw).contains("stood still for "));
    let info = exuvia(&[&"info", &file, &"--json"]);
    let document: serde_json::Value = serde_json::from_slice(&info.stdout).expect("JSON");
    assert_eq!(document["core"]["written_by"], "capture");
    assert_eq!(document["core"]["pid"], sleeper.0.id());
    assert_eq!(document["core"]["signal"], serde_json::Value::Null);
    assert_eq!(document["coverage"]["truncated"], serde_json::Value::Null);
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_told_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("heap");
    std::fs::write(&file, b"old").expect("a file");
    let sleeper = Sleeper::new();
    let number = sleeper.0.id().to_string();
    let refused = capture(&number, &file, &["--raw"]);
    assert_eq!(refused.status.code(), Some(2));
    if is_forbidden(&refused) {
        return;
    }
    assert!(stderr(&refused).contains("exists already"), "{}", stderr(&refused));
    assert_eq!(std::fs::read(&file).expect("the file"), b"old");
    assert!(capture(&number, &file, &["--raw", "--force"]).status.success());
    assert!(std::fs::read(&file).expect("the file").starts_with(b"\x7fELF"));
    assert_eq!(std::fs::read_dir(directory.path()).expect("the directory").count(), 1);
}
