//! Names of types, as Python and as C give them.

use super::Runtime;
use super::semantics::type_flags;
use super::type_search::type_dict;
use super::values::{is_str, read_str};
use super::words::ReadField;
use crate::corefile::Address;

/// Longest name that is read, in characters.
const MAX_NAME: usize = 1024;

/// `tp_name`. Where that lies in memory that is nowhere, the name by which a static type was recognised
/// ([`super::StaticNames`]), or what a heap type says of itself; empty when nothing tells.
pub fn tp_name(runtime: &Runtime<'_>, type_: Address) -> String {
    written_tp_name(runtime, type_)
        .or_else(|| runtime.static_names.get(type_).map(str::to_owned))
        .or_else(|| heap_type_name(runtime, type_))
        .unwrap_or_default()
}

/// `tp_name`, if it can be read.
pub(super) fn written_tp_name(runtime: &Runtime<'_>, type_: Address) -> Option<String> {
    let name = runtime.space.field(type_, runtime.layouts.type_.name).ok()?;
    let bytes = runtime.space.c_string(name, MAX_NAME).ok()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// What `PyType_FromSpec` made `__module__` and `__qualname__` from (Objects/typeobject.c).
fn heap_type_name(runtime: &Runtime<'_>, type_: Address) -> Option<String> {
    let flags = runtime.space.field(type_, runtime.layouts.type_.flags).ok()?;
    if flags & type_flags::HEAPTYPE == 0 {
        return None;
    }
    let qualname = runtime.space.field(type_, runtime.layouts.heap_type.qualname).ok()?;
    let qualname = is_str(runtime, qualname).then(|| read_str(runtime, qualname, MAX_NAME))?.ok()?;
    Some(match type_module(runtime, type_) {
        Some(module) if module != "builtins" => format!("{module}.{qualname}"),
        _ => qualname,
    })
}

/// `module.qualname` of a type; without the module where `__module__` is no str
/// (Objects/typeobject.c, `type_module`, `type_qualname`).
pub fn type_name(runtime: &Runtime<'_>, type_: Address) -> String {
    let flags = runtime.space.field(type_, runtime.layouts.type_.flags).unwrap_or(0);
    if flags & type_flags::HEAPTYPE == 0 {
        let name = tp_name(runtime, type_);
        return match name.contains('.') {
            true => name,
            false if name.is_empty() => format!("<static type {type_:#x}>"),
            // Only several names are known, of which it has one.
            false if name.starts_with('<') => name,
            false => format!("builtins.{name}"),
        };
    }
    let qualname = runtime
        .space
        .field(type_, runtime.layouts.heap_type.qualname)
        .and_then(|name| read_str(runtime, name, MAX_NAME))
        .unwrap_or_else(|_| tp_name(runtime, type_));
    match type_module(runtime, type_) {
        Some(module) => format!("{module}.{qualname}"),
        None => qualname,
    }
}

/// `__module__` of a type; `None` where it is no str.
pub fn type_module(runtime: &Runtime<'_>, type_: Address) -> Option<String> {
    let flags = runtime.space.field(type_, runtime.layouts.type_.flags).unwrap_or(0);
    if flags & type_flags::HEAPTYPE == 0 {
        let name = tp_name(runtime, type_);
        return Some(name.rsplit_once('.').map_or("builtins", |(module, _)| module).to_owned());
    }
    super::dict::dict_get(runtime, type_dict(runtime, type_), "__module__")
        .filter(|&value| is_str(runtime, value))
        .and_then(|value| read_str(runtime, value, MAX_NAME).ok())
}
