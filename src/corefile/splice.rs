//! Lays the bytes of core and module files over the process' mappings.
//!
//! The rule, piece by piece: what the core has is taken from the core. What the writer left out of a mapping
//! of a file is taken from that file, if it is the right one. The kernel writes a `PT_LOAD` for every mapping
//! and cuts its bytes short; GDB writes no `PT_LOAD` at all for what it leaves out, so gaps between segments
//! that `NT_FILE` covers are mapped as well. All else is either mapped and not in the core, or not mapped.

use goblin::elf::program_header::{PF_W, PF_X};

use super::Address;
use super::address_space::{AddressSpace, Piece, PieceSource};
use super::elf::{CoreFile, Segment, clipped};
use super::modules::Module;

/// A range of memory with one origin, before it becomes a slice.
#[derive(Clone, Copy, Debug)]
struct Extent {
    start: Address,
    end: Address,
    /// Offset in the origin of the first byte; `None` if the bytes are missing.
    offset: Option<u64>,
    source: PieceSource,
    writable: bool,
    executable: bool,
}

/// Builds the address space; with no modules, what the core alone has.
pub(super) fn address_space<'core>(core: &'core CoreFile, modules: &'core [Module]) -> AddressSpace<'core> {
    let files = file_ranges(modules);
    let private_written = writes_private_memory(core, &files);
    let mut splice = Splice { core, modules, files, private_written, extents: Vec::new() };
    splice.run();
    let pieces = splice.extents.iter().map(|extent| piece(core, modules, extent)).collect();
    AddressSpace::from_pieces(pieces)
}

/// A mapping of a module's file.
#[derive(Clone, Copy, Debug)]
struct FileRange {
    start: Address,
    end: Address,
    offset: u64,
    module: usize,
}

/// All file mappings, sorted and disjoint.
fn file_ranges(modules: &[Module]) -> Vec<FileRange> {
    let mut ranges = Vec::new();
    for (module, of_module) in modules.iter().enumerate() {
        ranges.extend(of_module.mappings().iter().map(|mapping| FileRange {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.file_offset,
            module,
        }));
    }
    ranges.sort_by_key(|range| range.start);
    let mut free = 0;
    ranges.retain(|range| {
        let keep = range.start >= free && range.start < range.end;
        if keep {
            free = range.end;
        }
        keep
    });
    ranges
}

/// File mappings that overlap `start..end`, cut to it.
fn files_in(files: &[FileRange], start: Address, end: Address) -> Vec<FileRange> {
    let first = files.partition_point(|range| range.end <= start);
    let from_first = files.get(first..).unwrap_or_default();
    let overlapping = from_first.iter().take_while(|range| range.start < end && start < end);
    let cut = overlapping.map(|range| {
        let cut_start = range.start.max(start);
        let offset = range.offset.saturating_add(cut_start - range.start);
        FileRange { start: cut_start, end: range.end.min(end), offset, module: range.module }
    });
    cut.collect()
}

/// Whether the writer's filter let private memory through: some writable segment without a file has bytes
/// (stack, heap).
fn writes_private_memory(core: &CoreFile, files: &[FileRange]) -> bool {
    let mut written = core.segments().iter().filter(|segment| segment.is_writable() && segment.filesz > 0);
    written.any(|segment| files_in(files, segment.vaddr, segment.end()).is_empty())
}

struct Splice<'core> {
    core: &'core CoreFile,
    modules: &'core [Module],
    files: Vec<FileRange>,
    private_written: bool,
    extents: Vec<Extent>,
}

