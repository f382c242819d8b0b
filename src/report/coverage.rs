//! How much of the process a core lets us see, and what that makes of each answer.
//!
//! Knows which gaps bound which numbers; refuses to know what the numbers are.

use super::{Hex, Page, number};
use crate::corefile::{Inputs, MemoryFigures, ModuleStatus};
use crate::cpython::{Runtime, Support, WalkKind};
use crate::heap::{CensusFigures, ReferenceFigures};
use serde::Serialize;

/// How the release is supported, where that is not proved.
const BY_NAMES: &str = "by_names";
/// Most entries of each list of examples.
const MAX_EXAMPLES: usize = 8;

/// What was there to be read.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// The end of the core is missing.
    pub truncated: Option<CutOff>,
    /// A compressed core, or one from a pipe, could not be had to its end.
    pub damaged: Option<DamagedInput>,
    /// Whether every note of the core could be read.
    pub notes_complete: bool,
    /// The process' memory.
    pub memory: MemoryCoverage,
    /// The files it had mapped.
    pub modules: ModuleCoverage,
    /// The interpreter; `null` if none could be decoded.
    pub python: Option<PythonCoverage>,
    /// The objects; `null` if the command does not count them.
    pub census: Option<CensusCoverage>,
    /// The references; `null` if the command does not follow them.
    pub references: Option<ReferenceCoverage>,
    /// What all this makes of the answers.
    pub answers: Vec<Answer>,
}

/// A core that ends too early.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CutOff {
    /// Bytes its headers promise.
    pub expected_bytes: u64,
    /// Bytes it has.
    pub actual_bytes: u64,
}

/// A compressed core that could be decoded in part only, or whose checksum is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct DamagedInput {
    /// Bytes that were decoded.
    pub decoded_bytes: u64,
    /// Why there are no more.
    pub reason: String,
}

/// Bytes of memory by where they can be read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MemoryCoverage {
    /// All that was mapped.
    pub mapped_bytes: u64,
    /// Of it, what the process could write to, but for what was never touched.
    pub writable_bytes: u64,
    /// Of it, in the core.
    pub core_bytes: u64,
    /// Of it, in the files that were mapped.
    pub file_bytes: u64,
    /// Of it, never written to, as far as can be told: the core leaves it out, though it has other memory of the kind.
    pub untouched_bytes: u64,
    /// Of it, nowhere.
    pub missing_bytes: u64,
    /// Of what is missing, what the process could write to: objects may be lost with it.
    pub missing_writable_bytes: u64,
}

/// Mapped programs and libraries by what was found of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModuleCoverage {
    /// Found, with the process' build-id.
    pub matched: u64,
    /// Found, with no build-id to prove that they are the right ones.
    pub unverified: u64,
    /// Of these, those that nothing in the core could be compared with.
    pub uncompared: u64,
    /// Not found.
    pub missing: u64,
    /// Found, but proven to be others; not used.
    pub refused: u64,
}

/// The interpreter's own lists.
#[derive(Clone, Debug, Serialize)]
pub struct PythonCoverage {
    /// `proved`: decoding of the release is tested against the interpreter. `by_names`: it is decoded as far as its structs
    /// and fields are named as in later releases.
    pub support: &'static str,
    /// A collection was under way, so that the lists were partly on the C stack.
    pub collecting: bool,
    /// Lists of the collector that could not be walked to their end.
    pub broken_lists: Vec<BrokenList>,
    /// Types whose references are guessed from their instances' memory.
    pub opaque_types: u64,
    /// First of them, by name.
    pub opaque_type_names: Vec<String>,
}

/// A list that ends in nothing.
#[derive(Clone, Debug, Serialize)]
pub struct BrokenList {
    /// Id of the interpreter.
    pub interpreter: i64,
    /// `0`, `1`, `2` or `permanent`.
    pub generation: &'static str,
    /// The last GC head that could be read.
    pub at: Hex,
}

/// What the census could not tell.
#[derive(Clone, Debug, Serialize)]
pub struct CensusCoverage {
    /// Objects found.
    pub objects: u64,
    /// Objects whose size or references could not be read.
    pub unreadable_objects: u64,
    /// First of them.
    pub unreadable_examples: Vec<Hex>,
    /// Objects whose references are guessed from their memory.
    pub opaque_objects: u64,
    /// Entries of the collector's lists that are no objects.
    pub unknown_list_entries: u64,
    /// Pools of the allocator whose free list contradicts their header.
    pub damaged_pools: u64,
    /// Objects came from malloc, so that only those that something refers to are known.
    pub only_reachable: bool,
}

