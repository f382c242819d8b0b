//! Cores without `NT_FILE`: modules as the dynamic linker listed them.

use super::super::{Inputs, ModuleStatus, SearchOptions};
use super::{BASE, HEAP, Loaded, Scene, page, text};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};

const PROGRAM: u64 = 0x40_0000;
const ID: [u8; 20] = [0xab; 20];

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A program header: type, flags, offset, address, size.
fn header(kind: u32, flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    [words(&[u64::from(kind) | u64::from(flags) << 32]), words(&[offset, address, address, size, size, 4096])]
        .concat()
}

/// A program at a fixed address: a page with headers, a page of data that begins with its dynamic section.
fn program() -> Vec<u8> {
    let table = [
        header(6, READ, 64, PROGRAM + 64, 4 * 56),
        header(1, READ | EXECUTE, 0, PROGRAM, 4096),
        header(1, READ | WRITE, 4096, PROGRAM + 4096, 4096),
        header(2, READ | WRITE, 4096, PROGRAM + 4096, 64),
    ];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    file.extend(words(&[PROGRAM, 64, 0]));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 4, 0, 64, 0, 0, 0, 0, 0]);
    file.extend(table.concat());
    file.resize(8192, 0);
    file
}

/// Memory at [`HEAP`]: names, `r_debug`, and a list of the program, the vdso and the library.
fn linker_memory(program: &str, library: &str, dynamic_of_library: u64) -> Vec<u8> {
    let mut memory = words(&[1, HEAP + 0x100]);
    memory.resize(0x100, 0);
    for (bias, name, dynamic, next) in [
        (0, 0x700, PROGRAM + 4096, HEAP + 0x200),
        (0x7fff_0000_0000, 0x780, 0x7fff_0000_0300, HEAP + 0x300),
        (BASE, 0x900, dynamic_of_library, 0),
    ] {
        memory.extend(words(&[bias, HEAP + name, dynamic, next, 0]));
        memory.resize(memory.len().next_multiple_of(0x100), 0);
    }
    memory.resize(4096, 0);
    for (at, name) in [(0x780, "linux-vdso.so.1"), (0x800, program), (0x900, library)] {
        memory[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    memory
}

fn open(scene: &Scene, memory: &[u8], headers_in_core: bool, options: &SearchOptions) -> Inputs {
    let mut data = words(&[1, 0, 21, HEAP]);
    data.resize(4096, 0);
    let first_page = if headers_in_core { program()[..4096].to_vec() } else { Vec::new() };
    let core = CoreBuilder::new()
        .auxv(&[(3, PROGRAM + 64), (5, 4), (31, HEAP + 0x800)])
        .partial_segment(PROGRAM, READ | EXECUTE, 4096, &first_page)
        .segment(PROGRAM + 4096, READ | WRITE, &data)
        .segment(HEAP, READ | WRITE, memory)
        .partial_segment(BASE, READ, 0x1000, &[])
        .partial_segment(BASE + 0x1000, READ | EXECUTE, 0x1000, &[])
        .segment(BASE + 0x2000, READ, &page(0xcc))
        .segment(BASE + 0x3000, READ | WRITE, &page(0xdd));
    scene.open_with(&core.build(), options)
}

/// A library with a dynamic section in its data, which is its fourth page.
fn library(path: &str) -> Vec<u8> {
    let mut file = Loaded::new(std::path::Path::new(path), &ID).file;
    // The program header of the build-id note becomes that of the dynamic section.
    let table = 64 + 4 * 56;
    file[table..table + 56].copy_from_slice(&header(2, READ | WRITE, 0x3000, 0x3000, 64));
    file
}

fn names(inputs: &Inputs) -> Vec<(&str, u64, bool)> {
    inputs.modules().iter().map(|module| (module.name(), module.load_bias, module.is_executable)).collect()
}

#[test]
fn program_and_libraries_are_listed_from_memory() {
    let scene = Scene::new();
    let library_path = scene.write("libx.so", &library("libx.so"));
    let program_path = scene.write("prog", &program());
    let memory = linker_memory(text(&program_path), text(&library_path), BASE + 0x3000);
    for headers_in_core in [true, false] {
        let inputs = open(&scene, &memory, headers_in_core, &SearchOptions::default());
        assert_eq!(names(&inputs), [("prog", 0, true), ("libx.so", BASE, false)], "{headers_in_core}");
        let library = &inputs.modules()[1];
        assert!(matches!(library.status, ModuleStatus::Unverified { .. }), "{:?}", library.status);
        assert_eq!(inputs.space().read_u8(BASE + 0x1000), Ok(0xc0), "code comes from the file");
        assert_eq!(inputs.space().read_u8(BASE + 0x3000), Ok(0xdd), "data comes from the core");
    }
}

#[test]
fn a_library_whose_dynamic_section_lies_elsewhere_is_another_one() {
    let scene = Scene::new();
    let library_path = scene.write("libx.so", &library("libx.so"));
    let program_path = scene.write("prog", &program());
    let memory = linker_memory(text(&program_path), text(&library_path), BASE + 0x2000);
    let inputs = open(&scene, &memory, true, &SearchOptions::default());
    assert_eq!(names(&inputs), [("prog", 0, true)]);
}

#[test]
fn files_are_looked_for_in_the_sysroot_and_a_damaged_list_ends() {
    let scene = Scene::new();
    scene.write("root/usr/lib/libx.so", &library("libx.so"));
    scene.write("root/usr/bin/prog", &program());
    let mut memory = linker_memory("/usr/bin/prog", "/usr/lib/libx.so", BASE + 0x3000);
    // The last entry leads back to the first.
    memory[0x318..0x320].copy_from_slice(&(HEAP + 0x100).to_le_bytes());
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let inputs = open(&scene, &memory, false, &options);
    assert_eq!(names(&inputs), [("prog", 0, true), ("libx.so", BASE, false)]);
    let nothing = open(&scene, &memory, false, &SearchOptions::default());
    assert!(nothing.modules().is_empty(), "nothing tells where anything lies");
}
