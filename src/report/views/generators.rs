//! `view generators`: generators, coroutines and async generators by function.

use super::{HeldObject, end, hidden, place};
use crate::analysis::views::{GeneratorKind, GeneratorView, Keepers, group_generators};
use crate::cpython::GeneratorState;
use crate::report::table::{Align, Table};
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view generators`.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorsReport {
    /// `generators`.
    pub view: &'static str,
    /// How many there are.
    pub generators_total: u64,
    /// Functions, states and lines that they are of.
    pub groups_total: u64,
    /// The groups that keep most.
    pub groups: Vec<GeneratorGroupRow>,
    /// The generators that keep most.
    pub generators: Vec<GeneratorRow>,
}

/// Those of one function that are as far and at one line.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorGroupRow {
    /// `generator`, `coroutine` or `async_generator`.
    pub kind: &'static str,
    /// `created`, `suspended`, `running` or `closed`.
    pub state: &'static str,
    /// `__qualname__`.
    pub function: String,
    /// File of its code; `null` for what has ended.
    pub file: Option<String>,
    /// The line they are at.
    pub line: Option<u32>,
    /// How many there are.
    pub count: u64,
    /// The sum of what each keeps alive alone.
    pub retained_bytes: u64,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorRow {
    /// The object.
    pub object: HeldObject,
    /// `created`, `suspended`, `running` or `closed`.
    pub state: &'static str,
    /// `__qualname__`.
    pub function: String,
    /// File of its code; `null` for what has ended.
    pub file: Option<String>,
    /// The line it is at.
    pub line: Option<u32>,
    /// What it delegates to or awaits.
    pub awaits: Option<Hex>,
}

impl GeneratorsReport {
    /// Groups what was found, and names the first `limit`.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<GeneratorView>, limit: usize) -> Self {
        keepers.sort(&mut found, |one| one.id);
        let groups = group_generators(&found, |id| keepers.retained(id).unwrap_or(0));
        let groups_total = groups.len() as u64;
        let groups = groups.into_iter().take(limit).map(|group| GeneratorGroupRow {
            kind: kind_name(group.kind),
            state: state_name(group.state),
            function: group.function,
            file: group.file,
            line: group.line,
            count: group.count,
            retained_bytes: group.bytes,
        });
        Self {
            view: "generators",
            generators_total: found.len() as u64,
            groups_total,
            groups: groups.collect(),
            generators: found.iter().take(limit).map(|one| row(keepers, one)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, one: &GeneratorView) -> GeneratorRow {
    GeneratorRow {
        object: HeldObject::new(keepers, one.id),
        state: state_name(one.state),
        function: one.function.clone(),
        file: one.file.clone(),
        line: one.line,
        awaits: one.awaits.map(Hex),
    }
}

fn kind_name(kind: GeneratorKind) -> &'static str {
    match kind {
        GeneratorKind::Generator => "generator",
        GeneratorKind::Coroutine => "coroutine",
        GeneratorKind::AsyncGenerator => "async_generator",
    }
}

fn state_name(state: GeneratorState) -> &'static str {
    match state {
        GeneratorState::Created => "created",
        GeneratorState::Suspended => "suspended",
        GeneratorState::Running => "running",
        GeneratorState::Closed => "closed",
    }
}

impl Report for GeneratorsReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.generators_total, "generator", coverage.objects_bounded());
        page.paragraph(Tone::Strong, 2, &format!("{total}, coroutines and async generators included"));
        if !self.groups.is_empty() {
            let mut table = Table::new(&[
                ("count", Align::Right),
                ("keep", Align::Right),
                ("state", Align::Left),
                ("kind", Align::Left),
                ("function", Align::Left),
            ]);
            for row in &self.groups {
                table.row(vec![
                    number::count(row.count),
                    number::bytes(row.retained_bytes),
                    row.state.to_owned(),
                    row.kind.to_owned(),
                    place(Some(&row.function), row.file.as_deref(), row.line),
                ]);
            }
            page.gap();
            page.table(&table);
            hidden(page, self.groups_total, self.groups.len());
        }
        for row in &self.generators {
            let at = place(Some(&row.function), row.file.as_deref(), row.line);
            row.object.render(page, &format!("{} {at}", row.state));
            if let Some(awaits) = row.awaits {
                page.line(Tone::Plain, 4, &format!("waits for {awaits}"));
            }
        }
        hidden(page, self.generators_total, self.generators.len());
        end(page, core, coverage, self.generators.first().map(|row| &row.object));
    }
}
