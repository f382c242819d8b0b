//! References of frames, generators and code.

use super::{Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::frame::{Variables, filled};
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
    if runtime.space.signed(object, state)? >= i64::from(runtime.semantics.frame_cleared) {
        return Ok(());
    }
    let frame = object.wrapping_add(u64::from(iframe.offset));
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
    for (field, name) in [
        (l.frame_obj, "frame_obj"),
        (Some(l.locals), "f_locals"),
        (l.function, "f_funcobj"),
        (Some(l.code), "f_code"),
    ] {
        if let Some(field) = field {
            emit(each, EdgeKind::Visited, space.field(frame, field)?, Slot::Field(name));
        }
    }
    let variables = variables(runtime, frame)?;
    let count = filled(runtime, frame, &variables)?.unwrap_or(0);
    locals(runtime, frame, &variables, count, EdgeKind::Visited, each)
}

fn variables(runtime: &Runtime<'_>, frame: Address) -> std::result::Result<Variables, ReadError> {
    Variables::of(runtime, runtime.space.field(frame, runtime.layouts.frame.code)?)
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
    let start = frame.wrapping_add(u64::from(runtime.layouts.frame.localsplus.offset));
    let words = runtime.space.slice(start, (count.min(MAX_SLOTS) * 8) as usize)?;
    for index in 0..words.len() / 8 {
        emit(each, kind, word(words, index * 8), variables.slot(index as u64));
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
