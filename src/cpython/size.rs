//! `sys.getsizeof()` of every object: the interpreter's own `__sizeof__` formulas, with the GC head and managed slots.
//!
//! Knows how much memory each builtin type counts as its own; refuses to count what `__sizeof__` does not.

use super::dict::{Shape, keys_bytes};
use super::frame::{Variables, frame_in};
use super::semantics::type_flags;
use super::size_modules::Base;
use super::stack_ref::frame_code;
use super::type_search::type_dict;
use super::types::{TypeInfo, TypeTable};
use super::values::{int_digits, str_text, tuple_items};
use super::words::{ReadField, at, half, word};
use super::{Runtime, dict_items, names};
use crate::corefile::{Address, ReadError};
use crate::layout::Field;

/// Which `__sizeof__` measures a type's instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeRule {
    /// `object.__sizeof__`: `tp_basicsize` and items.
    Object,
    /// `int`.
    Int,
    /// `str`.
    Str,
    /// `list`.
    List,
    /// `dict` and subclasses.
    Dict,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `set`, `frozenset`.
    Set,
    /// `bytearray`.
    ByteArray,
    /// `type`.
    Type,
    /// `code`.
    Code,
    /// `frame`.
    Frame,
    /// Generators, coroutines, async generators.
    Generator,
    /// `numpy.ndarray`.
    NumpyArray,
    /// `collections.deque`.
    Deque,
    /// A formula over members of a C module's struct, by number (see [`TypeTable::module_size`]).
    Module(u32),
    /// A lower bound, that of `object.__sizeof__`: the type's own `__sizeof__` is written in Python, which is not run,
    /// or in C that nothing here describes.
    Bound,
}

/// Types of the interpreter with a `__sizeof__` of their own, by `tp_name` (Objects/*.c and
/// Modules/_collectionsmodule.c, 3.8 to 3.15).
const RULES: &[(&str, SizeRule)] = &[
    ("object", SizeRule::Object),
    ("int", SizeRule::Int),
    ("str", SizeRule::Str),
    ("list", SizeRule::List),
    ("dict", SizeRule::Dict),
    ("frozendict", SizeRule::Dict),
    ("collections.OrderedDict", SizeRule::OrderedDict),
    ("set", SizeRule::Set),
    ("frozenset", SizeRule::Set),
    ("bytearray", SizeRule::ByteArray),
    ("type", SizeRule::Type),
    ("code", SizeRule::Code),
    ("frame", SizeRule::Frame),
    ("generator", SizeRule::Generator),
    ("coroutine", SizeRule::Generator),
    ("async_generator", SizeRule::Generator),
    ("collections.deque", SizeRule::Deque),
    ("numpy.ndarray", SizeRule::NumpyArray),
];

impl SizeRule {
    /// Finds the `__sizeof__` that the type at `type_` inherits.
    pub fn of(runtime: &Runtime<'_>, table: &mut TypeTable, type_: Address) -> Self {
        let l = &runtime.layouts;
        let mro = runtime.space.field(type_, l.type_.mro).and_then(|mro| tuple_items(runtime, mro));
        let name = table.sizeof_name();
        let found = mro.unwrap_or_default().into_iter().find_map(|base| {
            let attributes = dict_items(runtime, type_dict(runtime, base));
            attributes.into_iter().find(|&(key, _)| key == name).map(|(_, method)| method)
        });
        match found {
            Some(method) => Self::of_method(runtime, table, method),
            None => Self::Object,
        }
    }

    /// The rule behind the attribute `__sizeof__` of a class: a method made in C knows the type it was made for.
    fn of_method(runtime: &Runtime<'_>, table: &mut TypeTable, method: Address) -> Self {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let is_descriptor = space
            .field(method, l.object.type_)
            .is_ok_and(|type_| names::tp_name(runtime, type_) == "method_descriptor");
        let (true, Ok(owner)) = (is_descriptor, space.field(method, l.descr.type_)) else {
            return Self::Bound;
        };
        let name = names::tp_name(runtime, owner);
        if let Some(&(_, rule)) = RULES.iter().find(|(known, _)| *known == name) {
            return rule;
        }
        let function = |field| space.field(space.field(method, field)?, l.method_def.function);
        let Some(Ok(function)) = l.method_descr.method.map(function) else { return Self::Bound };
        table.module_size_rule(runtime, &name, function).map_or(Self::Bound, Self::Module)
    }
}

