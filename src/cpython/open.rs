//! The order in which an interpreter is opened: found, its layouts learnt and proved, its state read.
//!
//! Knows the order only; each step is a module of its own.

use super::landmarks::Landmarks;
use super::locate::{find_runtime, find_symbol};
use super::sources::{learn, read_version};
use super::{MemberNames, PythonError, Runtime, Semantics, TypeTable, gc, interpreter};
use crate::corefile::Inputs;
use crate::debuginfo::Binaries;
use crate::layout::Table;
use std::borrow::Cow;

impl<'core> Runtime<'core> {
    /// Finds the interpreter in `inputs`, resolves its layouts from its DWARF or from `table`, proves them by what the
    /// core itself says, and reads interpreters, the collector's lists and all types.
    ///
    /// # Errors
    /// No interpreter, no layout, a layout that the core contradicts, or an unsupported release.
    pub fn open(inputs: &'core Inputs, table: Option<&'core Table>) -> Result<Self, PythonError> {
        let space = inputs.space();
        let binaries = Binaries::new(inputs);
        let (module, address) = find_runtime(inputs, &space, &binaries, table)?;
        let module_name = inputs.modules().get(module).map_or("", |module| module.name()).to_owned();
        let symbol = |name: &str| find_symbol(&binaries, table, module, name);
        let version = read_version(&space, symbol("Py_Version"), &module_name)?;
        let learnt = learn(&binaries, module, &module_name, table, version)?;
        let landmarks = Landmarks::find(&space, &learnt.layouts, address, symbol);
        let mapped_bytes =
            space.pieces().iter().filter_map(|piece| piece.bytes).map(|bytes| bytes.len() as u64).sum();
        let mut runtime = Self {
            semantics: Semantics::new(version, &learnt.layouts),
            space,
            binaries,
            table: table.map(Cow::Borrowed),
            layouts: learnt.layouts,
            header: learnt.header,
            shapes: learnt.shapes,
            resolutions: learnt.resolutions,
            layout_sources: learnt.sources,
            address,
            module,
            module_name,
            interpreters: Vec::new(),
            landmarks,
            mapped_bytes,
            gc_lists: Vec::new(),
            types: TypeTable::default(),
            member_names: MemberNames::default(),
        };
        runtime.probe()?;
        runtime.interpreters = interpreter::read_all(&runtime)?;
        Landmarks::complete(&mut runtime);
        runtime.gc_lists = gc::walk_lists(&runtime);
        runtime.types = TypeTable::discover(&runtime)?;
        Ok(runtime)
    }
}
