//! Columns of plain numbers, in memory or in a file that is mapped, and the file that has them.
//!
//! Knows slices, where they lie and whether a file's are whole; refuses to know what the numbers mean. Nothing else of the
//! crate is known here.

mod column;
mod file;
mod writer;

pub use column::{Column, Plain};
pub use file::{ColumnFile, Damaged};
pub use writer::ColumnWriter;

use rayon::prelude::*;
use twox_hash::XxHash3_64;

/// First bytes of a file of columns.
const MAGIC: [u8; 8] = *b"EXUVIAIX";
/// Changes whenever the arrangement of the file does.
const FORMAT: u32 = 1;
/// A word that reads otherwise on a machine of the other byte order.
const ORDER: u32 = 0x0102_0304;
/// Bytes of the header: magic, format, byte order, place, length and checksum of the directory.
const HEADER: usize = 40;
/// Columns begin at multiples of this many bytes, more than any number needs.
const ALIGNMENT: u64 = 64;
/// Bytes of a column's name, filled up with zeros.
const NAME: usize = 24;
/// Bytes of an entry of the directory: name, place, length and checksum of a column.
const ENTRY: usize = NAME + 24;
/// Bytes that are checked by one thread at a time.
const CHUNK: usize = 1 << 20;

/// Whether a file of columns begins like this.
pub fn is_column_file(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// A number by which texts are told apart.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Checksum of a column: that of the checksums of its chunks, so that several threads can work it out. XXH3 finds accidents,
/// not forgery: whoever can write the file can write the analysis, too.
fn checksum(bytes: &[u8]) -> u64 {
    let chunks: Vec<u64> = bytes.par_chunks(CHUNK).map(XxHash3_64::oneshot).collect();
    checksum_of(&chunks)
}

fn checksum_of(chunks: &[u64]) -> u64 {
    let joined: Vec<u8> = chunks.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    XxHash3_64::oneshot(&joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::sync::Arc;

    /// The file that `fill` writes, mapped.
    fn written(fill: impl FnOnce(&mut ColumnWriter<&File>)) -> (tempfile::NamedTempFile, Vec<u8>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ColumnWriter::new(file.as_file()).unwrap();
        fill(&mut writer);
        writer.finish().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        (file, bytes)
    }

    fn open(bytes: Vec<u8>) -> Result<ColumnFile, Damaged> {
        ColumnFile::of(Arc::new(bytes))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(words in prop::collection::vec(any::<u64>(), 0..300),
                                   halves in prop::collection::vec(any::<u32>(), 0..300),
                                   bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_file, stored) = written(|writer| {
                writer.column("words", &words).unwrap();
                writer.column("bytes", &bytes).unwrap();
                let parts: Vec<&[u32]> = halves.chunks(7).collect();
                writer.parts("halves", parts).unwrap();
            });
            let file = open(stored).unwrap();
            prop_assert_eq!(&*file.column::<u64>("words").unwrap(), &words[..]);
            prop_assert_eq!(&*file.column::<u32>("halves").unwrap(), &halves[..]);
            prop_assert_eq!(&*file.column::<u8>("bytes").unwrap(), &bytes[..]);
            prop_assert!(file.column::<u8>("others").is_err());
        }

        #[test]
        fn a_changed_byte_is_noticed(words in prop::collection::vec(any::<u64>(), 1..300), at in any::<prop::sample::Index>(),
                                     change in 1u8..) {
            let (_file, mut stored) = written(|writer| writer.column("words", &words).unwrap());
            let at = at.index(stored.len());
            stored[at] ^= change;
            let read = open(stored).and_then(|file| file.column::<u64>("words"));
            // Of what fills up to the next column nothing is read.
            prop_assert!(read.is_err() || *read.unwrap() == words[..]);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut made = MAGIC.to_vec();
            made.extend(FORMAT.to_le_bytes());
            made.extend(ORDER.to_le_bytes());
            made.extend(bytes);
            let _ = open(made).map(|file| file.column::<u32>("x").is_ok());
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_damaged() {
        let (_file, stored) = written(|writer| writer.column("words", &[1u64, 2, 3]).unwrap());
        for length in 0..stored.len() {
            let cut = stored[..length].to_vec();
            assert!(open(cut).and_then(|file| file.column::<u64>("words")).is_err(), "{length}");
        }
    }

    #[test]
    fn parts_of_a_column_and_what_lies_beyond() {
        let (_file, stored) = written(|writer| writer.column("words", &[1u64, 2, 3]).unwrap());
        let column = open(stored).unwrap().column::<u64>("words").unwrap();
        assert_eq!(&*column.part(1..3).unwrap(), [2, 3]);
        assert_eq!(&*column.part(1..3).unwrap().part(1..2).unwrap(), [3]);
        assert!(column.part(1..4).is_none());
        let mut changed = column.clone();
        changed.to_mut()[0] = 9;
        assert_eq!((&*changed, &*column), (&[9, 2, 3][..], &[1, 2, 3][..]));
    }

    #[test]
    fn long_columns_are_checked_in_chunks() {
        let words: Vec<u64> = (0..400_000).collect();
        let (_file, stored) = written(|writer| writer.parts("words", words.chunks(1000)).unwrap());
        assert_eq!(&*open(stored).unwrap().column::<u64>("words").unwrap(), &words[..]);
    }
}
