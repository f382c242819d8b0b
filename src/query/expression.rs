//! The parsed form of a query, and its text.

use crate::corefile::Address;
use crate::cpython::ItemKey;
use std::fmt;

/// A path to an object, or a pattern of type names. Its text, as `Display` gives it, parses to the same expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Where it begins.
    pub root: Root,
    /// What follows, from left to right.
    pub steps: Vec<Step>,
}

/// The beginning of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Root {
    /// `0x7f…`
    Address(Address),
    /// The first part of a dotted name.
    Name(String),
    /// A whole dotted name with `*` (any characters) or `?` (any one); no steps follow.
    Pattern(String),
}

/// One step from an object to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `.name`
    Attribute(String),
    /// `[key]`
    Item(ItemKey),
}

impl Expression {
    /// The dotted name at the beginning, part by part: the root and the attributes up to the first item.
    pub fn dotted(&self) -> Vec<&str> {
        let Root::Name(first) = &self.root else { return Vec::new() };
        let attributes = self.steps.iter().map_while(|step| match step {
            Step::Attribute(name) => Some(name.as_str()),
            Step::Item(_) => None,
        });
        std::iter::once(first.as_str()).chain(attributes).collect()
    }

    /// The text of the root and the first `count` steps.
    pub fn prefix(&self, count: usize) -> String {
        let mut text = self.root.to_string();
        self.steps.iter().take(count).for_each(|step| text.push_str(&step.to_string()));
        text
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address:#x}"),
            Self::Name(text) | Self::Pattern(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, ".{name}"),
            Self::Item(key) => write!(f, "[{key}]"),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix(self.steps.len()))
    }
}
