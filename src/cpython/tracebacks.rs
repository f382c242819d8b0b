//! Tracebacks of exceptions.
//!
//! Knows the chain of `tb_next`; refuses to know lines: a traceback's own line is worked out when it is asked for.

use super::Runtime;
use super::attributes::{native_base, type_of};
use super::words::ReadField;
use crate::corefile::Address;

/// Longest traceback that is followed.
const MAX_FRAMES: usize = 1 << 20;

/// Frame objects that the traceback of the exception at `exception` holds, outermost first; empty without one.
pub fn traceback_frames(runtime: &Runtime<'_>, exception: Address) -> Vec<Address> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let mut frames = Vec::new();
    let mut next = space.field(exception, l.exception.traceback).unwrap_or(0);
    let is_traceback =
        |object| type_of(runtime, object).is_some_and(|type_| native_base(runtime, type_).1 == "traceback");
    // Damage may lead in a circle: the bound ends it.
    while next != 0 && frames.len() < MAX_FRAMES && is_traceback(next) {
        let Ok(frame) = space.field(next, l.traceback.frame) else { break };
        frames.push(frame);
        next = space.field(next, l.traceback.next).unwrap_or(0);
    }
    frames
}
