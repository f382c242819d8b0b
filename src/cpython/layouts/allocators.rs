//! The part of the list that describes the allocators: pymalloc's arenas and pools, mimalloc's segments, pages and heaps.
//!
//! Knows names, as the rest of the list does; refuses to know what the fields mean.

use crate::layout::{Field, LayoutError, Resolver};

layouts! {
    Allocators {}
    /// Include/internal/pycore_obmalloc.h: the allocator's state of one interpreter, 3.12 and later.
    obmalloc: Obmalloc = "_obmalloc_state" {
        arenas: optional("mgmt.arenas"),
        maxarenas: optional("mgmt.maxarenas"),
        narenas: optional("mgmt.narenas_currently_allocated"),
        raw_allocated_blocks: optional("mgmt.raw_allocated_blocks"),
        used_pools: optional("pools.used"),
    }
    /// Objects/obmalloc.c, Include/internal/pycore_obmalloc.h: a leaf of the tree of arenas, 3.10 and later.
    arena_map: ArenaMap = "arena_map_bot_t|arena_map_bot" {}
    /// Objects/obmalloc.c, Include/internal/pycore_obmalloc.h.
    arena: Arena = "arena_object" {
        address: required("address"),
        pool_address: required("pool_address"),
        nfreepools: required("nfreepools"),
        ntotalpools: required("ntotalpools"),
    }
    /// Objects/obmalloc.c, Include/internal/pycore_obmalloc.h.
    pool: Pool = "pool_header" {
        ref_count: required("ref.count"),
        freeblock: required("freeblock"),
        arenaindex: required("arenaindex"),
        szidx: required("szidx"),
        nextoffset: required("nextoffset"),
        maxnextoffset: required("maxnextoffset"),
    }
    /// Include/internal/pycore_tstate.h: what a thread state is allocated as; with heaps of mimalloc in free-threaded builds.
    thread_impl: ThreadStateImpl = "_PyThreadStateImpl" {
        heaps: optional("mimalloc.heaps"),
        asyncio_running_loop: optional("asyncio_running_loop"),
        asyncio_running_task: optional("asyncio_running_task"),
        lazy_imports: optional("lazy_imports"),
    }
    /// Include/internal/mimalloc/mimalloc/types.h: a page of equal blocks. `xblock_size`, `tag` in 2.1.2.
    mi_page: MiPage = "mi_page_s|mi_page_t" {
        slice_count: optional("slice_count"),
        tag: optional("heap_tag" | "tag"),
        capacity: optional("capacity"),
        reserved: optional("reserved"),
        free: optional("free"),
        local_free: optional("local_free"),
        used: optional("used"),
        block_size: optional("block_size" | "xblock_size"),
        page_start: optional("page_start"),
        keys: optional("keys"),
        xthread_free: optional("xthread_free"),
        xheap: optional("xheap"),
    }
    /// Include/internal/mimalloc/mimalloc/types.h: memory that pages are cut from.
    mi_segment: MiSegment = "mi_segment_s|mi_segment_t" {
        cookie: optional("cookie"),
        segment_slices: optional("segment_slices"),
        segment_info_slices: optional("segment_info_slices"),
        slice_entries: optional("slice_entries"),
        thread_id: optional("thread_id"),
        subproc: optional("subproc"),
        abandoned_next: optional("abandoned_next"),
        slices: optional("slices"),
    }
    /// Include/internal/mimalloc/mimalloc/types.h: the pages of one thread and purpose.
    mi_heap: MiHeap = "mi_heap_s|mi_heap_t" {
        thread_delayed_free: optional("thread_delayed_free"),
        cookie: optional("cookie"),
        keys: optional("keys"),
    }
}
