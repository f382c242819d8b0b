//! Line numbers up to 3.10: `co_linetable` of 3.10 and `co_lnotab` before (Objects/lnotab_notes.txt).
//!
//! Knows the two formats, pairs of bytes both; refuses to know where they stand. A table is bytes of a dead process:
//! whatever it says, decoding ends.

/// Line delta of a 3.10 entry whose instructions have no line.
const NO_LINE: i8 = -128;

/// Line of the instruction at byte `offset` according to a 3.10 `co_linetable`: how far an entry goes, and by how much its
/// line differs from that of the entry before (Objects/codeobject.c, `_PyCode_CheckLineNumber`). `None`: it has no line,
/// or the table does not cover it.
pub fn line_in_line_table(table: &[u8], first_line: i64, offset: u64) -> Option<u32> {
    let (mut line, mut covered) = (first_line, 0u64);
    for &[length, delta] in table.as_chunks::<2>().0 {
        let delta = delta as i8;
        covered += u64::from(length);
        if delta != NO_LINE {
            line = line.checked_add(i64::from(delta))?;
        }
        if offset < covered {
            return if delta == NO_LINE { None } else { i32::try_from(line).ok()?.try_into().ok() };
        }
    }
    None
}

/// Line of the instruction at byte `offset` according to `co_lnotab` up to 3.9: by how much address and line grow at
/// each entry (Objects/codeobject.c, `PyCode_Addr2Line`). The last line goes on to the end of the code.
pub fn line_in_lnotab(table: &[u8], first_line: i64, offset: u64) -> Option<u32> {
    let (mut line, mut address) = (first_line, 0u64);
    for &[grown, delta] in table.as_chunks::<2>().0 {
        address += u64::from(grown);
        if address > offset {
            break;
        }
        line = line.checked_add(i64::from(delta as i8))?;
    }
    i32::try_from(line).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_line_table_cover_bytes() {
        // Line 10 for 4 bytes, no line for 2, line 12 for 6, line 9 for 2; an empty entry adds to the line only.
        let table = [4, 0, 2, 0x80, 0, 1, 6, 1, 2, 0xfd];
        let lines: Vec<Option<u32>> =
            (0..16).step_by(2).map(|offset| line_in_line_table(&table, 10, offset)).collect();
        let [ten, none, twelve, nine] = [Some(10), None, Some(12), Some(9)];
        assert_eq!(lines, [ten, ten, none, twelve, twelve, twelve, nine, None]);
    }

    #[test]
    fn entries_of_lnotab_say_where_lines_begin() {
        // From byte 6 on line 21, from byte 8 on line 18; a delta too large for a byte takes two entries.
        let table = [6, 1, 2, 0xfd, 4, 127, 0, 73];
        let lines: Vec<Option<u32>> =
            [0, 4, 6, 8, 10, 12, 1000].map(|offset| line_in_lnotab(&table, 20, offset)).to_vec();
        assert_eq!(lines, [20, 20, 21, 18, 18, 218, 218].map(Some));
        assert_eq!(line_in_lnotab(&[], 3, 8), Some(3));
    }

    #[test]
    fn lines_below_zero_are_no_lines() {
        assert_eq!(line_in_lnotab(&[0, 0x81], 5, 0), None);
        assert_eq!(line_in_line_table(&[2, 0x81], 5, 0), None);
    }
}
