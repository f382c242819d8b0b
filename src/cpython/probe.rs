//! Questions to the core whose answers are known, asked before any layout is used.
//!
//! Knows what must hold in every CPython; refuses to know where the layouts come from.

use super::{PythonError, ReadField, Runtime};

impl Runtime<'_> {
    /// Asks the core questions whose answers are known, so that a wrong layout fails at once and names the field.
    pub(super) fn probe(&self) -> Result<(), PythonError> {
        let l = &self.layouts;
        let type_type = self.landmarks.type_type;
        let fails = |probe: String, address| Err(PythonError::Probe { probe, address });
        let read =
            |base, field| self.space.field(base, field).map_err(PythonError::reading("the type `type`"));
        if read(type_type, l.object.type_)? != type_type {
            return fails("PyObject.ob_type of `type` is not `type` itself".to_owned(), type_type);
        }
        if read(type_type, l.type_.base)? != self.landmarks.object_type {
            return fails("PyTypeObject.tp_base of `type` is not `object`".to_owned(), type_type);
        }
        for (symbol, size, name) in [
            ("PyType_Type", l.heap_type.size, "PyHeapTypeObject"),
            ("PyDict_Type", l.dict.size, "PyDictObject"),
            ("PyList_Type", l.list.size, "PyListObject"),
            ("PySet_Type", l.set.size, "PySetObject"),
            ("PyFloat_Type", l.float.size, "PyFloatObject"),
            ("PyFunction_Type", l.function.size, "PyFunctionObject"),
            ("PyMethod_Type", l.method.size, "PyMethodObject"),
            ("PyModule_Type", l.module.size, "PyModuleObject"),
            ("PyCell_Type", l.cell.size, "PyCellObject"),
            ("PyUnicode_Type", l.unicode.size, "PyUnicodeObject"),
            ("PyTuple_Type", l.tuple.items.offset, "PyTupleObject (to ob_item)"),
            (
                "PyGen_Type",
                l.generator
                    .iframe
                    .map_or(l.generator.size, |frame| frame.offset.saturating_add(l.frame.localsplus.offset)),
                "PyGenObject (to the frame's locals)",
            ),
        ] {
            let Some(address) = self.symbol(symbol) else { continue };
            let basicsize = read(address, l.type_.basicsize)?;
            if basicsize != u64::from(size) {
                return fails(
                    format!("tp_basicsize of {symbol} is {basicsize}, but {name} has {size} bytes"),
                    address,
                );
            }
        }
        Ok(())
    }
}
