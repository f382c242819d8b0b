//! The order in which an interpreter is opened: found, its layouts learnt and proved, its state read.
//!
//! Knows the order only; each step is a module of its own.

use super::choice::{Candidate, Evidence, FileNames};
use super::debug_offsets::{DebugOffsets, stated_version};
use super::landmarks::Landmarks;
use super::locate::{find_runtime, find_symbol};
use super::sources::{Subject, learn};
use super::type_search::all_types;
use super::{
    Facts, GcList, MemberNames, OutsideCounts, PyVersion, PythonError, Runtime, Semantics, StaticNames,
    Support, TypeTable, dict, gc, interpreter, version,
};
use crate::corefile::{Address, AddressSpace, Inputs, Machine, NOTE_TABLE};
use crate::debuginfo::Binaries;
use crate::layout::{Origin, Table};
use std::borrow::Cow;

/// What an earlier analysis of the same process found, so that it need not be looked for again.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The collector's lists.
    pub lists: Option<Vec<GcList>>,
    /// Types that only the census met, or all.
    pub types: Vec<Address>,
}

impl<'core> Runtime<'core> {
    /// Finds the interpreter in `inputs`, resolves its layouts from its DWARF or from `table`, proves them by what the
    /// core itself says, and reads interpreters, the collector's lists and all types.
    ///
    /// # Errors
    /// No interpreter, no layout, a layout that the core contradicts, or an unsupported release.
    pub fn open(inputs: &'core Inputs, table: Option<&'core Table>) -> Result<Self, PythonError> {
        Self::open_with(inputs, table, None)
    }

    /// As [`Self::open`], with layouts from one source only; of [`Origin::Runtime`], which says little, a table has the
    /// rest.
    ///
    /// # Errors
    /// As [`Self::open`], and where there is no such source.
    pub fn open_with(
        inputs: &'core Inputs,
        table: Option<&'core Table>,
        only: Option<Origin>,
    ) -> Result<Self, PythonError> {
        Self::open_known(inputs, table, only, &Known::default())
    }

