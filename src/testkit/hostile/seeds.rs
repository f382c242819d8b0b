//! Inputs to begin with, for each target: small right files that the builders make, and damages of each kind.

use super::Target;
use super::damage::STEP;
use crate::corefile::{Inputs, SearchOptions, SeekableWriter, Source};
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};
use crate::testkit::dwarf_builder::DwarfBuilder;
use crate::testkit::elf_builder::{ElfBuilder, HashStyle, LINK_BASE, SymbolSpec};
use crate::testkit::library_builder::LibraryBuilder;
use std::io::Write;

/// Inputs that lead a fuzzer far into a target.
pub fn of(target: Target) -> Vec<Vec<u8>> {
    match target {
        Target::Core => cores(),
        Target::Notes => notes(),
        Target::Compressed => compressed(),
        Target::Dwarf => debug_files(),
        Target::Tables => tables(),
        Target::Archives => super::archives::seeds(),
        Target::Walk => damages(),
        Target::Told => lies(),
        Target::Index => super::index::seeds(),
    }
}

fn cores() -> Vec<Vec<u8>> {
    let library = LibraryBuilder::new().build();
    let core = CoreBuilder::new()
        .process(7, 1, b'R', "python3", "python3 -m app")
        .thread(7, 6, &[(4, 0x60_0100), (16, 0x40_0010), (19, 0x60_0100), (21, 0x60_0000)])
        .thread(8, 0, &[(4, 0x60_0200), (16, 0x40_0010), (19, 0x60_0200), (21, 0x60_0300)])
        .signal(6, -6, &[1, 0, 0, 0])
        .auxv(&[(3, 0x40_0040), (6, 4096), (9, 0x40_0010), (31, 0x60_0010)])
        .file(0x40_0000, 0x40_4000, 0, "/usr/bin/python3")
        .segment(0x40_0000, READ | EXECUTE, &library[..library.len().min(0x1000)])
        .partial_segment(0x50_0000, READ | WRITE, 0x2000, b"partly there")
        .segment(0x60_0000, READ | WRITE, &[0x60; 512]);
    let many = (0..64u64)
        .fold(CoreBuilder::new(), |core, n| core.segment(0x1000 * (n + 1), READ | WRITE, &n.to_le_bytes()));
    vec![core.build(), core.like_gcore().build(), many.build()]
}

fn notes() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for kind in 0..=255u8 {
        if kind & 31 < 7 {
            all.push([&[kind][..], &[1; 340][..]].concat());
        }
    }
    let mut files = vec![5, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    for number in [0x40_0000u64, 0x40_1000, 0, 0x50_0000, 0x50_2000, 1] {
        files.extend(number.to_le_bytes());
    }
    files.extend(b"/usr/bin/python3.12\0/lib/libc.so.6 (deleted)\0");
    all.push(files);
    // What a saved heap says of the core it was made from.
    let core = super::ScratchFile::new(&cores().swap_remove(0)).expect("a file in memory");
    let options = SearchOptions { core_only: true, ..SearchOptions::default() };
    if let Ok(inputs) = Inputs::open(core.path(), &options) {
        let source = Source::of(&inputs, &inputs.space(), None).to_bytes().expect("paths that are text");
        all.push([&[3 << 5][..], &source].concat());
    }
    all
}

