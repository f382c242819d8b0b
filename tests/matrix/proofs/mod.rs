//! The proofs: what we decode from a core equals what its interpreter said of itself, as sets, without tolerance.

mod allocator;
mod collector;
mod differences;
mod objects;
mod threads;

use crate::credible;
use crate::oracle::Oracle;
use differences::Differences;
use exuvia::corefile::{Inputs, SearchOptions, ThreadNote};
use exuvia::cpython::{self, ReadField, Runtime};
use exuvia::heap::{Census, census};
use exuvia::layout::Table;
use std::path::Path;

/// Runs every proof on one core, with files and layouts from where `options` and `table` say.
pub fn prove(
    core: &Path,
    oracle: &Oracle,
    table: Option<&Table>,
    options: &SearchOptions,
) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, table).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let mut differences = Differences::default();
    let view = View {
        notes: &inputs.notes().threads,
        runtime: &runtime,
        census: &census,
        without_code: options.core_only,
    };
    view.tracked(oracle, 0, &mut differences);
    view.garbage(oracle, &mut differences);
    let impossible = credible::impossible(&runtime, &census);
    differences.all("objects that memory has no room to refer to", impossible);
    // A core torn in a collection: the process ran on after it described its heap, so only what a collection leaves
    // alone can be compared: who is tracked, and what is garbage.
    if !runtime.interpreters[0].gc.collecting {
        view.collector_state(oracle, &mut differences);
        view.referents(oracle, &mut differences);
        view.objects(oracle, &mut differences);
        view.allocation_counts(oracle, &mut differences);
        view.chain(&mut differences);
        view.refcounts(oracle, &mut differences);
        view.threads(oracle, &mut differences);
        view.allocator(oracle, &mut differences);
    }
    for (index, interpreter) in runtime.interpreters.iter().enumerate().skip(1) {
        if let Some(oracle) = oracle.of_interpreter(interpreter.id) {
            view.tracked(&oracle, index, &mut differences);
            view.referents(&oracle, &mut differences);
            view.objects(&oracle, &mut differences);
        }
    }
    differences.into_result()
}

struct View<'v, 'core> {
    notes: &'v [ThreadNote],
    runtime: &'v Runtime<'core>,
    census: &'v Census,
    /// No file of the process may be opened.
    without_code: bool,
}

impl View<'_, '_> {
    fn type_name(&self, address: u64) -> String {
        let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
        self.runtime
            .types
            .of(type_)
            .map_or_else(|| format!("<type {type_:#x}>"), |info| info.name.to_string())
    }

    /// `__name__` of the module object at `address`.
    fn module_name(&self, address: u64) -> String {
        let name = self.runtime.space.field(address, self.runtime.layouts.module.name).unwrap_or(0);
        cpython::read_str(self.runtime, name, 100).unwrap_or_default()
    }

    /// Name of the first base of the type at `address` that no class statement made.
    fn made_in_c(&self, address: u64) -> String {
        let mut current = self.runtime.types.of(address);
        while let Some(info) = current {
            if !info.by_class_statement {
                return info.name.strip_prefix("builtins.").unwrap_or(&info.name).to_owned();
            }
            current = self.runtime.types.of(info.base);
        }
        String::new()
    }
}
