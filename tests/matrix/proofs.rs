//! The proofs: what we decode from a core equals what its interpreter said of itself, as sets, without tolerance.

use crate::credible;
use crate::oracle::{self, Oracle};
use crate::untold;
use exuvia::analysis::collect;
use exuvia::corefile::{Inputs, SearchOptions, ThreadNote};
use exuvia::cpython::{
    self, AllocatorKind, Generation, ReadField, References, RootKind, Runtime, Slot, ThreadState, roots,
    thread_exceptions, thread_frames,
};
use exuvia::graph::{EdgeKind, NodeSet, reachable};
use exuvia::heap::{Census, HeapGraph, ObjectId, build_graph, census};
use exuvia::layout::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wrong, in words; empty when all proofs hold.
#[derive(Debug, Default)]
pub struct Differences(Vec<String>);

/// How many single differences are told for each proof.
const MAX_EXAMPLES: usize = 12;

impl Differences {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    fn sets(
        &mut self,
        what: &str,
        ours: &BTreeSet<u64>,
        theirs: &BTreeSet<u64>,
        name: &dyn Fn(u64) -> String,
    ) {
        let list = |set: Vec<&u64>| {
            let few: Vec<String> =
                set.iter().take(MAX_EXAMPLES).map(|&&id| format!("{id:#x} {}", name(id))).collect();
            format!("{} [{}]", set.len(), few.join(", "))
        };
        let missing: Vec<&u64> = theirs.difference(ours).collect();
        let surplus: Vec<&u64> = ours.difference(theirs).collect();
        self.check(missing.is_empty(), || format!("{what}: missing {}", list(missing)));
        self.check(surplus.is_empty(), || format!("{what}: surplus {}", list(surplus)));
    }

    fn all(&mut self, what: &str, wrong: Vec<String>) {
        let few = wrong.iter().take(MAX_EXAMPLES).cloned().collect::<Vec<_>>().join("\n    ");
        self.check(wrong.is_empty(), || format!("{what}: {} differ\n    {few}", wrong.len()));
    }

    pub fn into_result(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n")) }
    }
}

/// Runs every proof on one core, with files and layouts from where `options` and `table` say.
pub fn prove(
    core: &Path,
    oracle: &Oracle,
    table: Option<&Table>,
    options: &SearchOptions,
) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, table).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let mut differences = Differences::default();
    let view = View {
        notes: &inputs.notes().threads,
        runtime: &runtime,
        census: &census,
        without_code: options.core_only,
    };
    view.tracked(oracle, 0, &mut differences);
    view.garbage(oracle, &mut differences);
    let impossible = credible::impossible(&runtime, &census);
    differences.all("objects that memory has no room to refer to", impossible);
    // A core torn in a collection: the process ran on after it described its heap, so only what a collection leaves
    // alone can be compared: who is tracked, and what is garbage.
    if !runtime.interpreters[0].gc.collecting {
        view.collector_state(oracle, &mut differences);
        view.referents(oracle, &mut differences);
        view.objects(oracle, &mut differences);
        view.allocation_counts(oracle, &mut differences);
        view.chain(&mut differences);
        view.refcounts(oracle, &mut differences);
        view.threads(oracle, &mut differences);
        view.allocator(oracle, &mut differences);
    }
    for (index, interpreter) in runtime.interpreters.iter().enumerate().skip(1) {
        if let Some(oracle) = oracle.of_interpreter(interpreter.id) {
            view.tracked(&oracle, index, &mut differences);
            view.referents(&oracle, &mut differences);
            view.objects(&oracle, &mut differences);
        }
    }
    differences.into_result()
}

struct View<'v, 'core> {
    notes: &'v [ThreadNote],
    runtime: &'v Runtime<'core>,
    census: &'v Census,
    /// No file of the process may be opened.
    without_code: bool,
}

impl View<'_, '_> {
    fn type_name(&self, address: u64) -> String {
        let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
        self.runtime
            .types
            .of(type_)
            .map_or_else(|| format!("<type {type_:#x}>"), |info| info.name.to_string())
    }

    /// `__name__` of the module object at `address`.
    fn module_name(&self, address: u64) -> String {
        let name = self.runtime.space.field(address, self.runtime.layouts.module.name).unwrap_or(0);
        cpython::read_str(self.runtime, name, 100).unwrap_or_default()
    }

    /// Name of the first base of the type at `address` that no class statement made.
    fn made_in_c(&self, address: u64) -> String {
        let mut current = self.runtime.types.of(address);
        while let Some(info) = current {
            if !info.by_class_statement {
                return info.name.strip_prefix("builtins.").unwrap_or(&info.name).to_owned();
            }
            current = self.runtime.types.of(info.base);
        }
        String::new()
    }

