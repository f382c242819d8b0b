//! Live blocks of memory, whichever allocator of the interpreter manages them.
//!
//! Knows regions (what is scanned at a time), areas of equal blocks in them, and the padding of debug hooks. Refuses to
//! know how an allocator keeps its books ([`super::pymalloc`], [`super::mimalloc`]) and which blocks are objects.

use super::mimalloc::{self, MimallocFigures, Segment};
use super::pymalloc::{self, PymallocFigures, RawBlocks};
use super::words::ReadField;
use super::{Arena, PythonError, Runtime};
use crate::corefile::{Address, AddressSpace};

/// Bytes in front of the caller's memory in a block of the debug hooks: its size, its domain, seven guards
/// (Objects/obmalloc.c, `_PyMem_DebugRawAlloc`, 3.8 to 3.15).
pub const PADDING: usize = 16;
/// Guard bytes after the caller's memory.
const TAIL: usize = 8;
/// Bytes of the link in a free block.
const LINK: usize = 8;
/// What guard bytes are (`PYMEM_FORBIDDENBYTE`).
const GUARD: u8 = 0xfd;
/// How many blocks are looked at to tell whether debug hooks were active.
const SAMPLE: usize = 256;

/// Where the interpreter took memory for objects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocatorKind {
    /// Its own arenas; malloc for what is larger than 512 bytes.
    Pymalloc,
    /// Its copy of mimalloc: free-threaded builds, and `PYTHONMALLOC=mimalloc`.
    Mimalloc,
    /// The C library (`PYTHONMALLOC=malloc`): nothing tells which memory is in use.
    Malloc,
}

impl AllocatorKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pymalloc => "pymalloc",
            Self::Mimalloc => "mimalloc",
            Self::Malloc => "malloc",
        }
    }
}

/// Memory that the interpreter's allocators manage, ready to be scanned region by region.
#[derive(Debug)]
pub struct Regions {
    /// Disjoint, by address.
    pub list: Vec<Region>,
    /// Which allocator has objects.
    pub kind: AllocatorKind,
    /// Each block is padded by the debug hooks (`PYTHONMALLOC=debug`, `-X dev`, `--with-pydebug`).
    pub padded: bool,
    /// Of each interpreter with an allocator of its own: blocks passed on to malloc, when readable.
    pub raw_blocks: Vec<RawBlocks>,
    /// Blocks that interpreters which have ended did not free (`_PyRuntime.obmalloc.interpreter_leaks`, 3.12 and later).
    pub leaked_blocks: i64,
}

/// A stretch of memory that is scanned at a time; no object of another allocator lies in it.
#[derive(Clone, Debug)]
pub struct Region {
    /// First address.
    pub address: Address,
    /// First address after it.
    pub end: Address,
    /// Index of the interpreter whose allocator owns it.
    pub interpreter: usize,
    source: Source,
}

/// Whose memory a region is.
#[derive(Clone, Debug)]
enum Source {
    Arena(Arena),
    Segment(Segment),
}

/// Equal blocks, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Area<'core> {
    /// Its first byte in the dead process; offsets of blocks count from here.
    pub address: Address,
    /// Its bytes.
    pub bytes: &'core [u8],
    /// Bytes of each block.
    pub block_size: usize,
    /// What its allocator says of the blocks.
    pub contents: Contents,
}

/// What is known of the blocks of an area before looking into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Objects and anything else.
    Any,
    /// No objects.
    Buffers,
    /// Objects that the collector never tracks, and what else C code asked for under the same heading.
    PlainObjects,
    /// Objects that the collector may track, and nothing else.
    GcObjects {
        /// Whether slots for the instance dict and weak references lie in front of each.
        preheader: bool,
    },
}

/// The live blocks of one area.
#[derive(Clone, Copy, Debug)]
pub struct LiveBlocks<'b> {
    /// A bit for each block, set where it is free.
    pub free: &'b [u64],
    /// Offset of the first block.
    pub first: usize,
    /// Blocks that were ever handed out, from the first on.
    pub count: usize,
    /// Bytes from one block to the next.
    pub step: usize,
}

