//! Sets of nodes as bitmaps: one plain, one that several threads may add to at once.
//!
//! Knows node numbers only; a set has a fixed capacity and ignores nodes beyond it.

use std::io::{self, Seek, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::columns::{ColumnFile, ColumnWriter, Damaged};

const WORD_BITS: usize = 64;

fn word_of(node: u32) -> usize {
    node as usize / WORD_BITS
}

fn bit_of(node: u32) -> u64 {
    1 << (node as usize % WORD_BITS)
}

/// A set of nodes below a fixed capacity: one bit per possible node.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
    capacity: usize,
}

impl NodeSet {
    /// The empty set over nodes `0..capacity`.
    pub fn new(capacity: usize) -> Self {
        NodeSet { words: vec![0; capacity.div_ceil(WORD_BITS)], capacity }
    }

    /// The set of all nodes `0..capacity`.
    pub fn full(capacity: usize) -> Self {
        let mut words = vec![u64::MAX; capacity.div_ceil(WORD_BITS)];
        let used = capacity % WORD_BITS;
        if used != 0
            && let Some(last) = words.last_mut()
        {
            *last = (1 << used) - 1;
        }
        NodeSet { words, capacity }
    }

    /// The set of those `members` that are below `capacity`.
    pub fn from_nodes(capacity: usize, members: impl IntoIterator<Item = u32>) -> Self {
        let mut set = NodeSet::new(capacity);
        for node in members {
            set.insert(node);
        }
        set
    }

    /// The set of those nodes below `capacity` that pass `test`, found by several threads.
    pub fn passing(capacity: usize, test: impl Fn(u32) -> bool + Sync) -> Self {
        let words = (0..capacity.div_ceil(WORD_BITS)).into_par_iter().with_min_len(256).map(|word| {
            let first = word * WORD_BITS;
            let last = capacity.min(first + WORD_BITS);
            (first..last).fold(0, |bits, node| bits | (u64::from(test(node as u32)) << (node - first)))
        });
        NodeSet { words: words.collect(), capacity }
    }

    /// Writes the set as a column.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, name: &str, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column(name, &self.words)
    }

    /// The set over nodes `0..capacity` that was written as `name`.
    ///
    /// # Errors
    /// The column is not there, is damaged or has not so many bits.
    pub fn read(name: &str, capacity: usize, file: &ColumnFile) -> Result<Self, Damaged> {
        let words = file.column::<u64>(name)?.to_vec();
        if words.len() != capacity.div_ceil(WORD_BITS) {
            return Err(Damaged::because(format!("its {name} are of another heap")));
        }
        let mut set = NodeSet { words, capacity };
        set.cut_to_capacity();
        Ok(set)
    }

    /// Members are below this number.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds `node`; true if it was not there. A node beyond the capacity is not added.
    pub fn insert(&mut self, node: u32) -> bool {
        if node as usize >= self.capacity {
            return false;
        }
        let Some(word) = self.words.get_mut(word_of(node)) else { return false };
        let added = *word & bit_of(node) == 0;
        *word |= bit_of(node);
        added
    }

    /// Takes `node` out; true if it was there.
    pub fn remove(&mut self, node: u32) -> bool {
        let Some(word) = self.words.get_mut(word_of(node)) else { return false };
        let removed = *word & bit_of(node) != 0;
        *word &= !bit_of(node);
        removed
    }

    /// Whether `node` is a member.
    #[inline]
    pub fn contains(&self, node: u32) -> bool {
        self.words.get(word_of(node)).is_some_and(|word| word & bit_of(node) != 0)
    }

    /// Number of members, counted now: one pass over the bitmap.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Takes all members out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip((0u32..).step_by(WORD_BITS)).flat_map(|(&word, first)| Members { word, first })
    }

    /// Adds all members of `other` that fit the capacity.
    pub fn union_with(&mut self, other: &NodeSet) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
        self.cut_to_capacity();
    }

    /// Keeps only the members that `other` has too.
    pub fn intersect_with(&mut self, other: &NodeSet) {
        let theirs = other.words.iter().copied().chain(std::iter::repeat(0));
        for (mine, theirs) in self.words.iter_mut().zip(theirs) {
            *mine &= theirs;
        }
    }

    /// Takes out all members that `other` has.
    pub fn subtract(&mut self, other: &NodeSet) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    /// Whether the two sets have a member in common.
    pub fn intersects(&self, other: &NodeSet) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Bytes the set takes.
    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// The bitmap: bit `i` of word `w` is node `64 * w + i`; bits beyond the capacity are clear.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The set with this bitmap, cut to `capacity`.
    pub(super) fn from_words(mut words: Vec<u64>, capacity: usize) -> Self {
        words.resize(capacity.div_ceil(WORD_BITS), 0);
        let mut set = NodeSet { words, capacity };
        set.cut_to_capacity();
        set
    }

    fn cut_to_capacity(&mut self) {
        let used = self.capacity % WORD_BITS;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }
}

impl std::fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The nodes of one word of a bitmap, ascending.
struct Members {
    word: u64,
    first: u32,
}

impl Iterator for Members {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.first + bit)
    }
}

