//! The mapped files of a process with their symbols and debug information, each parsed when first asked for.
//!
//! Knows which module an address lies in and what its file says of it; refuses to know what any symbol is for.

use super::answers::{Answers, FoundSymbol, ObjectStruct, OfModule};
use super::{Companions, DwarfIndex, ElfImage, Field, SplitUnit, SupplementaryLink, Symbols};
use crate::corefile::{Address, Inputs, Machine, MappedFile, Module, NOTE_ANSWERS};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

/// All mapped modules, in the order of [`Inputs::modules`].
///
/// Every question to a file is answered by what was kept of an earlier analysis, else by the file, and kept with its answer; of
/// a saved heap, only by what was kept when it was saved.
#[derive(Debug)]
pub struct Binaries<'core> {
    entries: Vec<Binary<'core>>,
    symbols: Vec<OnceLock<Option<Symbols<'core>>>>,
    dwarf: Vec<OnceLock<Result<DwarfIndex<'core>, String>>>,
    inputs: &'core Inputs,
    told: Answers,
    /// Nobody but `told` answers: this is a saved heap.
    closed: bool,
    asked: Mutex<Answers>,
}

/// One module with the file it was loaded from.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'core> {
    /// The module.
    pub module: &'core Module,
}

/// The debug information of one module, as far as structs are asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct ModuleTypes<'b, 'core> {
    binaries: &'b Binaries<'core>,
    module: usize,
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
        let told = inputs.saved_note(NOTE_ANSWERS).and_then(Answers::parse).unwrap_or_default();
        let closed = inputs.saved_from().is_some();
        Self { entries, symbols, dwarf, inputs, told, closed, asked: Mutex::default() }
    }

    /// Every question that was asked so far, with its answer; of a saved heap, what it was told.
    pub fn answers(&self) -> Answers {
        match self.closed {
            true => self.told.clone(),
            false => self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Asks what a list of modules shows, so that it is among the answers.
    pub fn ask_all(&self) {
        for index in 0..self.len() {
            let _ = self.debug_info_file(index);
            let _ = self.has_all_symbols(index);
        }
    }

    /// The answer that was kept, or else the file's, which is kept.
    fn ask<T: Clone>(
        &self,
        told: impl FnOnce(&Answers) -> Option<Option<T>>,
        from_file: impl FnOnce() -> Option<T>,
        keep: impl FnOnce(&mut Answers, Option<T>),
    ) -> Option<T> {
        match told(&self.told) {
            Some(answer) => return answer,
            None if self.closed => return None,
            None => {}
        }
        let answer = from_file();
        keep(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner), answer.clone());
        answer
    }

    /// As [`Self::ask`], of one module.
    fn ask_module<T: Clone>(
        &self,
        index: usize,
        told: impl FnOnce(&OfModule) -> Option<Option<T>>,
        from_file: impl FnOnce() -> Option<T>,
        keep: impl FnOnce(&mut OfModule, Option<T>),
    ) -> Option<T> {
        self.ask(
            |answers| told(answers.modules.get(&index)?),
            from_file,
            |answers, answer| keep(answers.modules.entry(index).or_default(), answer),
        )
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
    fn symbols(&self, index: usize) -> Option<&Symbols<'core>> {
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

    /// The symbol `name` of the module at `index`.
    pub fn symbol(&self, index: usize, name: &str) -> Option<FoundSymbol> {
        self.ask_module(
            index,
            |told| told.symbols.get(name).copied(),
            || {
                let found = self.symbols(index)?.find(name)?;
                Some(FoundSymbol { address: found.address, size: found.size, exported: found.exported })
            },
            |asked, answer| {
                asked.symbols.insert(name.to_owned(), answer);
            },
        )
    }

    /// Run-time address of the section `name` of the module at `index`.
    pub fn section(&self, index: usize, name: &str) -> Option<Address> {
        self.ask_module(
            index,
            |told| told.sections.get(name).copied(),
            || {
                let module = self.module(index)?;
                let address = ElfImage::parse(module.elf_bytes()?).ok()?.section_address(name)?;
                Some(module.load_bias.wrapping_add(address))
            },
            |asked, answer| {
                asked.sections.insert(name.to_owned(), answer);
            },
        )
    }

    /// The first file of the module at `index` that has debug information, in whatever shape.
    pub fn debug_info_file(&self, index: usize) -> Option<PathBuf> {
        let has = |file: &MappedFile| ElfImage::parse(file.bytes()).is_ok_and(|elf| elf.has_debug_info());
        self.ask_module(
            index,
            |told| told.debug_info.clone().map(Some),
            || files_of(self.module(index)?).find(|file| has(file)).map(|file| file.path().to_owned()),
            |asked, answer| asked.debug_info = answer,
        )
    }

    /// Whether every symbol of the module at `index` is known, and not only what other modules can link to; `None` if
    /// there is no file to tell.
    pub fn has_all_symbols(&self, index: usize) -> Option<bool> {
        self.ask_module(
            index,
            |told| told.has_all_symbols.map(Some),
            || {
                let mut images = files_of(self.module(index)?)
                    .filter_map(|file| ElfImage::parse(file.bytes()).ok())
                    .peekable();
                images.peek()?;
                Some(images.any(|elf| elf.has_all_symbols()))
            },
            |asked, answer| asked.has_all_symbols = answer,
        )
    }

    /// Debug information of the module at `index`, for questions about structs by name.
    ///
    /// # Errors
    /// The module has no file, or the file no usable debug information; the text says which.
    pub fn types(&self, index: usize) -> Result<ModuleTypes<'_, 'core>, String> {
        let known = self.ask_module(
            index,
            |told| told.dwarf.clone().map(Some),
            || Some(self.dwarf(index).map(|_| ()).map_err(str::to_owned)),
            |asked, answer| asked.dwarf = answer,
        );
        let missing = || Err(format!("the file of module {index} was not asked for when the heap was saved"));
        known.unwrap_or_else(missing).map(|()| ModuleTypes { binaries: self, module: index })
    }

    /// All debug information of the module at `index`, from its file, which a saved heap has not.
    ///
    /// # Errors
    /// The module has no file, or the file no usable debug information; the text says which.
    pub fn dwarf(&self, index: usize) -> Result<&DwarfIndex<'core>, &str> {
        let (Some(cell), Some(module)) = (self.dwarf.get(index), self.module(index)) else {
            return Err("no such module");
        };
        cell.get_or_init(|| build_dwarf(self.inputs, module)).as_ref().map_err(String::as_str)
    }

    /// The C struct of `size` bytes that the function at `function` takes, where its debug information tells; members count
    /// as pointers to objects by the structs that `is_object` accepts, and `flag` is looked for among them by name.
    pub fn object_struct(
        &self,
        function: Address,
        size: u32,
        is_object: &dyn Fn(&str) -> bool,
        flag: &str,
    ) -> Option<ObjectStruct> {
        self.ask(
            |told| told.structs.get(&(function, size)).cloned(),
            || {
                let index = self.containing(function)?;
                let (module, dwarf) = (self.module(index)?, self.dwarf(index).ok()?);
                let found =
                    dwarf.object_struct_of(function.wrapping_sub(module.load_bias), size, &is_object)?;
                let pointers = dwarf.pointer_members(found, &is_object).into_iter();
                let members = dwarf.members_in(found).unwrap_or_default().into_iter();
                Some(ObjectStruct {
                    pointers: pointers.map(|member| (member.offset, member.path)).collect(),
                    members: members.map(|member| (member.field.offset, member.name)).collect(),
                    flag: dwarf.field_in(found, flag).map(|field| field.offset),
                })
            },
            |asked, answer| {
                asked.structs.insert((function, size), answer);
            },
        )
    }

    /// Name of the symbol that the relocation of the slot at `got_slot` in a global offset table binds it to.
    pub fn slot_symbol(&self, got_slot: Address) -> Option<String> {
        self.ask(
            |told| told.slots.get(&got_slot).cloned(),
            || self.relocated_symbol(got_slot),
            |asked, answer| {
                asked.slots.insert(got_slot, answer);
            },
        )
    }

    fn relocated_symbol(&self, got_slot: Address) -> Option<String> {
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
        self.ask(
            |told| told.exported.get(name).copied(),
            || {
                (0..self.len()).find_map(|index| {
                    self.symbols(index)?
                        .find(name)
                        .filter(|symbol| symbol.exported)
                        .map(|symbol| symbol.address)
                })
            },
            |asked, answer| {
                asked.exported.insert(name.to_owned(), answer);
            },
        )
    }
}

impl ModuleTypes<'_, '_> {
    /// Size of a struct in bytes.
    pub fn struct_size(&self, ty: &str) -> Option<u32> {
        self.binaries.ask_module(
            self.module,
            |told| told.sizes.get(ty).copied(),
            || self.binaries.dwarf(self.module).ok()?.struct_size(ty),
            |asked, answer| {
                asked.sizes.insert(ty.to_owned(), answer);
            },
        )
    }

    /// The place of a field of a struct.
    pub fn field(&self, ty: &str, path: &str) -> Option<Field> {
        self.binaries.ask_module(
            self.module,
            |told| told.fields.get(ty)?.get(path).copied(),
            || self.binaries.dwarf(self.module).ok()?.field(ty, path),
            |asked, answer| {
                asked.fields.entry(ty.to_owned()).or_default().insert(path.to_owned(), answer);
            },
        )
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