impl LiveBlocks<'_> {
    /// Offsets of live blocks in their area, ascending.
    #[inline]
    pub fn offsets(&self) -> impl Iterator<Item = usize> + '_ {
        let is_live =
            |index: &usize| self.free.get(index / 64).is_none_or(|bits| bits & (1 << (index % 64)) == 0);
        (0..self.count).filter(is_live).map(|index| self.first + index * self.step)
    }

    /// Where the memory of the area lies that is nobody's, and how much: free blocks without their links, and what was never
    /// handed out, of which the allocator reads nothing.
    pub fn unused(&self, area: &Area<'_>) -> impl Iterator<Item = (Address, u64)> + '_ {
        let (address, end) = (area.address, area.bytes.len());
        let is_free =
            |index: &usize| self.free.get(index / 64).is_some_and(|bits| bits & (1 << (index % 64)) != 0);
        let freed = (0..self.count)
            .filter(is_free)
            .map(|index| (self.first + index * self.step + LINK, self.step.saturating_sub(LINK)));
        let carved = self.first + self.count * self.step;
        let rest = (carved, end.saturating_sub(carved));
        freed.chain([rest]).map(move |(offset, len)| (address.wrapping_add(offset as u64), len as u64))
    }

    /// Records that the links of the free blocks of the area at `address` were read; the rest of them is nobody's.
    #[inline]
    pub fn record_links(&self, space: &AddressSpace<'_>, address: Address) {
        if !space.is_recording() {
            return;
        }
        for (entry, &bits) in self.free.iter().enumerate() {
            for bit in (0..u64::BITS as usize).filter(|bit| bits >> bit & 1 == 1) {
                let index = entry * u64::BITS as usize + bit;
                if index < self.count {
                    space.record(address.wrapping_add((self.first + index * self.step) as u64), LINK);
                }
            }
        }
    }
}

/// What the interpreter's caller sees of a block that the debug hooks padded.
#[derive(Clone, Copy, Debug)]
pub struct PaddedBlock<'core> {
    /// The caller's memory, as many bytes as were asked for.
    pub bytes: &'core [u8],
    /// It was asked for as memory for an object (domain `o`), not as a buffer (`m`, `r`).
    pub for_object: bool,
}

impl<'core> PaddedBlock<'core> {
    /// Bytes from the start of the block to the caller's memory.
    pub const OFFSET: usize = PADDING;

    /// Reads the padding of a block; `None` if it has none.
    pub fn read(block: &'core [u8]) -> Option<Self> {
        let (size, rest) = block.split_first_chunk::<8>()?;
        let (&domain, rest) = rest.split_first()?;
        let (guards, _) = rest.split_at_checked(PADDING - 9)?;
        if !matches!(domain, b'o' | b'm' | b'r') || guards.iter().any(|&byte| byte != GUARD) {
            return None;
        }
        let size = usize::try_from(u64::from_be_bytes(*size)).ok()?;
        let end = PADDING.checked_add(size)?;
        let bytes = block.get(PADDING..end)?;
        block.get(end..end.checked_add(TAIL)?)?;
        Some(Self { bytes, for_object: domain == b'o' })
    }
}

/// Figures of the allocators of one region, of an interpreter, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocatorFigures {
    /// pymalloc's.
    pub pymalloc: PymallocFigures,
    /// mimalloc's.
    pub mimalloc: MimallocFigures,
    /// Blocks that interpreters which have ended did not free, as far as the interpreter counts them.
    pub leaked_blocks: i64,
}

impl AllocatorFigures {
    /// `sys.getallocatedblocks()`.
    pub fn allocated_blocks(&self) -> i64 {
        let live = self.pymalloc.allocated_blocks().saturating_add_unsigned(self.mimalloc.counted.blocks);
        live.saturating_add(self.leaked_blocks)
    }

    /// Pools and pages whose free lists contradict their headers.
    pub fn damaged(&self) -> u64 {
        self.pymalloc.damaged_pools + self.mimalloc.damaged_pages
    }

    /// Adds another part's figures.
    pub fn add(&mut self, other: &Self) {
        self.pymalloc.add(&other.pymalloc);
        self.mimalloc.add(&other.mimalloc);
        self.leaked_blocks = self.leaked_blocks.saturating_add(other.leaked_blocks);
    }
}

/// Every region of the process, by address. None of them when all memory came from malloc.
///
/// # Errors
/// pymalloc's arena tables cannot be found or read.
pub fn regions(runtime: &Runtime<'_>) -> Result<Regions, PythonError> {
    let (arenas, mut raw_blocks) = pymalloc::arenas(runtime)?;
    let segments = mimalloc::segments(runtime);
    let kind = match (segments.is_empty(), raw_blocks.is_empty()) {
        (false, _) => AllocatorKind::Mimalloc,
        (true, false) => AllocatorKind::Pymalloc,
        (true, true) => AllocatorKind::Malloc,
    };
    let mut list: Vec<Region> = arenas
        .into_iter()
        .map(|arena| Region {
            address: arena.address,
            end: arena.address.saturating_add(runtime.semantics.pools.arena),
            interpreter: arena.interpreter,
            source: Source::Arena(arena),
        })
        .collect();
    list.extend(segments.into_iter().map(|segment| Region {
        address: segment.address,
        end: segment.end,
        interpreter: segment.interpreter,
        source: Source::Segment(segment),
    }));
    list.sort_by_key(|region| region.address);
    for interpreter in std::iter::once(0).chain(list.iter().map(|region| region.interpreter)) {
        if !raw_blocks.iter().any(|known| known.0 == interpreter) {
            raw_blocks.push((interpreter, None));
        }
    }
    let padded = if list.is_empty() { is_padded_malloc(runtime) } else { is_padded(runtime, &list) };
    let leaks = runtime.layouts.runtime.interpreter_leaks;
    let leaked_blocks =
        leaks.and_then(|field| runtime.space.signed(runtime.address, field).ok()).unwrap_or(0);
    Ok(Regions { list, kind, padded, raw_blocks, leaked_blocks })
}

