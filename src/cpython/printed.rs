//! What is known of an interpreter build as a layout table, so that its cores can be read without its files.
//!
//! Knows which symbols the rest of this layer asks for; refuses to know how tables are written.

use super::Runtime;
use crate::layout::{Table, TableModule, TableSymbol};

/// Every symbol that decoding asks for. Not every release has all of them.
pub const SYMBOLS: &[&str] = &[
    "_PyRuntime",
    "Py_Version",
    "PyType_Type",
    "PyBaseObject_Type",
    "_Py_NoneStruct",
    "subtype_traverse",
    "arenas",
    "maxarenas",
    "raw_allocated_blocks",
    "_Py_AllocatedBlocks",
    "_mi_heap_main",
    "interned",
    "PyDict_Type",
    "PyList_Type",
    "PySet_Type",
    "PyFloat_Type",
    "PyFunction_Type",
    "PyMethod_Type",
    "PyModule_Type",
    "PyCell_Type",
    "PyUnicode_Type",
    "PyTuple_Type",
    "PyGen_Type",
    "PyCapsule_Type",
    "PyCapsule_GetPointer",
];

impl Runtime<'_> {
    /// The layouts and symbols of this build. With it instead of debug information, the same core is read alike.
    pub fn layout_table(&self) -> Table {
        let header = vec![
            ("producer".to_owned(), concat!("exuvia ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("python".to_owned(), self.semantics.version.to_string()),
            ("machine".to_owned(), self.binaries.machine().to_string()),
        ];
        let module = TableModule {
            name: self.module_name.clone(),
            build_id: self
                .binaries
                .module(self.module)
                .and_then(|module| module.build_id.as_ref())
                .map(|build_id| build_id.bytes().to_vec()),
            symbols: SYMBOLS.iter().filter_map(|name| self.table_symbol(name)).collect(),
        };
        let answers = self.resolutions.iter().chain(self.types.module_answers());
        Table { facts: self.facts_as_lines(), ..Table::from_answers(answers, header, vec![module]) }
    }

    fn table_symbol(&self, name: &str) -> Option<TableSymbol> {
        let load_bias = self.binaries.module(self.module)?.load_bias;
        let address = self.symbol(name)?.wrapping_sub(load_bias);
        let found = self.binaries.symbol(self.module, name);
        let size = match found {
            Some(symbol) => symbol.size,
            None => self.table.as_deref()?.symbol(&self.module_name, name)?.1,
        };
        Some(TableSymbol { name: name.to_owned(), address, size })
    }
}

#[cfg(test)]
mod tests {
    use super::SYMBOLS;

    /// A symbol that is asked for and not in the list would be missing from every table.
    #[test]
    fn every_symbol_that_is_asked_for_is_printed() {
        let sources = [
            include_str!("open.rs"),
            include_str!("landmarks.rs"),
            include_str!("types.rs"),
            include_str!("pymalloc.rs"),
            include_str!("mimalloc.rs"),
            include_str!("roots.rs"),
        ];
        for source in sources {
            for call in source.split("symbol(\"").skip(1) {
                let name = call.split('"').next().unwrap_or_default();
                assert!(SYMBOLS.contains(&name), "{name} is not printed");
            }
        }
        let probed = include_str!("probe.rs")
            .split("(\"Py")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default());
        for name in probed.filter(|name| name.ends_with("_Type")) {
            assert!(SYMBOLS.contains(&format!("Py{name}").as_str()), "Py{name} is not printed");
        }
    }
}
