//! What differs in the structs of an interpreter between processors.
//!
//! Knows the one member that does: a mutex of the C library, of which the GIL has two. Refuses to know other C libraries:
//! where theirs are of other sizes, the core will not bear the table out.

use crate::corefile::Machine;
use crate::layout::{Field, Table, TableStruct};

/// `pthread_mutex_t` has 48 bytes on AArch64, 40 on x86-64 (glibc, sysdeps/*/nptl/bits/pthreadtypes-arch.h); the GIL has two
/// (Include/internal/pycore_gil.h).
const GROWTH_OF_GIL: u32 = 2 * (48 - 40);
/// The struct that has them.
const GIL: &str = "_gil_runtime_state";
/// Where it lies: in the runtime up to 3.11, in each interpreter since.
const PLACES: [(&[&str], &str); 2] =
    [(&["_PyRuntimeState", "pyruntimestate"], "ceval.gil"), (&["PyInterpreterState", "_is"], OWN_GIL)];
const OWN_GIL: &str = "_gil";
/// What has the main interpreter as its last member, since interpreters have a GIL.
const RUNTIME: &str = "_PyRuntimeState";

/// A table that was made on x86-64, for processes of `machine`.
pub(super) fn adapted(mut table: Table, machine: Machine) -> Table {
    if machine == Machine::X86_64 {
        return table;
    }
    let Some(size) = structure(&mut table, GIL).and_then(|gil| gil.size) else { return table };
    for (types, path) in PLACES {
        for ty in types {
            let Some(owner) = structure(&mut table, ty) else { continue };
            // A pointer of that name, as the interpreters of 3.12 have, is none of it.
            let Some(gil) = owner.field(path).filter(|field| field.size == size) else { continue };
            widen(owner, path, gil);
            if path == OWN_GIL
                && let Some(runtime) =
                    structure(&mut table, RUNTIME).and_then(|runtime| runtime.size.as_mut())
            {
                *runtime = runtime.saturating_add(GROWTH_OF_GIL);
            }
        }
    }
    if let Some(gil) = structure(&mut table, GIL) {
        gil.size = Some(size.saturating_add(GROWTH_OF_GIL));
    }
    table
}

fn structure<'table>(table: &'table mut Table, name: &str) -> Option<&'table mut TableStruct> {
    table.structs.iter_mut().find(|structure| structure.name == name)
}

/// Moves what lies behind the GIL.
fn widen(owner: &mut TableStruct, path: &str, gil: Field) {
    let end = gil.offset.saturating_add(gil.size);
    for (name, field) in &mut owner.fields {
        if name == path {
            field.size = field.size.saturating_add(GROWTH_OF_GIL);
        } else if field.offset >= end {
            field.offset = field.offset.saturating_add(GROWTH_OF_GIL);
        }
    }
    owner.size = owner.size.map(|size| size.saturating_add(GROWTH_OF_GIL));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutSource;

    fn table() -> Table {
        let text = "format 1\n\nstruct _PyRuntimeState size 1000\n  ceval.gil 400 8\n\nstruct PyInterpreterState size 300\n  \
                    ceval.gil 8 8\n  id 16 8\n  _gil 40 208\n  last 248 8\n\nstruct _gil_runtime_state size 208\n  locked 16 4\n";
        Table::parse(text).unwrap()
    }

    #[test]
    fn what_lies_behind_the_mutexes_moves() {
        let table = adapted(table(), Machine::Aarch64);
        let place = |ty, path| table.field(ty, path).map(|field| (field.offset, field.size));
        assert_eq!(place("PyInterpreterState", "_gil"), Some((40, 224)));
        assert_eq!(place("PyInterpreterState", "last"), Some((264, 8)));
        assert_eq!(place("PyInterpreterState", "id"), Some((16, 8)));
        assert_eq!(place("_PyRuntimeState", "ceval.gil"), Some((400, 8)));
        let sizes =
            ["_PyRuntimeState", "PyInterpreterState", "_gil_runtime_state"].map(|ty| table.size_of(ty));
        assert_eq!(sizes, [Some(1016), Some(316), Some(224)]);
    }

    #[test]
    fn nothing_moves_on_the_processor_a_table_was_made_on() {
        assert_eq!(adapted(table(), Machine::X86_64), table());
    }
}
