//! References of types made in C: their own traversal followed as machine code and, where that does not help, the words
//! of their memory.
//!
//! Refuses to know any type by name but numpy's array.

use super::{Gap, Referent, emit};
use crate::corefile::{Address, Machine, ReadError};
use crate::cpython::types::TypeInfo;
use crate::cpython::words::{ReadField, half, word};
use crate::cpython::{Runtime, Slot};
use crate::graph::EdgeKind;
use crate::machine::{self, Binding, CodeCache, Hook, StandardFunction, Stop, Visit};

/// Unbound calls that are resolved in one traversal before giving up.
const MAX_REBINDINGS: usize = 16;
/// Words of an object that a conservative scan looks at.
const MAX_SCANNED_BYTES: u64 = 1 << 20;
/// Longest name of a module, in characters.
const MAX_NAME: usize = 256;

/// The dead process, for the interpreter of machine code.
struct Mapped<'r, 'core>(&'r Runtime<'core>);

impl machine::Memory for Mapped<'_, '_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        read(self.0, address, into)
    }
}

/// Copies memory of the process; false where it is not there.
pub(super) fn read(runtime: &Runtime<'_>, address: Address, into: &mut [u8]) -> bool {
    match runtime.space.slice(address, into.len()) {
        Ok(bytes) => {
            into.copy_from_slice(bytes);
            true
        }
        Err(_) => false,
    }
}

/// Runs the traversal at `entry`, resolving calls that the process had not bound yet. Code of other processors than
/// x86-64 is not followed.
pub(super) fn run(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    entry: Address,
    object: Address,
) -> Result<Vec<Visit>, Stop> {
    follow_code(runtime, &Mapped(runtime), code, entry, object)
}

/// Likewise, over `memory`, which need not be the process' own.
pub(in crate::cpython) fn follow_code<M: machine::Memory>(
    runtime: &Runtime<'_>,
    memory: &M,
    code: &mut CodeCache,
    entry: Address,
    object: Address,
) -> Result<Vec<Visit>, Stop> {
    if runtime.binaries.machine() == Machine::Aarch64 {
        return Err(Stop::UnsupportedMachine { machine: "AArch64" });
    }
    let mut visits = Vec::new();
    let capsule = capsule_pointer(runtime, object);
    let hooks = |target| {
        capsule.filter(|(function, _)| *function == target).map(|(_, pointer)| Hook::Return(pointer))
    };
    for _ in 0..MAX_REBINDINGS {
        visits.clear();
        match machine::traverse(memory, code, entry, object, &hooks, &mut |v| visits.push(v)) {
            Err(stop) => {
                match unresolved_slot(&stop).and_then(|slot| Some((slot, binding(runtime, slot)?))) {
                    Some((slot, target)) => code.bind(slot, target),
                    None => return Err(stop),
                }
            }
            Ok(()) => return Ok(visits),
        }
    }
    Err(Stop::StepLimit)
}

/// The slot of a global offset table whose meaning would help: not bound yet, or bound to a variant of a C library
/// function that this machine's processor has instructions for and we do not follow.
fn unresolved_slot(stop: &Stop) -> Option<Address> {
    match *stop {
        Stop::UnboundCall { got_slot } => Some(got_slot),
        Stop::UnsupportedInstruction { entered_through, .. } => entered_through,
        _ => None,
    }
}

/// What the call through `slot` means: a C library function by its name, else the function some module exports.
fn binding(runtime: &Runtime<'_>, slot: Address) -> Option<Binding> {
    let name = runtime.binaries.slot_symbol(slot)?;
    match StandardFunction::from_name(&name) {
        Some(function) => Some(Binding::Standard(function)),
        None => runtime.binaries.exported(&name).map(Binding::Function),
    }
}

/// What `PyCapsule_GetPointer` answers to the traversal that a capsule brings along (3.13): its name, which the
/// function would compare first, is the one it was made with. `None` for other objects.
fn capsule_pointer(runtime: &Runtime<'_>, object: Address) -> Option<(Address, u64)> {
    let l = &runtime.layouts;
    let pointer = l.capsule.pointer?;
    let marks = &runtime.landmarks;
    if runtime.space.field(object, l.object.type_).ok()? != marks.capsule_type {
        return None;
    }
    Some((marks.capsule_get_pointer, runtime.space.field(object, pointer).ok()?))
}

/// Follows the type's own `tp_traverse`; scans the object instead where that is not possible.
///
/// Members that it passes over are not reported: debug information does not tell owned from borrowed ones.
pub fn follow(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    info: &TypeInfo,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), Gap> {
    let visits = match run(runtime, code, info.traverse, object) {
        Ok(visits) => visits,
        Err(_) => {
            scan_object(runtime, info, object, each)?;
            return Err(Gap::Opaque);
        }
    };
    let size = object_bytes(runtime, info, object)?;
    let offset_of = |visit: &Visit| {
        let offset = visit.loaded_from?.checked_sub(object).filter(|&offset| offset < size)?;
        u32::try_from(offset).ok()
    };
    for visit in &visits {
        let slot = match offset_of(visit) {
            Some(offset) if offset == runtime.header.type_at => Slot::Type,
            Some(offset) => Slot::Word { type_: info.address, offset },
            None if visit.target == info.address => Slot::Type,
            None => Slot::Indirect,
        };
        emit(each, EdgeKind::Visited, visit.target, slot);
    }
    Ok(())
}