/// The same content in each format, and in frames that can be found.
fn compressed() -> Vec<Vec<u8>> {
    let core = cores().swap_remove(0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    let mut seekable = SeekableWriter::new(Vec::new(), 3);
    let writers: [&mut dyn Write; 4] = [&mut gzip, &mut xz, &mut lz4, &mut seekable];
    writers.into_iter().for_each(|writer| writer.write_all(&core).expect("a vector can be written"));
    let made = [
        gzip.finish().ok(),
        xz.finish().ok(),
        lz4.finish().ok(),
        seekable.finish().ok(),
        zstd::bulk::compress(&core, 3).ok(),
        zstd::stream::encode_all(core.as_slice(), 19).ok(),
    ];
    made.into_iter().flatten().collect()
}

fn debug_files() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for version in [4, 5] {
        let mut dwarf = DwarfBuilder::new(version);
        dwarf.unit("Objects/object.c");
        let long = dwarf.base("long", 8);
        let object = dwarf.structure(Some("_object"), 16);
        dwarf.member(object, Some("ob_refcnt"), long, 0);
        let pointer = dwarf.pointer(Some(object));
        dwarf.member(object, Some("ob_type"), pointer, 8);
        dwarf.typedef("PyObject", object);
        let node = dwarf.structure(Some("Node"), 64);
        dwarf.member(node, Some("ob_base"), object, 0);
        let items = dwarf.array(pointer, &[Some(2), Some(2)]);
        dwarf.member(node, Some("items"), items, 16);
        let either = dwarf.union(None, 8);
        dwarf.member(either, Some("a"), pointer, 0);
        dwarf.member(either, Some("b"), long, 0);
        dwarf.member(node, None, either, 48);
        all.push(dwarf.build());
    }
    let symbols = [
        SymbolSpec::function("traverse", LINK_BASE, 16),
        SymbolSpec::object("_PyRuntime", LINK_BASE + 64, 1024),
        SymbolSpec::thread_local("tls", 0, 8).hidden(),
    ];
    for style in [HashStyle::SysV, HashStyle::Gnu, HashStyle::Absent] {
        let elf = ElfBuilder::new().section(".text", &[0x90; 64]).build_id(&[7; 20]).hash_style(style);
        all.push(elf.symbols(symbols.clone()).dynamic_symbols(symbols.clone()).build());
    }
    all
}

fn tables() -> Vec<Vec<u8>> {
    let table = "format 1\nname made\npython 3.12.1\n\nmodule python3.12 build-id 00ff\nsymbol _PyRuntime 10 20\n\n\
                 struct PyObject size 16\n  ob_refcnt 0 8\n  ob_type 8 8\n  flags 8 1 bits 3 2\n\n\
                 fact visit 88 8,24,-24 _io.FileIO\nfact static 00000000000000ff 12 anext awaitable\n\
                 fact hold 40 16,24;25:32 datetime.thing\nfact state 32 8,16;0 _guarded\n\n\
                 variant 3.12.2 3.12.9\nstruct PyObject size 24\n  ob_type 16 8\n  flags -\n";
    let typed = "sys.modules['a'][1].b\n0x7f00\n<main>.frames[0].f_locals['x']\na.b[-1][b'c'][None][1.5][(1, 2)]\n\
                 \"unterminated\n";
    vec![table.into(), typed.into()]
}

fn damages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for core in 0..12u8 {
        for own in [0, 0x80] {
            all.push(vec![core | own]);
        }
        for kind in 0..10u8 {
            let mut input = vec![core];
            for turn in 0..4u8 {
                let step: [u8; STEP] = [
                    kind,
                    core.wrapping_mul(5).wrapping_add(turn.wrapping_mul(3)),
                    turn.wrapping_mul(91).wrapping_add(200),
                    core.wrapping_mul(37).wrapping_add(turn.wrapping_mul(53)),
                    turn.wrapping_mul(29) % 4,
                    turn.wrapping_mul(17).wrapping_add(core),
                    turn,
                    0,
                ];
                input.extend(step);
            }
            all.push(input);
        }
    }
    all
}

fn lies() -> Vec<Vec<u8>> {
    let lie = |turn: u32| {
        let [a, b, c, new] = turn.wrapping_mul(0x9e37_79b9).to_le_bytes();
        [if turn.is_multiple_of(7) { 0x80 } else { 0 } | (turn % 3) as u8, a, b, c, new]
    };
    let core = |core: u8| {
        let lies = (0..24).flat_map(|turn| lie(turn + 100 * u32::from(core)));
        std::iter::once(core).chain(lies).collect()
    };
    (0..48).map(core).collect()
}
