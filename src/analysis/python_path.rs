//! Names of objects as a programmer would write them: `app.cache.SESSIONS['k']`, `thread 17 · worker() · local rows`.
//!
//! Knows how a path through modules, namespaces and containers is written; refuses to know which path is best.

use super::labels::{Labels, label_text, leads_to_namespace};
use super::roots::{Root, interpreter_name};
use super::{Heap, Roots};
use crate::corefile::Address;
use crate::cpython::{ReadField, RootKind, RootReference, Slot, WalkKind, read_str, thread_frames};
use crate::graph::EdgeKind;
use crate::heap::ObjectId;
use rustc_hash::FxHashMap;

/// Steps written out; of a longer path the middle is left out.
const MAX_PIECES: usize = 32;
/// Longest name of a module, in characters.
const MAX_NAME: usize = 200;

/// Writes paths; keeps the labels' reader and the functions of stacks it has read.
#[derive(Debug)]
pub struct PathWriter<'h, 'core> {
    heap: Heap<'h, 'core>,
    labels: Labels<'h, 'core>,
    /// Functions of a thread's frames, innermost first, by (interpreter, thread).
    stacks: FxHashMap<(usize, usize), Vec<String>>,
}

impl<'h, 'core> PathWriter<'h, 'core> {
    /// A writer over `heap`.
    pub fn new(heap: Heap<'h, 'core>) -> Self {
        Self { heap, labels: Labels::new(heap), stacks: FxHashMap::default() }
    }

    /// The reader of labels.
    pub fn labels(&mut self) -> &mut Labels<'h, 'core> {
        &mut self.labels
    }

    /// The path through `nodes`, a root first, each holding the next, as one name.
    pub fn name(&mut self, nodes: &[u32], roots: &Roots) -> String {
        let Some(&first) = nodes.first() else { return String::new() };
        let start = self.root_name(first, roots);
        self.name_from(start, roots.origin(first), nodes)
    }

    /// As [`PathWriter::name`], with another name for the first object.
    pub fn name_from(&mut self, start: String, origin: Option<Root>, nodes: &[u32]) -> String {
        let mut pieces = Pieces::new(start);
        let mut namespace = matches!(origin, Some(Root::Reference(root)) if is_namespace_root(&root));
        let mut ends_in_namespace = false;
        for step in nodes.windows(2) {
            let &[from, to] = step else { continue };
            let label = match (self.heap.id(from), self.heap.id(to)) {
                (Some(from), Some(to)) => self.labels.best(from, to),
                _ => None,
            };
            ends_in_namespace = false;
            let Some((kind, slot)) = label else {
                pieces.add(" → ?".to_owned());
                continue;
            };
            if let Some(module) = self.module_name(from, slot) {
                pieces = Pieces::new(module);
            } else if let Some(task) = self.task_name(&pieces, slot, to) {
                pieces = Pieces::new(task);
            } else if leads_to_namespace(slot) {
                (namespace, ends_in_namespace) = (true, true);
                continue;
            } else {
                pieces.add(piece(self.heap, kind, slot, namespace));
            }
            namespace = false;
        }
        if ends_in_namespace {
            pieces.add(".__dict__".to_owned());
        }
        pieces.join()
    }

    /// The name of the module under `slot`, if `from` is the `sys.modules` of an interpreter.
    fn module_name(&self, from: u32, slot: Slot) -> Option<String> {
        let address = self.heap.objects.address(self.heap.id(from)?);
        let runtime = self.heap.runtime;
        let index = runtime.interpreters.iter().position(|interpreter| interpreter.modules == address)?;
        let Slot::Value(key) = slot else { return None };
        let name = read_str(runtime, key, MAX_NAME).ok()?;
        Some(match index {
            0 => name,
            _ => format!("{} · {name}", interpreter_name(self.heap, index)),
        })
    }

    /// `task main()` where only asyncio's own registers lead to a task: what it runs tells more than they do.
    fn task_name(&self, pieces: &Pieces, slot: Slot, to: u32) -> Option<String> {
        let is_generator = |id: &ObjectId| self.heap.type_of(*id).walk.kind == WalkKind::Generator;
        let id = self.heap.id(to).filter(|id| pieces.start.starts_with("_asyncio") && is_generator(id))?;
        let runtime = self.heap.runtime;
        if !label_text(runtime, slot).ends_with("task_coro") {
            return None;
        }
        let field = runtime.layouts.generator.qualname;
        let name = runtime.space.field(self.heap.objects.address(id), field).ok()?;
        Some(format!("task {}()", read_str(runtime, name, MAX_NAME).ok()?))
    }

    /// What a path from the root `node` begins with.
    pub fn root_name(&mut self, node: u32, roots: &Roots) -> String {
        match roots.origin(node) {
            Some(root) => self.describe_root(node, root),
            None => self.heap.id(node).map_or_else(String::new, |id| anonymous(self.heap, id)),
        }
    }

    /// What `root` is that holds `node`, with the function of a frame.
    pub fn describe_root(&mut self, node: u32, root: Root) -> String {
        match root {
            Root::Reference(reference) if reference.thread.is_some() => self.thread_root(reference),
            root => root.describe(self.heap, node),
        }
    }