/// Calls `on_area` for each area of `region` with live blocks, by address, and returns the region's figures.
#[inline]
pub fn for_each_area<'core>(
    runtime: &Runtime<'core>,
    region: &Region,
    on_area: impl FnMut(&Area<'core>, &LiveBlocks<'_>),
) -> AllocatorFigures {
    match &region.source {
        Source::Arena(arena) => {
            let pymalloc = pymalloc::for_each_pool(runtime, arena, on_area);
            AllocatorFigures { pymalloc, ..AllocatorFigures::default() }
        }
        Source::Segment(segment) => {
            let mimalloc = mimalloc::for_each_page(runtime, segment, on_area);
            AllocatorFigures { mimalloc, ..AllocatorFigures::default() }
        }
    }
}

/// Whether most of a sample of blocks have the debug hooks' padding. The blocks themselves are asked, as the functions in the
/// allocator's table can only be told apart by local symbols.
fn is_padded(runtime: &Runtime<'_>, regions: &[Region]) -> bool {
    let (mut seen, mut padded) = (0usize, 0usize);
    for region in regions {
        for_each_area(runtime, region, |area, live| {
            let room = SAMPLE.saturating_sub(seen);
            for offset in live.offsets().take(room) {
                let block = area.bytes.get(offset..offset + area.block_size).unwrap_or_default();
                seen += 1;
                padded += usize::from(PaddedBlock::read(block).is_some());
            }
        });
        if seen >= SAMPLE {
            break;
        }
    }
    padded * 2 > seen
}

/// The same for blocks of malloc: those of tracked objects, which lie behind their GC heads and managed slots.
fn is_padded_malloc(runtime: &Runtime<'_>) -> bool {
    let tracked = runtime.gc_lists.iter().flat_map(|list| &list.objects).take(SAMPLE);
    let (mut seen, mut padded) = (0usize, 0usize);
    for &object in tracked {
        let Ok(type_) = runtime.space.field(object, runtime.layouts.object.type_) else { continue };
        let preheader = runtime.types.of(type_).map_or(0, |info| u64::from(info.preheader));
        let block = object.wrapping_sub(preheader).wrapping_sub(PADDING as u64);
        let bytes = runtime.space.peek_from(block).unwrap_or_default();
        runtime.space.record(block, PADDING);
        seen += 1;
        padded += usize::from(PaddedBlock::read(bytes).is_some());
    }
    padded * 2 > seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(domain: u8, size: u64, room: usize) -> Vec<u8> {
        let mut block = size.to_be_bytes().to_vec();
        block.push(domain);
        block.resize(PADDING, GUARD);
        block.resize(room, 0xcd);
        block
    }

    #[test]
    fn padding_tells_size_and_domain() {
        let object = block(b'o', 24, 64);
        let read = PaddedBlock::read(&object).map(|read| (read.bytes.len(), read.for_object));
        assert_eq!(read, Some((24, true)));
        let buffer = block(b'm', 40, 64);
        assert_eq!(PaddedBlock::read(&buffer).map(|read| read.for_object), Some(false));
    }

    #[test]
    fn what_is_not_padded_is_none() {
        let too_large = block(b'o', 41, 64);
        assert!(PaddedBlock::read(&too_large).is_none());
        assert!(PaddedBlock::read(&block(b'o', u64::MAX, 64)).is_none());
        assert!(PaddedBlock::read(&block(b'x', 8, 64)).is_none());
        assert!(PaddedBlock::read(&[0; 64]).is_none());
        assert!(PaddedBlock::read(&[0; 15]).is_none());
    }

    #[test]
    fn free_blocks_are_left_out() {
        let free = [0b101, 1];
        let live = LiveBlocks { free: &free, first: 48, count: 66, step: 32 };
        let offsets: Vec<usize> = live.offsets().collect();
        assert_eq!(offsets.len(), 63);
        assert_eq!(offsets.first(), Some(&80));
        assert_eq!(offsets.last(), Some(&(48 + 65 * 32)));
    }
}
