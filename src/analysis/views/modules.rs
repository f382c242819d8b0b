//! Modules by the memory that their import cost.
//!
//! Knows what belongs to a module: itself, its namespace, functions whose globals that is, classes that say so. What it cost is what
//! no root reaches but through these: with the module gone, all of that would be. What two modules share is no one's.

use crate::analysis::{Heap, Reached, keeps_alive};
use crate::corefile::Address;
use crate::cpython::{WalkKind, dict_items, get_attribute, is_str, read_str, type_module};
use crate::graph::{Dominance, GroupTotal, retained_by_groups};
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Longest name of a module, in characters.
const MAX_NAME: usize = 200;

/// A module of `sys.modules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedModule {
    /// The module.
    pub id: ObjectId,
    /// The first name it has there.
    pub name: String,
    /// Functions whose globals are its namespace.
    pub functions: u64,
    /// Classes whose `__module__` is its name.
    pub classes: u64,
    /// What it keeps alive with all of these.
    pub total: GroupTotal,
}

/// Modules, and which objects belong to which.
#[derive(Debug, Default)]
struct Belongings {
    modules: Vec<ImportedModule>,
    by_namespace: FxHashMap<Address, u32>,
    of: FxHashMap<u32, u32>,
}

/// All modules of all interpreters, by address, without what they keep.
pub fn imported_modules(heap: Heap<'_, '_>) -> Vec<ImportedModule> {
    let mut modules = Belongings::find(heap).modules;
    modules.sort_by_key(|module| module.id);
    modules
}

/// All modules, those that cost most first.
pub fn modules(heap: Heap<'_, '_>, reached: Reached<'_>) -> Vec<ImportedModule> {
    let Belongings { mut modules, of, .. } = Belongings::find(heap);
    let forward = &heap.graph.forward;
    let tree = reached.retention.tree();
    let graph = Dominance { forward, roots: &reached.roots.set, tree };
    let totals = retained_by_groups(
        graph,
        keeps_alive,
        modules.len(),
        |node| of.get(&node).copied(),
        |node| heap.shallow(node),
    );
    for (module, total) in modules.iter_mut().zip(totals) {
        module.total = total;
    }
    modules.sort_by_key(|module| (Reverse(module.total.weight), module.id));
    modules
}

impl Belongings {
    fn find(heap: Heap<'_, '_>) -> Self {
        let mut found = Self::default();
        for interpreter in &heap.runtime.interpreters {
            let mut by_name = FxHashMap::default();
            for (name, module) in dict_items(heap.runtime, interpreter.modules) {
                found.module(heap, name, module, &mut by_name);
            }
            found.classes(heap, &by_name);
        }
        found.functions(heap);
        found
    }

    fn module(
        &mut self,
        heap: Heap<'_, '_>,
        name: Address,
        module: Address,
        by_name: &mut FxHashMap<String, u32>,
    ) {
        let Some(id) = heap.objects.find(module) else { return };
        let is_module = heap.type_of(id).walk.kind == WalkKind::Module;
        if !is_module || !is_str(heap.runtime, name) || self.of.contains_key(&id.0) {
            return;
        }
        let Ok(name) = read_str(heap.runtime, name, MAX_NAME) else { return };
        let index = self.modules.len() as u32;
        by_name.insert(name.clone(), index);
        let total = GroupTotal::default();
        self.modules.push(ImportedModule { id, name, functions: 0, classes: 0, total });
        self.of.insert(id.0, index);
        let namespace = get_attribute(heap.runtime, module, "__dict__");
        if let Some(dict) = namespace.and_then(|dict| heap.objects.find(dict)) {
            self.of.insert(dict.0, index);
            self.by_namespace.insert(heap.objects.address(dict), index);
        }
    }

    fn classes(&mut self, heap: Heap<'_, '_>, by_name: &FxHashMap<String, u32>) {
        for (_, info) in heap.runtime.types.iter().filter(|(_, info)| info.is_heap_type()) {
            let module = type_module(heap.runtime, info.address).and_then(|name| by_name.get(&name).copied());
            if let (Some(index), Some(id)) = (module, heap.objects.find(info.address))
                && self.of.insert(id.0, index).is_none()
                && let Some(module) = self.modules.get_mut(index as usize)
            {
                module.classes += 1;
            }
        }
    }

    fn functions(&mut self, heap: Heap<'_, '_>) {
        for id in super::instances(heap, |info| info.name.as_ref() == "builtins.function") {
            let globals = get_attribute(heap.runtime, heap.objects.address(id), "__globals__");
            if let Some(&index) = globals.and_then(|globals| self.by_namespace.get(&globals))
                && let Some(module) = self.modules.get_mut(index as usize)
            {
                module.functions += 1;
                self.of.insert(id.0, index);
            }
        }
    }
}
