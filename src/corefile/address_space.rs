//! The memory of the process: spliced pieces, and every read of it.
//!
//! Knows addresses and bytes; refuses to know files and ELF (see `splice` for where pieces come from). A read
//! of a heap of gigabytes happens tens of millions of times, so the lookup does no search in the usual case
//! and nothing here panics, whatever the address.

use std::borrow::Cow;

use super::Address;
use super::error::ReadError;
use super::piece_table::PieceTable;

/// Where the bytes of a piece come from, or would come from if they were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceSource {
    /// The core file.
    Core,
    /// The file of a module, by its index in [`Inputs::modules`](super::Inputs::modules).
    Module(usize),
}

/// A range of the process' memory with one origin and one set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'core> {
    /// First address.
    pub start: Address,
    /// Length in bytes, never 0; `start + len` does not overflow.
    pub len: u64,
    /// The bytes, `len` of them; `None` if they are not in the core and no module file supplies them.
    pub bytes: Option<&'core [u8]>,
    /// Whether the process could write here.
    pub writable: bool,
    /// Whether the process could execute here.
    pub executable: bool,
    /// Where the bytes come from.
    pub source: PieceSource,
}

impl Piece<'_> {
    /// First address after the piece.
    pub fn end(&self) -> Address {
        self.start.saturating_add(self.len)
    }

    /// Whether the address lies in the piece.
    pub fn contains(&self, address: Address) -> bool {
        address.wrapping_sub(self.start) < self.len
    }
}

/// How many neighbours a lookup tries one by one before it searches.
const SHORT_SCAN: usize = 6;

/// All memory of the process. Build it once ([`Inputs::space`](super::Inputs::space)) and share it.
#[derive(Debug)]
pub struct AddressSpace<'core> {
    pieces: Vec<Piece<'core>>,
    table: PieceTable,
}

impl<'core> AddressSpace<'core> {
    /// An address space of these pieces. Pieces that are empty, reach beyond the address space, overlap an
    /// earlier one or whose bytes are not `len` long are dropped.
    pub fn from_pieces(mut pieces: Vec<Piece<'core>>) -> AddressSpace<'core> {
        pieces.retain(|piece| {
            let whole = piece.bytes.is_none_or(|bytes| bytes.len() as u64 == piece.len);
            whole && piece.len > 0 && piece.start.checked_add(piece.len).is_some()
        });
        pieces.sort_by_key(|piece| piece.start);
        let mut free = 0;
        pieces.retain(|piece| {
            let disjoint = piece.start >= free;
            if disjoint {
                free = piece.end();
            }
            disjoint
        });
        let table = PieceTable::new(&pieces);
        AddressSpace { pieces, table }
    }

    /// All pieces, sorted by address and disjoint.
    pub fn pieces(&self) -> &[Piece<'core>] {
        &self.pieces
    }

    /// The piece that holds an address.
    #[inline]
    pub fn piece_at(&self, address: Address) -> Option<&Piece<'core>> {
        let first = self.table.first_candidate(address);
        for index in first..first + SHORT_SCAN {
            let piece = self.pieces.get(index)?;
            if piece.contains(address) {
                return Some(piece);
            }
            if address < piece.start {
                return None;
            }
        }
        self.search(address)
    }

