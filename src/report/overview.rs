//! `overview`: one screen that says what died, what was on its heap, and what to ask next.

use super::page::columns;
use super::suspects::{confidence_name, evidence_text};
use super::threads::ThreadsReport;
use super::types::TypesReport;
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::analysis::{Collection, Suspect, Suspects, WhyUncollected};
use crate::cpython::{Generation, ReadField, Runtime};
use crate::heap::Census;
use serde::Serialize;

/// Most interpreters shown.
const MAX_INTERPRETERS: usize = 16;
/// Most suspects shown.
const MAX_SUSPECTS: usize = 3;

/// The answer of `overview`.
#[derive(Clone, Debug, Serialize)]
pub struct OverviewReport {
    /// All objects.
    pub heap: HeapTotals,
    /// What the object allocator holds.
    pub allocator: AllocatorTotals,
    /// The collector of each interpreter.
    pub collectors: Vec<CollectorState>,
    /// The types that take most.
    pub types: TypesReport,
    /// What a full collection would free.
    pub garbage: GarbageSummary,
    /// Suspects there are.
    pub suspects_total: u64,
    /// What to look at first.
    pub suspects: Vec<SuspectLine>,
    /// Python threads.
    pub threads: ThreadSummary,
    /// Commands that answer the next question.
    pub next: Vec<NextStep>,
}

/// All objects together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeapTotals {
    /// Objects.
    pub objects: u64,
    /// Sum of their `sys.getsizeof()`.
    pub bytes: u64,
    /// Sum of their shallow sizes: with what they own besides.
    pub shallow_bytes: u64,
    /// Types that have instances.
    pub types: u64,
    /// References between them.
    pub references: u64,
}

/// The interpreter's allocator.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AllocatorTotals {
    /// `pymalloc`, `mimalloc`, or `malloc`, of which nothing more is known.
    pub name: &'static str,
    /// Debug hooks padded each block.
    pub padded: bool,
    /// Arenas with memory; mimalloc: segments.
    pub arenas: u64,
    /// Their size.
    pub arena_bytes: u64,
    /// Blocks in use.
    pub live_blocks: u64,
    /// Bytes in them.
    pub live_bytes: u64,
    /// Bytes in free blocks of pools in use.
    pub free_block_bytes: u64,
    /// Bytes in pools that are wholly free.
    pub free_pool_bytes: u64,
    /// Blocks in use that hold no object: buffers and tables of objects.
    pub other_blocks: u64,
    /// Bytes in them.
    pub other_bytes: u64,
    /// Larger blocks that were passed on to malloc; `null` where the release does not count them.
    pub large_blocks: Option<i64>,
}

/// The collector of one interpreter.
#[derive(Clone, Debug, Serialize)]
pub struct CollectorState {
    /// Id of the interpreter.
    pub interpreter: i64,
    /// `gc.isenabled()`.
    pub enabled: bool,
    /// A collection was under way.
    pub collecting: bool,
    /// Generations 0, 1 and 2.
    pub generations: Vec<GenerationState>,
    /// Objects that collections leave alone.
    pub permanent_objects: u64,
    /// `len(gc.garbage)`; `null` where the list cannot be read.
    pub garbage_list: Option<u64>,
}

/// One generation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GenerationState {
    /// Objects on its list.
    pub objects: u64,
    /// `gc.get_count()`.
    pub count: i32,
    /// `gc.get_threshold()`.
    pub threshold: i32,
    /// Collections so far.
    pub collections: u64,
    /// Objects they freed.
    pub collected: u64,
    /// Objects they could not free.
    pub uncollectable: u64,
}

/// What a full collection would free.
#[derive(Clone, Debug, Serialize)]
pub struct GarbageSummary {
    /// Objects the collector would find unreachable.
    pub unreachable_objects: u64,
    /// Their size.
    pub unreachable_bytes: u64,
    /// Objects that only those keep alive.
    pub held_objects: u64,
    /// Their size.
    pub held_bytes: u64,
    /// Objects it would put into `gc.garbage` instead of freeing them.
    pub uncollectable_objects: u64,
    /// Objects that a finalizer may bring back.
    pub resurrectable_objects: u64,
    /// Objects with more references than their refcount says: a torn core.
    pub inconsistent_objects: u64,
    /// Why it was still there.
    pub why: Vec<String>,
}

