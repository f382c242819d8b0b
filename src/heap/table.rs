//! The columns: one row for each object, in order of address.

use super::ObjectIndex;
use super::found::{Columns, Owned};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use crate::cpython::{Generation, TypeId};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::io::{self, Seek, Write};
use std::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Dense number of an object, in order of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// What is known of an object besides type and size, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct ObjectFlags(u8);

/// Bits that hold the generation; 7 stands for "not tracked".
const GENERATION: u8 = 0b0000_0111;
const UNTRACKED: u8 = 7;
const FINALIZED: u8 = 0b0000_1000;
const IMMORTAL: u8 = 0b0001_0000;
const OUTSIDE_POOLS: u8 = 0b0010_0000;
/// Objects a thread takes at a time.
const CHUNK: usize = 1 << 16;
/// What it owns besides its size, see [`Owned`]; neither bit: nothing.
const OWNS_USUAL: u8 = 0b0100_0000;
const OWNS_OTHER: u8 = 0b1000_0000;

impl ObjectFlags {
    /// An object the collector does not track.
    pub const UNTRACKED: Self = Self(UNTRACKED);

    /// On which of the collector's lists the object is; `None` when it is not tracked.
    #[inline]
    pub fn generation(self) -> Option<Generation> {
        match self.0 & GENERATION {
            UNTRACKED => None,
            generation => Some(Generation::from_u8(generation)),
        }
    }

    /// Whether the collector tracks it.
    #[inline]
    pub fn is_tracked(self) -> bool {
        self.0 & GENERATION != UNTRACKED
    }

    /// `tp_finalize` has been called for it already.
    #[inline]
    pub fn is_finalized(self) -> bool {
        self.0 & FINALIZED != 0
    }

    /// Its refcount says that it is never to be freed (PEP 683).
    #[inline]
    pub fn is_immortal(self) -> bool {
        self.0 & IMMORTAL != 0
    }

    /// It lies in no pool of pymalloc: larger than 512 bytes with its head, or static.
    #[inline]
    pub fn is_outside_pools(self) -> bool {
        self.0 & OUTSIDE_POOLS != 0
    }

    /// The same with the generation replaced.
    #[must_use]
    pub fn with_generation(self, generation: Option<Generation>) -> Self {
        Self(self.0 & !GENERATION | generation.map_or(UNTRACKED, |generation| generation as u8))
    }

    /// The same, finalized if `yes`.
    #[must_use]
    pub fn with_finalized(self, yes: bool) -> Self {
        Self(if yes { self.0 | FINALIZED } else { self.0 })
    }

    /// The same, immortal if `yes`.
    #[must_use]
    pub fn with_immortal(self, yes: bool) -> Self {
        Self(if yes { self.0 | IMMORTAL } else { self.0 })
    }

    /// The same, outside pymalloc's pools if `yes`.
    #[must_use]
    pub fn with_outside_pools(self, yes: bool) -> Self {
        Self(if yes { self.0 | OUTSIDE_POOLS } else { self.0 })
    }

    /// The same with what it owns besides its size.
    pub(super) fn with_owned(self, owned: Owned) -> Self {
        Self(match owned {
            Owned::Nothing => self.0,
            Owned::Usual => self.0 | OWNS_USUAL,
            Owned::Other(_) => self.0 | OWNS_OTHER,
        })
    }
}

/// Sizes of one object.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The object.
    pub id: ObjectId,
    /// Its type.
    pub type_id: TypeId,
    /// `sys.getsizeof()`, in bytes.
    pub size: u64,
    /// As of [`ObjectTable::besides`].
    pub besides: i64,
    /// Its flags.
    pub flags: ObjectFlags,
}

impl Measured {
    /// As of [`ObjectTable::shallow`].
    #[inline]
    pub fn shallow(self) -> u64 {
        self.size.saturating_add_signed(self.besides)
    }
}

/// The columns of sizes: where they lie in a file is looked up once, not for each object.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'t> {
    table: &'t ObjectTable,
    types: &'t [TypeId],
    sizes: &'t [u32],
    flags: &'t [ObjectFlags],
    usual: &'t [i64],
}

