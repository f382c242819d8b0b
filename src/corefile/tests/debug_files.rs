//! Where debug files and files of another file system are found, and by what they are known to be the right ones.

use std::path::{Path, PathBuf};

use super::super::{DebugSource, Inputs, ModuleStatus, SearchOptions};
use super::{BASE, Loaded, Scene, text};
use crate::testkit::core_builder::{CoreBuilder, READ};
use crate::testkit::elf_builder::ElfBuilder;
use crate::testkit::library_builder::LibraryBuilder;

const ID: [u8; 20] = [0xab; 20];
const OTHER: [u8; 20] = [0xcd; 20];

fn debug_file(id: &[u8]) -> Vec<u8> {
    LibraryBuilder::new().build_id(id).debug_only().build()
}

/// CRC-32 as in the GDB manual, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A program whose `.gnu_debuglink` names `x.debug` with the checksum of `debug`.
fn linked_program(build_id: &[u8], debug: &[u8]) -> Vec<u8> {
    let link = [b"x.debug\0".to_vec(), crc32(debug).to_le_bytes().to_vec()].concat();
    let elf = ElfBuilder::new().section(".gnu_debuglink", &link);
    let mut file = if build_id.is_empty() { elf.build() } else { elf.build_id(build_id).build() };
    file.resize(4096, 0);
    file
}

/// Opens a core of a process that had `program` mapped from `path`.
fn open(scene: &Scene, path: &Path, program: &[u8], options: &SearchOptions) -> Inputs {
    let core = CoreBuilder::new().file(BASE, BASE + 0x1000, 0, text(path)).segment(BASE, READ, program);
    scene.open_with(&core.build(), options)
}

fn found(inputs: &Inputs) -> Option<(PathBuf, DebugSource)> {
    let module = &inputs.modules()[0];
    Some((module.debug_file()?.path().to_owned(), module.debug_source()?))
}

#[test]
fn a_debug_link_is_followed_to_each_documented_place() {
    for place in
        ["bin/x.debug", "bin/.debug/x.debug", "given/PATH/x.debug", "root/usr/lib/debug/PATH/x.debug"]
    {
        let scene = Scene::new();
        let debug = debug_file(&[]);
        let program = linked_program(&[], &debug);
        let path = scene.write("bin/prog", &program);
        let directory = text(path.parent().unwrap()).trim_start_matches('/');
        let written = scene.write(&place.replace("PATH", directory), &debug);
        let options = SearchOptions {
            debug_dirs: vec![scene.path("given")],
            sysroot: Some(scene.path("root")),
            ..SearchOptions::default()
        };
        let inputs = open(&scene, &path, &program, &options);
        assert_eq!(found(&inputs), Some((written, DebugSource::DebugLink)), "{place}");
    }
}

#[test]
fn a_debug_link_with_another_checksum_or_build_id_is_not_followed() {
    let scene = Scene::new();
    let debug = debug_file(&ID);
    let program = linked_program(&ID, &debug);
    let path = scene.write("bin/prog", &program);
    let place = scene.write("bin/x.debug", &debug);
    assert!(found(&open(&scene, &path, &program, &SearchOptions::default())).is_some());
    let mut changed = debug.clone();
    changed[4000] ^= 1;
    scene.write("bin/x.debug", &changed);
    let inputs = open(&scene, &path, &program, &SearchOptions::default());
    assert_eq!(found(&inputs), None);
    assert!(inputs.modules()[0].debug_tried().contains(&place), "what was looked at is told");
    let other = debug_file(&OTHER);
    let program = linked_program(&ID, &other);
    scene.write("bin/prog", &program);
    scene.write("bin/x.debug", &other);
    assert_eq!(found(&open(&scene, &path, &program, &SearchOptions::default())), None);
}

#[test]
fn a_debug_link_cannot_lead_to_another_directory() {
    let scene = Scene::new();
    let debug = debug_file(&[]);
    let link = [b"../x.debug\0\0".to_vec(), crc32(&debug).to_le_bytes().to_vec()].concat();
    let mut program = ElfBuilder::new().section(".gnu_debuglink", &link).build();
    program.resize(4096, 0);
    let path = scene.write("bin/prog", &program);
    scene.write("x.debug", &debug);
    assert_eq!(found(&open(&scene, &path, &program, &SearchOptions::default())), None);
}

