//! The graph itself: the edges of every node, in blocks of 2^16 nodes.
//!
//! Knows how edges are stored, built and reversed; refuses to know what they mean beyond their kind.
//!
//! A block has its own edge array and offsets into it, so a block can be built in one pass by one thread without
//! knowing the others, nothing is counted beforehand, and offsets stay 4 bytes though a graph may have more than
//! 2^32 edges.

use std::io::{self, Seek, Write};
use std::ops::Range;

use rayon::prelude::*;

use super::{Edge, EdgeKind};
use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};

const BLOCK_BITS: u32 = 16;
const LOCAL_MASK: u32 = (1 << BLOCK_BITS) - 1;

/// Reversing reads all edges once per group of target blocks; more groups than this would read more than they save.
const MAX_TRANSPOSE_GROUPS: usize = 16;

/// A directed graph: for every node the edges that leave it.
#[derive(Clone, Debug, Default)]
pub struct Adjacency {
    nodes: usize,
    edges: u64,
    dropped: u64,
    blocks: Vec<Block>,
}

/// The edges of up to 2^16 consecutive nodes.
#[derive(Clone, Debug)]
struct Block {
    /// One more than nodes: the edges of the block's node `i` are `edges[starts[i]..starts[i + 1]]`.
    starts: Column<u32>,
    edges: Column<Edge>,
}

