//! L3: the interpreter's data in CPython's own words.
//!
//! Knows interpreters, threads, frames, the collector's lists, pymalloc, types, and how each type's instances refer to
//! other objects. Refuses to know analyses and output. Layouts come in by name ([`layouts`]); what names cannot say
//! is decided in [`semantics`], the only file here that compares versions.

mod attributes;
mod bounds;
mod dict;
mod error;
mod frame;
mod gc;
mod instance;
mod interpreter;
mod items;
pub mod layouts;
mod lines;
mod members;
mod names;
mod preview;
mod printed;
mod pymalloc;
mod references;
mod roots;
pub mod semantics;
mod shapes;
mod size;
mod size_modules;
mod slot;
mod thread_name;
mod types;
mod values;
mod words;

pub use attributes::{AttributeName, Lookup, class_namespaces, get_attribute, instance_attributes, lookup};
pub use bounds::{Bound, bound_of};
pub use dict::{DictItems, DictTable, dict_get, dict_items};
pub use error::PythonError;
pub use frame::{
    Frame, FrameLocal, StackDamage, ThreadExceptions, frame_of_object, generator_frame, thread_exceptions,
    thread_frames,
};
pub use gc::{GcList, GcState, Generation, GenerationCounters};
pub use instance::DictPlace;
pub use interpreter::{Gil, Interpreter, ThreadState};
pub use items::{ItemKey, Items, get_item, items};
pub use lines::line_of;
pub use members::{MemberNames, member_name};
pub use names::type_module;
pub use preview::{
    Preview, PreviewLimits, Values, escape_text, float_repr, preview, quote_bytes, quote_text,
};
pub use pymalloc::{Arena, ClassFigures, LiveBlocks, Pool, PymallocFigures, arenas, for_each_pool};
pub use references::{Attributes, Disagreement, Gap, References, Referent, dict_slot, managed_place};
pub use roots::{RootKind, RootReference, roots};
pub use semantics::{PyVersion, Semantics, type_flags};
pub use size::{SizeRule, object_size, size_of};
pub use slot::Slot;
pub use thread_name::thread_name;
pub use types::{TypeId, TypeInfo, TypeTable, Walk, WalkKind, is_type};
pub use values::{read_bytes, read_int, read_str};
pub use words::{ReadField, half, word};

use crate::corefile::{Address, AddressSpace, Inputs, Module};
use crate::debuginfo::Binaries;
use crate::layout::{DwarfSource, LayoutSource, Resolution, Resolver, Table};
use layouts::Layouts;
use shapes::Shapes;

/// Most files that a message names.
const MAX_NAMED: usize = 6;

/// Bytes of a `PyGC_Head`.
pub const GC_HEAD_SIZE: u64 = 16;

/// A CPython found in a core file: where its state lies and how to read it.
#[derive(Debug)]
pub struct Runtime<'core> {
    /// All memory of the process.
    pub space: AddressSpace<'core>,
    /// Symbols and debug information of the mapped files.
    pub binaries: Binaries<'core>,
    /// A layout table given by the user, which also knows symbols.
    pub table: Option<&'core Table>,
    /// Offsets of every struct.
    pub layouts: Layouts,
    /// What offsets do not say.
    pub semantics: Semantics,
    /// Fixed reference fields of the interpreter's own types.
    pub shapes: Shapes,
    /// Every question asked of the layout sources, with its answer and origin.
    pub resolutions: Vec<Resolution>,
    /// Descriptions of the layout sources, most trusted first.
    pub layout_sources: Vec<String>,
    /// `_PyRuntime`.
    pub address: Address,
    /// Index of the module that holds it, among the core's modules.
    pub module: usize,
    /// Name of that module.
    pub module_name: String,
    /// The main interpreter first.
    pub interpreters: Vec<Interpreter>,
    /// Addresses of objects everything else is recognised by.
    pub landmarks: Landmarks,
    /// Bytes of memory with contents: the bound of every list walk.
    pub mapped_bytes: u64,
    /// Objects on the collector's lists.
    pub gc_lists: Vec<GcList>,
    /// All types.
    pub types: TypeTable,
    /// Names of members that labels have asked for.
    pub member_names: MemberNames,
}

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

