//! Members of the C structs behind types made in C, as the debug information of their modules names them.
//!
//! Knows how to find a type's struct: it is what one of the type's own functions takes. Refuses to know what members
//! mean, and guesses no name where a module has no debug information.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::Runtime;
use super::shapes::FieldEdge;
use super::types::{TypeInfo, Walk, WalkKind};
use super::words::ReadField;
use crate::corefile::Address;
use crate::debuginfo::ObjectStruct;
use crate::graph::EdgeKind;

/// Members of one extension type that are believed.
const MAX_MEMBERS: usize = 4096;
/// Methods of one type that are asked for its struct.
const MAX_METHODS: usize = 16;
/// Longest chain of bases that is followed.
const MAX_BASES: usize = 1000;
/// Include/datetime.h: where this is 0, the object was allocated without room for [`TIME_ZONE`].
const TIME_ZONE_FLAG: &str = "hastzinfo";
/// Include/datetime.h.
const TIME_ZONE: &str = "tzinfo";

/// Names by offset, of the structs that were asked for so far.
#[derive(Debug, Default)]
pub struct MemberNames(Mutex<FxHashMap<Address, FxHashMap<u32, Box<str>>>>);

/// Name of the C struct member at `offset` bytes of an instance of `info`, with the members it lies in
/// (`od_state.root`). `None` where no debug information tells.
pub fn member_name(runtime: &Runtime<'_>, info: &TypeInfo, offset: u32) -> Option<String> {
    let mut cache = runtime.member_names.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut holders = bases(runtime, info.address);
    holders.retain(|&(_, size)| size > offset);
    let mut found: Option<String> = None;
    for (type_, size) in holders {
        let names = cache.entry(type_).or_insert_with(|| names_of(runtime, type_, size));
        let Some(name) = names.get(&offset) else { continue };
        // A struct that holds its base's has a path here, and the base a name. But a struct may as well have members of its own
        // where its base has others (`buffered` and `iobase`, Modules/_io): a name is final.
        let is_name = !name.contains('.');
        found = Some(name.as_ref().to_owned());
        if is_name {
            break;
        }
    }
    found
}

/// Offset in bytes of the member `name` of the C struct behind instances of `info`; `None` where no debug information has it.
pub fn member_offset(runtime: &Runtime<'_>, info: &TypeInfo, name: &str) -> Option<u32> {
    let mut cache = runtime.member_names.0.lock().unwrap_or_else(PoisonError::into_inner);
    bases(runtime, info.address).into_iter().find_map(|(type_, size)| {
        let names = cache.entry(type_).or_insert_with(|| names_of(runtime, type_, size));
        names.iter().filter(|(_, member)| member.as_ref() == name).map(|(&offset, _)| offset).min()
    })
}

/// The eight bytes of the member `name` of an object of type `info`; `None` where no debug information has it, or it is not
/// readable.
pub fn member_value(runtime: &Runtime<'_>, info: &TypeInfo, object: Address, name: &str) -> Option<u64> {
    let offset = member_offset(runtime, info, name)?;
    runtime.space.read_u64(object.wrapping_add(u64::from(offset))).ok()
}

/// Asks for the names of the members of every type, so that they are among what the files told.
pub fn ask_member_names(runtime: &Runtime<'_>) {
    for (_, info) in runtime.types.iter() {
        let mut cache = runtime.member_names.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (type_, size) in bases(runtime, info.address) {
            cache.entry(type_).or_insert_with(|| names_of(runtime, type_, size));
        }
    }
}

/// A type and its bases, each with `tp_basicsize`.
fn bases(runtime: &Runtime<'_>, type_: Address) -> Vec<(Address, u32)> {
    let l = &runtime.layouts.type_;
    let mut chain = Vec::new();
    let mut current = type_;
    while current != 0 && chain.len() < MAX_BASES {
        let (Ok(size), Ok(base)) =
            (runtime.space.field(current, l.basicsize), runtime.space.field(current, l.base))
        else {
            break;
        };
        chain.push((current, u32::try_from(size).unwrap_or(0)));
        current = base;
    }
    chain
}

fn names_of(runtime: &Runtime<'_>, type_: Address, size: u32) -> FxHashMap<u32, Box<str>> {
    let mut names = FxHashMap::default();
    let Some(found) = struct_of(runtime, type_, size) else { return names };
    for (offset, name) in found.pointers.into_iter().chain(found.members) {
        names.entry(offset).or_insert_with(|| name.into_boxed_str());
    }
    names
}

/// References of a type that the collector does not traverse (its instances have no GC head): the object members of its C
/// struct, as owned. The head of the list of weak references is none. `None` when the struct is not known.
pub fn object_walk(runtime: &Runtime<'_>, type_: Address) -> Option<Walk> {
    let read = |field| runtime.space.field(type_, field).ok();
    let size = u32::try_from(read(runtime.layouts.type_.basicsize)?).ok()?;
    if size <= runtime.header.size {
        return Some(Walk { fields: Box::default(), kind: WalkKind::Fixed });
    }
    let weak_references = read(runtime.layouts.type_.weaklistoffset)?;
    let found = struct_of(runtime, type_, size)?;
    let (mut fields, mut kind) = (Vec::new(), WalkKind::Fixed);
    for (offset, path) in found.pointers.into_iter().take(MAX_MEMBERS) {
        if offset < runtime.header.size || u64::from(offset) == weak_references {
            continue;
        }
        match found.flag {
            Some(flag) if path == TIME_ZONE => kind = WalkKind::Optional { flag, member: offset },
            _ => fields.push(FieldEdge { offset, kind: EdgeKind::Owned, name: None }),
        }
    }
    Some(Walk { fields: fields.into(), kind })
}

/// The structs that every object starts with.
fn is_object(name: &str) -> bool {
    matches!(name, "_object" | "PyObject" | "_typeobject" | "PyTypeObject")
}

/// The struct of `size` bytes that one of the functions of `type_` works on.
fn struct_of(runtime: &Runtime<'_>, type_: Address, size: u32) -> Option<ObjectStruct> {
    let mut functions = functions(runtime, type_).into_iter();
    functions.find_map(|function| runtime.binaries.object_struct(function, size, &is_object, TIME_ZONE_FLAG))
}

/// Functions whose first argument is an instance of `type_`: slots, then methods.
fn functions(runtime: &Runtime<'_>, type_: Address) -> Vec<Address> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let slots = [l.type_.dealloc, l.type_.traverse, l.type_.clear, l.type_.iternext, l.type_.finalize];
    let mut functions: Vec<Address> =
        slots.iter().filter_map(|&slot| space.field(type_, slot).ok()).collect();
    let methods = space.field(type_, l.type_.methods).unwrap_or(0);
    let mut record = methods;
    while methods != 0 && functions.len() < slots.len() + MAX_METHODS {
        match (space.field(record, l.method_def.name), space.field(record, l.method_def.function)) {
            (Ok(name), Ok(function)) if name != 0 => functions.push(function),
            _ => break,
        }
        record = record.wrapping_add(u64::from(l.method_def.size));
    }
    functions.retain(|&function| function != 0);
    functions
}
