//! Every command's way through the library, from an opened core to the text and the document, on whatever it leads to.

use crate::analysis::free_if::{self, Cut};
use crate::analysis::views::{
    Keepers, buffers, caches, exceptions, executors, generators, greenlets, locals_of_threads, log_handlers,
    log_records, modules, queues, tasks, weak_registries,
};
use crate::analysis::{
    Collection, Direction, DominatorLimits, Heap, Holders, InstanceFilter, PathsLimits, Reached, Retention,
    Roots, Selection, Snapshot, Suspects, Thresholds, TypeGrouping, TypeGroups, WasteLimits, best_cuts,
    collect, cycles, describe_contents, diff, dominator_rows, histogram, instances, merged_paths, paths,
    references, retained_by_suspects, retained_by_types, suspects, trend, waste,
};
use crate::corefile::{Address, Inputs};
use crate::cpython::{Outline, Runtime, Values};
use crate::graph::NodeSet;
use crate::heap::{Census, HeapGraph, build_graph, census};
use crate::layout::Table;
use crate::query;
use crate::report::cuts::CutsReport;
use crate::report::cycles::CyclesReport;
use crate::report::diff::DiffReport;
use crate::report::dominators::DominatorsReport;
use crate::report::free_if::{FreeIfReport, Question};
use crate::report::growth::ComparedCore;
use crate::report::info::InfoReport;
use crate::report::objects::{ObjectFilter, ObjectsReport};
use crate::report::outline::OutlineReport;
use crate::report::overview::{OverviewParts, OverviewReport};
use crate::report::paths::PathsReport;
use crate::report::referrers::{ReferencesReport, ReferentsReport, ReferrersReport};
use crate::report::show::{ShowOptions, ShowReport};
use crate::report::suspects::SuspectsReport;
use crate::report::threads::{ThreadOptions, ThreadsReport};
use crate::report::trend::TrendReport;
use crate::report::types::{TypeOptions, TypeSelection, TypeSort, TypesReport};
use crate::report::views::buffers::BuffersReport;
use crate::report::views::caches::CachesReport;
use crate::report::views::exceptions::ExceptionsReport;
use crate::report::views::generators::GeneratorsReport;
use crate::report::views::greenlets::GreenletsReport;
use crate::report::views::logging::LoggingReport;
use crate::report::views::modules::ModulesReport;
use crate::report::views::queues::QueuesReport;
use crate::report::views::tasks::TasksReport;
use crate::report::views::threads::ThreadLocalsReport;
use crate::report::views::weak::WeakReport;
use crate::report::waste::WasteReport;
use crate::report::{CoreIdentity, Coverage, Envelope, Page, Report};
use std::hint::black_box;

/// Rows of every table.
const LIMIT: usize = 20;
/// Objects that are shown, and whose holders are looked for.
const OBJECTS: u64 = 6;
/// What people ask for.
const QUESTIONS: [&str; 7] = [
    "sys.modules",
    "dict",
    "sys.modules['__main__'].__dict__",
    "function",
    "builtins.print",
    "frame",
    "type",
];

/// Places that are emptied.
const CUTS: [&str; 5] =
    ["sys.modules['__main__']", "sys.path", "sys.path[0]", "os.environ._data", "sys.modules['os'].path"];

/// Runs them all. `seed` chooses the objects that some of them are about.
pub(super) fn all(inputs: &Inputs, table: Option<&Table>, seed: u64) {
    let opened = Runtime::open(inputs, table);
    let told = Told::new(inputs, opened.as_ref().ok());
    let problem = opened.as_ref().err().map(ToString::to_string);
    told.written(&InfoReport::new(inputs, opened.as_ref().ok(), problem.clone(), true));
    if let Some(outline) = Outline::read(inputs) {
        told.written(&OutlineReport::new(&outline, problem.unwrap_or_default(), LIMIT));
    }
    if let Ok(mut runtime) = opened {
        decoded(inputs, &mut runtime, told, seed);
    }
}

/// Those that a process without an interpreter has an answer to.
pub(super) fn undecoded(inputs: &Inputs) {
    let told = Told::new(inputs, None);
    told.written(&InfoReport::new(inputs, None, Some(String::new()), true));
    if let Some(outline) = Outline::read(inputs) {
        told.written(&OutlineReport::new(&outline, String::new(), LIMIT));
    }
}

