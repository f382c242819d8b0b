//! What keeps objects alive without being an object: interpreters, threads, frames, static memory, and C code that holds
//! references where nothing can be named.
//!
//! Knows every root and says what it is; refuses to know paths. With the roots given here every live object is reachable:
//! what nothing known reaches, though the collector finds it alive, is *held by C*.

use super::root_doubts::Doubts;
use super::{Collection, Heap, keeps_alive, python_name};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::cpython::{RootKind, RootReference, roots};
use crate::graph::{NodeSet, reachable, reachable_within};
use crate::heap::{ObjectFlags, ObjectId};
use rustc_hash::FxHashMap;
use std::io::{self, Seek, Write};

/// Why an object needs no holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// An interpreter, thread, frame or static memory refers to it.
    Reference(RootReference),
    /// Its refcount says that it is never to be freed (PEP 683).
    Immortal,
    /// References to it exist that no object and no known root holds: so many. Native code holds it, in a variable or
    /// in memory of its own.
    HeldByC(u64),
    /// Nothing known refers to it, its refcount is accounted for, and still it is not garbage: part of a cycle of
    /// objects that the collector does not track, or an object whose holder could not be read.
    Unexplained,
}

/// The roots of a heap.
#[derive(Clone, Debug)]
pub struct Roots {
    /// All objects that are held from outside the heap.
    pub set: NodeSet,
    /// How many of them only C code holds.
    pub held_by_c: u64,
    /// How many nothing explains.
    pub unexplained: u64,
    /// The best root of each object that is not merely immortal.
    origins: FxHashMap<u32, Root>,
    /// Objects by how many steps later than a module's a path from them begins.
    delayed: Vec<Vec<u32>>,
    /// Words of evaluation stacks that are references only if nothing else holds the object, by object.
    waiting: FxHashMap<u32, RootReference>,
}

/// Steps by which paths from a kind of root are worse than paths from `sys.modules`. A variable of a frame is named
/// where no module leads in so many steps, which is deep enough for an attribute of an item of a module's container
/// (`sys.modules`, the module, its dict, the container, the item, its attribute); internals come last.
mod delay {
    pub const MODULES: usize = 0;
    pub const FRAME: usize = 8;
    pub const THREAD: usize = 9;
    pub const NAMED: usize = 10;
    pub const INTERNAL: usize = 12;
    pub const HELD_BY_C: usize = 14;
    pub const UNCERTAIN: usize = 15;
    pub const NEVER_FREED: usize = 16;
    pub const COUNT: usize = 17;
}

impl Roots {
    /// Finds all roots. `garbage` is what the collector would free, which no root may claim.
    pub fn find(heap: Heap<'_, '_>, garbage: &Collection) -> Self {
        let mut found = Self::named(heap, garbage);
        let mut unreached = NodeSet::full(heap.objects.len());
        unreached.subtract(&reachable(&heap.graph.forward, &found.set, keeps_alive));
        found.hold_the_rest(heap, garbage, &unreached);
        found
    }

