//! Places that a programmer can name and that may hold much: what modules, classes and their instances have under a name,
//! variables of frames, and what threads keep.
//!
//! Knows namespaces; refuses to follow what is not named. The first name found is kept: modules of the application come
//! before `__main__`, and both before the standard library, short names before long ones.

use super::special::{Special, special};
use crate::analysis::labels::{Labels, leads_to_namespace};
use crate::analysis::python_path::PathWriter;
use crate::analysis::roots::Root;
use crate::analysis::{Heap, Roots, python_name};
use crate::corefile::Address;
use crate::cpython::{
    ReadField, References, RootKind, Runtime, Slot, TypeInfo, WalkKind, dict_get, read_str, standard_modules,
};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rustc_hash::FxHashSet;

/// Most places that are looked at, frames' variables included.
const MAX_PLACES: usize = 200_000;
/// Longest name, in characters.
const MAX_NAME: usize = 200;
/// Steps below what a module or class names that still count as named.
const MAX_DEPTH: u8 = 2;

/// Where a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A name of a module.
    Module,
    /// A name of a class.
    Class,
    /// An attribute of what a module or class names.
    Attribute,
    /// A default argument of a function.
    Default,
    /// A variable of a frame.
    Local,
    /// What a thread state keeps, such as `threading.local`.
    Thread,
}

/// One named place.
#[derive(Clone, Debug)]
pub struct Place {
    /// What is there.
    pub object: ObjectId,
    /// Its name.
    pub path: String,
    /// Where it is.
    pub level: Level,
    /// Its module belongs to the standard library.
    pub stdlib: bool,
}

/// All places, and what traversal must not cross because it has a name of its own.
pub struct Places {
    /// Places in order of discovery.
    pub list: Vec<Place>,
    /// Objects with names, namespaces of modules.
    pub named: NodeSet,
}

/// Finds all places.
pub fn places(heap: Heap<'_, '_>, roots: &Roots) -> Places {
    let found = Places { list: Vec::new(), named: NodeSet::new(heap.objects.len()) };
    let mut search = Search { heap, labels: Labels::new(heap), found };
    let modules = search.modules();
    let mut pending = Vec::new();
    for module in &modules {
        search.named(module.namespace);
        search.namespace(module.namespace, &module.name, module.stdlib, Level::Module, &mut pending);
    }
    for depth in 1..=MAX_DEPTH {
        for place in std::mem::take(&mut pending) {
            search.descend(&place, depth, &mut pending);
        }
    }
    search.roots(roots);
    search.found
}

struct Module {
    name: String,
    namespace: ObjectId,
    stdlib: bool,
}

struct Search<'h, 'core> {
    heap: Heap<'h, 'core>,
    labels: Labels<'h, 'core>,
    found: Places,
}

impl Search<'_, '_> {
    fn named(&mut self, id: ObjectId) -> bool {
        self.found.named.insert(id.0)
    }

    /// All modules with their namespaces: the application's, then `__main__`, then the standard library's.
    fn modules(&mut self) -> Vec<Module> {
        let heap = self.heap;
        let stdlib = stdlib_names(heap.runtime);
        let mut modules = Vec::new();
        for (index, interpreter) in heap.runtime.interpreters.iter().enumerate() {
            let Some(table) = heap.objects.find(interpreter.modules) else { continue };
            let mut entries = Vec::new();
            self.labels.each(table, &mut |target, _, slot| {
                if let Slot::Value(key) = slot {
                    entries.push((key, target));
                }
            });
            for (key, module) in entries {
                let Ok(plain) = read_str(heap.runtime, key, MAX_NAME) else { continue };
                let mut namespace = None;
                self.labels.each(module, &mut |target, _, slot| {
                    if leads_to_namespace(slot) {
                        namespace = Some(target);
                    }
                });
                let top = plain.split('.').next().unwrap_or_default();
                let is_stdlib = stdlib.contains(top);
                self.found.named.insert(module.0);
                if let Some(namespace) = namespace {
                    let name = match index {
                        0 => plain,
                        _ => format!("{} · {plain}", crate::analysis::roots::interpreter_name(heap, index)),
                    };
                    modules.push(Module { name, namespace, stdlib: is_stdlib });
                }
            }
        }
        modules.sort_by_key(|module| (module.stdlib, is_main(&module.name), module.name == "__mp_main__"));
        modules
    }