impl Block {
    #[inline]
    fn of(&self, local: usize) -> &[Edge] {
        match self.starts.get(local..local + 2) {
            Some(&[start, end]) => self.edges.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// One block of a graph, to stream over.
#[derive(Clone, Copy, Debug)]
pub struct BlockView<'a> {
    /// The block's first node.
    pub first: u32,
    /// One more than nodes: offsets into `edges`.
    pub starts: &'a [u32],
    /// All edges of the block's nodes, in node order.
    pub edges: &'a [Edge],
}

impl<'a> BlockView<'a> {
    /// The block's nodes.
    pub fn nodes(self) -> Range<u32> {
        self.first..self.first + self.starts.len().saturating_sub(1) as u32
    }

    /// Every node of the block with its edges, ascending.
    pub fn iter(self) -> impl Iterator<Item = (u32, &'a [Edge])> {
        self.starts.windows(2).zip(self.first..).map(move |(bounds, node)| match *bounds {
            [start, end] => (node, self.edges.get(start as usize..end as usize).unwrap_or_default()),
            _ => (node, &[][..]),
        })
    }
}

/// Receives the edges of one block, node after node.
#[derive(Debug)]
pub struct BlockBuilder {
    graph_nodes: usize,
    block_nodes: usize,
    starts: Vec<u32>,
    edges: Vec<Edge>,
    dropped: u64,
}

impl BlockBuilder {
    fn new(graph_nodes: usize) -> Self {
        BlockBuilder { graph_nodes, block_nodes: 0, starts: Vec::new(), edges: Vec::new(), dropped: 0 }
    }

    fn begin(&mut self, block_nodes: usize) {
        self.block_nodes = block_nodes;
        self.starts.clear();
        self.starts.push(0);
        self.edges.clear();
        self.dropped = 0;
    }

    /// Adds an edge to the current node. An edge to a node outside the graph, one given when all nodes of the block
    /// have ended, or one past the 2^32 a block can hold is dropped and counted ([`Adjacency::dropped`]).
    #[inline]
    pub fn edge(&mut self, edge: Edge) {
        let fits = (edge.target() as usize) < self.graph_nodes
            && self.starts.len() <= self.block_nodes
            && self.edges.len() < u32::MAX as usize;
        if fits {
            self.edges.push(edge);
        } else {
            self.dropped += 1;
        }
    }

    /// The current node has no more edges; the next edge belongs to the next node. Nodes not ended when the block
    /// is done end then.
    #[inline]
    pub fn end_node(&mut self) {
        if self.starts.len() <= self.block_nodes {
            self.starts.push(self.edges.len() as u32);
        }
    }

    /// The block at its exact size; the buffers stay for the next block.
    fn finish(&mut self) -> (Block, u64) {
        self.starts.resize(self.block_nodes + 1, self.edges.len() as u32);
        let block = Block { starts: self.starts.clone().into(), edges: self.edges.clone().into() };
        (block, self.dropped)
    }
}

impl Adjacency {
    /// Nodes in a block.
    pub const BLOCK: usize = 1 << BLOCK_BITS;

    /// Builds the graph of `nodes` nodes. `fill` is called once for every block, on any thread and in any order,
    /// with the block's nodes; it gives each node's edges and ends the node, in order. The edges keep that order.
    ///
    /// # Panics
    /// If `nodes` is more than [`Edge::MAX_NODES`]: check before.
    pub fn build<F>(nodes: usize, fill: F) -> Adjacency
    where
        F: Fn(Range<u32>, &mut BlockBuilder) + Sync,
    {
        assert!(nodes <= Edge::MAX_NODES, "a graph has at most {} nodes, not {nodes}", Edge::MAX_NODES);
        let built: Vec<(Block, u64)> = (0..nodes.div_ceil(Self::BLOCK))
            .into_par_iter()
            .map_init(
                || BlockBuilder::new(nodes),
                |builder, block| {
                    let range = nodes_of_block(block, nodes);
                    builder.begin(range.len());
                    fill(range, builder);
                    builder.finish()
                },
            )
            .collect();
        let dropped = built.iter().map(|(_, dropped)| dropped).sum();
        Adjacency::from_blocks(nodes, built.into_iter().map(|(block, _)| block).collect(), dropped)
    }

    fn from_blocks(nodes: usize, blocks: Vec<Block>, dropped: u64) -> Adjacency {
        let edges = blocks.iter().map(|block| block.edges.len() as u64).sum();
        Adjacency { nodes, edges, dropped, blocks }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Number of edges.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Edges that could not be kept, see [`BlockBuilder::edge`]; in a reversed graph those past the 2^32 that one
    /// block can hold.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The edges of `node`, as they were given; none for a node outside the graph.
    #[inline]
    pub fn of(&self, node: u32) -> &[Edge] {
        match self.blocks.get((node >> BLOCK_BITS) as usize) {
            Some(block) => block.of((node & LOCAL_MASK) as usize),
            None => &[],
        }
    }

    /// The blocks in node order, for passes over the whole graph.
    pub fn blocks(&self) -> impl Iterator<Item = BlockView<'_>> {
        self.blocks.iter().enumerate().map(view)
    }

    /// As [`Adjacency::blocks`], for several threads.
    pub fn par_blocks(&self) -> impl IndexedParallelIterator<Item = BlockView<'_>> {
        self.blocks.par_iter().enumerate().map(view)
    }

    /// The graph with every edge of a kept kind turned round. Edges keep their kind; the edges of a node are in
    /// ascending order of their new target, equal ones in the order they had.
    pub fn transpose(&self, keep: impl Fn(EdgeKind) -> bool + Sync) -> Adjacency {
        // Every group of target blocks is counted and filled by one thread that reads all edges and takes its own:
        // no atomics, no sorting, no buffers beside the result.
        let blocks = self.blocks.len();
        let groups = rayon::current_num_threads().clamp(1, MAX_TRANSPOSE_GROUPS).min(blocks.max(1));
        let reversed: Vec<(Vec<Block>, u64)> = (0..groups)
            .into_par_iter()
            .map(|group| self.reverse_into(blocks * group / groups..blocks * (group + 1) / groups, &keep))
            .collect();
        let dropped = reversed.iter().map(|(_, dropped)| dropped).sum();
        let blocks = reversed.into_iter().flat_map(|(blocks, _)| blocks).collect();
        Adjacency::from_blocks(self.nodes, blocks, dropped)
    }

    /// The reversed edges that leave the nodes of `blocks`, and how many did not fit.
    fn reverse_into(&self, blocks: Range<usize>, keep: &impl Fn(EdgeKind) -> bool) -> (Vec<Block>, u64) {
        // `starts[i + 2]` counts node i; the sums then make `starts[i + 1]` the place of its next edge, and once
        // all are placed the end of its last: no second array of positions is needed.
        let mut starts: Vec<Vec<u32>> =
            blocks.clone().map(|block| vec![0; nodes_of_block(block, self.nodes).len() + 2]).collect();
        let mut kept = 0u64;
        let place = |target: u32| ((target >> BLOCK_BITS) as usize).checked_sub(blocks.start);
        for edge in self.blocks.iter().flat_map(|block| block.edges.iter()) {
            if let Some(starts) = place(edge.target()).and_then(|block| starts.get_mut(block))
                && keep(edge.kind())
                && let Some(count) = starts.get_mut((edge.target() & LOCAL_MASK) as usize + 2)
            {
                *count = count.saturating_add(1);
                kept += 1;
            }
        }
        let mut edges: Vec<Vec<Edge>> =
            starts.iter_mut().map(|starts| vec![Edge(0); sum_up(starts)]).collect();
        let dropped = kept - edges.iter().map(|edges| edges.len() as u64).sum::<u64>();
        for (source, of_source) in self.blocks().flat_map(|block| block.iter()) {
            for edge in of_source {
                if let Some(block) = place(edge.target())
                    && let (Some(starts), Some(edges)) = (starts.get_mut(block), edges.get_mut(block))
                    && keep(edge.kind())
                    && let Some(next) = starts.get_mut((edge.target() & LOCAL_MASK) as usize + 1)
                    && let Some(slot) = edges.get_mut(*next as usize)
                {
                    *slot = Edge::new(source, edge.kind());
                    *next += 1;
                }
            }
        }
        let blocks = starts.into_iter().zip(edges).map(|(mut starts, edges)| {
            starts.pop();
            Block { starts: starts.into(), edges: edges.into() }
        });
        (blocks.collect(), dropped)
    }

    /// Writes the graph as columns whose names begin with `name`.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, name: &str, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column(&format!("{name}.shape"), &[self.nodes as u64, self.edges, self.dropped])?;
        out.parts(&format!("{name}.starts"), self.blocks.iter().map(|block| &*block.starts))?;
        out.parts(&format!("{name}.edges"), self.blocks.iter().map(|block| &*block.edges))
    }