/// What every report is written with.
struct Told {
    identity: CoreIdentity,
    coverage: Coverage,
}

impl Told {
    fn new(inputs: &Inputs, runtime: Option<&Runtime<'_>>) -> Self {
        Self { identity: CoreIdentity::new(inputs, runtime), coverage: Coverage::new(inputs, runtime) }
    }

    fn written<R: Report>(&self, report: &R) {
        let mut page = Page::new(100, false);
        report.render(&mut page, &self.identity, &self.coverage);
        let document = Envelope::new(&self.identity, &self.coverage, report).to_json();
        black_box((page.into_text(), document.expect("every report can be written")));
    }
}

fn decoded(inputs: &Inputs, runtime: &mut Runtime<'_>, mut told: Told, seed: u64) {
    let threads = ThreadsReport::new(inputs, runtime, ThreadOptions { values: Values::Shown, limit: LIMIT });
    told.written(&threads);
    let Ok(census) = census(runtime) else { return };
    told.coverage.add_census(&census.figures());
    let Ok(graph) = build_graph(runtime, &census.objects) else { return };
    told.coverage.add_references(graph.figures());
    let chosen = chosen(&census, seed);
    shown(runtime, &told, &chosen);
    held(&Whole { runtime, census: &census, graph: &graph }, &told, &chosen, &threads);
    black_box(runtime.layout_table().to_string());
    black_box(runtime.facts_as_lines());
}

/// Some of the objects.
fn chosen(census: &Census, seed: u64) -> Vec<Address> {
    let addresses = census.objects.addresses();
    let count = addresses.len().max(1) as u64;
    let index = |turn: u64| (seed.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % count) as usize;
    (0..OBJECTS).filter_map(|turn| addresses.get(index(turn)).copied()).collect()
}

/// `show`, of objects and of what people type.
fn shown(runtime: &Runtime<'_>, told: &Told, chosen: &[Address]) {
    let options = ShowOptions { depth: 3, limit: LIMIT, values: Values::Shown };
    let show = |text: String, object, is_class| {
        told.written(&ShowReport::new(runtime, text, object, is_class, options));
    };
    chosen.iter().for_each(|&object| show(format!("{object:#x}"), object, false));
    for question in QUESTIONS {
        let expression = query::parse(question).expect("these can be read");
        let Ok(target) = query::resolve(runtime, &expression) else { continue };
        if let Ok(object) = target.require_object() {
            show(target.text, object, !target.types.is_empty());
        }
    }
}

struct Whole<'w, 'core> {
    runtime: &'w Runtime<'core>,
    census: &'w Census,
    graph: &'w HeapGraph,
}

