//! Dominators and retained sizes of a whole heap, against petgraph's on the same graph.

use exuvia::analysis::{Collection, Heap, Retention, Roots};
use exuvia::graph::{Adjacency, BlockBuilder, Edge, EdgeKind};
use petgraph::algo::dominators::simple_fast;
use std::ops::Range;

/// Compares what each object is dominated by and retains, on several numbers of threads.
pub fn prove(heap: Heap<'_, '_>, garbage: &Collection, roots: &Roots) -> Result<(), String> {
    let nodes = heap.objects.len() as u32;
    let expected = simple_fast(&below_a_root(&heap.graph.forward, roots), nodes);
    let idom = |node| expected.immediate_dominator(node).filter(|&idom| idom != nodes);
    let mut retained = vec![0; nodes as usize];
    for id in heap.objects.ids().filter(|id| expected.immediate_dominator(id.0).is_some()) {
        // The object itself, and whatever it is below.
        for above in std::iter::successors(Some(id.0), |&node| idom(node)) {
            retained[above as usize] += heap.objects.shallow(id);
        }
    }
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let found = pool.map_err(|error| error.to_string())?.install(|| {
            let (all, at_once) = Retention::with_roots(heap, garbage);
            [(all.set == roots.set, at_once), (true, Retention::new(heap, roots))]
        });
        for (same_roots, found) in &found {
            if !same_roots {
                return Err("one search finds other roots than two".to_owned());
            }
            for node in 0..nodes {
                let is_reached = expected.immediate_dominator(node).is_some();
                let (tree, bytes) = (found.tree(), found.of(node));
                if tree.is_reachable(node) != is_reached || tree.idom(node) != idom(node) {
                    let (ours, theirs) = (tree.idom(node), idom(node));
                    return Err(format!(
                        "{threads} threads: {node} is below {ours:?}, for petgraph {theirs:?}"
                    ));
                }
                if bytes != retained[node as usize] {
                    let theirs = retained[node as usize];
                    return Err(format!("{threads} threads: {node} retains {bytes}, for petgraph {theirs}"));
                }
            }
        }
        if found[0].1.tree().order() != found[1].1.tree().order() && roots.held_by_c + roots.unexplained == 0
        {
            return Err(format!("{threads} threads: the order depends on how roots were found"));
        }
    }
    Ok(())
}

/// The edges that keep objects alive, and one node more that leads to every root.
fn below_a_root(graph: &Adjacency, roots: &Roots) -> Adjacency {
    let root = graph.nodes() as u32;
    Adjacency::build(graph.nodes() + 1, |nodes: Range<u32>, builder: &mut BlockBuilder| {
        for node in nodes {
            let strong = graph.of(node).iter().filter(|edge| edge.kind() != EdgeKind::Weak);
            strong.for_each(|&edge| builder.edge(edge));
            if node == root {
                roots.set.iter().for_each(|root| builder.edge(Edge::new(root, EdgeKind::Visited)));
            }
            builder.end_node();
        }
    })
}