/// Something that takes much memory.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectLine {
    /// Its name as Python would write it.
    pub path: String,
    /// Its type.
    pub type_name: String,
    /// `high`, `medium` or `low`.
    pub confidence: &'static str,
    /// Objects it reaches.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Share of all objects' bytes, in thousandths.
    pub share_permille: u32,
    /// What speaks for it.
    pub evidence: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Python threads.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadSummary {
    /// Threads that run Python.
    pub python: u64,
    /// Threads that do not.
    pub others: u64,
    /// Each thread's place, the one that held the GIL first.
    pub places: Vec<ThreadPlace>,
}

/// Where a thread was.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadPlace {
    /// Its number in the core, else its native id.
    pub tid: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// It held the GIL.
    pub holds_gil: bool,
    /// The signal it was being given.
    pub signal: Option<String>,
    /// Innermost function, file and line.
    pub place: Option<String>,
    /// The exception it was raising or handling.
    pub exception: Option<String>,
}

/// A command worth running.
#[derive(Clone, Debug, Serialize)]
pub struct NextStep {
    /// The command line.
    pub command: String,
    /// What it answers.
    pub answers: String,
}

/// What an overview is made of.
#[derive(Debug)]
pub struct OverviewParts<'p> {
    /// All objects.
    pub census: &'p Census,
    /// References between them.
    pub references: u64,
    /// Types, already named and cut.
    pub types: TypesReport,
    /// What a collection would find.
    pub garbage: &'p Collection,
    /// What to look at first.
    pub suspects: &'p Suspects,
    /// Stacks, already read and cut.
    pub threads: &'p ThreadsReport,
}

impl OverviewReport {
    /// Puts an overview together.
    pub fn new(runtime: &Runtime<'_>, core: &CoreIdentity, parts: OverviewParts<'_>) -> Self {
        let OverviewParts { census, references, types, garbage, suspects, threads } = parts;
        let garbage = garbage_summary(garbage);
        let suspect = |suspect: &Suspect| suspect_line(suspect, suspects.heap_bytes);
        Self {
            heap: HeapTotals {
                objects: types.objects,
                bytes: types.bytes,
                shallow_bytes: types.shallow_bytes,
                types: types.total_rows,
                references,
            },
            allocator: allocator(runtime, census),
            collectors: collectors(runtime),
            next: next_steps(core, &garbage, threads, &types),
            suspects_total: suspects.list.len() as u64,
            suspects: suspects.list.iter().take(MAX_SUSPECTS).map(suspect).collect(),
            threads: thread_summary(threads),
            types,
            garbage,
        }
    }
}

fn allocator(runtime: &Runtime<'_>, census: &Census) -> AllocatorTotals {
    let (figures, mimalloc) = (&census.figures.pymalloc, &census.figures.mimalloc);
    let free = |class: &crate::cpython::ClassFigures| class.free_blocks * u64::from(class.block_size);
    AllocatorTotals {
        name: census.allocator.name(),
        padded: census.padded,
        arenas: figures.arenas + mimalloc.segments,
        arena_bytes: figures.arenas * runtime.semantics.pools.arena + mimalloc.segment_bytes,
        live_blocks: figures.live_blocks() + mimalloc.live_blocks,
        live_bytes: figures.live_bytes() + mimalloc.live_bytes,
        free_block_bytes: figures.classes.iter().map(free).sum::<u64>() + mimalloc.free_bytes(),
        free_pool_bytes: figures.free_pools * runtime.semantics.pools.pool,
        other_blocks: census.gaps.other_blocks,
        other_bytes: census.gaps.other_bytes,
        large_blocks: figures.raw_blocks,
    }
}

