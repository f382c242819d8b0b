//! Tests of ELF headers and symbols against files that the test kit writes.

use proptest::prelude::*;

use super::{DebugInfoError, ElfImage, Symbol, SymbolKind, Symbols};
use crate::testkit::elf_builder::{ElfBuilder, HashStyle, LINK_BASE, SymbolSpec};

const BIAS: u64 = 0x7f00_0000_0000;

fn some_symbols() -> Vec<SymbolSpec> {
    vec![
        SymbolSpec::function("start", 0x1000, 0x40),
        SymbolSpec::object("table", 0x2000, 0x100),
        SymbolSpec::thread_local("current", 0x10, 8),
        SymbolSpec::function("elsewhere", 0, 0).undefined(),
    ]
}

fn names(file: &[u8]) -> Vec<String> {
    let elf = ElfImage::parse(file).unwrap();
    Symbols::read(std::slice::from_ref(&elf), 0).iter().map(|symbol| symbol.name.to_owned()).collect()
}

#[test]
fn sections_and_the_build_id_are_found() {
    let file = ElfBuilder::new()
        .section(".first", b"one")
        .section(".second", b"two!")
        .build_id(&[1, 2, 3, 4, 5])
        .build();
    let elf = ElfImage::parse(&file).unwrap();
    assert_eq!(elf.section(".second"), Some(b"two!".as_slice()));
    assert_eq!(elf.section(".sec"), None);
    assert_eq!(elf.build_id(), Some([1, 2, 3, 4, 5].as_slice()));
    assert_eq!(elf.at_link_address(LINK_BASE).map(|bytes| bytes[..4].to_vec()), Some(b"\x7fELF".to_vec()));
    assert_eq!(elf.at_link_address(LINK_BASE - 1), None);
    assert_eq!(elf.at_link_address(LINK_BASE + file.len() as u64), None);
}

#[test]
fn the_build_id_is_found_without_a_section_table() {
    let file = ElfBuilder::new().section(".first", b"one").build_id(&[7; 20]).without_section_table().build();
    let elf = ElfImage::parse(&file).unwrap();
    assert_eq!(elf.section(".first"), None);
    assert_eq!(elf.build_id(), Some([7; 20].as_slice()));
}

#[test]
fn symbols_have_run_time_addresses() {
    let file = ElfBuilder::new().symbols(some_symbols()).build();
    let elf = ElfImage::parse(&file).unwrap();
    let symbols = Symbols::read(std::slice::from_ref(&elf), BIAS);
    let start = Symbol {
        name: "start",
        address: BIAS + 0x1000,
        size: 0x40,
        kind: SymbolKind::Function,
        exported: true,
    };
    assert_eq!(symbols.find("start"), Some(start));
    assert_eq!(symbols.find("table").map(|s| s.kind), Some(SymbolKind::Object));
    assert_eq!(symbols.find("star"), None);
    assert_eq!(symbols.find("starts"), None);
    assert_eq!(symbols.find("elsewhere"), None, "undefined");
    assert_eq!(symbols.at(BIAS + 0x1000), Some((start, 0)));
    assert_eq!(symbols.at(BIAS + 0x103f), Some((start, 0x3f)));
    assert_eq!(symbols.at(BIAS + 0x1040), None);
    assert_eq!(symbols.at(BIAS + 0xfff), None);
}

#[test]
fn values_that_are_not_addresses_are_left_alone() {
    let absolute = SymbolSpec::object("version", 42, 8).absolute();
    let file = ElfBuilder::new().symbols([SymbolSpec::thread_local("current", 0x10, 8), absolute]).build();
    let elf = ElfImage::parse(&file).unwrap();
    let symbols = Symbols::read(std::slice::from_ref(&elf), BIAS);
    assert_eq!(symbols.find("current").map(|s| (s.address, s.kind)), Some((0x10, SymbolKind::Tls)));
    assert_eq!(symbols.find("version").map(|s| s.address), Some(42));
    assert_eq!(symbols.at(0x10), None);
    assert_eq!(symbols.at(BIAS + 0x10), None);
    assert_eq!(symbols.at(42), None);
}

#[test]
fn stripped_files_are_read_through_the_dynamic_segment() {
    for style in [HashStyle::SysV, HashStyle::Gnu, HashStyle::Absent] {
        let builder = ElfBuilder::new().dynamic_symbols(some_symbols()).hash_style(style);
        let expected = ["start", "table", "current"];
        assert_eq!(names(&builder.clone().build()), expected, "{style:?}, with sections");
        assert_eq!(names(&builder.without_section_table().build()), expected, "{style:?}, without sections");
    }
}

#[test]
fn of_several_symbols_the_exported_and_innermost_are_preferred() {
    let file = ElfBuilder::new()
        .symbols([
            SymbolSpec::function("twice", 0x1000, 16).local(),
            SymbolSpec::function("twice", 0x2000, 16),
            SymbolSpec::function("twice", 0x3000, 16).hidden(),
            SymbolSpec::function("outer", 0x4000, 0x100),
            SymbolSpec::function("inner", 0x4010, 0x10),
            SymbolSpec::function("label", 0x4040, 0).untyped(),
            SymbolSpec::function("alias", 0x5000, 8).local(),
            SymbolSpec::function("public", 0x5000, 8),
            SymbolSpec::function("other", 0x5000, 8).untyped(),
        ])
        .build();
    let elf = ElfImage::parse(&file).unwrap();
    let symbols = Symbols::read(std::slice::from_ref(&elf), 0);
    assert_eq!(symbols.find("twice").map(|s| (s.address, s.exported)), Some((0x2000, true)));
    let at = |address| symbols.at(address).map(|(symbol, offset)| (symbol.name, offset));
    assert_eq!(at(0x4018), Some(("inner", 8)));
    assert_eq!(at(0x4020), Some(("outer", 0x20)));
    assert_eq!(at(0x4040), Some(("label", 0)));
    assert_eq!(at(0x4041), Some(("outer", 0x41)));
    assert_eq!(at(0x5004), Some(("public", 4)));
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let mut file = ElfBuilder::new().build();
    assert!(matches!(ElfImage::parse(b"#!/bin/sh"), Err(DebugInfoError::NotElf { .. })));
    assert!(matches!(ElfImage::parse(&file[..40]), Err(DebugInfoError::NotElf { .. })));
    file[4] = 1;
    assert!(matches!(ElfImage::parse(&file), Err(DebugInfoError::UnsupportedElf { what: "not ELFCLASS64" })));
    file[4] = 2;
    file[5] = 2;
    assert!(matches!(
        ElfImage::parse(&file),
        Err(DebugInfoError::UnsupportedElf { what: "not little-endian" })
    ));
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..10),
        sections in any::<bool>(),
        keep in any::<prop::sample::Index>(),
    ) {
        let builder = ElfBuilder::new().symbols(some_symbols()).dynamic_symbols(some_symbols()).build_id(&[1; 20]);
        let mut file = if sections { builder.build() } else { builder.without_section_table().build() };
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        for end in [file.len(), keep.index(file.len())] {
            if let Ok(elf) = ElfImage::parse(&file[..end]) {
                elf.build_id();
                let symbols = Symbols::read(std::slice::from_ref(&elf), BIAS);
                symbols.find("start");
                symbols.at(BIAS + 0x1010);
                prop_assert!(symbols.iter().count() <= file.len() / 24);
            }
        }
    }
}
