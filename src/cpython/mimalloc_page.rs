//! One page of mimalloc: where its blocks lie, and which of them are free.
//!
//! Knows the fields of `mi_page_t` and the chains of free blocks, encoded or not (Include/internal/mimalloc, 2.1.2 and
//! 2.5.2). Refuses to know segments and heaps.

use super::Runtime;
use super::mimalloc::SLICE;
use super::words::{at, half, word};
use crate::corefile::Address;
use crate::layout::Field;

/// A block size that stands for "the whole page", where 32 bits are too few (`MI_HUGE_BLOCK_SIZE`, 2.1.2).
const HUGE_BLOCK: u64 = 2 << 30;
/// Bits of the list of blocks freed by other threads that are a state (`mi_delayed_t`).
const DELAYED_STATE: u64 = 3;

/// Fields of a page, all there that every release has.
#[derive(Clone, Copy)]
pub struct PageLayout {
    /// Bytes of a description.
    pub size: usize,
    /// Slices of the page.
    pub slice_count: Field,
    /// The heap it belongs to; 0 once its thread has ended.
    pub heap: Field,
    capacity: Field,
    reserved: Field,
    used: Field,
    block_size: Field,
    free: Field,
    local_free: Field,
    thread_free: Field,
    tag: Option<Field>,
    page_start: Option<Field>,
    keys: Option<Field>,
}

impl PageLayout {
    /// The fields, if this interpreter has mimalloc.
    pub fn new(runtime: &Runtime<'_>) -> Option<Self> {
        let l = &runtime.layouts.allocators.mi_page;
        Some(Self {
            size: usize::try_from(l.size).ok().filter(|&size| size > 0)?,
            slice_count: l.slice_count?,
            heap: l.xheap?,
            capacity: l.capacity?,
            reserved: l.reserved?,
            used: l.used?,
            block_size: l.block_size?,
            free: l.free?,
            local_free: l.local_free?,
            thread_free: l.xthread_free?,
            tag: l.tag,
            page_start: l.page_start,
            keys: l.keys,
        })
    }

    /// Whether these bytes describe a page with blocks: free slices have block size 0, slices within a page 1.
    pub fn is_used(&self, page: &[u8]) -> bool {
        number(page, self.block_size) > 1
    }
}

/// An unsigned field of any width in a description.
fn number(page: &[u8], field: Field) -> u64 {
    let raw = match field.size {
        8 => word(page, at(field)),
        size => u64::from(half(page, at(field))) & (1u64 << (size.min(4) * 8)).wrapping_sub(1),
    };
    match field.bits {
        None => raw,
        Some(bits) => (raw >> bits.offset) & (1u64 << bits.width.min(32)).wrapping_sub(1),
    }
}

/// How a chain of free blocks is linked.
#[derive(Clone, Copy)]
pub struct Chain {
    /// What an encoded null pointer decodes to: the page or heap itself.
    pub null: Address,
    /// The keys of encoded links.
    pub keys: Option<(u64, u64)>,
}

impl Chain {
    /// The block that a link names; 0 for none (Include/internal/mimalloc/mimalloc/internal.h, `mi_ptr_decode`).
    fn decode(self, link: u64) -> Address {
        let Some((first, second)) = self.keys else { return link };
        let block = link.wrapping_sub(first).rotate_right((first % 64) as u32) ^ second;
        if block == self.null { 0 } else { block }
    }
}

/// The blocks of a chain from `first` on, as long as links can be read. It may be a ring: the caller bounds it.
pub fn block_chain(
    chain: Chain,
    first: Address,
    read_link: impl Fn(Address) -> Option<u64>,
) -> impl Iterator<Item = Address> {
    let mut next = first;
    std::iter::from_fn(move || {
        let block = next;
        if block == 0 {
            return None;
        }
        next = read_link(block).map_or(0, |link| chain.decode(link));
        Some(block)
    })
}

/// What a page says of itself.
pub struct PageState {
    /// Its first block.
    pub start: Address,
    /// Bytes of each block.
    pub block_size: usize,
    /// Blocks that were ever handed out; the page may have room for more.
    pub capacity: u16,
    /// Blocks it has room for.
    pub reserved: u64,
    /// The heap's tag.
    pub tag: u64,
    used: u64,
    heads: [Address; 3],
    chain: Chain,
}

/// What the free lists of a page say.
pub struct Marked {
    /// Blocks on any of them.
    pub free: u64,
    /// They contradict the page's header.
    pub damaged: bool,
}

impl PageState {
    /// The page described by `bytes`, which lie at `description`; its memory begins at `base`. `None` if it reaches beyond.
    pub fn read(layout: &PageLayout, bytes: &[u8], description: Address, base: Address) -> Option<Self> {
        let span = u64::from(half(bytes, at(layout.slice_count))) * SLICE;
        let told = number(bytes, layout.block_size);
        let block_size = if layout.block_size.size == 4 && told >= HUGE_BLOCK { span } else { told };
        let start = match layout.page_start {
            Some(field) => word(bytes, at(field)),
            None => base + offset_of_blocks(block_size),
        };
        let capacity = u16::try_from(number(bytes, layout.capacity)).ok()?;
        let room = span.checked_sub(start.checked_sub(base)?)?;
        let reserved = number(bytes, layout.reserved);
        if u64::from(capacity) > reserved || block_size.checked_mul(reserved)? > room {
            return None;
        }
        let keys = layout.keys.map(|keys| (word(bytes, at(keys)), word(bytes, at(keys) + 8)));
        Some(Self {
            start,
            block_size: usize::try_from(block_size).ok()?,
            capacity,
            reserved,
            tag: layout.tag.map_or(0, |tag| number(bytes, tag)),
            used: number(bytes, layout.used),
            heads: [
                word(bytes, at(layout.free)),
                word(bytes, at(layout.local_free)),
                word(bytes, at(layout.thread_free)) & !DELAYED_STATE,
            ],
            chain: Chain { null: description, keys },
        })
    }

