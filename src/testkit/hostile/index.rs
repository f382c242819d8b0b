//! An index of a committed core, damaged as an input says, and read by what commands ask of one.
//!
//! Two kinds of damage: to the file, which its checksums must find, and to its numbers, with checksums that are right: what is
//! then believed is wrong, but nothing may run without end, fall over, or take memory that the number names.

use super::ScratchFile;
use super::commands::{self, Kept};
use super::walk::unpacked_core;
use crate::analysis::{Heap, Holders, Retention, TypeGrouping, TypeGroups, collect, retained_by_types};
use crate::columns::{ColumnFile, ColumnWriter, Damaged};
use crate::corefile::{Inputs, SearchOptions};
use crate::cpython::Runtime;
use crate::heap::{build_graph, census};
use crate::index::{Contents, Index, Key};
use std::io::Cursor;
use std::sync::{Arc, OnceLock};

/// The core whose index it is.
const CORE: &str = "3.12.1-bare";
/// Bytes of one damage: which column, where in it (three bytes), what becomes of it, the new number (four bytes).
const STEP: usize = 9;
/// Most damages of one input.
const MOST: usize = 32;

/// A core, and the columns of its index.
struct Victim {
    inputs: Inputs,
    columns: Vec<(String, Vec<u8>)>,
}

/// Damages an index and asks everything of it.
pub(super) fn index(input: &[u8]) {
    static VICTIM: OnceLock<Victim> = OnceLock::new();
    let victim = VICTIM.get_or_init(victim);
    let [choice, rest @ ..] = input else { return };
    let bytes = if choice & 1 == 0 { lies(victim, rest) } else { broken(victim, rest) };
    let Ok(file) = ColumnFile::of(Arc::new(bytes)) else { return };
    let index = Index::of(file);
    // What cannot be used is worked out again, which is nothing of the index.
    let _ = asked(victim, &index, rest.len() as u64);
}

/// What a command does that finds an index.
fn asked(victim: &Victim, index: &Index, seed: u64) -> Result<(), Damaged> {
    index.answers()?;
    let known = index.known()?;
    let Ok(runtime) = Runtime::open_known(&victim.inputs, None, None, &known) else { return Ok(()) };
    if !index.fits(&runtime) {
        return Ok(());
    }
    let counted = index.counted()?;
    let graph = index.graph()?;
    let heap = Heap { runtime: &runtime, objects: &counted.objects, graph: &graph };
    let garbage = index.garbage(&runtime, &counted)?;
    let roots = index.roots(heap, &garbage)?;
    let holders = index.holders(&counted)?;
    let retention = index.retention(&counted)?;
    index.retained_types()?;
    index.census_figures()?;
    index.totals(&runtime)?;
    index.reference_figures()?;
    commands::kept(
        &victim.inputs,
        &Kept { heap, garbage: &garbage, roots: &roots, holders: &holders, retention: &retention },
        seed,
    );
    Ok(())
}

fn victim() -> Victim {
    let file = ScratchFile::new(&unpacked_core(CORE)).expect("a file in memory");
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    let inputs = Inputs::open(file.path(), &options).expect("a whole core");
    let mut runtime = Runtime::open(&inputs, None).expect("an interpreter");
    let counted = census(&mut runtime).expect("a heap").counted;
    let bytes = written(&runtime, &counted, &Key::new(file.path(), &inputs, ""));
    drop(runtime);
    let whole = ColumnFile::of(Arc::new(bytes)).expect("an index");
    let columns = whole.names().into_iter().map(|name| {
        let content = whole.column::<u8>(&name).expect("a whole column").to_vec();
        (name, content)
    });
    Victim { columns: columns.collect(), inputs }
}

/// The index of a heap, as a file.
fn written(runtime: &Runtime<'_>, counted: &crate::heap::Counted, key: &Key) -> Vec<u8> {
    let objects = &counted.objects;
    let graph = build_graph(runtime, objects).expect("a small heap");
    let garbage = collect(runtime, objects, &graph);
    let heap = Heap { runtime, objects, graph: &graph };
    let (roots, retention) = Retention::with_roots(heap, &garbage);
    let holders = Holders::search(heap, &roots, None);
    let types = TypeGroups::new(runtime, TypeGrouping::Type, |_| true);
    let retained_types = retained_by_types(heap, &roots, &retention, &types);
    let contents = Contents {
        runtime,
        counted,
        graph: &graph,
        garbage: &garbage,
        roots: &roots,
        holders: &holders,
        retention: &retention,
        retained_types: &retained_types,
    };
    contents.to_bytes(key).expect("a vector can be written")
}

