//! Which addresses lie in the allocators' memory, where every object is met by scanning, and which ones that something refers
//! to do not.
//!
//! Knows addresses only; refuses to know what lies there.

use crate::corefile::Address;
use crate::cpython::{Region, Runtime};
use rustc_hash::FxHashSet;

/// Which addresses lie in regions. The state of an interpreter does not, even where it was allocated there (free-threaded
/// 3.15): the objects that are part of it are not the scan's, which takes whole blocks.
pub struct RegionMap {
    /// Disjoint, ascending.
    spans: Vec<(Address, Address)>,
}

impl RegionMap {
    /// The map of `regions`, which ascend.
    pub fn new(runtime: &Runtime<'_>, regions: &[Region]) -> Self {
        let mut spans: Vec<(Address, Address)> = Vec::new();
        for region in regions {
            match spans.last_mut() {
                Some(last) if last.1 >= region.address => last.1 = region.end,
                _ => spans.push((region.address, region.end)),
            }
        }
        let size = u64::from(runtime.layouts.interpreter.size);
        for interpreter in &runtime.interpreters {
            let hole = (interpreter.address, interpreter.address.saturating_add(size));
            spans = spans.into_iter().flat_map(|span| without(span, hole)).collect();
        }
        Self { spans }
    }

    /// Whether an address lies in a region.
    #[inline]
    pub fn contains(&self, address: Address) -> bool {
        let after = self.spans.partition_point(|&(start, _)| start <= address);
        after.checked_sub(1).and_then(|index| self.spans.get(index)).is_some_and(|&(_, end)| address < end)
    }
}

/// What is left of `span`, in order.
fn without(span: (Address, Address), hole: (Address, Address)) -> impl Iterator<Item = (Address, Address)> {
    let before = (span.0, span.1.min(hole.0));
    let after = (span.0.max(hole.1), span.1);
    let parts = if hole.1 <= span.0 || span.1 <= hole.0 { [span, (0, 0)] } else { [before, after] };
    parts.into_iter().filter(|(start, end)| start < end)
}

/// Number of entries of the filter in front of the set of outside addresses; a power of two.
const FILTER: usize = 1 << 12;

/// Addresses outside the regions that something refers to. The same few objects are met millions of times, so a small
/// table of those met last stands in front of the set.
pub struct Outside<'m> {
    map: &'m RegionMap,
    recent: Box<[Address]>,
    last_span: (Address, Address),
    /// Every address noted that lies outside.
    pub seen: FxHashSet<Address>,
}

impl<'m> Outside<'m> {
    /// None so far.
    pub fn new(map: &'m RegionMap) -> Self {
        Self {
            map,
            recent: vec![0; FILTER].into_boxed_slice(),
            last_span: (0, 0),
            seen: FxHashSet::default(),
        }
    }

    /// Notes a target.
    #[inline]
    pub fn note(&mut self, target: Address) {
        if (self.last_span.0..self.last_span.1).contains(&target) {
            return;
        }
        let slot = (target >> 4) as usize % FILTER;
        match self.recent.get_mut(slot) {
            Some(entry) if *entry == target => return,
            Some(entry) => *entry = target,
            None => {}
        }
        self.note_slowly(target);
    }

    #[cold]
    fn note_slowly(&mut self, target: Address) {
        let after = self.map.spans.partition_point(|&(start, _)| start <= target);
        match after.checked_sub(1).and_then(|index| self.map.spans.get(index)) {
            Some(&span) if target < span.1 => self.last_span = span,
            _ => {
                self.seen.insert(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_leaves_what_lies_around_it() {
        let left = |span, hole| without(span, hole).collect::<Vec<_>>();
        assert_eq!(left((10, 20), (12, 15)), [(10, 12), (15, 20)]);
        assert_eq!(left((10, 20), (5, 15)), [(15, 20)]);
        assert_eq!(left((10, 20), (15, 30)), [(10, 15)]);
        assert_eq!(left((10, 20), (20, 30)), [(10, 20)]);
        assert_eq!(left((10, 20), (5, 30)), []);
    }
}
