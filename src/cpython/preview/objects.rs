//! Objects that Python shows by a name or an address: code, functions, modules, descriptors, exceptions, enum members.

use super::Painter;
use crate::corefile::Address;
use crate::cpython::attributes::{field_at, get_attribute, type_of};
use crate::cpython::frame::frame_of_object;
use crate::cpython::items::text_equals;
use crate::cpython::semantics::type_flags;
use crate::cpython::type_search::is_type;
use crate::cpython::values::{has_flag, tuple_items};
use crate::cpython::words::ReadField;

/// Longest name of a builtin method, in bytes.
const MAX_NAME: usize = 256;

impl Painter<'_, '_> {
    /// Writes an object of exactly the type `tp_name` that has a form of its own; `false` when it has none.
    pub(super) fn named_object(&mut self, object: Address, tp_name: &str) -> bool {
        match tp_name {
            "function" => self.qualified("<function ", object),
            "generator" => self.qualified("<generator object ", object),
            "coroutine" => self.qualified("<coroutine object ", object),
            "async_generator" => self.qualified("<async_generator object ", object),
            "method" => self.bound_method(object),
            "builtin_function_or_method" => self.builtin_function(object),
            "method_descriptor" | "classmethod_descriptor" => self.descriptor("method", object),
            "wrapper_descriptor" => self.descriptor("slot wrapper", object),
            "member_descriptor" => self.descriptor("member", object),
            "getset_descriptor" => self.descriptor("attribute", object),
            "classmethod" => self.wrapper("<classmethod(", object, "cm_callable", ")>"),
            "staticmethod" => self.wrapper("<staticmethod(", object, "sm_callable", ")>"),
            "module" => self.module(object),
            "code" => self.code(object),
            "frame" => self.frame(object),
            "cell" => self.cell(object),
            "range" => self.range(object),
            "slice" => self.slice(object),
            "weakref" | "weakref.ReferenceType" => self.weak_reference(object),
            _ => return false,
        }
        true
    }

    /// `<function f at 0x…>`.
    fn qualified(&mut self, before: &str, object: Address) {
        self.push(before);
        let name = get_attribute(self.runtime, object, "__qualname__");
        self.push_code_name(name);
        self.push(&format!(" at {object:#x}>"));
    }

    /// An object between two texts.
    fn wrapper(&mut self, before: &str, object: Address, label: &str, after: &str) {
        let inner = field_at(self.runtime, object, label).unwrap_or(0);
        self.push(before);
        self.nested(object, |painter| painter.object(inner));
        self.push(after);
    }

    /// `<bound method C.f of …>` (Objects/classobject.c, `method_repr`).
    fn bound_method(&mut self, object: Address) {
        let attribute = |of, name| get_attribute(self.runtime, of, name);
        let function = attribute(object, "__func__").unwrap_or(0);
        let name = attribute(function, "__qualname__").or_else(|| attribute(function, "__name__"));
        let receiver = attribute(object, "__self__").unwrap_or(0);
        self.push("<bound method ");
        self.push_code_name(name);
        self.push(" of ");
        self.nested(object, |painter| painter.object(receiver));
        self.push(">");
    }

    /// `<built-in function len>`, `<built-in method append of list object at 0x…>` (Objects/methodobject.c, `meth_repr`).
    fn builtin_function(&mut self, object: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts);
        let name = space
            .field(object, l.cfunction.def)
            .and_then(|def| space.field(def, l.method_def.name))
            .and_then(|name| space.c_string(name, MAX_NAME))
            .map_or_else(|_| "?".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
        let receiver = space.field(object, l.cfunction.self_).unwrap_or(0);
        let receiver_type = if receiver == 0 { None } else { type_of(self.runtime, receiver) };
        match receiver_type {
            Some(type_) if self.full_name(type_) != "module" => {
                let type_name = self.full_name(type_);
                let type_name = type_name.rsplit('.').next().unwrap_or(&type_name).to_owned();
                self.wrapped("<built-in method ", &name, " of ");
                self.wrapped("", &type_name, &format!(" object at {receiver:#x}>"));
            }
            _ => self.wrapped("<built-in function ", &name, ">"),
        }
    }

    /// `<method 'append' of 'list' objects>` (Objects/descrobject.c, `descr_repr`).
    fn descriptor(&mut self, kind: &str, object: Address) {
        let read = |field| self.runtime.space.field(object, field).unwrap_or(0);
        let (name, type_) = (read(self.runtime.layouts.descr.name), read(self.runtime.layouts.descr.type_));
        let type_name = crate::cpython::names::tp_name(self.runtime, type_);
        self.push(&format!("<{kind} '"));
        self.push_code_name(Some(name));
        self.wrapped("' of '", &type_name, "' objects>");
    }

    /// `<module 'json' from '/…'>` (Lib/importlib/_bootstrap.py, `_module_repr`); without its origin when values are
    /// hidden, as paths tell about people and machines.
    fn module(&mut self, object: Address) {
        self.push("<module ");
        let name = get_attribute(self.runtime, object, "__name__").unwrap_or(0);
        self.push("'");
        self.push_code_name(Some(name));
        self.push("'");
        if self.shown {
            self.module_origin(object);
        }
        self.push(">");
    }

