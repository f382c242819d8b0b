//! mimalloc, as bundled with CPython: segments, pages and blocks, live ones told from free ones.
//!
//! Knows 2.1.2 and 2.5.2 by the names of their fields (Objects/mimalloc, 3.13 to 3.15). Segments are found by scanning, so
//! that those of dead threads and of heaps that no thread state names are among them. Refuses to know what a block holds.

use super::blocks::{Area, Contents, LiveBlocks};
use super::mimalloc_page::{Chain, PageLayout, PageState, block_chain};
use super::words::{ReadField, at, half, word};
use super::{Interpreter, Runtime};
use crate::corefile::{Address, AddressSpace};
use crate::layout::Field;
use rustc_hash::{FxHashMap, FxHashSet};

/// Size and alignment of a segment (`MI_SEGMENT_SIZE`, 64-bit).
const SEGMENT: u64 = 32 << 20;
/// What segments are cut into (`MI_SEGMENT_SLICE_SIZE`).
pub(super) const SLICE: u64 = 64 << 10;
/// Slices of a normal segment; a huge one describes no more of them either.
const MAX_SLICES: u64 = SEGMENT / SLICE;
/// `Py_RTFLAGS_USE_MAIN_OBMALLOC` (Include/internal/pycore_interp.h): the interpreter has no allocator of its own, as far as
/// `sys.getallocatedblocks()` is concerned (Objects/obmalloc.c, `get_num_global_allocated_blocks`).
const USE_MAIN_OBMALLOC: u64 = 1 << 5;
/// Bits of a tagged pointer to an abandoned segment that are no part of the address (`MI_TAGGED_MASK`).
const ABANDONED_TAG: u64 = SEGMENT - 1;

/// One segment with pages in use.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its first byte.
    pub address: Address,
    /// First byte after it.
    pub end: Address,
    /// Index of the interpreter whose threads own it.
    pub interpreter: usize,
    /// `sys.getallocatedblocks()` counts its blocks.
    counted: bool,
    /// The thread that owned it has ended.
    abandoned: bool,
    first_slice: u64,
    end_slice: u64,
    /// Blocks on the list of blocks that other threads freed and their own has not noticed; ascending.
    delayed: Vec<Address>,
}

/// Sums over segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MimallocFigures {
    /// Segments with pages in use.
    pub segments: u64,
    /// Of them, what threads that have ended left behind.
    pub abandoned_segments: u64,
    /// Bytes of address space of all segments.
    pub segment_bytes: u64,
    /// Pages in use.
    pub pages: u64,
    /// Bytes of the blocks of pages in use, live or free.
    pub page_bytes: u64,
    /// Live blocks.
    pub live_blocks: u64,
    /// Bytes in live blocks.
    pub live_bytes: u64,
    /// What the interpreter counts: all heaps of a free-threaded build, the main thread's of another.
    pub counted: HeapFigures,
    /// Pages whose free lists contradict their header, or that cannot be read.
    pub damaged_pages: u64,
}

/// Sums over heaps of mimalloc, as `sys._debugmallocstats()` prints them for a heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapFigures {
    /// Live blocks: `sys.getallocatedblocks()`.
    pub blocks: u64,
    /// Bytes in them, as large as the allocator made them.
    pub bytes: u64,
    /// Bytes that pages have room for.
    pub reserved_bytes: u64,
    /// Bytes of blocks that were ever handed out.
    pub committed_bytes: u64,
}

impl MimallocFigures {
    /// Bytes of free blocks in pages in use.
    pub fn free_bytes(&self) -> u64 {
        self.page_bytes.saturating_sub(self.live_bytes)
    }

    /// Adds another part's figures.
    pub fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.abandoned_segments += other.abandoned_segments;
        self.segment_bytes += other.segment_bytes;
        self.pages += other.pages;
        self.page_bytes += other.page_bytes;
        self.live_blocks += other.live_blocks;
        self.live_bytes += other.live_bytes;
        self.counted.blocks += other.counted.blocks;
        self.counted.bytes += other.counted.bytes;
        self.counted.reserved_bytes += other.counted.reserved_bytes;
        self.counted.committed_bytes += other.counted.committed_bytes;
        self.damaged_pages += other.damaged_pages;
    }
}

/// Fields of a segment and of heaps, all there.
#[derive(Clone, Copy)]
struct SegmentLayout {
    slices: Field,
    cookie: Field,
    segment_slices: Field,
    info_slices: Field,
    slice_entries: Field,
    page: PageLayout,
}

impl SegmentLayout {
    fn new(runtime: &Runtime<'_>) -> Option<Self> {
        let l = &runtime.layouts.allocators.mi_segment;
        Some(Self {
            slices: l.slices?,
            cookie: l.cookie?,
            segment_slices: l.segment_slices?,
            info_slices: l.segment_info_slices?,
            slice_entries: l.slice_entries?,
            page: PageLayout::new(runtime)?,
        })
    }

