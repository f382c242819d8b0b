//! Which release of CPython a process ran.
//!
//! Knows the two places that say so: the constant `Py_Version`, and `sys.hexversion` of an interpreter whose layouts are
//! known already. Refuses to guess from names of files.

use super::values::read_count;
use super::words::ReadField;
use super::{PyVersion, Runtime, dict_get};
use crate::corefile::{Address, AddressSpace};

/// The release by the constant `Py_Version` (Python/getversion.c, since 3.11) at `constant`; `None` where there is no such
/// symbol, or its memory is neither in the core nor in a file.
pub fn by_constant(space: &AddressSpace<'_>, constant: Option<Address>) -> Option<PyVersion> {
    space.read_u64(constant?).ok().map(|hex| PyVersion(hex as u32))
}

/// The release by `sys.hexversion` of the interpreter that was started last. Needs layouts, but no semantics.
pub fn by_sys(runtime: &Runtime<'_>) -> Option<PyVersion> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let interpreter = space.field(runtime.address, l.runtime.interpreters_head).ok()?;
    let sysdict = space.field(interpreter, l.interpreter.sysdict).ok()?;
    let hex = read_count(runtime, dict_get(runtime, sysdict, "hexversion")?).ok()??;
    u32::try_from(hex).ok().map(PyVersion)
}
