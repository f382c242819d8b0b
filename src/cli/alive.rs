//! What is alive in a heap, and what each object retains: what the commands that measure begin with, and what the index keeps.

use super::session::Session;
use crate::analysis::{Collection, Holders, Reached, Retention, Roots};
use crate::heap::{Counted, HeapGraph};

/// What is alive and why, and what is not.
pub(super) struct Alive {
    /// What the collector would find.
    pub garbage: Collection,
    /// All roots.
    pub roots: Roots,
    /// What every object retains.
    pub retention: Retention,
}

impl Alive {
    /// With the best path to every object.
    pub fn reached<'a>(&'a self, holders: &'a Holders) -> Reached<'a> {
        Reached { roots: &self.roots, retention: &self.retention, holders }
    }
}

impl Session<'_> {
    /// Tells what is alive from garbage, and measures it.
    pub(super) fn alive(&mut self, counted: &Counted, graph: &HeapGraph) -> Alive {
        let garbage = self.collect(counted, graph);
        let (roots, retention) = self.retention(counted, graph, &garbage);
        Alive { garbage, roots, retention }
    }
}
