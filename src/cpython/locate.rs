//! Where the interpreter lies in the process: its module, `_PyRuntime`, and any other symbol of it.
//!
//! Knows symbol tables, the symbols of layout tables, and what tells `_PyRuntime` from other memory; refuses to know
//! what a symbol is for.

use super::choice::FileNames;
use super::layouts::Layouts;
use super::words::ReadField;
use super::{PythonError, own_data, type_flags};
use crate::corefile::{Address, AddressSpace, Inputs, Module};
use crate::debuginfo::Binaries;
use crate::layout::{Resolver, Table};

/// The section that holds `_PyRuntime` and nothing else (Python/pylifecycle.c, since 3.10): an executable that embeds Python
/// need not export the symbol.
const SECTION: &str = ".PyRuntime";
/// What `_PyRuntime` begins with (Include/internal/pycore_debug_offsets.h, `_Py_Debug_Cookie`, since 3.13).
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
/// Where `_Py_DebugOffsets` says where in `_PyRuntime` the list of interpreters is (3.13 to 3.15).
const HEAD_AFTER_COOKIE: u64 = 40;
/// Larger than any `_PyRuntime`, in bytes.
const MAX_RUNTIME: u64 = 16 << 20;
/// More interpreters than any process has made.
const MAX_INTERPRETERS: i64 = 1 << 32;
/// Most files that a message names.
const MAX_NAMED: usize = 6;

/// A symbol from the module's file, else from the layout table made for it.
pub(super) fn find_symbol(
    binaries: &Binaries<'_>,
    table: Option<&Table>,
    index: usize,
    name: &str,
) -> Option<Address> {
    binaries.symbol(index, name).map(|symbol| symbol.address).or_else(|| {
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

/// The module with `_PyRuntime`, and its run-time address: by symbol, by the section that holds it, by the cookie that
/// it begins with, and, where `table` tells how its structs are laid out, by how they refer to each other.
pub(super) fn find_runtime(
    inputs: &Inputs,
    space: &AddressSpace<'_>,
    binaries: &Binaries<'_>,
    table: Option<&Table>,
) -> Result<(usize, Address), PythonError> {
    let modules = inputs.modules();
    let mut order: Vec<usize> = (0..modules.len()).collect();
    // Most files of a process are no interpreter; parse the symbols of likely ones first.
    order.sort_by_key(|&index| modules.get(index).is_none_or(|module| !module.name().contains("python")));
    let in_order =
        |find: &dyn Fn(usize) -> Option<Address>| order.iter().find_map(|&index| Some((index, find(index)?)));
    let module = |index: usize| modules.get(index);
    let layouts = table.and_then(|table| Layouts::resolve(&mut Resolver::new(vec![table])).ok());
    let found = in_order(&|index| find_symbol(binaries, table, index, "_PyRuntime"))
        .or_else(|| in_order(&|index| binaries.section(index, SECTION)))
        .or_else(|| in_order(&|index| cookie(space, module(index)?)))
        .or_else(|| in_order(&|index| consistent_runtime(space, module(index)?, layouts.as_ref()?)));
    if let Some(found) = found {
        return Ok(found);
    }
    let missing: Vec<&str> =
        modules.iter().filter(|module| !module.has_file()).map(|module| module.name()).collect();
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
    if let Some(files) = FileNames::read(modules.iter().map(|module| module.name())) {
        hint.push_str(&format!("; the names of its files are those of CPython {}", files.minor));
    }
    Err(PythonError::NoRuntime { modules: modules.len() - missing.len(), hint })
}

/// Address of the cookie in the data of `module`, if interpreters are where the words after it say.
fn cookie(space: &AddressSpace<'_>, module: &Module) -> Option<Address> {
    own_data::find_word(space, module, |address, word| {
        let offset =
            (word == COOKIE).then(|| space.read_u64(address.wrapping_add(HEAD_AFTER_COOKIE)))?.ok()?;
        let head = (offset < MAX_RUNTIME).then(|| space.read_u64(address.wrapping_add(offset)))?.ok()?;
        space.is_mapped(head).then_some(address)
    })
}

/// Address of the struct in the data of `module` that can be `_PyRuntime` by `layouts`: its main interpreter is in its
/// list, both have threads that name them as theirs, and their `sys.__dict__` is a dict.
pub(super) fn consistent_runtime(
    space: &AddressSpace<'_>,
    module: &Module,
    layouts: &Layouts,
) -> Option<Address> {
    let (head, main) = (layouts.runtime.interpreters_head, layouts.runtime.interpreters_main);
    own_data::find_word(space, module, |address, first| {
        if first == 0 || !first.is_multiple_of(8) {
            return None;
        }
        let runtime = address.wrapping_sub(u64::from(head.offset));
        let main = space.field(runtime, main).ok()?;
        let next_id = match layouts.runtime.interpreters_next_id {
            Some(field) => space.signed(runtime, field).ok()?,
            None => 1,
        };
        let fits = space.signed(main, layouts.interpreter.id) == Ok(0)
            && (1..MAX_INTERPRETERS).contains(&next_id)
            && is_interpreter(space, layouts, main, true)
            && (first == main || is_interpreter(space, layouts, first, false));
        (fits && own_data::contains(space, module, runtime)).then_some(runtime)
    })
}

/// Whether the struct at `address` is an interpreter's state: its newest thread is its own, and its dicts are all of one
/// type. Interpreters besides the main one may have no thread.
fn is_interpreter(space: &AddressSpace<'_>, l: &Layouts, address: Address, is_main: bool) -> bool {
    let newest_is_own = || {
        let thread = space.field(address, l.interpreter.threads_head).ok()?;
        if thread == 0 {
            return Some(!is_main);
        }
        let own = space.field(thread, l.thread.interp).ok()? == address;
        Some(own && space.field(thread, l.thread.prev).ok()? == 0)
    };
    let has_dicts = || {
        let type_of = |field| space.field(space.field(address, field).ok()?, l.object.type_).ok();
        let type_ = type_of(l.interpreter.sysdict)?;
        let same = type_of(l.interpreter.builtins)? == type_ && type_of(l.interpreter.modules)? == type_;
        Some(same && space.field(type_, l.type_.flags).ok()? & type_flags::DICT_SUBCLASS != 0)
    };
    address.is_multiple_of(8) && newest_is_own() == Some(true) && has_dicts() == Some(true)
}
