//! How many objects the census found, and what it could not read, counted.

use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use crate::cpython::Gap;
use std::io::{self, Seek, Write};

/// What the census could not read, counted; each makes a number a lower bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CensusGaps {
    /// Objects whose size or references were unreadable.
    pub unreadable_objects: u64,
    /// First such objects.
    pub examples: Vec<Address>,
    /// Objects of types whose own traversal could not be followed.
    pub opaque_objects: u64,
    /// Entries of the collector's lists that are no objects.
    pub unknown_list_entries: u64,
    /// Pools of the allocator whose free list contradicts their header.
    pub damaged_pools: u64,
    /// Objects came from malloc, so that only those that something refers to are known.
    pub only_reachable: bool,
    /// Live blocks of the allocators that hold no object: buffers, tables, and what no type claims.
    pub other_blocks: u64,
    /// Bytes in them.
    pub other_bytes: u64,
}

/// How many objects there are, and how sure that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CensusFigures {
    /// Objects.
    pub objects: u64,
    /// What could not be read.
    pub gaps: CensusGaps,
}

impl CensusFigures {
    /// Writes them.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        let gaps = &self.gaps;
        out.column("gaps.examples", &gaps.examples)?;
        out.column(
            "gaps.counts",
            &[
                self.objects,
                gaps.unreadable_objects,
                gaps.opaque_objects,
                gaps.unknown_list_entries,
                gaps.damaged_pools,
                u64::from(gaps.only_reachable),
                gaps.other_blocks,
                gaps.other_bytes,
            ],
        )
    }

    /// What was written of the objects, without them.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let counts = file.column::<u64>("gaps.counts")?;
        let &[
            objects,
            unreadable_objects,
            opaque_objects,
            unknown_list_entries,
            damaged_pools,
            reachable,
            other_blocks,
            other_bytes,
        ] = &*counts
        else {
            return Err(Damaged::because("it counts other gaps than this release"));
        };
        let gaps = CensusGaps {
            unreadable_objects,
            examples: file.column::<Address>("gaps.examples")?.to_vec(),
            opaque_objects,
            unknown_list_entries,
            damaged_pools,
            only_reachable: reachable != 0,
            other_blocks,
            other_bytes,
        };
        Ok(Self { objects, gaps })
    }
}

/// How many examples are kept.
const MAX_EXAMPLES: usize = 8;

impl CensusGaps {
    /// Adds what another part of the census could not read.
    pub(super) fn add(&mut self, other: &Self) {
        self.unreadable_objects += other.unreadable_objects;
        self.opaque_objects += other.opaque_objects;
        self.unknown_list_entries += other.unknown_list_entries;
        self.other_blocks += other.other_blocks;
        self.other_bytes += other.other_bytes;
        let room = MAX_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.iter().take(room));
    }

    /// Notes an object whose size or references are unreadable.
    fn note(&mut self, object: Address) {
        self.unreadable_objects += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(object);
        }
    }

    /// Notes what visiting `object` could not read, and whether its size is unknown.
    #[inline]
    pub(super) fn note_visit(&mut self, object: Address, gap: Result<(), Gap>, size_unknown: bool) {
        match gap {
            Err(Gap::Unreadable(_)) => self.note(object),
            Err(Gap::Opaque) => self.opaque_objects += 1,
            Ok(()) if size_unknown => self.note(object),
            Ok(()) => {}
        }
    }
}
