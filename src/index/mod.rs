//! The index: what one analysis of a core worked out, in a file, for the commands that follow.
//!
//! Knows which results are kept, where the file lies and which core it belongs to; refuses to know how anything is worked
//! out. It holds addresses, types, sizes and references, not what objects contain. The file is mapped and a column checked
//! when it is first needed: what is damaged, or of another core or release, is worked out again, never believed.

mod key;
mod place;

pub use key::Key;
pub use place::Places;

use crate::analysis::{Collection, Heap, Histogram, Holders, Retention, Roots, Selection, histogram};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::{Address, MappedFile, NewFile, NewFileError};
use crate::cpython::{Known, Runtime, read_lists, write_lists};
use crate::graph::GroupTotal;
use crate::heap::{CensusFigures, Counted, HeapGraph, ReferenceFigures};
use rayon::prelude::*;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 20;

/// An index that belongs to the core at hand.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    file: ColumnFile,
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a, 'core> {
    /// The interpreter.
    pub runtime: &'a Runtime<'core>,
    /// Its objects.
    pub counted: &'a Counted,
    /// Their references.
    pub graph: &'a HeapGraph,
    /// What the collector would find.
    pub garbage: &'a Collection,
    /// All roots.
    pub roots: &'a Roots,
    /// The best path to every object.
    pub holders: &'a Holders,
    /// What every object retains.
    pub retention: &'a Retention,
    /// What the instances of every type retain together.
    pub retained_types: &'a [GroupTotal],
}

