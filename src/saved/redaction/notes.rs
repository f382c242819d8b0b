//! The notes of a core without what they tell of contents: registers hold what was being worked on, and the command line
//! has arguments.
//!
//! Knows the notes whose layout is needed for that; drops all others, such as those of vector registers.

use crate::corefile::linux::{
    FILE_ENTRY, FILE_TABLE, NT_ARM_TLS, NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO,
    PRPSINFO_ARGUMENTS, PRPSINFO_NAME, PRSTATUS_REGISTERS,
};
use crate::corefile::{Machine, NewNote, Registers};

/// The notes that a redacted heap has, without contents, and with names passed through `rename`.
pub fn redacted(
    notes: Vec<NewNote>,
    machine: Machine,
    rename: &mut dyn FnMut(&str) -> String,
) -> Vec<NewNote> {
    let kept = notes.into_iter().filter_map(|mut note| match (note.name.as_str(), note.kind) {
        ("CORE", NT_PRSTATUS) => {
            Registers::wipe(machine, note.content.get_mut(PRSTATUS_REGISTERS..).unwrap_or_default());
            Some(note)
        }
        ("CORE", NT_PRPSINFO) => {
            note.content.get_mut(PRPSINFO_ARGUMENTS)?.fill(0);
            rename_texts(note.content.get_mut(PRPSINFO_NAME)?, rename);
            Some(note)
        }
        ("CORE", NT_FILE) => {
            let count = usize::try_from(u64::from_le_bytes(*note.content.first_chunk()?)).ok()?;
            let paths = count.checked_mul(FILE_ENTRY)?.checked_add(FILE_TABLE)?;
            rename_texts(note.content.get_mut(paths..)?, rename);
            Some(note)
        }
        ("CORE", NT_AUXV | NT_SIGINFO) | ("LINUX", NT_ARM_TLS) => Some(note),
        _ => None,
    });
    kept.collect()
}

/// Replaces each text that ends in a zero by another of the same length.
fn rename_texts(bytes: &mut [u8], rename: &mut dyn FnMut(&str) -> String) {
    for text in bytes.split_mut(|&byte| byte == 0) {
        let renamed = rename(&String::from_utf8_lossy(text)).into_bytes();
        let padded = renamed.into_iter().chain(std::iter::repeat(b'a'));
        text.iter_mut().zip(padded).for_each(|(byte, new)| *byte = new);
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
        let kept = redacted(notes, Machine::X86_64, &mut str::to_owned);
        assert_eq!(
            kept.iter().map(|note| note.kind).collect::<Vec<_>>(),
            [NT_PRSTATUS, NT_PRPSINFO, NT_AUXV]
        );
        let registers = kept[0].content[PRSTATUS_REGISTERS..PRSTATUS_REGISTERS + 27 * 8].chunks(8);
        let left: Vec<usize> =
            (0..).zip(registers).filter(|(_, word)| word[0] != 0).map(|(n, _)| n).collect();
        assert_eq!(left, [16, 19, 21, 22]);
        assert!(kept[1].content[PRPSINFO_ARGUMENTS].iter().all(|&byte| byte == 0));
    }
}
