//! Modules: grouping, load bias, and which file on disk is accepted.

use std::path::PathBuf;

use super::super::{BuildId, Module, ModuleStatus, SearchOptions};
use super::{BASE, Loaded, Scene, page, text};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};
use crate::testkit::library_builder::LibraryBuilder;

const ID: [u8; 20] = [0xab; 20];
const OTHER: [u8; 20] = [0xcd; 20];

fn id(bytes: &[u8]) -> Option<BuildId> {
    BuildId::new(bytes)
}

fn matched(module: &Module) -> Option<PathBuf> {
    match &module.status {
        ModuleStatus::Matched { path } => Some(path.clone()),
        _ => None,
    }
}

#[test]
fn a_file_with_the_same_build_id_matches() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("lib/libx.so"), &ID);
    let file = scene.write("lib/libx.so", &loaded.file);
    let inputs = scene.open(&loaded.kernel_core().build());
    let [module] = inputs.modules() else { panic!("{:?}", inputs.modules()) };
    assert_eq!(matched(module), Some(file));
    assert_eq!((module.name(), module.build_id.clone()), ("libx.so", id(&ID)));
    assert_eq!((module.start, module.end, module.load_bias), (BASE, BASE + 0x4000, BASE));
    assert_eq!(module.elf_bytes(), Some(&loaded.file[..]));
    assert!(module.contains(BASE + 0x3fff) && !module.contains(BASE + 0x4000));
    assert_eq!(inputs.module_at(BASE + 5).map(Module::name), Some("libx.so"));
    assert_eq!(module.build_id.as_ref().unwrap().to_string(), "ab".repeat(20));
}

#[test]
fn a_file_with_another_build_id_is_refused_by_name() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let path = scene.write("libx.so", &Loaded::new(&scene.path("libx.so"), &OTHER).file);
    let inputs = scene.open(&loaded.kernel_core().build());
    let module = &inputs.modules()[0];
    assert_eq!(module.status, ModuleStatus::Refused { path, expected: id(&ID), found: id(&OTHER) });
    assert!(module.file().is_none() && module.elf_bytes().is_none());
}

#[test]
fn a_file_that_lost_or_gained_a_build_id_is_refused() {
    let scene = Scene::new();
    let with = Loaded::new(&scene.path("libx.so"), &ID);
    let without = Loaded::new(&scene.path("libx.so"), &[]);
    let path = scene.write("libx.so", &without.file);
    let status = &scene.open(&with.kernel_core().build()).modules()[0].status.clone();
    assert_eq!(*status, ModuleStatus::Refused { path: path.clone(), expected: id(&ID), found: None });
    scene.write("libx.so", &with.file);
    let status = &scene.open(&without.kernel_core().build()).modules()[0].status.clone();
    assert_eq!(*status, ModuleStatus::Refused { path, expected: None, found: id(&ID) });
}

#[test]
fn a_text_file_in_place_of_a_library_is_refused() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let path = scene.write("libx.so", b"GROUP ( libc.so.6 )");
    let inputs = scene.open(&loaded.kernel_core().build());
    assert_eq!(inputs.modules()[0].status, ModuleStatus::Refused { path, expected: id(&ID), found: None });
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let inputs = scene.open_with(&loaded.kernel_core().build(), &options);
    let ModuleStatus::Missing { tried } = &inputs.modules()[0].status else { panic!() };
    assert_eq!(tried[0], scene.path("root").join(loaded.path.trim_start_matches('/')));
    assert_eq!(tried[1], scene.path("libx.so"));
    let hex = "ab".repeat(19);
    assert_eq!(tried[2], scene.path("root/usr/lib/debug/.build-id/ab").join(hex));
}