    fn module_origin(&mut self, object: Address) {
        let runtime = self.runtime;
        let present = |of: Address, name: &str| {
            get_attribute(runtime, of, name).filter(|&value| value != runtime.landmarks.none)
        };
        let spec = present(object, "__spec__");
        let origin = spec.and_then(|spec| present(spec, "origin"));
        match (spec, origin) {
            (Some(_), Some(origin))
                if text_equals(runtime, origin, "built-in") || text_equals(runtime, origin, "frozen") =>
            {
                self.push(" (");
                self.push_code_name(Some(origin));
                self.push(")");
            }
            (Some(_), Some(path)) => {
                self.push(" from ");
                self.str(path);
            }
            _ => {
                if let Some(path) = present(object, "__file__") {
                    self.push(" from ");
                    self.str(path);
                }
            }
        }
    }

    /// `<code object f at 0x…, file "app.py", line 3>` (Objects/codeobject.c, `code_repr`).
    fn code(&mut self, object: Address) {
        let (space, l) = (&self.runtime.space, &self.runtime.layouts.code);
        let line = space.signed(object, l.firstlineno).unwrap_or(0);
        let read = |field| space.field(object, field).ok();
        let (name, file) = (read(l.name), read(l.filename));
        self.push("<code object ");
        self.push_code_name(name);
        self.push(&format!(" at {object:#x}, file \""));
        self.push_code_name(file);
        self.push(&format!("\", line {line}>"));
    }

    /// `<frame at 0x…, file 'app.py', line 3, code f>` (Objects/frameobject.c, `frame_repr`).
    fn frame(&mut self, object: Address) {
        let Some(frame) = frame_of_object(self.runtime, object) else {
            return self.unreadable("frame", object);
        };
        self.wrapped(&format!("<frame at {object:#x}, file '"), &frame.filename, "'");
        if let Some(line) = frame.line {
            self.push(&format!(", line {line}"));
        }
        self.wrapped(", code ", &frame.name, ">");
    }

    /// `<cell at 0x…: int object at 0x…>` (Objects/cellobject.c, `cell_repr`).
    fn cell(&mut self, object: Address) {
        let contents = self.runtime.space.field(object, self.runtime.layouts.cell.contents).unwrap_or(0);
        if contents == 0 {
            return self.push(&format!("<cell at {object:#x}: empty>"));
        }
        let type_ = type_of(self.runtime, contents).unwrap_or(0);
        let type_name = crate::cpython::names::tp_name(self.runtime, type_);
        self.wrapped(&format!("<cell at {object:#x}: "), &type_name, &format!(" object at {contents:#x}>"));
    }

    /// `range(0, 3)`; the step only where it is not 1. Bounds tell no payload, so they are always shown.
    fn range(&mut self, object: Address) {
        let bound = |label| field_at(self.runtime, object, label).unwrap_or(0);
        let (start, stop, step) = (bound("start"), bound("stop"), bound("step"));
        let is_one = matches!(crate::cpython::read_int(self.runtime, step), Ok(Some(1)));
        let bounds: &[Address] = if is_one { &[start, stop] } else { &[start, stop, step] };
        self.bounds("range(", bounds);
    }

    /// `slice(1, None, 2)`.
    fn slice(&mut self, object: Address) {
        let bounds =
            ["start", "stop", "step"].map(|label| field_at(self.runtime, object, label).unwrap_or(0));
        self.nested(object, |painter| painter.bounds("slice(", &bounds));
    }

    fn bounds(&mut self, open: &str, bounds: &[Address]) {
        self.push(open);
        for (index, &bound) in bounds.iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.object(bound);
        }
        self.push(")");
    }

    /// `<weakref at 0x…; to 'Session' at 0x…>` (Objects/weakrefobject.c, `weakref_repr`).
    fn weak_reference(&mut self, object: Address) {
        let none = self.runtime.landmarks.none;
        let target = get_attribute(self.runtime, object, "wr_object").filter(|&target| target != none);
        self.push(&format!("<weakref at {object:#x}; "));
        match target {
            Some(target) => {
                let type_ = type_of(self.runtime, target).unwrap_or(0);
                let name = self.full_name(type_);
                self.wrapped("to '", &name, &format!("' at {target:#x}>"));
            }
            None => self.push("dead>"),
        }
    }

    /// `ValueError('x')`: the class's name and its arguments (Objects/exceptions.c, `BaseException_repr`).
    pub(super) fn exception(&mut self, object: Address, type_: Address) {
        self.push_short_name(type_);
        let arguments = self.runtime.space.field(object, self.runtime.layouts.exception.args).unwrap_or(0);
        let items = if has_flag(self.runtime, arguments, type_flags::TUPLE_SUBCLASS) {
            tuple_items(self.runtime, arguments).unwrap_or_default()
        } else {
            Default::default()
        };
        self.push("(");
        if !items.is_empty() {
            self.nested(object, |painter| {
                painter.list_of(items.iter(), items.len() as u64, |painter, &item| painter.object(item));
            });
        }
        self.push(")");
    }

    /// `<Color.RED: 1>` (Lib/enum.py, `Enum.__repr__`); a combination of flags without a name shows its value only.
    pub(super) fn enum_member(&mut self, object: Address, type_: Address) {
        let name = get_attribute(self.runtime, object, "_name_");
        let value = get_attribute(self.runtime, object, "_value_");
        if is_type(self.runtime, object) || value.is_none() {
            return self.plain(object, type_);
        }
        self.push("<");
        self.push_short_name(type_);
        if let Some(name) = name.filter(|&name| name != self.runtime.landmarks.none) {
            self.push(".");
            self.push_code_name(Some(name));
        }
        self.push(": ");
        self.nested(object, |painter| painter.object(value.unwrap_or(0)));
        self.push(">");
    }
}