    /// The graph that was written as `name`; nothing of it is copied.
    ///
    /// # Errors
    /// Its columns are not there, are damaged, or contradict each other.
    pub fn read(name: &str, file: &ColumnFile) -> Result<Adjacency, Damaged> {
        let contradiction = || Damaged::because(format!("its {name} contradict each other"));
        let shape = file.column::<u64>(&format!("{name}.shape"))?;
        let starts = file.column::<u32>(&format!("{name}.starts"))?;
        let edges = file.column::<Edge>(&format!("{name}.edges"))?;
        let &[nodes, all, dropped] = &*shape else { return Err(contradiction()) };
        let nodes = usize::try_from(nodes).ok().filter(|&nodes| nodes <= Edge::MAX_NODES);
        let nodes = nodes.ok_or_else(contradiction)?;
        let (mut at, mut next) = (0, 0);
        let mut blocks = Vec::new();
        for block in 0..nodes.div_ceil(Self::BLOCK) {
            let bounds = at..at + nodes_of_block(block, nodes).len() + 1;
            at = bounds.end;
            let starts = starts.part(bounds).ok_or_else(contradiction)?;
            let count = starts.last().copied().unwrap_or(0) as usize;
            let edges = edges.part(next..next + count).ok_or_else(contradiction)?;
            next += count;
            blocks.push(Block { starts, edges });
        }
        let graph = Adjacency::from_blocks(nodes, blocks, dropped);
        if graph.edges == all && next == edges.len() { Ok(graph) } else { Err(contradiction()) }
    }

    /// Bytes the graph takes.
    pub fn bytes(&self) -> usize {
        let of_block =
            |block: &Block| size_of::<Block>() + block.starts.owned_bytes() + block.edges.owned_bytes();
        self.blocks.iter().map(of_block).sum()
    }
}

/// Makes counts into running sums and returns the last. A block that would overflow ends at 2^32 - 1 edges.
fn sum_up(counts: &mut [u32]) -> usize {
    let mut sum = 0u32;
    for count in counts {
        sum = sum.saturating_add(*count);
        *count = sum;
    }
    sum as usize
}

