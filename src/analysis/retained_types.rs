//! What the instances of types keep alive together.
//!
//! Knows the live heap and groups of types; refuses to know names. Exact, and counted once: everything that no root
//! reaches but through an instance of the group, the instances included. That is more than the sum over instances: what
//! two of them share is kept by neither alone, and by both together. Garbage is in no number.

use super::{Heap, Retention, Roots, TypeGroups, keeps_alive};
use crate::graph::{Dominance, GroupTotal, retained_by_groups};

/// Objects and bytes that would go with all instances of each group. `retention` must be of the same heap and roots.
pub fn retained_by_types(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    groups: &TypeGroups,
) -> Vec<GroupTotal> {
    let forward = &heap.graph.forward;
    let graph = Dominance { forward, roots: &roots.set, tree: retention.tree() };
    let types = heap.objects.types_column();
    retained_by_groups(
        graph,
        keeps_alive,
        groups.count(),
        |node| groups.of(*types.get(node as usize)?),
        |node| heap.shallow(node),
    )
}
