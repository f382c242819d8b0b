//! Which texts are names: of types, modules, functions, variables and attributes. All others are contents.
//!
//! Knows the places where Python keeps names; refuses to tell by a text what it is. A str that is a name in one place is kept
//! whatever else it is used for.

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::corefile::Address;
use crate::cpython::{
    ReadField, References, Runtime, Slot, dict_get, dict_items, str_text, tuple_items, type_flags,
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
pub struct Names {
    /// Strs, and bytes objects with tables of the compiler's.
    kept: FxHashSet<Address>,
}

/// What one part of the heap says.
#[derive(Debug, Default)]
struct Found {
    kept: FxHashSet<Address>,
    /// Dicts whose keys are names.
    namespaces: FxHashSet<Address>,
}

impl Names {
    /// Finds the names of a process.
    pub(super) fn find(runtime: &Runtime<'_>, whole: &WholeHeap) -> Self {
        let ids: Vec<ObjectId> = whole.census.objects.ids().collect();
        let parts = ids.par_chunks(CHUNK).map(|part| search(runtime, whole, part));
        let mut found = parts.reduce(Found::default, Found::and);
        for interpreter in &runtime.interpreters {
            found.namespaces.extend([interpreter.modules, interpreter.sysdict, interpreter.builtins]);
            let sys = interpreter.sysdict;
            found.kept.extend(OF_SYS.iter().filter_map(|name| dict_get(runtime, sys, name)));
        }
        for &namespace in &found.namespaces {
            let items = dict_items(runtime, namespace);
            found.kept.extend(items.iter().map(|&(key, _)| key));
            let named = NAMES_IN_NAMESPACES.iter().filter_map(|name| dict_get(runtime, namespace, name));
            found.kept.extend(named);
        }
        Self { kept: found.kept }
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
        self.kept.extend(other.kept);
        self.namespaces.extend(other.namespaces);
        self
    }
}

/// Where the characters of a str lie, or the bytes of a bytes object; `None` for any other.
fn contents(runtime: &Runtime<'_>, object: Address) -> Option<(Address, u64)> {
    let l = &runtime.layouts;
    let type_ = runtime.space.field(object, l.object.type_).ok()?;
    let flags = runtime.types.of(type_)?.flags;
    if flags & type_flags::UNICODE_SUBCLASS != 0 {
        let text = str_text(runtime, object).ok()?;
        return Some((text.address, text.length.saturating_mul(u64::from(text.kind.max(1)))));
    }
    let is_bytes = flags & type_flags::BYTES_SUBCLASS != 0;
    let length = is_bytes.then(|| runtime.space.field(object, l.var_object.ob_size).ok())??;
    Some((object.wrapping_add(u64::from(l.bytes.value.offset)), length))
}

fn search(runtime: &Runtime<'_>, whole: &WholeHeap, part: &[ObjectId]) -> Found {
    let objects = &whole.census.objects;
    let mut references = References::new(runtime);
    let mut found = Found::default();
    for &id in part {
        let info = runtime.types.get(objects.type_id(id));
        let holds_namespace = info.is_metatype() || &*info.name == "builtins.module";
        // What cannot be read has no names.
        let _ = references.visit(info, objects.address(id), &mut |referent| match referent.slot {
            Slot::Field("__dict__" | "md_dict") if holds_namespace => {
                found.namespaces.insert(referent.target);
            }
            Slot::InstanceDict | Slot::Field("ns_dict") => {
                found.namespaces.insert(referent.target);
            }
            Slot::Field(member) if MEMBERS.contains(&member) => {
                found.kept.insert(referent.target);
                found.kept.extend(tuple_of_names(runtime, referent.target));
            }
            Slot::Attribute(name) => {
                found.kept.insert(name);
            }
            Slot::Local { names, .. } => found.kept.extend(tuple_of_names(runtime, names)),
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
