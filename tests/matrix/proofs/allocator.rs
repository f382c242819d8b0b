//! The allocators: which it is, and its figures.

use super::{Differences, View};
use crate::oracle::Oracle;

impl View<'_, '_> {
    /// Proof 6: the allocator's figures.
    pub fn allocator(&self, oracle: &Oracle, differences: &mut Differences) {
        // sys.getallocatedblocks() counts for all interpreters, sys._debugmallocstats() for the one that asks.
        let said = oracle.summary().allocated_blocks;
        let ours = self.census.figures.allocated_blocks();
        let figures = &self.census.allocators[0].1.pymalloc;
        // Up to 3.11 one summand is a static variable, which only the full symbol table names.
        let known = self.runtime.layouts.allocators.obmalloc.raw_allocated_blocks.is_some()
            || self.runtime.symbol("raw_allocated_blocks").is_some();
        differences.check(ours == said || (!known && ours <= said), || {
            format!("sys.getallocatedblocks(): {ours}, not {said}")
        });
        differences.check(figures.damaged_pools == 0, || format!("{} damaged pools", figures.damaged_pools));
        if let Some(origin) = oracle.origin() {
            let ours =
                format!("{}{}", self.census.allocator.name(), if self.census.padded { "_debug" } else { "" });
            differences.check(ours == origin.allocator(), || {
                format!("allocator {ours}, not {}", origin.allocator())
            });
        }
        let mimalloc = &self.census.figures.mimalloc;
        differences
            .check(mimalloc.damaged_pages == 0, || format!("{} damaged pages", mimalloc.damaged_pages));
        let (classes, totals) = oracle.malloc();
        // A free-threaded build prints the figures of a heap that it does not use for Python's memory.
        if mimalloc.segments > 0 && self.runtime.layouts.allocators.thread_impl.heaps.is_none() {
            for (name, value) in [
                ("Allocated Blocks", mimalloc.counted.blocks),
                ("Allocated Bytes w/ Overhead", mimalloc.counted.bytes),
                ("Bytes Reserved", mimalloc.counted.reserved_bytes),
                ("Bytes Committed", mimalloc.counted.committed_bytes),
            ] {
                let said = totals.get(name);
                differences.check(said == Some(&value), || format!("{name}: {value}, not {said:?}"));
            }
        }
        let ours: Vec<_> = figures
            .classes
            .iter()
            .enumerate()
            .filter(|(_, class)| class.pools > 0)
            .map(|(index, class)| {
                (index as u64, u64::from(class.block_size), class.pools, class.live_blocks, class.free_blocks)
            })
            .collect();
        let wrong =
            ours.iter().zip(&classes).filter(|(a, b)| a != b).map(|(a, b)| format!("{a:?}, not {b:?}"));
        differences.all("size classes", wrong.collect());
        differences.check(ours.len() == classes.len(), || "different size classes are in use".to_owned());
        for (name, value) in
            [("# arenas allocated current", figures.arenas), ("# unused pools", figures.free_pools)]
        {
            if let Some(&said) = totals.get(name) {
                differences.check(value == said, || format!("{name}: {value}, not {said}"));
            }
        }
    }
}
