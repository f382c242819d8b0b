//! The few objects of the interpreter that everything else is recognised by.
//!
//! Knows their symbols; refuses to know how a symbol is found.

use crate::corefile::{Address, AddressSpace};

/// Objects of the interpreter that are found by symbol.
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
    /// What a set keeps in the place of a removed element (`_dummy_struct`).
    pub set_dummy: Address,
}

impl Landmarks {
    /// Asks `symbol` for the address of each; 0 where it is not known.
    pub(super) fn find(space: &AddressSpace<'_>, symbol: impl Fn(&str) -> Option<Address>) -> Self {
        Self {
            type_type: symbol("PyType_Type").unwrap_or(0),
            object_type: symbol("PyBaseObject_Type").unwrap_or(0),
            none: symbol("_Py_NoneStruct").unwrap_or(0),
            capsule_type: symbol("PyCapsule_Type").unwrap_or(0),
            capsule_get_pointer: symbol("PyCapsule_GetPointer").unwrap_or(0),
            // Objects/setobject.c: the object itself is a local symbol, the pointer to it an exported one.
            set_dummy: symbol("_dummy_struct")
                .or_else(|| space.read_u64(symbol("_PySet_Dummy")?).ok())
                .unwrap_or(0),
        }
    }
}
