//! pymalloc: arenas, pools and blocks, live ones told from free ones.
//!
//! Knows Objects/obmalloc.c's arenas and pool headers; refuses to know what a block holds.

use super::blocks::{Area, Contents, LiveBlocks};
use super::words::{ReadField, at, half, word};
use super::{PythonError, Runtime, statics};
use crate::corefile::Address;

/// `szidx` of a pool that was never used (Objects/obmalloc.c, DUMMY_SIZE_IDX).
const DUMMY_SIZE_INDEX: u32 = 0xffff;
/// Number of size classes: blocks of 16 to 512 bytes.
const SIZE_CLASSES: u32 = 32;
/// Words of a bitmap with one bit for each block of a pool.
const POOL_BITMAP_WORDS: usize = 16;

/// One arena with memory.
#[derive(Clone, Copy, Debug)]
pub struct Arena {
    /// Start of its mapping.
    pub address: Address,
    /// First pool, aligned.
    pub first_pool: Address,
    /// First pool that was never handed out.
    pub end_of_pools: Address,
    /// Whole pools it holds.
    pub total_pools: u32,
    /// Pools in it that are free.
    pub free_pools: u32,
    /// Its index among its allocator's arenas, which its pools repeat.
    pub index: u32,
    /// Index of the interpreter whose allocator owns it; the main one's before 3.12, when all shared one allocator.
    pub interpreter: usize,
}

/// What a pool says of itself.
#[derive(Clone, Copy, Debug)]
struct Pool<'a> {
    address: Address,
    bytes: &'a [u8],
    block_size: u32,
    /// By the header's own count.
    live_count: u32,
    first_free: u64,
    next_offset: u32,
}

/// Sums over pools, as `sys._debugmallocstats()` prints them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PymallocFigures {
    /// Arenas with memory.
    pub arenas: u64,
    /// By size class (index 0: 16 bytes): pools in use, live blocks, free blocks.
    pub classes: Vec<ClassFigures>,
    /// Pools that are free.
    pub free_pools: u64,
    /// Blocks outside pymalloc that it counts (`raw_allocated_blocks`), when readable.
    pub raw_blocks: Option<i64>,
    /// Bytes lost to the alignment of pools in arenas.
    pub arena_alignment_bytes: u64,
    /// Pools whose free list contradicts their header: torn or overwritten.
    pub damaged_pools: u64,
}

/// One size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassFigures {
    /// Bytes of a block.
    pub block_size: u32,
    /// Pools in use.
    pub pools: u64,
    /// Blocks in use.
    pub live_blocks: u64,
    /// Blocks available in pools in use.
    pub free_blocks: u64,
}

impl PymallocFigures {
    /// `sys.getallocatedblocks()`: live blocks of all pools, and those passed on to malloc.
    pub fn allocated_blocks(&self) -> i64 {
        self.live_blocks() as i64 + self.raw_blocks.unwrap_or(0)
    }

    /// Live blocks of all pools.
    pub fn live_blocks(&self) -> u64 {
        self.classes.iter().map(|class| class.live_blocks).sum()
    }

    /// Bytes in live blocks.
    pub fn live_bytes(&self) -> u64 {
        self.classes.iter().map(|class| class.live_blocks * u64::from(class.block_size)).sum()
    }

    /// Adds another part's figures.
    pub fn add(&mut self, other: &Self) {
        self.arenas += other.arenas;
        self.free_pools += other.free_pools;
        self.arena_alignment_bytes += other.arena_alignment_bytes;
        self.damaged_pools += other.damaged_pools;
        self.raw_blocks = match (self.raw_blocks, other.raw_blocks) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        self.classes.resize(SIZE_CLASSES as usize, ClassFigures::default());
        for (index, (mine, theirs)) in self.classes.iter_mut().zip(&other.classes).enumerate() {
            mine.block_size = (index as u32 + 1) * 16;
            mine.pools += theirs.pools;
            mine.live_blocks += theirs.live_blocks;
            mine.free_blocks += theirs.free_blocks;
        }
    }
}

/// Of one allocator: the index of the interpreter that owns it, and the blocks it passed on to malloc, when readable.
pub type RawBlocks = (usize, Option<i64>);

/// Where one allocator keeps its arenas.
#[derive(Clone, Copy, Debug)]
struct Allocator {
    arenas: Address,
    max_arenas: u32,
    raw_blocks: Option<i64>,
    interpreter: usize,
}

