//! L1: what one ELF file says about itself. Knows ELF sections, symbols and DWARF; refuses to know
//! which program it is looking at, where the file was found and what any name means.

mod answers;
mod binaries;
pub mod dwarf;
mod elf;
mod error;
mod expand;
mod field;
#[cfg(test)]
mod symbol_tests;
mod symbols;

pub use answers::{Answers, FoundSymbol, ObjectStruct};
pub use binaries::{Binaries, ModuleTypes};
pub use dwarf::{
    Companions, DwarfIndex, Function, Member, PointerMember, SplitUnit, StructRef, SupplementaryLink,
};
pub use elf::ElfImage;
pub use error::DebugInfoError;
pub use field::{Bits, Field, FieldPath, PathSegment};
pub use symbols::{Symbol, SymbolKind, Symbols};
