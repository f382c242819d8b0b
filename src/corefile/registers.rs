//! Registers of a thread as a core's `NT_PRSTATUS` note keeps them. The one file here that knows the processors.

use super::Address;
use super::elf::Machine;

/// Order of `struct user_regs_struct` on x86-64 (Linux, arch/x86/include/asm/user_64.h), eight bytes each.
const X86_64: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
    "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

/// Order of `struct user_pt_regs` on AArch64 (Linux, arch/arm64/include/uapi/asm/ptrace.h), eight bytes each.
const AARCH64: [&str; 34] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
    "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30",
    "sp", "pc", "pstate",
];

/// The thread pointer of AArch64, which has a note of its own (`NT_ARM_TLS`).
const TPIDR: &str = "tpidr_el0";

/// Registers that say where a thread was and nothing of what it worked on.
const POSITIONS: [&str; 6] = ["rip", "rsp", "fs_base", "gs_base", "sp", "pc"];

/// Most bytes of a C library's `struct pthread`, which ends where the thread pointer of AArch64 points (glibc,
/// sysdeps/aarch64/nptl/tls.h; musl, arch/aarch64/pthread_arch.h): less than 2.5 KiB in any release so far.
const MOST_PTHREAD: u64 = 4096;

/// The general registers of a machine, in the kernel's order.
fn names(machine: Machine) -> &'static [&'static str] {
    match machine {
        Machine::X86_64 => &X86_64,
        Machine::Aarch64 => &AARCH64,
    }
}

/// General registers of one thread at the moment the core was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    machine: Machine,
    all: Vec<(&'static str, u64)>,
}

impl Registers {
    /// Decodes the register block that `bytes` begin with; `None` if they end before it does.
    pub(super) fn decode(machine: Machine, bytes: &[u8]) -> Option<Registers> {
        let names = names(machine);
        let values = bytes.as_chunks::<8>().0.get(..names.len())?.iter();
        let values = values.map(|value| u64::from_le_bytes(*value));
        Some(Registers { machine, all: names.iter().copied().zip(values).collect() })
    }

    /// How many general registers a thread has on a machine.
    pub(crate) fn count(machine: Machine) -> usize {
        names(machine).len()
    }

    /// Zeroes the register block at the start of `bytes`, but for what tells where a thread was: the addresses of its code, of
    /// its stack and of its thread-local storage.
    pub(crate) fn wipe(machine: Machine, bytes: &mut [u8]) {
        for (name, register) in names(machine).iter().zip(bytes.chunks_exact_mut(8)) {
            if !POSITIONS.contains(name) {
                register.fill(0);
            }
        }
    }

    /// Adds the content of an `NT_ARM_TLS` note; `None` if it is too short.
    pub(super) fn add_arm_tls(&mut self, content: &[u8]) -> Option<()> {
        self.all.push((TPIDR, u64::from_le_bytes(*content.first_chunk()?)));
        Some(())
    }

    /// All registers, in the kernel's order.
    pub fn all(&self) -> &[(&'static str, u64)] {
        &self.all
    }

    /// A register by its lower-case name, such as `"rbx"`; `None` if this machine has none of that name, or the
    /// core does not tell it.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.all.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// Address of the instruction the thread was at.
    pub fn instruction_pointer(&self) -> Address {
        let name = match self.machine {
            Machine::X86_64 => "rip",
            Machine::Aarch64 => "pc",
        };
        self.get(name).unwrap_or(0)
    }

    /// Stack pointer.
    pub fn stack_pointer(&self) -> Address {
        let name = match self.machine {
            Machine::X86_64 => "rsp",
            Machine::Aarch64 => "sp",
        };
        self.get(name).unwrap_or(0)
    }

    /// Base of thread-local storage; `None` if the core does not tell it.
    pub fn thread_pointer(&self) -> Option<Address> {
        let name = match self.machine {
            Machine::X86_64 => "fs_base",
            Machine::Aarch64 => TPIDR,
        };
        self.get(name)
    }

    /// Whether this is the thread whose `pthread_self()` is `ident`: that is the thread pointer on x86-64, and a
    /// `struct pthread` below it on AArch64.
    pub fn is_pthread(&self, ident: u64) -> bool {
        let Some(pointer) = self.thread_pointer().filter(|_| ident != 0) else { return false };
        match self.machine {
            Machine::X86_64 => pointer == ident,
            Machine::Aarch64 => {
                pointer.checked_sub(ident).is_some_and(|size| size > 0 && size <= MOST_PTHREAD)
            }
        }
    }
}