impl<'core> Runtime<'core> {
    /// Finds the interpreter in `inputs`, resolves its layouts from its DWARF or from `table`, proves them by what the
    /// core itself says, and reads interpreters, the collector's lists and all types.
    ///
    /// # Errors
    /// No interpreter, no layout, a layout that the core contradicts, or an unsupported release.
    pub fn open(inputs: &'core Inputs, table: Option<&'core Table>) -> Result<Self, PythonError> {
        let space = inputs.space();
        let binaries = Binaries::new(inputs);
        let (module, address) = find_runtime(inputs, &binaries, table)?;
        let module_name = inputs.modules().get(module).map_or("", |module| module.name()).to_owned();
        let symbol = |name: &str| find_symbol(&binaries, table, module, name);
        let version = read_version(&space, symbol("Py_Version"), &module_name)?;

        let dwarf_source;
        let mut sources: Vec<&dyn LayoutSource> = Vec::new();
        match (binaries.dwarf(module), table) {
            (Ok(index), _) => {
                dwarf_source = DwarfSource::new(index, module_name.clone());
                sources.push(&dwarf_source);
            }
            (Err(_), Some(_)) => {}
            (Err(reason), None) => {
                return Err(PythonError::NoLayout { module: module_name, reason: reason.to_owned() });
            }
        }
        if let Some(table) = table {
            sources.push(table);
        }
        let layout_sources = sources.iter().map(|source| source.describe()).collect();
        let mut resolver = Resolver::new(sources);
        // Objects of free-threaded builds have four words more; asked first, as most other fields differ too.
        if resolver.required_size("PyObject|_object")? != 16 {
            return Err(PythonError::FreeThreaded { version });
        }
        let layouts = Layouts::resolve(&mut resolver)?;
        let shapes = Shapes::resolve(&mut resolver);
        if let Some(conflict) = resolver.conflict() {
            return Err(conflict.into());
        }
        let resolutions = resolver.resolved().to_vec();

        let landmarks = Landmarks {
            type_type: symbol("PyType_Type").unwrap_or(0),
            object_type: symbol("PyBaseObject_Type").unwrap_or(0),
            none: symbol("_Py_NoneStruct").unwrap_or(0),
            capsule_type: symbol("PyCapsule_Type").unwrap_or(0),
            capsule_get_pointer: symbol("PyCapsule_GetPointer").unwrap_or(0),
            // Objects/setobject.c: the object itself is a local symbol, the pointer to it an exported one.
            set_dummy: symbol("_dummy_struct")
                .or_else(|| space.read_u64(symbol("_PySet_Dummy")?).ok())
                .unwrap_or(0),
        };
        let mapped_bytes =
            space.pieces().iter().filter_map(|piece| piece.bytes).map(|bytes| bytes.len() as u64).sum();
        let mut runtime = Self {
            semantics: Semantics::new(version, &layouts),
            space,
            binaries,
            table,
            layouts,
            shapes,
            resolutions,
            layout_sources,
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
        runtime.interpreters = interpreter::read_all(&runtime)?;
        runtime.gc_lists = gc::walk_lists(&runtime);
        runtime.types = TypeTable::discover(&runtime)?;
        Ok(runtime)
    }

    /// Run-time address of a symbol of the module that holds the interpreter.
    pub fn symbol(&self, name: &str) -> Option<Address> {
        find_symbol(&self.binaries, self.table, self.module, name)
    }

    /// Whether `address` lies in the module that holds the interpreter.
    pub fn is_own_code(&self, address: Address) -> bool {
        self.binaries.module(self.module).is_some_and(|module| module.contains(address))
    }

    /// Asks the core questions whose answers are known, so that a wrong layout fails at once and names the field.
    fn probe(&self) -> Result<(), PythonError> {
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
                l.generator.iframe.offset + l.frame.localsplus.offset,
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

/// The release, by the constant `Py_Version` (Python/getversion.c, since 3.11).
fn read_version(
    space: &AddressSpace<'_>,
    constant: Option<Address>,
    module: &str,
) -> Result<PyVersion, PythonError> {
    let address = constant.ok_or_else(|| PythonError::TooOld { module: module.to_owned() })?;
    let version =
        space.read_u64(address).map(|hex| PyVersion(hex as u32)).map_err(|_| PythonError::NoLayout {
            module: module.to_owned(),
            reason: "its constant Py_Version is neither in the core nor in a file".to_owned(),
        })?;
    if version.is_supported() { Ok(version) } else { Err(PythonError::Unsupported { version }) }
}

/// A symbol from the module's file, else from the layout table made for it.
fn find_symbol(binaries: &Binaries<'_>, table: Option<&Table>, index: usize, name: &str) -> Option<Address> {
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
fn find_runtime(
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
