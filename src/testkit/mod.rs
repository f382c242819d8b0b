//! Builds the inputs of tests from small descriptions. Knows the file formats by itself, with offsets of its
//! own: a parser that shares its layout with the writer of its tests proves nothing.

pub mod dwarf_builder;
pub mod elf_builder;
