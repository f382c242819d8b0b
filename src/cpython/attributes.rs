//! Attributes of objects, looked up without running any code.
//!
//! Knows where instances keep attributes, `__slots__` and the members that C types publish, and the order in which
//! Python searches them (Objects/object.c, `_PyObject_GenericGetAttrWithDict`; Objects/typeobject.c,
//! `type_getattro`). Refuses to call anything: what a property or `__getattr__` would compute is reported as such.

use super::frame::frame_in;
use super::instance::{bytes_of_items, lies_after_items};
use super::items::text_equals;
use super::names::tp_name;
use super::references::{Attributes, managed_place};
use super::semantics::type_flags;
use super::stack_ref::StackRef;
use super::type_search::{is_type, type_dict};
use super::values::{has_flag, read_str, tuple_items};
use super::words::{ReadField, word};
use super::{DictItems, DictTable, Runtime};
use crate::corefile::Address;
use crate::layout::Field;
use rustc_hash::FxHashSet;

/// `_Py_T_OBJECT` and `Py_T_OBJECT_EX` (Include/descrobject.h, Include/structmember.h): members that are references.
const OBJECT_MEMBERS: [i64; 2] = [6, 16];
/// Longer method resolution orders are damage.
const MAX_BASES: usize = 1000;

/// The name of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AttributeName {
    /// A key of an attribute dict: the str (rarely another object) at this address.
    Key(Address),
    /// A `__slots__` member or a member of a C struct, under its Python name.
    Member(String),
}

impl AttributeName {
    /// At most `max` characters of the name; `None` when it is no str or cannot be read.
    pub fn text(&self, runtime: &Runtime<'_>, max: usize) -> Option<String> {
        match self {
            Self::Key(address) if has_flag(runtime, *address, type_flags::UNICODE_SUBCLASS) => {
                read_str(runtime, *address, max).ok()
            }
            Self::Key(_) => None,
            Self::Member(name) => Some(name.chars().take(max).collect()),
        }
    }
}

/// What looking up an attribute found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The object that Python would give. For methods that is the function, as binding makes a new object.
    Found(Address),
    /// The descriptor at this address would compute it by running code.
    Computed(Address),
    /// There is no such attribute, short of `__getattr__`.
    Missing,
}

/// All attributes that an object itself holds, with their values: its attribute dict in whatever form (for modules
/// and classes: their namespace), `__slots__` of its class and the classes above it, members of its C struct.
pub fn instance_attributes(runtime: &Runtime<'_>, object: Address) -> Vec<(AttributeName, Address)> {
    let mut found = Vec::new();
    for_each_own(runtime, object, &mut |name, value| found.push((AttributeName::Key(name), value)));
    let Some(type_) = type_of(runtime, object) else { return found };
    let mut seen = FxHashSet::default();
    let mut member = |name: String, value: Address| {
        if value != 0 && seen.insert(name.clone()) {
            found.push((AttributeName::Member(name), value));
        }
    };
    let bases = mro(runtime, type_);
    for &base in &bases {
        for (name, place) in struct_members(runtime, object, &tp_name(runtime, base)) {
            member(name.to_owned(), object_at(runtime, place).unwrap_or(0));
        }
    }
    for &base in &bases {
        for_each_in_dict(runtime, type_dict(runtime, base), &mut |key, descriptor| {
            if let Some(Some(value)) = member_value(runtime, descriptor, object, &bases) {
                member(read_str(runtime, key, usize::MAX).unwrap_or_default(), value);
            }
        });
    }
    found
}

/// The attribute `name` of an object, as far as it can be had without running code: see [`lookup`].
pub fn get_attribute(runtime: &Runtime<'_>, object: Address, name: &str) -> Option<Address> {
    match lookup(runtime, object, name) {
        Lookup::Found(value) => Some(value),
        Lookup::Computed(_) | Lookup::Missing => None,
    }
}

