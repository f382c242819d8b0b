//! `cycles`: what the garbage consists of, by shape.

use super::overview::why_text;
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::analysis::{Collection, CycleGroup, CycleStep, Cycles};
use crate::heap::ObjectTable;
use serde::Serialize;

/// Kinds of references listed of a shape.
const MAX_EDGES: usize = 32;
/// Types listed of a shape.
const MAX_TYPES: usize = 16;
/// Types named in text.
const SHOWN_TYPES: usize = 4;

/// The answer of `cycles`.
#[derive(Clone, Debug, Serialize)]
pub struct CyclesReport {
    /// Objects a full collection would free: unreachable ones, and what only they keep alive.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Of these, the objects the collector itself would find.
    pub unreachable_objects: u64,
    /// Of these, objects that cycles of several shapes keep alive, and that are in none of the groups' numbers.
    pub shared_objects: u64,
    /// Their size.
    pub shared_bytes: u64,
    /// Why it was still there.
    pub why: Vec<String>,
    /// Tracked objects on none of the collector's lists: it was at work.
    pub detached_objects: u64,
    /// Interpreters, where there are several.
    pub interpreters: Vec<InterpreterLine>,
    /// How many shapes there are.
    pub groups_total: u64,
    /// The shapes that keep most bytes.
    pub groups: Vec<GroupLine>,
}

/// The garbage of one interpreter.
#[derive(Clone, Debug, Serialize)]
pub struct InterpreterLine {
    /// Its id.
    pub interpreter: i64,
    /// Objects on its lists.
    pub tracked_objects: u64,
    /// Unreachable ones.
    pub unreachable_objects: u64,
    /// Their size.
    pub unreachable_bytes: u64,
}

/// Cycles of one shape.
#[derive(Clone, Debug, Serialize)]
pub struct GroupLine {
    /// How many cycles: sets of objects that all reach each other.
    pub cycles: u64,
    /// Objects in them.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Objects that only these cycles keep alive.
    pub kept_objects: u64,
    /// Their size.
    pub kept_bytes: u64,
    /// Both sizes.
    pub total_bytes: u64,
    /// Objects of the largest cycle.
    pub largest: u64,
    /// Objects with a finalizer that has yet to run.
    pub finalizers: u64,
    /// Objects that would go to `gc.garbage`.
    pub uncollectable: u64,
    /// Objects that a finalizer may bring back.
    pub resurrectable: u64,
    /// Objects in generations 0, 1, 2 and on no list.
    pub generations: [u64; 4],
    /// Types of the objects in the cycles, most first.
    pub types: Vec<TypeCount>,
    /// How many kinds of references are within the cycles.
    pub edges_total: u64,
    /// The first of them.
    pub edges: Vec<EdgeLine>,
    /// A shortest cycle of the first example.
    pub example: Vec<StepLine>,
    /// Objects of it beyond those steps.
    pub example_left_out: u64,
    /// An object of each of the first cycles.
    pub examples: Vec<Hex>,
}

/// How many objects of a type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeCount {
    /// The type.
    pub type_name: String,
    /// Its objects.
    pub objects: u64,
}

/// One kind of reference.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeLine {
    /// Type of the holder.
    pub from: String,
    /// Where it holds, without index or key.
    pub label: String,
    /// Type of what is held.
    pub to: String,
}

/// One object of an example.
#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    /// The object.
    pub address: Hex,
    /// Its type, or the class that it is.
    pub what: String,
    /// Where it holds the next one; the last holds the first.
    pub label: String,
}

