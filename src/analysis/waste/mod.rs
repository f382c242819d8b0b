//! Memory that the same program could do without: values that exist many times, room that nothing uses, attributes in
//! dicts of their own.
//!
//! Knows what each remedy would save, object by object; refuses to know which of them is worth the trouble.

mod classes;
mod holders;
mod room;

use super::Heap;
use crate::cpython::{Runtime, TypeId, ValueKind};
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use classes::ValueClasses;
use room::Rooms;

pub use holders::WasteHolder;

/// Objects a thread takes at a time.
const CHUNK: usize = 1 << 16;

/// A kind of waste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WasteKind {
    /// Values that exist more than once, though their type never changes.
    Duplicates(ValueKind),
    /// Containers that hold nothing.
    Empty,
    /// Dicts and sets with much more room than growing alone leaves.
    Sparse,
    /// Lists with more room than items.
    OverAllocated,
    /// Instances whose attribute dict has a table of its own, where others of a class share one.
    Unshared,
    /// Instances that keep attributes outside themselves, where `__slots__` would keep them inside.
    NoSlots,
}

impl WasteKind {
    /// The kind as documents spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicates(_) => "duplicates",
            Self::Empty => "empty",
            Self::Sparse => "sparse",
            Self::OverAllocated => "over_allocated",
            Self::Unshared => "unshared_keys",
            Self::NoSlots => "no_slots",
        }
    }

    /// What to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Duplicates(ValueKind::Str) => {
                "sys.intern() text where it is read; or an Enum for a fixed set"
            }
            Self::Duplicates(ValueKind::Bytes) => {
                "keep a dict that maps each value to itself, and store what it has"
            }
            Self::Duplicates(ValueKind::Int | ValueKind::Float) => {
                "many numbers: array.array or numpy; few distinct ones: a dict that maps each to itself"
            }
            Self::Duplicates(ValueKind::Tuple | ValueKind::FrozenSet) => {
                "a constant of the module, or a dict that maps each value to itself"
            }
            Self::Empty => "create it when the first item comes; until then None or an empty tuple",
            Self::Sparse => "what was emptied keeps its table: copy it once it has shrunk, dict(d) or set(s)",
            Self::OverAllocated => "when they stop growing: tuple(l), l.copy(), or array.array for numbers",
            Self::Unshared => {
                "set all attributes in __init__, in one order, at most 30; leave __dict__ to the interpreter"
            }
            Self::NoSlots => "__slots__ in the class and its bases, or @dataclass(slots=True)",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct WasteFinding {
    /// What is wasted.
    pub kind: WasteKind,
    /// The type of the objects.
    pub type_id: TypeId,
    /// Objects concerned; of duplicates, the copies but for one of each value.
    pub objects: u64,
    /// Distinct values that exist more than once; 0 of other kinds.
    pub values: u64,
    /// Names that `__slots__` would list; 0 of other kinds.
    pub names: u64,
    /// Bytes that the remedy would save.
    pub bytes: u64,
    /// Objects that waste most, the lowest first among equals.
    pub examples: Vec<ObjectId>,
    /// Objects, spread evenly over all of them, whose holders were looked for.
    pub sampled: u64,
    /// Who holds those, most references first.
    pub holders: Vec<WasteHolder>,
}

/// A value that exists more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueGroup {
    /// Its type.
    pub kind: ValueKind,
    /// The object with the lowest address.
    pub example: ObjectId,
    /// Objects with this value.
    pub copies: u64,
    /// Bytes of all of them but the largest.
    pub bytes: u64,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Waste {
    /// Findings, the most bytes first.
    pub findings: Vec<WasteFinding>,
    /// The values whose copies take most, the most bytes first.
    pub groups: Vec<ValueGroup>,
    /// Values that exist more than once.
    pub groups_total: u64,
    /// Whether values were compared: they are not where they were overwritten when the heap was saved.
    pub compared: bool,
    /// Objects whose value could not be read: they count as unlike any other.
    pub unread: u64,
}

/// How much is told.
#[derive(Clone, Copy, Debug)]
pub struct WasteLimits<'s> {
    /// Most values in [`Waste::groups`].
    pub groups: usize,
    /// Findings whose holders are looked for, the largest first.
    pub held: usize,
    /// Only these objects; all if `None`.
    pub within: Option<&'s NodeSet>,
}

/// Looks for all kinds of waste.
pub fn waste(heap: Heap<'_, '_>, limits: WasteLimits<'_>) -> Waste {
    let (runtime, objects) = (heap.runtime, heap.objects);
    let rooms = Rooms::measure(runtime, objects, limits.within);
    let compared = !runtime.redacted;
    let classes = if compared {
        ValueClasses::find(runtime, objects, limits.within, limits.groups)
    } else {
        ValueClasses::default()
    };
    let mut findings: Vec<WasteFinding> = rooms.findings().collect();
    findings.extend(classes.findings());
    findings.sort_by(|a, b| {
        let name = |finding: &WasteFinding| &*runtime.types.get(finding.type_id).name;
        b.bytes
            .cmp(&a.bytes)
            .then(a.kind.cmp(&b.kind))
            .then_with(|| name(a).cmp(name(b)))
            .then(a.type_id.cmp(&b.type_id))
    });
    holders::add(heap, &mut findings, limits.held, &classes, &rooms);
    Waste {
        findings,
        groups_total: classes.totals.iter().map(|total| total.values).sum(),
        unread: classes.unread,
        groups: classes.largest,
        compared,
    }
}

/// Reads what [`waste`] reads besides the contents of values, so that a heap that is saved without them has it.
pub fn waste_of_room(runtime: &Runtime<'_>, objects: &ObjectTable) {
    Rooms::measure(runtime, objects, None);
}

/// Whether a question restricted to `within` is about `node`.
#[inline]
fn is_within(within: Option<&NodeSet>, node: u32) -> bool {
    within.is_none_or(|within| within.contains(node))
}
