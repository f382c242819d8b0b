//! Each source of layouts alone leads to the same answers: debug information, what the process says of itself, and the
//! embedded tables. Those from debug information are the ones that the other trials prove.

use exuvia::analysis::collect;
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::{Generation, Runtime, thread_frames};
use exuvia::graph::EdgeKind;
use exuvia::heap::{build_graph, census};
use exuvia::layout::Origin;
use std::fmt::Debug;
use std::path::Path;

/// Minors whose processes do not describe themselves.
const WITHOUT_SELF_DESCRIPTION: [&str; 5] = ["3.8", "3.9", "3.10", "3.11", "3.12"];
/// What is said where a process does not.
const NO_SELF_DESCRIPTION: &str = "no _Py_DebugOffsets of a known release";
/// How many differences are told of each answer.
const MAX_EXAMPLES: usize = 8;

/// Everything that the commands are made of, by address.
pub struct Answers {
    /// Address, type, name of the type, size, generation.
    objects: Vec<(u64, u64, String, u64, Option<Generation>)>,
    /// From, to, kind.
    references: Vec<(u64, u64, EdgeKind)>,
    unreachable: Vec<u64>,
    /// Frames with their variables, one text a thread.
    stacks: Vec<String>,
    /// The allocator's figures, and what could not be read.
    figures: Vec<String>,
}

/// Compares the answers of every source of the core's layouts; `minor` says which there must be.
pub fn prove(core: &Path, search: &SearchOptions, minor: &str) -> Result<(), String> {
    let inputs = Inputs::open(core, search).map_err(|error| error.to_string())?;
    let expected = Answers::by(&inputs, Origin::Dwarf)?;
    let mut wrong = Vec::new();
    expected.differences(&Answers::by(&inputs, Origin::Table)?, "an embedded table", &mut wrong);
    match (Answers::by(&inputs, Origin::Runtime), WITHOUT_SELF_DESCRIPTION.contains(&minor)) {
        (Ok(answers), false) => expected.differences(&answers, "the process", &mut wrong),
        (Ok(_), true) => wrong.push(format!("a process of {minor} described itself")),
        (Err(message), true) if message.contains(NO_SELF_DESCRIPTION) => {}
        (Err(message), _) => wrong.push(message),
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

impl Answers {
    /// Those by one source of layouts.
    pub fn by(inputs: &Inputs, source: Origin) -> Result<Self, String> {
        let in_words = |error: &dyn std::fmt::Display| format!("{source:?}: {error}");
        let mut runtime = Runtime::open_with(inputs, None, Some(source)).map_err(|error| in_words(&error))?;
        let census = census(&mut runtime).map_err(|error| in_words(&error))?;
        let objects = &census.objects;
        let graph = build_graph(&runtime, objects).map_err(|error| in_words(&error))?;
        let address = |node: u32| objects.address(exuvia::heap::ObjectId(node));
        let object = |id| {
            let type_ = runtime.types.get(objects.type_id(id));
            (
                objects.address(id),
                type_.address,
                type_.name.to_string(),
                objects.size(id),
                objects.flags(id).generation(),
            )
        };
        let references = objects.ids().flat_map(|id| {
            let edges = graph.forward.of(id.0).iter();
            edges.map(move |edge| (address(id.0), address(edge.target()), edge.kind()))
        });
        let threads = runtime.interpreters.iter().flat_map(|interpreter| &interpreter.threads);
        let figures = [
            format!("{:?}", census.allocators),
            format!("{:?}", census.gaps),
            format!("{} dangling, {} partial", graph.dangling, graph.partial),
        ];
        Ok(Self {
            objects: objects.ids().map(object).collect(),
            references: references.collect(),
            unreachable: collect(&runtime, objects, &graph).unreachable.iter().map(address).collect(),
            stacks: threads.map(|thread| format!("{:?}", thread_frames(&runtime, thread))).collect(),
            figures: figures.into(),
        })
    }

    /// Adds what is different in `other`.
    pub fn differences(&self, other: &Self, source: &str, wrong: &mut Vec<String>) {
        let mut compare = |what: &str, problem: Option<String>| {
            wrong.extend(problem.map(|problem| format!("{what} by {source}: {problem}")));
        };
        compare("objects", difference(&self.objects, &other.objects));
        compare("references", difference(&self.references, &other.references));
        compare("garbage", difference(&self.unreachable, &other.unreachable));
        compare("stacks", difference(&self.stacks, &other.stacks));
        compare("figures", difference(&self.figures, &other.figures));
    }
}

/// In what two lists differ, which are in the same order.
fn difference<T: PartialEq + Debug>(expected: &[T], found: &[T]) -> Option<String> {
    if expected == found {
        return None;
    }
    let pairs = expected.iter().zip(found).filter(|(expected, found)| expected != found);
    let few: Vec<String> = pairs.take(MAX_EXAMPLES).map(|(a, b)| format!("{b:?}, not {a:?}")).collect();
    Some(format!("{} and not {}: {}", found.len(), expected.len(), few.join("; ")))
}
