//! L2: C struct and field *names* become offsets. Knows where layouts can be learnt from and which source is to be
//! believed; refuses to know what the structs are and which program they belong to.

mod dwarf;
mod error;
mod resolver;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use crate::debuginfo::{Bits, Field};
pub use dwarf::{DwarfSource, NamedStructs};
pub use error::LayoutError;
pub use resolver::{Resolution, Resolver};
pub use table::{Table, TableModule, TableStruct, TableSymbol, TableVariant};
pub use text::TableError;

/// How a layout became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Read from the debug information of the very file that was mapped.
    Dwarf,
    /// Read from a description that the dead process carried about itself.
    Runtime,
    /// Taken from a table made from another build of the same source.
    Table,
    /// Inferred from what was found in memory or in code.
    Derived,
}

impl Origin {
    /// Whether the source speaks of this very build, so that two such sources cannot honestly disagree.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Dwarf | Self::Runtime)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dwarf => "DWARF",
            Self::Runtime => "runtime",
            Self::Table => "table",
            Self::Derived => "derived",
        })
    }
}

/// Something that can say where fields are.
///
/// `ty` and `path` are one exact spelling each; the alternatives of [`Resolver`] are taken apart before a source is
/// asked. `None` means that the source does not know, not that there is no such field.
pub trait LayoutSource {
    /// How this source came to know.
    fn origin(&self) -> Origin;
    /// The source by name, for people: "DWARF of libfoo.so.1".
    fn describe(&self) -> String;
    /// Size of a struct in bytes.
    fn size_of(&self, ty: &str) -> Option<u32>;
    /// The place of a field. A source that knows the offset only gives the size 0.
    fn field(&self, ty: &str, path: &str) -> Option<Field>;
}
