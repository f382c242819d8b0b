//! Tests of the layer through its door, on cores built by `testkit`.

mod compressed;
mod debug_files;
mod garbage;
mod headers;
mod link_map;
mod modules;
mod notes;
mod relocated;
mod space;
mod splice;
mod sysroot;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{CoreError, Inputs, SearchOptions};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};
use crate::testkit::library_builder::LibraryBuilder;

/// A directory with a core and whatever else a test puts there.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, making the directories it needs, and returns its path.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, core: &[u8]) -> Inputs {
        self.open_with(core, &SearchOptions::default())
    }

    fn open_with(&self, core: &[u8], options: &SearchOptions) -> Inputs {
        Inputs::open(&self.write("core", core), options).unwrap()
    }
}

/// The error of opening these bytes as a core.
fn refusal(bytes: &[u8]) -> CoreError {
    let scene = Scene::new();
    let path = scene.write("core", bytes);
    Inputs::open(&path, &SearchOptions::default()).unwrap_err()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A page of one byte.
fn page(byte: u8) -> Vec<u8> {
    vec![byte; 4096]
}

/// Where [`Loaded`] is mapped.
const BASE: u64 = 0x7f00_0000_0000;
/// A heap beside it.
const HEAP: u64 = 0x5500_0000_0000;

/// A library of a header page, a page of code (of `0xc0`), one of constants (`0xcc`) and one of data
/// (`0xda`), and the mapping notes of a process that loaded it.
struct Loaded {
    file: Vec<u8>,
    path: String,
}

impl Loaded {
    fn new(path: &Path, build_id: &[u8]) -> Loaded {
        let library = LibraryBuilder::new()
            .build_id(build_id)
            .segment(READ | EXECUTE, &page(0xc0))
            .segment(READ, &page(0xcc))
            .segment(READ | WRITE, &page(0xda));
        Loaded { file: library.build(), path: text(path).to_owned() }
    }

    /// A page of the file, by number.
    fn page(&self, number: usize) -> &[u8] {
        &self.file[number * 4096..][..4096]
    }

    /// Adds the library's entries of `NT_FILE`.
    fn mapped(&self, core: CoreBuilder) -> CoreBuilder {
        (0..4u64).fold(core, |core, number| {
            let start = BASE + number * 0x1000;
            core.file(start, start + 0x1000, number * 0x1000, &self.path)
        })
    }

    /// The core the kernel writes by default: the header page, no code, no constants, changed data, a heap.
    fn kernel_core(&self) -> CoreBuilder {
        self.mapped(CoreBuilder::new().thread(1, 6, &[]))
            .segment(HEAP, READ | WRITE, &page(0x11))
            .segment(BASE, READ, self.page(0))
            .partial_segment(BASE + 0x1000, READ | EXECUTE, 0x1000, &[])
            .partial_segment(BASE + 0x2000, READ, 0x1000, &[])
            .segment(BASE + 0x3000, READ | WRITE, &page(0xdd))
    }

    /// The core GDB writes: no segment where it wrote nothing.
    fn gcore(&self) -> CoreBuilder {
        self.mapped(CoreBuilder::new().thread(1, 0, &[]).like_gcore())
            .segment(HEAP, READ | WRITE, &page(0x11))
            .segment(BASE, READ, self.page(0))
            .segment(BASE + 0x3000, READ | WRITE, &page(0xdd))
    }
}
