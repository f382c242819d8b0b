//! Compressed cores.

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::super::{CoreError, Inputs, MappedFile, SearchOptions};
use super::{Scene, refusal};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

/// Memory with text, pages of zeros, and a zero tail.
fn memory() -> Vec<u8> {
    let mut memory: Vec<u8> =
        (0..40_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    memory.resize(memory.len() + 1_500_000, 0);
    memory.extend(b"behind the hole");
    memory.resize(memory.len() + 70_001, 0);
    memory
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn a_compressed_core_reads_like_the_plain_one() {
    let memory = memory();
    let core = CoreBuilder::new().segment(0x10000, READ | WRITE, &memory).build();
    let inputs = Scene::new().open(&frame(&core));
    assert_eq!(inputs.core().size(), core.len() as u64);
    assert_eq!(inputs.core().truncation(), None);
    assert_eq!(inputs.space().slice(0x10000, memory.len()), Ok(&memory[..]));
}

#[test]
fn frames_follow_each_other_and_skippable_ones_are_skipped() {
    let core = CoreBuilder::new().segment(0x10000, READ | WRITE, &memory()).build();
    let (first, second) = core.split_at(core.len() / 3);
    let mut file = frame(first);
    file.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]);
    file.extend(b"abc");
    file.extend(frame(second));
    let scene = Scene::new();
    let path = scene.write("core.zst", &file);
    assert_eq!(MappedFile::open(&path).unwrap().bytes(), core);
    assert_eq!(MappedFile::open(&path).unwrap().path(), path);
    assert_eq!(MappedFile::open_as_is(&path).unwrap().bytes(), file);
}

#[test]
fn a_cut_or_broken_compressed_core_is_said() {
    let whole = frame(&CoreBuilder::new().segment(0x10000, READ | WRITE, &memory()).build());
    for length in [5, 20, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..length]);
        assert!(matches!(error, CoreError::Decompress { .. }), "{length}: {error}");
    }
    let mut garbage_after = whole.clone();
    garbage_after.extend(b"garbage");
    assert!(matches!(refusal(&garbage_after), CoreError::Decompress { .. }));
}

#[test]
fn a_window_of_terabytes_is_refused_not_allocated() {
    // Window descriptors of exponent 30, 1 TiB, and of exponent 31 and mantissa 7, 3.75 TiB
    // (RFC 8878, section 3.1.1.1.2).
    let error = refusal(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 0x01, 0x00, 0x00]);
    assert!(error.to_string().contains("window of 1099511627776 bytes is too large"), "{error}");
    let error = refusal(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0x00, 0x00]);
    assert!(matches!(error, CoreError::Decompress { .. }), "{error}");
}

#[test]
fn an_empty_compressed_file_is_empty() {
    let scene = Scene::new();
    let path = scene.write("core", &frame(b""));
    let error = Inputs::open(&path, &SearchOptions::default()).unwrap_err();
    assert!(matches!(error, CoreError::Empty { .. }), "{error}");
}