    /// Bytes of a segment's header, with the descriptions of all slices.
    fn header_bytes(&self) -> usize {
        at(self.slices) + MAX_SLICES as usize * self.page.size
    }
}

/// A segment's header.
struct Header<'core> {
    address: Address,
    bytes: &'core [u8],
    /// What the cookie says of the process: the same number in all segments of one mimalloc.
    key: u64,
    segment_slices: u64,
    first_slice: u64,
    end_slice: u64,
}

/// Every segment of the process with pages in use, by address; none in a process without mimalloc.
pub fn segments(runtime: &Runtime<'_>) -> Vec<Segment> {
    let Some(layout) = SegmentLayout::new(runtime) else { return Vec::new() };
    let mut headers = candidates(runtime, &layout);
    let Some(key) = process_key(runtime, &headers) else { return Vec::new() };
    headers.retain(|header| header.key == key);
    for header in &headers {
        runtime.space.record(header.address, layout.header_bytes());
    }
    let owners = Owners::new(runtime);
    let mut heaps = FxHashSet::default();
    let mut found: Vec<Segment> = Vec::new();
    for header in headers {
        // A huge block may hold anything, even an image of a segment.
        if found.last().is_some_and(|last| last.end > header.address) {
            continue;
        }
        found.extend(owners.segment(runtime, &layout, &header, &mut heaps));
    }
    for block in delayed_blocks(runtime, heaps) {
        let after = found.partition_point(|segment| segment.address <= block);
        let segment = after.checked_sub(1).and_then(|index| found.get_mut(index));
        if let Some(segment) = segment.filter(|segment| block < segment.end) {
            segment.delayed.push(block);
        }
    }
    found.iter_mut().for_each(|segment| segment.delayed.sort_unstable());
    found
}

/// What reads as the header of a segment, at every address where one may be.
fn candidates<'core>(runtime: &Runtime<'core>, layout: &SegmentLayout) -> Vec<Header<'core>> {
    let mut found = Vec::new();
    for piece in runtime.space.pieces().iter().filter(|piece| piece.writable && piece.bytes.is_some()) {
        let mut next = piece.start.checked_next_multiple_of(SEGMENT);
        while let Some(address) = next.filter(|&address| address < piece.end()) {
            // It may be anything's memory: that of segments is recorded when they turn out to be the interpreter's.
            if let Ok(bytes) = runtime.space.peek(address, layout.header_bytes()) {
                found.extend(Header::read(&runtime.space, layout, address, bytes));
            }
            next = address.checked_add(SEGMENT);
        }
    }
    found
}

impl<'core> Header<'core> {
    fn read(
        space: &AddressSpace<'_>,
        layout: &SegmentLayout,
        address: Address,
        bytes: &'core [u8],
    ) -> Option<Self> {
        let segment_slices = word(bytes, at(layout.segment_slices));
        let first_slice = word(bytes, at(layout.info_slices));
        let end_slice = word(bytes, at(layout.slice_entries));
        let bytes_of_it = segment_slices.checked_mul(SLICE)?;
        let sound = end_slice == segment_slices.min(MAX_SLICES)
            && (1..=end_slice).contains(&first_slice)
            && u64::from(half(bytes, at(layout.slices) + at(layout.page.slice_count))) == first_slice
            && space.is_mapped(address.checked_add(bytes_of_it)? - 1);
        let key = word(bytes, at(layout.cookie)) ^ address;
        sound.then_some(Self { address, bytes, key, segment_slices, first_slice, end_slice })
    }

    /// The pages in use, each with the number of its first slice.
    fn pages(&self, layout: &SegmentLayout) -> impl Iterator<Item = (u64, &'core [u8])> + use<'core> {
        slices(self.bytes, *layout, self.first_slice, self.end_slice)
    }
}

/// The descriptions of pages in use among the slices of a segment's header, each with its slice's number.
fn slices(header: &[u8], layout: SegmentLayout, first: u64, end: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let mut next = first;
    std::iter::from_fn(move || {
        while next < end {
            let slice = next;
            let start = at(layout.slices) + slice as usize * layout.page.size;
            let page = header.get(start..start + layout.page.size)?;
            let count = half(page, at(layout.page.slice_count));
            if count == 0 {
                return None;
            }
            next += u64::from(count);
            if layout.page.is_used(page) {
                return Some((slice, page));
            }
        }
        None
    })
}

/// The number that tells the segments of the interpreter's mimalloc from those of another in the process: of the main
/// heap's cookie if its symbol is there, else what most segments have (Objects/mimalloc, `_mi_ptr_cookie`).
fn process_key(runtime: &Runtime<'_>, headers: &[Header<'_>]) -> Option<u64> {
    let of_main_heap = || {
        let heap = runtime.symbol("_mi_heap_main")?;
        runtime
            .space
            .field(heap, runtime.layouts.allocators.mi_heap.cookie?)
            .ok()
            .filter(|&cookie| cookie != 0)
    };
    let known = of_main_heap().filter(|&key| headers.iter().any(|header| header.key == key));
    known.or_else(|| {
        let mut counts: FxHashMap<u64, usize> = FxHashMap::default();
        headers.iter().for_each(|header| *counts.entry(header.key).or_default() += 1);
        counts.into_iter().max_by_key(|&(key, count)| (count, key)).map(|(key, _)| key)
    })
}

