//! Exuvia: an offline heap analyzer for CPython.
//!
//! ```text
//! core file ──▶ AddressSpace ◀── executable, libraries, debug files
//!                   │                  │ symbols, DWARF
//!                   │                  ▼
//!                   │            LayoutSource (names → offsets), resolved once, probed
//!                   ▼                  ▼
//!                Runtime (interpreters, threads, frames, GC lists, allocators, types)
//!                   │ census               │ visit_references
//!                   ▼                      ▼
//!             ObjectTable + roots ──▶ HeapGraph ──▶ analyses ──▶ Report ──▶ text │ JSON
//! ```
//!
//! Modules are declared in dependency order: a layer uses only what stands above it here.

pub mod columns;

pub mod graph;

pub mod corefile;

pub mod capture;

pub mod debuginfo;

pub mod layout;

pub mod machine;

pub mod cpython;

pub mod heap;

pub mod analysis;

pub mod index;

pub mod query;

pub mod report;

pub mod saved;

pub mod cli;

#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
