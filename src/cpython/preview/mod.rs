//! Previews: an object as Python's `repr()` would show it, bounded in length, items and depth, with no code run.
//!
//! Knows the forms of the builtin types; classes with a `__repr__` of their own appear as `object.__repr__` shows
//! them. A core holds secrets: who asks decides whether values are shown, and what is shown can never act on a
//! terminal. Refuses to know layouts beyond what the readers of values give.

mod containers;
mod literal;
mod objects;

pub use literal::{escape_text, float_repr, quote_bytes, quote_text};

use super::Runtime;
use super::attributes::{class_lookup, native_base, type_of};
use super::items::{code_points, read_float};
use super::names::type_name;
use super::semantics::type_flags;
use super::values::{has_flag, int_digits, read_bytes, str_text};
use super::words::ReadField;
use crate::corefile::Address;

/// Nested objects that are shown at most, whatever the caller asks: bounds recursion.
const MAX_DEPTH: usize = 64;
/// Digits of 30 bits of an int that is written out, about 4000 bits.
const MAX_INT_DIGITS: u64 = 134;

/// Whether what str, bytes, numbers and file paths hold may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Values {
    /// Types, lengths, names of code and of enum members only.
    #[default]
    Hidden,
    /// Everything, as Python would.
    Shown,
}

/// How much of an object a preview shows.
#[derive(Clone, Copy, Debug)]
pub struct PreviewLimits {
    /// Characters of the text, the final `…` included.
    pub max_chars: usize,
    /// Items of each container.
    pub max_items: usize,
    /// Containers inside each other; never more than 64.
    pub max_depth: usize,
}

impl Default for PreviewLimits {
    fn default() -> Self {
        Self { max_chars: 200, max_items: 10, max_depth: 3 }
    }
}

/// The text of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// One line of printable characters.
    pub text: String,
    /// Whether a limit left something out; `…` stands where.
    pub truncated: bool,
}

/// Shows the object at `object`. Never fails: what cannot be read is said in its place.
pub fn preview(runtime: &Runtime<'_>, object: Address, values: Values, limits: PreviewLimits) -> Preview {
    let mut painter = Painter {
        runtime,
        shown: values == Values::Shown && !runtime.redacted,
        limits,
        text: String::new(),
        chars: 0,
        overflow: false,
        truncated: false,
        active: Vec::new(),
    };
    painter.object(object);
    painter.finish()
}

/// Writes one preview.
struct Painter<'r, 'core> {
    runtime: &'r Runtime<'core>,
    shown: bool,
    limits: PreviewLimits,
    text: String,
    /// Characters in `text`.
    chars: usize,
    /// There was more text than `max_chars`.
    overflow: bool,
    truncated: bool,
    /// Containers whose items are being written.
    active: Vec<Address>,
}

