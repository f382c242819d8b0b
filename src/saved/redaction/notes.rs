//! The notes of a core without what they tell of contents: registers hold what was being worked on, and the command line
//! has arguments.
//!
//! Knows the notes whose layout is needed for that; drops all others, such as those of vector registers.

use crate::corefile::{Machine, NewNote};

/// Note types (Linux, include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;
const NT_ARM_TLS: u32 = 0x401;
/// Where `struct elf_prpsinfo` has the arguments, and ends (Linux, include/linux/elfcore.h, 64 bit).
const ARGUMENTS: std::ops::Range<usize> = 56..136;
/// Where `struct elf_prstatus` has the registers, eight bytes each.
const REGISTERS: usize = 112;
/// Registers that are kept, by their numbers: `rip`, `rsp`, `fs_base` and `gs_base` of x86-64, `sp` and `pc` of AArch64.
const X86_64: (usize, &[usize]) = (27, &[16, 19, 21, 22]);
const AARCH64: (usize, &[usize]) = (34, &[31, 32]);

/// The notes that a redacted heap has, without contents.
pub fn redacted(notes: Vec<NewNote>, machine: Machine) -> Vec<NewNote> {
    let kept = notes.into_iter().filter_map(|mut note| match (note.name.as_str(), note.kind) {
        ("CORE", NT_PRSTATUS) => {
            wipe_registers(&mut note.content, machine);
            Some(note)
        }
        ("CORE", NT_PRPSINFO) => {
            note.content.get_mut(ARGUMENTS)?.fill(0);
            Some(note)
        }
        ("CORE", NT_AUXV | NT_SIGINFO | NT_FILE) | ("LINUX", NT_ARM_TLS) => Some(note),
        _ => None,
    });
    kept.collect()
}

fn wipe_registers(status: &mut [u8], machine: Machine) {
    let (count, kept) = match machine {
        Machine::X86_64 => X86_64,
        Machine::Aarch64 => AARCH64,
    };
    for number in (0..count).filter(|number| !kept.contains(number)) {
        let start = REGISTERS + number * 8;
        if let Some(register) = status.get_mut(start..start + 8) {
            register.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, kind: u32, content: Vec<u8>) -> NewNote {
        NewNote { name: name.to_owned(), kind, content }
    }

    #[test]
    fn arguments_registers_and_unknown_notes_are_gone() {
        let secret = vec![0xaa; 400];
        let notes = vec![
            note("CORE", NT_PRSTATUS, secret.clone()),
            note("CORE", NT_PRPSINFO, secret.clone()),
            note("CORE", 2, secret.clone()),
            note("LINUX", 0x202, secret.clone()),
            note("CORE", NT_AUXV, secret),
        ];
        let kept = redacted(notes, Machine::X86_64);
        assert_eq!(
            kept.iter().map(|note| note.kind).collect::<Vec<_>>(),
            [NT_PRSTATUS, NT_PRPSINFO, NT_AUXV]
        );
        let registers = kept[0].content[REGISTERS..REGISTERS + 27 * 8].chunks(8);
        let left: Vec<usize> =
            (0..).zip(registers).filter(|(_, word)| word[0] != 0).map(|(n, _)| n).collect();
        assert_eq!(left, [16, 19, 21, 22]);
        assert!(kept[1].content[ARGUMENTS].iter().all(|&byte| byte == 0));
    }
}