impl Rows<'_> {
    /// The sizes of an object; `None` if there is none of that number.
    #[inline]
    pub fn get(&self, id: ObjectId) -> Option<Measured> {
        let node = id.0 as usize;
        let (&type_id, &size, &flags) = (self.types.get(node)?, self.sizes.get(node)?, self.flags.get(node)?);
        Some(Measured {
            id,
            type_id,
            size: if size == u32::MAX { self.table.size(id) } else { u64::from(size) },
            besides: match flags.0 & (OWNS_USUAL | OWNS_OTHER) {
                0 => 0,
                OWNS_USUAL => self.usual.get(type_id.0 as usize).copied().unwrap_or(0),
                _ => self.table.owned_by(id),
            },
            flags,
        })
    }
}

/// All objects of the process: 17 bytes each, and the index from address to id. Objects have two sizes: `sys.getsizeof()`, and
/// with what they own besides their shallow size, which is what freeing them gives back.
#[derive(Clone, Debug, Default)]
pub struct ObjectTable {
    addresses: Column<Address>,
    types: Column<TypeId>,
    sizes: Column<u32>,
    flags: Column<ObjectFlags>,
    large: FxHashMap<Address, u64>,
    /// By type: what instances usually own besides.
    usual: Column<i64>,
    /// Objects that own something else, ascending, and how many bytes.
    owning: Column<u32>,
    owned: Column<i64>,
    index: ObjectIndex,
}

impl ObjectTable {
    /// Numbers the objects of `columns`, which are in order of address. `usual` says by type what `Owned::Usual` is.
    pub fn new(columns: Columns, usual: Vec<i64>) -> Self {
        let index = ObjectIndex::new(&columns.addresses);
        Self {
            addresses: columns.addresses.into(),
            types: columns.types.into(),
            sizes: columns.sizes.into(),
            flags: columns.flags.into(),
            large: columns.large.into_iter().collect(),
            usual: usual.into(),
            owning: columns.owning.into(),
            owned: columns.owned.into(),
            index,
        }
    }

