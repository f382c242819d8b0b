//! From where the layouts of one interpreter are learnt: debug information, a layout table, what the process says of itself.
//!
//! Knows the order of trust and what the sources must agree on; refuses to know what the structs mean.

use super::choice::{Candidate, Evidence, proved};
use super::layouts::Layouts;
use super::shapes::Shapes;
use super::{Header, PythonError};
use crate::corefile::{Address, AddressSpace};
use crate::debuginfo::Binaries;
use crate::layout::{DwarfSource, LayoutSource, Origin, Resolution, Resolver, Table};
use std::borrow::Cow;

/// Everything that was asked of the sources, with how they answered.
#[derive(Debug)]
pub(super) struct Learnt<'core> {
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
    /// The table among them, or the one given besides debug information.
    pub table: Option<Cow<'core, Table>>,
}

/// The interpreter whose layouts are to be learnt.
pub(super) struct Subject<'a, 'core> {
    /// All memory.
    pub space: &'a AddressSpace<'core>,
    /// The mapped files.
    pub binaries: &'a Binaries<'core>,
    /// Index of the module that holds it.
    pub module: usize,
    /// Name of that module.
    pub module_name: &'a str,
    /// `_PyRuntime`.
    pub runtime: Address,
    /// What is known of the build.
    pub evidence: &'a Evidence,
}

/// Asks the debug information of the module (or of its own debug file); without any, the `table` given by the user or the
/// embedded one that the core proves right. What the process says of itself is compared with either. With `only`, no other
/// source is asked than that; of [`Origin::Runtime`], a table has what the process does not say.
///
/// # Errors
/// No source, a required field that none has, or two that contradict each other.
pub(super) fn learn<'core>(
    subject: &Subject<'_, 'core>,
    table: Option<Cow<'core, Table>>,
    only: Option<Origin>,
) -> Result<Learnt<'core>, PythonError> {
    let offsets = subject.evidence.offsets.as_ref();
    let index = match only {
        None | Some(Origin::Dwarf) => subject.binaries.types(subject.module),
        Some(_) => Err("debug information was not to be used (--layouts)".to_owned()),
    };
    let chosen = match (&index, only) {
        (Ok(_), _) => table,
        (Err(reason), Some(Origin::Dwarf)) => return Err(subject.no_layout(reason)),
        (Err(_), Some(Origin::Runtime)) if offsets.is_none() => {
            return Err(subject
                .no_layout("the process has no _Py_DebugOffsets of a known release (3.13 and later have)"));
        }
        (Err(reason), _) => Some(subject.table(table, reason)?),
    };
    let dwarf = index.ok().map(|index| DwarfSource::new(index, subject.module_name));
    let mut sources: Vec<&dyn LayoutSource> = Vec::new();
    if let Some(dwarf) = &dwarf {
        sources.push(dwarf);
    }
    if let (Some(offsets), None | Some(Origin::Runtime)) = (offsets, only) {
        sources.push(offsets);
    }
    // A file with debug information knows what its build does not have; a table made from another must not add to it.
    if let (Some(table), None) = (chosen.as_deref(), &dwarf) {
        sources.push(table);
    }
    let descriptions = sources.iter().map(|source| source.describe()).collect();
    let mut resolver = Resolver::new(sources);
    let layouts = Layouts::resolve(&mut resolver)?;
    let header = Header::new(&layouts, &mut resolver)?;
    let shapes = Shapes::resolve(&mut resolver);
    if let Some(conflict) = resolver.conflict() {
        return Err(conflict.into());
    }
    let resolutions = resolver.resolved().to_vec();
    Ok(Learnt { layouts, header, shapes, resolutions, sources: descriptions, table: chosen })
}

impl Subject<'_, '_> {
    /// The user's table, else the embedded one that fits.
    fn table<'core>(
        &self,
        given: Option<Cow<'core, Table>>,
        reason: &str,
    ) -> Result<Cow<'core, Table>, PythonError> {
        if let Some(table) = given {
            return Ok(table);
        }
        let candidates = Candidate::all(self.evidence);
        match proved(candidates, self.space, self.evidence.offsets.as_ref(), self.runtime) {
            Ok(candidate) => Ok(Cow::Owned(candidate.table)),
            Err(why) => Err(self.no_layout(&format!("{reason}; {why}"))),
        }
    }

    fn no_layout(&self, reason: &str) -> PythonError {
        PythonError::NoLayout {
            python: self.evidence.describe(),
            module: self.module_name.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