/// Why no index was written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A place for it.
    #[error(transparent)]
    Place(#[from] NewFileError),
    /// Its content.
    #[error("cannot write the index {}: {source}; check that there is room, or do without with --no-index", path.display())]
    Write {
        /// The name it would have had.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the files told is no text.
    #[error("what the process' files told cannot be written down: {0}")]
    Answers(#[from] serde_json::Error),
}

impl Index {
    /// Opens the index at `path` if it is one of the core that `key` tells; `None` if there is no file.
    ///
    /// # Errors
    /// The file is damaged, or of another core, release or choice of options.
    pub fn open(path: &Path, key: &Key) -> Option<Result<Self, Damaged>> {
        let file = MappedFile::open_as_is(path).ok()?;
        let opened = ColumnFile::of(Arc::new(file)).and_then(|file| {
            if *file.column::<u8>("key")? == *key.as_bytes() {
                Ok(Self { path: path.to_owned(), file })
            } else {
                Err(Damaged::because("it is of another core, release or choice of files"))
            }
        });
        Some(opened)
    }

    /// An index that is in memory, whatever core it is of.
    #[cfg(any(test, feature = "testkit"))]
    pub fn of(file: ColumnFile) -> Self {
        Self { path: PathBuf::new(), file }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the process' files told, as [`crate::debuginfo::Answers`] are written.
    ///
    /// # Errors
    /// It is damaged, as of all that follow.
    pub fn answers(&self) -> Result<Vec<u8>, Damaged> {
        Ok(self.file.column::<u8>("answers")?.to_vec())
    }

    /// What need not be looked for in the process again.
    ///
    /// # Errors
    /// It is damaged.
    pub fn known(&self) -> Result<Known, Damaged> {
        let types = self.file.column::<Address>("types")?.to_vec();
        Ok(Known { lists: Some(read_lists(&self.file)?), types })
    }

    /// Whether types have the numbers that the index knows them by.
    pub fn fits(&self, runtime: &Runtime<'_>) -> bool {
        self.file.column::<Address>("types").is_ok_and(|types| *types == *addresses_of_types(runtime))
    }

    /// The objects.
    ///
    /// # Errors
    /// They are damaged.
    pub fn counted(&self) -> Result<Counted, Damaged> {
        let counted = Counted::read(&self.file)?;
        let types = self.file.column::<Address>("types")?.len();
        match counted.objects.types_column().par_iter().all(|id| (id.0 as usize) < types) {
            true => Ok(counted),
            false => Err(Damaged::because("its objects are of types that it does not list")),
        }
    }

    /// How many objects there are, and what is not known of them, without reading them.
    ///
    /// # Errors
    /// The figures are damaged.
    pub fn census_figures(&self) -> Result<CensusFigures, Damaged> {
        CensusFigures::read(&self.file)
    }

    /// All objects by type.
    ///
    /// # Errors
    /// The totals are damaged.
    pub fn totals(&self, runtime: &Runtime<'_>) -> Result<Histogram, Damaged> {
        Histogram::read(runtime.types.len(), &self.file)
    }

    /// The references.
    ///
    /// # Errors
    /// They are damaged.
    pub fn graph(&self) -> Result<HeapGraph, Damaged> {
        HeapGraph::read(&self.file)
    }

    /// How many references there are, without reading them.
    ///
    /// # Errors
    /// The figures are damaged.
    pub fn reference_figures(&self) -> Result<ReferenceFigures, Damaged> {
        ReferenceFigures::read(&self.file)
    }

    /// The garbage.
    ///
    /// # Errors
    /// It is damaged.
    pub fn garbage(&self, runtime: &Runtime<'_>, counted: &Counted) -> Result<Collection, Damaged> {
        Collection::read(runtime, &counted.objects, &self.file)
    }

    /// The roots.
    ///
    /// # Errors
    /// They are damaged.
    pub fn roots(&self, heap: Heap<'_, '_>, garbage: &Collection) -> Result<Roots, Damaged> {
        Roots::read(heap, garbage, &self.file)
    }

    /// The best path to every object.
    ///
    /// # Errors
    /// They are damaged.
    pub fn holders(&self, counted: &Counted) -> Result<Holders, Damaged> {
        Holders::read(counted.objects.len(), &self.file)
    }

    /// What every object retains.
    ///
    /// # Errors
    /// It is damaged.
    pub fn retention(&self, counted: &Counted) -> Result<Retention, Damaged> {
        Retention::read(counted.objects.len(), &self.file)
    }

    /// What the instances of every type retain together, by the type's number.
    ///
    /// # Errors
    /// It is damaged.
    pub fn retained_types(&self) -> Result<Vec<GroupTotal>, Damaged> {
        let nodes = self.file.column::<u64>("together objects")?;
        let weights = self.file.column::<u64>("together bytes")?;
        let totals = nodes.iter().zip(weights.iter());
        Ok(totals.map(|(&nodes, &weight)| GroupTotal { nodes, weight }).collect())
    }
}

/// Writes an index to the first of `places` that takes it, in the place of one that is there, and says which it was. The file
/// has its name when it is complete: whoever opens it meanwhile finds the old one or none.
///
/// # Errors
/// No place takes it.
pub fn write(places: &Places, key: &Key, contents: Contents<'_, '_>) -> Result<PathBuf, IndexError> {
    let (path, new) = places.create()?;
    let failed = |source| IndexError::Write { path: path.clone(), source };
    let answers = contents.runtime.binaries.answers().to_bytes()?;
    let mut out = ColumnWriter::new(BufWriter::with_capacity(BUFFER, new.file())).map_err(failed)?;
    contents.write(&answers, key, &mut out).map_err(failed)?;
    out.finish().map_err(failed)?;
    NewFile::into_place(new)?;
    Ok(path)
}

impl Contents<'_, '_> {
    /// The index as a file in memory.
    ///
    /// # Errors
    /// What the files told is no text.
    #[cfg(any(test, feature = "testkit"))]
    pub fn to_bytes(&self, key: &Key) -> Result<Vec<u8>, IndexError> {
        let answers = self.runtime.binaries.answers().to_bytes()?;
        let write = || {
            let mut out = ColumnWriter::new(io::Cursor::new(Vec::new()))?;
            self.write(&answers, key, &mut out)?;
            Ok(out.finish()?.into_inner())
        };
        write().map_err(|source| IndexError::Write { path: PathBuf::new(), source })
    }

    fn write<W: Write + Seek>(&self, answers: &[u8], key: &Key, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column("key", key.as_bytes())?;
        out.column("answers", answers)?;
        out.column("types", &addresses_of_types(self.runtime))?;
        write_lists(&self.runtime.gc_lists, out)?;
        self.counted.write(out)?;
        histogram(&self.counted.objects, self.runtime.types.len(), &Selection::default()).write(out)?;
        self.graph.write(out)?;
        self.garbage.write(out)?;
        self.roots.write(out)?;
        self.holders.write(out)?;
        self.retention.write(out)?;
        let of_all =
            |number: fn(&GroupTotal) -> u64| -> Vec<u64> { self.retained_types.iter().map(number).collect() };
        out.column("together objects", &of_all(|total| total.nodes))?;
        out.column("together bytes", &of_all(|total| total.weight))
    }
}

/// Types by their numbers.
fn addresses_of_types(runtime: &Runtime<'_>) -> Vec<Address> {
    runtime.types.iter().map(|(_, info)| info.address).collect()
}
