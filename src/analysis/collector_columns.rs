//! What the detector found, as columns of a file.
//!
//! Knows which of it is a column; refuses to know how it was found. Why garbage was not collected is asked of the process again.

use super::collector::{Collection, InterpreterGarbage, why};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::cpython::Runtime;
use crate::graph::NodeSet;
use crate::heap::{ObjectId, ObjectTable};
use std::io::{self, Seek, Write};

impl Collection {
    /// Writes what was found.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        self.unreachable.write("garbage.unreachable", out)?;
        self.uncollectable.write("garbage.uncollectable", out)?;
        self.resurrectable.write("garbage.resurrectable", out)?;
        self.held.write("garbage.held", out)?;
        let counts =
            [self.unreachable_bytes, self.held_bytes, self.candidates, self.detached, self.inconsistent];
        out.column("garbage.counts", &counts)?;
        let examples: Vec<u32> = self.inconsistent_examples.iter().map(|id| id.0).collect();
        out.column("garbage.inconsistent", &examples)?;
        let row = |of: &InterpreterGarbage| [of.interpreter as u64, of.tracked, of.unreachable, of.bytes];
        let rows: Vec<[u64; 4]> = self.interpreters.iter().map(row).collect();
        out.column("garbage.interpreters", &rows)
    }

    /// What was written.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(runtime: &Runtime<'_>, objects: &ObjectTable, file: &ColumnFile) -> Result<Self, Damaged> {
        let set = |name: &str| NodeSet::read(name, objects.len(), file);
        let counts = file.column::<u64>("garbage.counts")?;
        let &[unreachable_bytes, held_bytes, candidates, detached, inconsistent] = &*counts else {
            return Err(Damaged::because("it counts other garbage than this release"));
        };
        let examples = file.column::<u32>("garbage.inconsistent")?;
        let in_heap = |&&node: &&u32| (node as usize) < objects.len();
        let of = |&[interpreter, tracked, unreachable, bytes]: &[u64; 4]| InterpreterGarbage {
            interpreter: interpreter as i64,
            tracked,
            unreachable,
            bytes,
        };
        Ok(Self {
            unreachable: set("garbage.unreachable")?,
            uncollectable: set("garbage.uncollectable")?,
            resurrectable: set("garbage.resurrectable")?,
            held: set("garbage.held")?,
            unreachable_bytes,
            held_bytes,
            candidates,
            detached,
            interpreters: file.column::<[u64; 4]>("garbage.interpreters")?.iter().map(of).collect(),
            inconsistent,
            inconsistent_examples: examples.iter().filter(in_heap).map(|&node| ObjectId(node)).collect(),
            why: why(runtime, objects),
        })
    }
}