fn collectors(runtime: &Runtime<'_>) -> Vec<CollectorState> {
    let state = |(index, interpreter): (usize, &crate::cpython::Interpreter)| {
        let listed = |generation: Generation| {
            let lists = runtime.gc_lists.iter();
            let of_it = lists.filter(|list| list.interpreter == index && list.generation == generation);
            of_it.map(|list| list.objects.len() as u64).sum::<u64>()
        };
        let generations =
            (0u8..).zip(&interpreter.gc.generations).map(|(number, counters)| GenerationState {
                objects: listed(Generation::from_u8(number)),
                count: counters.count,
                threshold: counters.threshold,
                collections: counters.collections,
                collected: counters.collected,
                uncollectable: counters.uncollectable,
            });
        CollectorState {
            interpreter: interpreter.id,
            enabled: interpreter.gc.enabled,
            collecting: interpreter.gc.collecting,
            generations: generations.collect(),
            permanent_objects: listed(Generation::Permanent),
            garbage_list: runtime
                .space
                .field(interpreter.gc.garbage, runtime.layouts.var_object.ob_size)
                .ok(),
        }
    };
    runtime.interpreters.iter().enumerate().take(MAX_INTERPRETERS).map(state).collect()
}

fn garbage_summary(garbage: &Collection) -> GarbageSummary {
    GarbageSummary {
        unreachable_objects: garbage.unreachable.len() as u64,
        unreachable_bytes: garbage.unreachable_bytes,
        held_objects: garbage.held.len() as u64,
        held_bytes: garbage.held_bytes,
        uncollectable_objects: garbage.uncollectable.len() as u64,
        resurrectable_objects: garbage.resurrectable.len() as u64,
        inconsistent_objects: garbage.inconsistent,
        why: match garbage.unreachable.is_empty() {
            true => Vec::new(),
            false => garbage.why.iter().map(|&why| why_text(why)).collect(),
        },
    }
}

/// A reason in words.
pub fn why_text(why: WhyUncollected) -> String {
    match why {
        WhyUncollected::Disabled => "the collector is disabled (gc.disable())".to_owned(),
        WhyUncollected::ZeroThreshold => {
            "the threshold of generation 0 is 0: collections never start by themselves".to_owned()
        }
        WhyUncollected::Frozen(objects) => format!(
            "{} are frozen (gc.freeze()): no collection looks at them",
            number::counted(objects, "object", false)
        ),
        WhyUncollected::ThresholdNotReached { generation, count, threshold } => {
            format!("generation {generation} is collected only once its count, {count}, exceeds {threshold}")
        }
        WhyUncollected::LongLivedTotal { pending, total } => format!(
            "a full collection waits until the {pending} objects that survived since the last one exceed a quarter of \
             the {total} that survived it"
        ),
        WhyUncollected::Incremental => {
            "a collection looks at the youngest objects and at part of the old ones (3.14.0 to 3.14.4)"
                .to_owned()
        }
        WhyUncollected::Collecting => "a collection was under way".to_owned(),
    }
}

fn suspect_line(suspect: &Suspect, all_bytes: u64) -> SuspectLine {
    SuspectLine {
        path: suspect.path.clone(),
        type_name: suspect.type_name.clone(),
        confidence: confidence_name(suspect.confidence),
        objects: suspect.objects,
        bytes: suspect.kept(),
        share_permille: number::permille(suspect.kept(), all_bytes),
        evidence: evidence_text(suspect.evidence),
        remedy: suspect.remedy.text(),
    }
}

fn thread_summary(threads: &ThreadsReport) -> ThreadSummary {
    let mut places: Vec<ThreadPlace> = threads
        .threads
        .iter()
        .map(|thread| ThreadPlace {
            tid: thread.tid.map(i64::from).or(thread.native_id.map(|id| id as i64)),
            name: thread.name.clone(),
            holds_gil: thread.holds_gil,
            signal: thread.signal.clone(),
            place: thread.frames.first().map(|frame| {
                let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
                format!("{} ({}{line})", frame.function, frame.file)
            }),
            exception: thread.raised.as_ref().or(thread.handled.as_ref()).map(|line| line.type_name.clone()),
        })
        .collect();
    places.sort_by_key(|place| !place.holds_gil);
    ThreadSummary { python: threads.threads_total, others: threads.others_total, places }
}