/// Whose segments are whose.
struct Owners {
    /// Of each thread state of a free-threaded build: where its heaps lie, and its interpreter.
    heaps: Vec<(Address, Address, usize)>,
    /// Segments of ended threads by the interpreter whose pool they are in.
    abandoned: FxHashMap<Address, usize>,
    /// Sub-processes of mimalloc by interpreter.
    subprocesses: Vec<(Address, usize)>,
    /// Of each interpreter, whether it has an allocator of its own: `sys.getallocatedblocks()` asks no others.
    own_allocator: Vec<bool>,
    /// The id of the main thread, whose blocks a build with a GIL counts.
    main_thread: u64,
}

impl Owners {
    fn new(runtime: &Runtime<'_>) -> Self {
        let l = &runtime.layouts;
        let mut owners = Self {
            heaps: Vec::new(),
            abandoned: FxHashMap::default(),
            subprocesses: Vec::new(),
            own_allocator: Vec::new(),
            main_thread: 0,
        };
        for (index, interpreter) in runtime.interpreters.iter().enumerate() {
            let features =
                l.interpreter.feature_flags.map(|field| runtime.space.field(interpreter.address, field));
            let shared = matches!(features, Some(Ok(features)) if features & USE_MAIN_OBMALLOC != 0);
            owners.own_allocator.push(interpreter.id == 0 || !shared);
            if let Some(heaps) = l.allocators.thread_impl.heaps {
                for thread in &interpreter.threads {
                    let start = thread.address.wrapping_add(u64::from(heaps.offset));
                    owners.heaps.push((start, start.saturating_add(u64::from(heaps.size)), index));
                }
            }
            if let Some(field) = l.interpreter.mimalloc_subproc
                && let Ok(subprocess) = runtime.space.field(interpreter.address, field)
            {
                owners.subprocesses.push((subprocess, index));
            }
            owners.add_abandoned(runtime, interpreter, index);
        }
        // Threads are listed newest first.
        let main = runtime.interpreters.first().and_then(|interpreter| interpreter.threads.last());
        owners.main_thread = main.map_or(0, |thread| thread.thread_id);
        owners
    }

    /// Walks both lists of segments that ended threads left to an interpreter (`mi_abandoned_pool_t`).
    fn add_abandoned(&mut self, runtime: &Runtime<'_>, interpreter: &Interpreter, index: usize) {
        let l = &runtime.layouts;
        let Some(next) = l.allocators.mi_segment.abandoned_next else { return };
        for head in [l.interpreter.mimalloc_abandoned, l.interpreter.mimalloc_visited].into_iter().flatten() {
            let mut current = runtime.space.field(interpreter.address, head).unwrap_or(0);
            while current & !ABANDONED_TAG != 0 {
                let segment = current & !ABANDONED_TAG;
                if self.abandoned.insert(segment, index).is_some() {
                    break;
                }
                current = runtime.space.field(segment, next).unwrap_or(0);
            }
        }
    }

    /// The segment with this header, if pages of it are in use. Adds the heaps that its pages belong to.
    fn segment(
        &self,
        runtime: &Runtime<'_>,
        layout: &SegmentLayout,
        header: &Header<'_>,
        heaps: &mut FxHashSet<Address>,
    ) -> Option<Segment> {
        let mut owner = 0;
        let mut pages = 0;
        for (_, page) in header.pages(layout) {
            pages += 1;
            let heap = word(page, at(layout.page.heap));
            if heap != 0 {
                owner = heap;
                heaps.insert(heap);
            }
        }
        if pages == 0 {
            return None;
        }
        let l = &runtime.layouts.allocators.mi_segment;
        let thread = l.thread_id.map_or(0, |field| word(header.bytes, at(field)));
        let subprocess = l.subproc.map_or(0, |field| word(header.bytes, at(field)));
        let of_thread =
            self.heaps.iter().find(|heaps| (heaps.0..heaps.1).contains(&owner)).map(|heaps| heaps.2);
        let of_pool = || self.abandoned.get(&header.address).copied();
        let of_subprocess = || {
            let found = self.subprocesses.iter().find(|known| known.0 == subprocess);
            found.filter(|_| thread == 0).map(|known| known.1)
        };
        let of_interpreter = of_thread.or_else(of_pool).or_else(of_subprocess);
        // Objects/obmalloc.c, get_mimalloc_allocated_blocks: free-threaded builds count the heaps of thread states and what
        // ended threads left to the interpreter; the others the default heap of the thread that asks.
        let counted = match runtime.layouts.allocators.thread_impl.heaps {
            Some(_) => of_interpreter.is_some_and(|index| self.own_allocator.get(index) == Some(&true)),
            None => thread == self.main_thread,
        };
        Some(Segment {
            address: header.address,
            end: header.address + header.segment_slices * SLICE,
            interpreter: of_interpreter.unwrap_or(0),
            counted,
            abandoned: thread == 0,
            first_slice: header.first_slice,
            end_slice: header.end_slice,
            delayed: Vec::new(),
        })
    }
}

