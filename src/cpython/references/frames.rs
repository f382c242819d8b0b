//! References of frames, generators and code.

use super::{Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::words::{ReadField, word};
use crate::cpython::{Runtime, Slot};
use crate::graph::EdgeKind;

type Result = std::result::Result<(), ReadError>;

/// `FRAME_OWNED_BY_FRAME_OBJECT` (Include/internal/pycore_frame.h, 3.11 to 3.13).
const OWNED_BY_FRAME_OBJECT: u64 = 2;
/// More local variables and temporaries than any code object has.
const MAX_SLOTS: u64 = 1 << 24;

/// A frame object: its own copy of the frame, once the frame has ended (Objects/frameobject.c, `frame_traverse`).
pub fn frame_object(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let frame = space.field(object, l.frame_object.frame)?;
    if frame == 0 || space.small(frame, l.frame.owner)? != OWNED_BY_FRAME_OBJECT {
        return Ok(());
    }
    interpreter_frame(runtime, frame, each)
}

/// A generator's frame, unless it has ended (Objects/genobject.c, `gen_traverse`).
pub fn generator(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts.generator;
    if runtime.space.signed(object, l.frame_state)? >= i64::from(runtime.semantics.frame_cleared) {
        return Ok(());
    }
    let frame = object.wrapping_add(u64::from(l.iframe.offset));
    interpreter_frame(runtime, frame, each)?;
    if runtime.space.signed(frame, runtime.layouts.frame.stacktop)? < 0 {
        running_locals(runtime, frame, each)?;
    }
    Ok(())
}

/// What `_PyFrame_Traverse` visits (Python/frame.c): no locals while the frame is running.
pub fn interpreter_frame(runtime: &Runtime<'_>, frame: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts.frame);
    for (field, name) in
        [(l.frame_obj, "frame_obj"), (l.locals, "f_locals"), (l.function, "f_funcobj"), (l.code, "f_code")]
    {
        emit(each, EdgeKind::Visited, space.field(frame, field)?, Slot::Field(name));
    }
    let top = space.signed(frame, l.stacktop)?;
    locals(runtime, frame, u64::try_from(top).unwrap_or(0), EdgeKind::Visited, each)
}

/// Local variables of a running frame: owned, though traversal does not visit them.
pub fn running_locals(runtime: &Runtime<'_>, frame: Address, each: &mut impl FnMut(Referent)) -> Result {
    let code = runtime.space.field(frame, runtime.layouts.frame.code)?;
    let count = runtime.space.small(code, runtime.layouts.code.nlocalsplus)?;
    locals(runtime, frame, count, EdgeKind::Owned, each)
}

fn locals(
    runtime: &Runtime<'_>,
    frame: Address,
    count: u64,
    kind: EdgeKind,
    each: &mut impl FnMut(Referent),
) -> Result {
    if count == 0 {
        return Ok(());
    }
    let (space, l) = (&runtime.space, &runtime.layouts);
    let code = space.field(frame, l.frame.code)?;
    let names = space.field(code, l.code.localsplusnames)?;
    let variables = space.small(code, l.code.nlocalsplus)?;
    let start = frame.wrapping_add(u64::from(l.frame.localsplus.offset));
    let words = space.slice(start, (count.min(MAX_SLOTS) * 8) as usize)?;
    for index in 0..words.len() / 8 {
        let slot = match (index as u64).checked_sub(variables) {
            None => Slot::Local { names, index: index as u32 },
            Some(depth) => Slot::Stack(depth as u32),
        };
        emit(each, kind, word(words, index * 8), slot);
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