    /// Notes everything that the dict `namespace` names.
    fn namespace(
        &mut self,
        namespace: ObjectId,
        prefix: &str,
        stdlib: bool,
        level: Level,
        pending: &mut Vec<Place>,
    ) {
        let mut entries = Vec::new();
        self.labels.each(namespace, &mut |target, kind, slot| {
            if let (Slot::Value(key), EdgeKind::Visited | EdgeKind::Owned) = (slot, kind) {
                entries.push((key, target));
            }
        });
        for (key, object) in entries {
            let Ok(name) = read_str(self.heap.runtime, key, MAX_NAME) else { continue };
            // Dunder names of modules and classes are the interpreter's.
            if !(name.starts_with("__") && name.ends_with("__")) {
                self.add(Place { object, path: format!("{prefix}.{name}"), level, stdlib }, pending);
            }
        }
    }

    /// Takes a place unless it has a name already or holds nothing.
    fn add(&mut self, place: Place, pending: &mut Vec<Place>) {
        let info = self.heap.type_of(place.object);
        let flags = self.heap.objects.flags(place.object);
        let dull = info.is_atomic()
            || flags.is_immortal() && info.walk.kind != WalkKind::Type
            || info.walk.kind == WalkKind::Module
            || self.found.list.len() >= MAX_PLACES;
        if dull || !self.named(place.object) {
            return;
        }
        pending.push(place.clone());
        self.found.list.push(place);
    }

    /// Notes what is one step below a place: names of a class, attributes of an instance, defaults of a function.
    fn descend(&mut self, place: &Place, depth: u8, pending: &mut Vec<Place>) {
        let heap = self.heap;
        let info = heap.type_of(place.object);
        match info.walk.kind {
            // What threads keep in one belongs to it, under whatever name each keeps it.
            _ if is_thread_local(heap, info) => {}
            WalkKind::Type => self.class(place, depth, pending),
            _ if is_container(info) && info.parts.dict == crate::cpython::DictPlace::None => {}
            _ if python_name(&info.name) == "function" => self.defaults(place, pending),
            _ => self.attributes(place, pending),
        }
    }

    fn class(&mut self, place: &Place, depth: u8, pending: &mut Vec<Place>) {
        let heap = self.heap;
        let own = heap.runtime.types.of(heap.objects.address(place.object));
        // A class belongs to the module that defines it, under whatever name it is met here.
        let Some(own) = own.filter(|own| own.is_heap_type() && depth <= MAX_DEPTH) else { return };
        let name = own.name.to_string();
        let mut dict = None;
        self.labels.each(place.object, &mut |target, _, slot| {
            if slot == Slot::Field("__dict__") {
                dict = Some(target);
            }
        });
        if let Some(dict) = dict {
            let stdlib = place.stdlib && !name.starts_with("__main__");
            self.namespace(dict, &name, stdlib, Level::Class, pending);
        }
    }

    fn defaults(&mut self, place: &Place, pending: &mut Vec<Place>) {
        for member in ["func_defaults", "func_kwdefaults", "func_dict"] {
            let mut holder = None;
            self.labels.each(place.object, &mut |target, _, slot| {
                if slot == Slot::Field(member) {
                    holder = Some(target);
                }
            });
            let Some(holder) = holder else { continue };
            let mut items = Vec::new();
            self.labels.each(holder, &mut |target, _, slot| {
                if matches!(slot, Slot::Index(_) | Slot::Value(_)) {
                    items.push((target, slot));
                }
            });
            for (object, slot) in items {
                if is_container(self.heap.type_of(object)) {
                    let label = slot.label(self.heap.runtime);
                    let path = match member {
                        "func_defaults" => format!("{}.__defaults__{label}", place.path),
                        "func_kwdefaults" => format!("{}.__kwdefaults__{label}", place.path),
                        _ => format!("{}.__dict__{label}", place.path),
                    };
                    self.add(Place { object, path, level: Level::Default, stdlib: place.stdlib }, pending);
                }
            }
        }
    }