/// Blocks that other threads freed, on the lists of these heaps.
fn delayed_blocks(runtime: &Runtime<'_>, heaps: FxHashSet<Address>) -> Vec<Address> {
    let l = &runtime.layouts.allocators.mi_heap;
    let Some(head) = l.thread_delayed_free else { return Vec::new() };
    let mut found = Vec::new();
    for heap in heaps {
        let Ok(first) = runtime.space.field(heap, head) else { continue };
        let keys = l.keys.and_then(|keys| {
            let second = Field { offset: keys.offset + 8, ..keys };
            Some((runtime.space.field(heap, keys).ok()?, runtime.space.field(heap, second).ok()?))
        });
        // Heaps have keys in every build, pages only where links are encoded.
        let chain =
            Chain { null: heap, keys: keys.filter(|_| runtime.layouts.allocators.mi_page.keys.is_some()) };
        let bound = runtime.mapped_bytes / 8;
        found.extend(
            block_chain(chain, first, |block| runtime.space.read_u64(block).ok()).take(bound as usize),
        );
    }
    found
}

/// Calls `on_area` for each page of `segment` with live blocks, by address, and returns the segment's figures.
pub fn for_each_page<'core>(
    runtime: &Runtime<'core>,
    segment: &Segment,
    mut on_area: impl FnMut(&Area<'core>, &LiveBlocks<'_>),
) -> MimallocFigures {
    let mut figures = MimallocFigures {
        segments: 1,
        abandoned_segments: u64::from(segment.abandoned),
        segment_bytes: segment.end - segment.address,
        ..MimallocFigures::default()
    };
    let Some(layout) = SegmentLayout::new(runtime) else { return figures };
    let Ok(header) = runtime.space.slice(segment.address, layout.header_bytes()) else { return figures };
    let tagged = runtime.layouts.allocators.thread_impl.heaps.is_some();
    let mut free = Vec::new();
    for (slice, bytes) in slices(header, layout, segment.first_slice, segment.end_slice) {
        let base = segment.address + slice * SLICE;
        let description = segment.address + at(layout.slices) as u64 + slice * layout.page.size as u64;
        figures.pages += 1;
        let page = PageState::read(&layout.page, bytes, description, base);
        let memory = page.as_ref().and_then(|page| runtime.space.peek(page.start, page.block_bytes()).ok());
        let (Some(page), Some(memory)) = (page, memory) else {
            figures.damaged_pages += 1;
            continue;
        };
        let marked = page.mark_free(memory, &segment.delayed, &mut free);
        let live = u64::from(page.capacity) - marked.free;
        figures.damaged_pages += u64::from(marked.damaged);
        figures.page_bytes += page.block_bytes() as u64;
        figures.live_blocks += live;
        figures.live_bytes += live * page.block_size as u64;
        if segment.counted {
            figures.counted.blocks += live;
            figures.counted.bytes += live * page.block_size as u64;
            figures.counted.reserved_bytes += page.reserved * page.block_size as u64;
            figures.counted.committed_bytes += page.block_bytes() as u64;
        }
        let blocks =
            LiveBlocks { free: &free, first: 0, count: page.capacity as usize, step: page.block_size };
        blocks.record_links(&runtime.space, page.start);
        if live == 0 {
            continue;
        }
        let contents = if tagged { contents_of(page.tag) } else { Contents::Any };
        let area = Area { address: page.start, bytes: memory, block_size: page.block_size, contents };
        on_area(&area, &blocks);
    }
    figures
}

/// What a heap of a free-threaded build is for (Include/internal/pycore_mimalloc.h, `mi_heap_tag`, 3.13 to 3.15).
fn contents_of(tag: u64) -> Contents {
    match tag {
        0 => Contents::Buffers,
        2 => Contents::GcObjects { preheader: false },
        3 => Contents::GcObjects { preheader: true },
        _ => Contents::PlainObjects,
    }
}
