//! Greenlets, and so those of gevent: how far each is, what it runs, who is its parent, and where its frames are.
//!
//! Knows the structs of the package `greenlet` since 2.0 (TGreenlet.hpp, TUserGreenlet.cpp, TStackState.cpp) by the names that
//! the debug information of its module has for them, which its wheels come with; where there is none, or an object does not
//! point back at itself, nothing is claimed. Refuses to know which thread state a running one belongs to.

use super::Runtime;
use super::frame::{frame_in, is_shown};
use super::words::ReadField;
use crate::corefile::Address;
use crate::layout::Field;
use rustc_hash::FxHashSet;

/// The type, of which those of gevent and others are subclasses.
pub const GREENLET: &str = "greenlet.greenlet";
/// Where the stack of a thread's main greenlet ends: nowhere (TStackState.cpp, `StackState::make_main`).
const END_OF_MAIN: u64 = u64::MAX;

/// How far a greenlet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GreenletState {
    /// Nothing has switched to it.
    NotStarted,
    /// It waits to be switched to.
    Suspended,
    /// It is the current one of its thread.
    Running,
    /// Its function has returned or raised, or its thread has ended and nothing is left of its frames.
    Finished,
    /// It was suspended when its thread ended, so that nothing can switch to it any more.
    Stranded,
}

/// Where the members are.
#[derive(Clone, Copy, Debug)]
pub struct GreenletLayout {
    /// `PyGreenlet.pimpl`: the C++ object.
    implementation: Field,
    /// `Greenlet._self`: the Python object.
    owner: Field,
    stack_start: Field,
    stack_stop: Field,
    stack_copy: Field,
    stack_saved: Field,
    top_frame: Field,
    run: Field,
    parent: Field,
    main_greenlet: Field,
    /// `MainGreenlet._thread_state`; NULL once the thread has ended.
    thread_state: Field,
}

impl GreenletLayout {
    /// By the debug information of the module that has the type; `None` without a greenlet type or that.
    pub fn find(runtime: &Runtime<'_>) -> Option<Self> {
        let (_, info) = runtime.types.iter().find(|(_, info)| info.name.as_ref() == GREENLET)?;
        let types = runtime.binaries.types(runtime.binaries.containing(info.traverse)?).ok()?;
        Self::named(|ty, path| types.field(ty, path))
    }

    /// By the place that `field` has for a path in a struct; `None` if one is missing.
    fn named(field: impl Fn(&str, &str) -> Option<Field>) -> Option<Self> {
        Some(Self {
            implementation: field("_greenlet", "pimpl")?,
            owner: field("Greenlet", "_self")?,
            stack_start: field("Greenlet", "stack_state._stack_start")?,
            stack_stop: field("Greenlet", "stack_state.stack_stop")?,
            stack_copy: field("Greenlet", "stack_state.stack_copy")?,
            stack_saved: field("Greenlet", "stack_state._stack_saved")?,
            top_frame: field("Greenlet", "python_state._top_frame")?,
            run: field("UserGreenlet", "_run_callable")?,
            parent: field("UserGreenlet", "_parent")?,
            main_greenlet: field("UserGreenlet", "_main_greenlet")?,
            thread_state: field("MainGreenlet", "_thread_state")?,
        })
    }

    /// The C++ object of the greenlet at `object`, if that points back.
    fn implementation_of(&self, word: &Word<'_>, object: Address) -> Option<Address> {
        let found = at(word, object, self.implementation).filter(|&found| found != 0)?;
        (at(word, found, self.owner)? == object).then_some(found)
    }
}

/// Reads a word of the process.
type Word<'w> = dyn Fn(Address) -> Option<u64> + 'w;

fn at(word: &Word<'_>, base: Address, field: Field) -> Option<u64> {
    word(base.wrapping_add(u64::from(field.offset)))
}

/// What a greenlet says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greenlet {
    /// How far it is.
    pub state: GreenletState,
    /// It is the one that its thread began with.
    pub is_main: bool,
    /// The callable it was given; `None` where a subclass has a method `run`, and once it has begun, up to 3.10.
    pub run: Option<Address>,
    /// Where it switches to when it ends.
    pub parent: Option<Address>,
    /// The frame object of its innermost frame, while it is suspended.
    pub top_frame: Option<Address>,
    saved: SavedStack,
}