    /// Proof 1: the lists of each generation, and the tracked flag of every object.
    fn tracked(&self, oracle: &Oracle, interpreter: usize, differences: &mut Differences) {
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

    fn collector_state(&self, oracle: &Oracle, differences: &mut Differences) {
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

    /// Proof 2: referents of every object, as multisets.
    fn referents(&self, oracle: &Oracle, differences: &mut Differences) {
        let mut references = References::new(self.runtime);
        let mut wrong = BTreeMap::<String, Vec<String>>::new();
        for (address, mut theirs) in oracle.referents() {
            let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
            let mut ours = Vec::new();
            let mut outcome = "type unknown".to_owned();
            if let Some(info) = self.runtime.types.of(type_) {
                let result = references.visit(info, address, &mut |referent| {
                    if referent.kind == EdgeKind::Visited {
                        ours.push(referent.target);
                    }
                });
                outcome = format!("{result:?}");
            }
            ours.sort_unstable();
            theirs.sort_unstable();
            let known_gap = self.without_code
                && outcome.contains("Opaque")
                && ours.iter().all(|id| theirs.contains(id))
                && untold::is_unfollowed(&self.made_in_c(type_), &self.module_name(address));
            if ours != theirs && !known_gap {
                let missing: Vec<String> =
                    theirs.iter().filter(|id| !ours.contains(id)).map(|&id| self.type_name(id)).collect();
                let surplus: Vec<String> =
                    ours.iter().filter(|id| !theirs.contains(id)).map(|&id| self.type_name(id)).collect();
                wrong.entry(self.type_name(address)).or_default().push(format!(
                    "{address:#x}: {} for {}, missing {missing:?}, surplus {surplus:?}, {outcome}, made in C: {}",
                    ours.len(),
                    theirs.len(),
                    match self.made_in_c(type_).as_str() {
                        "module" => format!("module {}", self.module_name(address)),
                        made_in_c => made_in_c.to_owned(),
                    }
                ));
            }
        }
        let lines =
            wrong.iter().map(|(name, all)| format!("{} × {name}, first {}", all.len(), all[0])).collect();
        differences.all("referents, by type", lines);
    }

    /// Proof 3, first half: every object is in the census, with its type, the type's name, and its size.
    fn objects(&self, oracle: &Oracle, differences: &mut Differences) {
        let names = oracle.types();
        let objects = &self.census.objects;
        let mut wrong = BTreeMap::<String, Vec<String>>::new();
        let hidden = match self.without_code && self.census.allocator == AllocatorKind::Malloc {
            true => self.behind_opaque_objects(oracle),
            false => BTreeSet::new(),
        };
        for object in oracle.objects() {
            let said = names.get(&object.type_).map_or("?", |name| name.name.as_str());
            let mut note = |what: String| {
                wrong.entry(said.to_owned()).or_default().push(format!("{:#x}: {what}", object.address));
            };
            let Some(id) = objects.find(object.address) else {
                // malloc keeps no list: what only objects that could not be followed refer to is not found, and coverage
                // says that counts are lower bounds.
                if !hidden.contains(&object.address) {
                    note("not in the census".to_owned());
                }
                continue;
            };
            let info = self.runtime.types.get(objects.type_id(id));
            let unnamed =
                self.without_code && info.name.starts_with("<static type") && untold::is_unnamed(said);
            if info.address != object.type_ || (*info.name != *said && !unnamed) {
                note(format!("is a {}", info.name));
            }
            // 2^64-1: sys.getsizeof itself failed.
            let unmeasured =
                self.without_code && objects.size(id) < object.size && untold::is_unmeasured(said);
            if object.size != u64::MAX && objects.size(id) != object.size && !unmeasured {
                note(format!("{} bytes, not {}", objects.size(id), object.size));
            }
        }
        let lines =
            wrong.iter().map(|(name, all)| format!("{} × {name}, first {}", all.len(), all[0])).collect();
        differences.all("objects, by type", lines);
    }

    /// What an object that could not be followed refers to, as the interpreter said, or what only that leads to.
    fn behind_opaque_objects(&self, oracle: &Oracle) -> BTreeSet<u64> {
        let objects = &self.census.objects;
        let referents: BTreeMap<u64, Vec<u64>> = oracle.referents().into_iter().collect();
        let is_opaque = |&&address: &&u64| {
            let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
            untold::is_unfollowed(&self.made_in_c(type_), &self.module_name(address))
        };
        let mut pending: Vec<u64> = referents.keys().filter(is_opaque).copied().collect();
        let mut hidden = BTreeSet::new();
        while let Some(address) = pending.pop() {
            let targets = referents.get(&address).into_iter().flatten().copied();
            let lost = targets.filter(|&target| objects.find(target).is_none());
            pending.extend(lost.filter(|&target| hidden.insert(target)));
        }
        hidden
    }

    /// All objects that a build with trace-refs has on the list that `sys.getobjects()` shows are found, and nothing of
    /// pools is found that is not there (Objects/object.c, up to 3.11).
    fn chain(&self, differences: &mut Differences) {
        let Some(next) = self.runtime.layouts.object.chain_next else { return };
        let Some(head) = self.runtime.symbol("refchain") else { return };
        let mut theirs = BTreeSet::new();
        let mut object = self.runtime.space.field(head, next).unwrap_or(head);
        while object != head && theirs.insert(object) {
            object = self.runtime.space.field(object, next).unwrap_or(head);
        }
        let objects = &self.census.objects;
        let all = (0..objects.len() as u32).map(|id| objects.address(ObjectId(id)));
        let ours: BTreeSet<u64> = all.collect();
        let known: BTreeSet<u64> = theirs.iter().copied().filter(|object| ours.contains(object)).collect();
        differences.sets("sys.getobjects()", &known, &theirs, &|id| self.type_name(id));
        // Static objects join the list when something first holds them.
        let surplus = ours.difference(&theirs).filter(|&&id| self.runtime.binaries.containing(id).is_none());
        let surplus: Vec<String> =
            surplus.map(|&id| format!("{id:#x} {} is not on the list", self.type_name(id))).collect();
        differences.all("sys.getobjects()", surplus);
    }

    /// What a build with `COUNT_ALLOCS` counted: between what the interpreter said before the dump and what it said after,
    /// which for most types is the same. It says nothing of types without instances so far, and types may share a name.
    fn allocation_counts(&self, oracle: &Oracle, differences: &mut Differences) {
        let Some([before, after]) = oracle.summary().build.counts else { return };
        let names = oracle.types().into_iter();
        let ours = names.filter_map(|(address, name)| {
            let counts = self.runtime.types.of(address)?.counts?;
            Some((name.tp_name.unwrap_or(name.name), counts.allocs, counts.frees, counts.max))
        });
        let by_name = |rows: Vec<(String, u64, u64, u64)>| {
            let mut named = BTreeMap::<String, Vec<[u64; 3]>>::new();
            for (name, allocs, frees, max) in rows {
                named.entry(name).or_default().push([allocs, frees, max]);
            }
            named.values_mut().for_each(|counts| counts.sort_unstable());
            named
        };
        let ours = by_name(ours.filter(|&(_, allocs, ..)| allocs > 0).collect());
        let (before, after) = (by_name(before), by_name(after));
        let (mut wrong, mut exact) = (Vec::new(), 0);
        for (name, counts) in &ours {
            let (Some(low), Some(high)) = (before.get(name), after.get(name)) else { continue };
            if [low.len(), high.len()] != [counts.len(); 2] {
                continue;
            }
            let mut rows = counts.iter().zip(low).zip(high);
            let within = |ours: &[u64; 3], low: &[u64; 3], high: &[u64; 3]| {
                (0..3).all(|index| (low[index]..=high[index]).contains(&ours[index]))
            };
            if rows.all(|((ours, low), high)| within(ours, low, high)) {
                exact += usize::from(low == high);
            } else {
                wrong.push(format!("{name}: {counts:?}, not {low:?} to {high:?}"));
            }
        }
        differences.all("sys.getcounts()", wrong);
        differences.check(exact * 4 > after.len() * 3, || {
            format!("sys.getcounts(): exactly the same for {exact} of {} names only", after.len())
        });
    }

    /// Proof 3, second half: reference counts, corrected for what the oracle's looking changed.
    fn refcounts(&self, oracle: &Oracle, differences: &mut Differences) {
        let summary = oracle.summary();
        let mut said: BTreeMap<u64, u64> = oracle.refcounts().into_iter().collect();
        for (address, _, _, in_core, _) in &summary.looking.refcounts {
            said.insert(*address, *in_core as u64);
        }
        let mut wrong = Vec::new();
        for (address, theirs) in said {
            let found = self.runtime.header_refcount(address).ok();
            if found.is_none_or(|found| found.count != theirs && !found.immortal) {
                wrong.push(format!("{address:#x} {}: {found:?}, not {theirs}", self.type_name(address)));
            }
        }
        differences.all("reference counts", wrong);
    }

    /// Proof 4: the unreachable set.
    fn garbage(&self, oracle: &Oracle, differences: &mut Differences) {
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

    /// Proof 5: every thread's stack, with lines and the identities of locals.
    fn threads(&self, oracle: &Oracle, differences: &mut Differences) {
        let mut said = oracle.threads();
        // Late patch releases (3.13.18, 3.14.10, 3.15.2) show a caller only the threads of its own interpreter.
        for interpreter in &self.runtime.interpreters[1..] {
            let Some(oracle) = oracle.of_interpreter(interpreter.id) else { continue };
            for thread in oracle.threads_if_asked() {
                if said.threads.iter().all(|known| known.ident != thread.ident) {
                    said.threads.push(thread);
                }
            }
        }
        let mut wrong = Vec::new();
        // Threads of all interpreters; of thread states of one thread, Python shows the oldest interpreter's.
        let mut threads: BTreeMap<u64, &ThreadState> = BTreeMap::new();
        for thread in self.runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads) {
            if !thread_frames(self.runtime, thread).0.is_empty() {
                threads.entry(thread.thread_id).or_insert(thread);
            }
        }
        for theirs in &said.threads {
            let Some(&thread) = threads.get(&theirs.ident) else {
                wrong.push(format!("thread {} is missing", theirs.ident));
                continue;
            };
            let (frames, damage) = thread_frames(self.runtime, thread);
            if let Some(damage) = damage {
                wrong.push(format!("thread {}: {damage}", theirs.ident));
            }
            // Up to 3.10 a thread state does not keep it: the core's note of the thread does.
            let of_note = || {
                let note = self.notes.iter().find(|note| note.registers.is_pthread(thread.thread_id));
                note.and_then(|note| u64::try_from(note.tid).ok())
            };
            let native = thread.native_id.or_else(of_note);
            if theirs.native_id.is_some_and(|said| native != Some(said)) {
                wrong.push(format!(
                    "thread {}: native id {native:?}, not {:?}",
                    theirs.ident, theirs.native_id
                ));
            }
            let handled = thread_exceptions(self.runtime, thread).handled;
            if theirs.handled_is_known && handled != theirs.handled_exception {
                wrong.push(format!(
                    "thread {}: handles {handled:?}, not {:?}",
                    theirs.ident, theirs.handled_exception
                ));
            }
            if frames.len() != theirs.frames.len() {
                let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
                wrong.push(format!(
                    "thread {}: {names:?}, {} frames said",
                    theirs.ident,
                    theirs.frames.len()
                ));
                continue;
            }
            // The dumped process left its fork behind: only the line of its innermost frame has moved.
            let forking = Some(theirs.ident) == said.forking_thread;
            for (depth, (ours, theirs)) in frames.iter().zip(&theirs.frames).enumerate() {
                wrong.extend(frame_differences(self.runtime, ours, theirs, forking && depth == 0));
            }
        }
        if threads.len() != said.threads.len() {
            wrong.push(format!("{} threads, not {}", threads.len(), said.threads.len()));
        }
        differences.all("stacks", wrong);
    }

    /// Proof 6: the allocator's figures.
    fn allocator(&self, oracle: &Oracle, differences: &mut Differences) {
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

fn frame_differences(
    runtime: &Runtime<'_>,
    ours: &cpython::Frame,
    theirs: &oracle::Frame,
    line_has_moved: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let place = format!("{} ({}:{:?})", theirs.function, theirs.file, theirs.line);
    let qualname = theirs.qualname.as_ref().unwrap_or(&theirs.function);
    if (&ours.name, &ours.qualname, &ours.filename) != (&theirs.function, qualname, &theirs.file) {
        wrong.push(format!("{place}: is {} in {}", ours.qualname, ours.filename));
    }
    if ours.line != theirs.line && !line_has_moved {
        wrong.push(format!("{place}: line {:?}", ours.line));
    }
    if (ours.code, ours.globals) != (theirs.code, theirs.globals) {
        wrong.push(format!("{place}: code or globals differ"));
    }
    if theirs.locals_are_globals {
        return wrong;
    }
    let said: BTreeMap<&str, u64> = theirs.locals.iter().map(|(name, id, _)| (name.as_str(), *id)).collect();
    let mut found: BTreeMap<String, u64> = ours.locals.iter().map(|l| (l.name.clone(), l.object)).collect();
    if ours.locals_dict != 0 {
        for (key, value) in cpython::dict_items(runtime, ours.locals_dict) {
            found.insert(cpython::read_str(runtime, key, 1000).unwrap_or_default(), value);
        }
    }
    for (name, id) in &said {
        if found.get(*name) != Some(id) && !(line_has_moved && *name == "child") {
            wrong.push(format!("{place}: local {name} is {:x?}, not {id:#x}", found.get(*name)));
        }
    }
    wrong.extend(
        found
            .keys()
            .filter(|name| !said.contains_key(name.as_str()))
            .map(|name| format!("{place}: local {name} is none of the interpreter's")),
    );
    wrong
}
