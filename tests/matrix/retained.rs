//! What objects and types retain, against the plainest way to find out: to leave them out and see what is still reached.

use exuvia::analysis::{Heap, Retention, Roots, TypeGrouping, TypeGroups, collect, retained_by_types};
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::Runtime;
use exuvia::graph::{EdgeKind, GroupTotal, NodeSet, reachable, reachable_within};
use exuvia::heap::{build_graph, census};
use std::path::Path;

/// Objects, and groups of types, that are left out, each in a search of its own.
const TRIED: usize = 12;

/// Compares a core's retained sizes with what is lost.
pub fn prove(core: &Path, options: &SearchOptions) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let graph = build_graph(&runtime, &census.objects).map_err(|error| error.to_string())?;
    let garbage = collect(&runtime, &census.objects, &graph);
    let heap = Heap { runtime: &runtime, objects: &census.objects, graph: &graph };
    let roots = Roots::find(heap, &garbage);
    let retention = Retention::new(heap, &roots);
    let whole = Whole { heap, roots: &roots, live: reachable(&graph.forward, &roots.set, keeps_alive) };
    whole.objects(&retention)?;
    [TypeGrouping::Type, TypeGrouping::Module, TypeGrouping::Package]
        .into_iter()
        .try_for_each(|grouping| whole.types(&retention, grouping))
}

fn keeps_alive(kind: EdgeKind) -> bool {
    kind != EdgeKind::Weak
}

struct Whole<'w, 'core> {
    heap: Heap<'w, 'core>,
    roots: &'w Roots,
    live: NodeSet,
}

impl Whole<'_, '_> {
    /// What is reached no more without the objects that `left_out` accepts.
    fn lost(&self, left_out: impl Fn(u32) -> bool + Sync) -> GroupTotal {
        let others = NodeSet::passing(self.heap.objects.len(), |node| !left_out(node));
        let mut lost = self.live.clone();
        lost.subtract(&reachable_within(&self.heap.graph.forward, &self.roots.set, &others, keeps_alive));
        let sizes = lost.iter().filter_map(|node| self.heap.id(node)).map(|id| self.heap.objects.size(id));
        GroupTotal { nodes: lost.len() as u64, weight: sizes.sum() }
    }

    /// The objects that retain most, and some of all.
    fn objects(&self, retention: &Retention) -> Result<(), String> {
        let mut nodes: Vec<u32> = self.live.iter().collect();
        let strewn: Vec<u32> = nodes.iter().copied().step_by((nodes.len() / TRIED).max(1)).collect();
        nodes.sort_by_key(|&node| (std::cmp::Reverse(retention.of(node)), node));
        for node in nodes.into_iter().take(TRIED).chain(strewn) {
            let lost = self.lost(|other| other == node).weight;
            if retention.of(node) != lost {
                let name = self.heap.id(node).map_or("?", |id| self.heap.type_name(id));
                return Err(format!("{name} {node} retains {}, but {lost} are lost", retention.of(node)));
            }
        }
        Ok(())
    }

    /// The groups that retain most, and some of all.
    fn types(&self, retention: &Retention, grouping: TypeGrouping) -> Result<(), String> {
        let groups = TypeGroups::new(self.heap.runtime, grouping, |_| true);
        let found = retained_by_types(self.heap, self.roots, retention, &groups);
        let types = self.heap.objects.types_column();
        let mut order: Vec<usize> = (0..found.len()).collect();
        let strewn: Vec<usize> = order.iter().copied().step_by((order.len() / TRIED).max(1)).collect();
        order.sort_by_key(|&group| (std::cmp::Reverse(found[group].weight), group));
        for group in order.into_iter().take(TRIED).chain(strewn) {
            let lost = self.lost(|node| groups.of(types[node as usize]) == Some(group as u32));
            if found[group] != lost {
                return Err(format!("{grouping:?} {group} retains {:?}, but {lost:?} is lost", found[group]));
            }
        }
        Ok(())
    }
}
