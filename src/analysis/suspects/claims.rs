//! Whose is what: everything reachable is given to the first place that reaches it.
//!
//! Knows one traversal of the heap; refuses to know what would be freed, which only dominance tells. A place claims what
//! it reaches through data, not through classes, modules, code or other named objects; larger containers come first, so
//! what two of them share counts for the larger. Each object counts once.

use super::places::{Level, Place, Places, is_container};
use super::special::{Special, is_finished, pinned, special};
use crate::analysis::{Collection, Heap, keeps_alive};
use crate::cpython::{TypeInfo, WalkKind};
use crate::graph::NodeSet;
use crate::heap::{Measured, ObjectId, Rows};
use std::cmp::Reverse;

/// What one place claims.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// Objects, itself included.
    pub objects: u64,
    /// Their sizes, in bytes.
    pub bytes: u64,
    /// Frame objects among them: frames that have ended and that tracebacks hold.
    pub frames: u64,
    /// Tracebacks among them.
    pub tracebacks: u64,
    /// Tasks and futures among them that are done.
    pub finished: u64,
    /// Views among them that pin a buffer.
    pub views: u64,
    /// Bytes that these show.
    pub shown: u64,
    /// Bytes of their buffers.
    pub pinned: u64,
}

/// What a type is to claims.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Frame,
    Traceback,
    Special(Special),
    Barrier,
}

/// What every type is to claims, by its number.
pub struct Kinds(Vec<Kind>);

impl Kinds {
    /// Those of a heap's types.
    pub fn of(heap: Heap<'_, '_>) -> Self {
        let kind = |info: &TypeInfo| match (info.walk.kind, info.name.as_ref()) {
            (WalkKind::Type | WalkKind::Module | WalkKind::Code, _) => Kind::Barrier,
            (WalkKind::Frame, _) => Kind::Frame,
            (_, "builtins.traceback") => Kind::Traceback,
            _ => special(heap, info).map_or(Kind::Data, Kind::Special),
        };
        Self(heap.runtime.types.iter().map(|(_, info)| kind(info)).collect())
    }

    /// Counts an object for `claim`; false if it is no data and claims end there.
    #[inline]
    pub fn count(&self, heap: Heap<'_, '_>, object: Measured, claim: &mut Claim) -> bool {
        let kind = self.0.get(object.type_id.0 as usize).copied().unwrap_or(Kind::Barrier);
        if kind == Kind::Barrier || object.flags.is_immortal() {
            return false;
        }
        let id = object.id;
        claim.objects += 1;
        claim.bytes += object.shallow();
        match kind {
            Kind::Data | Kind::Barrier => {}
            Kind::Frame => claim.frames += 1,
            Kind::Traceback => claim.tracebacks += 1,
            Kind::Special(Special::View) => {
                if let Some(pinned) = pinned(heap, id) {
                    claim.views += 1;
                    claim.shown = claim.shown.saturating_add(pinned.shown);
                    claim.pinned = claim.pinned.saturating_add(pinned.kept);
                }
            }
            Kind::Special(special) => claim.finished += u64::from(is_finished(heap, id, special)),
        }
        true
    }
}

/// One traversal of the heap that remembers what is claimed.
pub struct Claims<'h, 'core> {
    heap: Heap<'h, 'core>,
    rows: Rows<'h>,
    kinds: Kinds,
    claimed: NodeSet,
    stack: Vec<u32>,
}

impl<'h, 'core> Claims<'h, 'core> {
    /// Nothing is claimed yet; what `places` names is for these places alone, what is `garbage` for nobody.
    pub fn new(heap: Heap<'h, 'core>, places: &Places, garbage: &Collection) -> Self {
        let mut claimed = places.named.clone();
        claimed.union_with(&garbage.unreachable);
        claimed.union_with(&garbage.held);
        Self { heap, rows: heap.objects.rows(), kinds: Kinds::of(heap), claimed, stack: Vec::new() }
    }

    /// Claims what `start` reaches and nobody has claimed. `start` itself counts even if it has been named.
    pub fn claim(&mut self, start: ObjectId) -> Claim {
        let mut claim = Claim::default();
        self.claimed.insert(start.0);
        self.take(start.0, &mut claim);
        let graph = &self.heap.graph.forward;
        while let Some(node) = self.stack.pop() {
            for edge in graph.of(node).iter().filter(|edge| keeps_alive(edge.kind())) {
                if self.claimed.insert(edge.target()) {
                    self.take(edge.target(), &mut claim);
                }
            }
        }
        claim
    }

    #[inline]
    fn take(&mut self, node: u32, claim: &mut Claim) {
        let Some(object) = self.rows.get(ObjectId(node)) else { return };
        if !self.kinds.count(self.heap, object, claim) {
            return;
        }
        if !self.heap.graph.forward.of(node).is_empty() {
            self.stack.push(node);
        }
    }
}

/// The order in which places claim: containers by how much they hold directly, then single objects; variables of
/// frames after what modules and classes name.
pub fn order(heap: Heap<'_, '_>, places: &mut [Place]) {
    places.sort_by_cached_key(|place| {
        let local = matches!(place.level, Level::Local | Level::Thread);
        let container = is_container(heap.type_of(place.object));
        let held = heap.graph.forward.of(place.object.0).len();
        (local, !container, Reverse(if container { held } else { 0 }))
    });
}