/// Looks up the attribute `name`: members of the C struct and `__slots__`, then the instance, then the classes along
/// `tp_mro`; for classes their own namespace and bases, then the metaclass.
///
/// Differs from Python where that needs code: a value the instance keeps under a property's name is given, and so is
/// the function behind a method, classmethod or staticmethod. As a last resort `name` may be the name of a member of
/// the C struct that Python does not publish, such as `wr_object` or `it_seq`: labels of references use those.
pub fn lookup(runtime: &Runtime<'_>, object: Address, name: &str) -> Lookup {
    let Some(type_) = type_of(runtime, object) else { return Lookup::Missing };
    if let Some(value) = special(runtime, object, type_, name) {
        return Lookup::Found(value);
    }
    let bases = mro(runtime, type_);
    let on_class = in_classes(runtime, &bases, name);
    if let Some(Some(value)) = on_class.and_then(|found| member_value(runtime, found, object, &bases)) {
        return Lookup::Found(value);
    }
    let own = if is_type(runtime, object) {
        class_attribute(runtime, object, name)
    } else {
        own_attribute(runtime, object, name)
    };
    if let Some(value) = own {
        return Lookup::Found(value);
    }
    if let Some(found) = on_class {
        return bind(runtime, found, object, &bases);
    }
    match field_at(runtime, object, name) {
        Some(value) => Lookup::Found(value),
        None => Lookup::Missing,
    }
}

/// The type of an object; `None` when its header cannot be read.
pub fn type_of(runtime: &Runtime<'_>, object: Address) -> Option<Address> {
    runtime.space.field(object, runtime.layouts.object.type_).ok()
}

/// The first type along `tp_base` that C code defines, with its `tp_name`: it decides the layout of the C part of
/// instances. Types made by C at run time are told from classes by the module in their `tp_name`.
pub fn native_base(runtime: &Runtime<'_>, type_: Address) -> (Address, String) {
    let l = &runtime.layouts.type_;
    let mut current = type_;
    for _ in 0..MAX_BASES {
        let name = tp_name(runtime, current);
        let flags = runtime.space.field(current, l.flags).unwrap_or(0);
        if flags & type_flags::HEAPTYPE == 0 || name.contains('.') {
            return (current, name);
        }
        match runtime.space.field(current, l.base) {
            Ok(base) if base != 0 => current = base,
            _ => break,
        }
    }
    (current, String::new())
}

/// The method resolution order of a type, itself first.
pub fn mro(runtime: &Runtime<'_>, type_: Address) -> Vec<Address> {
    let mut bases = runtime
        .space
        .field(type_, runtime.layouts.type_.mro)
        .and_then(|tuple| tuple_items(runtime, tuple))
        .unwrap_or_default();
    bases.truncate(MAX_BASES);
    if bases.is_empty() {
        bases.push(type_);
    }
    bases
}

/// The attribute dicts of the classes that an object inherits attributes from; for a class, its own and its bases'.
pub fn class_namespaces(runtime: &Runtime<'_>, object: Address) -> Vec<Address> {
    let class = if is_type(runtime, object) { Some(object) } else { type_of(runtime, object) };
    let bases = class.map(|class| mro(runtime, class)).unwrap_or_default();
    bases.into_iter().map(|base| type_dict(runtime, base)).filter(|&dict| dict != 0).collect()
}

/// `name` in the namespaces of a class and its bases, as it stands there.
pub fn class_lookup(runtime: &Runtime<'_>, type_: Address, name: &str) -> Option<Address> {
    in_classes(runtime, &mro(runtime, type_), name)
}

/// The object in the member of the C struct that the table of shapes calls `label`.
pub fn field_at(runtime: &Runtime<'_>, object: Address, label: &str) -> Option<Address> {
    let bases = mro(runtime, type_of(runtime, object)?);
    let field = bases.iter().find_map(|&base| {
        let fields = runtime.shapes.get(&tp_name(runtime, base))?;
        fields.iter().find(|field| field.name == Some(label))
    })?;
    let value = runtime.space.read_u64(object.wrapping_add(u64::from(field.offset))).ok()?;
    (value != 0).then_some(value)
}

