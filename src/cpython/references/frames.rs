//! References of frames, generators and code.

use super::{Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::frame::{Variables, filled};
use crate::cpython::stack_ref::{StackRef, frame_code, frame_field};
use crate::cpython::types::WalkKind;
use crate::cpython::words::{ReadField, word};
use crate::cpython::{Runtime, Slot};
use crate::graph::EdgeKind;

type Result = std::result::Result<(), ReadError>;

/// `FRAME_OWNED_BY_FRAME_OBJECT` (Include/internal/pycore_frame.h, 3.11 to 3.13).
const OWNED_BY_FRAME_OBJECT: u64 = 2;
/// More local variables and temporaries than any code object has.
const MAX_SLOTS: u64 = 1 << 24;

/// A frame object: its own copy of the frame, once the frame has ended (Objects/frameobject.c, `frame_traverse`). Up to
/// 3.10 it is the frame itself, whose variables are visited even while it runs.
pub fn frame_object(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let (Some(frame), Some(owner)) = (l.frame_object.frame, l.frame.owner) else {
        let variables = variables(runtime, object)?;
        let count = filled(runtime, object, &variables)?.unwrap_or(variables.count());
        return locals(runtime, object, &variables, count, EdgeKind::Visited, each);
    };
    let frame = space.field(object, frame)?;
    if frame == 0 || space.small(frame, owner)? != OWNED_BY_FRAME_OBJECT {
        return Ok(());
    }
    interpreter_frame(runtime, frame, each)
}

/// A generator's frame, unless it has ended (Objects/genobject.c, `gen_traverse`). Up to 3.10 that is an object of its own.
pub fn generator(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts.generator;
    let (Some(state), Some(iframe)) = (l.frame_state, l.iframe) else { return Ok(()) };
    let frame = object.wrapping_add(u64::from(iframe.offset));
    if runtime.space.signed(object, state)? >= i64::from(runtime.semantics.frame_cleared) {
        // Where references are tagged, the code is visited even then: it was not counted, perhaps (3.14).
        if runtime.semantics.tagged_stack {
            emit(each, EdgeKind::Visited, frame_code(runtime, frame)?, Slot::Field("f_code"));
        }
        return Ok(());
    }
    interpreter_frame(runtime, frame, each)?;
    let variables = variables(runtime, frame)?;
    match filled(runtime, frame, &variables)? {
        // While the frame runs its variables are owned, though traversal does not visit them.
        None => locals(runtime, frame, &variables, variables.count(), EdgeKind::Owned, each),
        Some(_) => Ok(()),
    }
}

/// What `_PyFrame_Traverse` visits (Python/frame.c): no locals while the frame is running.
fn interpreter_frame(runtime: &Runtime<'_>, frame: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts.frame);
    for (field, name) in [(l.frame_obj, "frame_obj"), (Some(l.locals), "f_locals")] {
        if let Some(field) = field {
            emit(each, EdgeKind::Visited, space.field(frame, field)?, Slot::Field(name));
        }
    }
    for (field, name) in [(l.function, "f_funcobj"), (Some(l.code), "f_code")] {
        if let Some(StackRef { object, .. }) =
            field.map_or(Ok(None), |field| frame_field(runtime, frame, field))?
        {
            emit(each, EdgeKind::Visited, object, Slot::Field(name));
        }
    }
    let variables = variables(runtime, frame)?;
    let count = filled(runtime, frame, &variables)?.unwrap_or(0);
    locals(runtime, frame, &variables, count, EdgeKind::Visited, each)
}

fn variables(runtime: &Runtime<'_>, frame: Address) -> std::result::Result<Variables, ReadError> {
    Variables::of(runtime, frame_code(runtime, frame)?)
}

/// Calls `each` with the target of every reference among those visited for `object`, a frame object or a generator
/// (or another of its kind), that its target's refcount does not count. The collector visits it to see what is alive,
/// but does not subtract it (Python/gc.c, `_PyGC_VisitStackRef`, 3.14). There are none before 3.14.
///
/// # Errors
/// The frame is not readable.
pub fn uncounted(
    runtime: &Runtime<'_>,
    kind: WalkKind,
    object: Address,
    each: &mut impl FnMut(Address),
) -> Result {
    if !runtime.semantics.tagged_stack {
        return Ok(());
    }
    let Some((frame, cleared)) = visited_frame(runtime, kind, object)? else { return Ok(()) };
    let mut report = |found: Option<StackRef>| {
        if let Some(StackRef { object, counted: false }) = found {
            each(object);
        }
    };
    let l = &runtime.layouts.frame;
    report(frame_field(runtime, frame, l.code)?);
    if cleared {
        return Ok(());
    }
    if let Some(function) = l.function {
        report(frame_field(runtime, frame, function)?);
    }
    let count = filled(runtime, frame, &Variables::default())?.unwrap_or(0);
    let start = frame.wrapping_add(u64::from(l.localsplus.offset));
    let words = runtime.space.slice(start, (count.min(MAX_SLOTS) * 8) as usize)?;
    for index in 0..words.len() / 8 {
        report(StackRef::decode(word(words, index * 8), true));
    }
    Ok(())
}

/// The frame that the traversal of a frame object or generator visits, and whether only its code is left.
fn visited_frame(
    runtime: &Runtime<'_>,
    kind: WalkKind,
    object: Address,
) -> std::result::Result<Option<(Address, bool)>, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    match (kind, l.frame_object.frame, l.frame.owner, l.generator.frame_state, l.generator.iframe) {
        (WalkKind::Frame, Some(frame), Some(owner), ..) => {
            let frame = space.field(object, frame)?;
            let own = frame != 0 && space.small(frame, owner)? == OWNED_BY_FRAME_OBJECT;
            Ok(own.then_some((frame, false)))
        }
        (WalkKind::Generator, _, _, Some(state), Some(iframe)) => {
            let cleared = space.signed(object, state)? >= i64::from(runtime.semantics.frame_cleared);
            Ok(Some((object.wrapping_add(u64::from(iframe.offset)), cleared)))
        }
        _ => Ok(None),
    }
}

fn locals(
    runtime: &Runtime<'_>,
    frame: Address,
    variables: &Variables,
    count: u64,
    kind: EdgeKind,
    each: &mut impl FnMut(Referent),
) -> Result {
    if count == 0 {
        return Ok(());
    }
    let tagged = runtime.semantics.tagged_stack;
    let start = frame.wrapping_add(u64::from(runtime.layouts.frame.localsplus.offset));
    let words = runtime.space.slice(start, (count.min(MAX_SLOTS) * 8) as usize)?;
    for index in 0..words.len() / 8 {
        if let Some(StackRef { object, .. }) = StackRef::decode(word(words, index * 8), tagged) {
            emit(each, kind, object, variables.slot(index as u64));
        }
    }
    Ok(())
}

/// Attributes a code object has computed and kept (Include/cpython/code.h, `_PyCoCached`).
pub fn code(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some(field) = l.code.cached else { return Ok(()) };
    let cached = space.field(object, field)?;
    if cached == 0 {
        return Ok(());
    }
    for (field, name) in [
        (l.code_cached.code, "co_code"),
        (l.code_cached.varnames, "co_varnames"),
        (l.code_cached.cellvars, "co_cellvars"),
        (l.code_cached.freevars, "co_freevars"),
    ] {
        if let Some(field) = field {
            emit(each, EdgeKind::Owned, space.field(cached, field)?, Slot::Field(name));
        }
    }
    Ok(())
}
