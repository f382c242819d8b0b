//! Generators, coroutines and async generators: how far they are and what they wait for.
//!
//! Knows `gi_frame_state` and what stood in its place up to 3.10, and where a suspended frame keeps what it delegates to
//! (Objects/genobject.c, `_PyGen_yf`); refuses to know who is to resume them.

use super::{Frame, Variables, filled, generator_frame, instruction, kind_of};
use crate::corefile::Address;
use crate::cpython::Runtime;
use crate::cpython::semantics::Semantics;
use crate::cpython::stack_ref::{StackRef, frame_code};
use crate::cpython::types::WalkKind;
use crate::cpython::values::{is_str, read_str};
use crate::cpython::words::ReadField;

/// `YIELD_FROM` (Include/opcode.h, 3.8 to 3.10).
const YIELD_FROM: u8 = 72;
/// Arguments of `RESUME` (Python/bytecodes.c, 3.11 and 3.12): from here on what was suspended is a delegation or an `await`.
const AFTER_YIELD_FROM: u8 = 2;
/// Longest name, in characters.
const MAX_NAME: usize = 1024;

/// How far a generator is, as `inspect.getgeneratorstate()` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneratorState {
    /// It has not begun.
    Created,
    /// It waits to be resumed.
    Suspended,
    /// It was running.
    Running,
    /// It has ended, and owns no frame.
    Closed,
}

/// What a generator, coroutine or async generator says of itself.
#[derive(Clone, Debug)]
pub struct Generator {
    /// How far it is.
    pub state: GeneratorState,
    /// `__qualname__`.
    pub qualname: String,
    /// Its frame; `None` when it has ended or that is not readable.
    pub frame: Option<Frame>,
    /// What it delegates to: `gi_yieldfrom`, `cr_await`, `ag_await`.
    pub awaited: Option<Address>,
}

impl Generator {
    /// The one at `address`; `None` if it is none or not readable.
    pub fn read(runtime: &Runtime<'_>, address: Address) -> Option<Self> {
        let state = generator_state(runtime, address)?;
        let name = runtime.space.field(address, runtime.layouts.generator.qualname).ok()?;
        let qualname = is_str(runtime, name).then(|| read_str(runtime, name, MAX_NAME).ok()).flatten();
        let frame = generator_frame(runtime, address);
        let suspended = frame.as_ref().filter(|_| state == GeneratorState::Suspended);
        Some(Self {
            state,
            qualname: qualname.unwrap_or_default(),
            awaited: suspended.and_then(|frame| awaited(runtime, address, frame.address)),
            frame,
        })
    }
}

/// How far the generator at `address` is; `None` if it is none or not readable.
pub fn generator_state(runtime: &Runtime<'_>, address: Address) -> Option<GeneratorState> {
    if kind_of(runtime, address)? != WalkKind::Generator {
        return None;
    }
    let l = &runtime.layouts.generator;
    if let (Some(field), Some(_)) = (l.frame_state, l.iframe) {
        return Some(state_of_number(&runtime.semantics, runtime.space.signed(address, field).ok()?));
    }
    // Up to 3.10 one that has ended has let go of its frame object.
    let frame = runtime.space.field(address, l.frame?).ok()?;
    if frame == 0 {
        return Some(GeneratorState::Closed);
    }
    let code = frame_code(runtime, frame).ok()?;
    let variables = Variables::of(runtime, code).ok()?;
    Some(match filled(runtime, frame, &variables).ok()? {
        None => GeneratorState::Running,
        Some(_) if instruction(runtime, frame, code).ok()? < 0 => GeneratorState::Created,
        Some(_) => GeneratorState::Suspended,
    })
}

fn state_of_number(semantics: &Semantics, number: i64) -> GeneratorState {
    let executing = i64::from(semantics.frame_executing);
    match number {
        _ if number > executing => GeneratorState::Closed,
        _ if number == executing => GeneratorState::Running,
        _ if number <= i64::from(semantics.frame_created) => GeneratorState::Created,
        _ => GeneratorState::Suspended,
    }
}

/// What the suspended generator with this frame delegates to: the uppermost object of its evaluation stack.
fn awaited(runtime: &Runtime<'_>, generator: Address, frame: Address) -> Option<Address> {
    let code = frame_code(runtime, frame).ok()?;
    if !delegates(runtime, generator, frame, code)? {
        return None;
    }
    let variables = Variables::of(runtime, code).ok()?;
    let height = filled(runtime, frame, &variables).ok()??;
    let temporaries = height.saturating_sub(variables.count());
    let first = frame.wrapping_add(u64::from(runtime.layouts.frame.localsplus.offset));
    // Since 3.15 a word that is no object may stand above it.
    (1..=temporaries.min(2)).find_map(|depth| {
        let place = first.wrapping_add((height - depth).saturating_mul(8));
        let word = runtime.space.read_u64(place).ok()?;
        StackRef::decode(word, runtime.semantics.tagged_stack).map(|found| found.object)
    })
}

/// Whether a suspended generator waits in `yield from` or `await` rather than in `yield`.
fn delegates(runtime: &Runtime<'_>, generator: Address, frame: Address, code: Address) -> Option<bool> {
    let l = &runtime.layouts;
    if let (Some(first), Some(field)) = (runtime.semantics.frame_yield_from, l.generator.frame_state) {
        return Some(runtime.space.signed(generator, field).ok()? >= i64::from(first));
    }
    // The next instruction tells.
    let next = u64::try_from(instruction(runtime, frame, code).ok()?.checked_add(1)?).ok()?.checked_mul(2)?;
    if let Some(bytecode) = l.code.code_adaptive {
        let place = code.wrapping_add(u64::from(bytecode.offset)).wrapping_add(next);
        return Some(runtime.space.read_u8(place.wrapping_add(1)).ok()? >= AFTER_YIELD_FROM);
    }
    let bytes = runtime.space.field(code, l.code.code_bytes?).ok()?;
    let place = bytes.wrapping_add(u64::from(l.bytes.value.offset)).wrapping_add(next);
    Some(runtime.space.read_u8(place).ok()? == YIELD_FROM)
}
