//! What a user meets: arguments, exit codes, messages, JSON.

mod arguments;
mod bad_input;
mod capture;
mod compared;
mod compressed;
mod fixtures;
mod index;
mod samples;
mod schema;

use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs the program; nothing of the environment colours or names anything.
fn exuvia(arguments: &[&dyn AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exuvia"));
    command.args(arguments.iter().map(|argument| argument.as_ref())).env_remove("NO_COLOR");
    command.output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text is UTF-8")
}
