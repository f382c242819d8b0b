//! Why an ELF file or its debug information cannot be read. Knows nothing of where the file came from: the
//! caller adds the path.

use thiserror::Error;

/// What is wrong with an ELF file or with the DWARF in it.
#[derive(Debug, Error)]
pub enum DebugInfoError {
    /// The bytes do not start with a readable ELF header.
    #[error(
        "not a readable ELF file ({reason}); check that the file is the one the core file names and is not truncated"
    )]
    NotElf {
        /// What the ELF reader objected to.
        reason: String,
    },
    /// An ELF file of another word size or byte order.
    #[error("ELF file of a kind that is not supported: {what}; only 64-bit little-endian files are read")]
    UnsupportedElf {
        /// The property that rules the file out.
        what: &'static str,
    },
    /// The file has no `.debug_info`: it was stripped, or its debug information is in a separate file.
    #[error(
        "no debug information in this file; use its separate debug file (same build-id), an unstripped build or a layout table"
    )]
    NoDebugInfo,
    /// The file has only skeleton units, and none of the `.dwo` files they name, nor a package of them, was found.
    #[error(
        "the debug information is split into .dwo files, none of which was found, nor a package of them (.dwp); put the package beside the program, name the directory of the .dwo files with --debug-dir, or use a layout table"
    )]
    SplitDwarf,
    /// The file shares debug information with others, and the file with the shared part was not found.
    #[error(
        "the debug information needs the supplementary file {path} (build-id {id}), which was not found; looked for: {looked_for}; install it (it comes with the same debug package) or name its directory with --debug-dir"
    )]
    NoSupplementary {
        /// The path by which the file names it.
        path: String,
        /// The build-id it must have.
        id: String,
        /// Where it was looked for.
        looked_for: String,
    },
    /// A debug section is compressed and cannot be expanded.
    #[error(
        "debug section {section} cannot be decompressed ({reason}); the file may be damaged or truncated, try objcopy --decompress-debug-sections FILE FILE.expanded"
    )]
    Compressed {
        /// The section's name.
        section: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `.debug_info` is too large for the 32-bit offsets of the index.
    #[error("section .debug_info has {size} bytes, more than the {limit} bytes that can be indexed")]
    TooLarge {
        /// Size of `.debug_info` in bytes.
        size: usize,
        /// The largest size supported, in bytes.
        limit: usize,
    },
    /// Not one unit of `.debug_info` could be read.
    #[error(
        "malformed DWARF: no readable unit in .debug_info ({reason}); the file may be damaged or truncated"
    )]
    MalformedDwarf {
        /// What the DWARF reader objected to first.
        reason: String,
    },
}
