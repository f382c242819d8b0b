//! The only place that writes to standard output and standard error.

use crate::report::{CoreIdentity, Coverage, Envelope, Page, Report, escape};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::args::{ColorChoice, Common};

/// Columns of a page that no terminal shows.
const DEFAULT_WIDTH: usize = 100;
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Writes a report in the form the options ask for.
///
/// # Errors
/// Standard output cannot be written. That nobody reads it any more is no error.
pub fn print_report<R: Report>(
    report: &R,
    core: &CoreIdentity,
    coverage: &Coverage,
    common: &Common,
) -> anyhow::Result<()> {
    if common.json {
        return print(&Envelope::new(core, coverage, report).to_json()?);
    }
    let width = terminal_size::terminal_size_of(std::io::stdout())
        .map_or(DEFAULT_WIDTH, |size| usize::from(size.0.0));
    let mut page = Page::new(width, use_color(common.color));
    report.render(&mut page, core, coverage);
    print(&page.into_text())
}

/// Writes text to standard output.
///
/// # Errors
/// It cannot be written. That nobody reads it any more is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Says on standard error why it could not be done: one line, with all causes that the message does not name itself.
pub fn print_error(error: &anyhow::Error) {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    say(&message);
}

/// Writes one line to standard error.
pub fn say(message: &str) {
    // Nothing is left to do if even that fails.
    let _ = writeln!(std::io::stderr().lock(), "exuvia: {}", escape(message));
}

/// <https://no-color.org>: set and not empty means no colour, unless asked for explicitly.
fn use_color(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            std::io::stdout().is_terminal()
                && !set("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Says on standard error what is being done: a spinner on a terminal, lines with times with `--verbose`.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    verbose: bool,
    phase: Option<(&'static str, Instant)>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new(verbose: bool) -> Self {
        let bar = (!verbose && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, verbose, phase: None }
    }

    /// Ends the phase before and begins this one.
    pub fn phase(&mut self, name: &'static str) {
        self.end_phase();
        if let Some(bar) = &self.bar {
            if bar.is_finished() {
                bar.reset();
            }
            bar.set_message(name);
        }
        self.phase = Some((name, Instant::now()));
    }

    /// Ends the last phase and hides the spinner until the next one.
    pub fn pause(&mut self) {
        self.end_phase();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Ends the last phase and clears the spinner, so that it never stands beside a result or an error.
    pub fn finish(&mut self) {
        self.end_phase();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn end_phase(&mut self) {
        if let Some((name, start)) = self.phase.take()
            && self.verbose
        {
            say(&format!("{name}: {} ms", start.elapsed().as_millis()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
