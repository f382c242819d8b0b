//! The list of all objects that builds with trace-refs keep (`--with-trace-refs`, Misc/SpecialBuilds.txt).
//!
//! Knows the links in front of each object up to 3.12; refuses to know what the objects are. Later releases keep a hash
//! table of addresses instead.

use super::Runtime;
use super::words::ReadField;
use crate::corefile::Address;
use rustc_hash::FxHashSet;

/// Every object on the list, which `sys.getobjects()` shows, and perhaps the list's own head, which has no type. Empty
/// where there is no such list; shorter where a link cannot be read.
pub fn chained_objects(runtime: &Runtime<'_>) -> FxHashSet<Address> {
    let mut found = FxHashSet::default();
    let (Some(next), Some(main)) = (runtime.layouts.object.chain_next, runtime.interpreters.first()) else {
        return found;
    };
    let bound = runtime.mapped_bytes / u64::from(runtime.header.size.max(1));
    // A ring, so that any of its objects leads to all others, and no symbol is needed.
    let mut object = main.sysdict;
    while object != 0 && (found.len() as u64) < bound && found.insert(object) {
        object = runtime.space.field(object, next).unwrap_or(0);
    }
    found
}