fn next_steps(
    core: &CoreIdentity,
    garbage: &GarbageSummary,
    threads: &ThreadsReport,
    types: &TypesReport,
) -> Vec<NextStep> {
    let mut steps = Vec::new();
    let mut step = |command: &str, arguments: &str, answers: String| {
        let command = format!("exuvia {command} {}{arguments}", shell_word(core.argument()));
        steps.push(NextStep { command, answers });
    };
    if garbage.unreachable_objects > 0 {
        step("types", " --garbage", "what the garbage consists of".to_owned());
    }
    if threads.threads.iter().any(|thread| thread.raised.is_some() || thread.handled.is_some()) {
        step("threads", " --values", "the stack of the exception, with values".to_owned());
    } else {
        step("threads", "", "Python stacks with their variables".to_owned());
    }
    if let Some(row) = types.rows.iter().find(|row| row.module != "builtins").or(types.rows.first()) {
        step(
            "objects",
            &format!(" {}", shell_word(&row.name)),
            format!("the largest instances of {}", row.name),
        );
    }
    step("info", "", "files, build-ids, and which answers are exact".to_owned());
    steps
}

/// A word as a POSIX shell takes it.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Report for OverviewReport {
    const COMMAND: &'static str = "overview";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        self.render_process(page, core);
        self.render_heap(page, coverage);
        page.gap();
        page.table(&self.types.table(coverage));
        self.render_garbage(page, coverage);
        self.render_suspects(page);
        self.render_threads(page);
        coverage.render_warnings(page, &["objects", "sizes", "references", "garbage", "stacks"]);
        page.heading("Next");
        let widest = self.next.iter().map(|step| columns(&step.command)).max().unwrap_or(0);
        for step in &self.next {
            page.command(&step.command, widest, &step.answers);
        }
    }
}

impl OverviewReport {
    fn render_process(&self, page: &mut Page, core: &CoreIdentity) {
        let pid = core.pid.map_or(String::new(), |pid| format!(" {pid}"));
        let command = core.command_line.as_deref().filter(|line| !line.is_empty());
        let command = command.or(core.process.as_deref()).unwrap_or("unknown");
        page.pair("Process", &format!("{command} (pid{pid})"));
        page.pair("Ended by", &core.ending());
        page.pair("Python", core.python.as_deref().unwrap_or("unknown"));
    }

    fn render_heap(&self, page: &mut Page, coverage: &Coverage) {
        let heap = &self.heap;
        page.pair(
            "Heap",
            &format!(
                "{}, {}, {} types, {} references",
                number::counted(heap.objects, "object", coverage.objects_bounded()),
                number::both_sizes(heap.bytes, heap.shallow_bytes, coverage.sizes_bounded()),
                number::count(heap.types),
                number::count(heap.references),
            ),
        );
        self.render_allocator(page);
        for collector in &self.collectors {
            let state = match (collector.enabled, collector.collecting) {
                (_, true) => "collecting",
                (true, false) => "on",
                (false, false) => "off",
            };
            let of = if self.collectors.len() > 1 {
                format!(" of {}", collector.interpreter)
            } else {
                String::new()
            };
            let generations: Vec<String> = (0..)
                .zip(&collector.generations)
                .map(|(number, generation)| {
                    format!(
                        "gen {number}: {} (count {} of {})",
                        number::count(generation.objects),
                        generation.count,
                        generation.threshold
                    )
                })
                .collect();
            let frozen = match collector.permanent_objects {
                0 => String::new(),
                objects => format!(", permanent: {}", number::count(objects)),
            };
            page.pair(&format!("Collector{of}"), &format!("{state}; {}{frozen}", generations.join(", ")));
        }
    }

