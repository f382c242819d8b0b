//! What lies at an address that is no object: for messages that help to find the right one.
//!
//! Knows the allocators' blocks, the collector's lists and mapped files. Refuses to search all of memory: an object that
//! only a census would find is not named.

use crate::corefile::Address;
use crate::cpython::{
    PaddedBlock, PreviewLimits, ReadField, Runtime, TypeInfo, Values, for_each_area, object_size, preview,
    regions,
};

/// Whether the words at the address read as an object's header: a refcount and a known type.
pub fn is_object(runtime: &Runtime<'_>, address: Address) -> bool {
    let header = runtime.space.slice(address, runtime.header.size as usize);
    address.is_multiple_of(8)
        && type_at(runtime, address).is_some()
        && header.is_ok_and(|bytes| runtime.header.plausible_count_in(&runtime.semantics, bytes, 0).is_some())
}

fn type_at<'r>(runtime: &'r Runtime<'_>, address: Address) -> Option<&'r TypeInfo> {
    let type_ = runtime.space.field(address, runtime.layouts.object.type_).ok()?;
    runtime.types.of(type_)
}

/// Says what the process had at an address where no object starts.
pub fn describe(runtime: &Runtime<'_>, address: Address) -> String {
    let Some(piece) = runtime.space.piece_at(address) else {
        return "the process had no memory mapped there".to_owned();
    };
    let known = in_head(runtime, address)
        .or_else(|| in_pool(runtime, address))
        .or_else(|| in_tracked_object(runtime, address))
        .or_else(|| in_file(runtime, address));
    match known {
        Some(known) => known,
        None if piece.bytes.is_none() => {
            "the process had memory there, but its bytes are not in the core".to_owned()
        }
        None if piece.writable => {
            "writable memory of no known object: a stack, or what C code allocated".to_owned()
        }
        None => "read-only memory of no known file".to_owned(),
    }
}

/// One object, in words.
fn name(runtime: &Runtime<'_>, object: Address) -> String {
    let limits = PreviewLimits { max_chars: 80, max_items: 3, max_depth: 1 };
    let text = preview(runtime, object, Values::Hidden, limits).text;
    if text.contains(" at 0x") { text } else { format!("{text} at {object:#x}") }
}

/// The address of an object's GC head or managed slots instead of its own.
fn in_head(runtime: &Runtime<'_>, address: Address) -> Option<String> {
    runtime.semantics.preheaders().filter(|&head| head > 0).find_map(|head| {
        let object = address.checked_add(u64::from(head))?;
        let has_head = is_object(runtime, object) && type_at(runtime, object)?.preheader >= head;
        has_head.then(|| format!("what lies in front of an object; the object is {}", name(runtime, object)))
    })
}

/// A block of an allocator: inside an object, free, or used for something else.
fn in_pool(runtime: &Runtime<'_>, address: Address) -> Option<String> {
    let regions = regions(runtime).ok()?;
    let region = regions.list.iter().find(|region| (region.address..region.end).contains(&address))?;
    let mut found = None;
    for_each_area(runtime, region, |area, live| {
        let Ok(offset) = usize::try_from(address.wrapping_sub(area.address)) else { return };
        if offset >= area.bytes.len() {
            return;
        }
        let block = live.offsets().find(|&start| offset.wrapping_sub(start) < area.block_size);
        found = Some(match block {
            Some(start) => {
                let block = area.address.wrapping_add(start as u64);
                in_block(runtime, address, block, area.block_size, regions.padded)
            }
            None => format!(
                "the allocator's own or free memory, in a pool of {}-byte blocks: what was there has been freed",
                area.block_size
            ),
        });
    });
    Some(found.unwrap_or_else(|| "free memory of the object allocator".to_owned()))
}

fn in_block(runtime: &Runtime<'_>, address: Address, block: Address, size: usize, padded: bool) -> String {
    let data = if padded { block.wrapping_add(PaddedBlock::OFFSET as u64) } else { block };
    let starts = runtime.semantics.preheaders().map(|head| data.wrapping_add(u64::from(head)));
    let object = { starts }.find(|&start| {
        is_object(runtime, start)
            && type_at(runtime, start)
                .is_some_and(|info| u64::from(info.preheader) == start.wrapping_sub(data))
    });
    match object {
        Some(object) => inside(runtime, address, object),
        None => format!(
            "inside the block of {size} bytes at {block:#x}, in use but no object: a container's table, or C code's"
        ),
    }
}

fn inside(runtime: &Runtime<'_>, address: Address, object: Address) -> String {
    format!("inside {}, {} bytes after its start", name(runtime, object), address.wrapping_sub(object))
}

/// Inside an object of the collector's lists, such as one too large for pymalloc.
fn in_tracked_object(runtime: &Runtime<'_>, address: Address) -> Option<String> {
    let objects = runtime.gc_lists.iter().flat_map(|list| &list.objects).copied();
    let nearest = objects.filter(|&object| object <= address).max()?;
    let size = object_size(runtime, nearest).ok()?;
    (address.wrapping_sub(nearest) < size).then(|| inside(runtime, address, nearest))
}

/// The image of an executable or library.
fn in_file(runtime: &Runtime<'_>, address: Address) -> Option<String> {
    let module = runtime.binaries.module(runtime.binaries.containing(address)?)?;
    Some(format!(
        "in {}, {:#x} bytes after its link address 0",
        module.name(),
        address.wrapping_sub(module.load_bias)
    ))
}
