//! Which texts are names: of types, modules, functions, variables and attributes. All others are contents.
//!
//! Knows the places where Python keeps names; refuses to tell by a text what it is. A str that is a name in one place is kept
//! whatever else it is used for.

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::standard::Standard;
use crate::corefile::Address;
use crate::cpython::{
    ReadField, References, Runtime, Slot, dict_get, dict_items, dict_object, str_text, tuple_items,
    type_flags,
};
use crate::heap::ObjectId;
use crate::saved::read_all::WholeHeap;

/// Members of C structs that hold a name, a tuple of names, or a table of the compiler's, by their labels.
const MEMBERS: [&str; 30] = [
    "__name__",
    "__qualname__",
    "__slots__",
    "co_name",
    "co_qualname",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_localsplusnames",
    "co_localspluskinds",
    "co_filename",
    "co_linetable",
    "co_lnotab",
    "co_exceptiontable",
    "d_name",
    "d_qualname",
    "func_module",
    "func_name",
    "func_qualname",
    "gi_name",
    "gi_qualname",
    "ht_cached_keys",
    "lz_attr",
    "lz_from",
    "m_module",
    "md_name",
    "ns_dict",
    "prop_name",
    "tp_name",
];
/// Variables of modules and classes whose values are names.
const NAMES_IN_NAMESPACES: [&str; 4] = ["__module__", "__name__", "__package__", "__qualname__"];
/// Variables of `sys` that tell which Python it is.
const OF_SYS: [&str; 3] = ["version", "abiflags", "platform"];
/// Objects that are searched at a time.
const CHUNK: usize = 1 << 16;

/// Objects whose characters or bytes are kept.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Strs, and bytes objects with tables of the compiler's.
    pub(super) kept: FxHashSet<Address>,
    /// Those of them that name something of Python itself.
    pub(super) standard: FxHashSet<Address>,
}

/// What one part of the heap says.
#[derive(Debug, Default)]
struct Found {
    names: Names,
    /// Dicts whose keys are names, and whether the names are Python's own.
    namespaces: FxHashSet<(Address, bool)>,
}

impl Names {
    /// Finds the names of a process.
    pub(super) fn find(runtime: &Runtime<'_>, whole: &WholeHeap, standard: &Standard) -> Self {
        let ids: Vec<ObjectId> = whole.census.objects.ids().collect();
        let parts = ids.par_chunks(CHUNK).map(|part| search(runtime, whole, standard, part));
        let Found { mut names, mut namespaces } = parts.reduce(Found::default, Found::and);
        for interpreter in &runtime.interpreters {
            namespaces.extend([(interpreter.sysdict, true), (interpreter.builtins, true)]);
            let sys = interpreter.sysdict;
            names.add(OF_SYS.iter().filter_map(|name| dict_get(runtime, sys, name)), true);
            // It tells what is the standard library's from what is the program's.
            let modules = dict_get(runtime, sys, "stdlib_module_names");
            names.add(modules.map(|set| elements(runtime, set)).unwrap_or_default(), true);
            for (name, _) in dict_items(runtime, interpreter.modules) {
                names.add([name], standard.has_module(runtime, name));
            }
        }
        for &(namespace, is_standard) in &namespaces {
            names.add(dict_items(runtime, namespace).iter().map(|&(key, _)| key), is_standard);
            let named = NAMES_IN_NAMESPACES.iter().filter_map(|name| dict_get(runtime, namespace, name));
            names.add(named, is_standard);
        }
        names
    }

    fn add(&mut self, names: impl IntoIterator<Item = Address>, is_standard: bool) {
        for name in names {
            self.kept.insert(name);
            if is_standard {
                self.standard.insert(name);
            }
        }
    }

    /// Records the characters and bytes as read.
    pub(super) fn keep(&self, runtime: &Runtime<'_>) {
        for &object in &self.kept {
            if let Some((start, bytes)) = contents(runtime, object) {
                runtime.space.record(start, usize::try_from(bytes).unwrap_or(0));
            }
        }
    }
}

impl Found {
    fn and(mut self, other: Self) -> Self {
        self.names.kept.extend(other.names.kept);
        self.names.standard.extend(other.names.standard);
        self.namespaces.extend(other.namespaces);
        self
    }
}

/// Where the characters of a str lie, or the bytes of a bytes object; `None` for any other.
pub(super) fn contents(runtime: &Runtime<'_>, object: Address) -> Option<(Address, u64)> {
    let l = &runtime.layouts;
    let type_ = runtime.space.field(object, l.object.type_).ok()?;
    let flags = runtime.types.of(type_)?.flags;
    if flags & type_flags::UNICODE_SUBCLASS != 0 {
        let text = str_text(runtime, object).ok()?;
        return Some((text.address, text.bytes()));
    }
    let is_bytes = flags & type_flags::BYTES_SUBCLASS != 0;
    let length = is_bytes.then(|| runtime.space.field(object, l.var_object.ob_size).ok())??;
    Some((object.wrapping_add(u64::from(l.bytes.value.offset)), length))
}

fn search(runtime: &Runtime<'_>, whole: &WholeHeap, standard: &Standard, part: &[ObjectId]) -> Found {
    let objects = &whole.census.objects;
    let mut references = References::new(runtime);
    let mut found = Found::default();
    for &id in part {
        let object = objects.address(id);
        let info = runtime.types.get(objects.type_id(id));
        let holds_namespace = info.is_metatype() || &*info.name == "builtins.module";
        let is_standard = standard.has(runtime, objects.type_id(id), object);
        let (names, namespaces) = (&mut found.names, &mut found.namespaces);
        // Metatypes made in C may have a traversal of their own, which gives no labels (Modules/_ctypes/_ctypes.c, 3.13).
        if info.is_metatype() {
            namespaces.extend(dict_object(runtime, object).map(|namespace| (namespace, is_standard)));
        }
        // What cannot be read has no names.
        let _ = references.visit(info, object, &mut |referent| match referent.slot {
            Slot::Field("__dict__" | "md_dict") if holds_namespace => {
                namespaces.insert((referent.target, is_standard));
            }
            Slot::InstanceDict | Slot::Field("ns_dict") => {
                namespaces.insert((referent.target, is_standard));
            }
            Slot::Field(member) if MEMBERS.contains(&member) => {
                names.add([referent.target], is_standard);
                names.add(tuple_of_names(runtime, referent.target), is_standard);
            }
            Slot::Attribute(name) => names.add([name], is_standard),
            Slot::Local { names: tuple, .. } => names.add(tuple_of_names(runtime, tuple), is_standard),
            _ => {}
        });
    }
    found
}

/// The items of a tuple; none of any other object.
fn tuple_of_names(runtime: &Runtime<'_>, object: Address) -> Vec<Address> {
    let type_ = runtime.space.field(object, runtime.layouts.object.type_).ok();
    let is_tuple = type_
        .and_then(|type_| runtime.types.of(type_))
        .is_some_and(|info| info.flags & type_flags::TUPLE_SUBCLASS != 0);
    if is_tuple { tuple_items(runtime, object).unwrap_or_default() } else { Vec::new() }
}

/// The elements of a set; what can be read of them.
fn elements(runtime: &Runtime<'_>, set: Address) -> Vec<Address> {
    let type_ = runtime.space.field(set, runtime.layouts.object.type_).ok();
    let mut found = Vec::new();
    if let Some(info) = type_.and_then(|type_| runtime.types.of(type_)) {
        let _ = References::new(runtime).visit(info, set, &mut |referent| {
            if referent.slot == Slot::Element {
                found.push(referent.target);
            }
        });
    }
    found
}