/// What the references could not tell.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReferenceCoverage {
    /// References between objects.
    pub edges: u64,
    /// References to addresses where no object is known.
    pub dangling: u64,
    /// Objects whose references are known in part only.
    pub partial_objects: u64,
}

/// How far one kind of answer can be trusted.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// `objects`, `sizes`, `references`, `garbage` or `stacks`.
    pub answer: &'static str,
    /// Whether it is exact.
    pub state: AnswerState,
    /// Why it is not, and what would help.
    pub why: Vec<String>,
}

/// Whether an answer is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerState {
    /// What the interpreter itself would say.
    Exact,
    /// Numbers are lower bounds, sets may lack members.
    Bounded,
    /// Not to be had from this core with what was found.
    Unavailable,
}

impl AnswerState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Bounded => "bounded",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Coverage {
    /// What can be said before any object is counted.
    pub fn new(inputs: &Inputs, runtime: Option<&Runtime<'_>>) -> Self {
        let mut coverage = Self {
            truncated: inputs
                .core()
                .truncation()
                .map(|cut| CutOff { expected_bytes: cut.expected, actual_bytes: cut.actual }),
            damaged: inputs
                .core()
                .damage()
                .map(|damage| DamagedInput { decoded_bytes: damage.decoded, reason: damage.reason.clone() }),
            notes_complete: inputs.notes().complete,
            memory: memory(match runtime {
                Some(runtime) => inputs.memory_figures(&runtime.space),
                None => inputs.memory_figures(&inputs.space()),
            }),
            modules: modules(inputs),
            python: runtime.map(python),
            census: None,
            references: None,
            answers: Vec::new(),
        };
        coverage.answers = coverage.judge();
        coverage
    }

    /// Adds what a census found.
    pub fn add_census(&mut self, figures: &CensusFigures) {
        let gaps = &figures.gaps;
        self.census = Some(CensusCoverage {
            objects: figures.objects,
            unreadable_objects: gaps.unreadable_objects,
            unreadable_examples: gaps.examples.iter().copied().take(MAX_EXAMPLES).map(Hex).collect(),
            opaque_objects: gaps.opaque_objects,
            unknown_list_entries: gaps.unknown_list_entries,
            damaged_pools: gaps.damaged_pools,
            only_reachable: gaps.only_reachable,
        });
        self.answers = self.judge();
    }

    /// Adds what following all references found.
    pub fn add_references(&mut self, figures: ReferenceFigures) {
        self.references = Some(ReferenceCoverage {
            edges: figures.edges,
            dangling: figures.dangling,
            partial_objects: figures.partial,
        });
        self.answers = self.judge();
    }

    /// Whether counts of objects are lower bounds.
    pub fn objects_bounded(&self) -> bool {
        self.is_bounded("objects")
    }

    /// Whether sums of sizes are lower bounds.
    pub fn sizes_bounded(&self) -> bool {
        self.is_bounded("sizes")
    }

    /// Whether garbage is a lower bound.
    pub fn garbage_bounded(&self) -> bool {
        self.is_bounded("garbage")
    }

    fn is_bounded(&self, answer: &str) -> bool {
        self.answers.iter().any(|known| known.answer == answer && known.state != AnswerState::Exact)
    }

    /// Warns of everything that makes one of these answers less than exact.
    pub fn render_warnings(&self, page: &mut Page, answers: &[&str]) {
        let mut reasons: Vec<&str> = Vec::new();
        if self.python.as_ref().is_some_and(|python| python.support == BY_NAMES) {
            reasons.push(
                "this release of CPython is decoded by the names that later ones have for the same things; its answers are \
                 not proved",
            );
        }
        for answer in self.answers.iter().filter(|answer| answers.contains(&answer.answer)) {
            for why in &answer.why {
                if !reasons.contains(&why.as_str()) {
                    reasons.push(why);
                }
            }
        }
        if !reasons.is_empty() {
            page.gap();
        }
        for reason in reasons {
            page.warning(reason);
        }
    }

