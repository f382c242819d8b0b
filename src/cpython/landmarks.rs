//! The few objects of the interpreter that everything else is recognised by.
//!
//! Knows their symbols, and how they stand to each other where no symbol table names them; refuses to know how a symbol
//! is found.

use super::layouts::Layouts;
use super::words::ReadField;
use super::{Runtime, dict_get};
use crate::corefile::{Address, AddressSpace, ReadError};

/// Longest chain of bases or metatypes that is followed.
const MAX_CHAIN: usize = 1000;

/// Objects of the interpreter that are found by symbol, else by what they are to each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Landmarks {
    /// `type`.
    pub type_type: Address,
    /// `object`.
    pub object_type: Address,
    /// `None`.
    pub none: Address,
    /// The type of capsules.
    pub capsule_type: Address,
    /// The function `PyCapsule_GetPointer`.
    pub capsule_get_pointer: Address,
    /// The function by which dicts with keys of any type look them up, which tells such dicts up to 3.10; see
    /// [`super::DictTable::all_str`]. 0 where no dict needs it; found when layouts are known.
    pub general_lookup: Address,
}

impl Landmarks {
    /// Asks `symbol` for the address of each; 0 where it is not known. What is missing of `type` and `object` is found
    /// from the interpreter's state, starting at the `_PyRuntime` at `runtime`.
    pub(super) fn find(
        space: &AddressSpace<'_>,
        layouts: &Layouts,
        runtime: Address,
        symbol: impl Fn(&str) -> Option<Address>,
    ) -> Self {
        let mut found = Self {
            type_type: symbol("PyType_Type").unwrap_or(0),
            object_type: symbol("PyBaseObject_Type").unwrap_or(0),
            none: symbol("_Py_NoneStruct").unwrap_or(0),
            capsule_type: symbol("PyCapsule_Type").unwrap_or(0),
            capsule_get_pointer: symbol("PyCapsule_GetPointer").unwrap_or(0),
            general_lookup: 0,
        };
        if (found.type_type == 0 || found.object_type == 0)
            && let Ok(Some((type_type, object_type))) = first_types(space, layouts, runtime)
        {
            found.type_type = type_type;
            found.object_type = object_type;
        }
        found
    }

    /// Adds what takes more than layouts to find: `None`, which the module `builtins` has under that name.
    pub(super) fn complete(runtime: &mut Runtime<'_>) {
        if runtime.landmarks.none == 0
            && let Some(main) = runtime.interpreters.first()
        {
            runtime.landmarks.none = dict_get(runtime, main.builtins, "None").unwrap_or(0);
        }
    }
}

/// `type`, which is its own type and the type of the type of any object, and `object`, the last of its bases.
fn first_types(
    space: &AddressSpace<'_>,
    l: &Layouts,
    runtime: Address,
) -> Result<Option<(Address, Address)>, ReadError> {
    let interpreter = space.field(runtime, l.runtime.interpreters_head)?;
    let mut type_type = space.field(interpreter, l.interpreter.sysdict)?;
    let mut steps = 0;
    loop {
        let next = space.field(type_type, l.object.type_)?;
        steps += 1;
        if next == type_type || steps == MAX_CHAIN {
            break;
        }
        type_type = next;
    }
    let mut object_type = type_type;
    for _ in 0..MAX_CHAIN {
        match space.field(object_type, l.type_.base)? {
            0 => return Ok(Some((type_type, object_type))),
            base => object_type = base,
        }
    }
    Ok(None)
}