impl CyclesReport {
    /// Cuts what was found to `limit` groups.
    pub fn new(objects: &ObjectTable, garbage: &Collection, found: &Cycles, limit: usize) -> Self {
        let unreachable_objects = garbage.unreachable.len() as u64;
        let interpreter = |line: &crate::analysis::InterpreterGarbage| InterpreterLine {
            interpreter: line.interpreter,
            tracked_objects: line.tracked,
            unreachable_objects: line.unreachable,
            unreachable_bytes: line.bytes,
        };
        Self {
            objects: found.objects,
            bytes: found.bytes,
            unreachable_objects,
            shared_objects: found.shared_objects,
            shared_bytes: found.shared_bytes,
            why: match unreachable_objects {
                0 => Vec::new(),
                _ => found.why.iter().map(|&why| why_text(why)).collect(),
            },
            detached_objects: garbage.detached,
            interpreters: garbage.interpreters.iter().map(interpreter).collect(),
            groups_total: found.groups.len() as u64,
            groups: found.groups.iter().take(limit).map(|group| GroupLine::new(objects, group)).collect(),
        }
    }
}

impl GroupLine {
    fn new(objects: &ObjectTable, group: &CycleGroup) -> Self {
        let step = |step: &CycleStep| StepLine {
            address: Hex(objects.address(step.object)),
            what: step.what.clone(),
            label: step.label.clone(),
        };
        let types = group.types.iter().take(MAX_TYPES);
        let edges = group.edges.iter().take(MAX_EDGES);
        Self {
            cycles: group.cycles,
            objects: group.objects,
            bytes: group.bytes,
            kept_objects: group.kept_objects,
            kept_bytes: group.kept_bytes,
            total_bytes: group.total_bytes(),
            largest: group.largest,
            finalizers: group.finalizers,
            uncollectable: group.uncollectable,
            resurrectable: group.resurrectable,
            generations: group.generations,
            types: types
                .map(|(name, objects)| TypeCount { type_name: name.clone(), objects: *objects })
                .collect(),
            edges_total: group.edges.len() as u64,
            edges: edges
                .map(|edge| EdgeLine {
                    from: edge.from.clone(),
                    label: edge.label.clone(),
                    to: edge.to.clone(),
                })
                .collect(),
            example: group.example.iter().map(step).collect(),
            example_left_out: group.example_left_out,
            examples: group.examples.iter().map(|&id| Hex(objects.address(id))).collect(),
        }
    }

    /// The example as one line: `Node.next → Node.next → (98 more) → Node`.
    fn cycle_text(&self) -> String {
        let mut parts: Vec<(String, u64)> = Vec::new();
        for step in &self.example {
            let separator =
                if step.label.starts_with(['.', '[']) || step.label.is_empty() { "" } else { " " };
            let text = format!("{}{separator}{}", step.what, step.label);
            match parts.last_mut() {
                Some((last, count)) if *last == text => *count += 1,
                _ => parts.push((text, 1)),
            }
        }
        let mut parts: Vec<String> = parts
            .into_iter()
            .map(|(text, count)| {
                if count > 2 { format!("{text} ×{count}") } else { vec![text; count as usize].join(" → ") }
            })
            .collect();
        if self.example_left_out > 0 {
            parts.push(format!("({} more)", number::count(self.example_left_out)));
        }
        parts.extend(self.example.first().map(|first| first.what.clone()));
        parts.join(" → ")
    }

    fn size_text(&self) -> String {
        if self.cycles == 1 || self.objects == self.cycles * self.largest {
            return number::counted(self.largest, "object", false);
        }
        format!("up to {}", number::counted(self.largest, "object", false))
    }
}