/// The part of a C stack that was moved to the heap, because another greenlet uses its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SavedStack {
    /// Where it was.
    start: Address,
    /// How many bytes.
    bytes: u64,
    /// Where it is.
    copy: Address,
}

impl SavedStack {
    /// Where the memory is that was at `address`, if that was moved.
    fn moved(&self, address: Address) -> Option<Address> {
        let offset = address.checked_sub(self.start).filter(|&offset| offset < self.bytes)?;
        Some(self.copy.wrapping_add(offset))
    }
}

impl Greenlet {
    /// The one at `object`; `None` if it is not readable or does not point back at itself.
    pub fn read(runtime: &Runtime<'_>, layout: &GreenletLayout, object: Address) -> Option<Self> {
        Self::told(&|address| runtime.space.read_u64(address).ok(), layout, object)
    }

    fn told(word: &Word<'_>, layout: &GreenletLayout, object: Address) -> Option<Self> {
        let implementation = layout.implementation_of(word, object)?;
        let read = |field| at(word, implementation, field);
        let (start, stop) = (read(layout.stack_start)?, read(layout.stack_stop)?);
        let top_frame = Some(read(layout.top_frame)?).filter(|&frame| frame != 0);
        let is_main = stop == END_OF_MAIN;
        let member = |field| read(field).filter(|&found| !is_main && found != 0);
        let main = if is_main { Some(object) } else { member(layout.main_greenlet) };
        let thread_of = |main| at(word, layout.implementation_of(word, main)?, layout.thread_state);
        let ended = main.and_then(thread_of) == Some(0);
        // PyGreenlet.cpp, `green_getdead`: with its thread a greenlet ends, though its frames may be left.
        let state = match (stop != 0, start != 0, top_frame) {
            (true, true, Some(_)) if ended => GreenletState::Stranded,
            _ if ended => GreenletState::Finished,
            (false, ..) => GreenletState::NotStarted,
            (true, false, _) => GreenletState::Finished,
            (true, true, None) => GreenletState::Running,
            (true, true, Some(_)) => GreenletState::Suspended,
        };
        Some(Self {
            state,
            is_main,
            run: member(layout.run),
            parent: member(layout.parent),
            top_frame,
            saved: SavedStack { start, bytes: read(layout.stack_saved)?, copy: read(layout.stack_copy)? },
        })
    }

