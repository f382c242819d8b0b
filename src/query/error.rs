//! Why a text names nothing: the step that failed, and what comes nearest to it.

use crate::corefile::Address;

/// A text that cannot be read, or that names nothing in this core. One line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text does not follow the grammar.
    #[error("column {column} of `{text}`: {problem}")]
    Syntax {
        /// The text.
        text: String,
        /// The offending character, counted from 1.
        column: usize,
        /// What is wrong there, and what would be right.
        problem: String,
    },
    /// The first name is no module, builtin or type.
    #[error("no imported module, builtin or type is called {name}{}", nearest_list(nearest))]
    Unknown {
        /// The dotted name.
        name: String,
        /// Modules and types with similar names.
        nearest: Vec<String>,
    },
    /// No type matches a pattern.
    #[error("no type matches {pattern}; patterns match whole names such as builtins.dict or app.cache.Entry")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// Types of several modules end in the name.
    #[error("{name} could be any of {}; write one in full, or *.{name} for all", candidates.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Full names of types that end in it.
        candidates: Vec<String>,
    },
    /// An object lacks an attribute.
    #[error("{holder} has no attribute '{name}'{}", nearest_list(nearest))]
    NoAttribute {
        /// The path up to the object.
        holder: String,
        /// The attribute.
        name: String,
        /// Attributes with similar names.
        nearest: Vec<String>,
    },
    /// An attribute exists only while code runs.
    #[error(
        "{holder}.{name} is computed by a {kind}, and no code of the core is run{}",
        nearest_list(nearest)
    )]
    Computed {
        /// The path up to the object.
        holder: String,
        /// The attribute.
        name: String,
        /// Type of the descriptor that would compute it.
        kind: String,
        /// Attributes with similar names, which may hold the value.
        nearest: Vec<String>,
    },
    /// A mapping lacks a key.
    #[error("{holder} has no key {key}{}", nearest_list(nearest))]
    NoKey {
        /// The path up to the mapping.
        holder: String,
        /// The key, as a literal.
        key: String,
        /// Similar keys.
        nearest: Vec<String>,
    },
    /// A sequence is shorter.
    #[error("{holder} has no item [{index}]: its length is {length}")]
    OutOfRange {
        /// The path up to the sequence.
        holder: String,
        /// The position, as a literal.
        index: String,
        /// Its length.
        length: usize,
    },
    /// A sequence was asked for a key that is no whole number.
    #[error("{holder} is a {type_name}: its items are found by position, not by {key}")]
    NotAPosition {
        /// The path up to the sequence.
        holder: String,
        /// Its type.
        type_name: String,
        /// The key, as a literal.
        key: String,
    },
    /// An object is no container whose items are known.
    #[error(
        "{holder} is a {type_name}, whose items cannot be had without running code; name an attribute of it{}",
        nearest_list(nearest)
    )]
    NotAContainer {
        /// The path up to the object.
        holder: String,
        /// Its type.
        type_name: String,
        /// Attributes it has.
        nearest: Vec<String>,
    },
    /// No object starts at the address.
    #[error("{address:#x} is no object: {found}")]
    NotAnObject {
        /// The address.
        address: Address,
        /// What is there.
        found: String,
    },
    /// One object is wanted, but the text names several types.
    #[error("{text} names {count} types, not one object; write the full name of one, or its address")]
    NotOneObject {
        /// The text.
        text: String,
        /// How many types it names.
        count: usize,
    },
}

/// `; nearest: a, b`, or nothing.
fn nearest_list(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; nearest: {}", nearest.join(", ")) }
}
