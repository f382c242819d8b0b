//! L6: answers as owned values that can be written as text or JSON.
//!
//! A report is made from the results of analyses and from names; it computes nothing about the heap. Knows formats
//! and schemas; refuses to know memory layouts and to print.

pub mod captured;
pub mod coverage;
pub mod cuts;
pub mod cycles;
pub mod diff;
pub mod dominators;
pub mod envelope;
pub mod free_if;
pub mod growth;
pub mod header;
pub mod index;
pub mod info;
pub mod modules;
mod number;
pub mod objects;
pub mod outline;
pub mod overview;
mod page;
pub mod paths;
pub mod referrers;
pub mod saved;
pub mod show;
pub mod suspects;
pub mod table;
pub mod threads;
pub mod trend;
pub mod types;
pub mod views;
pub mod waste;

pub use coverage::{Answer, AnswerState, Coverage};
pub use envelope::{CoreIdentity, Envelope, SCHEMA_VERSION, Signal, signal_name};
pub use number::Hex;
pub use page::{Page, Tone, escape};

use serde::Serialize;

/// The answer of one command.
pub trait Report: Serialize {
    /// The command's name, in the JSON document.
    const COMMAND: &'static str;

    /// Writes the answer for people. `coverage` says which numbers are bounds.
    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage);
}

/// A type's name as people write it: `dict`, not `builtins.dict`.
pub fn short_type_name(name: &str) -> &str {
    name.strip_prefix("builtins.").unwrap_or(name)
}