    fn judge(&self) -> Vec<Answer> {
        const ALL: [&str; 5] = ["objects", "sizes", "references", "garbage", "stacks"];
        let Some(python) = &self.python else {
            let mut why = vec!["no CPython could be decoded in this core".to_owned()];
            why.extend(self.memory_gaps());
            why.extend(self.lost_notes());
            let unavailable = |answer| Answer { answer, state: AnswerState::Unavailable, why: why.clone() };
            return ALL.into_iter().map(unavailable).collect();
        };
        let mut memory = self.memory_gaps();
        memory.extend(self.unproven_files());
        let mut objects = memory.clone();
        objects.extend(self.list_gaps(python));
        let mut sizes = objects.clone();
        sizes.extend(self.unreadable());
        let mut references = sizes.clone();
        references.extend(self.opaque(python));
        if let Some(why) = self.hidden() {
            objects.push(why.clone());
            sizes.push(why);
        }
        // What nothing tracked refers to is no garbage, and keeps nothing of it alive that its refcount does not show.
        let mut garbage = references.clone();
        if let Some(why) = self.untold() {
            [&mut objects, &mut sizes, &mut references]
                .into_iter()
                .for_each(|answer| answer.push(why.clone()));
        }
        if python.collecting {
            garbage.push(
                "a collection was under way: refcounts and lists are those of its middle, not of a moment at rest"
                    .to_owned(),
            );
        }
        let reasons = [objects, sizes, references, garbage, memory];
        ALL.into_iter()
            .zip(reasons)
            .map(|(answer, why)| {
                let state = if why.is_empty() { AnswerState::Exact } else { AnswerState::Bounded };
                Answer { answer, state, why }
            })
            .collect()
    }

    fn memory_gaps(&self) -> Vec<String> {
        let mut why = Vec::new();
        if let Some(damaged) = &self.damaged {
            why.push(format!(
                "the core could not be unpacked beyond {} ({})",
                number::bytes(damaged.decoded_bytes),
                damaged.reason
            ));
        }
        if let Some(CutOff { expected_bytes, actual_bytes }) = self.truncated {
            why.push(format!(
                "the core is cut off after {} of {}{}: take or copy it again with enough room (ulimit -c, disk space)",
                number::bytes(actual_bytes),
                number::bytes(expected_bytes),
                self.share().map_or(String::new(), |share| format!(", with {share} of writable memory")),
            ));
        } else if self.memory.missing_writable_bytes > 0 {
            why.push(format!(
                "{} of writable memory are not in the core{}: take another with 0x33 or more in \
                 /proc/PID/coredump_filter (core(5); bit 0 keeps private memory, bit 1 shared)",
                number::bytes(self.memory.missing_writable_bytes),
                self.share().map_or(String::new(), |share| format!(", {share} are")),
            ));
        }
        why
    }

    /// How much of the writable memory is there, in words. Rounded down: only all of it is 100 %.
    fn share(&self) -> Option<String> {
        let MemoryCoverage { writable_bytes, missing_writable_bytes, .. } = self.memory;
        let there = u128::from(writable_bytes.saturating_sub(missing_writable_bytes));
        let percent = (there * 100).checked_div(u128::from(writable_bytes))?;
        Some(format!("{percent} %"))
    }

    /// Without the notes nobody knows which files were mapped, and where the interpreter is.
    fn lost_notes(&self) -> Option<String> {
        (!self.notes_complete).then(|| {
            "notes are cut off or damaged, which name the threads and the mapped files (gcore writes them last): a whole core \
             has them"
                .to_owned()
        })
    }

    /// Files that may be of another build: whatever they tell may be wrong.
    fn unproven_files(&self) -> Option<String> {
        let uncompared = self.modules.uncompared;
        (uncompared > 0).then(|| {
            format!(
                "nothing in the core proves that {} are the ones the process had mapped: a core with ELF headers \
                 (coredump_filter bit 4, 0x10) would, --core-only does without them",
                number::counted(uncompared, "file", false)
            )
        })
    }

    fn list_gaps(&self, python: &PythonCoverage) -> Vec<String> {
        let mut why = Vec::new();
        if !python.broken_lists.is_empty() && !python.collecting {
            why.push(format!(
                "{} of the collector's lists contradict themselves: memory was overwritten, or the core is torn",
                python.broken_lists.len()
            ));
        }
        if let Some(census) = &self.census {
            if census.unknown_list_entries > 0 {
                why.push(format!(
                    "{} entries of the collector's lists are no objects",
                    number::count(census.unknown_list_entries)
                ));
            }
            if census.damaged_pools > 0 {
                why.push(format!(
                    "the free lists of {} pools contradict their headers: memory was overwritten, or a block was being \
                     allocated",
                    number::count(census.damaged_pools)
                ));
            }
        }
        why
    }