    /// Writes those roots that only a traversal of the whole heap finds; the others are read from the process again.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        let (mut held, mut unexplained, mut doubtful) = (Vec::new(), Vec::new(), Vec::new());
        for (&node, root) in &self.origins {
            match *root {
                Root::HeldByC(count) => held.push([u64::from(node), count]),
                Root::Unexplained => unexplained.push(node),
                Root::Reference(reference) if !reference.certain => doubtful.push(node),
                Root::Reference(_) | Root::Immortal => {}
            }
        }
        held.sort_unstable();
        unexplained.sort_unstable();
        doubtful.sort_unstable();
        out.column("roots.held_by_c", &held)?;
        out.column("roots.unexplained", &unexplained)?;
        out.column("roots.doubtful", &doubtful)
    }

    /// All roots, those that were written among them.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(heap: Heap<'_, '_>, garbage: &Collection, file: &ColumnFile) -> Result<Self, Damaged> {
        let held = file.column::<[u64; 2]>("roots.held_by_c")?;
        let unexplained = file.column::<u32>("roots.unexplained")?;
        let doubtful = file.column::<u32>("roots.doubtful")?;
        let (mut found, doubts) = Self::certain(heap, garbage);
        let kept = |node: u32| doubtful.binary_search(&node).is_ok();
        doubts
            .into_iter()
            .filter(|&(node, _)| kept(node))
            .for_each(|(node, root)| found.add(node, Root::Reference(root)));
        let is_object = |node: u64| node < heap.objects.len() as u64;
        if !held.iter().all(|&[node, _]| is_object(node))
            || !unexplained.iter().all(|&node| is_object(node.into()))
        {
            return Err(Damaged::because("its roots are no objects"));
        }
        for &[node, count] in &held {
            found.add(node as u32, Root::HeldByC(count));
        }
        for &node in &unexplained {
            found.add(node, Root::Unexplained);
        }
        (found.held_by_c, found.unexplained) = (held.len() as u64, unexplained.len() as u64);
        Ok(found)
    }

    /// The roots that can be named, without those that only a traversal of the whole heap finds: not everything alive is
    /// reachable from these.
    pub fn named(heap: Heap<'_, '_>, garbage: &Collection) -> Self {
        let (mut found, doubts) = Self::certain(heap, garbage);
        let doubts = Doubts::new(heap, doubts);
        doubts.real.into_iter().for_each(|(node, root)| found.add(node, Root::Reference(root)));
        found.waiting = doubts.waiting;
        found
    }

    /// The roots that can be named and are no matter of doubt, and what words of evaluation stacks may refer to.
    fn certain(heap: Heap<'_, '_>, garbage: &Collection) -> (Self, Vec<(u32, RootReference)>) {
        let mut found = Self {
            set: NodeSet::new(heap.objects.len()),
            held_by_c: 0,
            unexplained: 0,
            origins: FxHashMap::default(),
            delayed: vec![Vec::new(); delay::COUNT],
            waiting: FxHashMap::default(),
        };
        let mut doubts = Vec::new();
        let is_garbage = |node| garbage.unreachable.contains(node) || garbage.held.contains(node);
        roots(heap.runtime, &mut |reference| match heap.objects.find(reference.target) {
            Some(id) if reference.certain => found.add(id.0, Root::Reference(reference)),
            // A left-over word of an evaluation stack proves nothing against the refcounts.
            Some(id) if !is_garbage(id.0) => doubts.push((id.0, reference)),
            _ => {}
        });
        doubts.retain(|&(node, _)| !found.set.contains(node));
        let flags = heap.objects.flags_column();
        let is_immortal =
            |node| flags.get(node as usize).is_some_and(|flags: &ObjectFlags| flags.is_immortal());
        found.set.union_with(&NodeSet::passing(flags.len(), is_immortal));
        (found, doubts)
    }

    /// Makes roots of objects that nothing known leads to although they are alive; `unreached` is what these roots do
    /// not reach. Returns the new roots.
    pub(super) fn hold_the_rest(
        &mut self,
        heap: Heap<'_, '_>,
        garbage: &Collection,
        unreached: &NodeSet,
    ) -> NodeSet {
        let graph = &heap.graph.forward;
        let mut rest = unreached.clone();
        rest.subtract(&garbage.unreachable);
        rest.subtract(&garbage.held);
        let mut held = NodeSet::new(heap.objects.len());
        if rest.is_empty() {
            return held;
        }
        // What reaches the rest is in the rest itself or garbage: anything else would have been reached.
        let mut internal: FxHashMap<u32, u64> = FxHashMap::default();
        for source in rest.iter().chain(garbage.unreachable.iter()).chain(garbage.held.iter()) {
            for edge in graph.of(source).iter().filter(|edge| keeps_alive(edge.kind())) {
                if rest.contains(edge.target()) {
                    *internal.entry(edge.target()).or_default() += 1;
                }
            }
            // References of frames that their targets do not count explain nothing.
            heap.uncounted(ObjectId(source), &mut |target| {
                if let Some(count) = internal.get_mut(&target.0) {
                    *count = count.saturating_sub(1);
                }
            });
        }
        for node in rest.iter() {
            let explained = internal.get(&node).copied().unwrap_or(0);
            let refcount = heap.refcount(ObjectId(node)).unwrap_or(0);
            if let Some(more) = refcount.checked_sub(explained).filter(|&more| more > 0) {
                held.insert(node);
                match self.waiting.get(&node).copied() {
                    Some(root) => self.add(node, Root::Reference(root)),
                    None => {
                        self.held_by_c += 1;
                        self.add(node, Root::HeldByC(more));
                    }
                }
            }
        }
        // Nothing that had been reached leads to the rest.
        rest.subtract(&reachable_within(graph, &held, unreached, keeps_alive));
        let mut stack = Vec::new();
        for node in rest.iter().collect::<Vec<u32>>() {
            if !rest.remove(node) {
                continue;
            }
            self.unexplained += 1;
            self.add(node, Root::Unexplained);
            held.insert(node);
            stack.push(node);
            while let Some(node) = stack.pop() {
                let strong = graph.of(node).iter().filter(|edge| keeps_alive(edge.kind()));
                stack.extend(strong.map(|edge| edge.target()).filter(|&target| rest.remove(target)));
            }
        }
        held
    }

    /// Objects that only C code holds, ascending, with the references to each that nothing known has.
    pub(super) fn held_by_c(&self) -> Vec<(ObjectId, u64)> {
        let mut found: Vec<(ObjectId, u64)> = Vec::new();
        for (&node, root) in &self.origins {
            if let Root::HeldByC(count) = *root {
                found.push((ObjectId(node), count));
            }
        }
        found.sort_unstable();
        found
    }

    /// Dicts of interned strings: what they hold is not counted, and goes when nothing else holds it.
    pub fn interned(&self) -> Vec<u32> {
        let is_interned = |root: &Root| matches!(root, Root::Reference(found) if found.kind == RootKind::Interpreter("interned strings"));
        let mut found: Vec<u32> =
            self.origins.iter().filter(|(_, root)| is_interned(root)).map(|(&node, _)| node).collect();
        found.sort_unstable();
        found
    }

    fn add(&mut self, node: u32, root: Root) {
        self.set.insert(node);
        let delay = delay_of(root);
        match self.origins.get(&node) {
            Some(&better) if delay_of(better) <= delay => return,
            _ => {}
        }
        self.origins.insert(node, root);
        if let Some(nodes) = self.delayed.get_mut(delay) {
            nodes.push(node);
        }
    }

    /// Why `node` needs no holder; `None` when it is no root.
    pub fn origin(&self, node: u32) -> Option<Root> {
        let immortal = || self.set.contains(node).then_some(Root::Immortal);
        self.origins.get(&node).copied().or_else(immortal)
    }

    /// By how many steps a path from `node` counts more than one from `sys.modules`.
    pub(super) fn delay(&self, node: u32) -> usize {
        self.origin(node).map_or(delay::COUNT, delay_of)
    }

    /// Roots from which paths begin, by the number of steps that such a path counts more; immortal objects that
    /// nothing else makes roots are last.
    pub(super) fn by_delay(&self) -> impl Iterator<Item = Vec<u32>> + '_ {
        let last = delay::NEVER_FREED;
        self.delayed
            .iter()
            .enumerate()
            .map(move |(delay, nodes)| if delay == last { self.set.iter().collect() } else { nodes.clone() })
    }
}

