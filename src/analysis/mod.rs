//! L5: questions about a heap. One file, one question, one owned result.
//!
//! Knows objects, edges and their meaning; refuses to know text, JSON and memory layouts.

mod collector;
mod histogram;
mod instances;

pub use collector::{Collection, WhyUncollected, collect};
pub use histogram::{Histogram, Selection, TypeTotal, histogram};
pub use instances::{InstanceFilter, Instances, instances, refcount};
