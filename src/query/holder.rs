//! A path as the name of a reference: who holds, and where.
//!
//! Knows that the last step of a path is a place in the object that the rest of it names; refuses to know whether the
//! place can be emptied.

use super::error::QueryError;
use super::expression::{Expression, Step};
use super::resolve::resolve;
use crate::analysis::free_if;
use crate::corefile::Address;
use crate::cpython::Runtime;

/// The place that a path's last step names.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldPlace {
    /// The object that has it.
    pub holder: Address,
    /// The path to that object.
    pub holder_text: String,
    /// The place.
    pub step: Step,
}

/// Finds the holder of what `expression` names; `None` where it has no steps: an address, a module by its first name, a
/// builtin.
///
/// # Errors
/// The step that failed, as [`resolve`] tells it.
pub fn held_place(runtime: &Runtime<'_>, expression: &Expression) -> Result<Option<HeldPlace>, QueryError> {
    // Mistakes are told of the whole path: its nearest names are those the user looks for.
    resolve(runtime, expression)?;
    let mut holder = expression.clone();
    let Some(step) = holder.steps.pop() else { return Ok(None) };
    let address = resolve(runtime, &holder)?.require_object()?;
    Ok(Some(HeldPlace { holder: address, holder_text: holder.to_string(), step }))
}

impl HeldPlace {
    /// The step, as [`free_if::reference`] takes it.
    pub fn step(&self) -> free_if::Step<'_> {
        match &self.step {
            Step::Attribute(name) => free_if::Step::Attribute(name),
            Step::Item(key) => free_if::Step::Item(key),
        }
    }
}
