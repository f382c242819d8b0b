//! L4: from a runtime to a dense, closed graph.
//!
//! Every object gets a number; its address, type, size and flags are columns, its references a compressed adjacency.
//! Knows ids and columns; refuses to know how a dict is laid out ([`crate::cpython`] does) and what anybody asks.
//! Nothing from [`ObjectTable`] on borrows the core.

mod census;
mod edges;
mod found;
mod index;
mod table;

pub use census::{Census, CensusFigures, CensusGaps, Counted, census};
pub use edges::{HeapGraph, ReferenceFigures, TooManyObjects, build_graph};
pub use index::ObjectIndex;
pub use table::{Measured, ObjectFlags, ObjectId, ObjectTable, Rows};
