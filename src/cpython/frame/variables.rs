//! The variables of a code object and how many words of a frame are in use: where frames of all releases differ most.
//!
//! Knows `co_localsplusnames` and the tuples that stood in its place up to 3.10, stack tops and stack depths; refuses to
//! read values.

use crate::corefile::{Address, ReadError};
use crate::cpython::values::{read_bytes, tuple_items};
use crate::cpython::words::ReadField;
use crate::cpython::{Runtime, Slot};

/// `CO_FAST_*` (Include/internal/pycore_code.h): a variable of an inlined comprehension of a module or class.
pub const HIDDEN: u8 = 0x10;
/// A variable that inner functions use.
pub const CELL: u8 = 0x40;
/// A variable of an outer function.
pub const FREE: u8 = 0x80;
/// Most variables of one code object that are believed.
pub const MAX_VARIABLES: u64 = 1 << 20;

/// The variables of a code object, in the order of a frame's words.
///
/// One tuple names them all since 3.11; before, `co_varnames`, `co_cellvars` and `co_freevars` one after the other
/// (Include/cpython/code.h).
#[derive(Clone, Copy, Debug, Default)]
pub struct Variables {
    /// Tuples of names and how many variables each names.
    parts: [(Address, u64); 3],
    /// `co_localspluskinds`; 0 where the tuple tells.
    kinds: Address,
}

impl Variables {
    /// Those of the code object at `code`.
    ///
    /// # Errors
    /// It or its tuples are not readable.
    pub fn of(runtime: &Runtime<'_>, code: Address) -> Result<Self, ReadError> {
        let (space, l) = (&runtime.space, &runtime.layouts.code);
        if let (Some(names), Some(count), Some(kinds)) = (l.localsplusnames, l.nlocalsplus, l.localspluskinds)
        {
            let all = (space.field(code, names)?, space.small(code, count)?.min(MAX_VARIABLES));
            return Ok(Self { parts: [all, (0, 0), (0, 0)], kinds: space.field(code, kinds)? });
        }
        let mut variables = Self::default();
        let count = l.nlocals.map_or(Ok(0), |field| space.small(code, field))?;
        for (part, (tuple, known)) in variables.parts.iter_mut().zip([
            (l.varnames, Some(count)),
            (l.cellvars, None),
            (l.freevars, None),
        ]) {
            let Some(tuple) = tuple else { continue };
            let names = space.field(code, tuple)?;
            let length = match known {
                Some(count) => count,
                None => space.field(names, runtime.layouts.var_object.ob_size)?,
            };
            *part = (names, length.min(MAX_VARIABLES));
        }
        Ok(variables)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.parts.iter().map(|&(_, count)| count).sum()
    }

    /// What word `index` of a frame is: a variable, or a temporary above them.
    pub fn slot(&self, index: u64) -> Slot {
        let mut left = index;
        for &(names, count) in &self.parts {
            if left < count {
                return Slot::Local { names, index: left as u32 };
            }
            left -= count;
        }
        Slot::Stack(left as u32)
    }

    /// Name and `CO_FAST_*` kind of each.
    ///
    /// # Errors
    /// The names or kinds are not readable.
    pub fn names(&self, runtime: &Runtime<'_>) -> Result<Vec<(Address, u8)>, ReadError> {
        let mut all = Vec::new();
        for (&(names, count), kind) in self.parts.iter().zip([0, CELL, FREE]) {
            if count == 0 {
                continue;
            }
            let items = tuple_items(runtime, names)?;
            all.extend(items.into_iter().take(count as usize).map(|name| (name, kind)));
        }
        if self.kinds != 0 {
            let kinds = read_bytes(runtime, self.kinds, all.len())?;
            all.truncate(kinds.len());
            for ((_, kind), &byte) in all.iter_mut().zip(kinds) {
                *kind = byte;
            }
        }
        Ok(all)
    }
}

/// How many words of `frame`, variables first, are its own; `None` while it is in the interpreter's loop, which keeps the
/// height of the evaluation stack in a register.
///
/// # Errors
/// The frame is not readable.
pub fn filled(
    runtime: &Runtime<'_>,
    frame: Address,
    variables: &Variables,
) -> Result<Option<u64>, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts.frame);
    // Include/internal/pycore_interpframe_structs.h: since 3.14 the address behind the last word, NULL while running.
    if let Some(end) = l.stackpointer {
        let first = frame.wrapping_add(u64::from(l.localsplus.offset));
        let end = space.field(frame, end)?;
        return Ok((end != 0).then(|| end.saturating_sub(first) / 8));
    }
    if let Some(top) = l.stacktop {
        return Ok(u64::try_from(space.signed(frame, top)?).ok());
    }
    // Include/cpython/frameobject.h: 3.10 has a depth, -1 while running; before, a pointer, NULL while running.
    if let Some(depth) = l.object_stackdepth {
        let depth = u64::try_from(space.signed(frame, depth)?).ok();
        return Ok(depth.map(|depth| variables.count().saturating_add(depth)));
    }
    let (Some(top), Some(bottom)) = (l.object_stacktop, l.valuestack) else { return Ok(None) };
    let (top, bottom) = (space.field(frame, top)?, space.field(frame, bottom)?);
    Ok((top != 0).then(|| variables.count().saturating_add(top.saturating_sub(bottom) / 8)))
}
