//! Every input that once went wrong, and every seed, again.

use super::{Target, seeds};
use std::path::Path;

/// Inputs of `fuzz/regressions/TARGET`, by name.
fn regressions(target: Target) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(target.name());
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// How many of the seeds of [`Target::Walk`], [`Target::Told`] and [`Target::Index`] are walked: one in so many, each of another core or damage.
const ONE_IN: usize = 13;

fn replay(target: Target) {
    let step = if matches!(target, Target::Walk | Target::Told | Target::Index) { ONE_IN } else { 1 };
    let built = seeds::of(target).into_iter().enumerate().step_by(step);
    for (name, input) in built.map(|(n, input)| (format!("seed {n}"), input)).chain(regressions(target)) {
        let run = std::panic::catch_unwind(|| target.run(&input));
        assert!(run.is_ok(), "{}: {name}", target.name());
    }
}

#[test]
fn cores() {
    replay(Target::Core);
}

#[test]
fn notes() {
    replay(Target::Notes);
}

#[test]
fn compressed_files() {
    replay(Target::Compressed);
}

#[test]
fn debug_files() {
    replay(Target::Dwarf);
}

#[test]
fn tables() {
    replay(Target::Tables);
}

#[test]
fn damaged_cores() {
    replay(Target::Walk);
}

#[test]
fn archives_and_images() {
    replay(Target::Archives);
}

#[test]
fn lies_of_saved_heaps() {
    replay(Target::Told);
}

#[test]
fn damaged_indexes() {
    replay(Target::Index);
}