/// Every arena of the process, by address; and of each allocator, the interpreter that owns it and the blocks it passed
/// on to malloc.
///
/// # Errors
/// The arena tables cannot be found or read.
pub fn arenas(runtime: &Runtime<'_>) -> Result<(Vec<Arena>, Vec<RawBlocks>), PythonError> {
    let mut found = Vec::new();
    let mut raw_blocks = Vec::new();
    for allocator in allocators(runtime)? {
        raw_blocks.push((allocator.interpreter, allocator.raw_blocks));
        found.extend(arenas_in(runtime, allocator.arenas, allocator.max_arenas, allocator.interpreter));
    }
    found.sort_by_key(|arena| arena.address);
    found.dedup_by_key(|arena| arena.address);
    Ok((found, raw_blocks))
}

/// The arenas with memory among the `max_arenas` described at `table`.
fn arenas_in(runtime: &Runtime<'_>, table: Address, max_arenas: u32, interpreter: usize) -> Vec<Arena> {
    let (space, l) = (&runtime.space, &runtime.layouts.allocators.arena);
    let pool_size = runtime.semantics.pools.pool;
    let mut found = Vec::new();
    for index in 0..max_arenas {
        let entry = table.wrapping_add(u64::from(index) * u64::from(runtime.layouts.allocators.arena.size));
        let Ok(address) = space.field(entry, l.address) else { break };
        let Some(first_pool) = address.checked_next_multiple_of(pool_size) else { continue };
        if address == 0 || !space.is_mapped(address) {
            continue;
        }
        let end = space.field(entry, l.pool_address).unwrap_or(0);
        let limit = address.saturating_add(runtime.semantics.pools.arena).max(first_pool);
        found.push(Arena {
            address,
            first_pool,
            end_of_pools: end.clamp(first_pool, limit),
            total_pools: space.small(entry, l.ntotalpools).unwrap_or(0) as u32,
            free_pools: space.small(entry, l.nfreepools).unwrap_or(0) as u32,
            index,
            interpreter,
        });
    }
    found
}

/// The allocators: of each interpreter since 3.12 (some share the main one's), static variables before.
fn allocators(runtime: &Runtime<'_>) -> Result<Vec<Allocator>, PythonError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let read_table = |arenas_at: Address, count_at: Address| {
        Some((space.read_u64(arenas_at).ok()?, space.read_u32(count_at).ok()?.min(1 << 24)))
    };
    let mut found: Vec<Allocator> = Vec::new();
    if let (Some(member), Some(arenas), Some(maximum)) =
        (l.interpreter.obmalloc, l.allocators.obmalloc.arenas, l.allocators.obmalloc.maxarenas)
    {
        for (index, interpreter) in runtime.interpreters.iter().enumerate() {
            let mut state = interpreter.address + u64::from(member.offset);
            if member.size == 8 {
                state = space.read_u64(state).map_err(PythonError::reading("an allocator's state"))?;
            }
            let Some((table, max_arenas)) =
                read_table(state + u64::from(arenas.offset), state + u64::from(maximum.offset))
            else {
                // It has an allocator, of which nothing is known.
                found.push(Allocator { arenas: state, max_arenas: 0, raw_blocks: None, interpreter: index });
                continue;
            };
            if table == 0 || found.iter().any(|known| known.arenas == table) {
                continue;
            }
            let raw_blocks =
                l.allocators.obmalloc.raw_allocated_blocks.and_then(|field| space.signed(state, field).ok());
            found.push(Allocator { arenas: table, max_arenas, raw_blocks, interpreter: index });
        }
        return Ok(found);
    }
    let named = match (runtime.symbol("arenas"), runtime.symbol("maxarenas")) {
        (Some(arenas), Some(maximum)) => read_table(arenas, maximum),
        _ => statics::arena_table(runtime),
    };
    if let Some((table, max_arenas)) = named.filter(|table| table.0 != 0) {
        let counter = |name| runtime.symbol(name).and_then(|at| space.read_i64(at).ok());
        // Objects/obmalloc.c: up to 3.8 one counter counts the blocks in pools too.
        let raw_blocks = counter("raw_allocated_blocks").or_else(|| {
            let all = counter("_Py_AllocatedBlocks")?;
            Some(all.wrapping_sub(blocks_in_pools(runtime, table, max_arenas) as i64))
        });
        found.push(Allocator { arenas: table, max_arenas, raw_blocks, interpreter: 0 });
    }
    Ok(found)
}