#[test]
fn the_sysroot_comes_before_the_path_and_a_wrong_file_there_is_passed_over() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let here = scene.write("libx.so", &loaded.file);
    let in_root = format!("root/{}", loaded.path.trim_start_matches('/'));
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let there = scene.write(&in_root, &loaded.file);
    assert_eq!(matched(&scene.open_with(&loaded.kernel_core().build(), &options).modules()[0]), Some(there));
    scene.write(&in_root, &Loaded::new(&scene.path("libx.so"), &OTHER).file);
    assert_eq!(matched(&scene.open_with(&loaded.kernel_core().build(), &options).modules()[0]), Some(here));
}

#[test]
fn a_path_cannot_climb_out_of_the_sysroot() {
    let scene = Scene::new();
    let loaded = Loaded::new(&PathBuf::from("/../../outside.so"), &ID);
    scene.write("outside.so", &loaded.file);
    let options = SearchOptions { sysroot: Some(scene.path("a/b")), ..SearchOptions::default() };
    let inputs = scene.open_with(&loaded.kernel_core().build(), &options);
    let ModuleStatus::Missing { tried } = &inputs.modules()[0].status else { panic!() };
    assert_eq!(tried[0], scene.path("a/b/outside.so"));
}

#[test]
fn files_are_found_by_build_id() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("gone/libx.so"), &ID);
    let entry = format!("debug/.build-id/ab/{}", "ab".repeat(19));
    let by_id = scene.write(&entry, &loaded.file);
    let debug = LibraryBuilder::new().build_id(&ID).debug_only().build();
    let debug_path = scene.write(&format!("{entry}.debug"), &debug);
    let options = SearchOptions { debug_dirs: vec![scene.path("debug")], ..SearchOptions::default() };
    let inputs = scene.open_with(&loaded.kernel_core().build(), &options);
    let module = &inputs.modules()[0];
    assert_eq!(matched(module), Some(by_id));
    assert_eq!(module.debug_file().map(|file| file.path().to_owned()), Some(debug_path));
}

#[test]
fn a_debug_file_of_another_build_is_not_used() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let entry = format!("root/usr/lib/debug/.build-id/ab/{}.debug", "ab".repeat(19));
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let core = loaded.kernel_core().build();
    scene.write(&entry, &LibraryBuilder::new().build_id(&OTHER).debug_only().build());
    assert!(scene.open_with(&core, &options).modules()[0].debug_file().is_none());
    scene.write(&entry, &LibraryBuilder::new().build_id(&ID).debug_only().build());
    assert!(scene.open_with(&core, &options).modules()[0].debug_file().is_some());
}

#[test]
fn a_debug_file_passed_as_the_program_is_not_taken_for_it() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("gone"), &ID);
    let debug = scene.write("x.debug", &LibraryBuilder::new().build_id(&ID).debug_only().build());
    let options = SearchOptions { exe: Some(debug.clone()), ..SearchOptions::default() };
    let inputs = scene.open_with(&loaded.kernel_core().build(), &options);
    let module = &inputs.modules()[0];
    assert!(matches!(module.status, ModuleStatus::Missing { .. }));
    assert_eq!(module.debug_file().map(|file| file.path().to_owned()), Some(debug));
}

#[test]
fn the_program_is_the_one_the_auxiliary_vector_points_at() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("gone"), &ID);
    let exe = scene.write("python3", &loaded.file);
    let core = CoreBuilder::new()
        .auxv(&[(3, BASE + 64)])
        .file(0x10000, 0x11000, 0, "/no/such/library.so")
        .partial_segment(0x10000, READ, 0x1000, &[]);
    let core = loaded.mapped(core).segment(BASE, READ, loaded.page(0));
    let options = SearchOptions { exe: Some(exe.clone()), ..SearchOptions::default() };
    let inputs = scene.open_with(&core.build(), &options);
    let flags: Vec<_> = inputs.modules().iter().map(|module| module.is_executable).collect();
    assert_eq!(flags, [false, true]);
    assert_eq!(inputs.executable().and_then(matched), Some(exe));
}