    /// Bytes of all blocks together.
    pub fn block_bytes(&self) -> usize {
        usize::from(self.capacity) * self.block_size
    }

    /// Sets the bit of each free block of the page, whose blocks are `memory`. `delayed` are freed blocks of the whole
    /// segment, ascending, that are on no list of the page.
    pub fn mark_free(&self, memory: &[u8], delayed: &[Address], free: &mut Vec<u64>) -> Marked {
        free.clear();
        free.resize(usize::from(self.capacity).div_ceil(64), 0);
        let mut marked = Marked { free: 0, damaged: false };
        let [own, local, other_threads] = self.heads;
        for head in [own, local] {
            self.mark_chain(memory, head, free, &mut marked);
        }
        // Blocks that other threads freed count as used until the owner takes them back.
        marked.damaged |= u64::from(self.capacity).checked_sub(marked.free) != Some(self.used);
        self.mark_chain(memory, other_threads, free, &mut marked);
        let end = self.start + memory.len() as u64;
        let first = delayed.partition_point(|&block| block < self.start);
        let of_page = delayed.iter().skip(first).take_while(|&&block| block < end);
        for &block in of_page {
            self.mark(block, free, &mut marked);
        }
        marked
    }

    fn mark_chain(&self, memory: &[u8], head: Address, free: &mut [u64], marked: &mut Marked) {
        let link = |block: Address| {
            let offset = usize::try_from(block.wrapping_sub(self.start)).ok()?;
            (offset < memory.len()).then(|| word(memory, offset))
        };
        for block in block_chain(self.chain, head, link) {
            if !self.mark(block, free, marked) {
                break;
            }
        }
    }

    /// Marks one block as free. `false`, and damage, if it is no block of the page or is free already.
    fn mark(&self, block: Address, free: &mut [u64], marked: &mut Marked) -> bool {
        let offset = block.wrapping_sub(self.start);
        let step = self.block_size as u64;
        let index = offset / step;
        let bits = free.get_mut((index / 64) as usize).filter(|_| index < u64::from(self.capacity));
        match bits {
            Some(bits) if offset.is_multiple_of(step) && *bits & (1 << (index % 64)) == 0 => {
                *bits |= 1 << (index % 64);
                marked.free += 1;
                true
            }
            _ => {
                marked.damaged = true;
                false
            }
        }
    }
}

/// Bytes before the first block of a page, so that blocks of all pages do not share cache lines
/// (Objects/mimalloc/segment.c, `_mi_segment_page_start_from_slice`, 2.1.2; later releases keep `page_start`).
fn offset_of_blocks(block_size: u64) -> u64 {
    match block_size {
        8..=64 => 3 * block_size,
        65..=512 => block_size,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Address = 0x1000;

    fn page(capacity: u16, used: u64, heads: [Address; 3], keys: Option<(u64, u64)>) -> PageState {
        let chain = Chain { null: 0x42, keys };
        PageState { start: START, block_size: 32, capacity, reserved: 8, tag: 0, used, heads, chain }
    }

    fn memory(links: &[(usize, u64)]) -> Vec<u8> {
        let mut memory = vec![0; 32 * 8];
        for &(block, link) in links {
            memory[block * 32..block * 32 + 8].copy_from_slice(&link.to_le_bytes());
        }
        memory
    }

    #[test]
    fn all_lists_are_free_blocks() {
        let memory = memory(&[(1, START + 3 * 32)]);
        let page = page(8, 5, [START + 32, START, START + 4 * 32], None);
        let mut free = Vec::new();
        let marked = page.mark_free(&memory, &[START - 32, START + 6 * 32, START + 8 * 32], &mut free);
        assert_eq!((marked.free, marked.damaged), (5, false));
        assert_eq!(free, [0b0101_1011]);
    }

    #[test]
    fn encoded_links_are_decoded() {
        let keys = (0x0123_4567_89ab_cdef, 0xfeed_face_cafe_beef);
        let encode = |to: u64| (to ^ keys.1).rotate_left((keys.0 % 64) as u32).wrapping_add(keys.0);
        let memory = memory(&[(0, encode(START + 64)), (2, encode(0x42))]);
        let mut free = Vec::new();
        let marked = page(8, 6, [START, 0, 0], Some(keys)).mark_free(&memory, &[], &mut free);
        assert_eq!((marked.free, marked.damaged), (2, false));
        assert_eq!(free, [0b101]);
    }

    #[test]
    fn a_ring_a_wild_link_and_a_wrong_count_are_damage() {
        let ring = memory(&[(0, START + 32), (1, START)]);
        let mut free = Vec::new();
        assert!(page(8, 6, [START, 0, 0], None).mark_free(&ring, &[], &mut free).damaged);
        let wild = memory(&[(0, 0xdead_beef)]);
        assert!(page(8, 6, [START, 0, 0], None).mark_free(&wild, &[], &mut free).damaged);
        let askew = memory(&[(0, START + 33)]);
        assert!(page(8, 6, [START, 0, 0], None).mark_free(&askew, &[], &mut free).damaged);
        assert!(page(8, 8, [START, 0, 0], None).mark_free(&memory(&[]), &[], &mut free).damaged);
    }

    #[test]
    fn small_blocks_begin_later() {
        assert_eq!([8, 64, 72, 512, 640].map(offset_of_blocks), [24, 192, 72, 512, 0]);
    }
}
