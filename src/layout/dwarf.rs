//! Layouts from debug information. Knows only how to pass the question on.

use super::{Field, LayoutSource, Origin};
use crate::debuginfo::DwarfIndex;

/// The debug information of one mapped module as a layout source.
#[derive(Clone, Debug)]
pub struct DwarfSource<'i, 'd> {
    index: &'i DwarfIndex<'d>,
    module: String,
}

impl<'i, 'd> DwarfSource<'i, 'd> {
    /// Answers from `index`, which belongs to the module of that name.
    pub fn new(index: &'i DwarfIndex<'d>, module: impl Into<String>) -> Self {
        Self { index, module: module.into() }
    }
}

impl LayoutSource for DwarfSource<'_, '_> {
    fn origin(&self) -> Origin {
        Origin::Dwarf
    }

    fn describe(&self) -> String {
        format!("DWARF of {}", self.module)
    }

    fn size_of(&self, ty: &str) -> Option<u32> {
        self.index.struct_size(ty)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.index.field(ty, path)
    }
}
