//! `view buffers`: objects that hold bytes, and views that keep the bytes of others.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Buffer, Keepers};
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use serde::Serialize;

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
    /// Bytes that a view shows; of others their size; `null` for mapped files.
    pub bytes: Option<u64>,
    /// Whose bytes a view shows.
    pub owner: Option<OwnerRow>,
    /// The owner lives for small views alone.
    pub pins: bool,
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
    /// Names the first `limit` of what was found.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<Buffer>, limit: usize) -> Self {
        keepers.sort(&mut found, |buffer| buffer.id);
        found.sort_by_key(|buffer| !buffer.pins);
        Self {
            view: "buffers",
            buffers_total: found.len() as u64,
            pins: found.iter().filter(|buffer| buffer.pins).count() as u64,
            buffers: found.iter().take(limit).map(|buffer| row(keepers, buffer)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, buffer: &Buffer) -> BufferRow {
    let heap = keepers.heap();
    BufferRow {
        object: HeldObject::new(keepers, buffer.id),
        bytes: buffer.bytes,
        owner: buffer.owner.map(|owner| OwnerRow {
            address: Hex(heap.objects.address(owner)),
            type_name: short_type_name(&heap.type_of(owner).name).to_owned(),
            bytes: heap.objects.size(owner),
        }),
        pins: buffer.pins,
    }
}

impl Report for BuffersReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.buffers_total, "buffer", coverage.objects_bounded());
        let pins = number::count(self.pins);
        page.paragraph(Tone::Strong, 2, &format!("{total} and views; {pins} keep much more than they show"));
        for row in &self.buffers {
            let bytes = row.bytes.map_or_else(|| "mapped".to_owned(), number::bytes);
            let title = match &row.owner {
                Some(owner) => format!("{bytes} of {} in {}", number::bytes(owner.bytes), owner.type_name),
                None => bytes,
            };
            row.object.render(page, &title);
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