    /// Writes the columns and the index.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column("objects.addresses", &self.addresses)?;
        out.column("objects.types", &self.types)?;
        out.column("objects.sizes", &self.sizes)?;
        out.column("objects.flags", &self.flags)?;
        let mut large: Vec<[u64; 2]> = self.large.iter().map(|(&address, &size)| [address, size]).collect();
        large.sort_unstable();
        out.column("objects.large", &large)?;
        out.column("objects.usual", &self.usual)?;
        out.column("objects.owning", &self.owning)?;
        out.column("objects.owned", &self.owned)?;
        self.index.write(out)
    }

    /// The table that was written; only the sizes that do not fit their column are copied.
    ///
    /// # Errors
    /// A column is not there or damaged, or they are not equally long.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let table = Self {
            addresses: file.column("objects.addresses")?,
            types: file.column("objects.types")?,
            sizes: file.column("objects.sizes")?,
            flags: file.column("objects.flags")?,
            large: file
                .column::<[u64; 2]>("objects.large")?
                .iter()
                .map(|&[address, size]| (address, size))
                .collect(),
            usual: file.column("objects.usual")?,
            owning: file.column("objects.owning")?,
            owned: file.column("objects.owned")?,
            index: ObjectIndex::read(file)?,
        };
        let objects = table.len();
        let lengths = [table.types.len(), table.sizes.len(), table.flags.len(), table.index.len()];
        if lengths.iter().all(|&length| length == objects) {
            Ok(table)
        } else {
            Err(Damaged::because("its columns of objects are not equally long"))
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// All ids.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = ObjectId> + ExactSizeIterator + use<> {
        (0..self.addresses.len() as u32).map(ObjectId)
    }

    /// Address of an object.
    ///
    /// # Panics
    /// Like the other columns: never for ids of this table.
    #[inline]
    pub fn address(&self, id: ObjectId) -> Address {
        self.addresses[id.0 as usize]
    }

    /// Type of an object.
    #[inline]
    pub fn type_id(&self, id: ObjectId) -> TypeId {
        self.types[id.0 as usize]
    }

    /// `sys.getsizeof()` of an object, in bytes.
    #[inline]
    pub fn size(&self, id: ObjectId) -> u64 {
        match self.sizes[id.0 as usize] {
            u32::MAX => self.large.get(&self.address(id)).copied().unwrap_or(u64::from(u32::MAX)),
            size => u64::from(size),
        }
    }

    /// What an object alone owns that `sys.getsizeof()` does not count, in bytes, as far as it is known; negative where that counts
    /// other objects.
    #[inline]
    pub fn besides(&self, id: ObjectId) -> i64 {
        self.rows().get(id).map_or(0, |object| object.besides)
    }

    fn owned_by(&self, id: ObjectId) -> i64 {
        let place = self.owning.binary_search(&id.0).ok();
        place.and_then(|place| self.owned.get(place)).copied().unwrap_or(0)
    }

    /// Shallow size of an object, in bytes: `sys.getsizeof()` and what it owns besides. What freeing it gives back.
    #[inline]
    pub fn shallow(&self, id: ObjectId) -> u64 {
        self.rows().get(id).map_or(0, Measured::shallow)
    }

    /// Flags of an object.
    #[inline]
    pub fn flags(&self, id: ObjectId) -> ObjectFlags {
        self.flags[id.0 as usize]
    }

    /// The column of flags.
    pub fn flags_column(&self) -> &[ObjectFlags] {
        &self.flags
    }

    /// The column of types.
    pub fn types_column(&self) -> &[TypeId] {
        &self.types
    }

    /// The column of addresses, ascending.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Replaces the flags of an object.
    pub(super) fn set_flags(&mut self, id: ObjectId, flags: ObjectFlags) {
        if let Some(entry) = self.flags.to_mut().get_mut(id.0 as usize) {
            *entry = flags;
        }
    }

    /// The object that starts at `address`.
    #[inline]
    pub fn find(&self, address: Address) -> Option<ObjectId> {
        self.index.find(address).map(ObjectId)
    }

    /// The last object that starts at or before `address`.
    pub fn at_or_before(&self, address: Address) -> Option<ObjectId> {
        let after = self.addresses.partition_point(|&start| start <= address);
        after.checked_sub(1).map(|id| ObjectId(id as u32))
    }

    /// The sizes of consecutive objects, for passes over many.
    pub fn measured(&self, range: Range<usize>) -> impl Iterator<Item = Measured> + '_ {
        let rows = self.rows();
        range.map_while(move |node| rows.get(ObjectId(node as u32)))
    }

    /// The columns of sizes at hand: for who asks for many objects.
    pub fn rows(&self) -> Rows<'_> {
        let (types, sizes, flags) = (&*self.types, &*self.sizes, &*self.flags);
        Rows { table: self, types, sizes, flags, usual: &self.usual }
    }

    /// The column of shallow sizes, made now: 8 bytes an object.
    pub fn shallow_column(&self) -> Vec<u64> {
        let mut column = vec![0; self.len()];
        column.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, part)| {
            let start = chunk * CHUNK;
            let measured = self.measured(start..start + part.len());
            part.iter_mut().zip(measured).for_each(|(slot, object)| *slot = object.shallow());
        });
        column
    }

    /// Sum of all shallow sizes, in bytes.
    pub fn total_shallow(&self) -> u64 {
        let sum = |chunk: usize| -> u64 {
            let start = chunk * CHUNK;
            let measured = self.measured(start..(start + CHUNK).min(self.len()));
            measured.map(|object| object.shallow()).fold(0, u64::saturating_add)
        };
        let chunks = (0..self.len().div_ceil(CHUNK)).into_par_iter();
        chunks.map(sum).reduce(|| 0, u64::saturating_add)
    }

    /// Bytes of the columns and the index.
    pub fn bytes(&self) -> usize {
        self.addresses.owned_bytes()
            + self.types.owned_bytes()
            + self.sizes.owned_bytes()
            + self.flags.owned_bytes()
            + self.owning.owned_bytes()
            + self.owned.owned_bytes()
            + self.index.bytes()
    }
}

const _: () =
    assert!(size_of::<TypeId>() == 4 && size_of::<ObjectFlags>() == 1 && size_of::<ObjectId>() == 4);