#[test]
fn a_program_at_fixed_addresses_has_no_bias() {
    let scene = Scene::new();
    let program =
        LibraryBuilder::new().fixed_at(0x40_0000).build_id(&ID).segment(READ | EXECUTE, &page(0xc0));
    let path = scene.write("prog", &program.build());
    let core = CoreBuilder::new()
        .file(0x40_0000, 0x40_1000, 0, text(&path))
        .file(0x40_1000, 0x40_2000, 0x1000, text(&path))
        .segment(0x40_0000, READ, &program.build()[..4096])
        .partial_segment(0x40_1000, READ | EXECUTE, 0x1000, &[]);
    let inputs = scene.open(&core.build());
    assert_eq!(inputs.modules()[0].load_bias, 0);
    assert_eq!(inputs.space().read_u8(0x40_1000), Ok(0xc0));
}

#[test]
fn without_the_header_page_read_only_pages_are_compared() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let path = scene.write("libx.so", &loaded.file);
    let with_code = |code: &[u8]| {
        let core = loaded
            .mapped(CoreBuilder::new())
            .partial_segment(BASE, READ, 0x1000, &[])
            .segment(BASE + 0x1000, READ | EXECUTE, code)
            .segment(BASE + 0x3000, READ | WRITE, &page(0xdd));
        scene.open(&core.build()).modules()[0].status.clone()
    };
    let ModuleStatus::Unverified { path: used, reason, .. } = with_code(&page(0xc0)) else { panic!() };
    assert_eq!(used, path);
    assert!(reason.contains("not in the core; 1 of its pages"), "{reason}");
    let mut breakpoint = page(0xc0);
    breakpoint[77] = 0xcc;
    assert!(matches!(with_code(&breakpoint), ModuleStatus::Unverified { .. }));
    assert_eq!(with_code(&page(0xc1)), ModuleStatus::Refused { path, expected: None, found: id(&ID) });
}

#[test]
fn a_module_without_a_build_id_is_unverified_but_used() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &[]);
    scene.write("libx.so", &loaded.file);
    let inputs = scene.open(&loaded.kernel_core().build());
    let ModuleStatus::Unverified { reason, .. } = &inputs.modules()[0].status else { panic!() };
    assert!(reason.starts_with("it has no build-id; 1 of its pages"), "{reason}");
    assert_eq!(inputs.space().read_u8(BASE + 0x1000), Ok(0xc0));
}

#[test]
fn the_file_that_replaced_a_deleted_one_needs_proof() {
    let scene = Scene::new();
    let mut loaded = Loaded::new(&scene.path("libx.so"), &ID);
    let path = scene.write("libx.so", &loaded.file);
    loaded.path += " (deleted)";
    let inputs = scene.open(&loaded.kernel_core().build());
    let module = &inputs.modules()[0];
    assert_eq!((matched(module), module.deleted, module.name()), (Some(path.clone()), true, "libx.so"));
    let no_header = loaded.mapped(CoreBuilder::new()).partial_segment(BASE, READ, 0x1000, &[]);
    let inputs = scene.open(&no_header.build());
    assert_eq!(inputs.modules()[0].status, ModuleStatus::Refused { path, expected: None, found: id(&ID) });
}

#[test]
fn one_path_loaded_twice_is_two_modules() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    let again = BASE + 0x10_0000;
    let mut core = loaded.kernel_core();
    for number in 0..4u64 {
        let start = again + number * 0x1000;
        core = core.file(start, start + 0x1000, number * 0x1000, &loaded.path);
    }
    let core = core.segment(again, READ, loaded.page(0)).partial_segment(again + 0x1000, READ, 0x1000, &[]);
    let inputs = scene.open(&core.build());
    let biases: Vec<_> = inputs.modules().iter().map(|module| (module.load_bias, module.end)).collect();
    assert_eq!(biases, [(BASE, BASE + 0x4000), (again, again + 0x4000)]);
    assert_eq!(inputs.space().read_u8(again + 0x1000), Ok(0xc0));
}