/// Everything that needs the graph.
fn held(whole: &Whole<'_, '_>, told: &Told, chosen: &[Address], threads: &ThreadsReport) {
    let Whole { runtime, census, graph } = *whole;
    let objects = &census.objects;
    let heap = Heap { runtime, objects, graph };
    let garbage = collect(runtime, objects, graph);
    let roots = Roots::named(heap, &garbage);
    let mut found = suspects(heap, &roots, &garbage, &Thresholds::default().with(Some(0), Some(0)));
    let options = TypeOptions { sort: TypeSort::Bytes, limit: LIMIT };
    let counted = histogram(objects, runtime.types.len(), &Selection::default());
    let selection = TypeSelection::default();
    let parts = OverviewParts {
        census,
        references: graph.forward.edges(),
        types: TypesReport::new(runtime, &counted, selection, options, &TypeGroups::each(runtime), None),
        garbage: &garbage,
        suspects: &found,
        threads,
    };
    told.written(&OverviewReport::new(runtime, &told.identity, parts));
    let retention = Retention::new(heap, &roots);
    for grouping in [TypeGrouping::Type, TypeGrouping::Module, TypeGrouping::Package] {
        let groups = TypeGroups::new(runtime, grouping, |_| true);
        let retained = retained_by_types(heap, &roots, &retention, &groups);
        let selection = TypeSelection::default();
        told.written(&TypesReport::new(runtime, &counted, selection, options, &groups, Some(&retained)));
    }
    let paths_to = Holders::search(heap, &roots, None);
    let reached = Reached { roots: &roots, retention: &retention, holders: &paths_to };
    told.written(&CutsReport::new(objects, &best_cuts(heap, reached, LIMIT)));
    let limits = DominatorLimits { depth: 4, rows: LIMIT };
    let rows = dominator_rows(heap, reached, None, limits);
    told.written(&DominatorsReport::new(objects, None, limits.depth, &rows));
    for id in chosen.iter().filter_map(|&object| objects.find(object)) {
        let within = NodeSet::from_nodes(objects.len(), [id.0]);
        let rows = dominator_rows(heap, reached, Some(&within), limits);
        told.written(&DominatorsReport::new(objects, Some(String::new()), limits.depth, &rows));
    }
    viewed(heap, reached, told);
    retained_by_suspects(heap, &roots, &retention, &mut found);
    describe_contents(heap, &retention, &mut found);
    told.written(&SuspectsReport::new(objects, &found, Vec::new(), LIMIT));
    let limits = WasteLimits { groups: LIMIT, held: LIMIT, within: None };
    told.written(&WasteReport::new(heap, &waste(heap, limits), Values::Shown, LIMIT));
    grown(heap, &roots, &retention, &found, &garbage, told);
    told.written(&CyclesReport::new(objects, &garbage, &cycles(heap, &garbage), LIMIT));
    let roots = Roots::find(heap, &garbage);
    for &object in chosen {
        holders(heap, &roots, told, object);
        if let Some(id) = objects.find(object) {
            let_go(heap, &roots, &garbage, told, &Cut::Objects(NodeSet::from_nodes(objects.len(), [id.0])));
        }
    }
    for question in CUTS {
        let expression = query::parse(question).expect("these can be read");
        let Ok(Some(place)) = query::held_place(runtime, &expression) else { continue };
        if let Ok(cut) = free_if::reference(heap, place.holder, place.step()) {
            let_go(heap, &roots, &garbage, told, &cut);
        }
    }
}

/// What an index says of a heap.
pub(super) struct Kept<'k, 'core> {
    pub heap: Heap<'k, 'core>,
    pub garbage: &'k Collection,
    pub roots: &'k Roots,
    pub holders: &'k Holders,
    pub retention: &'k Retention,
}

/// What commands make of an index.
pub(super) fn kept(inputs: &Inputs, kept: &Kept<'_, '_>, seed: u64) {
    let Kept { heap, garbage, roots, holders: paths_to, retention } = *kept;
    let told = Told::new(inputs, Some(heap.runtime));
    let objects = heap.objects;
    let counted = histogram(objects, heap.runtime.types.len(), &Selection::default());
    black_box(&counted);
    let reached = Reached { roots, retention, holders: paths_to };
    told.written(&CutsReport::new(objects, &best_cuts(heap, reached, LIMIT)));
    let limits = DominatorLimits { depth: 4, rows: LIMIT };
    told.written(&DominatorsReport::new(
        objects,
        None,
        limits.depth,
        &dominator_rows(heap, reached, None, limits),
    ));
    let mut found = suspects(heap, roots, garbage, &Thresholds::default());
    retained_by_suspects(heap, roots, retention, &mut found);
    describe_contents(heap, retention, &mut found);
    told.written(&SuspectsReport::new(objects, &found, Vec::new(), LIMIT));
    viewed(heap, reached, &told);
    grown(heap, roots, retention, &found, garbage, &told);
    told.written(&CyclesReport::new(objects, garbage, &cycles(heap, garbage), LIMIT));
    for turn in 0..OBJECTS {
        let node = seed.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % objects.len().max(1) as u64;
        let Some(id) = heap.id(node as u32) else { continue };
        holders(heap, roots, &told, objects.address(id));
        told.written(&PathsReport::single(
            heap,
            String::new(),
            &paths(heap, roots, Some(paths_to), id, LIMIT),
        ));
        let_go(heap, roots, garbage, &told, &Cut::Objects(NodeSet::from_nodes(objects.len(), [id.0])));
    }
}

