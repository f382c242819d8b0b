//! Files that only what relocation left in memory can prove or refute, and memory that nobody touched.

use super::super::{ModuleStatus, SearchOptions};
use super::{BASE, HEAP, Scene, page};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};
use crate::testkit::library_builder::LibraryBuilder;

const DYNAMIC: u32 = 2;
const RELRO: u32 = 0x6474_e552;
/// Relocated words of [`data`].
const WORDS: u64 = 8;

/// A page of relocated data at `0x1000`: a dynamic section, relative relocations at `0x1100`, at `0x1200` the words they are
/// for. `shift` is how much further all that they point at lies, as in another build; `bias` is 0 in a file.
fn data(shift: u64, bias: u64) -> Vec<u8> {
    let mut words = vec![0u64; 512];
    // DT_STRTAB, DT_STRSZ, DT_RELA, DT_RELASZ, DT_RELAENT.
    let dynamic = [5, 0x400 + bias, 10, 77 + shift, 7, 0x1100 + bias, 8, 24 * WORDS, 9, 24];
    words[..dynamic.len()].copy_from_slice(&dynamic);
    for number in 0..WORDS {
        let (at, target) = (0x1200 + 8 * number, 0x1300 + 16 * number + shift);
        let entry = 32 + 3 * number as usize;
        words[entry..entry + 3].copy_from_slice(&[at, 8, target]);
        words[64 + number as usize] = if bias == 0 { 0 } else { target + bias };
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn library(shift: u64) -> Vec<u8> {
    LibraryBuilder::new()
        .build_id(&[shift as u8 + 1; 20])
        .segment(READ | WRITE, &data(shift, 0))
        .zeros(0x2000)
        .range(DYNAMIC, 0x1000, 0x60)
        .range(RELRO, 0x1000, 0x1000)
        .build()
}

/// What the kernel writes with `coredump_filter` 0x1: memory that was written to, without ELF headers.
fn core(path: &str, written: &[u8]) -> CoreBuilder {
    CoreBuilder::new()
        .thread(1, 6, &[])
        .file(BASE, BASE + 0x1000, 0, path)
        .file(BASE + 0x1000, BASE + 0x2000, 0x1000, path)
        .segment(HEAP, READ | WRITE, &page(0x11))
        .partial_segment(BASE, READ, 0x1000, &[])
        .partial_segment(BASE + 0x1000, READ, 0x1000, written)
}

/// The status of the library of `shift` for a process that ran the one of 0.
fn status(shift: u64, written: &[u8]) -> ModuleStatus {
    let scene = Scene::new();
    let path = scene.write("libx.so", &library(shift));
    let inputs = scene.open(&core(path.to_str().unwrap(), written).build());
    inputs.modules()[0].status.clone()
}

#[test]
fn relocated_data_speak_for_the_file_they_are_of() {
    let status = status(0, &data(0, BASE));
    let ModuleStatus::Unverified { reason, compared: true, .. } = status else { panic!("{status:?}") };
    // Tag and value of each of four entries, and the words.
    assert!(reason.contains("16 of its relocated words"), "{reason}");
}

#[test]
fn another_build_is_refused_by_its_relocated_data() {
    let status = status(16, &data(0, BASE));
    assert!(matches!(status, ModuleStatus::Refused { expected: None, found: Some(_), .. }), "{status:?}");
}

#[test]
fn a_file_that_nothing_in_the_core_is_of_is_not_called_compared() {
    let status = status(16, &[]);
    assert!(matches!(status, ModuleStatus::Unverified { compared: false, .. }), "{status:?}");
}

#[test]
fn zeros_of_a_module_that_nobody_touched_are_not_missing() {
    let scene = Scene::new();
    let path = scene.write("libx.so", &library(0));
    let core = core(path.to_str().unwrap(), &data(0, BASE));
    let core = core.partial_segment(BASE + 0x2000, READ | WRITE, 0x2000, &[]).build();
    let inputs = scene.open_with(&core, &SearchOptions::default());
    assert!(inputs.module_at(BASE + 0x2000).is_some(), "they are the module's");
    let figures = inputs.memory_figures(&inputs.space());
    assert_eq!((figures.untouched, figures.missing_writable), (0x2000, 0));
    assert_eq!(figures.writable, 0x1000, "the heap");
}
