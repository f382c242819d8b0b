//! What objects and types retain, against the plainest way to find out: to leave them out and see what is still reached.

use crate::dominators;
use exuvia::analysis::{
    Cut, DominatorLimits, Heap, Holders, Reached, Retention, Roots, TypeGrouping, TypeGroups, best_cuts,
    collect, dominator_rows, retained_by_types,
};
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
    dominators::prove(heap, &garbage, &roots)?;
    let retention = Retention::new(heap, &roots);
    let holders = Holders::search(heap, &roots, None);
    let reached = Reached { roots: &roots, retention: &retention, holders: &holders };
    let whole = Whole { heap, roots: &roots, live: reachable(&graph.forward, &roots.set, keeps_alive) };
    whole.objects(&retention)?;
    whole.rows(reached)?;
    best_cuts(heap, reached, TRIED).list.iter().try_for_each(|cut| whole.cut(cut))?;
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
        let sizes = lost.iter().filter_map(|node| self.heap.id(node)).map(|id| self.heap.objects.shallow(id));
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

    /// What is reached no more without one reference.
    fn cut(&self, cut: &Cut) -> Result<(), String> {
        let (graph, object) = (&self.heap.graph.forward, cut.object.0);
        let mut seen = NodeSet::new(self.heap.objects.len());
        let first = self.roots.set.iter().filter(|&root| cut.holder.is_some() || root != object);
        let mut pending: Vec<u32> = first.filter(|&root| seen.insert(root)).collect();
        let mut left_out = 0;
        while let Some(node) = pending.pop() {
            for edge in graph.of(node).iter().filter(|edge| keeps_alive(edge.kind())) {
                let is_cut = cut.holder.is_some_and(|holder| holder.0 == node) && edge.target() == object;
                left_out += u32::from(is_cut);
                if !is_cut && seen.insert(edge.target()) {
                    pending.push(edge.target());
                }
            }
        }
        let mut lost = self.live.clone();
        lost.subtract(&seen);
        let sizes = lost.iter().filter_map(|node| self.heap.id(node)).map(|id| self.heap.objects.shallow(id));
        let lost = (lost.len() as u64, sizes.sum::<u64>(), left_out);
        let told = (cut.freed_objects, cut.freed_bytes, u32::from(cut.holder.is_some()));
        match lost == told {
            true => Ok(()),
            false => Err(format!("{}: objects, bytes, references {told:?}, but {lost:?} are lost", cut.path)),
        }
    }

    /// The rows of the tree have all that is alive at the top, and nowhere more below a row than the row has.
    fn rows(&self, reached: Reached<'_>) -> Result<(), String> {
        let limits = DominatorLimits { depth: 4, rows: 5 };
        let found = dominator_rows(self.heap, reached, None, limits);
        let sizes = self.live.iter().filter_map(|node| self.heap.id(node));
        let alive: u64 = sizes.map(|id| self.heap.objects.shallow(id)).sum();
        if (found.bytes, found.objects) != (alive, self.live.len() as u64) {
            return Err(format!(
                "{} objects, {} bytes in the tree, {alive} alive",
                found.objects, found.bytes
            ));
        }
        let below = |from: usize, depth: u32| -> u64 {
            let rows = found.rows.iter().skip(from).take_while(|row| row.depth >= depth);
            rows.filter(|row| row.depth == depth).map(|row| row.retained_bytes).sum()
        };
        if below(0, 0) != alive {
            return Err(format!("the top has {} of {alive} bytes", below(0, 0)));
        }
        for (index, row) in found.rows.iter().enumerate() {
            let below = below(index + 1, row.depth + 1);
            if below > row.retained_bytes {
                return Err(format!("{}: {below} bytes below {}", row.path, row.retained_bytes));
            }
        }
        Ok(())
    }
}
