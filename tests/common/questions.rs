//! What can be asked of one core: every command, on targets that most heaps have.
//!
//! A question is a command (`types`, `view tasks`), and what stands behind the core. Refuses to know the answers.

/// A command, and what stands behind the core.
pub type Question = &'static [&'static str];

/// Questions about the whole heap.
pub const OF_HEAP: &[Question] = &[
    &["overview"],
    &["info", "--show-layouts"],
    &["types"],
    &["types", "--by-module", "--garbage", "--sort", "count"],
    &["types", "--retained"],
    &["types", "--retained", "--by-package", "--sort", "name"],
    &["threads"],
    &["threads", "--values"],
    &["dominators"],
    &["cuts"],
    &["cycles"],
    &["suspects"],
    &["waste"],
    &["waste", "--values"],
    &["view tasks", "--values"],
    &["view threads"],
    &["view generators"],
    &["view greenlets"],
    &["view caches"],
    &["view exceptions"],
    &["view buffers"],
    &["view modules"],
    &["view queues"],
    &["view logging"],
    &["view weak"],
];

/// Questions about an object or a type.
pub const OF_TARGETS: &[Question] = &[
    &["objects", "dict"],
    &["show", "sys", "--depth", "2"],
    &["referrers", "sys"],
    &["referents", "sys"],
    &["paths", "sys.path"],
    &["dominators", "dict", "--depth", "2"],
    &["free-if", "sys.path", "--list"],
    &["free-if", "function"],
];

/// The words of a question that is put to `cores`.
pub fn words<'a>(question: &[&'a str], cores: &[&'a str]) -> Vec<&'a str> {
    let (command, rest) = question.split_first().expect("a command");
    command.split(' ').chain(cores.iter().copied()).chain(rest.iter().copied()).collect()
}
