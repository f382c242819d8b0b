//! How much of a buffer a view of it shows.
//!
//! Knows memoryviews and numpy arrays; refuses to know who owns the buffer, which their references tell.

use super::Runtime;
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
