//! What freed objects held and what stays all the same, and who holds it.
//!
//! Knows the border between the freed and the living, by type and label; refuses to say whether the other holder is right.
//! Classes of instances and globals of functions are not told: everything holds those.

use super::release::Release;
use crate::analysis::labels::{LabelShape, Labels, label_text};
use crate::analysis::{Heap, Holders, PathWriter, Root, Roots, keeps_alive, python_name};
use crate::cpython::{Slot, TypeId, WalkKind};
use crate::graph::{EdgeKind, NodeSet};
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// All that stays.
#[derive(Clone, Debug, Default)]
pub struct Survivors {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many rows there would be.
    pub kinds: u64,
    /// By type and label: what was let go of itself first, then what that held directly, then the largest.
    pub rows: Vec<Survivor>,
}

/// Objects of one type, held alike, that stay.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// Their type.
    pub type_name: String,
    /// Where a freed object held them; empty for what was let go of itself.
    pub label: String,
    /// Whether they were let go of, or what was let go of held them itself.
    pub direct: bool,
    /// How many.
    pub objects: u64,
    /// Their bytes, without what they hold.
    pub bytes: u64,
    /// One of them: the lowest.
    pub example: ObjectId,
    /// What holds that one.
    pub holding: Holding,
}

/// What keeps an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// A root or another path leads to it, whose name this is.
    Path(String),
    /// It is never freed.
    Immortal,
    /// So many references that no known object or root has.
    ByC(u64),
    /// Only what nothing holds but no collection frees: untracked objects that hold each other, or `tp_del`.
    Uncollectable,
}

/// How near an object was to what was let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Nearness {
    Target,
    Direct,
    Further,
}

type Key = (Nearness, TypeId, Option<LabelShape>);

struct Group {
    objects: u64,
    bytes: u64,
    example: u32,
    slot: Option<Slot>,
}

/// Looks along the border of `freed`.
pub fn survivors(
    release: &Release<'_, '_>,
    roots: &Roots,
    targets: &NodeSet,
    freed: &NodeSet,
    limit: usize,
) -> Survivors {
    let heap = release.heap();
    let mut border = Border { heap, seen: NodeSet::new(heap.objects.len()), groups: FxHashMap::default() };
    for node in targets.iter().filter(|&node| !release.freed.contains(node)) {
        border.add(node, Nearness::Target, None);
    }
    let mut labels = Labels::new(heap);
    // What the targets held first: an object that others held too counts as theirs.
    let (near, far): (Vec<u32>, Vec<u32>) = freed.iter().partition(|&node| targets.contains(node));
    for (sources, nearness) in [(near, Nearness::Direct), (far, Nearness::Further)] {
        for source in sources {
            let stays = heap
                .graph
                .forward
                .of(source)
                .iter()
                .any(|edge| keeps_alive(edge.kind()) && border.is_new(release, edge.target()));
            if stays {
                labels.each(ObjectId(source), &mut |target, kind, slot| {
                    if kind != EdgeKind::Weak && tells(slot) && border.is_new(release, target.0) {
                        border.add(target.0, nearness, Some(slot));
                    }
                });
            }
        }
    }
    let total = border.seen.len() as u64;
    let mut groups: Vec<(Key, Group)> = border.groups.into_iter().collect();
    groups.sort_by_key(|((nearness, ..), group)| (*nearness, Reverse(group.bytes), group.example));
    let mut survivors = Survivors {
        objects: total,
        bytes: groups.iter().map(|(_, group)| group.bytes).sum(),
        kinds: groups.len() as u64,
        rows: Vec::new(),
    };
    groups.truncate(limit);
    if !groups.is_empty() {
        let mut reasons = Reasons::new(release, roots);
        survivors.rows = groups.iter().map(|(key, group)| row(heap, &mut reasons, key, group)).collect();
    }
    survivors
}

