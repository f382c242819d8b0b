//! References of types made in C: their own traversal followed as machine code, the members their debug information
//! names, and, where neither helps, the words of their memory.
//!
//! Refuses to know any type by name but numpy's array.

use super::{Gap, Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::shapes::FieldEdge;
use crate::cpython::types::TypeInfo;
use crate::cpython::words::{ReadField, word};
use crate::cpython::{Runtime, Slot};
use crate::graph::EdgeKind;
use crate::machine::{self, CodeCache, Stop, Visit};

/// Unbound calls that are resolved in one traversal before giving up.
const MAX_REBINDINGS: usize = 16;
/// Words of an object that a conservative scan looks at.
const MAX_SCANNED_BYTES: u64 = 1 << 20;
/// Members of one extension type that are believed.
const MAX_MEMBERS: usize = 4096;
/// Bytes of an object's header.
const HEADER: u64 = 16;

/// The dead process, for the interpreter of machine code.
struct Mapped<'r, 'core>(&'r Runtime<'core>);

impl machine::Memory for Mapped<'_, '_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        match self.0.space.slice(address, into.len()) {
            Ok(bytes) => {
                into.copy_from_slice(bytes);
                true
            }
            Err(_) => false,
        }
    }
}

/// Runs the traversal at `entry`, resolving calls that the process had not bound yet.
fn run(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    entry: Address,
    object: Address,
) -> Result<Vec<Visit>, Stop> {
    let mut visits = Vec::new();
    for _ in 0..MAX_REBINDINGS {
        visits.clear();
        match machine::traverse(&Mapped(runtime), code, entry, object, &|_| None, &mut |v| visits.push(v)) {
            Err(Stop::UnboundCall { got_slot }) => match runtime.binaries.unbound_target(got_slot) {
                Some(target) => code.bind(got_slot, target),
                None => return Err(Stop::UnboundCall { got_slot }),
            },
            Err(stop) => return Err(stop),
            Ok(()) => return Ok(visits),
        }
    }
    Err(Stop::StepLimit)
}

/// Follows the type's own `tp_traverse`; scans the object instead where that is not possible.
pub fn follow(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    info: &TypeInfo,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), Gap> {
    match run(runtime, code, info.traverse, object) {
        Ok(visits) => {
            let size = object_bytes(runtime, info, object)?;
            for visit in visits {
                let offset =
                    visit.loaded_from.and_then(|from| from.checked_sub(object)).filter(|&o| o < size);
                let slot = match offset {
                    Some(8) => Slot::Type,
                    Some(offset) => Slot::Word(offset as u32),
                    None if visit.target == info.address => Slot::Type,
                    None => Slot::Indirect,
                };
                emit(each, EdgeKind::Visited, visit.target, slot);
            }
            Ok(())
        }
        Err(_) => {
            scan_object(runtime, info, object, each)?;
            Err(Gap::Opaque)
        }
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
    let Some(field) = l.module.def else { return Ok(()) };
    let def = space.field(object, field)?;
    if def == 0 {
        return Ok(());
    }
    let size = space.signed(def, l.module_def.size_of_state)?;
    let traverse = space.field(def, l.module_def.traverse)?;
    let state = space.field(object, l.module.state)?;
    if traverse == 0 || (size > 0 && state == 0) {
        return Ok(());
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
    scan(runtime, object.wrapping_add(HEADER), size.saturating_sub(HEADER), each, |offset| {
        Slot::Word(offset.saturating_add(HEADER as u32))
    })
}

fn scan(
    runtime: &Runtime<'_>,
    start: Address,
    bytes: u64,
    each: &mut impl FnMut(Referent),
    slot: impl Fn(u32) -> Slot,
) -> Result<(), ReadError> {
    let memory = runtime.space.slice(start, (bytes.min(MAX_SCANNED_BYTES) & !7) as usize)?;
    for offset in (0..memory.len()).step_by(8) {
        let target = word(memory, offset);
        if target % 8 == 0 && runtime.space.is_mapped(target) {
            emit(each, EdgeKind::Inferred, target, slot(offset as u32));
        }
    }
    Ok(())
}

/// The object members of the C struct behind `type_`, from the debug information of the module that made it: the
/// struct is what one of the type's own functions takes. `None` when that is not known.
///
/// The collector does not traverse the type (it has no GC head), so its members are owned, not visited.
pub fn object_members(runtime: &Runtime<'_>, type_: Address) -> Option<Vec<FieldEdge>> {
    let (space, l) = (&runtime.space, &runtime.layouts.type_);
    let size = u32::try_from(space.field(type_, l.basicsize).ok()?).ok()?;
    if u64::from(size) <= HEADER {
        return Some(Vec::new());
    }
    let is_object = |name: &str| matches!(name, "_object" | "PyObject" | "_typeobject" | "PyTypeObject");
    [l.dealloc, l.iternext, l.traverse].into_iter().find_map(|field| {
        let function = space.field(type_, field).ok().filter(|&address| address != 0)?;
        let index = runtime.binaries.containing(function)?;
        let module = runtime.binaries.module(index)?;
        let dwarf = runtime.binaries.dwarf(index).ok()?;
        let found = dwarf.object_struct_of(function.wrapping_sub(module.load_bias), size, &is_object)?;
        Some(
            dwarf
                .pointer_members(found, &is_object)
                .into_iter()
                .filter(|member| u64::from(member.offset) >= HEADER)
                .take(MAX_MEMBERS)
                .map(|member| FieldEdge { offset: member.offset, kind: EdgeKind::Owned, name: "member" })
                .collect(),
        )
    })
}

/// Items of a numpy array of objects that owns its memory, and the array it is a view of.
///
/// `PyArrayObject_fields` is numpy's stable ABI (numpy/ndarraytypes.h, unchanged from 1.7 to 2.x): data +16, nd +24,
/// dimensions +32, strides +40, base +48, descr +56; of the descriptor (`PyArray_Descr`), `kind` is the byte +24.
pub fn numpy_array(
    runtime: &Runtime<'_>,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), ReadError> {
    let space = &runtime.space;
    let header = space.slice(object, 64)?;
    let (data, dimensions, base, descr) =
        (word(header, 16), word(header, 32), word(header, 48), word(header, 56));
    emit(each, EdgeKind::Owned, base, Slot::Field("base"));
    emit(each, EdgeKind::Owned, descr, Slot::Field("dtype"));
    let rank = u64::from(space.read_u32(object.wrapping_add(24))?).min(64);
    if space.read_u8(descr.wrapping_add(24))? != b'O' || base != 0 {
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