#[test]
fn the_cache_of_a_debuginfod_client_is_used_by_build_id() {
    let scene = Scene::new();
    let loaded = Loaded::new(Path::new("/no/such/libx.so"), &ID);
    let hex = "ab".repeat(20);
    let program = scene.write(&format!("cache/{hex}/executable"), &loaded.file);
    let debug = scene.write(&format!("cache/{hex}/debuginfo"), &debug_file(&ID));
    let options = SearchOptions { debuginfod_caches: vec![scene.path("cache")], ..SearchOptions::default() };
    let core = loaded.kernel_core().build();
    let inputs = scene.open_with(&core, &options);
    assert_eq!(inputs.modules()[0].status, ModuleStatus::Matched { path: program });
    assert_eq!(found(&inputs), Some((debug, DebugSource::DebuginfodCache)));
    scene.write(&format!("cache/{hex}/debuginfo"), &debug_file(&OTHER));
    assert_eq!(found(&scene.open_with(&core, &options)), None);
}

#[test]
fn links_in_a_sysroot_lead_where_the_process_would_have_gone() {
    let scene = Scene::new();
    let loaded = Loaded::new(Path::new("/lib/libx.so"), &ID);
    let file = scene.write("root/usr/lib/real/libx.so", &loaded.file);
    // Absolute, from outside they would lead to the file system of this machine; the second climbs too far.
    for (link, target) in [("root/lib", "/usr/lib/links"), ("root/usr/lib/links", "../../../../usr/lib/real")]
    {
        std::os::unix::fs::symlink(target, scene.path(link)).unwrap();
    }
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let core = loaded.kernel_core().build();
    let inputs = scene.open_with(&core, &options);
    assert_eq!(inputs.modules()[0].status, ModuleStatus::Matched { path: file });
    std::fs::remove_file(scene.path("root/lib")).unwrap();
    std::os::unix::fs::symlink("/lib", scene.path("root/lib")).unwrap();
    std::fs::remove_file(scene.path("root/usr/lib/real/libx.so")).unwrap();
    let inputs = scene.open_with(&core, &options);
    assert!(matches!(inputs.modules()[0].status, ModuleStatus::Missing { .. }), "a link to itself ends");
}

#[test]
fn paths_as_seen_from_outside_a_chroot_are_found_in_it() {
    let scene = Scene::new();
    let loaded = Loaded::new(Path::new("/var/lib/boxes/7/usr/lib/libx.so"), &ID);
    let file = scene.write("root/usr/lib/libx.so", &loaded.file);
    let options = SearchOptions { sysroot: Some(scene.path("root")), ..SearchOptions::default() };
    let inputs = scene.open_with(&loaded.gcore().build(), &options);
    assert_eq!(inputs.modules()[0].status, ModuleStatus::Matched { path: file.clone() });
    scene.write("root/usr/lib/libx.so", &Loaded::new(Path::new("/x"), &OTHER).file);
    let inputs = scene.open_with(&loaded.gcore().build(), &options);
    assert!(matches!(&inputs.modules()[0].status, ModuleStatus::Refused { path, .. } if *path == file));
}

#[test]
fn a_supplementary_file_is_found_by_its_path_or_build_id_and_checked() {
    let scene = Scene::new();
    let options = SearchOptions {
        debug_dirs: vec![scene.path("debug")],
        sysroot: Some(scene.path("root")),
        ..SearchOptions::default()
    };
    let inputs = scene.open_with(&Loaded::new(Path::new("/gone"), &ID).kernel_core().build(), &options);
    let from = scene.path("debug/.build-id/01/23.debug");
    let ask = |name: &str, id: &[u8]| {
        let found = inputs.supplementary_file(&from, name, id, &|bytes| bytes == [b"mark of ", id].concat());
        found.map(|file| file.path().to_owned()).map_err(|tried| tried.len())
    };
    assert_eq!(ask("/usr/lib/debug/.dwz/a", &[1; 20]), Err(6));
    let absolute = scene.write("root/usr/lib/debug/.dwz/a", &debug_file(&[1; 20]));
    assert_eq!(ask("/usr/lib/debug/.dwz/a", &[1; 20]), Ok(absolute));
    let moved = scene.write("debug/.dwz/b", &debug_file(&[2; 20]));
    assert_eq!(ask("/usr/lib/debug/.dwz/b", &[2; 20]), Ok(moved));
    scene.write("debug/.build-id/01/23.debug", b"");
    let relative = scene.write("debug/.build-id/01/../../.dwz/c", &debug_file(&[3; 20]));
    let found = ask("../../.dwz/c", &[3; 20]).unwrap();
    assert_eq!(found.canonicalize().unwrap(), relative.canonicalize().unwrap());
    let by_id = scene.write(&format!("debug/.build-id/04/{}.debug", "04".repeat(19)), &debug_file(&[4; 20]));
    assert_eq!(ask("/nowhere", &[4; 20]), Ok(by_id));
    let marked = scene.write("root/marked", &[&b"mark of "[..], &[5; 20]].concat());
    assert_eq!(ask("/marked", &[5; 20]), Ok(marked));
    assert!(ask("../../.dwz/c", &[6; 20]).is_err(), "another build");
}