    /// The frames of one that is suspended, innermost first, without those that Python does not show: as `gr_frame` and
    /// `f_back`. What was on the C stack is read where it was moved to (TStackState.cpp, `copy_from_stack`).
    pub fn frames(&self, runtime: &Runtime<'_>) -> Vec<Address> {
        let mut frames = Vec::new();
        let mut seen = FxHashSet::default();
        let bound = runtime.mapped_bytes / u64::from(runtime.layouts.frame.size.max(8));
        let mut next = self.top_frame.and_then(|object| frame_in(runtime, object).ok());
        while let Some(frame) = next.filter(|&frame| frame != 0 && seen.insert(frame)) {
            if seen.len() as u64 > bound {
                break;
            }
            let moved = self.saved.moved(frame);
            // Only entries from C are on its stack.
            if moved.is_none() && is_shown(runtime, frame) == Ok(true) {
                frames.push(frame);
            }
            next = runtime.space.field(moved.unwrap_or(frame), runtime.layouts.frame.previous).ok();
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Members in the order of [`GreenletLayout::named`], 8 bytes each.
    const PATHS: [&str; 11] = [
        "pimpl",
        "_self",
        "stack_state._stack_start",
        "stack_state.stack_stop",
        "stack_state.stack_copy",
        "stack_state._stack_saved",
        "python_state._top_frame",
        "_run_callable",
        "_parent",
        "_main_greenlet",
        "_thread_state",
    ];
    const MAIN: Address = 0x1000;
    const OTHER: Address = 0x2000;
    /// From an object to what implements it.
    const INSIDE: u64 = 0x800;

    fn place(path: &str) -> Option<u64> {
        PATHS.iter().zip(0..).find(|(known, _)| **known == path).map(|(_, index)| 8 * index)
    }

    fn layout() -> GreenletLayout {
        let field = |_: &str, path: &str| Some(Field { offset: place(path)? as u32, size: 8, bits: None });
        GreenletLayout::named(field).expect("a layout")
    }

    /// A main greenlet whose thread runs, suspended, and another one with these members.
    fn process(members: &[(&str, u64)]) -> BTreeMap<Address, u64> {
        let mut memory = BTreeMap::new();
        for object in [MAIN, OTHER] {
            memory.insert(object, object + INSIDE);
            memory.extend((1..11).map(|index| (object + INSIDE + 8 * index, 0)));
            memory.insert(object + INSIDE + 8, object);
        }
        let mut set = |object: Address, path, value| {
            memory.insert(object + INSIDE + place(path).expect("a member"), value);
        };
        set(MAIN, "stack_state._stack_start", 0x7000);
        set(MAIN, "stack_state.stack_stop", END_OF_MAIN);
        set(MAIN, "python_state._top_frame", 0x9000);
        set(MAIN, "_thread_state", 0xa000);
        set(OTHER, "_main_greenlet", MAIN);
        set(OTHER, "_parent", MAIN);
        for &(path, value) in members {
            set(OTHER, path, value);
        }
        memory
    }

    fn told(memory: &BTreeMap<Address, u64>, object: Address) -> Option<Greenlet> {
        Greenlet::told(&|address| memory.get(&address).copied(), &layout(), object)
    }

    fn state(members: &[(&str, u64)]) -> Option<GreenletState> {
        told(&process(members), OTHER).map(|greenlet| greenlet.state)
    }

    const START: (&str, u64) = ("stack_state._stack_start", 0x6000);
    const STOP: (&str, u64) = ("stack_state.stack_stop", 0x6800);
    const FRAME: (&str, u64) = ("python_state._top_frame", 0x9100);

    #[test]
    fn stack_and_frame_tell_the_state() {
        assert_eq!(state(&[]), Some(GreenletState::NotStarted));
        assert_eq!(state(&[START, STOP, FRAME]), Some(GreenletState::Suspended));
        assert_eq!(state(&[START, STOP]), Some(GreenletState::Running));
        assert_eq!(state(&[STOP]), Some(GreenletState::Finished));
    }

    #[test]
    fn one_whose_thread_has_ended_is_stranded() {
        let mut memory = process(&[START, STOP, FRAME]);
        memory.insert(MAIN + INSIDE + place("_thread_state").expect("a member"), 0);
        assert_eq!(told(&memory, OTHER).map(|greenlet| greenlet.state), Some(GreenletState::Stranded));
        // What was left of it may have been cleared since.
        memory.insert(OTHER + INSIDE + place("python_state._top_frame").expect("a member"), 0);
        memory.insert(OTHER + INSIDE + place("stack_state.stack_stop").expect("a member"), 0);
        assert_eq!(told(&memory, OTHER).map(|greenlet| greenlet.state), Some(GreenletState::Finished));
    }

    #[test]
    fn a_main_greenlet_has_neither_parent_nor_function() {
        let memory = process(&[]);
        let main = told(&memory, MAIN).expect("a greenlet");
        assert_eq!((main.state, main.is_main), (GreenletState::Suspended, true));
        assert_eq!((main.run, main.parent, main.top_frame), (None, None, Some(0x9000)));
        let other = told(&memory, OTHER).expect("a greenlet");
        assert_eq!((other.is_main, other.parent), (false, Some(MAIN)));
    }

    #[test]
    fn what_does_not_point_back_is_not_believed() {
        let mut memory = process(&[]);
        memory.insert(OTHER + INSIDE + 8, MAIN);
        assert_eq!(told(&memory, OTHER), None);
        memory.remove(&OTHER);
        assert_eq!(told(&memory, OTHER), None);
    }

    #[test]
    fn a_frame_on_the_saved_stack_is_read_where_that_is() {
        let saved = SavedStack { start: 0x6000, bytes: 0x100, copy: 0xb000 };
        assert_eq!(saved.moved(0x6010), Some(0xb010));
        assert_eq!([saved.moved(0x5fff), saved.moved(0x6100)], [None, None]);
    }

    #[test]
    fn a_missing_name_is_no_layout() {
        let field = |_: &str, path: &str| {
            (path != "_self").then_some(Field { offset: place(path)? as u32, size: 8, bits: None })
        };
        assert!(GreenletLayout::named(field).is_none());
    }
}
