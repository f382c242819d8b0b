//! References of the frames of suspended greenlets.
//!
//! Knows that a greenlet owns the frames of its stack while no thread runs them, though its traversal passes over them
//! (PyGreenlet.cpp, `green_traverse`); refuses to know greenlets whose frames it visits itself, and temporaries of a frame
//! that does not say how many it has.

use super::{Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::frame::{Variables, filled};
use crate::cpython::futures::inherits;
use crate::cpython::greenlets::{GREENLET, Greenlet, GreenletLayout};
use crate::cpython::stack_ref::{StackRef, frame_code, frame_field};
use crate::cpython::types::TypeInfo;
use crate::cpython::words::ReadField;
use crate::cpython::{Runtime, Slot};
use crate::graph::EdgeKind;
use rustc_hash::FxHashMap;

/// `FRAME_OWNED_BY_THREAD` (Include/internal/pycore_frame.h, 3.11 and later).
const OWNED_BY_THREAD: u64 = 0;
/// More local variables and temporaries than any code object has.
const MAX_SLOTS: u64 = 1 << 24;

/// Which types are greenlets, asked once a type, and where their members are.
#[derive(Debug, Default)]
pub struct GreenletTypes(FxHashMap<Address, Option<GreenletLayout>>);

impl GreenletTypes {
    /// For instances of `info`; `None` if they are no greenlets or nothing tells how these are laid out.
    #[inline]
    pub fn layout(&mut self, runtime: &Runtime<'_>, info: &TypeInfo) -> Option<GreenletLayout> {
        let find = || inherits(runtime, info, &[GREENLET]).then(|| GreenletLayout::find(runtime))?;
        *self.0.entry(info.address).or_insert_with(find)
    }
}

/// What the frames of the greenlet at `object` own while it is suspended. Nothing, if `is_visited` says of the code of the
/// first that the traversal has been there (since 3.15).
///
/// # Errors
/// A frame is not readable; what was found has been reported.
pub fn frames(
    runtime: &Runtime<'_>,
    layout: &GreenletLayout,
    object: Address,
    is_visited: impl Fn(Address) -> bool,
    each: &mut impl FnMut(Referent),
) -> Result<(), ReadError> {
    let Some(greenlet) = Greenlet::read(runtime, layout, object) else { return Ok(()) };
    let frames = greenlet.frames(runtime);
    if let Some(&first) = frames.first()
        && is_visited(frame_code(runtime, first)?)
    {
        return Ok(());
    }
    for frame in frames {
        match runtime.layouts.frame.owner {
            // Up to 3.10 it is an object, which visits what it holds.
            None => emit(each, EdgeKind::Owned, frame, Slot::Field("frame")),
            Some(owner) if runtime.space.small(frame, owner)? == OWNED_BY_THREAD => {
                one(runtime, frame, each)?
            }
            // A generator's: that holds what is in it.
            Some(_) => {}
        }
    }
    Ok(())
}

/// What one frame owns: all that counts in the refcount of its target.
fn one(runtime: &Runtime<'_>, frame: Address, each: &mut impl FnMut(Referent)) -> Result<(), ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts.frame);
    for (field, name) in [(l.frame_obj, "frame_obj"), (Some(l.locals), "f_locals")] {
        if let Some(field) = field {
            emit(each, EdgeKind::Owned, space.field(frame, field)?, Slot::Field(name));
        }
    }
    let mut owned = |found: Option<StackRef>, slot| {
        if let Some(StackRef { object, counted: true }) = found {
            emit(each, EdgeKind::Owned, object, slot);
        }
    };
    for (field, name) in [(l.function, "f_funcobj"), (Some(l.code), "f_code")] {
        if let Some(field) = field {
            owned(frame_field(runtime, frame, field)?, Slot::Field(name));
        }
    }
    let variables = Variables::of(runtime, frame_code(runtime, frame)?)?;
    let count = filled(runtime, frame, &variables)?.unwrap_or(variables.count()).min(MAX_SLOTS);
    let start = frame.wrapping_add(u64::from(l.localsplus.offset));
    let words = space.slice(start, (count * 8) as usize)?;
    for (index, bytes) in (0..).zip(words.as_chunks::<8>().0) {
        let found = StackRef::decode(u64::from_le_bytes(*bytes), runtime.semantics.tagged_stack);
        owned(found, variables.slot(index));
    }
    Ok(())
}
