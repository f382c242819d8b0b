//! `free-if`: which reading of what the user typed, and the phases it needs.
//!
//! A path names the reference at its end: `del app.cache.SESSIONS`. An address names the object, and everything lets go of
//! it; a type, all its instances. `--object` and `--class-itself` choose another reading.

use super::args::{Common, FreeIfArguments};
use super::graph_commands::{heap, instances, whole_graph};
use super::session::Opened;
use crate::analysis::Heap;
use crate::analysis::free_if::{self, Cut};
use crate::graph::NodeSet;
use crate::query::{self, Expression, Target};
use crate::report::free_if::{FreeIfReport, Question};
use anyhow::Context;

/// Rows of each list.
const LIMIT: usize = 15;

/// `free-if`.
///
/// # Errors
/// The core cannot be decoded, the target names nothing, or Python would refuse to empty the place.
pub fn free_if(arguments: &FreeIfArguments, common: &Common) -> anyhow::Result<()> {
    let expression = query::parse(&arguments.target)?;
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let (census, graph) = whole_graph(&mut session)?;
    let target = query::resolve(&session.runtime, &expression)?;
    let heap_now = heap(&session.runtime, &census, &graph);
    let by_instances = !target.types.is_empty() && !arguments.object && !arguments.class_itself;
    let cut = match by_instances {
        true => Cut::Objects(instances(heap_now, &target)?),
        false => one(heap_now, &expression, &target, arguments.object)?,
    };
    let garbage = session.collect(&census, &graph);
    let roots = session.roots(&census, &graph, &garbage);
    let heap = heap(&session.runtime, &census, &graph);
    session.progress.phase("letting go");
    let limit = common.limit.unwrap_or(LIMIT);
    let found = free_if::free_if(heap, &roots, &garbage, &cut, limit);
    let question =
        Question { target: target.text, cut: &cut, instances: by_instances, list: arguments.list, limit };
    let report = FreeIfReport::new(heap, question, &found);
    session.finish(&report, common)
}

/// The reference at the end of a path, or the object.
fn one(heap: Heap<'_, '_>, expression: &Expression, target: &Target, object: bool) -> anyhow::Result<Cut> {
    let place = match object {
        true => None,
        false => query::held_place(heap.runtime, expression)?,
    };
    if let Some(place) = place {
        let cut = free_if::reference(heap, place.holder, place.step());
        return cut.with_context(|| format!("{} is no reference that `del` takes away", target.text));
    }
    if !object && matches!(expression.root, query::Root::Name(_)) {
        anyhow::bail!(
            "{0} is no place in an object; sys.modules[\"{0}\"] is one of a module, and --object asks what goes if everything \
             lets go of it",
            target.text
        );
    }
    let address = target.require_object()?;
    let Some(id) = heap.objects.find(address) else {
        anyhow::bail!(
            "{} at {address:#x} is no object that was counted; `exuvia show` reads it all the same",
            target.text
        );
    };
    Ok(Cut::Objects(NodeSet::from_nodes(heap.objects.len(), [id.0])))
}
