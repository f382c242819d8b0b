//! What belongs to Python itself and not to the program that it ran: names in it are no secrets, and the rest of this crate
//! recognises things by them.
//!
//! Knows the modules of the standard library by name; refuses to tell whose a thing is by anything else than the module or
//! the file that it says it is from.

use rustc_hash::FxHashSet;

use crate::corefile::{Address, Inputs};
use crate::cpython::{ReadField, Runtime, TypeId, read_str, standard_modules, type_module};

/// Longest name of a module or file, in characters.
const MAX_NAME: usize = 4096;

/// What is known of a process' types and modules.
#[derive(Debug)]
pub(super) struct Standard {
    modules: FxHashSet<&'static str>,
    /// By [`TypeId`].
    types: Vec<bool>,
}

impl Standard {
    pub(super) fn new(runtime: &Runtime<'_>) -> Self {
        let modules = modules();
        let types = runtime.types.iter().map(|(_, info)| {
            let module = type_module(runtime, info.address);
            module.is_some_and(|module| modules.contains(top(&module)))
        });
        let types = types.collect();
        Self { modules, types }
    }

    /// Whether the str at `name` is the name of a module of the standard library.
    pub(super) fn has_module(&self, runtime: &Runtime<'_>, name: Address) -> bool {
        read_str(runtime, name, MAX_NAME).is_ok_and(|name| self.modules.contains(top(&name)))
    }

    /// Whether an object, of the type `type_id`, is of the standard library: a type, module, function or code of it, or an
    /// instance of one of its types.
    pub(super) fn has(&self, runtime: &Runtime<'_>, type_id: TypeId, object: Address) -> bool {
        let info = runtime.types.get(type_id);
        let member = |label: &str| {
            let field = info.walk.fields.iter().find(|field| field.name == Some(label))?;
            runtime.space.read_u64(object.wrapping_add(u64::from(field.offset))).ok()
        };
        let text = |label: &str| read_str(runtime, member(label)?, MAX_NAME).ok();
        let is_module = |name: Option<String>| name.is_some_and(|name| self.modules.contains(top(&name)));
        if info.is_metatype() {
            return runtime.types.id_of(object).is_some_and(|id| self.has_type(id));
        }
        match &*info.name {
            "builtins.module" => is_module(text("md_name")),
            "builtins.function" => is_module(text("func_module")),
            "builtins.code" => text("co_filename").is_some_and(|file| is_of_library(&file)),
            "builtins.generator" | "builtins.coroutine" | "builtins.async_generator" => {
                let code = member("gi_code");
                code.is_some_and(|code| {
                    let type_ = runtime.space.field(code, runtime.layouts.object.type_).ok();
                    type_
                        .and_then(|type_| runtime.types.id_of(type_))
                        .is_some_and(|id| self.has(runtime, id, code))
                })
            }
            "builtins.getset_descriptor"
            | "builtins.member_descriptor"
            | "builtins.method_descriptor"
            | "builtins.classmethod_descriptor"
            | "builtins.wrapper_descriptor" => {
                let owner = member("d_type").and_then(|type_| runtime.types.id_of(type_));
                owner.is_some_and(|id| self.has_type(id))
            }
            "builtins.property" => false,
            _ => self.has_type(type_id),
        }
    }

    /// Whether the file mapped at `address` is the interpreter, a library of the system, or an extension module of the
    /// standard library.
    pub(super) fn has_file_at(&self, inputs: &Inputs, runtime: &Runtime<'_>, address: Address) -> bool {
        if runtime.is_own_code(address) {
            return true;
        }
        let Some(module) = inputs.module_at(address) else { return false };
        let stem = module.name().split('.').next().unwrap_or_default();
        module.path.contains("/lib-dynload/") && self.modules.contains(stem)
    }

    fn has_type(&self, type_id: TypeId) -> bool {
        self.types.get(type_id.0 as usize) == Some(&true)
    }
}

fn modules() -> FxHashSet<&'static str> {
    standard_modules().collect()
}

/// The outermost package of a module.
fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// Whether a file of Python code is one of the standard library's, where packages that were installed have a directory of
/// their own.
fn is_of_library(file: &str) -> bool {
    let installed = file.contains("/site-packages/") || file.contains("/dist-packages/");
    file.starts_with("<frozen ")
        || (!installed && (file.contains("/lib/python3") || file.contains("/lib64/python3")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_from_what_was_installed() {
        assert!(
            is_of_library("/usr/lib/python3.12/json/decoder.py")
                && is_of_library("<frozen importlib._bootstrap>")
        );
        assert!(!is_of_library("/usr/lib/python3/dist-packages/apt.py"));
        assert!(!is_of_library("/opt/venv/lib/python3.12/site-packages/flask/app.py"));
        assert!(!is_of_library("/srv/app/main.py"));
        let modules = modules();
        for name in ["asyncio", "_io", "json", "builtins", "distutils"] {
            assert!(modules.contains(name), "{name}");
        }
        assert!(!modules.contains("__main__") && !modules.contains("numpy"));
    }
}