    /// `thread 17 · worker() · local rows`.
    fn thread_root(&mut self, root: RootReference) -> String {
        let runtime = self.heap.runtime;
        let found =
            root.thread.and_then(|index| runtime.interpreters.get(root.interpreter)?.threads.get(index));
        let Some(thread) = found else { return "a thread".to_owned() };
        let mut text = format!("thread {}", thread.native_id.unwrap_or(thread.thread_id));
        if let RootKind::Thread(member) = root.kind {
            return format!("{text} · {member}");
        }
        let key = (root.interpreter, root.thread.unwrap_or(0));
        let stack = self.stacks.entry(key).or_insert_with(|| {
            thread_frames(runtime, thread).0.into_iter().map(|frame| frame.qualname).collect()
        });
        match root.depth.and_then(|depth| stack.get(depth as usize)) {
            Some(function) if function.starts_with('<') => text.push_str(&format!(" · {function}")),
            Some(function) => text.push_str(&format!(" · {function}()")),
            None => text.push_str(" · a frame"),
        }
        match root.slot {
            Some(Slot::Stack(_)) => text.push_str(" · a temporary"),
            Some(slot) => text.push_str(&format!(" · {}", label_text(runtime, slot).trim_start_matches('.'))),
            None => {}
        }
        text
    }
}

/// `<dict at 0x7f…>`: an object that no path names.
pub fn anonymous(heap: Heap<'_, '_>, id: ObjectId) -> String {
    format!("<{} at {:#x}>", heap.type_name(id), heap.objects.address(id))
}

/// Roots that are namespaces themselves.
fn is_namespace_root(root: &RootReference) -> bool {
    matches!(root.kind, RootKind::Interpreter("sys.__dict__" | "builtins.__dict__"))
}

/// One step of a path. Names are appended, what has no syntax in Python is set off.
fn piece(heap: Heap<'_, '_>, kind: EdgeKind, slot: Slot, namespace: bool) -> String {
    let runtime = heap.runtime;
    let text = match slot {
        Slot::Value(name) if namespace => namespace_piece(runtime, name, label_text(runtime, slot)),
        _ => label_text(runtime, slot),
    };
    let text = if text.starts_with(['.', '[']) { text } else { format!(" · {text}") };
    match kind {
        EdgeKind::Inferred => format!("{text} (inferred)"),
        EdgeKind::Weak => format!("{text} (weak)"),
        EdgeKind::Visited | EdgeKind::Owned => text,
    }
}

/// `.name` for identifiers, the bracketed key for what `setattr` or a star import put there.
fn namespace_piece(runtime: &crate::cpython::Runtime<'_>, name: Address, bracketed: String) -> String {
    match read_str(runtime, name, MAX_NAME) {
        Ok(name) if is_identifier(&name) => format!(".{name}"),
        _ => bracketed,
    }
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|char| char == '_' || char.is_alphanumeric())
}

/// Pieces of a name, with repeated ones counted.
struct Pieces {
    start: String,
    pieces: Vec<(String, usize)>,
}

impl Pieces {
    fn new(start: String) -> Self {
        Self { start, pieces: Vec::new() }
    }

    fn add(&mut self, piece: String) {
        match self.pieces.last_mut() {
            Some((last, count)) if *last == piece => *count += 1,
            _ => self.pieces.push((piece, 1)),
        }
    }

    /// The name: `.next.next` twice in full, `.next ×100` from three on, the middle of a very long one left out.
    fn join(self) -> String {
        let mut text = self.start;
        let skipped = self.pieces.len().saturating_sub(MAX_PIECES);
        let (from, to) = (MAX_PIECES / 2, MAX_PIECES / 2 + skipped);
        for (index, (piece, count)) in self.pieces.into_iter().enumerate() {
            if skipped > 0 && index == from {
                text.push_str(&format!(" …{skipped} steps… "));
            }
            if skipped > 0 && (from..to).contains(&index) {
                continue;
            }
            match count {
                1 | 2 => (0..count).for_each(|_| text.push_str(&piece)),
                _ => text.push_str(&format!("{piece} ×{count} ")),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&str]) -> String {
        let mut name = Pieces::new("m".to_owned());
        pieces.iter().for_each(|piece| name.add((*piece).to_owned()));
        name.join()
    }

    #[test]
    fn repeated_steps_are_counted() {
        assert_eq!(joined(&[".chain", ".next", ".next"]), "m.chain.next.next");
        assert_eq!(joined(&[".chain", ".next", ".next", ".next"]), "m.chain.next ×3");
        assert_eq!(joined(&[".next", ".next", ".next", "[0]"]), "m.next ×3 [0]");
    }

    #[test]
    fn the_middle_of_a_long_name_is_left_out() {
        let pieces: Vec<String> = (0..40).map(|index| format!("[{index}]")).collect();
        let name = joined(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(name.starts_with("m[0][1]") && name.ends_with("[38][39]"), "{name}");
        assert!(name.contains("[15] …8 steps… [24]"), "{name}");
    }

    #[test]
    fn identifiers_are_told_from_other_keys() {
        assert!(is_identifier("_a1") && is_identifier("größe"));
        assert!(!is_identifier("1a") && !is_identifier("") && !is_identifier("a b"));
    }
}
