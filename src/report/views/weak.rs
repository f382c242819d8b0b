//! `view weak`: dicts and sets that hold their objects weakly.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Keepers, WeakRegistry};
use crate::report::{CoreIdentity, Coverage, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view weak`.
#[derive(Clone, Debug, Serialize)]
pub struct WeakReport {
    /// `weak`.
    pub view: &'static str,
    /// How many registries there are.
    pub registries_total: u64,
    /// Entries in all of them.
    pub entries: u64,
    /// Those of them whose object is gone.
    pub dead: u64,
    /// The registries that keep most.
    pub registries: Vec<RegistryRow>,
}

/// One registry.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryRow {
    /// The registry.
    pub object: HeldObject,
    /// Entries it has.
    pub entries: u64,
    /// Those of them whose object is gone.
    pub dead: u64,
}

impl WeakReport {
    /// Names the first `limit` of what was found.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<WeakRegistry>, limit: usize) -> Self {
        keepers.sort(&mut found, |registry| registry.id);
        let mut registries = Vec::new();
        for registry in found.iter().take(limit) {
            let object = HeldObject::new(keepers, registry.id);
            registries.push(RegistryRow { object, entries: registry.entries, dead: registry.dead });
        }
        Self {
            view: "weak",
            registries_total: found.len() as u64,
            entries: found.iter().map(|registry| registry.entries).fold(0, u64::saturating_add),
            dead: found.iter().map(|registry| registry.dead).fold(0, u64::saturating_add),
            registries,
        }
    }
}

impl Report for WeakReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.objects_bounded();
        let registries = number::at_least(self.registries_total, bound);
        let (entries, dead) = (number::count(self.entries), number::count(self.dead));
        page.paragraph(
            Tone::Strong,
            2,
            &format!(
                "{registries} weak dicts and sets with {entries} entries, the objects of {dead} are gone"
            ),
        );
        for row in &self.registries {
            let (entries, dead) = (number::count(row.entries), number::count(row.dead));
            row.object.render(page, &format!("{entries} entries, {dead} dead"));
        }
        hidden(page, self.registries_total, self.registries.len());
        end(page, core, coverage, self.registries.first().map(|row| &row.object));
    }
}