    fn render_allocator(&self, page: &mut Page) {
        let allocator = &self.allocator;
        let in_use = || {
            format!(
                "{} in use, {} free in partly used",
                number::bytes(allocator.live_bytes),
                number::bytes(allocator.free_block_bytes)
            )
        };
        let size = number::bytes(allocator.arena_bytes);
        let mut text = match allocator.name {
            "pymalloc" => format!(
                "{} of {size}: {} pools, {} in free pools",
                number::counted(allocator.arenas, "arena", false),
                in_use(),
                number::bytes(allocator.free_pool_bytes)
            ),
            "mimalloc" => format!(
                "{} of {size}: {} pages",
                number::counted(allocator.arenas, "segment", false),
                in_use()
            ),
            _ => "which of its memory is in use is not known".to_owned(),
        };
        if allocator.padded {
            text.push_str("; debug hooks padded each block");
        }
        page.pair(allocator.name, &text);
    }

    fn render_garbage(&self, page: &mut Page, coverage: &Coverage) {
        page.gap();
        let garbage = &self.garbage;
        let bound = coverage.garbage_bounded();
        if garbage.unreachable_objects == 0 {
            page.pair("Garbage", "none: a full collection would free nothing");
        } else {
            page.pair(
                "Garbage",
                &format!(
                    "{}, {}, and {} they keep alive, {}",
                    number::counted(garbage.unreachable_objects, "unreachable object", bound),
                    number::at_least_bytes(garbage.unreachable_bytes, bound),
                    number::counted(garbage.held_objects, "object", bound),
                    number::at_least_bytes(garbage.held_bytes, bound),
                ),
            );
        }
        for (count, what) in [
            (garbage.uncollectable_objects, "would go to gc.garbage: a legacy finalizer holds them"),
            (garbage.resurrectable_objects, "may be brought back by a finalizer that has yet to run"),
            (garbage.inconsistent_objects, "have more references than their refcount says"),
        ] {
            if count > 0 {
                page.pair("", &format!("{} of them {what}", number::count(count)));
            }
        }
        if !garbage.why.is_empty() {
            page.pair("", &format!("still there because {}", garbage.why.join("; ")));
        }
        for collector in &self.collectors {
            if let Some(length) = collector.garbage_list.filter(|&length| length > 0) {
                page.pair("gc.garbage", &number::counted(length, "object", false));
            }
        }
    }

    fn render_suspects(&self, page: &mut Page) {
        if self.suspects.is_empty() {
            page.pair("Suspects", "none");
        }
        for (index, suspect) in self.suspects.iter().enumerate() {
            let label = if index == 0 { "Suspects" } else { "" };
            let size = number::bytes(suspect.bytes);
            let share = number::percent(suspect.share_permille);
            let type_name = match suspect.type_name.as_str() {
                "" => String::new(),
                name => format!(" ({name})"),
            };
            page.pair(label, &format!("{}{type_name}: {size}, {share}, {}", suspect.path, suspect.evidence));
            page.pair("", suspect.remedy);
        }
        let hidden = self.suspects_total - self.suspects.len() as u64;
        if hidden > 0 {
            page.pair("", &format!("and {hidden} more: exuvia suspects"));
        }
    }

    fn render_threads(&self, page: &mut Page) {
        let threads = &self.threads;
        let others = match threads.others {
            0 => String::new(),
            others => format!(", {others} without Python"),
        };
        page.pair("Threads", &format!("{} with Python{others}", threads.python));
        for place in &threads.places {
            let tid = place.tid.map_or("?".to_owned(), |tid| tid.to_string());
            let mut marks = Vec::new();
            marks.extend(place.holds_gil.then(|| "GIL".to_owned()));
            marks.extend(place.signal.clone());
            marks.extend(place.exception.clone());
            let marks = if marks.is_empty() { String::new() } else { format!(" [{}]", marks.join(", ")) };
            let name = place.name.as_deref().map_or(String::new(), |name| format!(" {name}"));
            let at = place.place.as_deref().unwrap_or("no Python frame");
            page.line(Tone::Plain, 14, &format!("{tid}{name}{marks} {at}"));
        }
        let hidden = threads.python.saturating_sub(threads.places.len() as u64);
        if hidden > 0 {
            page.line(Tone::Faint, 14, &format!("and {hidden} more"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        assert_eq!(shell_word("core.42"), "core.42");
        assert_eq!(shell_word("my core"), "'my core'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word("f.<locals>.C"), "'f.<locals>.C'");
    }
}
