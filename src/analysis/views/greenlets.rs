//! Greenlets, those of gevent included: how far each is, what it runs and where it is suspended.
//!
//! Knows what their own struct says, and what their references tell where that is not known; refuses to know which thread a
//! running one is the current one of: its frames are those that `threads` shows.

use super::{callable_name, instances};
use crate::analysis::Heap;
use crate::corefile::Address;
use crate::cpython::{
    GREENLET, Greenlet, GreenletLayout, GreenletState, WalkKind, frame_at, get_attribute, inherits,
};
use crate::heap::ObjectId;
use std::collections::BTreeSet;

/// Types of what a greenlet is given to run.
const CALLABLES: [&str; 4] =
    ["builtins.function", "builtins.method", "functools.partial", "builtins.builtin_function_or_method"];

/// A frame of a suspended greenlet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GreenletFrame {
    /// `__qualname__` of its function.
    pub function: String,
    /// File of its code.
    pub file: String,
    /// The line it is at.
    pub line: Option<u32>,
}

/// One greenlet.
#[derive(Clone, Debug)]
pub struct GreenletView {
    /// The object.
    pub id: ObjectId,
    /// How far it is; `None` where nothing tells.
    pub state: Option<GreenletState>,
    /// Its thread began with it.
    pub is_main: bool,
    /// What it was given to run, or the method `run` of its class; else its outermost function.
    pub runs: Option<String>,
    /// The innermost frame, while it is suspended.
    pub at: Option<GreenletFrame>,
    /// Frames of its stack, while it is suspended.
    pub frames: u64,
    /// The greenlet that goes on when it ends.
    pub parent: Option<Address>,
}

/// All of them, by address.
pub fn greenlets(heap: Heap<'_, '_>) -> Vec<GreenletView> {
    let found = instances(heap, |info| inherits(heap.runtime, info, &[GREENLET]));
    if found.is_empty() {
        return Vec::new();
    }
    let layout = GreenletLayout::find(heap.runtime);
    let read = |id: ObjectId| {
        let told = layout.and_then(|layout| Greenlet::read(heap.runtime, &layout, heap.objects.address(id)));
        match told {
            Some(greenlet) => decoded(heap, id, &greenlet),
            None => by_references(heap, id),
        }
    };
    found.into_iter().map(read).collect()
}

fn decoded(heap: Heap<'_, '_>, id: ObjectId, greenlet: &Greenlet) -> GreenletView {
    let runtime = heap.runtime;
    let frames = match greenlet.state {
        GreenletState::Suspended | GreenletState::Stranded => greenlet.frames(runtime),
        _ => Vec::new(),
    };
    let at = frames.first().and_then(|&frame| frame_at(runtime, frame));
    let given = greenlet.run.and_then(|run| callable_name(runtime, run));
    let outermost = || Some(frame_at(runtime, *frames.last()?)?.qualname);
    GreenletView {
        id,
        state: Some(greenlet.state),
        is_main: greenlet.is_main,
        runs: if greenlet.is_main {
            None
        } else {
            given.or_else(|| run_of_class(heap, id)).or_else(outermost)
        },
        at: at.map(|frame| GreenletFrame {
            function: frame.qualname,
            file: frame.filename,
            line: frame.line,
        }),
        frames: frames.len() as u64,
        parent: greenlet.parent,
    }
}

/// The method `run` of a class in Python.
fn run_of_class(heap: Heap<'_, '_>, id: ObjectId) -> Option<String> {
    if !heap.type_of(id).is_heap_type() {
        return None;
    }
    let method = get_attribute(heap.runtime, heap.type_of(id).address, "run")?;
    heap.objects.find(method).filter(|&method| CALLABLES.contains(&heap.type_name(method)))?;
    callable_name(heap.runtime, method)
}

/// What references alone tell: the only callable among them is what it runs, the only other greenlet its parent (it refers to
/// its parent and its thread's main greenlet).
fn by_references(heap: Heap<'_, '_>, id: ObjectId) -> GreenletView {
    let (mut callables, mut greenlets) = (BTreeSet::new(), BTreeSet::new());
    for edge in heap.graph.forward.of(id.0) {
        let Some(target) = heap.id(edge.target()) else { continue };
        let info = heap.type_of(target);
        if info.walk.kind == WalkKind::Type {
            continue;
        }
        if inherits(heap.runtime, info, &[GREENLET]) {
            greenlets.insert(heap.objects.address(target));
        } else if CALLABLES.contains(&info.name.as_ref()) {
            callables.insert(heap.objects.address(target));
        }
    }
    let only = |found: BTreeSet<Address>| found.first().copied().filter(|_| found.len() == 1);
    let given = only(callables).and_then(|run| callable_name(heap.runtime, run));
    GreenletView {
        id,
        state: None,
        is_main: false,
        runs: given.or_else(|| run_of_class(heap, id)),
        at: None,
        frames: 0,
        parent: only(greenlets),
    }
}
