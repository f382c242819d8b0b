//! L6: the language by which a user names objects and types, and says when a check fails.
//!
//! ```text
//! 0x7f3a5c0012f0                       the object at an address
//! app.cache.SESSIONS["k"][0].owner     what Python would find, without any code being run
//! sys.modules["app"].BUS
//! app.cache.Entry                      a class, as an object or for its instances
//! Entry, cache.Entry, app.*.Entry      classes by the end of their name, or by a pattern
//! ```
//!
//! [`parse`] knows the grammar, [`resolve`] the order of search. Refuses to know layouts and reports: it asks
//! `cpython` for attributes and items, and says what it found or which step failed and what is nearest to it.

mod amount;
mod condition;
mod error;
mod expression;
mod holder;
mod nearest;
mod objects;
mod parse;
mod place;
mod resolve;

pub use amount::{AmountError, parse_count, parse_share, parse_size};
pub use condition::{Condition, ConditionError, Measure};
pub use error::QueryError;
pub use expression::{Expression, Root, Step};
pub use holder::{HeldPlace, held_place};
pub use parse::parse;
pub use resolve::{Target, resolve};