/// The `__dict__` object of an instance, module or class, if it has been made.
pub fn dict_object(runtime: &Runtime<'_>, object: Address) -> Option<Address> {
    match own_place(runtime, object) {
        Place::Dict(dict) | Place::Values { dict, .. } if dict != 0 => Some(dict),
        _ => None,
    }
}

/// Where an object keeps attributes of its own.
enum Place {
    None,
    Dict(Address),
    /// So many value words, named by a keys table; and the dict that shares them, or 0.
    Values {
        first: Address,
        capacity: Option<u32>,
        keys: Address,
        dict: Address,
    },
}

fn own_place(runtime: &Runtime<'_>, object: Address) -> Place {
    let Some(type_) = type_of(runtime, object) else { return Place::None };
    if is_type(runtime, object) {
        return Place::Dict(type_dict(runtime, object));
    }
    let Some(info) = runtime.types.of(type_) else { return Place::None };
    if info.flags & type_flags::MANAGED_DICT != 0 {
        return match managed_place(runtime, info, object) {
            Ok(Attributes::Dict(dict)) => Place::Dict(dict),
            Ok(Attributes::Values { first, capacity, dict }) => {
                Place::Values { first, capacity, keys: info.parts.cached_keys, dict }
            }
            Ok(Attributes::None) | Err(_) => Place::None,
        };
    }
    let dict = dict_pointer(runtime, object, type_).and_then(|place| runtime.space.read_u64(place).ok());
    dict.filter(|&dict| dict != 0).map_or(Place::None, Place::Dict)
}

/// Address of the `__dict__` pointer at `tp_dictoffset` (Objects/object.c, `_PyObject_ComputedDictPointer`).
fn dict_pointer(runtime: &Runtime<'_>, object: Address, type_: Address) -> Option<Address> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let offset = space.field(type_, l.type_.dictoffset).ok()? as i64;
    match offset {
        0 => None,
        1.. => Some(object.wrapping_add_signed(offset)),
        _ => {
            let items = (space.field(object, l.var_object.ob_size).ok()? as i64).unsigned_abs();
            let basic = space.field(type_, l.type_.basicsize).ok()?;
            let item = space.field(type_, l.type_.itemsize).ok()?;
            let size = basic.saturating_add(item.saturating_mul(items)).checked_next_multiple_of(8)?;
            Some(object.wrapping_add(size).wrapping_add_signed(offset))
        }
    }
}

/// Calls `each` with every name and value in the attribute dict of an object, whatever its form.
fn for_each_own(runtime: &Runtime<'_>, object: Address, each: &mut dyn FnMut(Address, Address)) {
    match own_place(runtime, object) {
        Place::None => {}
        Place::Dict(dict) => for_each_in_dict(runtime, dict, each),
        // The dict names the same values, and knows of keys that the class has forgotten.
        Place::Values { dict, .. } if dict != 0 => for_each_in_dict(runtime, dict, each),
        Place::Values { first, capacity, keys, .. } => {
            let Ok(keys) = DictTable::read(runtime, keys) else { return };
            let count = capacity.map_or(keys.nentries, |capacity| keys.nentries.min(capacity as usize));
            let Ok(values) = runtime.space.slice(first, count.saturating_mul(8)) else { return };
            for index in 0..count {
                let value = word(values, index * 8);
                if value != 0 {
                    each(keys.key(index), value);
                }
            }
        }
    }
}

/// Calls `each` with every item, if there is a dict at `dict`.
fn for_each_in_dict(runtime: &Runtime<'_>, dict: Address, each: &mut dyn FnMut(Address, Address)) {
    if dict != 0
        && has_flag(runtime, dict, type_flags::DICT_SUBCLASS)
        && let Ok(view) = DictItems::read(runtime, dict)
    {
        // Items of an unreadable table are missing; those before them are not.
        let _ = view.for_each(runtime, &mut *each);
    }
}

