//! Which references a cut takes away: what `del app.cache.SESSIONS`, `del d[key]` or `exc.__traceback__ = None` would.
//!
//! Knows where Python keeps attributes and items, and what `del` refuses; refuses to know how the holder was found. The
//! references are those of the graph, found by the labels of the object that has them.

use crate::analysis::labels::python_member;
use crate::analysis::{Heap, Labels};
use crate::corefile::Address;
use crate::cpython::{ItemKey, Slot, WalkKind, dict_object, is_type, key_equals, text_equals, type_flags};
use crate::graph::NodeSet;
use crate::heap::ObjectId;

/// The last step of a path.
#[derive(Clone, Copy, Debug)]
pub enum Step<'s> {
    /// `.name`
    Attribute(&'s str),
    /// `[key]`
    Item(&'s ItemKey),
}

/// What goes.
#[derive(Clone, Debug)]
pub enum Cut {
    /// One place lets go of one object.
    Reference {
        /// What was held there.
        target: ObjectId,
        /// The references that go: holder and held. Those of a dict are its references to the value and to the key.
        references: Vec<(u32, u32)>,
        /// How Python would do it.
        how: How,
    },
    /// Everything lets go of these objects.
    Objects(NodeSet),
}

/// How a place is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `del`.
    Delete,
    /// `= None`, where `del` is refused.
    SetToNone,
}

/// Why a place cannot be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The holder was not counted.
    #[error("the object that holds it, at {0:#x}, is none that was counted")]
    UnknownHolder(Address),
    /// The holder is a tuple, a proxy or such.
    #[error("items of a {0} cannot be deleted; --object asks what goes with the object itself")]
    Immutable(&'static str),
    /// Built-in classes cannot be changed.
    #[error(
        "attributes of a class that C code defines cannot be deleted; --object asks what goes with the object itself"
    )]
    BuiltinClass,
    /// The attribute is the class's.
    #[error(
        "the object does not hold it itself: its class or a base does, or it is no reference that Python can delete; name \
         the class in its place, or ask with --object"
    )]
    NotItsOwn,
}

/// Finds what emptying the place behind `step` of `holder` takes away.
///
/// # Errors
/// Python would refuse, or the holder has no such place.
pub fn reference(heap: Heap<'_, '_>, holder: Address, step: Step<'_>) -> Result<Cut, CutError> {
    let source = heap.objects.find(holder).ok_or(CutError::UnknownHolder(holder))?;
    let places = Places { heap, labels: Labels::new(heap) };
    match step {
        Step::Item(key) => places.item(source, key),
        Step::Attribute(name) => places.attribute(source, name),
    }
}

struct Places<'h, 'core> {
    heap: Heap<'h, 'core>,
    labels: Labels<'h, 'core>,
}

impl Places<'_, '_> {
    fn item(mut self, source: ObjectId, key: &ItemKey) -> Result<Cut, CutError> {
        let runtime = self.heap.runtime;
        let info = self.heap.type_of(source);
        match info.walk.kind {
            WalkKind::Dict | WalkKind::OrderedDict if info.flags & type_flags::DICT_SUBCLASS == 0 => {
                return Err(CutError::Immutable("frozendict"));
            }
            WalkKind::Dict | WalkKind::OrderedDict | WalkKind::List | WalkKind::Deque => {}
            WalkKind::Tuple | WalkKind::StructSequence(_) => return Err(CutError::Immutable("tuple")),
            _ => return Err(CutError::Immutable("mappingproxy")),
        }
        let position = match key {
            &ItemKey::Int(index) if !matches!(info.walk.kind, WalkKind::Dict | WalkKind::OrderedDict) => {
                let items =
                    self.references(source).iter().filter(|(_, slot)| matches!(slot, Slot::Index(_))).count();
                let index = if index < 0 { index.saturating_add(items as i128) } else { index };
                u64::try_from(index).ok()
            }
            _ => None,
        };
        self.cut(source, How::Delete, |slot| match slot {
            Slot::Index(index) => position == Some(index),
            Slot::Value(candidate) => key_equals(runtime, candidate, key),
            _ => false,
        })
        .ok_or(CutError::NotItsOwn)
    }

    fn attribute(mut self, source: ObjectId, name: &str) -> Result<Cut, CutError> {
        let runtime = self.heap.runtime;
        let holder = self.heap.objects.address(source);
        let is_class = is_type(runtime, holder);
        if is_class && runtime.types.of(holder).is_some_and(|info| !info.is_heap_type()) {
            return Err(CutError::BuiltinClass);
        }
        let own = |slot| match slot {
            Slot::Attribute(candidate) => text_equals(runtime, candidate, name),
            Slot::SlotMember(candidate) => {
                runtime.space.c_string(candidate, name.len().saturating_add(1)) == Ok(name.as_bytes())
            }
            _ => false,
        };
        if let (false, Some(cut)) = (is_class, self.cut(source, How::Delete, own)) {
            return Ok(cut);
        }
        // Of a class the namespace, of others the instance's dict, if there is one.
        let namespace = dict_object(runtime, holder).and_then(|dict| self.heap.objects.find(dict));
        let of_dict = |slot| matches!(slot, Slot::Value(key) if text_equals(runtime, key, name));
        if let Some(cut) = namespace.and_then(|dict| self.cut(dict, How::Delete, of_dict)) {
            return Ok(cut);
        }
        let member = |slot| matches!(slot, Slot::Field(member) if python_member(member) == name);
        match is_class {
            true => None,
            false => self.cut(source, How::SetToNone, member),
        }
        .ok_or(CutError::NotItsOwn)
    }

    fn references(&mut self, source: ObjectId) -> Vec<(u32, Slot)> {
        let mut references = Vec::new();
        self.labels.each(source, &mut |target, kind, slot| {
            if crate::analysis::keeps_alive(kind) {
                references.push((target.0, slot));
            }
        });
        references
    }

    /// The first reference of `source` at a wanted place, and the key's.
    fn cut(&mut self, source: ObjectId, how: How, wanted: impl Fn(Slot) -> bool) -> Option<Cut> {
        let all = self.references(source);
        let &(target, slot) = all.iter().find(|&&(_, slot)| wanted(slot))?;
        let mut references = vec![(source.0, target)];
        if let Slot::Value(key) = slot
            && let Some(key) = self.heap.objects.find(key)
        {
            // Keys of a split table are the table's: it has no reference of this kind.
            let keys = all.iter().filter(|&&(held, slot)| held == key.0 && slot == Slot::Key);
            references.extend(keys.map(|_| (source.0, key.0)));
        }
        Some(Cut::Reference { target: ObjectId(target), references, how })
    }
}
