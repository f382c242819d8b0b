//! The writable data of a module, word by word: where structs and static variables lie that no symbol names.
//!
//! Knows pieces of memory; refuses to know what is looked for in them.

use super::words::word;
use crate::corefile::{Address, AddressSpace, Module};

/// Most bytes of one module that are looked through. CPython's own data are below 2 MiB.
const MAX_BYTES: usize = 64 << 20;

/// Calls `each` with every aligned word of the writable memory of `module` and its address, in order, until it answers
/// `Some`.
pub(super) fn find_word<T>(
    space: &AddressSpace<'_>,
    module: &Module,
    mut each: impl FnMut(Address, u64) -> Option<T>,
) -> Option<T> {
    let mut left = MAX_BYTES;
    for (start, bytes) in spans(space, module) {
        let bytes = bytes.get(..left.min(bytes.len())).unwrap_or_default();
        left -= bytes.len();
        for offset in (0..bytes.len() & !7).step_by(8) {
            let address = start.wrapping_add(offset as u64);
            let found = each(address, word(bytes, offset));
            if found.is_some() {
                space.record(address, 8);
                return found;
            }
        }
    }
    None
}

/// Whether `address` lies in the writable memory of `module`.
pub(super) fn contains(space: &AddressSpace<'_>, module: &Module, address: Address) -> bool {
    spans(space, module)
        .any(|(start, bytes)| (start..start.saturating_add(bytes.len() as u64)).contains(&address))
}

/// The writable stretches of `module`. Zero-initialised data follow its last file mapping as memory without a file;
/// how far they reach is known from its headers, else they are taken to be what follows without a gap.
fn spans<'core>(
    space: &AddressSpace<'core>,
    module: &Module,
) -> impl Iterator<Item = (Address, &'core [u8])> + use<'core> {
    let (first, end) = (module.start, module.end);
    let from = space.pieces().partition_point(|piece| piece.end() <= first);
    let pieces = space.pieces().get(from..).unwrap_or_default();
    let own = pieces.iter().take_while(|piece| piece.start <= end).filter(|piece| piece.writable);
    let own: Vec<(Address, &[u8])> = own
        .filter_map(|piece| {
            let bytes = piece.bytes?;
            let skipped = first.saturating_sub(piece.start) as usize;
            Some((piece.start.max(first), bytes.get(skipped..)?))
        })
        .collect();
    own.into_iter()
}
