//! What can go wrong when a core file is opened, and why a single read can fail. Knows no parsing.

use std::io;
use std::path::PathBuf;

use super::Address;

/// Bytes of the magic number of an ELF file.
const ELF_MAGIC: u64 = 4;

/// Why bytes at an address cannot be had. Small and `Copy`: it travels on the hot path.
///
/// The two cases are different findings and must not be merged: the first points at a corrupt pointer in
/// the process, the second at a gap in our evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The process had nothing mapped at this address: a wild pointer.
    #[error("address {0:#x} is not mapped in the process (wild pointer)")]
    Unmapped(Address),
    /// The process had this address mapped, but its bytes were left out of the core file (by the kernel's
    /// filter), cut off with its end, or belong to a module file that was not found.
    #[error("address {0:#x} is mapped in the process but its bytes are not in the core file")]
    NotInCore(Address),
}

impl ReadError {
    /// The first address that could not be read.
    pub fn address(&self) -> Address {
        match *self {
            ReadError::Unmapped(address) | ReadError::NotInCore(address) => address,
        }
    }
}

/// Why a file cannot be analysed as a core file. Each message is one line and says what to try.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The file cannot be opened or mapped.
    #[error("cannot open {}: {source}; check the path and that you may read it", path.display())]
    Open {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a device, a terminal or a socket.
    #[error("{} is neither a regular file nor a pipe; save the core to a file and pass that", path.display())]
    NotRegular {
        /// The file as it was named.
        path: PathBuf,
    },
    /// Zero bytes long.
    #[error("{} is empty; check `ulimit -c` and free disk space, then take the core again", path.display())]
    Empty {
        /// The file as it was named.
        path: PathBuf,
    },
    /// A compressed file of which too little could be decoded to be of use.
    #[error("cannot decompress {} after {written} bytes: {reason}", path.display())]
    Decompress {
        /// The file as it was named.
        path: PathBuf,
        /// Bytes decompressed before the failure.
        written: u64,
        /// What the decoder said, and what to do.
        reason: String,
    },
    /// A core from a pipe, or a compressed one, cannot be put where it can be mapped.
    #[error("no room for the content of {}: {reason}; set TMPDIR to a directory on a disk with room", path.display())]
    Temporary {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said of the temporary file.
        reason: String,
    },
    /// What shall hold the file system of the process does not.
    #[error("{} holds no file system: {reason}; pass a directory, a tar of one, or a saved image (docker save, OCI layout)", path.display())]
    Sysroot {
        /// The file or directory as it was named.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file of this program's own.
    #[error("{} is an index that `exuvia index` has written, not a core file; pass the core it lies beside", path.display())]
    Index {
        /// The file as it was named.
        path: PathBuf,
    },
    /// No ELF magic.
    #[error("{} is not an ELF file; pass a core file (zstd, lz4, gzip and xz are unpacked; other formats must be before)", path.display())]
    NotElf {
        /// The file as it was named.
        path: PathBuf,
    },
    /// 32-bit ELF.
    #[error("{} is a 32-bit ELF file; only cores of 64-bit processes are supported", path.display())]
    Not64Bit {
        /// The file as it was named.
        path: PathBuf,
    },
    /// Big-endian ELF.
    #[error("{} is a big-endian ELF file; only little-endian cores are supported", path.display())]
    NotLittleEndian {
        /// The file as it was named.
        path: PathBuf,
    },
    /// ELF, but an executable, library or object file.
    #[error("{} is an ELF file of type {kind}, not a core file; pass the core here and the program with --exe", path.display())]
    NotCore {
        /// The file as it was named.
        path: PathBuf,
        /// `e_type` of its header (ELF specification, "ELF Header").
        kind: u16,
    },
    /// A core of any other machine.
    #[error("{} is a core for ELF machine {machine}; only x86-64 (62) and AArch64 (183) are supported", path.display())]
    UnsupportedMachine {
        /// The file as it was named.
        path: PathBuf,
        /// `e_machine` of its header.
        machine: u16,
    },
    /// The ELF header or all program headers are cut off: no memory can be found.
    #[error("{} ends inside its ELF headers ({actual} of at least {expected} bytes); copy or take the core again", path.display())]
    HeadersCutOff {
        /// The file as it was named.
        path: PathBuf,
        /// Bytes the headers alone need.
        expected: u64,
        /// Bytes the file has.
        actual: u64,
    },
    /// A core without a single memory segment.
    #[error("{} has no memory segments; check /proc/PID/coredump_filter, then take the core again", path.display())]
    NoSegments {
        /// The file as it was named.
        path: PathBuf,
    },
}

impl CoreError {
    /// Whether more bytes than the first `present` might have made a core of the file.
    pub(super) fn is_lack_of_bytes(&self, present: u64) -> bool {
        match self {
            CoreError::Empty { .. } | CoreError::HeadersCutOff { .. } | CoreError::NoSegments { .. } => true,
            CoreError::NotElf { .. } => present < ELF_MAGIC,
            _ => false,
        }
    }
}
