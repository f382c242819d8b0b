//! Where in its holder a reference stands. Labels are not stored: they are read again from the holder on demand.

use super::values::{is_str, read_int, read_str, tuple_items};
use super::{Runtime, member_name};
use crate::corefile::Address;

/// The place of one reference in the object that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A named member of the C struct.
    Field(&'static str),
    /// An item of a list, tuple or deque.
    Index(u64),
    /// A key of a dict.
    Key,
    /// The value under the key at this address.
    Value(Address),
    /// The attribute named by the str at this address.
    Attribute(Address),
    /// The `__slots__` member named by this C string.
    SlotMember(Address),
    /// The instance `__dict__`.
    InstanceDict,
    /// An element of a set.
    Element,
    /// The object's type.
    Type,
    /// Local variable `index`, named by the tuple at `names` (`co_localsplusnames`).
    Local {
        /// Tuple of names.
        names: Address,
        /// Position in it.
        index: u32,
    },
    /// A temporary of a frame's evaluation stack.
    Stack(u32),
    /// A remembered call.
    CacheLink,
    /// The key of a remembered call.
    CacheKey,
    /// The result of a remembered call.
    CacheResult,
    /// State of a C module.
    ModuleState,
    /// A member of the C struct, whose name is looked up for a label only.
    Word {
        /// The object's type.
        type_: Address,
        /// Bytes from the object's start.
        offset: u32,
    },
    /// Memory that the object owns elsewhere.
    Indirect,
}

/// Longest name or key shown in a label, in characters.
const MAX_LABEL: usize = 80;

impl Slot {
    /// A name for the place as Python would write it: `.attribute`, `[3]`, `['key']`, `local x`.
    /// Keys and names are shown: they are what a label is for; values never are.
    pub fn label(&self, runtime: &Runtime<'_>) -> String {
        let text = |address| read_str(runtime, address, MAX_LABEL).unwrap_or_else(|_| "?".to_owned());
        match *self {
            Self::Field(name) => format!(".{name}"),
            Self::Index(index) => format!("[{index}]"),
            Self::Key => "key".to_owned(),
            Self::Value(key) => format!("[{}]", key_label(runtime, key)),
            Self::Attribute(name) => format!(".{}", text(name)),
            Self::SlotMember(name) => {
                let name = runtime.space.c_string(name, MAX_LABEL).unwrap_or(b"?");
                format!(".{}", String::from_utf8_lossy(name))
            }
            Self::InstanceDict => ".__dict__".to_owned(),
            Self::Element => "element".to_owned(),
            Self::Type => ".__class__".to_owned(),
            Self::Local { names, index } => match tuple_items(runtime, names) {
                Ok(names) => {
                    format!("local {}", names.get(index as usize).map_or("?".to_owned(), |&n| text(n)))
                }
                Err(_) => format!("local #{index}"),
            },
            Self::Stack(index) => format!("stack {index}"),
            Self::CacheLink => "cached call".to_owned(),
            Self::CacheKey => "cached key".to_owned(),
            Self::CacheResult => "cached result".to_owned(),
            Self::ModuleState => "module state".to_owned(),
            Self::Word { type_, offset } => {
                let name = runtime.types.of(type_).and_then(|info| member_name(runtime, info, offset));
                name.map_or_else(|| format!("+{offset}"), |name| format!(".{name}"))
            }
            Self::Indirect => "C memory".to_owned(),
        }
    }
}

/// A dict key as it would be written between brackets.
pub fn key_label(runtime: &Runtime<'_>, key: Address) -> String {
    if is_str(runtime, key) {
        return match read_str(runtime, key, MAX_LABEL + 1) {
            Ok(text) if text.chars().count() > MAX_LABEL => {
                format!("'{}…'", text.chars().take(MAX_LABEL).collect::<String>())
            }
            Ok(text) => format!("'{text}'"),
            Err(_) => "?".to_owned(),
        };
    }
    let is_int = super::values::has_flag(runtime, key, super::type_flags::LONG_SUBCLASS);
    match is_int.then(|| read_int(runtime, key)) {
        Some(_) if runtime.redacted => "<int>".to_owned(),
        Some(Ok(Some(value))) => value.to_string(),
        _ => {
            let type_ = super::words::ReadField::field(&runtime.space, key, runtime.layouts.object.type_)
                .unwrap_or(0);
            let name = runtime.types.of(type_).map_or("object", |info| info.name.as_ref());
            format!("<{} at {key:#x}>", name.strip_prefix("builtins.").unwrap_or(name))
        }
    }
}