/// `sys.getsizeof()` of the instance of `info` at `object`, in bytes.
///
/// # Errors
/// Memory that its `__sizeof__` reads is not there.
#[inline]
pub fn size_of(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let size = match info.size_rule {
        SizeRule::Object if info.itemsize == 0 => info.basicsize,
        SizeRule::Int => int(runtime, object)?,
        SizeRule::Str => str_(runtime, info, object)?,
        SizeRule::List => {
            // While a list is sorted, `allocated` is -1, and the interpreter reckons with that.
            info.basicsize.wrapping_add(list_capacity(runtime, object)?.wrapping_mul(8))
        }
        SizeRule::Dict => dict(runtime, info, object)?,
        _ => uncommon(runtime, info, object)?,
    };
    Ok(size.saturating_add(preheader(runtime, info, object)))
}

/// `sys.getsizeof()` of the object at `object`, whatever its type; 0 if that is not known.
///
/// # Errors
/// Memory that its `__sizeof__` reads is not there.
pub fn object_size(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let type_ = runtime.space.field(object, runtime.layouts.object.type_)?;
    runtime.types.of(type_).map_or(Ok(0), |info| size_of(runtime, info, object))
}

/// Bytes that the instance of `info` at `object` has of its own block, from its address on: its struct and the items that
/// follow it, not what it owns elsewhere.
///
/// # Errors
/// Its number of items is not there.
pub fn bytes_in_block(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    match info.size_rule {
        SizeRule::Int => int(runtime, object),
        SizeRule::Str => {
            let text = str_text(runtime, object)?;
            let start = text.address.wrapping_sub(object);
            // Behind the struct only where it is compact (Include/cpython/unicodeobject.h).
            let compact = start == u64::from(runtime.layouts.ascii.size)
                || start == u64::from(runtime.layouts.compact_unicode.size);
            let characters = text.length.saturating_add(1).saturating_mul(u64::from(text.kind));
            Ok(if compact { start.saturating_add(characters) } else { info.basicsize })
        }
        // Their `__sizeof__` reckons with another number of items than `ob_size`.
        SizeRule::Frame | SizeRule::Generator => Ok(info.basicsize),
        _ => plain(runtime, info, object),
    }
}

