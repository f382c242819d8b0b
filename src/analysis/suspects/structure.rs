//! The program's structure, which holds everything and explains nothing.
//!
//! Knows modules and their namespaces, classes, code, what interpreters keep; refuses to know what they are for.

use crate::analysis::labels::{Labels, leads_to_namespace};
use crate::analysis::roots::Root;
use crate::analysis::{Heap, Retention, Roots};
use crate::cpython::{RootKind, WalkKind};
use crate::graph::{DominatorTree, NodeSet};
use crate::heap::ObjectId;

/// The program's structure, which holds everything and explains nothing: modules and their namespaces, classes, code,
/// what interpreters keep.
pub struct Structure<'s, 'h, 'core> {
    heap: Heap<'h, 'core>,
    roots: &'s Roots,
    retention: &'s Retention,
    namespaces: NodeSet,
}

impl<'s, 'h, 'core> Structure<'s, 'h, 'core> {
    /// That of a heap; `retention` must be of all its roots.
    pub fn of(heap: Heap<'h, 'core>, roots: &'s Roots, retention: &'s Retention) -> Self {
        let mut namespaces = NodeSet::new(heap.objects.len());
        let mut labels = Labels::new(heap);
        let modules = heap.nodes_of_types(|_, info| info.walk.kind == WalkKind::Module);
        for module in modules.iter().map(ObjectId) {
            labels.each(module, &mut |target, _, slot| {
                if leads_to_namespace(slot) {
                    namespaces.insert(target.0);
                }
            });
        }
        Self { heap, roots, retention, namespaces }
    }

    /// What it was made with.
    pub fn retention(&self) -> &'s Retention {
        self.retention
    }

    /// Whether an object belongs to it.
    pub fn contains(&self, node: u32) -> bool {
        let tree = self.retention.tree();
        let of_class = || tree.idom(node).is_some_and(|above| is_code(self.heap, above));
        let kind = || self.heap.id(node).map(|id| self.heap.type_of(id).walk.kind);
        is_structure(self.heap, self.roots, tree, node)
            || self.namespaces.contains(node)
            // The namespace of a class, its bases, tables of code.
            || matches!(kind(), Some(WalkKind::Dict | WalkKind::Tuple)) && of_class()
    }
}

/// Whether an object belongs to the program's structure as far as its type, its owner and its root tell: [`Structure`] knows
/// all namespaces besides.
pub(in crate::analysis) fn is_structure(
    heap: Heap<'_, '_>,
    roots: &Roots,
    tree: &DominatorTree,
    node: u32,
) -> bool {
    let kind = |node| heap.id(node).map(|id| heap.type_of(id).walk.kind);
    let of_module = || tree.idom(node).and_then(kind) == Some(WalkKind::Module);
    let of_interpreter = || {
        matches!(
            roots.origin(node),
            Some(Root::Reference(root)) if matches!(root.kind, RootKind::Interpreter(_))
        )
    };
    is_code(heap, node) || of_module() || of_interpreter()
}

/// Whether an object is a class, a module, code, or none.
pub(super) fn is_code(heap: Heap<'_, '_>, node: u32) -> bool {
    let kind = heap.id(node).map(|id| heap.type_of(id).walk.kind);
    matches!(kind, None | Some(WalkKind::Type | WalkKind::Module | WalkKind::Code))
}
