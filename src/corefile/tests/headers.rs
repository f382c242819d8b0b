//! What is and what is not a core; truncation; extended numbering; who wrote it.

use std::path::Path;

use super::super::{CoreError, CoreMaker, Inputs, Machine, ReadError, SearchOptions, Truncation};
use super::{Scene, page, refusal};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

fn small() -> CoreBuilder {
    CoreBuilder::new().thread(7, 6, &[]).segment(0x1000, READ | WRITE, b"0123456789abcdef")
}

#[test]
fn a_core_shows_its_segments_and_machine() {
    let scene = Scene::new();
    let bytes = small().partial_segment(0x9000, READ, 0x3000, b"xy").build();
    let inputs = scene.open(&bytes);
    let core = inputs.core();
    assert_eq!(core.path(), scene.path("core"));
    assert_eq!(core.size(), bytes.len() as u64);
    assert_eq!(core.machine(), Machine::X86_64);
    assert_eq!(core.truncation(), None);
    let shape: Vec<_> = core.segments().iter().map(|s| (s.vaddr, s.memsz, s.filesz, s.flags)).collect();
    assert_eq!(shape, [(0x1000, 16, 16, READ | WRITE), (0x9000, 0x3000, 2, READ)]);
    let offset = core.segments()[0].offset as usize;
    assert_eq!(&bytes[offset..offset + 4], b"0123");
}

#[test]
fn every_wrong_file_has_its_own_error() {
    assert!(matches!(refusal(b""), CoreError::Empty { .. }));
    assert!(matches!(refusal(b"#!/bin/sh\n"), CoreError::NotElf { .. }));
    assert!(matches!(refusal(&small().identity(1, 1, 4, 3).build()), CoreError::Not64Bit { .. }));
    assert!(matches!(refusal(&small().identity(2, 2, 4, 62).build()), CoreError::NotLittleEndian { .. }));
    assert!(matches!(refusal(&small().identity(2, 1, 3, 62).build()), CoreError::NotCore { kind: 3, .. }));
    let other = refusal(&small().identity(2, 1, 4, 243).build());
    assert!(matches!(other, CoreError::UnsupportedMachine { machine: 243, .. }));
    assert!(matches!(refusal(&CoreBuilder::new().build()), CoreError::NoSegments { .. }));
    let missing = Inputs::open(Path::new("no/such/core"), &SearchOptions::default()).unwrap_err();
    assert!(matches!(missing, CoreError::Open { .. }));
    let scene = Scene::new();
    let directory = Inputs::open(&scene.path(""), &SearchOptions::default()).unwrap_err();
    assert!(matches!(directory, CoreError::NotRegular { .. }));
}

#[test]
fn messages_are_one_line_and_name_the_file() {
    let not_elf = refusal(b"hello").to_string();
    assert!(not_elf.contains("core is not an ELF file"), "{not_elf}");
    let program = refusal(&small().identity(2, 1, 3, 62).build()).to_string();
    assert!(program.contains("--exe") && !program.contains('\n'), "{program}");
}

#[test]
fn a_file_cut_inside_its_headers_says_how_much_they_need() {
    let whole = small().build();
    for length in [5, 40, 63] {
        let error = refusal(&whole[..length]);
        assert!(matches!(error, CoreError::HeadersCutOff { expected: 64, .. }), "{length}: {error}");
    }
    // One of two program headers is there, and it is the notes', which end at byte 532.
    let error = refusal(&whole[..64 + 56 + 10]);
    assert!(matches!(error, CoreError::HeadersCutOff { expected: 532, actual: 130, .. }), "{error}");
}

#[test]
fn truncated_memory_is_mapped_but_not_in_the_core() {
    let whole = CoreBuilder::new()
        .segment(0x10000, READ | WRITE, &page(1))
        .segment(0x11000, READ | WRITE, &page(2))
        .segment(0x20000, READ | WRITE, &page(3))
        .build();
    let cut = whole.len() - 4096 - 100;
    let scene = Scene::new();
    let inputs = scene.open(&whole[..cut]);
    let expected = Truncation { expected: whole.len() as u64, actual: cut as u64 };
    assert_eq!(inputs.core().truncation(), Some(expected));
    let space = inputs.space();
    assert_eq!(space.read_u8(0x10000), Ok(1));
    assert_eq!(space.read_u8(0x12000 - 101), Ok(2));
    assert_eq!(space.read_u8(0x12000 - 100), Err(ReadError::NotInCore(0x12000 - 100)));
    assert_eq!(space.read_u8(0x20000), Err(ReadError::NotInCore(0x20000)));
    assert_eq!(space.read_u8(0x21000), Err(ReadError::Unmapped(0x21000)));
}

#[test]
fn more_than_65535_segments_are_all_found() {
    let mut builder = CoreBuilder::new();
    let count = 65_600u64;
    for index in 0..count {
        builder = builder.segment(0x10_0000 + index * 0x2000, READ | WRITE, &index.to_le_bytes());
    }
    let scene = Scene::new();
    let inputs = scene.open(&builder.build());
    assert_eq!(inputs.core().segments().len() as u64, count);
    let space = inputs.space();
    for index in [0, 1, 300, 65_534, 65_535, count - 1] {
        assert_eq!(space.read_u64(0x10_0000 + index * 0x2000), Ok(index));
    }
    assert_eq!(space.read_u8(0x10_0000 + 0x1000), Err(ReadError::Unmapped(0x10_1000)));
}

#[test]
fn the_writer_is_told_apart() {
    let scene = Scene::new();
    assert_eq!(scene.open(&small().build()).core().maker(), CoreMaker::Kernel);
    assert_eq!(scene.open(&small().like_gcore().build()).core().maker(), CoreMaker::Gcore);
    let silent = CoreBuilder::new().segment(0x1000, READ, b"x").build();
    assert_eq!(scene.open(&silent).core().maker(), CoreMaker::Unknown);
}
