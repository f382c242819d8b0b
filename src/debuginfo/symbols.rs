//! The symbols of one ELF file: by name, and by the address they cover. Knows the symbol table entry format
//! and the load bias; refuses to know what the symbols are for.

use std::sync::OnceLock;

use goblin::elf::section_header::{SHN_ABS, SHN_UNDEF};
use goblin::elf::sym;

use super::ElfImage;
use super::elf::{SYMBOL_SIZE, SymbolTable, c_string, u32_at, u64_at};

/// How far back from an address [`Symbols::at`] looks for a symbol that still covers it. Symbols nest only when
/// an assembler function has inner labels, so a short look is enough and a hostile table costs nothing.
const MAX_NESTED: usize = 64;

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolKind {
    /// Code.
    Function,
    /// A variable.
    Object,
    /// A thread-local variable; see [`Symbol::address`].
    Tls,
    /// Anything else: labels, symbols without a type.
    Other,
}

/// A defined symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'d> {
    /// The name as the linker wrote it (mangled, with version suffixes such as `.cold`).
    pub name: &'d str,
    /// Run-time address: `st_value` plus the load bias. For [`SymbolKind::Tls`] and for absolute symbols there is
    /// no such address and this is `st_value` itself: for TLS, the offset in the module's TLS block.
    pub address: u64,
    /// Size in bytes; 0 if the linker does not know it.
    pub size: u64,
    /// What it stands for.
    pub kind: SymbolKind,
    /// Whether other modules can link to it: global or weak binding and default or protected visibility.
    pub exported: bool,
}

/// The defined symbols of `.symtab` and `.dynsym` together.
#[derive(Debug)]
pub struct Symbols<'d> {
    entries: Vec<Entry<'d>>,
    /// Entry numbers sorted by name, then by preference. Built by the first [`Symbols::find`].
    by_name: OnceLock<Vec<u32>>,
    /// Numbers of the entries that have a run-time address, sorted by it. Built by the first [`Symbols::at`].
    by_address: OnceLock<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'d> {
    symbol: Symbol<'d>,
    relocated: bool,
}

impl<'d> Symbols<'d> {
    /// Reads both symbol tables of the files of one module (the program or library, its debug file), which is
    /// loaded at `load_bias`. A missing table is an empty one, and entries that are undefined or have no readable
    /// name are left out.
    pub fn read(files: &[ElfImage<'d>], load_bias: u64) -> Self {
        let full = files.iter().filter_map(ElfImage::full_symbol_table);
        let tables = full.chain(files.iter().filter_map(ElfImage::dynamic_symbol_table));
        let mut entries: Vec<Entry<'d>> = tables.flat_map(|table| read_table(table, load_bias)).collect();
        // Entries are numbered in 32 bits; no linker emits more.
        entries.truncate(u32::MAX as usize);
        Self { entries, by_name: OnceLock::new(), by_address: OnceLock::new() }
    }

    /// The symbol of that exact name. Of several, an exported one is preferred, then the first in the file.
    pub fn find(&self, name: &str) -> Option<Symbol<'d>> {
        let order = self.by_name.get_or_init(|| self.sorted_by_name());
        let first = order.partition_point(|&i| self.name(i) < name);
        let entry = self.entry(*order.get(first)?)?;
        (entry.symbol.name == name).then_some(entry.symbol)
    }

    /// The symbol that covers a run-time address, and the offset of the address in it.
    ///
    /// A symbol of unknown size covers its first byte only. Of several, the one that starts last wins (the
    /// innermost), then one with a type, then an exported one.
    pub fn at(&self, address: u64) -> Option<(Symbol<'d>, u64)> {
        let order = self.by_address.get_or_init(|| self.sorted_by_address());
        let end = order.partition_point(|&i| self.address(i) <= address);
        let candidates = order.get(..end)?.iter().rev().take(MAX_NESTED).filter_map(|&i| self.entry(i));
        for Entry { symbol, .. } in candidates {
            let offset = address.checked_sub(symbol.address)?;
            if offset < symbol.size.max(1) {
                return Some((*symbol, offset));
            }
        }
        None
    }

    /// All symbols in file order, `.symtab` first. Exported symbols appear once for each table that has them.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'d>> {
        self.entries.iter().map(|e| e.symbol)
    }

    fn entry(&self, index: u32) -> Option<&Entry<'d>> {
        self.entries.get(index as usize)
    }

    fn name(&self, index: u32) -> &'d str {
        self.entry(index).map_or("", |e| e.symbol.name)
    }

    fn address(&self, index: u32) -> u64 {
        self.entry(index).map_or(0, |e| e.symbol.address)
    }

    fn sorted_by_name(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        order.sort_by_key(|&i| (self.name(i), !self.entry(i).is_some_and(|e| e.symbol.exported)));
        order
    }

    /// Sorted so that the preferred symbol of an address comes last: [`Symbols::at`] walks backwards.
    fn sorted_by_address(&self) -> Vec<u32> {
        let numbered = (0u32..).zip(&self.entries);
        let mut order: Vec<u32> = numbered.filter(|(_, e)| e.relocated).map(|(i, _)| i).collect();
        order.sort_by_key(|&i| {
            let symbol = self.entry(i).map(|e| e.symbol);
            let rank = symbol.map(|s| (s.kind != SymbolKind::Other, s.exported, std::cmp::Reverse(i)));
            (self.address(i), rank)
        });
        order
    }
}

fn read_table<'d>(table: SymbolTable<'d>, load_bias: u64) -> impl Iterator<Item = Entry<'d>> {
    table
        .entries
        .chunks_exact(SYMBOL_SIZE)
        .filter_map(move |entry| read_entry(entry, table.strings, load_bias))
}

fn read_entry<'d>(entry: &[u8], strings: &'d [u8], load_bias: u64) -> Option<Entry<'d>> {
    let name = std::str::from_utf8(c_string(strings, u32_at(entry, 0)? as usize)?).ok()?;
    let (info, other) = (*entry.get(4)?, *entry.get(5)?);
    let section = u32::from(u16::from_le_bytes(entry.get(6..8)?.try_into().ok()?));
    let kind = match sym::st_type(info) {
        sym::STT_FUNC | sym::STT_GNU_IFUNC => SymbolKind::Function,
        sym::STT_OBJECT | sym::STT_COMMON => SymbolKind::Object,
        sym::STT_TLS => SymbolKind::Tls,
        sym::STT_FILE | sym::STT_SECTION => return None,
        _ => SymbolKind::Other,
    };
    if section == SHN_UNDEF || name.is_empty() {
        return None;
    }
    let relocated = kind != SymbolKind::Tls && section != SHN_ABS;
    let value = u64_at(entry, 8)?;
    let visible = matches!(sym::st_visibility(other), sym::STV_DEFAULT | sym::STV_PROTECTED);
    let symbol = Symbol {
        name,
        address: if relocated { value.wrapping_add(load_bias) } else { value },
        size: u64_at(entry, 16)?,
        kind,
        exported: visible && sym::st_bind(info) != sym::STB_LOCAL,
    };
    Some(Entry { symbol, relocated })
}
