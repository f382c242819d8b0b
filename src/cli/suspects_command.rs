//! `suspects`, and the conditions under which it fails.

use super::Outcome;
use super::args::{Common, SuspectsArguments};
use super::graph_commands::{heap, whole_graph};
use super::session::Opened;
use crate::analysis::{self, Collection, Heap, InstanceFilter, Retention, Suspects, Thresholds};
use crate::query::{self, Condition, Measure};
use crate::report::suspects::{Amount, ConditionRow, SuspectsReport};

/// Suspects.
const SUSPECTS_LIMIT: usize = 10;

/// `suspects`.
///
/// # Errors
/// The core cannot be decoded, or a condition names what is not there.
pub fn suspects(arguments: &SuspectsArguments, common: &Common) -> anyhow::Result<Outcome> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let alive = session.alive(&census, &graph);
    let thresholds = Thresholds::default().with(arguments.min_bytes, arguments.min_share);
    let mut found = session.suspects(&census, &graph, &alive, &thresholds);
    let heap = heap(&session.runtime, &census, &graph);
    analysis::describe_contents(heap, &alive.retention, &mut found);
    let measured = Measured { heap, garbage: &alive.garbage, retention: &alive.retention, suspects: &found };
    let conditions = arguments.fail_if.iter().map(|condition| measured.row(condition));
    let conditions = conditions.collect::<anyhow::Result<Vec<ConditionRow>>>()?;
    let limit = common.limit.unwrap_or(SUSPECTS_LIMIT);
    let report = SuspectsReport::new(&census.objects, &found, conditions, limit);
    session.print(&report, common)?;
    session.keep_for_next(&census, &graph, &alive, None);
    Ok(if report.fails() { Outcome::ConditionHolds } else { Outcome::Done })
}

/// What conditions ask about.
struct Measured<'m, 'h, 'core> {
    heap: Heap<'h, 'core>,
    garbage: &'m Collection,
    retention: &'m Retention,
    suspects: &'m Suspects,
}

impl Measured<'_, '_, '_> {
    fn row(&self, condition: &Condition) -> anyhow::Result<ConditionRow> {
        let list = &self.suspects.list;
        let amount = match &condition.measure {
            Measure::Retained => Amount::Bytes(list.iter().map(|suspect| suspect.kept()).max().unwrap_or(0)),
            Measure::Share => Amount::Share(list.iter().map(|suspect| suspect.share).max().unwrap_or(0)),
            Measure::Suspects => Amount::Count(list.len() as u64),
            Measure::Garbage => Amount::Bytes(self.garbage.bytes()),
            Measure::Heap => Amount::Bytes(self.suspects.heap_bytes),
            Measure::RetainedBy(name) => Amount::Bytes(self.retained_by(&condition.text, name)?),
            Measure::Objects(name) => Amount::Count(self.instances(&condition.text, name)?.0),
            Measure::Bytes(name) => Amount::Bytes(self.instances(&condition.text, name)?.1),
        };
        Ok(ConditionRow::new(condition.text.clone(), amount, condition.holds(amount.value())))
    }

    fn target(&self, condition: &str, name: &str) -> anyhow::Result<query::Target> {
        let target = query::parse(name).and_then(|expression| query::resolve(self.heap.runtime, &expression));
        target.map_err(|error| anyhow::anyhow!("--fail-if {condition}: {error}"))
    }

    /// Bytes that would be freed with an object.
    fn retained_by(&self, condition: &str, name: &str) -> anyhow::Result<u64> {
        let target = self.target(condition, name)?;
        let object =
            target.require_object().map_err(|error| anyhow::anyhow!("--fail-if {condition}: {error}"))?;
        let Some(id) = self.heap.objects.find(object) else {
            anyhow::bail!("--fail-if {condition}: {} is no object that was counted", target.text);
        };
        Ok(self.retention.bytes(id))
    }

    /// Instances of the types of a name, and their bytes.
    fn instances(&self, condition: &str, name: &str) -> anyhow::Result<(u64, u64)> {
        let target = self.target(condition, name)?;
        if target.types.is_empty() {
            anyhow::bail!(
                "--fail-if {condition}: {} is an object, not a type; retained({0}) measures it",
                target.text
            );
        }
        let Heap { runtime, objects, .. } = self.heap;
        let found = analysis::instances(runtime, objects, &target.types, &InstanceFilter::default(), 0);
        Ok((found.objects, found.bytes))
    }
}
