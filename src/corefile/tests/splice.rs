//! Which bytes an address has: the core's, a module file's, none.

use super::super::{PieceSource, ReadError, SearchOptions};
use super::{BASE, HEAP, Loaded, Scene, page};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};

const ID: [u8; 20] = [0x1d; 20];

#[test]
fn what_a_writer_left_out_comes_from_the_file() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    for core in [loaded.kernel_core(), loaded.gcore()] {
        let inputs = scene.open(&core.build());
        let space = inputs.space();
        assert_eq!(space.slice(BASE, 4), Ok(&b"\x7fELF"[..]));
        assert_eq!(space.slice(BASE + 0x1000, 0x1000), Ok(&page(0xc0)[..]));
        assert_eq!(space.slice(BASE + 0x2000, 0x1000), Ok(&page(0xcc)[..]));
        assert_eq!(space.read_u8(BASE + 0x3000), Ok(0xdd), "changed data is the core's");
        assert_eq!(space.read_u8(BASE + 0x4000), Err(ReadError::Unmapped(BASE + 0x4000)));
        let code = space.piece_at(BASE + 0x1800).unwrap();
        assert_eq!((code.source, code.executable, code.writable), (PieceSource::Module(0), true, false));
        let data = space.piece_at(BASE + 0x3800).unwrap();
        assert_eq!((data.source, data.executable, data.writable), (PieceSource::Core, false, true));
    }
}

#[test]
fn without_the_file_it_is_mapped_but_not_in_the_core() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    for core in [loaded.kernel_core(), loaded.gcore()] {
        let inputs = scene.open(&core.build());
        let space = inputs.space();
        assert_eq!(space.read_u8(BASE + 0x1000), Err(ReadError::NotInCore(BASE + 0x1000)));
        assert_eq!(space.piece_at(BASE + 0x1000).unwrap().source, PieceSource::Module(0));
        assert_eq!(space.read_u8(BASE + 0x3000), Ok(0xdd));
    }
}

#[test]
fn a_refused_file_lends_no_bytes() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &Loaded::new(&scene.path("libx.so"), &[2; 20]).file);
    let inputs = scene.open(&loaded.kernel_core().build());
    assert_eq!(inputs.space().read_u8(BASE + 0x1000), Err(ReadError::NotInCore(BASE + 0x1000)));
}

#[test]
fn a_mapping_of_which_only_the_first_page_was_written_goes_on_in_the_file() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    let core = CoreBuilder::new()
        .file(BASE, BASE + 0x3000, 0, &loaded.path)
        .partial_segment(BASE, READ, 0x3000, loaded.page(0))
        .build();
    let inputs = scene.open(&core);
    let space = inputs.space();
    let sources: Vec<_> = space.pieces().iter().map(|piece| (piece.start, piece.source)).collect();
    assert_eq!(sources, [(BASE, PieceSource::Core), (BASE + 0x1000, PieceSource::Module(0))]);
    assert_eq!(space.read_u16(BASE + 0x1fff), Ok(0xccc0));
}

#[test]
fn a_mapping_longer_than_its_file_ends_with_the_file() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file[..0x1800]);
    let inputs = scene.open(&loaded.kernel_core().build());
    let space = inputs.space();
    assert_eq!(space.read_u8(BASE + 0x17ff), Ok(0xc0));
    assert_eq!(space.read_u8(BASE + 0x1800), Err(ReadError::NotInCore(BASE + 0x1800)));
}

/// Data pages that were never written are left out by the kernel and equal the file. But a filter that drops
/// private memory drops written ones as well, and then the file proves nothing.
#[test]
fn writable_pages_come_from_the_file_only_if_private_memory_was_written() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    let filtered = loaded
        .mapped(CoreBuilder::new())
        .segment(BASE, READ, loaded.page(0))
        .partial_segment(BASE + 0x1000, READ | EXECUTE, 0x1000, &[])
        .partial_segment(BASE + 0x3000, READ | WRITE, 0x1000, &[])
        .partial_segment(HEAP, READ | WRITE, 0x1000, &[]);
    let inputs = scene.open(&filtered.build());
    let space = inputs.space();
    assert_eq!(space.read_u8(BASE + 0x1000), Ok(0xc0));
    assert_eq!(space.read_u8(BASE + 0x3000), Err(ReadError::NotInCore(BASE + 0x3000)));
    assert_eq!(space.read_u8(HEAP), Err(ReadError::NotInCore(HEAP)));

    let with_stack = filtered.segment(HEAP + 0x10000, READ | WRITE, &page(0x22));
    let inputs = scene.open(&with_stack.build());
    assert_eq!(inputs.space().read_u8(BASE + 0x3000), Ok(0xda));
}

/// Relocated data is read-only in memory when the core is taken, but was written to.
#[test]
fn pages_the_loader_relocated_count_as_written() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    let core = loaded.mapped(CoreBuilder::new()).segment(BASE, READ, loaded.page(0)).partial_segment(
        BASE + 0x3000,
        READ,
        0x1000,
        &[],
    );
    let inputs = scene.open(&core.build());
    assert_eq!(inputs.space().read_u8(BASE + 0x3000), Err(ReadError::NotInCore(BASE + 0x3000)));
}

#[test]
fn the_image_in_the_core_replaces_a_missing_file() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let full = loaded
        .mapped(CoreBuilder::new())
        .segment(BASE, READ, loaded.page(0))
        .segment(BASE + 0x1000, READ | EXECUTE, loaded.page(1))
        .segment(BASE + 0x2000, READ, loaded.page(2))
        .segment(BASE + 0x3000, READ | WRITE, &page(0xdd));
    let inputs = scene.open(&full.build());
    let module = &inputs.modules()[0];
    assert!(module.image_in_core() && module.file().is_none());
    let image = inputs.module_image(module).unwrap();
    assert_eq!(image[..0x3000], loaded.file[..0x3000]);
    assert_eq!(image[0x3000..], page(0xdd));

    let inputs = scene.open(&loaded.kernel_core().build());
    let module = &inputs.modules()[0];
    assert!(!module.image_in_core());
    let image = inputs.module_image(module).unwrap();
    assert_eq!((&image[..0x1000], &image[0x1000..0x2000]), (loaded.page(0), &page(0)[..]));

    let headless = loaded.mapped(CoreBuilder::new()).segment(BASE + 0x1000, READ, loaded.page(1));
    let inputs = scene.open(&headless.build());
    assert_eq!(inputs.module_image(&inputs.modules()[0]), None);
}

#[test]
fn an_image_with_absurd_offsets_is_not_allocated() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let core = CoreBuilder::new()
        .file(BASE, BASE + 0x1000, 0, &loaded.path)
        .file(BASE + 0x1000, BASE + 0x2000, 1 << 60, &loaded.path)
        .segment(BASE, READ, loaded.page(0))
        .segment(BASE + 0x1000, READ, loaded.page(1));
    let inputs = scene.open_with(&core.build(), &SearchOptions::default());
    assert_eq!(inputs.module_image(&inputs.modules()[0]), None);
}
