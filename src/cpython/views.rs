//! How much of a buffer a view of it shows, and which memory is mapped.
//!
//! Knows memoryviews, numpy arrays and `mmap` objects; refuses to know who owns the buffer, which their references tell.

use super::Runtime;
use super::futures::inherits;
use super::members::member_value;
use super::size::numpy_extent;
use super::types::WalkKind;
use super::words::ReadField;
use crate::corefile::Address;

/// Bytes that the memoryview or numpy array at `object` shows (`nbytes`; Include/cpython/memoryobject.h, the view's own
/// `Py_buffer`); `None` for other objects, and where a build does not say or memory is not readable.
pub fn view_length(runtime: &Runtime<'_>, object: Address) -> Option<u64> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let info = runtime.types.of(space.field(object, l.object.type_).ok()?)?;
    match info.walk.kind {
        WalkKind::NumpyArray => numpy_extent(runtime, object).ok(),
        _ if info.name.as_ref() == "builtins.memoryview" => {
            u64::try_from(space.signed(object, l.memory_view.length?).ok()?).ok()
        }
        _ => None,
    }
}

/// What an `mmap` object has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedMemory {
    /// This.
    Open {
        /// Its first byte.
        address: Address,
        /// How many bytes: `len()`.
        bytes: u64,
    },
    /// Nothing any more: it was closed.
    Closed,
    /// Nothing tells where the members of its struct lie.
    Unknown,
}

/// What the `mmap` object at `object` has mapped (Modules/mmapmodule.c, `mmap_object`, by the debug information of its module);
/// `None` for other objects.
pub fn mapped_memory(runtime: &Runtime<'_>, object: Address) -> Option<MappedMemory> {
    let info = runtime.types.of(runtime.space.field(object, runtime.layouts.object.type_).ok()?)?;
    if !inherits(runtime, info, &["mmap.mmap"]) {
        return None;
    }
    let member = |name: &str| member_value(runtime, info, object, name);
    Some(match (member("data"), member("size")) {
        (Some(0), Some(_)) => MappedMemory::Closed,
        (Some(address), Some(bytes)) => MappedMemory::Open { address, bytes },
        _ => MappedMemory::Unknown,
    })
}
