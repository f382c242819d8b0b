//! Where the interpreter lies in the process: its module, `_PyRuntime`, and any other symbol of it.
//!
//! Knows symbol tables and the symbols of layout tables; refuses to know what a symbol is for.

use super::PythonError;
use crate::corefile::{Address, Inputs, Module};
use crate::debuginfo::Binaries;
use crate::layout::Table;

/// Most files that a message names.
const MAX_NAMED: usize = 6;

/// A symbol from the module's file, else from the layout table made for it.
pub(super) fn find_symbol(
    binaries: &Binaries<'_>,
    table: Option<&Table>,
    index: usize,
    name: &str,
) -> Option<Address> {
    binaries.symbol(index, name).or_else(|| {
        let (module, table) = (binaries.module(index)?, table?);
        if !describes(table, module) {
            return None;
        }
        let (link_address, _) = table.symbol(module.name(), name)?;
        Some(module.load_bias.wrapping_add(link_address))
    })
}

/// Whether a table has the symbols of this very build, as far as build-ids tell.
fn describes(table: &Table, module: &Module) -> bool {
    let of_table = table.module(module.name()).and_then(|entry| entry.build_id.as_deref());
    match (of_table, &module.build_id) {
        (Some(of_table), Some(of_process)) => of_table == of_process.bytes(),
        _ => true,
    }
}

/// The module with the symbol `_PyRuntime`, and the symbol's run-time address.
pub(super) fn find_runtime(
    inputs: &Inputs,
    binaries: &Binaries<'_>,
    table: Option<&Table>,
) -> Result<(usize, Address), PythonError> {
    let modules = inputs.modules();
    let mut order: Vec<usize> = (0..modules.len()).collect();
    // Most files of a process are no interpreter; parse the symbols of likely ones first.
    order.sort_by_key(|&index| modules.get(index).is_none_or(|module| !module.name().contains("python")));
    for index in order {
        if let Some(address) = find_symbol(binaries, table, index, "_PyRuntime") {
            return Ok((index, address));
        }
    }
    let missing: Vec<&str> =
        modules.iter().filter(|module| module.elf_bytes().is_none()).map(|module| module.name()).collect();
    let mut hint = match missing.as_slice() {
        [] => String::new(),
        names if names.len() <= MAX_NAMED => format!(" (not found or refused: {})", names.join(", ")),
        names => {
            let first = names.get(..MAX_NAMED).unwrap_or_default().join(", ");
            format!(
                " (not found or refused: {first} and {} more, see `exuvia info`)",
                names.len() - MAX_NAMED
            )
        }
    };
    let other_build = |module: &&Module| table.is_some_and(|table| !describes(table, module));
    if let Some(module) = modules.iter().find(other_build) {
        hint.push_str(&format!("; the layout table is for another build of {}", module.name()));
    }
    Err(PythonError::NoRuntime { modules: modules.len() - missing.len(), hint })
}
