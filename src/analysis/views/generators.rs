//! Generators, coroutines and async generators, by the function they are of.
//!
//! Knows how far each is, and where; refuses to know tasks.

use super::instances;
use crate::analysis::{Heap, python_name};
use crate::corefile::Address;
use crate::cpython::{Generator, GeneratorState, WalkKind};
use crate::heap::ObjectId;
use std::collections::BTreeMap;

/// What kind of function made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneratorKind {
    /// A function with `yield`.
    Generator,
    /// An `async` function.
    Coroutine,
    /// An `async` function with `yield`.
    AsyncGenerator,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct GeneratorView {
    /// The object.
    pub id: ObjectId,
    /// What it is.
    pub kind: GeneratorKind,
    /// How far it is.
    pub state: GeneratorState,
    /// `__qualname__`.
    pub function: String,
    /// File of its code, while it has a frame.
    pub file: Option<String>,
    /// The line it is at, while it has a frame and the instruction a line.
    pub line: Option<u32>,
    /// What it delegates to or awaits.
    pub awaits: Option<Address>,
}

/// Those of one function that are as far and at one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorGroup {
    /// What they are.
    pub kind: GeneratorKind,
    /// How far they are.
    pub state: GeneratorState,
    /// `__qualname__`.
    pub function: String,
    /// File of the code.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// How many there are.
    pub count: u64,
    /// The sum of the bytes that each of them keeps alive alone.
    pub bytes: u64,
}

/// All of them, by address.
pub fn generators(heap: Heap<'_, '_>) -> Vec<GeneratorView> {
    let found = instances(heap, |info| info.walk.kind == WalkKind::Generator);
    let read = |id: ObjectId| {
        let Generator { state, qualname, frame, awaited } =
            Generator::read(heap.runtime, heap.objects.address(id))?;
        let line = frame.as_ref().and_then(|frame| frame.line);
        Some(GeneratorView {
            id,
            kind: match python_name(&heap.type_of(id).name) {
                "coroutine" => GeneratorKind::Coroutine,
                "async_generator" => GeneratorKind::AsyncGenerator,
                _ => GeneratorKind::Generator,
            },
            state,
            function: qualname,
            file: frame.map(|frame| frame.filename),
            line,
            awaits: awaited,
        })
    };
    found.into_iter().filter_map(read).collect()
}

/// Puts them together, those that keep most first; `bytes` is what one keeps.
pub fn group_generators(list: &[GeneratorView], bytes: impl Fn(ObjectId) -> u64) -> Vec<GeneratorGroup> {
    let mut groups: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for one in list {
        let key = (one.kind, one.state, &one.function, &one.file, one.line);
        let (count, sum) = groups.entry(key).or_default();
        *count += 1;
        *sum = sum.saturating_add(bytes(one.id));
    }
    let group =
        |((kind, state, function, file, line), (count, bytes)): ((_, _, &String, &Option<String>, _), _)| {
            GeneratorGroup { kind, state, function: function.clone(), file: file.clone(), line, count, bytes }
        };
    let mut groups: Vec<GeneratorGroup> = groups.into_iter().map(group).collect();
    // Stable: those that keep as much stay in the order of their names.
    groups.sort_by_key(|group| std::cmp::Reverse((group.bytes, group.count)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_function_at_one_line_are_one_group() {
        let one = |id: u32, line: u32| GeneratorView {
            id: ObjectId(id),
            kind: GeneratorKind::Generator,
            state: GeneratorState::Suspended,
            function: "rows".to_owned(),
            file: Some("app.py".to_owned()),
            line: Some(line),
            awaits: None,
        };
        let groups = group_generators(&[one(0, 7), one(1, 9), one(2, 7)], |id| u64::from(id.0) + 1);
        let found: Vec<_> = groups.iter().map(|group| (group.line, group.count, group.bytes)).collect();
        assert_eq!(found, [(Some(7), 2, 4), (Some(9), 1, 2)]);
    }
}