fn delay_of(root: Root) -> usize {
    let Root::Reference(reference) = root else {
        return match root {
            Root::HeldByC(_) => delay::HELD_BY_C,
            _ => delay::NEVER_FREED,
        };
    };
    match reference.kind {
        _ if !reference.certain => delay::UNCERTAIN,
        RootKind::Interpreter("sys.modules") => delay::MODULES,
        RootKind::Frame => delay::FRAME,
        RootKind::Thread(_) => delay::THREAD,
        RootKind::Interpreter(
            "sys.__dict__" | "builtins.__dict__" | "atexit" | "gc.garbage" | "gc.callbacks",
        ) => delay::NAMED,
        RootKind::Interpreter(_) => delay::INTERNAL,
        RootKind::StaticType => delay::NEVER_FREED,
    }
}

impl Root {
    /// The root in words, without frames, which need their thread's stack to be named.
    pub fn describe(self, heap: Heap<'_, '_>, node: u32) -> String {
        let name = || heap.id(node).map_or("object", |id| heap.type_name(id));
        match self {
            Self::Immortal => format!("never freed ({})", name()),
            Self::HeldByC(1) => format!("a reference in C ({})", name()),
            Self::HeldByC(count) => format!("{count} references in C ({})", name()),
            Self::Unexplained => format!("held by nothing known ({})", name()),
            Self::Reference(reference) => {
                let among = match reference.interpreter {
                    0 => String::new(),
                    _ => interpreter_name(heap, reference.interpreter) + " · ",
                };
                match reference.kind {
                    RootKind::Interpreter(member) | RootKind::Thread(member) => format!("{among}{member}"),
                    RootKind::Frame => format!("{among}a frame"),
                    RootKind::StaticType => {
                        let info = heap.runtime.types.of(reference.target);
                        info.map_or("a static type", |info| python_name(&info.name)).to_owned()
                    }
                }
            }
        }
    }
}

/// `interpreter 2`, by the id that Python shows.
pub fn interpreter_name(heap: Heap<'_, '_>, index: usize) -> String {
    let id = heap.runtime.interpreters.get(index).map_or(index as i64, |interpreter| interpreter.id);
    format!("interpreter {id}")
}
