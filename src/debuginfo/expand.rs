//! Sections that are stored compressed. Knows the three ways linkers and objcopy have of doing that
//! (`SHF_COMPRESSED` with zlib or zstd, System V gABI "Compression Header", and the older `.zdebug_` names of the
//! GNU tools); refuses to know what is in the sections.
//!
//! The size that a section claims is a number from the input: nothing is allocated for it beforehand, and a claim
//! that no compressor reaches on debug information is refused.

use std::io::Read;

use zstd::stream::read::Decoder;

use super::elf::{u32_at, u64_at};
use super::{DebugInfoError, ElfImage};
use crate::corefile::Kept;

/// Size of `Elf64_Chdr`.
const CHDR_SIZE: usize = 24;
/// `ch_type` of zlib and of zstd.
const ELFCOMPRESS_ZLIB: u32 = 1;
const ELFCOMPRESS_ZSTD: u32 = 2;
/// Largest window that is decoded with: its size is a number from the input. It is what `zstd` itself takes unasked.
const ZSTD_WINDOW_LOG: u32 = 27;
/// What a `.zdebug_` section begins with, before its size as a big-endian number.
const ZDEBUG_MAGIC: &[u8] = b"ZLIB";
const ZDEBUG_HEADER: usize = 12;
/// Most bytes that one byte may stand for: what deflate can reach. Debug information shrinks to a third or a tenth.
const MOST_EXPANSION: u64 = 1032;

/// A compressed section taken apart.
struct Packed<'d> {
    kind: u32,
    size: u64,
    bytes: &'d [u8],
}

impl<'d> ElfImage<'d> {
    /// The bytes of a section after decompression, which are kept in `kept`; those of a section that is not
    /// compressed are the file's own. `None` if there is no such section or it occupies no bytes.
    ///
    /// # Errors
    /// [`DebugInfoError::Compressed`] if it is compressed in an unknown way, or does not expand to the size it claims.
    pub fn expanded_section(
        &self,
        name: &str,
        kept: &'d Kept<Box<[u8]>>,
    ) -> Result<Option<&'d [u8]>, DebugInfoError> {
        let packed = match self.stored_section(name) {
            Some((bytes, false)) => return Ok(Some(bytes)),
            Some((bytes, true)) => compression_header(bytes),
            None => match self.stored_section(&old_name(name)) {
                Some((bytes, _)) => zdebug_header(bytes),
                None => return Ok(None),
            },
        };
        let expanded = packed.ok_or_else(|| "its header is cut off".to_owned()).and_then(|p| expand(&p));
        let kept = expanded.and_then(|bytes| {
            kept.keep(bytes.into_boxed_slice()).ok_or_else(|| "too many compressed sections".to_owned())
        });
        match kept {
            Ok(bytes) => Ok(Some(bytes)),
            Err(reason) => Err(DebugInfoError::Compressed { section: name.to_owned(), reason }),
        }
    }
}

/// `.zdebug_info` for `.debug_info`.
fn old_name(name: &str) -> String {
    name.replacen(".debug_", ".zdebug_", 1)
}

fn compression_header(bytes: &[u8]) -> Option<Packed<'_>> {
    Some(Packed { kind: u32_at(bytes, 0)?, size: u64_at(bytes, 8)?, bytes: bytes.get(CHDR_SIZE..)? })
}

fn zdebug_header(bytes: &[u8]) -> Option<Packed<'_>> {
    let size = u64_at(bytes, ZDEBUG_MAGIC.len())?.swap_bytes();
    let rest = bytes.get(ZDEBUG_HEADER..)?;
    bytes.starts_with(ZDEBUG_MAGIC).then_some(Packed { kind: ELFCOMPRESS_ZLIB, size, bytes: rest })
}

fn expand(packed: &Packed<'_>) -> Result<Vec<u8>, String> {
    let stored = packed.bytes.len() as u64;
    if packed.size > stored.saturating_mul(MOST_EXPANSION) {
        return Err(format!("it claims to expand from {stored} to {} bytes", packed.size));
    }
    match packed.kind {
        ELFCOMPRESS_ZLIB => read_exactly(flate2::bufread::ZlibDecoder::new(packed.bytes), packed.size),
        ELFCOMPRESS_ZSTD => {
            let decoder = Decoder::with_buffer(packed.bytes).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            });
            read_exactly(decoder.map_err(|error| error.to_string())?, packed.size)
        }
        other => Err(format!("its compression type {other} is neither zlib nor zstd")),
    }
}