/// `free-if`.
fn let_go(heap: Heap<'_, '_>, roots: &Roots, garbage: &Collection, told: &Told, cut: &Cut) {
    let found = free_if::free_if(heap, roots, garbage, cut, LIMIT);
    let question = Question { target: String::new(), cut, instances: false, list: true, limit: LIMIT };
    told.written(&FreeIfReport::new(heap, question, &found));
}

/// `diff` and `trend`, of the heap and itself.
fn grown(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    found: &Suspects,
    garbage: &Collection,
    told: &Told,
) {
    let snapshot = Snapshot::new(heap, roots, retention, found, garbage, true);
    let compared = || ComparedCore::new(&told.identity, Some(1), &snapshot, false);
    let same = diff(&snapshot, &snapshot, true);
    told.written(&DiffReport::new(compared(), compared(), &same, LIMIT));
    let nothing = Snapshot::default();
    let other = diff(&nothing, &snapshot, false);
    told.written(&DiffReport::new(compared(), compared(), &other, LIMIT));
    let cores = vec![compared(), compared()];
    told.written(&TrendReport::new(cores, &trend(&[nothing, snapshot]), LIMIT));
}

/// `view`, of everything there is to look at.
fn viewed(heap: Heap<'_, '_>, reached: Reached<'_>, told: &Told) {
    let keepers = &mut Keepers::new(heap, reached);
    told.written(&TasksReport::new(keepers, tasks(heap), Values::Shown, LIMIT));
    told.written(&GeneratorsReport::new(keepers, generators(heap), LIMIT));
    told.written(&GreenletsReport::new(keepers, greenlets(heap), LIMIT));
    told.written(&CachesReport::new(keepers, caches(heap), LIMIT));
    told.written(&ExceptionsReport::new(keepers, exceptions(heap), LIMIT));
    told.written(&BuffersReport::new(keepers, &[], buffers(heap), LIMIT));
    told.written(&ModulesReport::new(keepers, &modules(heap, reached), LIMIT));
    told.written(&QueuesReport::new(keepers, queues(heap), executors(heap), LIMIT));
    told.written(&LoggingReport::new(keepers, log_handlers(heap), log_records(heap), LIMIT));
    told.written(&ThreadLocalsReport::new(keepers, &[], locals_of_threads(heap), LIMIT));
    told.written(&WeakReport::new(keepers, weak_registries(heap), LIMIT));
}

/// `objects` of an object's type, `referrers`, `referents` and `paths` of the object.
fn holders(heap: Heap<'_, '_>, roots: &Roots, told: &Told, object: Address) {
    let objects = heap.objects;
    let Some(id) = objects.find(object) else { return };
    let text = || format!("{object:#x}");
    let types = [objects.type_id(id)];
    let filter = InstanceFilter {
        selection: Selection::default(),
        min_size: None,
        max_size: None,
        min_refcount: None,
        max_refcount: None,
    };
    let found = instances(heap.runtime, objects, &types, &filter, LIMIT);
    let described = ObjectFilter {
        min_size: None,
        max_size: None,
        min_refcount: None,
        max_refcount: None,
        generation: None,
    };
    told.written(&ObjectsReport::new(heap.runtime, objects, text(), &types, described, &found));
    let wanted = NodeSet::from_nodes(objects.len(), [id.0]);
    let found = references(heap, Some(roots), &wanted, Direction::Referrers, LIMIT);
    let report = ReferencesReport::new(heap, text(), 1, Direction::Referrers, &found, LIMIT);
    told.written(&ReferrersReport(report));
    let found = references(heap, None, &wanted, Direction::Referents, LIMIT);
    let report = ReferencesReport::new(heap, text(), 1, Direction::Referents, &found, LIMIT);
    told.written(&ReferentsReport(report));
    let searched = Holders::search(heap, roots, None);
    told.written(&PathsReport::single(heap, text(), &paths(heap, roots, Some(&searched), id, LIMIT)));
    let alike = |node: u32| objects.types_column().get(node as usize) == Some(&types[0]);
    let alike = NodeSet::passing(objects.len(), alike);
    let limits = PathsLimits { steps: LIMIT, ..PathsLimits::default() };
    told.written(&PathsReport::merged(heap, text(), &merged_paths(heap, roots, &searched, &alike, limits)));
}
