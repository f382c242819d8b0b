//! Every reader of bytes that others wrote, each as a function of any bytes: what the fuzz targets in `fuzz/` call, and
//! what the tests call again with every input that once went wrong (`fuzz/regressions`).
//!
//! Knows how to reach the readers and what they may take ([`Target::bound`]); refuses to know what is right: a
//! function here ends, without a panic, or something is wrong.

mod archives;
mod commands;
mod damage;
mod index;
mod parts;
mod scratch;
pub mod seeds;
#[cfg(test)]
mod tests;
mod walk;

pub use scratch::ScratchFile;

use std::time::Duration;

/// One kind of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A core file: headers, segments, splicing, modules.
    Core,
    /// The notes of a core file.
    Notes,
    /// A compressed file.
    Compressed,
    /// An ELF file with symbols and DWARF.
    Dwarf,
    /// A layout table with facts, and what people type.
    Tables,
    /// A tar of a root file system, or a saved image.
    Archives,
    /// A list of damages to a committed core, on which every command is run.
    Walk,
    /// A list of lies in what a saved heap says of its source, likewise.
    Told,
    /// A list of damages to an index, on which commands that find one are run.
    Index,
}

/// What one input may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Time, of a release build on one processor.
    pub time: Duration,
    /// Most bytes allocated at a time: this many for each byte of the input (of [`Target::Walk`] and [`Target::Told`]: of the core) …
    pub for_each_byte: usize,
    /// … and this many besides.
    pub besides: usize,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 9] = [
        Self::Core,
        Self::Notes,
        Self::Compressed,
        Self::Dwarf,
        Self::Tables,
        Self::Archives,
        Self::Walk,
        Self::Told,
        Self::Index,
    ];

    /// Its name: of the fuzz target, and of its directory of inputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Notes => "notes",
            Self::Compressed => "compressed",
            Self::Dwarf => "dwarf",
            Self::Tables => "tables",
            Self::Archives => "archives",
            Self::Walk => "walk",
            Self::Told => "told",
            Self::Index => "index",
        }
    }

    /// What one input may take.
    pub fn bound(self) -> Bound {
        let (seconds, for_each_byte, mebibytes) = match self {
            // A module's image has up to 64 MiB of gaps between its parts.
            Self::Core | Self::Notes => (2, 64, 128),
            // What a format looks back at is at most 128 MiB; two decoders may be at work.
            Self::Compressed => (10, 64, 384),
            Self::Dwarf => (2, 256, 32),
            Self::Tables => (2, 64, 16),
            // Documents of an image are read as trees of values.
            Self::Archives => (2, 256, 128),
            Self::Walk | Self::Told => (10, 16, 128),
            // Of the input; what the core and its index take is in the rest.
            Self::Index => (10, 16, 384),
        };
        Bound { time: Duration::from_secs(seconds), for_each_byte, besides: mebibytes << 20 }
    }

    /// Bytes that the bound is a multiple of, for an input of `length` bytes.
    pub fn measure(self, input: &[u8]) -> usize {
        match self {
            Self::Walk | Self::Told => walk::size_of_core(input),
            _ => input.len(),
        }
    }

    /// Reads an input in every way there is.
    pub fn run(self, input: &[u8]) {
        match self {
            Self::Core => parts::core(input),
            Self::Notes => parts::notes(input),
            Self::Compressed => parts::compressed(input),
            Self::Dwarf => parts::dwarf(input),
            Self::Tables => parts::tables(input),
            Self::Archives => archives::archives(input),
            Self::Walk => walk::walk(input),
            Self::Told => walk::told(input),
            Self::Index => index::index(input),
        }
    }
}