/// A [`NodeSet`] that threads may add to at the same time; nothing is ever taken out.
///
/// Membership is all that is shared, so relaxed ordering is enough; joining the threads publishes the set.
#[derive(Debug)]
pub struct AtomicNodeSet {
    words: Vec<AtomicU64>,
    capacity: usize,
}

impl AtomicNodeSet {
    /// The empty set over nodes `0..capacity`.
    pub fn new(capacity: usize) -> Self {
        AtomicNodeSet::from(NodeSet::new(capacity))
    }

    /// Adds `node`; true for exactly one of the callers that add it first. A node beyond the capacity is not added.
    #[inline]
    pub fn insert(&self, node: u32) -> bool {
        if node as usize >= self.capacity {
            return false;
        }
        let Some(word) = self.words.get(word_of(node)) else { return false };
        // A plain load first: most insertions find the node already there, and a locked instruction is dear.
        word.load(Ordering::Relaxed) & bit_of(node) == 0
            && word.fetch_or(bit_of(node), Ordering::Relaxed) & bit_of(node) == 0
    }

    /// Adds the nodes that are bits of `bits`, bit `i` being node `64 * word + i`; returns those that were there.
    #[inline]
    pub(super) fn insert_word(&self, word: usize, bits: u64) -> u64 {
        match self.words.get(word) {
            Some(word) if bits != 0 => word.fetch_or(bits, Ordering::Relaxed) & bits,
            _ => 0,
        }
    }

    /// Whether `node` is a member by now.
    #[inline]
    pub fn contains(&self, node: u32) -> bool {
        self.words.get(word_of(node)).is_some_and(|word| word.load(Ordering::Relaxed) & bit_of(node) != 0)
    }

    /// The plain set, once all threads are done.
    pub fn into_set(self) -> NodeSet {
        let words = self.words.into_iter().map(AtomicU64::into_inner).collect();
        NodeSet { words, capacity: self.capacity }
    }
}

impl From<NodeSet> for AtomicNodeSet {
    fn from(set: NodeSet) -> Self {
        AtomicNodeSet { words: set.words.into_iter().map(AtomicU64::new).collect(), capacity: set.capacity }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(0u32..200, 0..60)
    }

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(capacity in 0usize..200, a in members(), b in members()) {
            let cut = |set: &BTreeSet<u32>| -> BTreeSet<u32> {
                set.iter().copied().filter(|&n| (n as usize) < capacity).collect()
            };
            let build = |set: &BTreeSet<u32>| NodeSet::from_nodes(capacity, set.iter().copied());
            let as_btree = |set: &NodeSet| set.iter().collect::<BTreeSet<u32>>();
            let (x, y) = (build(&a), build(&b));
            prop_assert_eq!(as_btree(&x), cut(&a));
            prop_assert_eq!(x.len(), cut(&a).len());
            prop_assert_eq!(x.is_empty(), cut(&a).is_empty());
            prop_assert!((0..250).all(|n| x.contains(n) == cut(&a).contains(&n)));

            let mut union = x.clone();
            // The other set may be larger than this one.
            union.union_with(&NodeSet::from_nodes(200, b.iter().copied()));
            prop_assert_eq!(as_btree(&union), &cut(&a) | &cut(&b));
            let mut both = x.clone();
            both.intersect_with(&y);
            prop_assert_eq!(as_btree(&both), &cut(&a) & &cut(&b));
            prop_assert_eq!(x.intersects(&y), !both.is_empty());
            let mut rest = x.clone();
            rest.subtract(&y);
            prop_assert_eq!(as_btree(&rest), &cut(&a) - &cut(&b));
            let atomic = AtomicNodeSet::from(x);
            for &node in &b {
                let new = (node as usize) < capacity && !a.contains(&node);
                prop_assert_eq!(atomic.insert(node), new);
                prop_assert!(!atomic.insert(node));
            }
            prop_assert_eq!(atomic.into_set(), union);
        }
    }

    #[test]
    fn full_has_every_node_and_no_other() {
        for capacity in [0, 1, 63, 64, 65, 200] {
            let full = NodeSet::full(capacity);
            assert_eq!(full.iter().collect::<Vec<_>>(), (0..capacity as u32).collect::<Vec<_>>());
            assert_eq!(full, NodeSet::from_nodes(capacity, 0..1000));
            assert_eq!(full, NodeSet::from_words(vec![u64::MAX; 9], capacity));
        }
    }

    #[test]
    fn passing_asks_every_node_below_the_capacity_once() {
        for capacity in [0, 1, 64, 130, 70_000] {
            let asked = AtomicNodeSet::new(capacity);
            let odd = NodeSet::passing(capacity, |node| {
                assert!(asked.insert(node), "{node} is asked twice or beyond {capacity}");
                node % 2 == 1
            });
            assert_eq!(odd, NodeSet::from_nodes(capacity, (0..capacity as u32).filter(|node| node % 2 == 1)));
            assert_eq!(asked.into_set(), NodeSet::full(capacity));
        }
    }

    #[test]
    fn removal_says_whether_it_was_there() {
        let mut set = NodeSet::from_nodes(10, [3]);
        assert!(set.remove(3) && !set.remove(3) && !set.remove(4000));
        assert!(set.is_empty());
    }
}
