//! The mapped files of a process with their symbols and debug information, each parsed when first asked for.
//!
//! Knows which module an address lies in and what its file says of it; refuses to know what any symbol is for.

use super::{Companions, DwarfIndex, ElfImage, SplitUnit, SupplementaryLink, Symbols};
use crate::corefile::{Address, Inputs, Machine, MappedFile, Module};
use std::path::PathBuf;
use std::sync::OnceLock;

/// All mapped modules, in the order of [`Inputs::modules`].
#[derive(Debug)]
pub struct Binaries<'core> {
    entries: Vec<Binary<'core>>,
    symbols: Vec<OnceLock<Option<Symbols<'core>>>>,
    dwarf: Vec<OnceLock<Result<DwarfIndex<'core>, String>>>,
    inputs: &'core Inputs,
}

/// One module with the file it was loaded from.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'core> {
    /// The module.
    pub module: &'core Module,
}

/// Relocations that bind a slot of the global offset table to a symbol: `GLOB_DAT`, and `JUMP_SLOT` for slots that are
/// called lazily.
const X86_64_SLOTS: [u32; 2] = [6, 7];
const AARCH64_SLOTS: [u32; 2] = [1025, 1026];

impl<'core> Binaries<'core> {
    /// The modules of `inputs`. Nothing is parsed yet.
    pub fn new(inputs: &'core Inputs) -> Self {
        let entries: Vec<_> = inputs.modules().iter().map(|module| Binary { module }).collect();
        let symbols = entries.iter().map(|_| OnceLock::new()).collect();
        let dwarf = entries.iter().map(|_| OnceLock::new()).collect();
        Self { entries, symbols, dwarf, inputs }
    }

    /// The processor all of them are for.
    pub fn machine(&self) -> Machine {
        self.inputs.core().machine()
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The module at `index`.
    pub fn module(&self, index: usize) -> Option<&'core Module> {
        self.entries.get(index).map(|entry| entry.module)
    }

    /// Index of the module that `address` lies in.
    pub fn containing(&self, address: Address) -> Option<usize> {
        self.entries.iter().position(|entry| entry.module.contains(address))
    }

    /// Symbols of the module at `index`, from its file and its debug file; `None` without a readable one.
    pub fn symbols(&self, index: usize) -> Option<&Symbols<'core>> {
        let module = self.module(index)?;
        self.symbols
            .get(index)?
            .get_or_init(|| {
                let images: Vec<_> =
                    files_of(module).filter_map(|file| ElfImage::parse(file.bytes()).ok()).collect();
                (!images.is_empty()).then(|| Symbols::read(&images, module.load_bias))
            })
            .as_ref()
    }

    /// Run-time address of the symbol `name` of the module at `index`.
    pub fn symbol(&self, index: usize, name: &str) -> Option<Address> {
        self.symbols(index)?.find(name).map(|symbol| symbol.address)
    }

    /// Name of the function or object at `address`, and how far into it the address lies.
    pub fn symbol_at(&self, address: Address) -> Option<(&'core str, u64)> {
        let symbols = self.symbols(self.containing(address)?)?;
        symbols.at(address).map(|(symbol, offset)| (symbol.name, offset))
    }

    /// The first file of the module at `index` that has debug information, in whatever shape.
    pub fn debug_info_file(&self, index: usize) -> Option<&'core MappedFile> {
        let has = |file: &MappedFile| ElfImage::parse(file.bytes()).is_ok_and(|elf| elf.has_debug_info());
        files_of(self.module(index)?).find(|file| has(file))
    }

    /// Whether every symbol of the module at `index` is known, and not only what other modules can link to; `None` if
    /// there is no file to tell.
    pub fn has_all_symbols(&self, index: usize) -> Option<bool> {
        let mut images =
            files_of(self.module(index)?).filter_map(|file| ElfImage::parse(file.bytes()).ok()).peekable();
        images.peek()?;
        Some(images.any(|elf| elf.has_all_symbols()))
    }

    /// Debug information of the module at `index`.
    ///
    /// # Errors
    /// The module has no file, or the file no usable debug information; the text says which.
    pub fn dwarf(&self, index: usize) -> Result<&DwarfIndex<'core>, &str> {
        let (Some(cell), Some(module)) = (self.dwarf.get(index), self.module(index)) else {
            return Err("no such module");
        };
        cell.get_or_init(|| build_dwarf(self.inputs, module)).as_ref().map_err(String::as_str)
    }

    /// Name of the symbol that the relocation of the slot at `got_slot` in a global offset table binds it to.
    pub fn slot_symbol(&self, got_slot: Address) -> Option<String> {
        let module = self.module(self.containing(got_slot)?)?;
        let elf = goblin::elf::Elf::parse(module.elf_bytes()?).ok()?;
        let link_address = got_slot.wrapping_sub(module.load_bias);
        let kinds = match self.machine() {
            Machine::X86_64 => X86_64_SLOTS,
            Machine::Aarch64 => AARCH64_SLOTS,
        };
        let mut relocations = elf.pltrelocs.iter().chain(elf.dynrelas.iter());
        let relocation = relocations.find(|r| r.r_offset == link_address && kinds.contains(&r.r_type))?;
        elf.dynstrtab.get_at(elf.dynsyms.get(relocation.r_sym)?.st_name).map(str::to_owned)
    }

    /// Address of the symbol `name` that some module exports, as the dynamic linker would find it.
    pub fn exported(&self, name: &str) -> Option<Address> {
        (0..self.len()).find_map(|index| {
            self.symbols(index)?.find(name).filter(|symbol| symbol.exported).map(|symbol| symbol.address)
        })
    }
}

