//! Types by themselves, by the module that defines them, or by the package that this module came with.
//!
//! Knows `__module__` of types and `__file__` of modules; refuses to look into the file system. Which distribution
//! installed a package stands in a `*.dist-info` directory that no object of the heap mentions, so what lies in `site-packages`
//! goes by the name that it has there: `PIL`, not Pillow.

use super::suspects::stdlib_names;
use crate::cpython::{Runtime, TypeId, dict_items, get_attribute, is_str, read_str, type_module};
use rustc_hash::{FxHashMap, FxHashSet};

/// Longest name of a module, in characters.
const MAX_NAME: usize = 200;
/// Longest path of a file, in characters.
const MAX_PATH: usize = 4096;
/// Where packages are installed that are not Python's own.
const INSTALLED: [&str; 2] = ["site-packages", "dist-packages"];
/// What Python's own modules go by.
const STANDARD_LIBRARY: &str = "(standard library)";

/// By what types are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeGrouping {
    /// Each by itself.
    Type,
    /// By the module that defines them.
    Module,
    /// By the top-level package that the module came with.
    Package,
}

impl TypeGrouping {
    /// What a group is, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Module => "module",
            Self::Package => "package",
        }
    }
}

/// Types in groups.
#[derive(Clone, Debug)]
pub struct TypeGroups {
    /// What the groups are.
    pub grouping: TypeGrouping,
    /// By type: its group, which is its own number where types stand by themselves; `None` for types that were not wanted.
    groups: Vec<Option<u32>>,
    /// By group: its name; empty where types stand by themselves, and for types without a module.
    names: Vec<String>,
}

impl TypeGroups {
    /// Puts the types that `wanted` accepts by full name into groups.
    pub fn new(runtime: &Runtime<'_>, grouping: TypeGrouping, wanted: impl Fn(&str) -> bool) -> Self {
        let packages = match grouping {
            TypeGrouping::Package => Packages::read(runtime),
            _ => Packages::default(),
        };
        let mut groups = Self { grouping, groups: Vec::new(), names: Vec::new() };
        let mut known: FxHashMap<String, u32> = FxHashMap::default();
        for (_, info) in runtime.types.iter() {
            let module = || type_module(runtime, info.address).unwrap_or_default();
            let group = match grouping {
                // By their own numbers, whichever are wanted.
                TypeGrouping::Type => Some(groups.add(String::new())).filter(|_| wanted(&info.name)),
                _ if !wanted(&info.name) => None,
                TypeGrouping::Module => Some(groups.named(&mut known, module())),
                TypeGrouping::Package => Some(groups.named(&mut known, packages.of(&module()))),
            };
            groups.groups.push(group);
        }
        groups
    }

    /// Each type by itself.
    pub fn each(runtime: &Runtime<'_>) -> Self {
        Self::new(runtime, TypeGrouping::Type, |_| true)
    }

    /// How many groups there are; their numbers are below.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The group of a type.
    #[inline]
    pub fn of(&self, type_id: TypeId) -> Option<u32> {
        self.groups.get(type_id.0 as usize).copied().flatten()
    }

    /// Name of the module or package; empty for types.
    pub fn name(&self, group: u32) -> &str {
        self.names.get(group as usize).map_or("", String::as_str)
    }

    fn add(&mut self, name: String) -> u32 {
        self.names.push(name);
        (self.names.len() - 1) as u32
    }

    fn named(&mut self, known: &mut FxHashMap<String, u32>, name: String) -> u32 {
        if let Some(&group) = known.get(&name) {
            return group;
        }
        known.insert(name.clone(), self.names.len() as u32);
        self.add(name)
    }
}

/// Which package the modules of `sys.modules` came with, by the first part of their name.
#[derive(Clone, Debug, Default)]
struct Packages {
    by_top: FxHashMap<String, String>,
    standard: FxHashSet<String>,
}

impl Packages {
    fn read(runtime: &Runtime<'_>) -> Self {
        let mut files: Vec<(String, Option<String>)> = Vec::new();
        for interpreter in &runtime.interpreters {
            for (key, module) in dict_items(runtime, interpreter.modules) {
                if let Ok(name) = read_str(runtime, key, MAX_NAME) {
                    files.push((name, file_of(runtime, module)));
                }
            }
        }
        // A package comes before its submodules; a namespace package has no file, though its submodules may.
        files.sort();
        let home = files.iter().find(|(name, _)| name == "os").and_then(|(_, file)| file.clone());
        let home = home.and_then(|file| Some(file.rsplit_once('/')?.0.to_owned()));
        let mut packages = Self { by_top: FxHashMap::default(), standard: stdlib_names(runtime) };
        for (name, file) in files {
            let top = top_of(&name);
            // What is no path, as in a redacted heap, tells nothing: the list of Python's own modules does then.
            let package = match &file {
                Some(file) if file.contains('/') => package_of(file, top, home.as_deref()),
                _ => continue,
            };
            packages.by_top.entry(top.to_owned()).or_insert(package);
        }
        packages
    }

    /// The package of the module called `module`, whether or not it was imported.
    fn of(&self, module: &str) -> String {
        let top = top_of(module);
        match self.by_top.get(top) {
            Some(package) => package.clone(),
            None if matches!(top, "builtins" | "sys") || self.standard.contains(top) => {
                STANDARD_LIBRARY.to_owned()
            }
            None => top.to_owned(),
        }
    }
}

fn top_of(module: &str) -> &str {
    module.split('.').next().unwrap_or_default()
}

/// `__file__` of a module.
fn file_of(runtime: &Runtime<'_>, module: u64) -> Option<String> {
    let file = get_attribute(runtime, module, "__file__")?;
    is_str(runtime, file).then(|| read_str(runtime, file, MAX_PATH).ok())?
}

/// The package to which the file of a module called `top`, or of one below it, belongs. `home` is where Python's own
/// modules lie.
fn package_of(file: &str, top: &str, home: Option<&str>) -> String {
    let parts: Vec<&str> = file.split('/').collect();
    if let Some(at) = parts.iter().rposition(|part| INSTALLED.contains(part)) {
        let name = parts.get(at + 1).and_then(|part| part.split('.').next()).unwrap_or_default();
        return if name.is_empty() { top.to_owned() } else { name.to_owned() };
    }
    let in_home = home.and_then(|home| file.strip_prefix(home)).is_some_and(|rest| rest.starts_with('/'));
    if in_home || parts.contains(&"lib-dynload") { STANDARD_LIBRARY.to_owned() } else { top.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_go_by_their_place() {
        let home = Some("/usr/lib/python3.12");
        for (file, top, package) in [
            ("/usr/lib/python3.12/json/__init__.py", "json", STANDARD_LIBRARY),
            ("/usr/lib/python3.12/lib-dynload/math.so", "math", STANDARD_LIBRARY),
            ("/usr/lib/python3.12/site-packages/numpy/__init__.py", "numpy", "numpy"),
            ("/usr/lib/python3/dist-packages/six.py", "six", "six"),
            ("/v/lib/python3.12/site-packages/_cffi.cpython-312.so", "_cffi", "_cffi"),
            ("/v/site-packages/vendor/site-packages/dep/x.py", "dep", "dep"),
            ("/usr/lib/python3.12-app/main.py", "main", "main"),
            ("/srv/app/cache.py", "app", "app"),
            ("cache.py", "cache", "cache"),
        ] {
            assert_eq!(package_of(file, top, home), package, "{file}");
        }
        assert_eq!(package_of("/srv/json.py", "json", None), "json");
    }
}
