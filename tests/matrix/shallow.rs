//! What instances own besides their size, against the blocks that the allocator gave for it.

use exuvia::analysis::{Selection, histogram, python_name};
use exuvia::corefile::{Inputs, SearchOptions};
use exuvia::cpython::semantics::ManagedDict;
use exuvia::cpython::{AllocatorKind, Beside, DictTable, Runtime, TypeInfo, for_each_area, regions};
use exuvia::heap::{Census, census};
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes of pymalloc's blocks are multiples of it.
const ALIGNMENT: u64 = 16;
/// By how much an array of attributes may be longer than its prefix tells: seven words.
const UNTOLD: u64 = 56;
/// `Py_TPFLAGS_INLINE_VALUES` (Include/object.h, 3.13 and later; before, no type has the bit).
const INLINE_VALUES: u64 = 1 << 2;
/// By how much one within the object may be: a word and the bytes that tell the order of the next eight.
const UNTOLD_INLINE: u64 = 16;

/// Compares what is said of every instance with its blocks.
pub fn prove(core: &Path, options: &SearchOptions) -> Result<(), String> {
    let inputs = Inputs::open(core, options).map_err(|error| error.to_string())?;
    let mut runtime = Runtime::open(&inputs, None).map_err(|error| error.to_string())?;
    let census = census(&mut runtime).map_err(|error| error.to_string())?;
    let blocks = Blocks::read(&runtime)?;
    let (mut compared, mut sum) = (0u64, 0i64);
    for id in census.objects.ids() {
        let (object, info) = (census.objects.address(id), runtime.types.get(census.objects.type_id(id)));
        let beside = Beside::of(&runtime, info);
        let bytes = beside.bytes(&runtime, info, object);
        if census.objects.besides(id) != bytes {
            return Err(format!(
                "{} at {object:#x}: {} counted, {bytes} there",
                info.name,
                census.objects.besides(id)
            ));
        }
        sum += bytes;
        if let Some(twice) = counted_twice(&runtime, &census, info, object)?
            && bytes != -twice
        {
            return Err(format!("{} at {object:#x}: {bytes} besides, {twice} counted twice", info.name));
        }
        // What C modules refer to lies in blocks of its own, of which nothing tells the size.
        if let Ok(bytes @ 1..) = u64::try_from(bytes)
            && beside.is_attributes_only()
            && let Some((start, least, slack)) = block_of(&runtime, info, object, bytes)
            && let Some(size) = blocks.starting_at(start)
        {
            compared += 1;
            let most = if blocks.rounded_up { u64::MAX } else { least + ALIGNMENT - 1 + slack };
            if !(least..=most).contains(&size) {
                return Err(format!("{} at {object:#x}: {least} bytes in a block of {size}", info.name));
            }
        }
    }
    let counted = histogram(&census.objects, runtime.types.len(), &Selection::default());
    let types = counted.shallow.cast_signed() - counted.bytes.cast_signed();
    let has_arrays = runtime.layouts.dict_values.size > 0;
    match types == sum && (compared > 0 || !has_arrays || blocks.by_start.is_empty()) {
        true => Ok(()),
        false => Err(format!("{compared} compared; {sum} bytes of objects, {types} of types")),
    }
}

/// Bytes that `sys.getsizeof()` of a dict or a bytearray counts and that lie within another object, by their addresses; `None` of
/// other types.
fn counted_twice(
    runtime: &Runtime<'_>,
    census: &Census,
    info: &TypeInfo,
    object: u64,
) -> Result<Option<i64>, String> {
    let (l, objects) = (&runtime.layouts, &census.objects);
    let word =
        |offset: u32| runtime.space.read_u64(object + u64::from(offset)).map_err(|error| error.to_string());
    let part = match python_name(&info.name) {
        "dict" => word(l.dict.values.offset)?,
        "bytearray" => word(l.bytearray.bytes.offset)?,
        _ => return Ok(None),
    };
    let Some(holder) = objects.at_or_before(part) else { return Ok(Some(0)) };
    let (start, holder_info) = (objects.address(holder), runtime.types.get(objects.type_id(holder)));
    Ok(Some(match python_name(&info.name) {
        // Within the instance: behind its struct, where its attributes are. Of other types a block of its own may lie there.
        "dict" if holder_info.flags & INLINE_VALUES != 0 && part == start + holder_info.basicsize => {
            let keys = word(l.dict.keys.offset)?;
            let table = DictTable::read(runtime, keys).map_err(|error| error.to_string())?;
            (table.capacity * 8).cast_signed()
        }
        "bytearray"
            if word(l.bytearray.alloc.offset)? > 0
                && python_name(&holder_info.name) == "bytes"
                && part < start + objects.size(holder) =>
        {
            objects.size(holder).cast_signed()
        }
        _ => 0,
    }))
}

/// Where the block starts that has the attributes of an instance, how large it is at least, and how much larger it may be
/// besides rounding.
fn block_of(runtime: &Runtime<'_>, info: &TypeInfo, object: u64, bytes: u64) -> Option<(u64, u64, u64)> {
    let word = |at: u64| runtime.space.read_u64(at).ok();
    let first = match runtime.semantics.managed_dict {
        ManagedDict::InlineValues => {
            let preheader = u64::from(info.preheader);
            let own = preheader + info.basicsize;
            return Some((object.wrapping_sub(preheader), own + bytes, UNTOLD_INLINE));
        }
        ManagedDict::TwoSlots => word(object.wrapping_sub(32))?,
        ManagedDict::TaggedWord => word(object.wrapping_sub(24))?.wrapping_add(1),
    };
    let prefix = word(first.wrapping_sub(8))? >> 56;
    Some((first.wrapping_sub(prefix), bytes, UNTOLD))
}

/// The allocator's live blocks by where they start.
struct Blocks {
    by_start: BTreeMap<u64, u64>,
    /// Sizes grow by more than the alignment.
    rounded_up: bool,
}

impl Blocks {
    fn read(runtime: &Runtime<'_>) -> Result<Self, String> {
        let mut by_start = BTreeMap::new();
        let regions = regions(runtime).map_err(|error| error.to_string())?;
        for region in &regions.list {
            for_each_area(runtime, region, |area, live| {
                let starts = live.offsets().map(|offset| area.address + offset as u64);
                by_start.extend(starts.map(|start| (start, area.block_size as u64)));
            });
        }
        let rounded_up = regions.kind == AllocatorKind::Mimalloc;
        // Debug hooks put their own words in front of what was asked for.
        if regions.padded {
            by_start.clear();
        }
        Ok(Self { by_start, rounded_up })
    }

    fn starting_at(&self, start: u64) -> Option<u64> {
        self.by_start.get(&start).copied()
    }
}