impl Report for CyclesReport {
    const COMMAND: &'static str = "cycles";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.garbage_bounded();
        if self.objects == 0 {
            page.paragraph(Tone::Strong, 2, "No garbage: a full collection would free nothing");
        } else {
            page.paragraph(
                Tone::Strong,
                2,
                &format!(
                    "{} would be freed by a full collection, {}: {} and what only they keep alive",
                    number::counted(self.objects, "object", bound),
                    number::at_least_bytes(self.bytes, bound),
                    number::counted(self.unreachable_objects, "unreachable object", bound),
                ),
            );
        }
        if !self.why.is_empty() {
            page.note(&format!("still there because {}", self.why.join("; ")));
        }
        if self.detached_objects > 0 {
            page.note(&format!(
                "{} on none of the collector's lists were examined too",
                number::counted(self.detached_objects, "tracked object", false)
            ));
        }
        for line in &self.interpreters {
            page.note(&format!(
                "interpreter {}: {} of {} tracked objects are unreachable, {}",
                line.interpreter,
                number::count(line.unreachable_objects),
                number::count(line.tracked_objects),
                number::bytes(line.unreachable_bytes)
            ));
        }
        for (index, group) in self.groups.iter().enumerate() {
            group.render(page, index + 1);
        }
        let hidden = self.groups_total - self.groups.len() as u64;
        if hidden > 0 {
            page.gap();
            page.note(&format!("and {}, see --limit", number::counted(hidden, "smaller shape", false)));
        }
        if self.shared_objects > 0 {
            page.note(&format!(
                "{}, {}, are kept by cycles of several shapes",
                number::counted(self.shared_objects, "object", false),
                number::bytes(self.shared_bytes)
            ));
        }
        coverage.render_warnings(page, &["garbage"]);
    }
}

impl GroupLine {
    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        page.line(
            Tone::Strong,
            0,
            &format!(
                "{place}. {}, {} of {}",
                number::bytes(self.total_bytes),
                number::counted(self.cycles, "cycle", false),
                self.size_text()
            ),
        );
        page.line(Tone::Plain, 4, &self.cycle_text());
        page.line(
            Tone::Plain,
            4,
            &format!(
                "in them {}, {}; kept by them {}, {}",
                number::counted(self.objects, "object", false),
                number::bytes(self.bytes),
                number::counted(self.kept_objects, "object", false),
                number::bytes(self.kept_bytes)
            ),
        );
        if self.types.len() > 1 {
            let shown: Vec<String> = self
                .types
                .iter()
                .take(SHOWN_TYPES)
                .map(|line| format!("{} {}", number::count(line.objects), line.type_name))
                .collect();
            let more = if self.types.len() > SHOWN_TYPES { ", …" } else { "" };
            page.line(Tone::Plain, 4, &format!("types: {}{more}", shown.join(", ")));
        }
        for (count, what) in [
            (self.finalizers, "with a finalizer that has yet to run"),
            (self.resurrectable, "may be brought back by a finalizer"),
            (self.uncollectable, "would go to gc.garbage: a legacy finalizer holds them"),
        ] {
            if count > 0 {
                page.line(Tone::Plain, 4, &format!("{} {what}", number::counted(count, "object", false)));
            }
        }
        let examples: Vec<String> = self.examples.iter().map(ToString::to_string).collect();
        page.line(Tone::Faint, 4, &format!("e.g. {}", examples.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(steps: &[(&str, &str)], left_out: u64) -> GroupLine {
        let step = |&(what, label): &(&str, &str)| StepLine {
            address: Hex(0),
            what: what.to_owned(),
            label: label.to_owned(),
        };
        GroupLine {
            cycles: 2,
            objects: 6,
            bytes: 0,
            kept_objects: 0,
            kept_bytes: 0,
            total_bytes: 0,
            largest: 3,
            finalizers: 0,
            uncollectable: 0,
            resurrectable: 0,
            generations: [0; 4],
            types: Vec::new(),
            edges_total: 0,
            edges: Vec::new(),
            example: steps.iter().map(step).collect(),
            example_left_out: left_out,
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_cycle_is_written_as_it_goes_round() {
        let text =
            group(&[("Node", ".payload"), ("dict", "['l']"), ("coroutine", "local box")], 0).cycle_text();
        assert_eq!(text, "Node.payload → dict['l'] → coroutine local box → Node");
        let node = ("Node", ".next");
        assert_eq!(group(&[node, node], 0).cycle_text(), "Node.next → Node.next → Node");
        assert_eq!(group(&[node, node, node], 97).cycle_text(), "Node.next ×3 → (97 more) → Node");
    }

    #[test]
    fn cycles_of_one_length_say_it() {
        let mut line = group(&[], 0);
        assert_eq!(line.size_text(), "3 objects");
        line.objects = 5;
        assert_eq!(line.size_text(), "up to 3 objects");
    }
}
