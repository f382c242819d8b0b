//! The memory of the process: spliced pieces, and every read of it.
//!
//! Knows addresses and bytes; refuses to know files and ELF (see `splice` for where pieces come from). A read
//! of a heap of gigabytes happens tens of millions of times, so the lookup does no search in the usual case
//! and nothing here panics, whatever the address.

use std::borrow::Cow;

use super::Address;
use super::error::ReadError;
use super::piece_table::PieceTable;
use super::read_log::{ReadLog, Recorded};

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
    /// Of a space whose reads are recorded.
    log: Option<ReadLog>,
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
        AddressSpace { pieces, table, log: None }
    }

    /// The same memory, with every read recorded from now on; see [`AddressSpace::read_log`].
    pub fn recording(mut self, what: Recorded) -> AddressSpace<'core> {
        self.log = Some(ReadLog::new(&self.pieces, what));
        self
    }

    /// Whether reads are recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.log.is_some()
    }

    /// What has been read, if that is recorded.
    pub fn read_log(&self) -> Option<&ReadLog> {
        self.log.as_ref()
    }

    /// Records a read of bytes that were come by through [`AddressSpace::peek`] or [`AddressSpace::pieces`].
    #[inline]
    pub fn record(&self, address: Address, len: usize) {
        if let Some(log) = &self.log {
            self.record_in(log, address, len);
        }
    }

    /// Takes back that the `len` bytes from `address` on were read.
    pub fn forget(&self, address: Address, len: u64) {
        let Some(log) = &self.log else { return };
        let mut at = address;
        let end = address.saturating_add(len);
        while let Some((index, piece)) = self.locate(at).filter(|_| at < end) {
            let until = end.min(piece.end());
            log.forget(index, at - piece.start, until - at);
            at = until;
        }
    }

    #[cold]
    fn record_in(&self, log: &ReadLog, address: Address, len: usize) {
        let mut at = address;
        let end = address.saturating_add(len as u64);
        while at < end {
            let Some((index, piece)) = self.locate(at) else { return };
            let until = end.min(piece.end());
            log.note(index, at - piece.start, until - at);
            at = until;
        }
    }

    /// All pieces, sorted by address and disjoint.
    pub fn pieces(&self) -> &[Piece<'core>] {
        &self.pieces
    }

    /// The piece that holds an address.
    #[inline]
    pub fn piece_at(&self, address: Address) -> Option<&Piece<'core>> {
        self.locate(address).map(|(_, piece)| piece)
    }

    /// The piece that holds an address, and its number.
    #[inline(always)]
    fn locate(&self, address: Address) -> Option<(usize, &Piece<'core>)> {
        let first = self.table.first_candidate(address);
        for index in first..first + SHORT_SCAN {
            let piece = self.pieces.get(index)?;
            if piece.contains(address) {
                return Some((index, piece));
            }
            if address < piece.start {
                return None;
            }
        }
        self.search(address)
    }

    /// The lookup for places with so many small pieces that the table does not get near enough.
    #[cold]
    fn search(&self, address: Address) -> Option<(usize, &Piece<'core>)> {
        let index = self.pieces.partition_point(|piece| piece.start <= address).checked_sub(1)?;
        let piece = self.pieces.get(index).filter(|piece| piece.contains(address))?;
        Some((index, piece))
    }

    /// Whether the process had this address mapped, be its bytes known or not.
    #[inline]
    pub fn is_mapped(&self, address: Address) -> bool {
        self.piece_at(address).is_some()
    }

    /// All bytes from an address to the end of its piece; never empty. That they are read is not recorded.
    ///
    /// # Errors
    /// [`ReadError`] with this address.
    #[inline]
    pub fn peek_from(&self, address: Address) -> Result<&'core [u8], ReadError> {
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
        let bytes = self.peek(address, len);
        self.record(address, if bytes.is_ok() { len } else { 0 });
        bytes
    }

    /// As [`AddressSpace::slice`], of contents that are nobody's structure, such as the characters of a str; see
    /// [`Recorded::Structure`].
    ///
    /// # Errors
    /// As [`AddressSpace::slice`].
    #[inline]
    pub fn payload(&self, address: Address, len: usize) -> Result<&'core [u8], ReadError> {
        let bytes = self.peek(address, len);
        if let (Some(log), Ok(_)) = (&self.log, &bytes)
            && log.what() == Recorded::Everything
        {
            self.record_in(log, address, len);
        }
        bytes
    }

    /// As [`AddressSpace::slice`], for who looks through more than counts: that the bytes are read is not recorded; see
    /// [`AddressSpace::record`].
    ///
    /// # Errors
    /// As [`AddressSpace::slice`].
    #[inline]
    pub fn peek(&self, address: Address, len: usize) -> Result<&'core [u8], ReadError> {
        let bytes = self.peek_from(address)?;
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
        let first = self.peek_from(address)?;
        self.record(address, len);
        if let Some(slice) = first.get(..len) {
            return Ok(Cow::Borrowed(slice));
        }
        let mut parts = vec![first];
        let mut found = first.len();
        while found < len {
            let next = address.checked_add(found as u64).ok_or(ReadError::Unmapped(Address::MAX))?;
            let part = self.peek_from(next)?;
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
        let bytes = self.peek_from(address)?;
        let window = bytes.get(..max).unwrap_or(bytes);
        let end = window.iter().position(|&byte| byte == 0);
        self.record(address, end.map_or(window.len(), |end| end + 1));
        if let Some(log) = &self.log {
            log.note_string(address, end.unwrap_or(window.len()));
        }
        match end {
            Some(end) => Ok(window.get(..end).unwrap_or_default()),
            None if window.len() == max => Ok(window),
            None => Err(self.error_at(address.saturating_add(window.len() as u64))),
        }
    }

    #[inline]
    fn array<const N: usize>(&self, address: Address) -> Result<[u8; N], ReadError> {
        match self.peek_from(address)?.first_chunk() {
            Some(array) => {
                self.record(address, N);
                Ok(*array)
            }
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
