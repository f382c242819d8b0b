//! One column.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Numbers any bytes can be read as, and that have no bytes between them.
pub trait Plain: Copy + FromBytes + IntoBytes + Immutable + Send + Sync + 'static {}

impl<T: Copy + FromBytes + IntoBytes + Immutable + Send + Sync + 'static> Plain for T {}

/// Bytes that stay where they are.
pub(super) type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A slice that owns its memory or has it from a file.
#[derive(Clone)]
pub struct Column<T> {
    store: Store<T>,
}

#[derive(Clone)]
enum Store<T> {
    Owned(Vec<T>),
    /// Bytes of a file, aligned for `T` and a whole number of them, as the constructors have seen to.
    InFile {
        file: Bytes,
        bytes: Range<usize>,
    },
}

impl<T: Plain> Column<T> {
    /// A part of a file; `None` if the file does not have it, or not as numbers of this type.
    pub(super) fn in_file(file: Bytes, bytes: Range<usize>) -> Option<Self> {
        <[T]>::ref_from_bytes((*file).as_ref().get(bytes.clone())?).ok()?;
        Some(Self { store: Store::InFile { file, bytes } })
    }

    /// The numbers at `range`, without copying those of a file; `None` if there are not so many.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let part = self.get(range.clone())?;
        Some(match &self.store {
            Store::Owned(_) => part.to_vec().into(),
            Store::InFile { file, bytes } => {
                let start = bytes.start + range.start * size_of::<T>();
                let bytes = start..start + size_of_val(part);
                Self { store: Store::InFile { file: file.clone(), bytes } }
            }
        })
    }

    /// The numbers, to be changed: those of a file are copied before.
    pub fn to_mut(&mut self) -> &mut [T] {
        if let Store::InFile { .. } = self.store {
            self.store = Store::Owned(self.to_vec());
        }
        match &mut self.store {
            Store::Owned(numbers) => numbers,
            Store::InFile { .. } => &mut [],
        }
    }

    /// Bytes of memory that it takes for itself.
    pub fn owned_bytes(&self) -> usize {
        match &self.store {
            Store::Owned(numbers) => numbers.capacity() * size_of::<T>(),
            Store::InFile { .. } => 0,
        }
    }
}

impl<T: Plain> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.store {
            Store::Owned(numbers) => numbers,
            Store::InFile { file, bytes } => {
                let bytes = (**file).as_ref().get(bytes.clone()).unwrap_or_default();
                <[T]>::ref_from_bytes(bytes).unwrap_or_default()
            }
        }
    }
}

impl<T: Plain + PartialEq> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<'c, T: Plain> IntoIterator for &'c Column<T> {
    type Item = &'c T;
    type IntoIter = std::slice::Iter<'c, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self { store: Store::Owned(numbers) }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Plain> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.store {
            Store::Owned(_) => "in memory",
            Store::InFile { .. } => "in a file",
        };
        write!(f, "Column({} numbers {place})", self.len())
    }
}
