//! No input panics: everything a caller can ask is asked of damaged and random files.

use proptest::prelude::*;

use super::super::{Inputs, SearchOptions};
use super::{Loaded, Scene};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

/// Opens the bytes as a core and touches all of it.
fn exercise(scene: &Scene, bytes: &[u8]) {
    let options = SearchOptions { exe: Some(scene.path("libx.so")), ..SearchOptions::default() };
    let Ok(inputs) = Inputs::open(&scene.write("core", bytes), &options) else { return };
    let space = inputs.space();
    let mut end = 0;
    for piece in space.pieces() {
        assert!(piece.start >= end && piece.len > 0, "pieces are sorted, disjoint and not empty");
        assert!(piece.bytes.is_none_or(|bytes| bytes.len() as u64 == piece.len));
        end = piece.end();
    }
    let edges = space.pieces().iter().flat_map(|piece| [piece.start, piece.end()]);
    for address in edges.chain([0, u64::MAX]).take(200) {
        for near in [address.wrapping_sub(1), address, address.wrapping_add(1)] {
            let first = space.read_u8(near);
            assert_eq!(first.is_ok(), space.peek_from(near).is_ok());
            assert!(first.is_err() || space.is_mapped(near));
            let _ = space.read_u64(near);
            let _ = space.slice(near, usize::MAX);
            let _ = space.read_bytes(near, 5000);
            let _ = space.c_string(near, 100);
        }
    }
    for module in inputs.modules() {
        let _ = (module.name(), module.contains(module.end), inputs.module_image(module));
    }
}

fn whole(scene: &Scene) -> Vec<u8> {
    let loaded = Loaded::new(&scene.path("libx.so"), &[7; 20]);
    scene.write("libx.so", &loaded.file);
    let heap: Vec<u8> = (0..=255).collect();
    let core = loaded.kernel_core().auxv(&[(3, super::BASE), (31, super::HEAP)]);
    core.process(1, 0, b'R', "p", "p").signal(11, 1, &[0; 8]).segment(0x1000, READ | WRITE, &heap).build()
}

#[test]
fn a_core_cut_anywhere_is_an_error_or_damaged_but_never_a_panic() {
    let scene = Scene::new();
    let whole = whole(&scene);
    for length in (0..2000).chain((2000..whole.len()).step_by(977)) {
        exercise(&scene, &whole[..length.min(whole.len())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let scene = Scene::new();
        exercise(&scene, &bytes);
        let mut with_header = CoreBuilder::new().build();
        with_header[56] = 40;
        with_header.extend(bytes);
        exercise(&scene, &with_header);
    }

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((0..2400usize, any::<u8>()), 1..40)) {
        let scene = Scene::new();
        let mut bytes = whole(&scene);
        let length = bytes.len();
        for (position, value) in flips {
            bytes[position.min(length - 1)] = value;
        }
        exercise(&scene, &bytes);
    }

    #[test]
    fn extreme_segments_never_panic(
        segments in prop::collection::vec((edge(), edge(), 0..5000usize), 1..12),
        files in prop::collection::vec((edge(), edge(), edge()), 0..12),
    ) {
        let scene = Scene::new();
        let loaded = Loaded::new(&scene.path("libx.so"), &[7; 20]);
        scene.write("libx.so", &loaded.file);
        let content = loaded.file[..4096].repeat(2);
        let mut core = CoreBuilder::new();
        for (start, size, length) in segments {
            core = core.partial_segment(start, READ, size, &content[..length]);
        }
        for (start, size, offset) in files {
            core = core.file(start, start.wrapping_add(size), offset, &loaded.path);
        }
        exercise(&scene, &core.build());
    }
}

/// Numbers at which arithmetic goes wrong.
fn edge() -> impl Strategy<Value = u64> {
    let base =
        prop_oneof![Just(0), Just(0x1000), Just(1 << 30), Just(1 << 47), Just(1 << 63), Just(u64::MAX)];
    (base, -0x3000i64..0x3000).prop_map(|(base, delta): (u64, i64)| base.wrapping_add_signed(delta))
}