impl Painter<'_, '_> {
    /// Writes text, as far as there is room.
    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if self.chars >= self.limits.max_chars {
                self.overflow = true;
                return;
            }
            self.text.push(character);
            self.chars += 1;
        }
    }

    /// Writes a name read from the core.
    fn push_name(&mut self, name: &str) {
        self.push(&escape_text(name));
    }

    /// Characters there is still room for.
    fn room(&self) -> usize {
        self.limits.max_chars.saturating_sub(self.chars)
    }

    fn finish(mut self) -> Preview {
        if self.overflow && self.text.pop().is_some() {
            self.text.push('…');
        }
        Preview { text: self.text, truncated: self.truncated || self.overflow }
    }

    /// Writes what `inner` writes, unless the object is being written already or lies too deep: then the mark alone.
    fn nested(&mut self, object: Address, inner: impl FnOnce(&mut Self)) {
        if self.active.contains(&object) {
            self.push("...");
        } else if self.active.len() >= self.limits.max_depth.min(MAX_DEPTH) {
            self.push("…");
            self.truncated = true;
        } else {
            self.active.push(object);
            inner(self);
            self.active.pop();
        }
    }

    /// Writes any object.
    fn object(&mut self, object: Address) {
        if self.overflow {
            return;
        }
        if object == 0 {
            return self.push("<NULL>");
        }
        let runtime = self.runtime;
        let flags = type_of(runtime, object).and_then(|type_| {
            runtime.space.field(type_, runtime.layouts.type_.flags).ok().map(|flags| (type_, flags))
        });
        let Some((type_, flags)) = flags else {
            return self.push(&format!("<unreadable object at {object:#x}>"));
        };
        if flags & type_flags::TYPE_SUBCLASS != 0 {
            let name = self.full_name(object);
            return self.wrapped("<class '", &name, "'>");
        }
        if flags & type_flags::HEAPTYPE != 0 && class_lookup(runtime, type_, "_member_map_").is_some() {
            return self.enum_member(object, type_);
        }
        if flags & type_flags::BASE_EXC_SUBCLASS != 0 {
            return self.exception(object, type_);
        }
        let (native, name) = native_base(runtime, type_);
        if native == type_ {
            return self.native(object, &name);
        }
        match name.as_str() {
            "tuple" => self.tuple_subclass(object, type_),
            "int" | "float" | "complex" | "str" | "bytes" | "bytearray" | "list" | "dict" => {
                self.push_short_name(type_);
                self.push("(");
                self.native(object, &name);
                self.push(")");
            }
            "set" | "frozenset" => {
                self.push_short_name(type_);
                self.set_items(object, "({", "})", "()");
            }
            "collections.deque" | "collections.defaultdict" | "collections.OrderedDict" => {
                self.push_short_name(type_);
                self.named_container(object, &name);
            }
            _ => self.plain(object, type_),
        }
    }

    /// Writes an instance of a type that C code defines.
    fn native(&mut self, object: Address, tp_name: &str) {
        match tp_name {
            "NoneType" => self.push("None"),
            "ellipsis" => self.push("Ellipsis"),
            "NotImplementedType" => self.push("NotImplemented"),
            "bool" => self.boolean(object),
            "int" => self.int(object),
            "float" => self.float(object),
            "complex" => self.complex(object),
            "str" => self.str(object),
            "bytes" => self.bytes(object),
            "bytearray" => self.bytearray(object),
            _ => {
                if !self.container(object, tp_name) && !self.named_object(object, tp_name) {
                    let type_ = type_of(self.runtime, object).unwrap_or(0);
                    self.plain(object, type_);
                }
            }
        }
    }

    /// Writes `<mod.Class object at 0x…>`.
    fn plain(&mut self, object: Address, type_: Address) {
        let name = self.full_name(type_);
        self.wrapped("<", &name, &format!(" object at {object:#x}>"));
    }

    /// Writes a name from the core between two texts of ours.
    fn wrapped(&mut self, before: &str, name: &str, after: &str) {
        self.push(before);
        self.push_name(name);
        self.push(after);
    }

    /// `module.qualname` of a type, without `builtins.`.
    fn full_name(&self, type_: Address) -> String {
        let name = match self.runtime.types.of(type_) {
            Some(info) => info.name.to_string(),
            None => type_name(self.runtime, type_),
        };
        match name.strip_prefix("builtins.") {
            Some(short) => short.to_owned(),
            None => name,
        }
    }

    /// Writes `__name__` of a type.
    fn push_short_name(&mut self, type_: Address) {
        let name = self.full_name(type_);
        self.push_name(name.rsplit('.').next().unwrap_or(&name));
    }

    fn unreadable(&mut self, what: &str, object: Address) {
        self.push(&format!("<unreadable {what} at {object:#x}>"));
    }

    /// True and False: the one digit or none.
    fn boolean(&mut self, object: Address) {
        match int_digits(self.runtime, object) {
            Ok((_, 0)) => self.push("False"),
            Ok(_) => self.push("True"),
            Err(_) => self.unreadable("bool", object),
        }
    }

    fn int(&mut self, object: Address) {
        if !self.shown {
            return self.push("<int>");
        }
        let Ok((negative, count)) = int_digits(self.runtime, object) else {
            return self.unreadable("int", object);
        };
        let start = object.wrapping_add(u64::from(self.runtime.layouts.long.digits.offset));
        if count > MAX_INT_DIGITS {
            let last = start.wrapping_add(count.saturating_sub(1).saturating_mul(4));
            let top = self.runtime.space.payload(last, 4).ok().and_then(|bytes| bytes.first_chunk());
            let top = top.map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let bits = count
                .saturating_sub(1)
                .saturating_mul(30)
                .saturating_add(u64::from(32 - top.leading_zeros()));
            return self.push(&format!("<int of {bits} bits>"));
        }
        match self.runtime.space.payload(start, count as usize * 4) {
            Ok(bytes) => {
                let digits: Vec<u32> =
                    bytes.as_chunks::<4>().0.iter().map(|&d| u32::from_le_bytes(d)).collect();
                self.push(&literal::decimal(negative, &digits));
            }
            Err(_) => self.unreadable("int", object),
        }
    }

    fn float(&mut self, object: Address) {
        match read_float(self.runtime, object) {
            _ if !self.shown => self.push("<float>"),
            Some(value) => self.push(&float_repr(value)),
            None => self.unreadable("float", object),
        }
    }

    fn complex(&mut self, object: Address) {
        if !self.shown {
            return self.push("<complex>");
        }
        let parts = self.runtime.layouts.complex.value.and_then(|field| {
            let start = object.wrapping_add(u64::from(field.offset));
            let parts = self.runtime.space.payload(start, 16).ok()?.as_chunks::<8>().0;
            Some((f64::from_le_bytes(*parts.first()?), f64::from_le_bytes(*parts.get(1)?)))
        });
        match parts {
            Some((real, imaginary)) => self.push(&literal::complex_repr(real, imaginary)),
            None => self.unreadable("complex", object),
        }
    }

    fn str(&mut self, object: Address) {
        if !self.shown {
            return match str_text(self.runtime, object) {
                Ok(text) => self.push(&format!(
                    "<str of {} char{}>",
                    text.length,
                    if text.length == 1 { "" } else { "s" }
                )),
                Err(_) => self.unreadable("str", object),
            };
        }
        // One more than there is room for, so that the end is seen to be missing.
        match code_points(self.runtime, object, self.room().saturating_add(1)) {
            Some(codes) => self.push(&literal::quote_code_points(&codes)),
            None => self.unreadable("str", object),
        }
    }

    fn bytes(&mut self, object: Address) {
        if !self.shown {
            return match self.runtime.space.field(object, self.runtime.layouts.var_object.ob_size) {
                Ok(length) => self.push(&format!("<bytes of length {length}>")),
                Err(_) => self.unreadable("bytes", object),
            };
        }
        match read_bytes(self.runtime, object, self.room().saturating_add(1)) {
            Ok(bytes) => self.push(&quote_bytes(bytes)),
            Err(_) => self.unreadable("bytes", object),
        }
    }

    fn bytearray(&mut self, object: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let Ok(length) = space.field(object, l.var_object.ob_size) else {
            return self.unreadable("bytearray", object);
        };
        if !self.shown {
            return self.push(&format!("<bytearray of length {length}>"));
        }
        let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(self.room().saturating_add(1));
        let bytes = match wanted {
            0 => Ok(&[][..]),
            _ => space.field(object, l.bytearray.start).and_then(|start| space.payload(start, wanted)),
        };
        match bytes {
            Ok(bytes) => {
                self.push("bytearray(");
                self.push(&quote_bytes(bytes));
                self.push(")");
            }
            Err(_) => self.unreadable("bytearray", object),
        }
    }

    /// The text of a str attribute of code, such as a function's name; never hidden.
    fn push_code_name(&mut self, name: Option<Address>) {
        let name = name
            .filter(|&name| has_flag(self.runtime, name, type_flags::UNICODE_SUBCLASS))
            .and_then(|name| super::values::read_str(self.runtime, name, self.room().saturating_add(1)).ok());
        self.push_name(name.as_deref().unwrap_or("?"));
    }
}
