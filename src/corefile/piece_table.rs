//! From an address to the first piece worth looking at, without a search.
//!
//! Two levels: one entry per GiB, and for a GiB with many pieces a leaf with one entry per MiB. Its size is
//! bounded by the number of pieces (a leaf of 4 KiB needs more than [`FEW`] of them) plus 512 KiB for the top.

use super::Address;
use super::address_space::Piece;

/// Log2 of the bytes an entry of the top level stands for.
const TOP_SHIFT: u32 = 30;
/// Log2 of the bytes an entry of a leaf stands for.
const LEAF_SHIFT: u32 = 20;
/// Entries of a leaf.
const LEAF_ENTRIES: usize = 1 << (TOP_SHIFT - LEAF_SHIFT);
/// User addresses lie below this: 47 bits on x86-64 with four-level page tables, 48 on AArch64. What lies above
/// (the vsyscall page, larger page tables) shares one entry.
const TOP_LIMIT: Address = 1 << 48;
/// A GiB with no more pieces than this needs no leaf.
const FEW: usize = 4;
/// Marks an entry of the top level that names a leaf and not a piece.
const IS_LEAF: u32 = 1 << 31;

/// For every granule of the address space, the first piece that does not end before it.
#[derive(Debug)]
pub(super) struct PieceTable {
    top: Vec<u32>,
    leaves: Vec<u32>,
    /// The first piece that does not end before `top` does.
    beyond: u32,
}

impl PieceTable {
    /// `pieces` must be sorted and disjoint.
    pub(super) fn new(pieces: &[Piece<'_>]) -> PieceTable {
        let last_low = pieces.iter().rev().find(|piece| piece.start < TOP_LIMIT);
        let end = last_low.map_or(0, |piece| piece.end().min(TOP_LIMIT));
        let gigabytes = end.div_ceil(1 << TOP_SHIFT);
        let mut cursor = Cursor { pieces, index: 0 };
        let mut table =
            PieceTable { top: Vec::with_capacity(gigabytes as usize), leaves: Vec::new(), beyond: 0 };
        for gigabyte in 0..gigabytes {
            let start = gigabyte << TOP_SHIFT;
            let first = cursor.advance(start);
            let crowded = cursor.starts_before(FEW, start + (1 << TOP_SHIFT));
            let entry = if crowded { table.add_leaf(&mut cursor, start) } else { first };
            table.top.push(entry);
        }
        table.beyond = cursor.advance(gigabytes << TOP_SHIFT);
        table
    }

    fn add_leaf(&mut self, cursor: &mut Cursor<'_>, start: Address) -> u32 {
        let number = (self.leaves.len() / LEAF_ENTRIES) as u32;
        for megabyte in 0..LEAF_ENTRIES as u64 {
            self.leaves.push(cursor.advance(start + (megabyte << LEAF_SHIFT)));
        }
        number | IS_LEAF
    }

    /// Index of the first piece that can hold the address: all before it end too early.
    #[inline]
    pub(super) fn first_candidate(&self, address: Address) -> usize {
        let Some(&entry) = self.top.get((address >> TOP_SHIFT) as usize) else {
            return self.beyond as usize;
        };
        if entry & IS_LEAF == 0 {
            return entry as usize;
        }
        let leaf = (entry & !IS_LEAF) as usize * LEAF_ENTRIES;
        let slot = (address >> LEAF_SHIFT) as usize % LEAF_ENTRIES;
        self.leaves.get(leaf + slot).map_or(0, |&first| first as usize)
    }
}

/// Walks the pieces once, in step with the granules.
struct Cursor<'a> {
    pieces: &'a [Piece<'a>],
    index: usize,
}

impl Cursor<'_> {
    /// Moves to the first piece that ends after `address`. Its index fits: a core would need 120 GB of
    /// program headers for 2^31 pieces, and is looked at from the last piece that fits even then.
    fn advance(&mut self, address: Address) -> u32 {
        while self.pieces.get(self.index).is_some_and(|piece| piece.end() <= address) {
            self.index += 1;
        }
        self.index.min(IS_LEAF as usize - 1) as u32
    }

    /// Whether the piece `distance` further on begins before `address`.
    fn starts_before(&self, distance: usize, address: Address) -> bool {
        self.pieces.get(self.index + distance).is_some_and(|piece| piece.start < address)
    }
}
