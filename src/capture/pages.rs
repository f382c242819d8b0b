//! `/proc/PID/pagemap`: which pages a process has touched. Knows its bits (Linux, Documentation/admin-guide/mm/pagemap.rst);
//! refuses to read the pages.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Of an entry: nobody may touch the page (`MADV_GUARD_INSTALL`; told since Linux 6.15).
const GUARD: u64 = 1 << 58;
/// The page is of a file, or shared.
const FILE: u64 = 1 << 61;
/// It is swapped out.
const SWAPPED: u64 = 1 << 62;
/// It is in memory.
const PRESENT: u64 = 1 << 63;
/// Bytes of an entry.
const ENTRY: usize = 8;
/// Entries read at a time.
const BLOCK: usize = 16 << 10;

/// Which pages to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// In memory or swapped out.
    Resident,
    /// The process' own: of those, what is not a file's.
    Own,
}

impl Wanted {
    fn has(self, entry: u64) -> bool {
        let resident = entry & (PRESENT | SWAPPED) != 0 && entry & GUARD == 0;
        match self {
            Wanted::Resident => resident,
            Wanted::Own => resident && entry & FILE == 0,
        }
    }
}

/// The table of one process.
#[derive(Debug)]
pub(super) struct PageMap {
    file: Option<File>,
    page: u64,
}

impl PageMap {
    /// Opens the table of a process with pages of `page` bytes. Where the kernel has none, every page counts as touched.
    pub(super) fn open(pid: i32, page: u64) -> PageMap {
        PageMap { file: File::open(super::process::path(pid, "pagemap")).ok(), page: page.max(1) }
    }

    /// The pages in `start..end` that are wanted, as ranges of addresses that do not touch each other.
    pub(super) fn runs(&self, start: u64, end: u64, wanted: Wanted) -> Vec<(u64, u64)> {
        let mut runs = Runs { page: self.page, wanted, found: Vec::new() };
        let most = (end.saturating_sub(start)).div_ceil(self.page).min(BLOCK as u64);
        let mut block = vec![0; most as usize * ENTRY];
        let mut at = start;
        while at < end {
            let pages = (end - at).div_ceil(self.page).min(BLOCK as u64);
            let next = at.saturating_add(pages * self.page).min(end);
            let bytes = block.get_mut(..pages as usize * ENTRY).unwrap_or_default();
            let read = self
                .file
                .as_ref()
                .and_then(|file| file.read_exact_at(bytes, (at / self.page).checked_mul(ENTRY as u64)?).ok());
            match read {
                Some(()) => runs.add(at, next, bytes),
                None => runs.push(at, next),
            }
            at = next;
        }
        runs.found
    }
}

/// Ranges in the making.
struct Runs {
    page: u64,
    wanted: Wanted,
    found: Vec<(u64, u64)>,
}

impl Runs {
    /// Takes in the entries of `start..end`.
    fn add(&mut self, start: u64, end: u64, entries: &[u8]) {
        let mut at = start;
        for entry in entries.as_chunks::<ENTRY>().0 {
            let next = at.saturating_add(self.page).min(end);
            if self.wanted.has(u64::from_le_bytes(*entry)) {
                self.push(at, next);
            }
            at = next;
        }
    }

    fn push(&mut self, start: u64, end: u64) {
        match self.found.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.found.push((start, end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn table(entries: &[u64]) -> PageMap {
        let mut file = tempfile::tempfile().unwrap();
        for entry in entries {
            file.write_all(&entry.to_le_bytes()).unwrap();
        }
        PageMap { file: Some(file), page: 4096 }
    }

    #[test]
    fn neighbouring_pages_make_one_range() {
        let map = table(&[PRESENT, SWAPPED, SWAPPED | GUARD, PRESENT | FILE, 0, PRESENT]);
        assert_eq!(map.runs(0, 0x6000, Wanted::Resident), [(0, 0x2000), (0x3000, 0x4000), (0x5000, 0x6000)]);
        assert_eq!(map.runs(0, 0x6000, Wanted::Own), [(0, 0x2000), (0x5000, 0x6000)]);
        assert_eq!(map.runs(0x1000, 0x3000, Wanted::Own), [(0x1000, 0x2000)]);
        assert_eq!(map.runs(0x2000, 0x2000, Wanted::Own), []);
    }

    #[test]
    fn pages_of_which_nothing_is_known_count_as_touched() {
        let map = table(&[0]);
        assert_eq!(map.runs(0x4000, 0x6000, Wanted::Own), [(0x4000, 0x6000)]);
        assert_eq!(PageMap { file: None, page: 4096 }.runs(0, 0x1000, Wanted::Own), [(0, 0x1000)]);
        assert_eq!(map.runs(u64::MAX - 4096, u64::MAX, Wanted::Own), [(u64::MAX - 4096, u64::MAX)]);
    }

    #[test]
    fn ranges_go_on_over_blocks() {
        let map = table(&vec![PRESENT; BLOCK + 10]);
        let end = (BLOCK as u64 + 10) * 4096;
        assert_eq!(map.runs(0, end, Wanted::Resident), [(0, end)]);
    }
}
