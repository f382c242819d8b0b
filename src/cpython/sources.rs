//! From where the layouts of one interpreter are learnt: debug information, a layout table, what the process says of itself.
//!
//! Knows the order of trust and what the sources must agree on; refuses to know what the structs mean.

use super::layouts::Layouts;
use super::shapes::Shapes;
use super::{Header, PyVersion, PythonError};
use crate::debuginfo::Binaries;
use crate::layout::{DwarfSource, LayoutSource, Resolution, Resolver, Table};

/// Everything that was asked of the sources, with how they answered.
#[derive(Debug)]
pub(super) struct Learnt {
    /// Offsets of every struct.
    pub layouts: Layouts,
    /// The header of every object.
    pub header: Header,
    /// Fixed reference fields of the interpreter's own types.
    pub shapes: Shapes,
    /// Every question with its answer and origin.
    pub resolutions: Vec<Resolution>,
    /// Descriptions of the sources, most trusted first.
    pub sources: Vec<String>,
}

/// Asks the debug information of `module` (or of its own debug file), then `table`.
///
/// # Errors
/// No source, a required field that none has, or two that contradict each other.
pub(super) fn learn(
    binaries: &Binaries<'_>,
    module: usize,
    module_name: &str,
    table: Option<&Table>,
    version: PyVersion,
) -> Result<Learnt, PythonError> {
    let dwarf_source;
    let mut sources: Vec<&dyn LayoutSource> = Vec::new();
    match (binaries.dwarf(module), table) {
        (Ok(index), _) => {
            dwarf_source = DwarfSource::new(index, module_name);
            sources.push(&dwarf_source);
        }
        (Err(_), Some(_)) => {}
        (Err(reason), None) => {
            return Err(PythonError::NoLayout { module: module_name.to_owned(), reason: reason.to_owned() });
        }
    }
    if let Some(table) = table {
        sources.push(table);
    }
    let descriptions = sources.iter().map(|source| source.describe()).collect();
    let mut resolver = Resolver::new(sources);
    let layouts = Layouts::resolve(&mut resolver)?;
    let header = Header::new(&layouts, &mut resolver)?;
    if header.has_gc_bits() {
        return Err(PythonError::FreeThreaded { version });
    }
    let shapes = Shapes::resolve(&mut resolver);
    if let Some(conflict) = resolver.conflict() {
        return Err(conflict.into());
    }
    Ok(Learnt { layouts, header, shapes, resolutions: resolver.resolved().to_vec(), sources: descriptions })
}
