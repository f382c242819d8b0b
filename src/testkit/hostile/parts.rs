//! Each reader by itself.

use super::ScratchFile;
use super::commands;
use crate::corefile::{
    Inputs, Kept, MappedFile, NOTE_OWNER, NOTE_SOURCE, SearchOptions, SearchPlaces, decompress,
    separate_debug_file,
};
use crate::cpython::Facts;
use crate::debuginfo::{Companions, DwarfIndex, ElfImage, SplitUnit, SupplementaryLink, Symbols};
use crate::layout::Table;
use crate::query;
use crate::testkit::core_builder::{CoreBuilder, EXECUTE, READ, WRITE};
use std::io;

/// Strings of a file that are asked for as names.
const NAMES: usize = 200;
/// Addresses that are asked about.
const ADDRESSES: usize = 200;

fn scratch(bytes: &[u8]) -> ScratchFile {
    ScratchFile::new(bytes).expect("a file in memory")
}

/// Nothing of the machine that this runs on.
fn core_only() -> SearchOptions {
    SearchOptions { core_only: true, ..SearchOptions::default() }
}

/// A core file: opened, its memory laid out and read at every border, its modules put together, all told.
pub(super) fn core(input: &[u8]) {
    let file = scratch(input);
    let Ok(inputs) = Inputs::open(file.path(), &core_only()) else { return };
    let space = inputs.space();
    for piece in space.pieces() {
        for address in [piece.start, piece.start.wrapping_sub(4), piece.end().wrapping_sub(4), piece.end()] {
            // Whether it can be read is not the question.
            let _ = (space.read_u64(address), space.c_string(address, 4096), space.read_bytes(address, 9000));
        }
    }
    for module in inputs.modules() {
        if let Some(image) = inputs.module_image(module) {
            elf(&image);
        }
    }
    commands::undecoded(&inputs);
}

/// The notes of a core: once as they are, once behind a thread and a file that are right.
pub(super) fn notes(input: &[u8]) {
    let (kind, content) = match input {
        [kind, rest @ ..] => (*kind, rest),
        [] => return,
    };
    let owner = ["CORE", "LINUX", "GDB", NOTE_OWNER][usize::from(kind >> 5) % 4];
    // What a saved heap says; NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_AUXV, NT_SIGINFO, NT_FILE, NT_ARM_TLS.
    let number = match owner {
        NOTE_OWNER => NOTE_SOURCE,
        _ => [1, 2, 3, 6, 0x5349_4749, 0x4649_4c45, 0x401][usize::from(kind & 31) % 7],
    };
    let machine = if kind & 16 == 0 { 62 } else { 183 };
    let memory = [0x41; 4096];
    let built = CoreBuilder::new()
        .identity(2, 1, 4, machine)
        .thread(7, 6, &[(16, 0x40_0000)])
        .note(owner, number, content)
        .file(0x40_0000, 0x40_1000, 0, "/usr/bin/program")
        .segment(0x40_0000, READ | EXECUTE, &memory)
        .segment(0x60_0000, READ | WRITE, &memory)
        .build();
    core(&built);
    // The same bytes as the whole segment: notes of any size.
    let mut raw = CoreBuilder::new().note("CORE", 1, content).segment(0x60_0000, READ, &memory).build();
    let header = 12 + 8;
    let at = 64 + 2 * 56;
    let at = at.min(raw.len());
    if let Some(segment) = raw.get_mut(at..).and_then(|rest| rest.get_mut(..content.len() + header)) {
        for (to, from) in segment.iter_mut().zip(content) {
            *to = *from;
        }
    }
    core(&raw);
}

/// Content that is read of a compressed stream: a few bytes can stand for any number of zeros.
const MOST_CONTENT: usize = 64 << 20;
/// Largest compressed file that is also opened as a core, which writes all of its content to a file.
const SMALL: usize = 2048;