/// Size of the state of the module at `object` and the function that traverses it, 0 if none does; `None` if it has no
/// definition.
pub(in crate::cpython) fn module_traversal(
    runtime: &Runtime<'_>,
    object: Address,
) -> Result<Option<(i64, Address)>, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    // Since 3.15 the module itself knows, as it may have been made without a definition (PEP 793).
    match (l.module.state_size, l.module.state_traverse, l.module.def) {
        (Some(size), Some(traverse), _) => {
            Ok(Some((space.signed(object, size)?, space.field(object, traverse)?)))
        }
        (_, _, Some(field)) => match space.field(object, field)? {
            0 => Ok(None),
            def => Ok(Some((
                space.signed(def, l.module_def.size_of_state)?,
                space.field(def, l.module_def.traverse)?,
            ))),
        },
        _ => Ok(None),
    }
}

/// The state of a C module (Objects/moduleobject.c, `module_traverse`; bpo-39824).
pub fn module_state(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), Gap> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some((size, traverse)) = module_traversal(runtime, object)? else { return Ok(()) };
    let state = space.field(object, l.module.state)?;
    if traverse == 0 || (size > 0 && state == 0) {
        return Ok(());
    }
    if !runtime.has_code(traverse) {
        let name = super::super::values::read_str(runtime, space.field(object, l.module.name)?, MAX_NAME)?;
        let size = u64::try_from(size).unwrap_or(0);
        if let Some(offsets) = runtime.facts.state(space, &name, state, size)? {
            for offset in offsets {
                let target = space.read_u64(state.wrapping_add(u64::from(offset)))?;
                emit(each, EdgeKind::Visited, target, Slot::ModuleState);
            }
            return Ok(());
        }
    }
    match run(runtime, code, traverse, object) {
        Ok(visits) => {
            visits.iter().for_each(|visit| emit(each, EdgeKind::Visited, visit.target, Slot::ModuleState));
            Ok(())
        }
        Err(_) => {
            if state != 0 && size > 0 {
                scan(runtime, state, size as u64, each, |_| Slot::ModuleState)?;
            }
            Err(Gap::Opaque)
        }
    }
}

/// Bytes of an object without what lies in front of it.
fn object_bytes(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let items = match info.itemsize {
        0 => 0,
        _ => (runtime.space.field(object, runtime.layouts.var_object.ob_size)? as i64).unsigned_abs(),
    };
    Ok(info.basicsize.saturating_add(info.itemsize.saturating_mul(items)))
}

/// Reports every aligned word of the object behind its header as an inferred reference; who builds a graph keeps
/// those that are addresses of known objects.
pub fn scan_object(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), ReadError> {
    let size = object_bytes(runtime, info, object)?;
    let header = runtime.header.size;
    let (start, bytes) = (object.wrapping_add(u64::from(header)), size.saturating_sub(u64::from(header)));
    scan(runtime, start, bytes, each, |offset| Slot::Word {
        type_: info.address,
        offset: offset.saturating_add(header),
    })
}

fn scan(
    runtime: &Runtime<'_>,
    start: Address,
    bytes: u64,
    each: &mut impl FnMut(Referent),
    slot: impl Fn(u32) -> Slot,
) -> Result<(), ReadError> {
    let memory = runtime.space.peek(start, (bytes.min(MAX_SCANNED_BYTES) & !7) as usize)?;
    for offset in (0..memory.len()).step_by(8) {
        let target = word(memory, offset);
        if target.is_multiple_of(8) && runtime.space.is_mapped(target) {
            runtime.space.record(start.wrapping_add(offset as u64), 8);
            emit(each, EdgeKind::Inferred, target, slot(offset as u32));
        }
    }
    Ok(())
}

/// Items of a numpy array of objects that owns its memory, and the array it is a view of.
///
/// `PyArrayObject_fields` is numpy's stable ABI (numpy/ndarraytypes.h, unchanged from 1.7 to 2.x); behind the header: data,
/// nd +8, dimensions +16, strides +24, base +32, descr +40; of the descriptor (`PyArray_Descr`), `kind` is the byte +8.
pub fn numpy_array(
    runtime: &Runtime<'_>,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), ReadError> {
    let space = &runtime.space;
    let header = u64::from(runtime.header.size);
    let members = space.slice(object.wrapping_add(header), 48)?;
    let (data, dimensions, base, descr) =
        (word(members, 0), word(members, 16), word(members, 32), word(members, 40));
    emit(each, EdgeKind::Owned, base, Slot::Field("base"));
    emit(each, EdgeKind::Owned, descr, Slot::Field("dtype"));
    let rank = u64::from(half(members, 8)).min(64);
    if space.read_u8(descr.wrapping_add(header).wrapping_add(8))? != b'O' || base != 0 {
        return Ok(());
    }
    let mut count = 1u64;
    for axis in 0..rank {
        count = count.saturating_mul(space.read_u64(dimensions.wrapping_add(axis * 8))?);
    }
    let items = space.slice(data, usize::try_from(count.saturating_mul(8)).unwrap_or(usize::MAX))?;
    for (index, item) in items.as_chunks::<8>().0.iter().enumerate() {
        emit(each, EdgeKind::Owned, u64::from_le_bytes(*item), Slot::Index(index as u64));
    }
    Ok(())
}
