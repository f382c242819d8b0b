//! The commands that look for savings and compare heaps.

use super::args::{Common, WasteArguments};
use super::session::Opened;
use crate::analysis::{self, Heap, WasteLimits};
use crate::cpython::Values;
use crate::report::waste::WasteReport;

/// Findings, and values, of `waste`.
const WASTE_LIMIT: usize = 12;

/// `waste`.
///
/// # Errors
/// The core cannot be decoded.
pub fn waste(arguments: &WasteArguments, common: &Common) -> anyhow::Result<()> {
    let mut opened = Opened::open(&arguments.core, common)?;
    let mut session = opened.session()?;
    let census = session.census()?;
    let graph = session.graph(&census)?;
    session.progress.phase("comparing values and measuring room");
    let limit = common.limit.unwrap_or(WASTE_LIMIT);
    let heap = Heap { runtime: &session.runtime, objects: &census.objects, graph: &graph };
    let found = analysis::waste(heap, WasteLimits { groups: limit, held: limit, within: None });
    let values = if arguments.values { Values::Shown } else { Values::Hidden };
    let report = WasteReport::new(heap, &found, values, limit);
    session.finish(&report, common)
}