/// Counts what is written, up to [`MOST_CONTENT`].
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        if self.0 > MOST_CONTENT { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A compressed file: as a stream, and as a core.
pub(super) fn compressed(input: &[u8]) {
    // Why it ended is not the question.
    let _ = decompress(input, &mut Counted(0));
    if input.len() <= SMALL {
        let _ = Inputs::open(scratch(input).path(), &core_only());
    }
}

/// An ELF file: its symbols, its debug information, and what it names elsewhere, where it finds itself.
pub(super) fn dwarf(input: &[u8]) {
    elf(input);
    let file = scratch(input);
    if let Ok(file) = MappedFile::open_as_is(file.path()) {
        let _ = SearchPlaces::open(&core_only(), None).map(|places| separate_debug_file(&file, &places));
    }
}

/// Finds every companion of a file in the file itself.
struct Itself<'d>(&'d [u8]);

impl<'d> Companions<'d> for Itself<'d> {
    fn supplementary(&self, _: SupplementaryLink<'d>) -> Result<ElfImage<'d>, String> {
        ElfImage::parse(self.0).map_err(|error| error.to_string())
    }

    fn package(&self) -> Option<ElfImage<'d>> {
        ElfImage::parse(self.0).ok().filter(|elf| elf.section(".debug_cu_index").is_some())
    }

    fn split(&self, _: SplitUnit<'d>) -> Vec<ElfImage<'d>> {
        ElfImage::parse(self.0).into_iter().collect()
    }
}

fn elf(bytes: &[u8]) {
    let Ok(image) = ElfImage::parse(bytes) else { return };
    let symbols = Symbols::read(std::slice::from_ref(&image), 0x10_0000);
    for symbol in symbols.iter().take(ADDRESSES) {
        let _ = (symbols.find(symbol.name), symbols.at(symbol.address.wrapping_add(1)));
    }
    let _ = (image.build_id(), image.supplementary_link(), image.supplementary_checksum());
    for name in [".debug_info", ".debug_str", ".debug_abbrev", ".text"] {
        let _ = (image.section(name), image.section_address(name).and_then(|at| image.at_link_address(at)));
    }
    let kept = Kept::default();
    if let Ok(index) = DwarfIndex::build_with(&image, &Itself(bytes), &kept) {
        debug_information(&index, &image, &symbols);
    }
}

fn debug_information(index: &DwarfIndex<'_>, image: &ElfImage<'_>, symbols: &Symbols<'_>) {
    let strings = ["_object", "PyObject", "Node", "S"].into_iter().map(str::as_bytes);
    for name in strings.chain(image.strings().take(NAMES)) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let _ = (index.struct_size(name), index.enumerator(name), index.field(name, "a[1].b"));
        for member in index.members(name).into_iter().flatten().take(NAMES) {
            let _ = index.field(name, &member.name);
        }
        let Some(found) = index.struct_named(name) else { continue };
        let _ = (index.name_of(found), index.struct_in_unit(".c", name), index.members_in(found));
        let _ = index.pointer_members(found, &|name| name == "_object" || name == "PyObject");
    }
    for symbol in symbols.iter().take(ADDRESSES) {
        let address = symbol.address.wrapping_sub(0x10_0000);
        let _ = (index.function_at(address), index.object_struct_of(address, 32, &|name| name == "_object"));
    }
}

/// A layout table, its facts, and every line as what people type.
pub(super) fn tables(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for line in text.lines() {
        if let Ok(expression) = query::parse(line) {
            let _ = (expression.dotted().join("."), expression.prefix(expression.steps.len()));
        }
    }
    let Ok(table) = Table::parse(&text) else { return };
    let facts = Facts::rewritten(table.facts.iter().map(String::as_str));
    assert_eq!(
        Facts::rewritten(facts.iter().map(String::as_str)),
        facts,
        "facts are written as they are read"
    );
    for structure in &table.structs {
        let _ = structure.field("a[1].b");
    }
    let written = table.to_string();
    let again = Table::parse(&written).expect("what is written can be read");
    assert_eq!(again.to_string(), written, "a table is written as it is read");
    for number in 0..table.variants.len().min(8) {
        let _ = table.variant(number).to_string();
    }
}