    fn untold(&self) -> Option<String> {
        self.census.as_ref().filter(|census| census.only_reachable)?;
        Some(
            "the process took memory from malloc (PYTHONMALLOC=malloc), which does not tell where objects are: those that the \
             collector does not track and that only C code refers to are missing"
                .to_owned(),
        )
    }

    fn unreadable(&self) -> Option<String> {
        let census = self.census.as_ref().filter(|census| census.unreadable_objects > 0)?;
        let first =
            census.unreadable_examples.first().map_or(String::new(), |first| format!(", first {first}"));
        Some(format!(
            "the size or references of {} could not be read{first}",
            number::counted(census.unreadable_objects, "object", false)
        ))
    }

    /// Objects are found through references: behind memory that is only guessed at there may be more.
    fn hidden(&self) -> Option<String> {
        let opaque = self.census.as_ref()?.opaque_objects;
        (opaque > 0).then(|| {
            format!(
                "what only {} hold may not be found, as their references are guessed from their memory",
                number::counted(opaque, "object", false)
            )
        })
    }

    /// Once objects were counted, only types that have some matter.
    fn opaque(&self, python: &PythonCoverage) -> Option<String> {
        let names = python.opaque_type_names.join(", ");
        // With the code of a traversal the references are exact, whether or not anything tells the layout.
        let help = match self.modules.missing + self.modules.refused {
            0 => "debug information of their extension modules (--debug-dir)",
            _ => "the process' files, even stripped (--exe, --sysroot),",
        };
        match &self.census {
            Some(census) if census.opaque_objects > 0 => Some(format!(
                "the references of {} are guessed from their memory, as nothing tells their layout{}; {help} would make \
                 them exact",
                number::counted(census.opaque_objects, "object", false),
                if names.is_empty() { String::new() } else { format!(" (among them {names})") }
            )),
            Some(_) => None,
            None if python.opaque_types > 0 => Some(format!(
                "nothing tells the layout of {} types ({names}): references of their instances would be guessed; {help} \
                 would make them exact",
                python.opaque_types
            )),
            None => None,
        }
    }
}

fn memory(figures: MemoryFigures) -> MemoryCoverage {
    MemoryCoverage {
        mapped_bytes: figures.mapped,
        writable_bytes: figures.writable,
        core_bytes: figures.in_core,
        file_bytes: figures.from_files,
        untouched_bytes: figures.untouched,
        missing_bytes: figures.missing,
        missing_writable_bytes: figures.missing_writable,
    }
}

fn modules(inputs: &Inputs) -> ModuleCoverage {
    let mut coverage = ModuleCoverage::default();
    for module in inputs.modules() {
        match module.status {
            ModuleStatus::Matched { .. } => coverage.matched += 1,
            ModuleStatus::Unverified { compared, .. } => {
                coverage.unverified += 1;
                coverage.uncompared += u64::from(!compared);
            }
            ModuleStatus::Missing { .. } => coverage.missing += 1,
            ModuleStatus::Refused { .. } => coverage.refused += 1,
            ModuleStatus::NotElf => {}
        }
    }
    coverage
}

fn python(runtime: &Runtime<'_>) -> PythonCoverage {
    let broken = runtime.gc_lists.iter().filter_map(|list| {
        Some(BrokenList {
            interpreter: runtime.interpreters.get(list.interpreter)?.id,
            generation: list.generation.name(),
            at: Hex(list.broken_at?),
        })
    });
    let opaque = || runtime.types.iter().filter(|(_, info)| info.walk.kind == WalkKind::Scan);
    PythonCoverage {
        support: match runtime.semantics.version.support() {
            Support::ByNames => BY_NAMES,
            Support::Proved | Support::Unknown => "proved",
        },
        collecting: runtime.interpreters.iter().any(|interpreter| interpreter.gc.collecting),
        broken_lists: broken.take(MAX_EXAMPLES).collect(),
        opaque_types: opaque().count() as u64,
        opaque_type_names: opaque().take(MAX_EXAMPLES).map(|(_, info)| info.name.to_string()).collect(),
    }
}