/// Live blocks of all pools of the arenas described at `table`, by the pools' headers.
fn blocks_in_pools(runtime: &Runtime<'_>, table: Address, max_arenas: u32) -> u64 {
    let (space, l) = (&runtime.space, &runtime.layouts.allocators.pool);
    let mut live = 0u64;
    for arena in arenas_in(runtime, table, max_arenas, 0) {
        for pool in (arena.first_pool..arena.end_of_pools).step_by(runtime.semantics.pools.pool as usize) {
            live += space.small(pool, l.ref_count).unwrap_or(0);
        }
    }
    live
}

/// Calls `on_area` for each pool of `arena` that is in use, and returns the arena's figures.
pub fn for_each_pool<'core>(
    runtime: &Runtime<'core>,
    arena: &Arena,
    mut on_area: impl FnMut(&Area<'core>, &LiveBlocks<'_>),
) -> PymallocFigures {
    let geometry = runtime.semantics.pools;
    let mut figures = PymallocFigures {
        arenas: 1,
        classes: vec![ClassFigures::default(); SIZE_CLASSES as usize],
        free_pools: u64::from(arena.free_pools),
        ..PymallocFigures::default()
    };
    if arena.first_pool != arena.address {
        figures.arena_alignment_bytes = geometry.pool;
    }
    let mut address = arena.first_pool;
    while address < arena.end_of_pools {
        runtime.space.record(address, runtime.layouts.allocators.pool.size as usize);
        if let Ok(bytes) = runtime.space.peek(address, geometry.pool as usize)
            && let Some(pool) = Pool::read(runtime, address, bytes, arena.index)
        {
            let free = pool.free_blocks(runtime.layouts.allocators.pool.size);
            if free.damaged {
                figures.damaged_pools += 1;
            }
            let class = pool.block_size / 16 - 1;
            if let Some(entry) = figures.classes.get_mut(class as usize) {
                let capacity =
                    (geometry.pool as u32 - runtime.layouts.allocators.pool.size) / pool.block_size;
                entry.block_size = pool.block_size;
                entry.pools += 1;
                entry.live_blocks += u64::from(pool.live_count);
                entry.free_blocks += u64::from(capacity.saturating_sub(pool.live_count));
            }
            let block_size = pool.block_size as usize;
            let live = LiveBlocks {
                free: &free.bits,
                first: runtime.layouts.allocators.pool.size as usize,
                count: free.carved as usize,
                step: block_size,
            };
            live.record_links(&runtime.space, address);
            on_area(&Area { address, bytes, block_size, contents: Contents::Any }, &live);
        }
        address += geometry.pool;
    }
    figures
}

impl<'core> Pool<'core> {
    /// The pool with these bytes, or `None` when it is free or was never used.
    fn read(runtime: &Runtime<'_>, address: Address, bytes: &'core [u8], arena_index: u32) -> Option<Self> {
        let l = &runtime.layouts.allocators.pool;
        let live_count = half(bytes, at(l.ref_count));
        let size_index = half(bytes, at(l.szidx));
        let next_offset = half(bytes, at(l.nextoffset));
        if live_count == 0 || size_index >= SIZE_CLASSES || size_index == DUMMY_SIZE_INDEX {
            return None;
        }
        if half(bytes, at(l.arenaindex)) != arena_index {
            return None;
        }
        Some(Self {
            address,
            bytes,
            block_size: (size_index + 1) * 16,
            live_count,
            first_free: word(bytes, at(l.freeblock)),
            next_offset: next_offset.min(bytes.len() as u32),
        })
    }

    /// Which of the pool's blocks are free, of those that were ever handed out.
    fn free_blocks(&self, header: u32) -> FreeBlocks {
        let mut bits = [0u64; POOL_BITMAP_WORDS];
        let mut free_count = 0u32;
        let mut damaged = false;
        let mut next = self.first_free;
        let step = u64::from(self.block_size);
        let carved = self.next_offset.saturating_sub(header) / self.block_size;
        while next != 0 {
            let offset = next.wrapping_sub(self.address);
            let slot = offset.wrapping_sub(u64::from(header));
            if offset >= u64::from(self.next_offset) || slot % step != 0 || free_count >= carved {
                damaged = true;
                break;
            }
            let index = (slot / step) as usize;
            if let Some(word) = bits.get_mut(index / 64) {
                *word |= 1 << (index % 64);
            }
            free_count += 1;
            next = word(self.bytes, offset as usize);
        }
        damaged |= carved.saturating_sub(free_count) != self.live_count;
        FreeBlocks { bits, carved, damaged }
    }
}

/// The free blocks of one pool.
struct FreeBlocks {
    /// A bit for each block.
    bits: [u64; POOL_BITMAP_WORDS],
    /// Blocks ever handed out.
    carved: u32,
    /// Free list and header disagree: what is live is then a guess.
    damaged: bool,
}