/// The file with other bytes in places that the input names.
fn broken(victim: &Victim, input: &[u8]) -> Vec<u8> {
    let mut bytes = file_of(&victim.columns);
    for step in input.as_chunks::<5>().0.iter().take(MOST) {
        let place = u32::from_le_bytes([step[0], step[1], step[2], step[3]]) as usize;
        let at = place % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = step[4];
        }
    }
    bytes
}

/// A file whose columns have other numbers, and right checksums.
fn lies(victim: &Victim, input: &[u8]) -> Vec<u8> {
    let mut columns = victim.columns.clone();
    for &[column, a, b, c, how, new @ ..] in input.as_chunks::<STEP>().0.iter().take(MOST) {
        let count = columns.len().max(1);
        let Some((_, content)) = columns.get_mut(usize::from(column) % count) else { continue };
        let width = [1, 4, 8][usize::from(how % 3)];
        let numbers = (content.len() / width).max(1);
        let start = (u32::from_le_bytes([a, b, c, 0]) as usize % numbers) * width;
        match how / 3 % 4 {
            0 => content.truncate(start),
            1 => content.extend_from_within(..start.min(4096)),
            _ => {
                let new = new.into_iter().chain([how & 0x80; 4]);
                let place = content.get_mut(start..).into_iter().flatten().take(width);
                place.zip(new).for_each(|(byte, new)| *byte = new);
            }
        }
    }
    file_of(&columns)
}

fn file_of(columns: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = ColumnWriter::new(Cursor::new(Vec::new())).expect("a vector can be written");
    columns.iter().for_each(|(name, content)| out.column(name, content).expect("a vector can be written"));
    out.finish().expect("a vector can be written").into_inner()
}

/// Nothing damaged, and damages of each kind to each column.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![vec![0], vec![1, 8, 0, 0, 0, 255]];
    for column in 0..40u8 {
        for how in [2, 5, 6, 7, 8, 0x88] {
            let place = column.wrapping_mul(37);
            all.push(vec![0, column, place, how, 0, how, 255 - column, how, 0, 0]);
            all.push(vec![0, column, 0, 0, 0, how, 255, 255, 255, 255]);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(victim: &Victim, bytes: Vec<u8>) -> Result<(), Damaged> {
        asked(victim, &Index::of(ColumnFile::of(Arc::new(bytes))?), 1)
    }

    /// Numbers of types and of objects that are none: believed, they would be looked up.
    #[test]
    fn numbers_beyond_all_objects_and_types_are_found_out() {
        let victim = victim();
        for name in ["objects.types", "roots.held_by_c", "roots.unexplained"] {
            let mut columns = victim.columns.clone();
            let (_, content) = columns.iter_mut().find(|(known, _)| known == name).expect("a column");
            let width = if name == "roots.held_by_c" { 16 } else { 4 };
            let lie = [[u8::MAX; 4], [0; 4], [1, 0, 0, 0], [0; 4]].concat();
            match content.get_mut(..width) {
                Some(first) => first.copy_from_slice(&lie[..width]),
                None => content.extend(&lie[..width]),
            }
            assert!(read(&victim, file_of(&columns)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_whole_index_is_used_and_a_broken_one_is_found_out() {
        let victim = victim();
        assert_eq!(read(&victim, file_of(&victim.columns)), Ok(()));
        for (number, (name, content)) in victim.columns.iter().enumerate() {
            // Short ones, and zeros, are found in other places too; the key is not asked here.
            if content.len() < 64 || content.iter().all(|&byte| byte == 0) || name == "key" {
                continue;
            }
            let whole = file_of(&victim.columns);
            let start = whole.windows(content.len()).position(|found| found == content.as_slice());
            let mut bytes = whole;
            bytes[start.expect("it is there")] ^= 1;
            assert!(read(&victim, bytes).is_err(), "{number}: {name}");
        }
    }
}