/// What `sys.getsizeof` adds to `__sizeof__` (Python/sysmodule.c, `_PySys_GetSizeOf`).
#[inline]
fn preheader(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> u64 {
    if info.is_metatype() && !runtime.semantics.getsizeof_counts_head_by_flag {
        let flags = runtime.space.field(object, runtime.layouts.type_.flags).unwrap_or(0);
        if flags & type_flags::HEAPTYPE == 0 {
            return 0;
        }
    }
    u64::from(info.preheader)
}

/// Items that a list has room for, as `list.__sizeof__` reckons.
#[inline]
pub(super) fn list_capacity(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let Some(in_front) = runtime.semantics.list_capacity_in_front else {
        return runtime.space.field(object, l.list.allocated);
    };
    match runtime.space.field(object, l.list.items)? {
        0 => Ok(0),
        items => runtime.space.read_u64(items.wrapping_sub(u64::from(in_front))),
    }
}

fn plain(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    if info.itemsize == 0 {
        return Ok(info.basicsize);
    }
    let items = runtime.space.field(object, runtime.layouts.var_object.ob_size)? as i64;
    // An int keeps its sign in ob_size before 3.12; object.__sizeof__ takes the magnitude.
    Ok(info.basicsize.saturating_add(info.itemsize.saturating_mul(items.unsigned_abs())))
}

fn int(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let (_, digits) = int_digits(runtime, object)?;
    let digits = digits.max(runtime.semantics.least_digits);
    Ok(u64::from(runtime.layouts.long.digits.offset).saturating_add(digits.saturating_mul(4)))
}

/// Objects/unicodeobject.c, `unicode_sizeof_impl`.
fn str_(runtime: &Runtime<'_>, _info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let header = runtime.space.peek(object, l.ascii.size as usize)?;
    let state = half(header, at(l.ascii.kind));
    if runtime.space.is_recording() {
        record_str(runtime, object)?;
    }
    let bit = |field: crate::layout::Field| {
        field.bits.map_or(0, |bits| (state >> bits.offset) & ((1u32 << bits.width.min(31)) - 1))
    };
    let length = word(header, at(l.ascii.length)).saturating_add(1);
    let kind = u64::from(bit(l.ascii.kind));
    if bit(l.ascii.compact) != 0 && bit(l.ascii.ascii) != 0 {
        let mut size = u64::from(l.ascii.size).saturating_add(length);
        if l.ascii.wstr.is_some_and(|wstr| word(header, at(wstr)) != 0) {
            size = size.saturating_add(length.saturating_mul(4));
        }
        return Ok(size);
    }
    let compact = bit(l.ascii.compact) != 0;
    let space = &runtime.space;
    let (mut size, text) = if compact {
        let base = u64::from(l.compact_unicode.size);
        (base.saturating_add(length.saturating_mul(kind)), object.wrapping_add(base))
    } else {
        let text = space.field(object, l.unicode.text)?;
        let own = if text != 0 { length.saturating_mul(kind) } else { 0 };
        (u64::from(l.unicode.size).saturating_add(own), text)
    };
    let wstr = match l.ascii.wstr {
        Some(field) => space.field(object, field)?,
        None => 0,
    };
    if let (Some(field), true) = (l.compact_unicode.wstr_length, wstr != 0 && wstr != text) {
        size = size.saturating_add(space.field(object, field)?.saturating_add(1).saturating_mul(4));
    }
    // A separate UTF-8 copy (_PyUnicode_HAS_UTF8_MEMORY).
    let ascii = bit(l.ascii.ascii) != 0;
    let utf8 = space.field(object, l.compact_unicode.utf8)?;
    if !ascii && utf8 != 0 && utf8 != text {
        size = size.saturating_add(space.field(object, l.compact_unicode.utf8_length)?.saturating_add(1));
    }
    Ok(size)
}

/// Records the fields that the size of a str is computed from. What fills the struct up between them and the characters was
/// never set, and may be left from what was there before.
#[cold]
fn record_str(runtime: &Runtime<'_>, object: Address) -> Result<(), ReadError> {
    let l = &runtime.layouts.ascii;
    for field in [l.kind, l.compact, l.ascii] {
        runtime.space.small(object, field)?;
    }
    for field in [Some(l.length), l.wstr].into_iter().flatten() {
        runtime.space.field(object, field)?;
    }
    Ok(())
}

/// Objects/dictobject.c, `_PyDict_SizeOf`.
#[inline]
fn dict(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let header = runtime.space.slice(object, l.dict.size as usize)?;
    let keys = word(header, at(l.dict.keys));
    let table = runtime.space.slice(keys, l.dict_keys.size as usize)?;
    let mut size = info.basicsize;
    if word(header, at(l.dict.values)) != 0 {
        let room = Shape::read(runtime, table).capacity(runtime, table);
        size = size.saturating_add(room.saturating_mul(8));
    }
    if word(table, at(l.dict_keys.refcnt)) == 1 {
        size = size.saturating_add(Shape::read(runtime, table).bytes(runtime));
    }
    Ok(size)
}

/// Objects/bytearrayobject.c: what a bytearray counts besides its struct. Since 3.15 that is a `bytes` object of its own, with
/// its header and its final NUL.
pub fn bytearray_room(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let room = runtime.space.field(object, l.bytearray.alloc)?;
    let around = match l.bytearray.bytes_object {
        Some(_) if room > 0 => u64::from(l.bytes.value.offset) + 1,
        _ => 0,
    };
    Ok(room.saturating_add(around))
}

fn uncommon(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    Ok(match info.size_rule {
        SizeRule::Module(number) => match runtime.types.module_size(number) {
            Some(formula) => {
                let base = match formula.base {
                    Base::Object => plain(runtime, info, object)?,
                    Base::Dict => dict(runtime, info, object)?,
                };
                base.wrapping_add(formula.sum(runtime, object)?)
            }
            None => plain(runtime, info, object)?,
        },
        SizeRule::OrderedDict => {
            let nodes = match space.field(object, l.odict.first)? {
                0 => 0,
                _ => space.field(object, l.dict.used)?,
            };
            dict(runtime, info, object)?
                .saturating_add(space.field(object, l.odict.fast_nodes_size)?.saturating_mul(8))
                .saturating_add(nodes.saturating_mul(u64::from(l.odict_node.size)))
        }
        SizeRule::Set => {
            let table = space.field(object, l.set.table)?;
            let own = object.wrapping_add(u64::from(l.set.smalltable.offset));
            let slots = space.field(object, l.set.mask)?.saturating_add(1);
            info.basicsize.saturating_add(if table == own { 0 } else { slots.saturating_mul(16) })
        }
        SizeRule::ByteArray => info.basicsize.saturating_add(bytearray_room(runtime, object)?),
        SizeRule::Type => type_object(runtime, object)?,
        SizeRule::Code => code(runtime, info, object)?,
        SizeRule::Frame => {
            let code = frame_code(runtime, frame_in(runtime, object)?)?;
            let before = l.frame_object.frame_data.map_or(0, |field| u64::from(field.offset));
            before.saturating_add(frame_bytes(runtime, code)?)
        }
        SizeRule::Generator => match l.generator.iframe {
            Some(iframe) => {
                let frame = object.wrapping_add(u64::from(iframe.offset));
                // The code outlives the frame: 3.11 keeps it apart, later releases never clear it in the frame.
                let code = match l.generator.code {
                    Some(field) => space.field(object, field)?,
                    None => frame_code(runtime, frame)?,
                };
                u64::from(iframe.offset).saturating_add(frame_bytes(runtime, code)?)
            }
            None => plain(runtime, info, object)?,
        },
        SizeRule::NumpyArray => info.basicsize.saturating_add(numpy_array(runtime, object)?),
        SizeRule::Deque => {
            let length = space.field(object, l.var_object.ob_size)?;
            let left = space.field(object, l.deque.leftindex)?;
            let per_block = u64::from(l.deque_block.items.size / 8).max(1);
            let blocks = left.saturating_add(length).div_ceil(per_block);
            info.basicsize.saturating_add(blocks.saturating_mul(u64::from(l.deque_block.size)))
        }
        _ => plain(runtime, info, object)?,
    })
}

fn type_object(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    if space.field(object, l.type_.flags)? & type_flags::HEAPTYPE == 0 {
        return Ok(u64::from(l.type_.size));
    }
    let keys = space.field(object, l.heap_type.cached_keys)?;
    let keys = if keys == 0 { 0 } else { keys_bytes(runtime, keys)? };
    Ok(u64::from(l.heap_type.size).saturating_add(keys))
}

/// Objects/codeobject.c, `code_sizeof`.
fn code(runtime: &Runtime<'_>, info: &TypeInfo, object: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts.code);
    let own = plain(runtime, info, object)?
        .next_multiple_of(8)
        .saturating_add(cell_and_cache_bytes(runtime, object)?);
    let extra = space.field(object, l.extra)?;
    if extra == 0 {
        return Ok(own);
    }
    let slots = space.read_u64(extra)?;
    Ok(own.saturating_add(16).saturating_add(slots.saturating_sub(1).saturating_mul(8)))
}

/// What code owned outside itself up to 3.10: the arguments that are cells, and the cache of globals (3.8 to 3.10).
fn cell_and_cache_bytes(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let pointer = |field: Option<Field>| field.map_or(Ok(0), |field| space.field(object, field));
    let length = |object| space.field(object, l.var_object.ob_size);
    let mut bytes = 0u64;
    if pointer(l.code.cell2arg)? != 0 {
        bytes = length(pointer(l.code.cellvars)?)?.saturating_mul(8);
    }
    if let (Some(size), true) = (l.code.opcache_size, pointer(l.code.opcache)? != 0) {
        let units = length(pointer(l.code.code_bytes)?)? / 2;
        let entries = space.small(object, size)?.saturating_mul(u64::from(l.opcache.size));
        bytes = bytes.saturating_add(units).saturating_add(entries);
    }
    Ok(bytes)
}

/// Bytes of a frame for `code`, from its start (`_PyFrame_NumSlotsForCodeObject`).
fn frame_bytes(runtime: &Runtime<'_>, code: Address) -> Result<u64, ReadError> {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let fixed = u64::from(l.frame.localsplus.offset);
    let slots = match l.code.framesize {
        Some(field) => space.small(code, field)?.saturating_sub(fixed / 8),
        None => Variables::of(runtime, code)?.count().saturating_add(space.small(code, l.code.stacksize)?),
    };
    Ok(fixed.saturating_add(slots.saturating_mul(8)))
}

/// What a numpy array owns outside itself: its shape and strides, and its data unless it is a view
/// (numpy/core/src/multiarray/methods.c, `array_sizeof`; layout: numpy's stable ABI, numpy/ndarraytypes.h).
fn numpy_array(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    /// `NPY_ARRAY_OWNDATA`.
    const OWNS_DATA: u32 = 0x4;
    let space = &runtime.space;
    let rank = u64::from(space.read_u32(object.wrapping_add(24))?).min(64);
    let own = rank * 2 * 8;
    if space.read_u32(object.wrapping_add(64))? & OWNS_DATA == 0 {
        return Ok(own);
    }
    Ok(own.saturating_add(numpy_extent(runtime, object)?))
}

/// Bytes of the items of the numpy array at `object`, whoever owns them (`nbytes`).
///
/// # Errors
/// The array or its descriptor is not readable.
pub fn numpy_extent(runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
    let space = &runtime.space;
    let rank = u64::from(space.read_u32(object.wrapping_add(24))?).min(64);
    let shape = space.read_u64(object.wrapping_add(32))?;
    let descr = space.read_u64(object.wrapping_add(56))?;
    // Up to numpy 1.x the item size is an int at +32, followed by the alignment; 2.x has 64 bits of flags there.
    let old = space.read_u32(descr.wrapping_add(36))? != 0;
    let item = if old {
        u64::from(space.read_u32(descr.wrapping_add(32))?)
    } else {
        space.read_u64(descr.wrapping_add(40))?
    };
    let mut bytes = item;
    for axis in 0..rank {
        bytes = bytes.saturating_mul(space.read_u64(shape.wrapping_add(axis * 8))?);
    }
    Ok(bytes)
}
