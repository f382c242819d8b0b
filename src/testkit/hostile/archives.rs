//! Archives of root file systems, and saved images, as the place where the files of a process are looked for.
//!
//! Knows how to make small right ones; refuses to know which file is found.

use super::ScratchFile;
use crate::corefile::{Inputs, SearchOptions};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ};
use crate::testkit::elf_builder::ElfBuilder;
use std::sync::OnceLock;

/// Unit of a tar archive.
const BLOCK: usize = 512;
/// Where a header has its sum, and what it holds while the sum is made (POSIX.1-1988, ustar).
const SUM: std::ops::Range<usize> = 148..156;
/// Where it says that it is one.
const MAGIC: std::ops::Range<usize> = 257..262;

/// Looks for the files of a process in the archive `input`. Headers get their right sums: without, all changes to one would
/// end the archive.
pub(super) fn archives(input: &[u8]) {
    let mut archive = input.to_vec();
    for block in archive.as_chunks_mut::<BLOCK>().0.iter_mut().filter(|block| block[MAGIC] == *b"ustar") {
        set_sum(block);
    }
    let file = ScratchFile::new(&archive).expect("a file in memory");
    let options = SearchOptions { sysroot: Some(file.path().to_owned()), ..SearchOptions::default() };
    // Whether anything is found is not the question.
    let Ok(inputs) = Inputs::open(process().path(), &options) else { return };
    for module in inputs.modules() {
        let _ = inputs.module_image(module);
    }
}

/// A core of a process that mapped the file of [`program`], by two names.
fn process() -> &'static ScratchFile {
    static CORE: OnceLock<ScratchFile> = OnceLock::new();
    CORE.get_or_init(|| {
        let mut page = program();
        page.resize(0x1000, 0);
        let core = CoreBuilder::new()
            .thread(7, 6, &[(16, 0x40_0010)])
            .file(0x40_0000, 0x40_1000, 0, "/usr/bin/program")
            .file(0x50_0000, 0x50_1000, 0, "/lib/libx.so")
            .segment(0x40_0000, READ | EXECUTE, &page)
            .segment(0x50_0000, READ | EXECUTE, &page);
        ScratchFile::new(&core.build()).expect("a file in memory")
    })
}

fn program() -> Vec<u8> {
    ElfBuilder::new().section(".text", &[0x90; 64]).build_id(&[7; 20]).build()
}

fn set_sum(header: &mut [u8; BLOCK]) {
    header[SUM].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive to be.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        set_sum(&mut header);
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, "", content)
    }
}

/// Archives to begin with: every kind of entry, and both kinds of images.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let root = Tar::default()
        .entry(b'5', "usr/", "", b"")
        .entry(b'2', "lib", "usr/lib", b"")
        .entry(b'L', "././@LongLink", "", b"usr/bin/program\0")
        .file("short", &program())
        .entry(b'x', "pax", "", b"25 path=usr/lib/libx.so\n\n12 size=100\n")
        .file("other", &program())
        .entry(b'1', "usr/lib/liby.so", "usr/bin/program", b"")
        .entry(b'S', "holes", "", b"")
        .entry(b'3', "dev/null", "", b"")
        .0;
    let layer = Tar::default()
        .entry(b'0', "usr/bin/.wh.program", "", b"")
        .entry(b'0', "usr/lib/.wh..wh..opq", "", b"")
        .file("usr/lib/libx.so", &program())
        .0;
    let saved = Tar::default()
        .file("a/layer.tar", &root)
        .file("b/layer.tar", &layer)
        .file("c.json", br#"{"architecture":"amd64"}"#)
        .file("manifest.json", br#"[{"Config":"c.json","Layers":["a/layer.tar","b/layer.tar"]}]"#)
        .0;
    let manifest =
        br#"{"config":{"digest":"sha256:c"},"layers":[{"digest":"sha256:a"},{"digest":"sha256:b"}]}"#;
    let oci = |index: &[u8]| {
        Tar::default()
            .file("oci-layout", b"{}")
            .file("index.json", index)
            .file("blobs/sha256/m", manifest)
            .file("blobs/sha256/i", index)
            .file("blobs/sha256/c", br#"{"architecture":"amd64"}"#)
            .file("blobs/sha256/a", &root)
            .file("blobs/sha256/b", &layer)
            .0
    };
    let index = br#"{"manifests":[{"digest":"sha256:m"}]}"#;
    let nested = br#"{"manifests":[{"digest":"sha256:i"},{"digest":"sha256:i"},{"digest":"sha256:m"}]}"#;
    vec![root.clone(), layer.clone(), saved, oci(index), oci(nested)]
}
