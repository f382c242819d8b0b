//! Reads everything that any command may read of the process' files, so that it is recorded.
//!
//! Knows which commands read what no other does; refuses to know what is done with the record.

use super::SaveError;
use crate::analysis::{Heap, Roots, Thresholds, collect, read_all_bounds, suspects, views, waste_of_room};
use crate::corefile::{Inputs, ProcessIdentity};
use crate::cpython::{Runtime, Values, ask_member_names};
use crate::heap::{Census, HeapGraph, build_graph, census};
use crate::report::info::InfoReport;
use crate::report::threads::{ThreadOptions, ThreadsReport};

/// What a whole analysis found, for who needs it besides.
#[derive(Debug)]
pub struct WholeHeap {
    /// The objects.
    pub census: Census,
    /// Their references.
    pub graph: HeapGraph,
}

/// Analyses the heap as `overview`, `info` and `threads` do, and asks the files what labels and layout tables would ask them.
///
/// # Errors
/// The heap cannot be analysed.
pub fn read_everything(inputs: &Inputs, runtime: &mut Runtime<'_>) -> Result<WholeHeap, SaveError> {
    let census = census(runtime)?;
    let graph = build_graph(runtime, &census.objects)?;
    let garbage = collect(runtime, &census.objects, &graph);
    let heap = Heap { runtime, objects: &census.objects, graph: &graph };
    suspects(heap, &Roots::named(heap, &garbage), &garbage, &Thresholds::default());
    read_all_bounds(heap);
    waste_of_room(runtime, &census.objects);
    ProcessIdentity::of(inputs.notes(), &runtime.space);
    views::read_views(heap);
    InfoReport::new(inputs, Some(runtime), None, true);
    ThreadsReport::new(inputs, runtime, ThreadOptions { values: Values::Shown, limit: usize::MAX });
    // `dev layouts` follows traversals of types that have no instances.
    let _ = runtime.layout_table();
    ask_member_names(runtime);
    runtime.binaries.ask_all();
    Ok(WholeHeap { census, graph })
}
