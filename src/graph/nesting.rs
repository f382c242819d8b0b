//! Who is below whom in a forest, answered in constant time.
//!
//! Knows the nodes' places in preorder and how many lie below each; refuses to know what the forest stands for: it may be
//! of dominators, or of a search.

/// The node is not in the forest.
const NONE: u32 = u32::MAX;

/// Subtrees as intervals of the preorder: 12 bytes a node.
#[derive(Clone, Debug)]
pub struct Nesting {
    /// By node: its place in preorder, or `NONE`.
    place: Vec<u32>,
    /// By node: nodes of its subtree, itself included; 0 outside the forest.
    size: Vec<u32>,
    /// By place: the node.
    preorder: Vec<u32>,
}

impl Nesting {
    /// The forest of the nodes of `order`, each of which comes once and after its parent; numbers are below `nodes`.
    pub fn new(nodes: usize, order: &[u32], parent: impl Fn(u32) -> Option<u32>) -> Self {
        let mut size = vec![0u32; nodes];
        for &node in order.iter().rev() {
            let Some(own) = size.get_mut(node as usize) else { continue };
            *own += 1;
            let own = *own;
            if let Some(above) = parent(node).and_then(|above| size.get_mut(above as usize)) {
                *above += own;
            }
        }
        let mut place = vec![NONE; nodes];
        // By node: the place of its next child.
        let mut next = vec![0u32; nodes];
        let mut next_top = 0u32;
        let mut preorder = vec![NONE; order.len()];
        for &node in order {
            let slot = match parent(node) {
                Some(above) => next.get_mut(above as usize),
                None => Some(&mut next_top),
            };
            let (Some(slot), Some(&own)) = (slot, size.get(node as usize)) else { continue };
            let at = *slot;
            *slot += own;
            if let (Some(place), Some(next), Some(entry)) =
                (place.get_mut(node as usize), next.get_mut(node as usize), preorder.get_mut(at as usize))
            {
                *place = at;
                *next = at + 1;
                *entry = node;
            }
        }
        Self { place, size, preorder }
    }

    /// Whether `node` is `above` or lies below it.
    #[inline]
    pub fn contains(&self, above: u32, node: u32) -> bool {
        let (Some(&above_place), Some(&size), Some(&place)) =
            (self.place.get(above as usize), self.size.get(above as usize), self.place.get(node as usize))
        else {
            return false;
        };
        // Outside the forest the place is out of reach, and the size 0.
        place.wrapping_sub(above_place) < size && place != NONE
    }

    /// Nodes of the subtree of `node`, itself included; 0 outside the forest.
    pub fn size(&self, node: u32) -> u32 {
        self.size.get(node as usize).copied().unwrap_or(0)
    }

    /// The place of `node` in preorder; none outside the forest.
    pub fn place(&self, node: u32) -> Option<u32> {
        self.place.get(node as usize).copied().filter(|&place| place != NONE)
    }

    /// The nodes in preorder.
    pub fn preorder(&self) -> &[u32] {
        &self.preorder
    }

    /// The nodes whose parent is `node`.
    pub fn children(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let mut rest = self.below(node).get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let &child = rest.first()?;
            rest = rest.get(self.size(child).max(1) as usize..).unwrap_or_default();
            Some(child)
        })
    }

    /// The nodes of the subtree of `node`, itself first.
    pub fn below(&self, node: u32) -> &[u32] {
        let Some(place) = self.place(node) else { return &[] };
        let start = place as usize;
        self.preorder.get(start..start + self.size(node) as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Forests: each node's parent is one with a smaller number, or none; some nodes are left out.
    fn forests() -> impl Strategy<Value = Vec<Option<Option<u32>>>> {
        proptest::collection::vec((0u32..5, any::<proptest::sample::Index>()), 1..60).prop_map(|choices| {
            let mut forest: Vec<Option<Option<u32>>> = Vec::new();
            for (kind, chosen) in choices {
                let known: Vec<u32> = (0u32..)
                    .zip(&forest)
                    .filter(|(_, entry)| entry.is_some())
                    .map(|(node, _)| node)
                    .collect();
                forest.push(match kind {
                    0 => None,
                    1 => Some(None),
                    _ if known.is_empty() => Some(None),
                    _ => Some(Some(known[chosen.index(known.len())])),
                });
            }
            forest
        })
    }

    proptest! {
        #[test]
        fn agrees_with_walking_up(forest in forests()) {
            let parent = |node: u32| forest[node as usize].flatten();
            let order: Vec<u32> =
                (0..forest.len() as u32).filter(|&node| forest[node as usize].is_some()).collect();
            let nesting = Nesting::new(forest.len(), &order, parent);
            for above in 0..forest.len() as u32 + 2 {
                let below: Vec<u32> = order.iter().copied().filter(|&node| {
                    std::iter::successors(Some(node), |&node| parent(node)).any(|node| node == above)
                }).collect();
                prop_assert_eq!(nesting.size(above) as usize, below.len());
                let mut listed = nesting.below(above).to_vec();
                prop_assert_eq!(listed.first(), below.first().map(|_| &above));
                listed.sort_unstable();
                prop_assert_eq!(&listed, &below);
                let mut children: Vec<u32> = nesting.children(above).collect();
                children.sort_unstable();
                let expected = order.iter().copied().filter(|&node| parent(node) == Some(above));
                prop_assert!(children.into_iter().eq(expected));
                for node in 0..forest.len() as u32 + 2 {
                    prop_assert_eq!(nesting.contains(above, node), below.contains(&node));
                }
            }
            prop_assert_eq!(nesting.preorder().len(), order.len());
        }
    }
}
