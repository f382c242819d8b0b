//! The collector: its lists, its state, and the garbage that it would find.

use super::{Differences, View};
use crate::oracle::Oracle;
use exuvia::analysis::collect;
use exuvia::cpython::{Generation, RootKind, Slot, roots};
use exuvia::graph::{EdgeKind, NodeSet, reachable};
use exuvia::heap::{HeapGraph, ObjectId, build_graph};
use std::collections::BTreeSet;

impl View<'_, '_> {
    /// Proof 1: the lists of each generation, and the tracked flag of every object.
    pub fn tracked(&self, oracle: &Oracle, interpreter: usize, differences: &mut Differences) {
        let objects = &self.census.objects;
        for (index, theirs) in oracle.tracked().into_iter().enumerate() {
            let generation = Generation::from_u8(index as u8);
            let list = self
                .runtime
                .gc_lists
                .iter()
                .find(|list| list.interpreter == interpreter && list.generation == generation)
                .expect("every generation has a list");
            let theirs: BTreeSet<u64> = theirs.into_iter().collect();
            let ours: BTreeSet<u64> = list.objects.iter().copied().collect();
            let what = format!("tracked, interpreter {interpreter}, generation {index}");
            let collecting = self.runtime.interpreters[interpreter].gc.collecting;
            if !collecting {
                differences.sets(&what, &ours, &theirs, &|id| self.type_name(id));
            }
            let untracked: Vec<String> = theirs
                .iter()
                .filter(|&&id| {
                    let found = objects.find(id).map(|id| objects.flags(id));
                    !found.is_some_and(|flags| match collecting {
                        true => flags.is_tracked(),
                        false => flags.generation() == Some(generation),
                    })
                })
                .map(|&id| format!("{id:#x} {}", self.type_name(id)))
                .collect();
            differences.all(&format!("{what}: flags of objects"), untracked);
        }
    }

    pub fn collector_state(&self, oracle: &Oracle, differences: &mut Differences) {
        let said = oracle.summary().gc;
        let gc = &self.runtime.interpreters[0].gc;
        let frozen = self
            .runtime
            .gc_lists
            .iter()
            .find(|list| list.interpreter == 0 && list.generation == Generation::Permanent)
            .map_or(0, |list| list.objects.len());
        differences.check(gc.enabled == said.enabled, || format!("gc.isenabled(): {}", gc.enabled));
        differences.check(frozen == said.freeze_count, || {
            format!("gc.get_freeze_count(): {frozen}, not {}", said.freeze_count)
        });
        for (index, generation) in gc.generations.iter().enumerate() {
            differences.check(generation.threshold == said.threshold[index], || format!("threshold {index}"));
            differences.check(generation.count == said.count[index], || {
                format!("gc.get_count()[{index}]: {}, not {}", generation.count, said.count[index])
            });
            let stats = &said.stats[index];
            let ours = (generation.collections, generation.collected, generation.uncollectable);
            differences.check(ours == (stats.collections, stats.collected, stats.uncollectable), || {
                format!("gc.get_stats()[{index}]: {ours:?}, not {stats:?}")
            });
        }
    }

    /// Proof 4: the unreachable set.
    pub fn garbage(&self, oracle: &Oracle, differences: &mut Differences) {
        let objects = &self.census.objects;
        let graph = build_graph(self.runtime, objects).expect("a fixture is small");
        let ours = collect(self.runtime, objects, &graph);
        let ours: BTreeSet<u64> =
            ours.unreachable.iter().map(|node| objects.address(ObjectId(node))).collect();
        let mut theirs: BTreeSet<u64> = oracle.unreachable().into_iter().collect();
        let saved = oracle.saved();
        let known = |id: &&u64| theirs.contains(id);
        differences
            .check(saved.iter().all(|id| known(&id)), || "the oracle saved what it did not find".to_owned());
        let mut not_asked = BTreeSet::new();
        for interpreter in &self.runtime.interpreters[1..] {
            match oracle.of_interpreter(interpreter.id) {
                Some(oracle) => theirs.extend(oracle.unreachable()),
                None => not_asked.extend(self.tracked_by(interpreter.id)),
            }
        }
        let ours: BTreeSet<u64> = ours.difference(&not_asked).copied().collect();
        if self.runtime.interpreters[0].gc.collecting {
            // What a frame of the collection's own finalizer or callback holds is alive while it runs.
            let held = self.held_by_frames(&graph);
            theirs.retain(|id| !held.contains(id));
        }
        differences.sets("garbage", &ours, &theirs, &|id| self.type_name(id));
    }

    /// Objects on the lists of the interpreter with this id.
    fn tracked_by(&self, id: i64) -> BTreeSet<u64> {
        let index = self.runtime.interpreters.iter().position(|interpreter| interpreter.id == id);
        let lists = self.runtime.gc_lists.iter().filter(|list| Some(list.interpreter) == index);
        lists.flat_map(|list| list.objects.iter().copied()).collect()
    }

    /// What the variables of running frames hold, directly or not.
    fn held_by_frames(&self, graph: &HeapGraph) -> BTreeSet<u64> {
        let objects = &self.census.objects;
        let mut held = NodeSet::new(objects.len());
        roots(self.runtime, &mut |root| {
            if root.kind == RootKind::Frame
                && matches!(root.slot, Some(Slot::Local { .. } | Slot::Stack(_)))
                && let Some(id) = objects.find(root.target)
            {
                held.insert(id.0);
            }
        });
        let mut mine = NodeSet::new(objects.len());
        let collection = collect(self.runtime, objects, graph);
        let candidates: Vec<u32> =
            held.iter().filter(|&node| !collection.unreachable.contains(node)).collect();
        candidates.into_iter().for_each(|node| {
            mine.insert(node);
        });
        let reached = reachable(&graph.forward, &mine, |kind| kind == EdgeKind::Visited);
        reached.iter().map(|node| objects.address(ObjectId(node))).collect()
    }
}
