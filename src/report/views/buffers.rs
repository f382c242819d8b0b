//! `view buffers`: objects that hold bytes, and views that keep the bytes of others.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Buffer, Keepers};
use crate::corefile::FileMapping;
use crate::cpython::MappedMemory;
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use serde::Serialize;

/// What the kernel maps for shared memory of no file (Linux, mm/shmem.c, `shmem_zero_setup`).
const SHARED_MEMORY: &str = "/dev/zero";

/// The answer of `view buffers`.
#[derive(Clone, Debug, Serialize)]
pub struct BuffersReport {
    /// `buffers`.
    pub view: &'static str,
    /// How many there are.
    pub buffers_total: u64,
    /// Views whose owner lives for small views alone.
    pub pins: u64,
    /// Those views first, then those that keep most.
    pub buffers: Vec<BufferRow>,
}

/// One buffer or view.
#[derive(Clone, Debug, Serialize)]
pub struct BufferRow {
    /// The object.
    pub object: HeldObject,
    /// Bytes that a view shows or that are mapped; of others their size.
    pub bytes: Option<u64>,
    /// What an `mmap` has mapped.
    pub mapped: Option<MappedRow>,
    /// Whose bytes a view shows.
    pub owner: Option<OwnerRow>,
    /// The owner lives for small views alone.
    pub pins: bool,
}

/// What an `mmap` has mapped.
#[derive(Clone, Debug, Serialize)]
pub struct MappedRow {
    /// `open`, `closed`, or `unknown` without debug information of the module.
    pub state: &'static str,
    /// The first byte.
    pub address: Option<Hex>,
    /// The file, as the process saw it; `null` for memory of no file.
    pub file: Option<String>,
    /// Byte offset in the file.
    pub file_offset: Option<u64>,
}

/// The owner of bytes.
#[derive(Clone, Debug, Serialize)]
pub struct OwnerRow {
    /// The object.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// Its size with the memory it owns.
    pub bytes: u64,
}

impl BuffersReport {
    /// Names the first `limit` of what was found; `files` are what the process had mapped.
    pub fn new(
        keepers: &mut Keepers<'_, '_>,
        files: &[FileMapping],
        mut found: Vec<Buffer>,
        limit: usize,
    ) -> Self {
        keepers.sort(&mut found, |buffer| buffer.id);
        found.sort_by_key(|buffer| !buffer.pins);
        Self {
            view: "buffers",
            buffers_total: found.len() as u64,
            pins: found.iter().filter(|buffer| buffer.pins).count() as u64,
            buffers: found.iter().take(limit).map(|buffer| row(keepers, files, buffer)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, files: &[FileMapping], buffer: &Buffer) -> BufferRow {
    let heap = keepers.heap();
    BufferRow {
        object: HeldObject::new(keepers, buffer.id),
        bytes: buffer.bytes,
        mapped: buffer.mapped.map(|memory| mapped(files, memory)),
        owner: buffer.owner.map(|owner| OwnerRow {
            address: Hex(heap.objects.address(owner)),
            type_name: short_type_name(&heap.type_of(owner).name).to_owned(),
            bytes: heap.objects.size(owner),
        }),
        pins: buffer.pins,
    }
}

fn mapped(files: &[FileMapping], memory: MappedMemory) -> MappedRow {
    let nothing = |state| MappedRow { state, address: None, file: None, file_offset: None };
    let MappedMemory::Open { address, .. } = memory else {
        return nothing(if memory == MappedMemory::Closed { "closed" } else { "unknown" });
    };
    // The kernel names a file for shared memory of none.
    let is_file = |file: &&FileMapping| {
        (file.start..file.end).contains(&address) && !file.path.starts_with(SHARED_MEMORY)
    };
    let file = files.iter().find(is_file);
    MappedRow {
        state: "open",
        address: Some(Hex(address)),
        file: file.map(|file| file.path.clone()),
        file_offset: file.map(|file| file.file_offset.saturating_add(address - file.start)),
    }
}

impl Report for BuffersReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.buffers_total, "buffer", coverage.objects_bounded());
        let pins = number::count(self.pins);
        page.paragraph(Tone::Strong, 2, &format!("{total} and views; {pins} keep much more than they show"));
        for row in &self.buffers {
            let bytes = row.size();
            let title = match &row.owner {
                Some(owner) => format!("{bytes} of {} in {}", number::bytes(owner.bytes), owner.type_name),
                None => bytes,
            };
            row.object.render(page, &title);
            if let Some(MappedRow { address: Some(address), file, file_offset, .. }) = &row.mapped {
                let of = match (file, file_offset) {
                    (Some(file), Some(offset)) => format!("{file} from byte {}", number::count(*offset)),
                    _ => "no file".to_owned(),
                };
                page.line(Tone::Plain, 4, &format!("mapped at {address}: {of}"));
            }
            if let Some(owner) = &row.owner {
                page.line(Tone::Plain, 4, &format!("the bytes of {}", owner.address));
            }
            if row.pins {
                page.line(
                    Tone::Plain,
                    4,
                    "nothing else keeps these: take a copy of the part, and the rest goes",
                );
            }
        }
        hidden(page, self.buffers_total, self.buffers.len());
        end(page, core, coverage, self.buffers.first().map(|row| &row.object));
    }
}

impl BufferRow {
    /// How much it shows or has.
    fn size(&self) -> String {
        match (self.bytes, self.mapped.as_ref().map(|mapped| mapped.state)) {
            (Some(bytes), None) => number::bytes(bytes),
            (Some(bytes), Some(_)) => format!("{} mapped", number::bytes(bytes)),
            (None, Some("closed")) => "closed".to_owned(),
            (None, _) => "mapped, how much only debug information of the module mmap tells".to_owned(),
        }
    }
}