fn own_attribute(runtime: &Runtime<'_>, object: Address, name: &str) -> Option<Address> {
    let mut found = None;
    for_each_own(runtime, object, &mut |key, value| {
        if found.is_none() && text_equals(runtime, key, name) {
            found = Some(value);
        }
    });
    found
}

fn in_classes(runtime: &Runtime<'_>, bases: &[Address], name: &str) -> Option<Address> {
    bases.iter().find_map(|&base| in_dict(runtime, type_dict(runtime, base), name))
}

/// The value under the str `name` in the dict at `dict`, if there is a dict.
fn in_dict(runtime: &Runtime<'_>, dict: Address, name: &str) -> Option<Address> {
    let mut found = None;
    for_each_in_dict(runtime, dict, &mut |key, value| {
        if found.is_none() && text_equals(runtime, key, name) {
            found = Some(value);
        }
    });
    found
}

/// An attribute of a class: enum members by name (in 3.11 the namespace holds descriptors in their place,
/// Lib/enum.py), else what stands in the namespaces, unwrapped.
fn class_attribute(runtime: &Runtime<'_>, class: Address, name: &str) -> Option<Address> {
    let members = in_dict(runtime, type_dict(runtime, class), "_member_map_");
    if let Some(member) = members.and_then(|members| in_dict(runtime, members, name)) {
        return Some(member);
    }
    class_lookup(runtime, class, name).map(|found| unwrap_method(runtime, found))
}

/// The function inside a classmethod or staticmethod; any other object itself.
fn unwrap_method(runtime: &Runtime<'_>, found: Address) -> Address {
    match type_of(runtime, found).map(|type_| native_base(runtime, type_).1).as_deref() {
        Some("classmethod") => field_at(runtime, found, "cm_callable").unwrap_or(found),
        Some("staticmethod") => field_at(runtime, found, "sm_callable").unwrap_or(found),
        _ => found,
    }
}

/// What an object found on the class gives for an instance.
fn bind(runtime: &Runtime<'_>, found: Address, object: Address, bases: &[Address]) -> Lookup {
    let Some(type_) = type_of(runtime, found) else { return Lookup::Missing };
    match native_base(runtime, type_).1.as_str() {
        "function"
        | "method_descriptor"
        | "wrapper_descriptor"
        | "classmethod_descriptor"
        | "builtin_function_or_method" => Lookup::Found(found),
        "classmethod" | "staticmethod" => Lookup::Found(unwrap_method(runtime, found)),
        // A member that refers to nothing now, or whose value is no object before it is asked for.
        "member_descriptor" => match member_value(runtime, found, object, bases) {
            Some(_) => Lookup::Missing,
            None => Lookup::Computed(found),
        },
        _ if class_lookup(runtime, type_, "__get__").is_some() => Lookup::Computed(found),
        _ => Lookup::Found(found),
    }
}

/// Attributes that every object has, or whose place only the interpreter knows.
fn special(runtime: &Runtime<'_>, object: Address, type_: Address, name: &str) -> Option<Address> {
    match name {
        "__class__" => return Some(type_),
        "__dict__" => return dict_object(runtime, object),
        _ => {}
    }
    if is_type(runtime, object) {
        let (field, _) = type_members(runtime, object).into_iter().find(|&(_, member)| member == name)?;
        return runtime.space.field(object, field).ok().filter(|&value| value != 0);
    }
    mro(runtime, type_).into_iter().find_map(|base| {
        let members = struct_members(runtime, object, &tp_name(runtime, base));
        let &(_, place) = members.iter().find(|&&(member, _)| member == name)?;
        object_at(runtime, place)
    })
}

