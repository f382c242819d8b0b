//! From address to object id in constant time: a rank bitmap over the pages that hold objects.
//!
//! One bit for each 8 bytes of a page of 64 KiB, and the number of objects before each 64 of them.

use crate::columns::{Column, ColumnFile, ColumnWriter, Damaged};
use crate::corefile::Address;
use std::io::{self, Seek, Write};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of heap that one bit stands for.
const GRANULE_SHIFT: u32 = 3;
/// A page is 64 KiB.
const PAGE_SHIFT: u32 = 16;
/// Pages below one entry of the upper table: 1 GiB.
const REGION_SHIFT: u32 = 30;
/// User addresses have 47 bits on x86-64 and 48 on AArch64.
const ADDRESS_BITS: u32 = 48;
/// Bitmap words of one page.
const WORDS_PER_PAGE: usize = 1 << (PAGE_SHIFT - GRANULE_SHIFT - 6);
/// Pages of one region.
const PAGES_PER_REGION: usize = 1 << (REGION_SHIFT - PAGE_SHIFT);
/// Entry of a table below which there is nothing.
const NOTHING: u32 = u32::MAX;

/// 64 granules: which of them start an object, and how many objects start before them.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RankWord {
    bits: u64,
    before: u32,
    unused: u32,
}

/// Address → object id.
#[derive(Clone, Debug, Default)]
pub struct ObjectIndex {
    regions: Column<u32>,
    pages: Column<u32>,
    words: Column<RankWord>,
}

impl ObjectIndex {
    /// Indexes `addresses`, which ascend; the id of an object is its position.
    ///
    /// Addresses that are not aligned to 8 or above the user half are left out, and so is what follows a descent.
    pub fn new(addresses: &[Address]) -> Self {
        let mut index =
            Building { regions: vec![NOTHING; 1 << (ADDRESS_BITS - REGION_SHIFT)], ..Building::default() };
        let mut last_page = None;
        let mut page_words = 0;
        let mut filled = 0;
        for (id, &address) in addresses.iter().enumerate() {
            if address >> ADDRESS_BITS != 0 || address & 7 != 0 {
                continue;
            }
            let page = address >> PAGE_SHIFT;
            if last_page != Some(page) {
                index.fill_ranks(filled, id as u32);
                page_words = index.add_page(page);
                filled = page_words;
                last_page = Some(page);
            }
            let granule = (address & ((1 << PAGE_SHIFT) - 1)) >> GRANULE_SHIFT;
            let word = page_words + (granule / 64) as usize;
            // Words up to this one are complete: whatever follows lies higher.
            while filled <= word {
                if let Some(entry) = index.words.get_mut(filled) {
                    entry.before = id as u32;
                }
                filled += 1;
            }
            if let Some(entry) = index.words.get_mut(word) {
                entry.bits |= 1 << (granule % 64);
            }
        }
        Self { regions: index.regions.into(), pages: index.pages.into(), words: index.words.into() }
    }

    /// Writes the index.
    ///
    /// # Errors
    /// Of the output.
    pub fn write<W: Write + Seek>(&self, out: &mut ColumnWriter<W>) -> io::Result<()> {
        out.column("index.regions", &self.regions)?;
        out.column("index.pages", &self.pages)?;
        out.column("index.words", &self.words)
    }

    /// The index that was written; nothing is copied.
    ///
    /// # Errors
    /// A column is not there or damaged.
    pub fn read(file: &ColumnFile) -> Result<Self, Damaged> {
        let (regions, pages) = (file.column("index.regions")?, file.column("index.pages")?);
        Ok(Self { regions, pages, words: file.column("index.words")? })
    }

    /// How many objects it finds.
    pub fn len(&self) -> usize {
        let last = self.words.iter().rev().find(|word| word.bits != 0);
        last.map_or(0, |word| word.before as usize + word.bits.count_ones() as usize)
    }

    /// Whether it finds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of the object that starts at `address`.
    #[inline]
    pub fn find(&self, address: Address) -> Option<u32> {
        let region = *self.regions.get((address >> REGION_SHIFT) as usize)?;
        if region == NOTHING || address & 7 != 0 {
            return None;
        }
        let in_region = (address >> PAGE_SHIFT) as usize % PAGES_PER_REGION;
        let page = *self.pages.get(region as usize * PAGES_PER_REGION + in_region)?;
        if page == NOTHING {
            return None;
        }
        let granule = (address & ((1 << PAGE_SHIFT) - 1)) >> GRANULE_SHIFT;
        let word = self.words.get(page as usize * WORDS_PER_PAGE + (granule / 64) as usize)?;
        let bit = 1u64 << (granule % 64);
        (word.bits & bit != 0).then(|| word.before + (word.bits & (bit - 1)).count_ones())
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.regions.owned_bytes() + self.pages.owned_bytes() + self.words.owned_bytes()
    }
}

/// The same while it is made.
#[derive(Default)]
struct Building {
    regions: Vec<u32>,
    pages: Vec<u32>,
    words: Vec<RankWord>,
}

impl Building {
    fn fill_ranks(&mut self, from: usize, rank: u32) {
        for entry in self.words.iter_mut().skip(from) {
            entry.before = rank;
        }
    }

    fn add_page(&mut self, page: u64) -> usize {
        let region = (page >> (REGION_SHIFT - PAGE_SHIFT)) as usize;
        if self.regions[region] == NOTHING {
            self.regions[region] = (self.pages.len() / PAGES_PER_REGION) as u32;
            self.pages.resize(self.pages.len() + PAGES_PER_REGION, NOTHING);
        }
        let slot = self.regions[region] as usize * PAGES_PER_REGION + page as usize % PAGES_PER_REGION;
        self.pages[slot] = (self.words.len() / WORDS_PER_PAGE) as u32;
        let start = self.words.len();
        self.words.resize(start + WORDS_PER_PAGE, RankWord::default());
        start
    }
}

const _: () = assert!(size_of::<RankWord>() == 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn finds_exactly_what_was_put_in(
            near in prop::collection::btree_set(0u64..40_000, 0..300),
            far in prop::collection::btree_set(0u64..(1 << 44), 0..100),
            probes in prop::collection::vec(0u64..(1 << 48), 50),
        ) {
            let addresses: Vec<u64> =
                near.iter().map(|n| 0x7f00_0000_0000 + n * 8).chain(far.iter().map(|n| n * 8)).collect::<BTreeSet<_>>()
                    .into_iter().collect();
            let index = ObjectIndex::new(&addresses);
            for (id, &address) in addresses.iter().enumerate() {
                prop_assert_eq!(index.find(address), Some(id as u32));
                prop_assert_eq!(index.find(address + 1), None);
                if addresses.binary_search(&(address + 8)).is_err() {
                    prop_assert_eq!(index.find(address + 8), None);
                }
            }
            for probe in probes {
                let expected = addresses.binary_search(&probe).ok().map(|id| id as u32);
                prop_assert_eq!(index.find(probe), expected);
            }
        }
    }

    #[test]
    fn refuses_addresses_outside_the_user_half() {
        let index = ObjectIndex::new(&[0x1000, 1 << 47, 1 << 48]);
        assert_eq!(index.find(0x1000), Some(0));
        assert_eq!(index.find(1 << 47), Some(1));
        assert_eq!(index.find(1 << 48), None);
        assert_eq!(index.find(u64::MAX), None);
    }
}