    /// As [`Self::open_with`], without walking lists that are known.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub fn open_known(
        inputs: &'core Inputs,
        table: Option<&'core Table>,
        only: Option<Origin>,
        known: &Known,
    ) -> Result<Self, PythonError> {
        let table = table.map(Cow::Borrowed).or_else(|| saved_table(inputs).map(Cow::Owned));
        Self::open_release(inputs, table, only, None, known)
    }

    /// As [`Self::open_with`], of the release `told` if the process' constants do not say which it is.
    fn open_release(
        inputs: &'core Inputs,
        given: Option<Cow<'core, Table>>,
        only: Option<Origin>,
        told: Option<PyVersion>,
        known: &Known,
    ) -> Result<Self, PythonError> {
        let space = inputs.space();
        let table = given.as_deref();
        let binaries = Binaries::new(inputs);
        let files = FileNames::read(inputs.modules().iter().map(|module| module.name()));
        let (module, address) = match find_runtime(inputs, &space, &binaries, table) {
            Err(missing) if table.is_none() => {
                by_embedded_tables(inputs, &space, &binaries, files.clone()).ok_or(missing)?
            }
            found => found?,
        };
        let module_name = inputs.modules().get(module).map_or("", |module| module.name()).to_owned();
        let symbol = |name: &str| find_symbol(&binaries, table, module, name);
        let known_version = version::by_constant(&space, symbol("Py_Version"))
            .or_else(|| stated_version(&space, address))
            .or(told);
        known_version.map_or(Ok(()), supported)?;
        // Not needed to read layouts and the dict of `sys`, which tells it where no constant does.
        let version = known_version.unwrap_or_default();
        let evidence = Evidence {
            version: known_version,
            offsets: DebugOffsets::read(&space, address),
            runtime_size: binaries.symbol(module, "_PyRuntime").map(|symbol| symbol.size),
            machine: other_machine(&binaries),
            files,
        };
        let subject = Subject {
            space: &space,
            binaries: &binaries,
            module,
            module_name: &module_name,
            runtime: address,
            evidence: &evidence,
        };
        let learnt = learn(&subject, given.clone(), only)?;
        let landmarks = Landmarks::find(&space, &learnt.layouts, address, symbol);
        let described_bytes = space.pieces().iter().map(|piece| piece.len).fold(0, u64::saturating_add);
        let figures = inputs.memory_figures(&space);
        let mapped_bytes = figures.in_core.saturating_add(figures.from_files);
        let mut runtime = Self {
            semantics: Semantics::new(version, &learnt.layouts),
            space,
            binaries,
            table: learnt.table,
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
            described_bytes,
            gc_lists: Vec::new(),
            types: TypeTable::default(),
            outside_counts: OutsideCounts::default(),
            member_names: MemberNames::default(),
            redacted: inputs.saved_from().is_some_and(|source| source.redacted.is_some()),
        };
        runtime.probe()?;
        runtime.landmarks.general_lookup = dict::general_lookup(&runtime);
        let version = known_version
            .or_else(|| version::by_sys(&runtime))
            .ok_or_else(|| PythonError::NoVersion { module: runtime.module_name.clone() })?;
        supported(version)?;
        // Tables of several patch releases may fit: that of the release which `sys` turns out to be is the right one.
        if let (None, None, Some(used)) = (known_version, table, runtime.table.as_deref())
            && !evidence.with_version(version).prefers(used)
        {
            return Self::open_release(inputs, None, only, Some(version), known);
        }
        runtime.semantics = Semantics::new(version, &runtime.layouts);
        runtime.facts = Facts::of(table, version, runtime.header.size);
        runtime.interpreters = interpreter::read_all(&runtime)?;
        Landmarks::complete(&mut runtime);
        runtime.outside_counts = OutsideCounts::read(&runtime);
        runtime.gc_lists = match &known.lists {
            Some(lists) => lists.clone(),
            None => gc::find_lists(&runtime)?,
        };
        if inputs.modules().iter().any(|module| !module.has_file()) {
            runtime.static_names = StaticNames::find(&runtime, &runtime.facts, &all_types(&runtime));
        }
        runtime.types = TypeTable::discover(&runtime)?;
        if !known.types.is_empty() {
            let mut types = std::mem::take(&mut runtime.types);
            types.extend(&runtime, known.types.iter().copied());
            runtime.types = types;
        }
        Ok(runtime)
    }
}

/// The layout table that a saved heap carries.
fn saved_table(inputs: &Inputs) -> Option<Table> {
    let text = std::str::from_utf8(inputs.saved_note(NOTE_TABLE)?).ok()?;
    Table::parse(text).ok()
}

/// The processor, if it is not the one that embedded tables are made on.
fn other_machine(binaries: &Binaries<'_>) -> Option<Machine> {
    Some(binaries.machine()).filter(|&machine| machine != Machine::X86_64)
}

/// Refuses releases whose algorithms are not known, whatever layouts there are.
fn supported(version: PyVersion) -> Result<(), PythonError> {
    match version.support() {
        Support::Unknown => Err(PythonError::Unsupported { version }),
        Support::Proved | Support::ByNames => Ok(()),
    }
}

/// The module with `_PyRuntime`, and its address, where only the layouts of some embedded table tell it from other memory.
fn by_embedded_tables(
    inputs: &Inputs,
    space: &AddressSpace<'_>,
    binaries: &Binaries<'_>,
    files: Option<FileNames>,
) -> Option<(usize, Address)> {
    let evidence = Evidence { files, machine: other_machine(binaries), ..Evidence::default() };
    Candidate::all(&evidence).into_iter().find_map(|candidate| {
        let (module, address) = find_runtime(inputs, space, binaries, Some(&candidate.table)).ok()?;
        candidate.prove(space, None, address).is_ok().then_some((module, address))
    })
}
