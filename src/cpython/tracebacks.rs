//! Tracebacks of exceptions.
//!
//! Knows the chain of `tb_next` and the lines that it notes; refuses to know what the frames were doing since.

use super::Runtime;
use super::attributes::{native_base, type_of};
use super::lines::line_of;
use super::words::ReadField;
use crate::corefile::Address;

/// Longest traceback that is followed.
const MAX_FRAMES: usize = 1 << 20;

/// One frame that an exception has passed.
#[derive(Clone, Copy, Debug)]
pub struct TracebackEntry {
    /// The traceback object.
    address: Address,
    /// The frame object.
    pub frame: Address,
}

impl TracebackEntry {
    /// `tb_lineno`: the line of the frame's `code` that the exception passed; its frame may have gone on since. `None` where the
    /// compiler gave the instruction no line.
    pub fn line(self, runtime: &Runtime<'_>, code: Address) -> Option<u32> {
        let (space, l) = (&runtime.space, &runtime.layouts.traceback);
        let noted = space.signed(self.address, l.lineno).ok()?;
        // Python/traceback.c, `tb_lineno_get`: −1 until somebody asks. `tb_lasti` is in bytes, a code unit has two.
        match u32::try_from(noted) {
            Ok(line) => Some(line),
            Err(_) => line_of(runtime, code, space.signed(self.address, l.lasti).ok()? / 2),
        }
    }
}

/// What the traceback of the exception at `exception` holds, outermost first; empty without one.
pub fn traceback_entries(runtime: &Runtime<'_>, exception: Address) -> Vec<TracebackEntry> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let mut entries = Vec::new();
    let mut next = space.field(exception, l.exception.traceback).unwrap_or(0);
    let is_traceback =
        |object| type_of(runtime, object).is_some_and(|type_| native_base(runtime, type_).1 == "traceback");
    // Damage may lead in a circle: the bound ends it.
    while next != 0 && entries.len() < MAX_FRAMES && is_traceback(next) {
        let Ok(frame) = space.field(next, l.traceback.frame) else { break };
        entries.push(TracebackEntry { address: next, frame });
        next = space.field(next, l.traceback.next).unwrap_or(0);
    }
    entries
}