/// The object that the word at `place`, a member of a struct, refers to; of a frame's members some carry tags.
fn object_at(runtime: &Runtime<'_>, place: Address) -> Option<Address> {
    let word = runtime.space.read_u64(place).ok()?;
    StackRef::decode(word, runtime.semantics.tagged_stack).map(|found| found.object)
}

/// Attributes of a type object that its struct keeps; static types have no name object.
fn type_members(runtime: &Runtime<'_>, type_: Address) -> Vec<(Field, &'static str)> {
    let l = &runtime.layouts;
    let mut members =
        vec![(l.type_.mro, "__mro__"), (l.type_.bases, "__bases__"), (l.type_.base, "__base__")];
    if runtime.space.field(type_, l.type_.flags).is_ok_and(|flags| flags & type_flags::HEAPTYPE != 0) {
        members.extend([(l.heap_type.name, "__name__"), (l.heap_type.qualname, "__qualname__")]);
    }
    members
}

/// The value of the member descriptor at `descriptor` in `object`: `Some(None)` when the member is empty, `None` when
/// this is no member descriptor of the object's classes or its member no reference.
///
/// `PyMemberDescrObject` is `PyDescrObject` followed by a pointer to the `PyMemberDef` (Include/descrobject.h).
fn member_value(
    runtime: &Runtime<'_>,
    descriptor: Address,
    object: Address,
    bases: &[Address],
) -> Option<Option<Address>> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    if l.descr.size == 0 || tp_name(runtime, type_of(runtime, descriptor)?) != "member_descriptor" {
        return None;
    }
    let owner = space.field(descriptor, l.descr.type_).ok()?;
    let def = space.read_u64(descriptor.wrapping_add(u64::from(l.descr.size))).ok()?;
    let kind = space.signed(def, l.member_def.type_).ok()?;
    if !bases.contains(&owner) || !OBJECT_MEMBERS.contains(&kind) {
        return None;
    }
    let offset = space.field(def, l.member_def.offset).ok()?;
    let items = match lies_after_items(runtime, def) {
        true => bytes_of_items(runtime, type_of(runtime, object)?, object).ok()?,
        false => 0,
    };
    let value = space.read_u64(object.wrapping_add(offset).wrapping_add(items)).ok()?;
    Some((value != 0).then_some(value))
}