#[test]
fn without_headers_offsets_that_start_again_begin_a_module() {
    let scene = Scene::new();
    let core = CoreBuilder::new()
        .file(0x10000, 0x11000, 0, "/gone.so")
        .file(0x11000, 0x12000, 0x1000, "/gone.so")
        .file(0x12000, 0x13000, 0x1000, "/gone.so")
        .file(0x20000, 0x21000, 0, "/gone.so")
        .segment(0x90000, READ, b"x");
    let inputs = scene.open(&core.build());
    let spans: Vec<_> = inputs.modules().iter().map(|module| (module.start, module.end)).collect();
    assert_eq!(spans, [(0x10000, 0x13000), (0x20000, 0x21000)]);
}

#[test]
fn parts_of_a_data_file_do_not_cover_what_lies_between_them() {
    let scene = Scene::new();
    let loaded = Loaded::new(&scene.path("libx.so"), &ID);
    scene.write("libx.so", &loaded.file);
    for (first, header) in [(0, &page(7)[..]), (0, &[]), (0x1000, &[])] {
        let (below, above) = (BASE - 0x10_0000, BASE + 0x10_0000);
        let core = loaded
            .kernel_core()
            .file(below, below + 0x1000, first, "/data.bin")
            .file(above, above + 0x1000, 0x2000, "/data.bin")
            .partial_segment(below, READ, 0x1000, header);
        let inputs = scene.open(&core.build());
        let spans: Vec<_> = inputs.modules().iter().map(|module| (module.start, module.end)).collect();
        let apart = [(below, below + 0x1000), (BASE, BASE + 0x4000), (above, above + 0x1000)];
        assert_eq!(spans, apart);
        assert_eq!(inputs.module_at(BASE + 5).map(Module::name), Some("libx.so"));
    }
}

#[test]
fn data_files_are_not_modules_of_code() {
    let scene = Scene::new();
    let data = scene.write("table.bin", &page(7));
    let core = CoreBuilder::new()
        .file(0x10000, 0x11000, 0, text(&data))
        .file(0x20000, 0x21000, 0, "/dev/zero")
        .segment(0x20000, READ, &page(9))
        .partial_segment(0x10000, READ, 0x1000, &[]);
    let inputs = scene.open(&core.build());
    assert!(inputs.modules().iter().all(|module| module.status == ModuleStatus::NotElf));
    assert!(inputs.space().read_u8(0x10000).is_err(), "nothing proves the file is what was mapped");
}

#[test]
fn the_page_size_of_the_process_says_where_a_segment_begins() {
    // As linkers for AArch64 lay files out: the second segment begins in the middle of a page of 64 KiB.
    const PAGE: u64 = 0x1_0000;
    let scene = Scene::new();
    let mut library = LibraryBuilder::new().build_id(&ID).segment(READ | WRITE, &page(0xda)).build();
    let (offset, address) = (0x1_fd80u64, 0x2_fd80u64);
    let header = 64 + 56;
    library[header + 8..][..8].copy_from_slice(&offset.to_le_bytes());
    library[header + 16..][..8].copy_from_slice(&address.to_le_bytes());
    library.resize(0x3_0000, 0xda);
    let path = scene.write("libx.so", &library);
    for (page_size, bias) in [(PAGE, BASE), (0x1000, BASE + 0x1_0000), (0, BASE + 0x1_0000)] {
        let core = CoreBuilder::new()
            .identity(2, 1, 4, 183)
            .auxv(&[(6, page_size)])
            .file(BASE + 0x2_0000, BASE + 0x4_0000, PAGE, text(&path))
            .segment(BASE + 0x2_0000, READ | WRITE, &page(1));
        let inputs = scene.open(&core.build());
        assert_eq!(inputs.modules()[0].load_bias, bias, "pages of {page_size}");
    }
}
