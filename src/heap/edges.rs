//! The references of all objects as one adjacency.

use super::{ObjectId, ObjectTable};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::cpython::{References, Runtime};
use crate::graph::{Adjacency, Edge, EdgeKind};
use std::io::{self, Seek, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Who refers to whom.
#[derive(Debug)]
pub struct HeapGraph {
    /// References by source, in the order in which traversal reports them.
    pub forward: Adjacency,
    /// References to addresses where no object is known.
    pub dangling: u64,
    /// Objects whose references are known in part only.
    pub partial: u64,
}

/// How many references there are, and how many are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceFigures {
    /// References between objects.
    pub edges: u64,
    /// As of [`HeapGraph::dangling`].
    pub dangling: u64,
    /// As of [`HeapGraph::partial`].
    pub partial: u64,
}

impl ReferenceFigures {
    /// What was written of a graph, without its references.
    ///
    /// # Errors
    /// The column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        match *file.column::<u64>("references.figures")? {
            [edges, dangling, partial] => Ok(Self { edges, dangling, partial }),
            _ => Err(Damaged::because("it counts other gaps than this release")),
        }
    }
}

impl HeapGraph {
    /// The figures of the graph.
    pub fn figures(&self) -> ReferenceFigures {
        ReferenceFigures { edges: self.forward.edges(), dangling: self.dangling, partial: self.partial }
    }

    /// Writes the graph.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        self.forward.write("references", out)?;
        let ReferenceFigures { edges, dangling, partial } = self.figures();
        out.column("references.figures", &[edges, dangling, partial])
    }

    /// The graph that was written; nothing of it is copied.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let forward = Adjacency::read("references", file)?;
        let ReferenceFigures { edges, dangling, partial } = ReferenceFigures::read(file)?;
        match edges == forward.edges() {
            true => Ok(Self { forward, dangling, partial }),
            false => Err(Damaged::because("its references are not as many as it says")),
        }
    }
}

/// Reads the references of every object, in parallel and deterministically.
///
/// # Errors
/// There are more objects than an edge can name.
pub fn build_graph(runtime: &Runtime<'_>, objects: &ObjectTable) -> Result<HeapGraph, TooManyObjects> {
    if objects.len() > Edge::MAX_NODES {
        return Err(TooManyObjects { objects: objects.len() });
    }
    let (dangling, partial) = (AtomicU64::new(0), AtomicU64::new(0));
    let forward = Adjacency::build(objects.len(), |nodes, builder| {
        let mut references = References::new(runtime);
        let (mut lost, mut gaps) = (0, 0);
        for node in nodes {
            let id = ObjectId(node);
            let info = runtime.types.get(objects.type_id(id));
            let visited = references.visit(info, objects.address(id), &mut |referent| match objects
                .find(referent.target)
            {
                Some(target) => builder.edge(Edge::new(target.0, referent.kind)),
                None if referent.kind == EdgeKind::Inferred => {}
                None => lost += 1,
            });
            gaps += u64::from(visited.is_err());
            builder.end_node();
        }
        dangling.fetch_add(lost, Ordering::Relaxed);
        partial.fetch_add(gaps, Ordering::Relaxed);
    });
    Ok(HeapGraph { forward, dangling: dangling.into_inner(), partial: partial.into_inner() })
}

/// The heap has more objects than an edge can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this heap has {objects} objects; graphs are limited to 2^30; `types` and `objects` still work")]
pub struct TooManyObjects {
    /// Objects found.
    pub objects: usize,
}