/// Attributes that getters of C types read from the struct, for the type named `tp_name`: Python name and address of
/// the word. Members that a type publishes through member descriptors are found there, not listed here.
fn struct_members(runtime: &Runtime<'_>, object: Address, tp_name: &str) -> Vec<(&'static str, Address)> {
    let l = &runtime.layouts;
    let place = |(name, field): (&'static str, Field)| (name, object.wrapping_add(u64::from(field.offset)));
    let fields: Vec<(&'static str, Option<Field>)> = match tp_name {
        "function" => vec![
            ("__code__", Some(l.function.code)),
            ("__globals__", Some(l.function.globals)),
            ("__closure__", Some(l.function.closure)),
            ("__defaults__", Some(l.function.defaults)),
            ("__kwdefaults__", Some(l.function.kwdefaults)),
            ("__annotations__", Some(l.function.annotations)),
            ("__name__", Some(l.function.name)),
            ("__qualname__", Some(l.function.qualname)),
            ("__module__", Some(l.function.module)),
            ("__type_params__", l.function.typeparams),
        ],
        "method" => vec![("__func__", Some(l.method.func)), ("__self__", Some(l.method.self_))],
        "builtin_function_or_method" => {
            vec![("__self__", Some(l.cfunction.self_)), ("__module__", Some(l.cfunction.module))]
        }
        "BaseException" => vec![
            ("args", Some(l.exception.args)),
            ("__traceback__", Some(l.exception.traceback)),
            ("__context__", Some(l.exception.context)),
            ("__cause__", Some(l.exception.cause)),
            ("__notes__", l.exception.notes),
        ],
        "traceback" => vec![("tb_next", Some(l.traceback.next)), ("tb_frame", Some(l.traceback.frame))],
        "cell" => vec![("cell_contents", Some(l.cell.contents))],
        "weakref" | "weakref.ReferenceType" | "weakref.ProxyType" | "weakref.CallableProxyType" => {
            vec![("wr_object", Some(l.weakref.object)), ("__callback__", Some(l.weakref.callback))]
        }
        "functools._lru_cache_wrapper" => {
            vec![("__wrapped__", Some(l.lru_cache.func)), ("cache", Some(l.lru_cache.cache))]
        }
        "code" => vec![
            ("co_consts", Some(l.code.consts)),
            ("co_names", Some(l.code.names)),
            ("co_name", Some(l.code.name)),
            ("co_qualname", l.code.qualname),
            ("co_filename", Some(l.code.filename)),
            ("co_linetable", l.code.linetable),
            ("co_lnotab", l.code.lnotab),
            ("co_varnames", l.code.varnames),
            ("co_cellvars", l.code.cellvars),
            ("co_freevars", l.code.freevars),
            ("co_exceptiontable", l.code.exceptiontable),
        ],
        "frame" => return frame_members(runtime, object),
        "generator" => return generator_members(runtime, object, ["gi_code", "gi_frame"]),
        "coroutine" => return generator_members(runtime, object, ["cr_code", "cr_frame"]),
        "async_generator" => return generator_members(runtime, object, ["ag_code", "ag_frame"]),
        _ => Vec::new(),
    };
    fields.into_iter().filter_map(|(name, field)| Some(place((name, field?)))).collect()
}

/// Attributes of a frame object, most of which its interpreter frame holds.
fn frame_members(runtime: &Runtime<'_>, object: Address) -> Vec<(&'static str, Address)> {
    let l = &runtime.layouts;
    let at = |base: Address, field: Field| base.wrapping_add(u64::from(field.offset));
    let mut members =
        vec![("f_back", at(object, l.frame_object.back)), ("f_trace", at(object, l.frame_object.trace))];
    let frame = frame_in(runtime, object).unwrap_or(0);
    if frame != 0 {
        members.extend([
            ("f_code", at(frame, l.frame.code)),
            ("f_globals", at(frame, l.frame.globals)),
            ("f_builtins", at(frame, l.frame.builtins)),
            ("f_locals", at(frame, l.frame.locals)),
        ]);
    }
    members
}

/// Attributes of a generator; `names` are those of its code and of its frame. A frame object exists only if
/// somebody asked for it while the generator had a frame.
fn generator_members(
    runtime: &Runtime<'_>,
    object: Address,
    names: [&'static str; 2],
) -> Vec<(&'static str, Address)> {
    let l = &runtime.layouts;
    let [code_name, frame_name] = names;
    let at = |base: Address, field: Field| base.wrapping_add(u64::from(field.offset));
    let mut members =
        vec![("__name__", at(object, l.generator.name)), ("__qualname__", at(object, l.generator.qualname))];
    let (Some(state), Some(iframe)) = (l.generator.frame_state, l.generator.iframe) else {
        let own = [(code_name, l.generator.code), (frame_name, l.generator.frame)];
        members.extend(own.into_iter().filter_map(|(name, field)| Some((name, at(object, field?)))));
        return members;
    };
    let frame = at(object, iframe);
    let has_frame = runtime
        .space
        .signed(object, state)
        .is_ok_and(|state| state < i64::from(runtime.semantics.frame_cleared));
    match l.generator.code {
        Some(field) => members.push((code_name, at(object, field))),
        // Since 3.12 the frame keeps it; it stays there when the frame is cleared.
        None => members.push((code_name, at(frame, l.frame.code))),
    }
    if let (true, Some(field)) = (has_frame, l.frame.frame_obj) {
        members.push((frame_name, at(frame, field)));
    }
    members
}
