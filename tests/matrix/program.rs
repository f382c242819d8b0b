//! The program as its users run it: command lines, and what they print.
//!
//! Knows how a question is put; refuses to know the answers.

use crate::questions::words;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

/// What documents have in the place of the core's path, so that those of two files can be compared.
const CORE: &str = "CORE";

/// The program.
pub fn exuvia() -> Command {
    Command::new(env!("CARGO_BIN_EXE_exuvia"))
}

/// A command (`types`, `dev dump`) on a core, with the rest of `question` behind that, and then `options`.
pub fn command(question: &[&str], core: &Path, options: &[OsString]) -> Command {
    let mut command = exuvia();
    command.args(words(question, &[core.to_str().expect("a path")])).args(options);
    command
}

/// How a command line ends, and what it prints.
pub fn output(command: &mut Command) -> Result<Output, String> {
    let output = command.output();
    output.map_err(|error| format!("{command:?}: {error}"))
}

/// What a command line prints; an error if it fails.
pub fn printed(command: &mut Command) -> Result<String, String> {
    let output = output(command)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let reason = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}: {reason}", output.status))
        }
    }
}

/// What the program says to a question: the document, or, where it fails, why.
pub fn answer(question: &[&str], core: &Path, options: &[OsString]) -> Result<String, String> {
    let output = output(command(question, core, options).arg("--json"))?;
    let text = if output.status.success() { output.stdout } else { output.stderr };
    Ok(String::from_utf8_lossy(&text).replace(&core.display().to_string(), CORE))
}

/// The document that answers a question.
pub fn document(question: &[&str], core: &Path, options: &[OsString]) -> Result<Value, String> {
    let text = answer(question, core, options)?;
    serde_json::from_str(&text).map_err(|error| format!("{question:?}: {error}: {text}"))
}
