//! The order in which an interpreter is opened: found, its layouts learnt and proved, its state read.
//!
//! Knows the order only; each step is a module of its own.

use super::landmarks::Landmarks;
use super::locate::{find_runtime, find_symbol};
use super::sources::learn;
use super::types::all_types;
use super::{
    Facts, MemberNames, PythonError, Runtime, Semantics, StaticNames, Support, TypeTable, dict, gc,
    interpreter, version,
};
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
        let known_version = version::by_constant(&space, symbol("Py_Version"));
        // Not needed to read layouts and the dict of `sys`, which tells it where no constant does.
        let version = known_version.unwrap_or_default();
        let learnt = learn(&binaries, module, &module_name, table, version)?;
        let landmarks = Landmarks::find(&space, &learnt.layouts, address, symbol);
        let mapped_bytes =
            space.pieces().iter().filter_map(|piece| piece.bytes).map(|bytes| bytes.len() as u64).sum();
        let mut runtime = Self {
            semantics: Semantics::new(version, &learnt.layouts),
            space,
            binaries,
            table: table.map(Cow::Borrowed),
            facts: Facts::default(),
            static_names: StaticNames::default(),
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
        runtime.landmarks.general_lookup = dict::general_lookup(&runtime);
        let version = known_version
            .or_else(|| version::by_sys(&runtime))
            .ok_or_else(|| PythonError::NoVersion { module: runtime.module_name.clone() })?;
        if version.support() == Support::Unknown {
            return Err(PythonError::Unsupported { version });
        }
        runtime.semantics = Semantics::new(version, &runtime.layouts);
        runtime.facts = Facts::of(table, version, runtime.header.size);
        runtime.interpreters = interpreter::read_all(&runtime)?;
        Landmarks::complete(&mut runtime);
        runtime.gc_lists = gc::walk_lists(&runtime);
        if inputs.modules().iter().any(|module| module.elf_bytes().is_none()) {
            runtime.static_names = StaticNames::find(&runtime, &runtime.facts, &all_types(&runtime));
        }
        runtime.types = TypeTable::discover(&runtime)?;
        Ok(runtime)
    }
}
