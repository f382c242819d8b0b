//! The program's allocator: the system's, with huge pages for large blocks.
//!
//! The columns of tens of millions of objects are gigabytes, and the kernel takes longer to give them page by page than the
//! analysis takes to fill them. Where it gives huge pages to those who ask (`madvise`, what most distributions set), asking
//! halves that (docs/benchmarks.md). Knows sizes of blocks; refuses to know what is in them, and to allocate anything
//! itself. The library leaves its users' allocator alone: only the program has this one.
#![allow(unsafe_code)]

use nix::sys::mman::{MmapAdvise, madvise};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// Blocks of fewer bytes are left alone: up to two huge pages of 2 MiB may be had in vain at the ends of one.
const LARGE: usize = 16 << 20;
/// The kernel wants whole pages; all its pages are a divisor or a multiple of this many bytes, and it refuses the latter.
const PAGE: usize = 4096;

/// The system's allocator, asking for huge pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct HugePages;

/// Asks for huge pages.
#[inline]
fn advise(block: *mut u8, size: usize) {
    if size >= LARGE && !block.is_null() {
        advise_large(block, size);
    }
}

/// Asks for all pages that have a byte of the block: were its first page left out, glibc's `realloc` could not let the kernel
/// move the mapping, which then were two, and would copy it.
#[cold]
fn advise_large(block: *mut u8, size: usize) {
    let before = block.addr() % PAGE;
    let Some(pages) = NonNull::new(block.wrapping_sub(before)) else { return };
    // SAFETY: every page of the range has a byte of the block that the system's allocator has just given out, so all are
    // mapped. This advice changes no byte, of the block or beside it: only how many pages the kernel has behind them.
    // It may refuse; then all is as before.
    let _ =
        unsafe { madvise(pages.cast(), (before + size).next_multiple_of(PAGE), MmapAdvise::MADV_HUGEPAGE) };
}

// SAFETY: every call is handed on to the system's allocator with the same arguments, and its answer handed back; what is
// done in between allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc(layout) };
        advise(block, layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc_zeroed(layout) };
        advise(block, layout.size());
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.realloc(block, layout, size) };
        if size > layout.size() {
            advise(block, size);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}
