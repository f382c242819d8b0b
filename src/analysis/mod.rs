//! L5: questions about a heap. One file, one question, one owned result.
//!
//! Knows objects, edges and their meaning; refuses to know text tables, JSON and memory layouts. Results own what they
//! say: none borrows the core.

mod collector;
mod collector_columns;
mod cuts;
mod cycle_shape;
mod cycles;
mod dominator_rows;
pub mod free_if;
mod growth;
mod held_by_garbage;
mod histogram;
mod holders;
mod instances;
mod labels;
mod paths;
mod python_path;
mod referrers;
mod retained_types;
mod retention;
mod root_doubts;
mod roots;
mod share;
mod split_counts;
mod suspects;
mod thread_locals;
mod type_groups;
pub mod views;
mod waste;

pub use collector::{Collection, InterpreterGarbage, WhyUncollected, collect};
pub use cuts::{Cut, CutPlace, Cuts, best_cuts};
pub use cycle_shape::{CycleStep, ShapeEdge};
pub use cycles::{CycleGroup, Cycles, cycles};
pub use dominator_rows::{DominatorKind, DominatorLimits, DominatorRow, DominatorRows, dominator_rows};
pub use growth::{
    Amount, Change, Diff, HolderSize, Matched, Series, Snapshot, Trend, TypeChange, TypeSize, diff, trend,
};
pub use histogram::{Histogram, Selection, TypeTotal, histogram};
pub use holders::Holders;
pub use instances::{InstanceFilter, Instances, instances, refcount};
pub use labels::{LabelShape, Labels};
pub use paths::{HolderPath, MergedPaths, MergedStep, PathStep, PathsLimits, merged_paths, paths};
pub use python_path::PathWriter;
pub use referrers::{Direction, ReferenceCount, ReferenceRow, ReferencesAnswer, references};
pub use retained_types::retained_by_types;
pub use retention::Retention;
pub use roots::{Root, Roots};
pub use share::Least;
pub use suspects::{
    Confidence, Evidence, Mostly, Remedy, Suspect, SuspectKind, Suspects, Thresholds, describe_contents,
    read_all_bounds, retained_by_suspects, suspects,
};
pub use thread_locals::{LocalNamespace, NamespaceOwner, ThreadTies, namespaces_of, thread_locals};
pub use type_groups::{TypeGrouping, TypeGroups};
pub use waste::{ValueGroup, Waste, WasteFinding, WasteHolder, WasteKind, WasteLimits, waste, waste_of_room};

use crate::cpython::{Runtime, TypeId, TypeInfo, uncounted_referents};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::{HeapGraph, ObjectId, ObjectTable};

/// What every question needs: the process, its objects, their references.
#[derive(Clone, Copy, Debug)]
pub struct Heap<'h, 'core> {
    /// Where labels, names and values are read again.
    pub runtime: &'h Runtime<'core>,
    /// All objects.
    pub objects: &'h ObjectTable,
    /// Their references.
    pub graph: &'h HeapGraph,
}

impl<'h> Heap<'h, '_> {
    /// The object that is node `node` of the graph.
    pub fn id(&self, node: u32) -> Option<ObjectId> {
        ((node as usize) < self.objects.len()).then_some(ObjectId(node))
    }

    /// Shallow size of the object that is node `node`, in bytes ([`ObjectTable::shallow`]); 0 if there is none.
    #[inline]
    pub fn shallow(&self, node: u32) -> u64 {
        self.id(node).map_or(0, |id| self.objects.shallow(id))
    }

    /// An object's reference count; `None` when its header is not readable.
    pub fn refcount(&self, id: ObjectId) -> Option<u64> {
        self.runtime.refcount(self.objects.address(id)).ok().map(|found| found.count)
    }

    /// Calls `each` with every object that `id`, a frame or generator, visits though the object's count has no reference
    /// of it; see [`uncounted_referents`].
    pub fn uncounted(&self, id: ObjectId, each: &mut impl FnMut(ObjectId)) {
        let kind = self.type_of(id).walk.kind;
        // A frame that is not readable has given no edges either.
        let _ = uncounted_referents(self.runtime, kind, self.objects.address(id), &mut |target| {
            if let Some(target) = self.objects.find(target) {
                each(target);
            }
        });
    }

    /// All direct instances of the types that `is_wanted`, each of which is asked once.
    pub fn nodes_of_types(&self, is_wanted: impl Fn(TypeId, &TypeInfo) -> bool) -> NodeSet {
        let types = self.runtime.types.iter();
        let wanted: Vec<bool> = types.map(|(id, info)| is_wanted(id, info)).collect();
        let column = self.objects.types_column();
        if !wanted.contains(&true) {
            return NodeSet::new(column.len());
        }
        let is_of_these =
            |node: u32| column.get(node as usize).and_then(|id| wanted.get(id.0 as usize)) == Some(&true);
        NodeSet::passing(column.len(), is_of_these)
    }

    /// What is known of an object's type.
    pub fn type_of(&self, id: ObjectId) -> &'h TypeInfo {
        self.runtime.types.get(self.objects.type_id(id))
    }

    /// `module.qualname` of an object's type, without `builtins.`, as Python writes it.
    pub fn type_name(&self, id: ObjectId) -> &'h str {
        python_name(&self.type_of(id).name)
    }
}

/// What is alive and why, where all of it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'r> {
    /// All roots ([`Roots::find`]).
    pub roots: &'r Roots,
    /// What each object retains.
    pub retention: &'r Retention,
    /// The best path to each.
    pub holders: &'r Holders,
}

/// A type's name as Python writes it: built-in ones without their module.
pub fn python_name(name: &str) -> &str {
    name.strip_prefix("builtins.").unwrap_or(name)
}

/// Whether an edge keeps its target alive, as far as known: all but weak ones.
pub fn keeps_alive(kind: EdgeKind) -> bool {
    kind != EdgeKind::Weak
}
