//! Labels of references: read again from the object that holds them, for the few references that are shown.
//!
//! Knows that one object may hold another in several places, and which of them a reader wants to see first; refuses to
//! know where the places lie ([`References`] does).

use super::Heap;
use crate::corefile::Address;
use crate::cpython::{References, Runtime, Slot};
use crate::graph::EdgeKind;
use crate::heap::ObjectId;

/// A label without what tells one item from the next, so that references can be counted by it: no index, no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LabelShape {
    /// A named member of the C struct.
    Field(&'static str),
    /// The attribute named by the str at this address.
    Attribute(Address),
    /// The `__slots__` member named by this C string.
    SlotMember(Address),
    /// Some item of a list, tuple or deque.
    Item,
    /// Some key of a dict.
    Key,
    /// The value under some key.
    Value,
    /// Some element of a set.
    Element,
    /// The object's type.
    Type,
    /// The instance `__dict__`.
    InstanceDict,
    /// A local variable.
    Local {
        /// Tuple of names.
        names: Address,
        /// Position in it.
        index: u32,
    },
    /// Some temporary of a frame's evaluation stack.
    Stack,
    /// A remembered call.
    CacheLink,
    /// The key of some remembered call.
    CacheKey,
    /// The result of some remembered call.
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

impl LabelShape {
    /// The shape of the label of `slot`.
    pub fn of(slot: Slot) -> Self {
        match slot {
            Slot::Field(name) => Self::Field(name),
            Slot::Index(_) => Self::Item,
            Slot::Key => Self::Key,
            Slot::Value(_) => Self::Value,
            Slot::Attribute(name) => Self::Attribute(name),
            Slot::SlotMember(name) => Self::SlotMember(name),
            Slot::InstanceDict => Self::InstanceDict,
            Slot::Element => Self::Element,
            Slot::Type => Self::Type,
            Slot::Local { names, index } => Self::Local { names, index },
            Slot::Stack(_) => Self::Stack,
            Slot::CacheLink => Self::CacheLink,
            Slot::CacheKey => Self::CacheKey,
            Slot::CacheResult => Self::CacheResult,
            Slot::ModuleState => Self::ModuleState,
            Slot::Word { type_, offset } => Self::Word { type_, offset },
            Slot::Indirect => Self::Indirect,
        }
    }

    /// The shape of the label of `slot` in a dict that is a namespace, whose keys are names and not data.
    pub fn in_namespace(slot: Slot) -> Self {
        match slot {
            Slot::Value(name) => Self::Attribute(name),
            slot => Self::of(slot),
        }
    }

    /// The label in words: `.attribute`, `[index]`, `[key]`, `local x`.
    pub fn text(self, runtime: &Runtime<'_>) -> String {
        let exact = |slot: Slot| label_text(runtime, slot);
        match self {
            Self::Item => "[index]".to_owned(),
            Self::Value => "[key]".to_owned(),
            Self::Stack => "on the evaluation stack".to_owned(),
            Self::Field(name) => exact(Slot::Field(name)),
            Self::Attribute(name) => exact(Slot::Attribute(name)),
            Self::SlotMember(name) => exact(Slot::SlotMember(name)),
            Self::Key => exact(Slot::Key),
            Self::Element => exact(Slot::Element),
            Self::Type => exact(Slot::Type),
            Self::InstanceDict => exact(Slot::InstanceDict),
            Self::Local { names, index } => exact(Slot::Local { names, index }),
            Self::CacheLink => exact(Slot::CacheLink),
            Self::CacheKey => exact(Slot::CacheKey),
            Self::CacheResult => exact(Slot::CacheResult),
            Self::ModuleState => exact(Slot::ModuleState),
            Self::Word { type_, offset } => exact(Slot::Word { type_, offset }),
            Self::Indirect => exact(Slot::Indirect),
        }
    }
}

/// The text of an exact label. Members of C structs get the name of the Python attribute that shows them.
pub fn label_text(runtime: &Runtime<'_>, slot: Slot) -> String {
    match slot {
        Slot::Field(name) => format!(".{}", python_member(name)),
        slot => slot.label(runtime),
    }
}

/// C members and the Python attributes they are behind.
const PYTHON_MEMBERS: &[(&str, &str)] = &[
    ("md_dict", "__dict__"),
    ("func_dict", "__dict__"),
    ("dict", "__dict__"),
    ("func_code", "__code__"),
    ("func_globals", "__globals__"),
    ("func_builtins", "__builtins__"),
    ("func_module", "__module__"),
    ("func_defaults", "__defaults__"),
    ("func_kwdefaults", "__kwdefaults__"),
    ("func_closure", "__closure__"),
    ("func_annotations", "__annotations__"),
    ("func_typeparams", "__type_params__"),
    ("func_qualname", "__qualname__"),
    ("func_name", "__name__"),
    ("func_doc", "__doc__"),
    ("im_func", "__func__"),
    ("im_self", "__self__"),
    ("m_self", "__self__"),
    ("m_module", "__module__"),
    ("ob_ref", "cell_contents"),
    ("traceback", "__traceback__"),
    ("cause", "__cause__"),
    ("context", "__context__"),
    ("notes", "__notes__"),
    ("wr_callback", "__callback__"),
    ("fn", "func"),
    ("kw", "keywords"),
    ("prop_get", "fget"),
    ("prop_set", "fset"),
    ("prop_del", "fdel"),
    ("cm_callable", "__func__"),
    ("sm_callable", "__func__"),
    ("f_funcobj", "f_func"),
];

pub(super) fn python_member(name: &'static str) -> &'static str {
    PYTHON_MEMBERS.iter().find(|(member, _)| *member == name).map_or(name, |(_, python)| python)
}

/// Whether the dict behind `slot` is a namespace: of a module, a class, an instance, a function.
pub fn leads_to_namespace(slot: Slot) -> bool {
    match slot {
        Slot::InstanceDict => true,
        Slot::Field(name) => python_member(name) == "__dict__",
        _ => false,
    }
}

/// Reads labels; one for each thread.
#[derive(Debug)]
pub struct Labels<'h, 'core> {
    heap: Heap<'h, 'core>,
    references: References<'h, 'core>,
}

impl<'h, 'core> Labels<'h, 'core> {
    /// A reader over `heap`.
    pub fn new(heap: Heap<'h, 'core>) -> Self {
        Self { heap, references: References::new(heap.runtime) }
    }

    /// Calls `each` with every reference of `source` to a known object, in the order of traversal. What cannot be read
    /// is left out, as it is in the graph.
    pub fn each(&mut self, source: ObjectId, each: &mut impl FnMut(ObjectId, EdgeKind, Slot)) {
        let Heap { runtime, objects, .. } = self.heap;
        let info = runtime.types.get(objects.type_id(source));
        let _ = self.references.visit(info, objects.address(source), &mut |referent| {
            if let Some(target) = objects.find(referent.target) {
                each(target, referent.kind, referent.slot);
            }
        });
    }

    /// Every place in which `source` holds `target`, the most telling first.
    pub fn between(&mut self, source: ObjectId, target: ObjectId) -> Vec<(EdgeKind, Slot)> {
        let mut found = Vec::new();
        self.each(source, &mut |to, kind, slot| {
            if to == target {
                found.push((kind, slot));
            }
        });
        // Stable: places that tell as much stay in the order of traversal.
        found.sort_by_key(|&(kind, slot)| rank(kind, slot));
        found
    }

    /// The most telling place in which `source` holds `target`.
    pub fn best(&mut self, source: ObjectId, target: ObjectId) -> Option<(EdgeKind, Slot)> {
        let mut best: Option<(EdgeKind, Slot)> = None;
        self.each(source, &mut |to, kind, slot| {
            if to == target && best.is_none_or(|(old_kind, old)| rank(kind, slot) < rank(old_kind, old)) {
                best = Some((kind, slot));
            }
        });
        best
    }

    /// Whether `target` is the namespace of `source`, its `__dict__`.
    pub fn is_namespace(&mut self, source: ObjectId, target: ObjectId) -> bool {
        self.best(source, target).is_some_and(|(_, slot)| leads_to_namespace(slot))
    }
}

/// Orders labels: references that keep alive first, and names before keys and memory.
pub fn rank(kind: EdgeKind, slot: Slot) -> (u8, u8) {
    let strength = match kind {
        EdgeKind::Visited | EdgeKind::Owned => 0,
        EdgeKind::Inferred => 1,
        EdgeKind::Weak => 2,
    };
    let telling = match slot {
        Slot::Attribute(_) | Slot::SlotMember(_) | Slot::Value(_) | Slot::Index(_) | Slot::Local { .. } => 0,
        Slot::InstanceDict
        | Slot::Element
        | Slot::CacheResult
        | Slot::Key
        | Slot::CacheLink
        | Slot::CacheKey => 1,
        Slot::Field("ht_cached_keys" | "tp_subclasses" | "__mro__") => 4,
        Slot::Field(_) => 2,
        Slot::Type => 3,
        Slot::Stack(_) | Slot::ModuleState | Slot::Word { .. } | Slot::Indirect => 3,
    };
    (strength, telling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_forget_indices_and_keys_but_not_names() {
        assert_eq!(LabelShape::of(Slot::Index(3)), LabelShape::of(Slot::Index(4)));
        assert_eq!(LabelShape::of(Slot::Value(8)), LabelShape::of(Slot::Value(16)));
        assert_ne!(LabelShape::of(Slot::Attribute(8)), LabelShape::of(Slot::Attribute(16)));
        assert_ne!(LabelShape::of(Slot::Index(0)), LabelShape::of(Slot::Value(0)));
        assert_eq!(LabelShape::in_namespace(Slot::Value(8)), LabelShape::Attribute(8));
        assert_eq!(LabelShape::in_namespace(Slot::Index(8)), LabelShape::Item);
    }

    #[test]
    fn names_come_before_keys_and_strong_before_weak() {
        let name = rank(EdgeKind::Visited, Slot::Attribute(8));
        assert!(name < rank(EdgeKind::Visited, Slot::Key));
        assert!(rank(EdgeKind::Owned, Slot::Key) < rank(EdgeKind::Weak, Slot::Attribute(8)));
        assert!(rank(EdgeKind::Visited, Slot::Type) < rank(EdgeKind::Inferred, Slot::Attribute(8)));
    }

    #[test]
    fn dicts_of_modules_instances_and_functions_are_namespaces() {
        for slot in
            [Slot::InstanceDict, Slot::Field("md_dict"), Slot::Field("func_dict"), Slot::Field("__dict__")]
        {
            assert!(leads_to_namespace(slot), "{slot:?}");
        }
        assert!(!leads_to_namespace(Slot::Field("func_globals")) && !leads_to_namespace(Slot::Index(0)));
    }
}