/// Reads to the end of a stream that must have `size` bytes, and not one more.
fn read_exactly(stream: impl Read, size: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    stream.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 == size {
        return Ok(bytes);
    }
    Err(format!("it expands to {} bytes or more instead of {size}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::debuginfo::DwarfIndex;
    use crate::testkit::dwarf_builder::DwarfBuilder;
    use crate::testkit::elf_builder::ElfBuilder;

    /// "compressible " nine times, by `zstd`.
    const ZSTD: &str = "28b52ffd0458a5000068636f6d707265737369626c6520010005d2f90514f108ba";

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn with_header(kind: u32, size: u64, packed: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &[0; 4], &size.to_le_bytes(), &1u64.to_le_bytes(), packed].concat()
    }

    fn old_style(size: u64, packed: &[u8]) -> Vec<u8> {
        [b"ZLIB", &size.to_be_bytes()[..], packed].concat()
    }

    fn section(elf: ElfBuilder) -> Result<Option<Vec<u8>>, String> {
        let file = elf.build();
        let kept = Kept::default();
        let elf = ElfImage::parse(&file).unwrap();
        let found = elf.expanded_section(".debug_str", &kept);
        found.map(|bytes| bytes.map(<[u8]>::to_vec)).map_err(|error| error.to_string())
    }

    #[test]
    fn each_way_of_storing_a_section_gives_its_bytes() {
        let text = b"compressible ".repeat(9);
        let size = text.len() as u64;
        let zstd: Vec<u8> =
            (0..ZSTD.len()).step_by(2).map(|at| u8::from_str_radix(&ZSTD[at..at + 2], 16).unwrap()).collect();
        let new = ElfBuilder::new;
        assert_eq!(section(new().section(".debug_str", &text)), Ok(Some(text.clone())));
        let stored = with_header(1, size, &zlib(&text));
        assert_eq!(section(new().compressed_section(".debug_str", &stored)), Ok(Some(text.clone())));
        let stored = with_header(2, size, &zstd);
        assert_eq!(section(new().compressed_section(".debug_str", &stored)), Ok(Some(text.clone())));
        let stored = old_style(size, &zlib(&text));
        assert_eq!(section(new().section(".zdebug_str", &stored)), Ok(Some(text)));
        assert_eq!(section(new()), Ok(None));
    }

    #[test]
    fn sections_that_lie_about_themselves_are_refused() {
        let text = b"compressible ".repeat(9);
        let packed = zlib(&text);
        let refused = |stored: Vec<u8>, expected: &str| {
            let error = section(ElfBuilder::new().compressed_section(".debug_str", &stored)).unwrap_err();
            assert!(error.starts_with("debug section .debug_str cannot be decompressed"), "{error}");
            assert!(error.contains(expected), "{error}");
        };
        let size = text.len() as u64;
        refused(with_header(1, size - 1, &packed), "bytes or more instead of 116");
        refused(with_header(1, size + 1, &packed), "instead of 118");
        refused(with_header(1, 1 << 40, &packed), "claims to expand");
        refused(with_header(7, size, &packed), "compression type 7");
        refused(with_header(1, size, &packed[..packed.len() / 2]), "");
        refused(with_header(2, size, &packed), "");
        refused(vec![1; 20], "header is cut off");
        let not_zdebug = section(ElfBuilder::new().section(".zdebug_str", b"QLIB and more bytes"));
        assert!(not_zdebug.unwrap_err().contains("cut off"));
    }

    #[test]
    fn compressed_debug_information_is_indexed_like_any_other() {
        let mut builder = DwarfBuilder::new(5);
        builder.unit("a.c");
        let int = builder.base("int", 4);
        let structure = builder.structure(Some("pair"), 8);
        builder.member(structure, Some("right"), int, 4);
        let sections = builder.sections();
        let compressed = sections.iter().fold(ElfBuilder::new(), |elf, (name, bytes)| {
            elf.compressed_section(name, &with_header(1, bytes.len() as u64, &zlib(bytes)))
        });
        let old = sections.iter().fold(ElfBuilder::new(), |elf, (name, bytes)| {
            elf.section(&old_name(name), &old_style(bytes.len() as u64, &zlib(bytes)))
        });
        for file in [compressed.build(), old.build()] {
            let kept = Kept::default();
            let index = DwarfIndex::build(&ElfImage::parse(&file).unwrap(), &kept).unwrap();
            assert_eq!(index.field("pair", "right").map(|field| field.offset), Some(4));
        }
    }
}