fn nodes_of_block(block: usize, nodes: usize) -> Range<u32> {
    let first = block * Adjacency::BLOCK;
    first as u32..(first + Adjacency::BLOCK).min(nodes) as u32
}

fn view((block, Block { starts, edges }): (usize, &Block)) -> BlockView<'_> {
    BlockView { first: (block * Adjacency::BLOCK) as u32, starts, edges }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_graphs::{self, EdgeList};
    use super::*;

    fn rebuilt(graph: &Adjacency) -> EdgeList {
        let mut list = Vec::new();
        for block in graph.blocks() {
            assert_eq!(
                block.iter().map(|(node, _)| node).collect::<Vec<_>>(),
                block.nodes().collect::<Vec<_>>()
            );
            for (node, edges) in block.iter() {
                assert_eq!(edges, graph.of(node));
                list.extend(edges.iter().map(|edge| (node, edge.target(), edge.kind())));
            }
        }
        list
    }

    fn naive_transpose(list: &EdgeList, keep: impl Fn(EdgeKind) -> bool) -> EdgeList {
        let mut reversed: EdgeList =
            list.iter().filter(|edge| keep(edge.2)).map(|&(from, to, kind)| (to, from, kind)).collect();
        reversed.sort_by_key(|&(from, to, _)| (from, to));
        reversed
    }

    proptest! {
        #[test]
        fn keeps_every_edge_and_turns_the_kept_ones(spread in test_graphs::spreads(),
                                                    (nodes, list) in test_graphs::edge_lists(60, 200)) {
            let (nodes, list) = test_graphs::spread_out(nodes, &list, spread);
            for threads in [1, 2, 3] {
                test_graphs::on_threads(threads, || {
                    let graph = test_graphs::graph(nodes, &list);
                    prop_assert_eq!(graph.nodes(), nodes);
                    prop_assert_eq!(graph.edges(), list.len() as u64);
                    prop_assert_eq!(graph.dropped(), 0);
                    prop_assert_eq!(&rebuilt(&graph), &list);
                    prop_assert_eq!(rebuilt(&graph.transpose(|_| true)), naive_transpose(&list, |_| true));
                    let counted = |kind| matches!(kind, EdgeKind::Visited | EdgeKind::Owned);
                    prop_assert_eq!(rebuilt(&graph.transpose(counted)), naive_transpose(&list, counted));
                    Ok(())
                })?;
            }
        }
    }

    #[test]
    fn drops_and_counts_what_it_cannot_keep() {
        let graph = Adjacency::build(2, |_, builder| {
            builder.edge(Edge::new(1, EdgeKind::Visited));
            builder.edge(Edge::new(2, EdgeKind::Visited));
            builder.end_node();
            builder.end_node();
            builder.edge(Edge::new(0, EdgeKind::Visited));
            builder.end_node();
        });
        assert_eq!((graph.edges(), graph.dropped()), (1, 2));
        assert_eq!(graph.of(0), [Edge::new(1, EdgeKind::Visited)]);
        assert!(graph.of(1).is_empty() && graph.of(2).is_empty() && graph.of(u32::MAX).is_empty());
    }

    #[test]
    fn nodes_left_open_end_with_their_block() {
        let graph = Adjacency::build(3, |_, builder| {
            builder.end_node();
            builder.edge(Edge::new(0, EdgeKind::Weak));
        });
        assert_eq!(graph.of(1), [Edge::new(0, EdgeKind::Weak)]);
        assert!(graph.of(0).is_empty() && graph.of(2).is_empty());
    }

    #[test]
    fn sums_stop_at_what_offsets_can_say() {
        let mut counts = [0, 5, u32::MAX, 7];
        assert_eq!(sum_up(&mut counts), u32::MAX as usize);
        assert_eq!(counts, [0, 5, u32::MAX, u32::MAX]);
    }

    #[test]
    fn the_empty_graph_has_nothing() {
        let graph = Adjacency::build(0, |_, _| unreachable!("no block to fill"));
        assert_eq!((graph.nodes(), graph.edges(), graph.blocks().count()), (0, 0, 0));
        assert_eq!(graph.transpose(|_| true).nodes(), 0);
    }
}