    /// The lookup for places with so many small pieces that the table does not get near enough.
    #[cold]
    fn search(&self, address: Address) -> Option<&Piece<'core>> {
        let after = self.pieces.partition_point(|piece| piece.start <= address);
        self.pieces.get(after.checked_sub(1)?).filter(|piece| piece.contains(address))
    }

    /// Whether the process had this address mapped, be its bytes known or not.
    #[inline]
    pub fn is_mapped(&self, address: Address) -> bool {
        self.piece_at(address).is_some()
    }

    /// All bytes from an address to the end of its piece; never empty.
    ///
    /// # Errors
    /// [`ReadError`] with this address.
    #[inline]
    pub fn slice_from(&self, address: Address) -> Result<&'core [u8], ReadError> {
        let piece = self.piece_at(address).ok_or(ReadError::Unmapped(address))?;
        let bytes = piece.bytes.ok_or(ReadError::NotInCore(address))?;
        // In range: the piece contains the address and its bytes are as long as it is.
        bytes.get((address - piece.start) as usize..).ok_or(ReadError::NotInCore(address))
    }

    /// `len` bytes of one piece.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing. A range that goes on in another piece is
    /// reported as [`ReadError::NotInCore`] with the address where the other begins, because it is not
    /// contiguous in the core; [`AddressSpace::read_bytes`] can read it.
    #[inline]
    pub fn slice(&self, address: Address, len: usize) -> Result<&'core [u8], ReadError> {
        let bytes = self.slice_from(address)?;
        match bytes.get(..len) {
            Some(slice) => Ok(slice),
            None => Err(self.error_at(address.saturating_add(bytes.len() as u64))),
        }
    }

    /// Why a range that reaches `address` cannot be had in one slice.
    #[cold]
    fn error_at(&self, address: Address) -> ReadError {
        if self.is_mapped(address) { ReadError::NotInCore(address) } else { ReadError::Unmapped(address) }
    }

    /// `len` bytes, borrowed if they lie in one piece and copied if they cross into adjacent ones.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing; nothing is allocated then, so `len` may be any
    /// number found in the core.
    pub fn read_bytes(&self, address: Address, len: usize) -> Result<Cow<'core, [u8]>, ReadError> {
        let first = self.slice_from(address)?;
        if let Some(slice) = first.get(..len) {
            return Ok(Cow::Borrowed(slice));
        }
        let mut parts = vec![first];
        let mut found = first.len();
        while found < len {
            let next = address.checked_add(found as u64).ok_or(ReadError::Unmapped(Address::MAX))?;
            let part = self.slice_from(next)?;
            let wanted = part.get(..len - found).unwrap_or(part);
            parts.push(wanted);
            found += wanted.len();
        }
        Ok(Cow::Owned(parts.concat()))
    }

    /// The bytes before the first zero, or `max` bytes if none of them is zero.
    ///
    /// # Errors
    /// [`ReadError`] if the string's piece ends before that.
    pub fn c_string(&self, address: Address, max: usize) -> Result<&'core [u8], ReadError> {
        let bytes = self.slice_from(address)?;
        let window = bytes.get(..max).unwrap_or(bytes);
        match window.iter().position(|&byte| byte == 0) {
            Some(end) => Ok(window.get(..end).unwrap_or_default()),
            None if window.len() == max => Ok(window),
            None => Err(self.error_at(address.saturating_add(window.len() as u64))),
        }
    }

    #[inline]
    fn array<const N: usize>(&self, address: Address) -> Result<[u8; N], ReadError> {
        match self.slice_from(address)?.first_chunk() {
            Some(array) => Ok(*array),
            None => self.array_across(address),
        }
    }

    /// An integer at the very end of a piece that goes on in the next.
    #[cold]
    fn array_across<const N: usize>(&self, address: Address) -> Result<[u8; N], ReadError> {
        let bytes = self.read_bytes(address, N)?;
        bytes.first_chunk().copied().ok_or(ReadError::NotInCore(address))
    }

    /// One byte.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_u8(&self, address: Address) -> Result<u8, ReadError> {
        self.array(address).map(u8::from_le_bytes)
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_u16(&self, address: Address) -> Result<u16, ReadError> {
        self.array(address).map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_u32(&self, address: Address) -> Result<u32, ReadError> {
        self.array(address).map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_u64(&self, address: Address) -> Result<u64, ReadError> {
        self.array(address).map(u64::from_le_bytes)
    }

    /// Four bytes, little-endian, signed.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_i32(&self, address: Address) -> Result<i32, ReadError> {
        self.array(address).map(i32::from_le_bytes)
    }

    /// Eight bytes, little-endian, signed.
    ///
    /// # Errors
    /// [`ReadError`] with the first address that is missing.
    #[inline]
    pub fn read_i64(&self, address: Address) -> Result<i64, ReadError> {
        self.array(address).map(i64::from_le_bytes)
    }
}