impl Splice<'_> {
    fn run(&mut self) {
        let mut segments = self.core.segments().to_vec();
        segments.sort_by_key(|segment| segment.vaddr);
        let mut free = 0;
        for segment in segments {
            self.gap(free, segment.vaddr);
            self.segment(&segment, free);
            free = free.max(segment.end());
        }
        self.gap(free, Address::MAX);
    }

    /// Adds a segment from `free` on; what lies before belongs to an earlier, overlapping one.
    fn segment(&mut self, segment: &Segment, free: Address) {
        let start = segment.vaddr.max(free);
        let written = clipped(self.core.bytes(), segment.offset, segment.filesz).len() as u64;
        let present_end = segment.vaddr.saturating_add(written);
        let written_end = segment.vaddr.saturating_add(segment.filesz);
        let base = Extent {
            start,
            end: present_end.min(segment.end()),
            offset: Some(segment.offset.saturating_add(start - segment.vaddr)),
            source: PieceSource::Core,
            writable: segment.is_writable(),
            executable: segment.is_executable(),
        };
        self.push(base);
        // Cut off with the end of the file: the writer found these bytes worth writing, usually because
        // they differ from the file, so the file is no substitute.
        self.push(Extent { start: start.max(present_end), end: written_end, offset: None, ..base });
        let mut rest = start.max(written_end);
        for range in files_in(&self.files, rest, segment.end()) {
            self.push(Extent { start: rest, end: range.start, offset: None, ..base });
            let file = self.file_extent(&range);
            self.push_file(Extent { writable: base.writable, executable: base.executable, ..file });
            rest = range.end;
        }
        self.push(Extent { start: rest, end: segment.end(), offset: None, ..base });
    }

    /// Adds the file mappings between two segments.
    fn gap(&mut self, start: Address, end: Address) {
        for range in files_in(&self.files, start, end) {
            let file = self.file_extent(&range);
            self.push_file(file);
        }
    }

    /// What a module's headers say about a range of its file. GDB's gaps have no other permissions.
    fn file_extent(&self, range: &FileRange) -> Extent {
        let flags = self.modules.get(range.module).map_or(0, |module| module.flags_at(range.start));
        Extent {
            start: range.start,
            end: range.end,
            offset: Some(range.offset),
            source: PieceSource::Module(range.module),
            writable: flags & PF_W != 0,
            executable: flags & PF_X != 0,
        }
    }

    /// Adds a range of a module's file, as far as the file may stand for it and is long enough.
    fn push_file(&mut self, extent: Extent) {
        let (PieceSource::Module(index), Some(offset)) = (extent.source, extent.offset) else { return };
        let length = match self.modules.get(index) {
            Some(module) if self.may_stand_for(module, &extent) => module
                .elf_bytes()
                .map_or(0, |file| clipped(file, offset, extent.end - extent.start).len() as u64),
            _ => 0,
        };
        let covered = extent.start.saturating_add(length);
        self.push(Extent { end: covered, ..extent });
        self.push(Extent { start: covered, offset: None, ..extent });
    }

    /// Whether a module's file has the bytes the process had. What the process could write may differ,
    /// unless it never did: then, and only then, the writer leaves it out while it writes other private
    /// memory (Linux, fs/coredump.c, `vma_dump_size`).
    fn may_stand_for(&self, module: &Module, extent: &Extent) -> bool {
        let file_writable = module.flags_at(extent.start) & PF_W != 0;
        !(extent.writable || file_writable) || self.private_written
    }

    /// Adds an extent, or makes the last one longer: contiguous memory should be one piece if it can, so
    /// that no object straddles two without need.
    fn push(&mut self, extent: Extent) {
        if extent.start >= extent.end {
            return;
        }
        if let Some(last) = self.extents.last_mut()
            && last.continues_in(&extent)
        {
            last.end = extent.end;
            return;
        }
        self.extents.push(extent);
    }
}

impl Extent {
    fn continues_in(&self, next: &Extent) -> bool {
        let offsets_meet = match (self.offset, next.offset) {
            (Some(offset), Some(next)) => offset.checked_add(self.end - self.start) == Some(next),
            (None, None) => true,
            _ => false,
        };
        self.end == next.start
            && offsets_meet
            && self.source == next.source
            && self.writable == next.writable
            && self.executable == next.executable
    }
}

fn piece<'core>(core: &'core CoreFile, modules: &'core [Module], extent: &Extent) -> Piece<'core> {
    let len = extent.end - extent.start;
    let origin = match extent.source {
        PieceSource::Core => Some(core.bytes()),
        PieceSource::Module(index) => modules.get(index).and_then(Module::elf_bytes),
    };
    let bytes = origin.zip(extent.offset).map(|(origin, offset)| clipped(origin, offset, len));
    Piece {
        start: extent.start,
        len,
        bytes: bytes.filter(|bytes| bytes.len() as u64 == len),
        writable: extent.writable,
        executable: extent.executable,
        source: extent.source,
    }
}
