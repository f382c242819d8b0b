//! Registers of a thread as a core's `NT_PRSTATUS` note keeps them. The one file here that knows a CPU.

use super::elf::Machine;

/// Order of `struct user_regs_struct` on x86-64 (Linux, arch/x86/include/asm/user_64.h), eight bytes each.
const X86_64: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
    "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

/// General registers of one thread at the moment the core was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    all: Vec<(&'static str, u64)>,
}

impl Registers {
    /// Decodes the register block that `bytes` begin with; `None` if they end before it does.
    pub(super) fn decode(machine: Machine, bytes: &[u8]) -> Option<Registers> {
        let names = match machine {
            Machine::X86_64 => &X86_64,
        };
        let values = bytes.as_chunks::<8>().0.get(..names.len())?.iter();
        let values = values.map(|value| u64::from_le_bytes(*value));
        Some(Registers { all: names.iter().copied().zip(values).collect() })
    }

    /// All registers, in the kernel's order.
    pub fn all(&self) -> &[(&'static str, u64)] {
        &self.all
    }

    /// A register by its lower-case name, such as `"rbx"`; `None` if this machine has none of that name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.all.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// Instruction pointer.
    pub fn rip(&self) -> u64 {
        self.get("rip").unwrap_or(0)
    }

    /// Stack pointer.
    pub fn rsp(&self) -> u64 {
        self.get("rsp").unwrap_or(0)
    }

    /// Frame pointer by convention (an ordinary register in optimised code).
    pub fn rbp(&self) -> u64 {
        self.get("rbp").unwrap_or(0)
    }

    /// Base of thread-local storage.
    pub fn fs_base(&self) -> u64 {
        self.get("fs_base").unwrap_or(0)
    }
}
