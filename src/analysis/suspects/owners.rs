//! Exact sizes: what would be freed with each suspect alone, and owners that no name led to.
//!
//! Knows dominance; refuses to guess. An *accumulation point* is where what one owner holds spreads out: from the owner
//! down as long as one object below holds nearly all of it.

use super::{Confidence, MIN_BYTES, MIN_SHARE, Remedy, Suspect, SuspectKind, Suspects, share, sort};
use crate::analysis::python_path::PathWriter;
use crate::analysis::roots::Root;
use crate::analysis::{Heap, Holders, Retention, Roots};
use crate::cpython::{RootKind, WalkKind};
use crate::graph::DominatorTree;

/// An object below that holds at least so much of what its owner holds is the next on the way down, in basis points.
const MOST: u32 = 8000;
/// Owners added at most.
const MAX_OWNERS: usize = 20;
/// Longest way down.
const MAX_WAY: usize = 1000;

/// No node.
const NONE: u32 = u32::MAX;

/// Adds to every suspect what would be freed with it alone, and to the list what dominates much without a name.
pub fn retained_by_suspects(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    suspects: &mut Suspects,
) {
    let of = |node: u32| retention.of(node);
    for suspect in &mut suspects.list {
        if let Some(id) = suspect.object {
            suspect.retained = Some(of(id.0));
        }
    }
    let known: Vec<u32> = suspects.list.iter().filter_map(|suspect| Some(suspect.object?.0)).collect();
    let points = accumulation_points(heap, roots, retention, suspects.heap_bytes, &known);
    if !points.is_empty() {
        let holders = Holders::search(heap, roots, None);
        let mut writer = PathWriter::new(heap);
        for node in points {
            let (Some(id), Some(path)) = (heap.id(node), holders.path_to(node)) else { continue };
            let bytes = of(node);
            suspects.list.push(Suspect {
                kind: SuspectKind::Owner,
                path: writer.name(&path, roots),
                object: Some(id),
                type_name: heap.type_name(id).to_owned(),
                count: 1,
                objects: 0,
                bytes,
                retained: Some(bytes),
                share: share(bytes, suspects.heap_bytes),
                confidence: Confidence::Low,
                remedy: Remedy::Inspect,
            });
        }
    }
    sort(&mut suspects.list);
}

/// Where large parts of the heap spread out and no suspect is above or below that explains most of it.
fn accumulation_points(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    heap_bytes: u64,
    known: &[u32],
) -> Vec<u32> {
    let (tree, of) = (retention.tree(), |node: u32| retention.of(node));
    let heaviest = heaviest_children(retention);
    let mut points = Vec::new();
    for top in tree.top().filter(|&node| of(node) >= MIN_BYTES && share(of(node), heap_bytes) >= MIN_SHARE) {
        let mut point = top;
        for _ in 0..MAX_WAY {
            let next = heaviest.get(point as usize).copied().unwrap_or(NONE);
            if next == NONE || share(of(next), of(point)) < MOST {
                break;
            }
            point = next;
        }
        let inside: u64 = known
            .iter()
            .filter(|&&node| node == point || tree.dominators(node).take(MAX_WAY).any(|above| above == point))
            .map(|&node| of(node))
            .sum();
        let above = known.contains(&point) || tree.dominators(point).any(|node| known.contains(&node));
        if !above && !is_structure(heap, roots, tree, point) && share(inside, of(point)) < MOST / 2 {
            points.push(point);
        }
    }
    points.sort_by_key(|&node| (std::cmp::Reverse(of(node)), node));
    points.truncate(MAX_OWNERS);
    points.retain(|&node| share(of(node), heap_bytes) >= MIN_SHARE);
    points
}

/// Whether an object belongs to the program's structure, which holds everything and explains nothing: modules and their
/// namespaces, classes, code, what interpreters keep.
pub(in crate::analysis) fn is_structure(
    heap: Heap<'_, '_>,
    roots: &Roots,
    tree: &DominatorTree,
    node: u32,
) -> bool {
    let kind = |node| heap.id(node).map(|id| heap.type_of(id).walk.kind);
    let is_code = matches!(kind(node), None | Some(WalkKind::Type | WalkKind::Module | WalkKind::Code));
    let of_module = tree.idom(node).and_then(kind) == Some(WalkKind::Module);
    let of_interpreter = matches!(
        roots.origin(node),
        Some(Root::Reference(root)) if matches!(root.kind, RootKind::Interpreter(_))
    );
    is_code || of_module || of_interpreter
}

/// For every node the node below it that retains most.
fn heaviest_children(retention: &Retention) -> Vec<u32> {
    let (tree, of) = (retention.tree(), |node: u32| retention.of(node));
    let mut heaviest = vec![NONE; tree.nodes()];
    for &node in tree.order() {
        if let Some(slot) = tree.idom(node).and_then(|above| heaviest.get_mut(above as usize))
            && (*slot == NONE || of(*slot) < of(node))
        {
            *slot = node;
        }
    }
    heaviest
}