/// The file of a module, then its separate debug file.
fn files_of(module: &Module) -> impl Iterator<Item = &MappedFile> {
    module.file().into_iter().chain(module.debug_file())
}

/// Finds what the debug information in one file of a module names.
struct Beside<'core> {
    inputs: &'core Inputs,
    module: &'core Module,
    file: &'core MappedFile,
}

impl<'core> Companions<'core> for Beside<'core> {
    fn supplementary(&self, link: SupplementaryLink<'core>) -> Result<ElfImage<'core>, String> {
        let has_checksum = |bytes: &[u8]| {
            ElfImage::parse(bytes).is_ok_and(|elf| elf.supplementary_checksum() == Some(link.id))
        };
        let found = self.inputs.supplementary_file(self.file.path(), link.path, link.id, &has_checksum);
        match found {
            Ok(file) => ElfImage::parse(file.bytes())
                .map_err(|error| format!("{}, which is of no use: {error}", file.path().display())),
            Err(tried) => Err(listed(&tried)),
        }
    }

    fn package(&self) -> Option<ElfImage<'core>> {
        ElfImage::parse(self.inputs.split_package(self.module)?.bytes()).ok()
    }

    fn split(&self, unit: SplitUnit<'core>) -> Vec<ElfImage<'core>> {
        let files = self.inputs.split_files(self.file.path(), unit.path, unit.directory);
        files.into_iter().filter_map(|file| ElfImage::parse(file.bytes()).ok()).collect()
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Reads the first of a module's files that has debug information. Without any, says what is wrong with the last
/// one that was looked at.
fn build_dwarf<'core>(inputs: &'core Inputs, module: &'core Module) -> Result<DwarfIndex<'core>, String> {
    let mut refused = format!("the file {} was not found, or was refused", module.path);
    for file in files_of(module) {
        let companions = Beside { inputs, module, file };
        let elf = ElfImage::parse(file.bytes());
        match elf.and_then(|elf| DwarfIndex::build_with(&elf, &companions, inputs.expanded())) {
            Ok(index) => return Ok(index),
            Err(error) => refused = format!("{}: {error}", file.path().display()),
        }
    }
    Err(refused)
}
