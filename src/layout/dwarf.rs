//! Layouts from debug information. Knows only how to pass the question on.

use super::{Field, LayoutSource, Origin};
use crate::debuginfo::{DwarfIndex, ModuleTypes};

/// The debug information of one file, or of one mapped module, as a layout source.
#[derive(Clone, Debug)]
pub struct DwarfSource<T> {
    types: T,
    module: String,
}

/// Debug information that can be asked for structs by name.
pub trait NamedStructs {
    /// Size of a struct in bytes.
    fn struct_size(&self, ty: &str) -> Option<u32>;
    /// The place of a field of a struct.
    fn field(&self, ty: &str, path: &str) -> Option<Field>;
}

impl NamedStructs for &DwarfIndex<'_> {
    fn struct_size(&self, ty: &str) -> Option<u32> {
        DwarfIndex::struct_size(self, ty)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        DwarfIndex::field(self, ty, path)
    }
}

impl NamedStructs for ModuleTypes<'_, '_> {
    fn struct_size(&self, ty: &str) -> Option<u32> {
        ModuleTypes::struct_size(self, ty)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        ModuleTypes::field(self, ty, path)
    }
}

impl<T: NamedStructs> DwarfSource<T> {
    /// Answers from `types`, which belong to the module of that name.
    pub fn new(types: T, module: impl Into<String>) -> Self {
        Self { types, module: module.into() }
    }
}

impl<T: NamedStructs> LayoutSource for DwarfSource<T> {
    fn origin(&self) -> Origin {
        Origin::Dwarf
    }

    fn describe(&self) -> String {
        format!("DWARF of {}", self.module)
    }

    fn size_of(&self, ty: &str) -> Option<u32> {
        self.types.struct_size(ty)
    }

    fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.types.field(ty, path)
    }
}
