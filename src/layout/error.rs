//! What goes wrong when layouts are merged. Knows names and sources; refuses to know why anyone asked.

use thiserror::Error;

use super::Field;

/// A layout that is missing or contradictory.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// No source knows a field that is needed.
    #[error("the place of `{path}` in `{ty}` is unknown; asked: {sources}; {advice}")]
    MissingField {
        /// The struct, with its alternative spellings.
        ty: String,
        /// The field, as asked for.
        path: String,
        /// The sources asked, most trusted first.
        sources: String,
        /// What to try next.
        advice: &'static str,
    },
    /// No source knows the size of a struct that is needed.
    #[error("the size of `{ty}` is unknown; asked: {sources}; {advice}")]
    MissingStruct {
        /// The struct, with its alternative spellings.
        ty: String,
        /// The sources asked, most trusted first.
        sources: String,
        /// What to try next.
        advice: &'static str,
    },
    /// Two sources that both describe this very build disagree.
    #[error(
        "sources disagree on `{path}` in `{ty}`: {first} says {first_field}, {second} says {second_field}; \
         check that the files given belong to the process (build-id)"
    )]
    Conflict {
        /// The struct.
        ty: String,
        /// The field; `(size)` for the size of the struct.
        path: String,
        /// The more trusted source.
        first: String,
        /// What it says.
        first_field: Field,
        /// The other source.
        second: String,
        /// What that says.
        second_field: Field,
    },
}

/// What to try when a layout is missing.
pub(super) const ADVICE: &str = "give the binary's debug information (a separate debug file or an unstripped build) or a layout table made from a build of the same version";
