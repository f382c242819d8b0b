//! `layouts`: the embedded tables listed, and new ones written from debug information.

use super::args::Common;
use super::output::print;
use crate::corefile::{Kept, MappedFile, SearchOptions, SearchPlaces, separate_debug_file};
use crate::cpython::embedded_tables;
use crate::cpython::extracted::{self, FLAVOUR, PYTHON};
use crate::debuginfo::{DebugInfoError, DwarfIndex, ElfImage, Symbols};
use crate::layout::{DwarfSource, LayoutSource, Table};
use anyhow::{Context, anyhow};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// `layouts`.
///
/// # Errors
/// An embedded table is damaged.
pub fn list() -> anyhow::Result<()> {
    let mut text = String::from("Embedded layout tables:\n");
    for table in embedded_tables() {
        let (name, table) = (table.name, table.table()?);
        let (fields, releases) =
            (table.structs.iter().map(|s| s.fields.len()).sum::<usize>(), releases(&table));
        let flavour = table.header_value(FLAVOUR).unwrap_or_default();
        writeln!(
            text,
            "  {name:<20} {flavour:<18} {:>3} structs {fields:>4} fields  {releases}",
            table.structs.len()
        )?;
    }
    text.push_str("\nOne is used where an interpreter has no debug information, and only if the core proves it right.\n");
    print(&text)
}

/// The releases a table is for.
fn releases(table: &Table) -> String {
    match (table.variants.first(), table.variants.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.first, last.last),
        _ => table.header_value(PYTHON).unwrap_or("?").to_owned(),
    }
}

/// An ELF file and the file with its debug information, which may be the same.
struct Binary {
    path: PathBuf,
    file: MappedFile,
    debug_file: Option<MappedFile>,
}

impl Binary {
    fn open(path: &Path, places: &SearchPlaces) -> anyhow::Result<Self> {
        let file = MappedFile::open_as_is(path)?;
        let debug_file = separate_debug_file(&file, places);
        Ok(Self { path: path.to_owned(), file, debug_file })
    }

    fn elf(&self) -> anyhow::Result<ElfImage<'_>> {
        ElfImage::parse(self.file.bytes()).with_context(|| self.path.display().to_string())
    }

    fn dwarf<'d>(&'d self, kept: &'d Kept<Box<[u8]>>) -> anyhow::Result<DwarfIndex<'d>> {
        let index = |bytes| ElfImage::parse(bytes).and_then(|elf| DwarfIndex::build(&elf, kept));
        let found = match (index(self.file.bytes()), &self.debug_file) {
            (Err(DebugInfoError::NoDebugInfo), Some(debug)) => index(debug.bytes()),
            (found, _) => found,
        };
        found.with_context(|| {
            format!("{}; its separate debug file is looked for in --debug-dir", self.path.display())
        })
    }
}

/// `layouts extract`. Extension modules without debug information are passed over.
///
/// # Errors
/// The first binary has no debug information or is no interpreter, or a file cannot be read or written.
pub fn extract(
    binaries: &[PathBuf],
    release: Option<&str>,
    output: Option<&Path>,
    common: &Common,
) -> anyhow::Result<()> {
    let options = SearchOptions {
        sysroot: common.sysroot.clone(),
        debug_dirs: common.debug_dir.clone(),
        ..SearchOptions::default()
    };
    let places = SearchPlaces::open(&options, None)?;
    let opened: Vec<Binary> =
        binaries.iter().map(|path| Binary::open(path, &places)).collect::<anyhow::Result<_>>()?;
    let (main, modules) = opened.split_first().ok_or_else(|| anyhow!("no binary was given"))?;
    let kept = Kept::default();
    let main_index = main.dwarf(&kept)?;
    let module_indices: Vec<_> = modules.iter().filter_map(|module| module.dwarf(&kept).ok()).collect();
    let main_source = DwarfSource::new(&main_index, main.path.display().to_string());
    if main_source.size_of("PyObject").or_else(|| main_source.size_of("_object")).is_none() {
        return Err(anyhow!("{} is no interpreter: it has no struct PyObject", main.path.display()));
    }
    let module_sources: Vec<_> =
        module_indices.iter().map(|index| DwarfSource::new(index, "module")).collect();
    let elf = main.elf()?;
    let symbols = Symbols::read(std::slice::from_ref(&elf), 0);
    let flavour = extracted::flavour(&main_source, |name| symbols.find(name).is_some());
    let release = match release {
        Some(release) => release.to_owned(),
        None => extracted::release_of(&elf, &main.path.display().to_string()).with_context(|| {
            format!("{} does not tell its release; name it with --release", main.path.display())
        })?,
    };
    let sources = std::iter::once(&main_source).chain(&module_sources);
    let sources = sources.map(|source| source as &dyn LayoutSource).collect();
    let text = extracted::extract(sources, &release, &flavour).to_string();
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        None => print(&text),
    }
}