/// Whether who else holds what stands there is worth telling.
fn tells(slot: Slot) -> bool {
    !matches!(
        slot,
        Slot::Type | Slot::Field("func_globals" | "func_builtins" | "__mro__" | "__base__" | "__bases__")
    )
}

struct Border<'h, 'core> {
    heap: Heap<'h, 'core>,
    seen: NodeSet,
    groups: FxHashMap<Key, Group>,
}

impl Border<'_, '_> {
    fn is_new(&self, release: &Release<'_, '_>, node: u32) -> bool {
        !release.freed.contains(node)
            && !self.seen.contains(node)
            && !self.heap.objects.flags(ObjectId(node)).is_immortal()
    }

    fn add(&mut self, node: u32, nearness: Nearness, slot: Option<Slot>) {
        if !self.seen.insert(node) {
            return;
        }
        let objects = self.heap.objects;
        let key = (nearness, objects.type_id(ObjectId(node)), slot.map(LabelShape::of));
        let group = self.groups.entry(key).or_insert(Group { objects: 0, bytes: 0, example: node, slot });
        group.objects += 1;
        group.bytes += objects.shallow(ObjectId(node));
        if node < group.example {
            group.example = node;
            group.slot = slot;
        }
    }
}

fn row(heap: Heap<'_, '_>, reasons: &mut Reasons<'_, '_, '_>, key: &Key, group: &Group) -> Survivor {
    let (nearness, type_id, shape) = *key;
    let label = match (shape, group.slot) {
        (Some(_), Some(slot)) if group.objects == 1 => label_text(heap.runtime, slot),
        (Some(shape), _) => shape.text(heap.runtime),
        (None, _) => String::new(),
    };
    Survivor {
        type_name: python_name(&heap.runtime.types.get(type_id).name).to_owned(),
        label,
        direct: nearness != Nearness::Further,
        objects: group.objects,
        bytes: group.bytes,
        example: ObjectId(group.example),
        holding: reasons.of(group.example),
    }
}

/// Who holds what stays, found by one search of what is left of the heap.
struct Reasons<'r, 'h, 'core> {
    release: &'r Release<'h, 'core>,
    roots: &'r Roots,
    holders: Holders,
    writer: PathWriter<'h, 'core>,
}

impl<'r, 'h, 'core> Reasons<'r, 'h, 'core> {
    fn new(release: &'r Release<'h, 'core>, roots: &'r Roots) -> Self {
        let heap = release.heap();
        let interned = roots.interned();
        let holders = Holders::search_over(heap, roots, |source, target| {
            !release.freed.contains(target)
                && !interned.contains(&source)
                && !release.removed.all(&heap.graph.forward, source, target)
        });
        Self { release, roots, holders, writer: PathWriter::new(heap) }
    }

    fn of(&mut self, node: u32) -> Holding {
        let heap = self.release.heap();
        if heap.objects.flags(ObjectId(node)).is_immortal() {
            return Holding::Immortal;
        }
        match self.holders.path_to(node) {
            Some(path) if path.len() == 1 => match self.roots.origin(node) {
                Some(Root::HeldByC(_)) | None => self.left_to_c(node),
                Some(root) => Holding::Path(self.writer.describe_root(node, root)),
            },
            Some(path) => {
                let name = self.writer.name(&path, self.roots);
                // A module's name is the path to it: what holds it is the entry.
                let is_entry = path.len() == 2 && heap.type_of(ObjectId(node)).walk.kind == WalkKind::Module;
                Holding::Path(if is_entry { format!("sys.modules['{name}']") } else { name })
            }
            None => self.left_to_c(node),
        }
    }

    fn left_to_c(&self, node: u32) -> Holding {
        let heap = self.release.heap();
        let left = heap
            .refcount(ObjectId(node))
            .map_or(0, |count| count.saturating_sub(u64::from(self.release.dropped(node))));
        // References of what stays for no other reason than this one are in the count too.
        match left {
            0 => Holding::Uncollectable,
            left => Holding::ByC(left),
        }
    }
}