    fn attributes(&mut self, place: &Place, pending: &mut Vec<Place>) {
        let runtime = self.heap.runtime;
        let mut found = Vec::new();
        let mut dict = None;
        self.labels.each(place.object, &mut |target, kind, slot| match slot {
            Slot::Attribute(_) | Slot::SlotMember(_) if kind == EdgeKind::Visited => {
                found.push((target, slot.label(runtime)));
            }
            _ if leads_to_namespace(slot) => dict = Some(target),
            _ => {}
        });
        if let Some(dict) = dict {
            self.named(dict);
            self.labels.each(dict, &mut |target, _, slot| {
                if let Slot::Value(name) = slot {
                    found.push((target, Slot::Attribute(name).label(runtime)));
                }
            });
        }
        let own_type = self.heap.objects.type_id(place.object);
        for (object, label) in found {
            // Of a row of objects each of which holds the next, the first has the name.
            if self.heap.objects.type_id(object) == own_type {
                continue;
            }
            let path = format!("{}{label}", place.path);
            self.add(Place { object, path, level: Level::Attribute, stdlib: place.stdlib }, pending);
        }
    }

    /// Variables of frames and what thread states keep.
    fn roots(&mut self, roots: &Roots) {
        let mut writer = PathWriter::new(self.heap);
        let mut unnamed = Vec::new();
        for node in roots.set.iter() {
            let Some(Root::Reference(root)) = roots.origin(node) else { continue };
            let level = match (root.kind, root.slot) {
                (RootKind::Frame, Some(Slot::Local { .. })) => Level::Local,
                (RootKind::Thread(_), _) => Level::Thread,
                _ => continue,
            };
            if root.certain && !self.found.named.contains(node) {
                let path = writer.root_name(node, roots);
                unnamed.push(Place { object: ObjectId(node), path, level, stdlib: false });
            }
        }
        let mut below = Vec::new();
        for place in unnamed {
            self.add(place, &mut below);
        }
        for place in below
            .iter()
            .filter(|place| !is_container(self.heap.type_of(place.object)))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.attributes(&place, &mut Vec::new());
        }
    }
}

/// Top-level names of the standard library, as the interpreter itself lists them (`sys.stdlib_module_names`,
/// 3.10); those of all releases where it does not.
pub(in crate::analysis) fn stdlib_names(runtime: &Runtime<'_>) -> FxHashSet<String> {
    let mut names = FxHashSet::default();
    let listed =
        runtime.interpreters.first().and_then(|main| dict_get(runtime, main.sysdict, "stdlib_module_names"));
    let Some((set, info)) = listed.and_then(|set| Some((set, type_of(runtime, set)?))) else {
        return standard_modules().map(str::to_owned).collect();
    };
    // What cannot be read is no name.
    let _ = References::new(runtime).visit(info, set, &mut |referent| {
        if referent.slot == Slot::Element {
            names.extend(read_str(runtime, referent.target, MAX_NAME));
        }
    });
    names
}

/// Whether a module is the program that was run, by that name or by the one that multiprocessing gives it.
fn is_main(name: &str) -> bool {
    matches!(name, "__main__" | "__mp_main__")
}

fn type_of<'r>(runtime: &'r Runtime<'_>, object: Address) -> Option<&'r TypeInfo> {
    runtime.types.of(runtime.space.field(object, runtime.layouts.object.type_).ok()?)
}

fn is_thread_local(heap: Heap<'_, '_>, info: &TypeInfo) -> bool {
    matches!(special(heap, info), Some(Special::Local | Special::PythonLocal))
}

/// Whether instances of a type are containers that grow.
pub fn is_container(info: &TypeInfo) -> bool {
    matches!(
        info.walk.kind,
        WalkKind::List
            | WalkKind::Dict
            | WalkKind::OrderedDict
            | WalkKind::Set
            | WalkKind::Deque
            | WalkKind::LruCache
    )
}
