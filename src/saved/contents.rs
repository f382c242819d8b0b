//! What later commands may read of the heap besides what an analysis reads: contents of objects, stacks.
//!
//! Knows which memory belongs to objects; refuses to know the process' files. All of it is recorded as read.

use super::read_all::WholeHeap;
use crate::corefile::{Address, Inputs, Registers};
use crate::cpython::{
    PreviewLimits, ReadField, Runtime, TypeInfo, Values, for_each_area, preview, regions, str_text,
    type_flags,
};
use crate::heap::ObjectId;
use crate::report::show::{ShowOptions, read_members};

/// Bytes below a stack pointer that a function may use without moving it (System V psABI for x86-64, "red zone").
const RED_ZONE: u64 = 128;
/// Bytes in which the headers of a module lie.
const PAGE: usize = 4096;
/// Members of one object that are shown.
const MOST_MEMBERS: usize = 1000;
/// The most of a stack that is kept.
const MOST_STACK: u64 = 8 << 20;
/// Types whose contents lie inside their objects, or are read to find references: nothing is gained by showing each.
const PLAIN: [&str; 12] = [
    "builtins.bool",
    "builtins.bytes",
    "builtins.cell",
    "builtins.dict",
    "builtins.float",
    "builtins.function",
    "builtins.int",
    "builtins.list",
    "builtins.str",
    "builtins.tuple",
    "builtins.type",
    "builtins.code",
];

/// Records every live block and every object as read, with the buffers that objects own, and the stacks of all threads.
pub fn keep_contents(inputs: &Inputs, runtime: &Runtime<'_>, whole: &WholeHeap) {
    keep_blocks(runtime);
    let objects = &whole.census.objects;
    for id in objects.ids() {
        keep_object(runtime, whole, id);
    }
    show_one_of_each(runtime, whole, Values::Shown);
    keep_module_data(inputs, runtime);
    for thread in &inputs.notes().threads {
        keep_stack(runtime, &thread.registers);
    }
}

/// Shows one instance of each type, and each type: what its members are called lies elsewhere.
pub fn show_one_of_each(runtime: &Runtime<'_>, whole: &WholeHeap, values: Values) {
    let options = ShowOptions { depth: 1, limit: MOST_MEMBERS, values };
    let mut shown = vec![false; runtime.types.len()];
    for id in whole.census.objects.ids() {
        let of_type = shown.get_mut(whole.census.objects.type_id(id).0 as usize);
        if of_type.is_some_and(|shown| !std::mem::replace(shown, true)) {
            read_members(runtime, whole.census.objects.address(id), options);
        }
    }
    for (_, info) in runtime.types.iter() {
        read_members(runtime, info.address, options);
    }
}

/// Records the live blocks of the interpreter's allocators.
fn keep_blocks(runtime: &Runtime<'_>) {
    let Ok(regions) = regions(runtime) else { return };
    for region in &regions.list {
        for_each_area(runtime, region, |area, live| {
            let mut run: Option<(usize, usize)> = None;
            for offset in live.offsets() {
                match &mut run {
                    Some((_, end)) if *end == offset => *end += area.block_size,
                    _ => {
                        record_run(runtime, area.address, run);
                        run = Some((offset, offset + area.block_size));
                    }
                }
            }
            record_run(runtime, area.address, run);
        });
    }
}

fn record_run(runtime: &Runtime<'_>, area: Address, run: Option<(usize, usize)>) {
    if let Some((start, end)) = run {
        runtime.space.record(area.wrapping_add(start as u64), end - start);
    }
}

fn keep_object(runtime: &Runtime<'_>, whole: &WholeHeap, id: ObjectId) {
    let objects = &whole.census.objects;
    let (object, info) = (objects.address(id), runtime.types.get(objects.type_id(id)));
    if objects.flags(id).is_outside_pools() {
        let preheader = u64::from(info.preheader);
        let size = objects.size(id).saturating_add(preheader);
        runtime.space.record(object.wrapping_sub(preheader), usize::try_from(size).unwrap_or(0));
    }
    if info.by_class_statement && info.flags & type_flags::UNICODE_SUBCLASS == 0 {
        return;
    }
    keep_buffer(runtime, info, object);
    if !PLAIN.contains(&&*info.name) {
        let limits = PreviewLimits { max_chars: 80, max_items: 1, max_depth: 1 };
        preview(runtime, object, Values::Shown, limits);
    }
}

/// Records contents that an object has elsewhere: a bytearray's bytes, the characters of a str that is not compact.
fn keep_buffer(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) {
    let (space, l) = (&runtime.space, &runtime.layouts);
    if info.flags & type_flags::UNICODE_SUBCLASS != 0 {
        if let Ok(text) = str_text(runtime, object) {
            space.record(text.address, usize::try_from(text.bytes()).unwrap_or(0));
        }
    } else if &*info.name == "builtins.bytearray"
        && let (Ok(start), Ok(length)) =
            (space.field(object, l.bytearray.start), space.field(object, l.var_object.ob_size))
    {
        space.record(start, usize::try_from(length).unwrap_or(0));
    }
}

/// Records what modules have in writable memory, and their headers.
fn keep_module_data(inputs: &Inputs, runtime: &Runtime<'_>) {
    for piece in runtime.space.pieces().iter().filter(|piece| piece.writable) {
        if inputs.module_at(piece.start).is_some() {
            runtime.space.record(piece.start, usize::try_from(piece.len).unwrap_or(0));
        }
    }
    // Headers and build-ids are of use to other readers of cores.
    for module in inputs.modules() {
        let first = runtime.space.peek_from(module.start).map_or(0, |bytes| bytes.len().min(PAGE));
        runtime.space.record(module.start, first);
    }
}

/// Records what a thread had on its stack.
fn keep_stack(runtime: &Runtime<'_>, registers: &Registers) {
    let top = registers.stack_pointer().saturating_sub(RED_ZONE);
    let Some(piece) = runtime.space.piece_at(top).filter(|piece| piece.writable) else { return };
    let bytes = (piece.end() - top).min(MOST_STACK);
    runtime.space.record(top, usize::try_from(bytes).unwrap_or(0));
}
