//! Graph algorithms on generated graphs shaped like heaps: sessions with dictionaries and lists of nodes, shared
//! strings, popular types, a long chain, and 2 % of the sessions cut off as cyclic garbage.
//!
//! Sizes are 1 and 5 million nodes; `GRAPH_BENCH_NODES=10000000` asks for another.

#![allow(missing_docs, reason = "criterion_group! writes a public function without a comment")]

use std::hint::black_box;
use std::ops::Range;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use exuvia::graph::{
    Adjacency, BlockBuilder, DominatorTree, Edge, EdgeKind, NodeSet, TrialInput, cheapest_paths, components,
    components_within, internal_references, trial_deletion,
};

/// Nodes are laid out in groups, within which an allocator puts objects of one size side by side.
const GROUP: u32 = 1024;
const SESSIONS: Range<u32> = 0..32;
const LISTS: Range<u32> = 32..64;
const NODES: Range<u32> = 64..288;
const DICTS: Range<u32> = 288..544;
const NODES_OF_SESSION: u32 = 7;
/// Nodes in the chain at the end of the graph.
const CHAIN: u32 = 100_000;
/// Nodes that many others refer to: the registry of sessions, types, singletons.
const REGISTRY: u32 = 0;
const POPULAR: Range<u32> = 1..8;
const GARBAGE_EVERY: u32 = 50;

/// A graph like a heap and what a collector knows of it.
struct Heap {
    graph: Adjacency,
    candidates: NodeSet,
    refcounts: Vec<u32>,
    roots: NodeSet,
}

fn is_counted(kind: EdgeKind) -> bool {
    matches!(kind, EdgeKind::Visited | EdgeKind::Owned)
}

/// A fixed scramble of `n`, for edges that lead far away.
fn scramble(n: u32) -> u32 {
    let n = (n ^ (n >> 16)).wrapping_mul(0x7feb_352d);
    (n ^ (n >> 15)).wrapping_mul(0x846c_a68b) ^ (n >> 16)
}

fn is_garbage(group: u32) -> bool {
    group % GARBAGE_EVERY == 7
}

/// The first group holds the registry and the popular nodes only; the last nodes are the chain.
fn edges_of(node: u32, nodes: u32, builder: &mut BlockBuilder) {
    let groups = (nodes - CHAIN) / GROUP;
    let (group, place) = (node / GROUP, node % GROUP);
    let base = group * GROUP;
    let mut to = |target: u32| builder.edge(Edge::new(target, EdgeKind::Visited));
    if node >= groups * GROUP {
        // Newest first: every link leads to the one before.
        to(if node == groups * GROUP { POPULAR.start } else { node - 1 });
    } else if node == REGISTRY {
        let live = (1..groups).filter(|&group| !is_garbage(group));
        live.flat_map(|group| SESSIONS.map(move |session| group * GROUP + session)).for_each(&mut to);
        to(nodes - 1);
    } else if group == 0 {
    } else if SESSIONS.contains(&place) {
        to(base + DICTS.start + place);
        to(POPULAR.start + 1);
    } else if LISTS.contains(&place) {
        let first = base + NODES.start + (place - LISTS.start) * NODES_OF_SESSION;
        (first..first + NODES_OF_SESSION).for_each(&mut to);
    } else if NODES.contains(&place) {
        to(base + DICTS.start + SESSIONS.end + place - NODES.start);
        to(base + (place - NODES.start) / NODES_OF_SESSION);
        to(POPULAR.start + 2);
    } else if DICTS.contains(&place) {
        if place < DICTS.start + SESSIONS.end {
            to(base + LISTS.start + place - DICTS.start);
        }
        let strings = GROUP - DICTS.end;
        (0..4).for_each(|i| to(base + DICTS.end + (scramble(node) + i * 7) % strings));
        // A string from elsewhere and a singleton.
        let other = 1 + scramble(node ^ 0x5555) % (groups - 1);
        to(other * GROUP + DICTS.end + scramble(node) % strings);
        to(POPULAR.start + 3 + node % 3);
    }
}

fn build(nodes: u32) -> Adjacency {
    Adjacency::build(nodes as usize, |range, builder| {
        for node in range {
            edges_of(node, nodes, builder);
            builder.end_node();
        }
    })
}

fn heap(nodes: u32) -> Heap {
    let graph = build(nodes);
    let is_container = |node: &u32| node % GROUP < DICTS.end || *node >= (nodes - CHAIN) / GROUP * GROUP;
    let candidates = NodeSet::from_nodes(nodes as usize, (0..nodes).filter(is_container));
    let mut refcounts = internal_references(&graph, &NodeSet::full(nodes as usize), is_counted);
    let roots = NodeSet::from_nodes(nodes as usize, [REGISTRY].into_iter().chain(POPULAR));
    roots.iter().for_each(|root| refcounts[root as usize] += 1);
    Heap { graph, candidates, refcounts, roots }
}

fn trial(heap: &Heap, pinned: &NodeSet) -> exuvia::graph::Trial {
    trial_deletion(TrialInput {
        graph: &heap.graph,
        candidates: &heap.candidates,
        refcounts: &heap.refcounts,
        pinned,
    })
}

fn algorithms(criterion: &mut Criterion) {
    let asked = std::env::var("GRAPH_BENCH_NODES").ok().and_then(|nodes| nodes.parse().ok());
    let sizes = asked.map_or(vec![1_000_000, 5_000_000], |nodes: u32| vec![nodes.max(2 * CHAIN)]);
    for nodes in sizes {
        let heap = heap(nodes);
        let pinned = NodeSet::new(nodes as usize);
        let garbage = trial(&heap, &pinned).unreachable;
        let tree = DominatorTree::new(&heap.graph, &heap.roots, is_counted);
        eprintln!("{nodes} nodes, {} edges, {} garbage", heap.graph.edges(), garbage.len());

        let mut group = criterion.benchmark_group("graph");
        group.sample_size(10);
        let mut measure = |name: &str, run: &dyn Fn(&Heap)| {
            group.bench_with_input(BenchmarkId::new(name, nodes), &heap, |bencher, heap| {
                bencher.iter_batched(|| (), |()| run(heap), BatchSize::PerIteration);
            });
        };
        measure("build", &|_| drop(black_box(build(nodes))));
        measure("transpose", &|heap| drop(black_box(heap.graph.transpose(is_counted))));
        measure("components", &|heap| drop(black_box(components(&heap.graph, is_counted))));
        measure("components of garbage", &|heap| {
            drop(black_box(components_within(&heap.graph, &garbage, is_counted)));
        });
        measure("dominators", &|heap| {
            drop(black_box(DominatorTree::new(&heap.graph, &heap.roots, is_counted)));
        });
        measure("retained", &|_| drop(black_box(tree.retained(vec![64; tree.nodes()]))));
        measure("cheapest paths", &|heap| {
            let costs = |_| |edge: Edge| is_counted(edge.kind()).then_some(1);
            drop(black_box(cheapest_paths(&heap.graph, [heap.roots.iter().collect()], costs)));
        });
        measure("internal references", &|heap| {
            drop(black_box(internal_references(&heap.graph, &heap.candidates, |kind| {
                kind == EdgeKind::Visited
            })));
        });
        measure("trial deletion", &|heap| drop(black_box(trial(heap, &pinned))));
        group.finish();
    }
}

criterion_group!(benches, algorithms);
criterion_main!(benches);
