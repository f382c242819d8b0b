//! `view greenlets`: greenlets, those of gevent included.

use super::{HeldObject, end, hidden, place};
use crate::analysis::views::{GreenletView, Keepers};
use crate::cpython::GreenletState;
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view greenlets`.
#[derive(Clone, Debug, Serialize)]
pub struct GreenletsReport {
    /// `greenlets`.
    pub view: &'static str,
    /// How many there are.
    pub greenlets_total: u64,
    /// Those that nothing has switched to.
    pub not_started: u64,
    /// Those that wait to be switched to.
    pub suspended: u64,
    /// Those that are the current one of their thread.
    pub running: u64,
    /// Those whose function has ended.
    pub finished: u64,
    /// Those that were suspended when their thread ended.
    pub stranded: u64,
    /// Those whose state is not known.
    pub unknown: u64,
    /// Those that keep most first.
    pub greenlets: Vec<GreenletRow>,
}

/// One greenlet.
#[derive(Clone, Debug, Serialize)]
pub struct GreenletRow {
    /// The object.
    pub object: HeldObject,
    /// `not started`, `suspended`, `running`, `finished`, `stranded` or `unknown`.
    pub state: &'static str,
    /// Its thread began with it.
    pub is_main: bool,
    /// What it was given to run, or the method `run` of its class; else its outermost function.
    pub runs: Option<String>,
    /// The function in which it is suspended.
    pub function: Option<String>,
    /// File of that.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// Frames of its stack, while it is suspended.
    pub frames: u64,
    /// The greenlet that goes on when it ends.
    pub parent: Option<Hex>,
}

impl GreenletsReport {
    /// Names the first `limit` of what was found.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<GreenletView>, limit: usize) -> Self {
        keepers.sort(&mut found, |one| one.id);
        let count = |state| found.iter().filter(|one| one.state == state).count() as u64;
        Self {
            view: "greenlets",
            greenlets_total: found.len() as u64,
            not_started: count(Some(GreenletState::NotStarted)),
            suspended: count(Some(GreenletState::Suspended)),
            running: count(Some(GreenletState::Running)),
            finished: count(Some(GreenletState::Finished)),
            stranded: count(Some(GreenletState::Stranded)),
            unknown: count(None),
            greenlets: found.iter().take(limit).map(|one| row(keepers, one)).collect(),
        }
    }

    /// `3 suspended, 1 running`.
    fn states(&self) -> String {
        let counts = [
            (self.suspended, "suspended"),
            (self.running, "running"),
            (self.not_started, "not started"),
            (self.finished, "finished"),
            (self.stranded, "stranded by a thread that has ended"),
            (self.unknown, "in a state that is not known"),
        ];
        let known = counts.iter().filter(|(count, _)| *count > 0);
        known
            .map(|(count, state)| format!("{} {state}", number::count(*count)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn row(keepers: &mut Keepers<'_, '_>, one: &GreenletView) -> GreenletRow {
    GreenletRow {
        object: HeldObject::new(keepers, one.id),
        state: state_name(one.state),
        is_main: one.is_main,
        runs: one.runs.clone(),
        function: one.at.as_ref().map(|frame| frame.function.clone()),
        file: one.at.as_ref().map(|frame| frame.file.clone()),
        line: one.at.as_ref().and_then(|frame| frame.line),
        frames: one.frames,
        parent: one.parent.map(Hex),
    }
}

fn state_name(state: Option<GreenletState>) -> &'static str {
    match state {
        Some(GreenletState::NotStarted) => "not started",
        Some(GreenletState::Suspended) => "suspended",
        Some(GreenletState::Running) => "running",
        Some(GreenletState::Finished) => "finished",
        Some(GreenletState::Stranded) => "stranded",
        None => "unknown",
    }
}

impl Report for GreenletsReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        if self.greenlets_total == 0 {
            let known = if coverage.objects_bounded() { "no greenlets are known of" } else { "no greenlets" };
            page.paragraph(Tone::Strong, 2, known);
            return end(page, core, coverage, None);
        }
        let total = number::counted(self.greenlets_total, "greenlet", coverage.objects_bounded());
        page.paragraph(Tone::Strong, 2, &format!("{total}: {}", self.states()));
        for row in &self.greenlets {
            row.render(page);
        }
        hidden(page, self.greenlets_total, self.greenlets.len());
        if self.unknown > 0 {
            page.gap();
            page.note(
                "how far greenlets are, where, and what their frames keep only debug information of the module greenlet tells (its wheels have it)",
            );
        }
        end(page, core, coverage, self.greenlets.first().map(|row| &row.object));
    }
}

impl GreenletRow {
    fn render(&self, page: &mut Page) {
        let state = if self.state == "unknown" { "state not known" } else { self.state };
        let title = match (&self.runs, self.is_main) {
            (_, true) => format!("{state}, the main greenlet of its thread"),
            (Some(runs), _) => format!("{state} {}", place(Some(runs), None, None)),
            (None, _) => state.to_owned(),
        };
        self.object.render(page, &title);
        if let Some(function) = &self.function {
            let at = place(Some(function), self.file.as_deref(), self.line);
            let frames = number::counted(self.frames, "frame", false);
            page.line(Tone::Plain, 4, &format!("suspended in {at}, {frames}"));
        }
        if let Some(parent) = self.parent {
            page.line(Tone::Plain, 4, &format!("parent {parent}"));
        }
    }
}
