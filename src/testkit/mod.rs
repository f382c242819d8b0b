//! Builds the inputs of tests from small descriptions. Knows the file formats by itself, with offsets of its
//! own: a parser that shares its layout with the writer of its tests proves nothing.

pub mod compressors;
pub mod core_builder;
pub mod dwarf_builder;
pub mod elf_builder;
pub mod hostile;
pub mod library_builder;

/// Writes bytes at an offset, growing the buffer with zeros as needed.
pub(crate) fn put(buffer: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    buffer[offset..end].copy_from_slice(bytes);
}

/// One ELF note, padded to four bytes.
pub(crate) fn note(owner: &str, kind: u32, content: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    note.extend(((owner.len() + 1) as u32).to_le_bytes());
    note.extend((content.len() as u32).to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(owner.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend(content);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}
