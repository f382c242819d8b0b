//! References of containers: sequences, dicts, sets, types, builtin functions.

use super::{Referent, emit};
use crate::corefile::{Address, ReadError};
use crate::cpython::semantics::type_flags;
use crate::cpython::type_search::static_parts;
use crate::cpython::types::TypeInfo;
use crate::cpython::values::REMOVED_HASH;
use crate::cpython::words::{ReadField, at, word};
use crate::cpython::{DictItems, DictTable, Runtime, Slot};
use crate::graph::EdgeKind;

type Result = std::result::Result<(), ReadError>;

/// `METH_METHOD` (Include/methodobject.h): the builtin function knows its defining class.
const METH_METHOD: u64 = 0x200;

/// Number of bytes of `count` words, for slices; what overflows is unreadable anyway.
#[inline(always)]
fn words(count: u64) -> usize {
    usize::try_from(count.saturating_mul(8)).unwrap_or(usize::MAX)
}

/// Items of a tuple (Objects/tupleobject.c, `tupletraverse`).
#[inline]
pub fn tuple(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    let length = runtime.space.field(object, l.var_object.ob_size)?;
    let start = object.wrapping_add(u64::from(l.tuple.items.offset));
    items(runtime, start, length, each)
}

/// All items of a struct sequence, more than its length as a tuple may say (Objects/structseq.c, `structseq_traverse`).
pub fn struct_sequence(
    runtime: &Runtime<'_>,
    object: Address,
    count: u32,
    each: &mut impl FnMut(Referent),
) -> Result {
    let start = object.wrapping_add(u64::from(runtime.layouts.tuple.items.offset));
    items(runtime, start, u64::from(count), each)
}

/// Items of a list (Objects/listobject.c, `list_traverse`).
#[inline]
pub fn list(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    let header = runtime.space.slice(object, l.list.size as usize)?;
    match word(header, at(l.var_object.ob_size)) {
        0 => Ok(()),
        length => items(runtime, word(header, at(l.list.items)), length, each),
    }
}

#[inline]
fn items(runtime: &Runtime<'_>, start: Address, length: u64, each: &mut impl FnMut(Referent)) -> Result {
    let bytes = runtime.space.slice(start, words(length))?;
    for (index, item) in bytes.as_chunks::<8>().0.iter().enumerate() {
        emit(each, EdgeKind::Visited, u64::from_le_bytes(*item), Slot::Index(index as u64));
    }
    Ok(())
}

/// Keys and values of a dict (Objects/dictobject.c, `dict_traverse`): keys that are all str are owned, not visited;
/// keys of a split table belong to the table; values inside an instance are the instance's, or the dict's where the
/// instance visits the dict.
#[inline]
pub fn dict(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let view = DictItems::read(runtime, object)?;
    if view.embedded && !runtime.semantics.shared_dict_visited {
        return Ok(());
    }
    if view.split_values.is_some() {
        return view.for_each(runtime, |key, value| emit(each, EdgeKind::Visited, value, Slot::Value(key)));
    }
    let keys = if view.table.all_str { EdgeKind::Owned } else { EdgeKind::Visited };
    for (key, value) in view.table.entries() {
        if value != 0 {
            emit(each, EdgeKind::Visited, value, Slot::Value(key));
            emit(each, keys, key, Slot::Key);
        }
    }
    Ok(())
}

/// Nodes of an OrderedDict, then its dict (Objects/odictobject.c, `odict_traverse`).
pub fn ordered_dict(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    emit(each, EdgeKind::Visited, runtime.space.field(object, l.odict.inst_dict)?, Slot::InstanceDict);
    let mut node = runtime.space.field(object, l.odict.first)?;
    let mut left = runtime.space.field(object, l.dict.used)?.saturating_add(1);
    while node != 0 && left > 0 {
        emit(each, EdgeKind::Visited, runtime.space.field(node, l.odict_node.key)?, Slot::Key);
        node = runtime.space.field(node, l.odict_node.next)?;
        left -= 1;
    }
    dict(runtime, object, each)
}

/// Elements of a set (Objects/setobject.c, `set_traverse`).
#[inline]
pub fn set(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts.set;
    let header = runtime.space.slice(object, l.size as usize)?;
    let slots = word(header, at(l.mask)).saturating_add(1);
    let table = runtime.space.slice(word(header, at(l.table)), words(slots.saturating_mul(2)))?;
    for entry in table.as_chunks::<16>().0 {
        if word(entry, 8) != REMOVED_HASH {
            emit(each, EdgeKind::Visited, word(entry, 0), Slot::Element);
        }
    }
    Ok(())
}

/// Elements of a deque (Modules/_collectionsmodule.c, `deque_traverse`).
pub fn deque(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    let length = runtime.space.field(object, l.var_object.ob_size)?;
    let per_block = u64::from(l.deque_block.items.size / 8).max(1);
    let mut block = runtime.space.field(object, l.deque.leftblock)?;
    let mut position = runtime.space.field(object, l.deque.leftindex)?;
    let mut done = 0;
    while done < length {
        let start = block.wrapping_add(u64::from(l.deque_block.items.offset));
        let items = runtime.space.peek(start, words(per_block))?;
        // Places of a block that hold no item were never set.
        let taken = per_block.saturating_sub(position).min(length - done);
        runtime.space.record(start.wrapping_add(position.saturating_mul(8)), words(taken));
        while position < per_block && done < length {
            emit(each, EdgeKind::Visited, word(items, position as usize * 8), Slot::Index(done));
            position += 1;
            done += 1;
        }
        position = 0;
        block = runtime.space.field(block, l.deque_block.right)?;
    }
    Ok(())
}

/// Remembered calls of an lru_cache (Modules/_functoolsmodule.c, `lru_cache_tp_traverse`): what its links hold is visited
/// in their place, their reference to their type included.
pub fn lru_cache(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    let root = object.wrapping_add(u64::from(l.lru_cache.root.offset));
    let mut link = runtime.space.field(root, l.lru_elem.next)?;
    let mut left = runtime.mapped_bytes / 64;
    while link != root && link != 0 && left > 0 {
        emit(each, EdgeKind::Owned, link, Slot::CacheLink);
        emit(each, EdgeKind::Visited, runtime.space.field(link, l.lru_elem.key)?, Slot::CacheKey);
        emit(each, EdgeKind::Visited, runtime.space.field(link, l.lru_elem.result)?, Slot::CacheResult);
        // Modules/_functoolsmodule.c: since 3.10 links are of a type made at run time.
        if l.lru_cache.elem_type.is_some() {
            emit(each, EdgeKind::Visited, runtime.space.field(link, l.object.type_)?, Slot::Type);
        }
        link = runtime.space.field(link, l.lru_elem.next)?;
        left -= 1;
    }
    Ok(())
}

/// A type object (Objects/typeobject.c, `type_traverse`). Static types are not the collector's: what they hold is owned.
pub fn type_object(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let l = &runtime.layouts;
    let bytes = runtime.space.slice(object, l.type_.size as usize)?;
    let heap_type = word(bytes, at(l.type_.flags)) & type_flags::HEAPTYPE != 0;
    let visited = if heap_type { EdgeKind::Visited } else { EdgeKind::Owned };
    for (field, name) in [(l.type_.cache, "tp_cache"), (l.type_.mro, "__mro__"), (l.type_.bases, "__bases__")]
    {
        emit(each, visited, word(bytes, at(field)), Slot::Field(name));
    }
    if !heap_type {
        // `tp_base` of a static type is not counted: `__bases__` holds the base.
        let mut managed = false;
        for interpreter in 0..runtime.interpreters.len() {
            if let Some(parts) = static_parts(runtime, interpreter, object) {
                managed = true;
                emit(each, EdgeKind::Owned, parts.dict, Slot::Field("__dict__"));
                emit(each, EdgeKind::Owned, parts.subclasses, Slot::Field("tp_subclasses"));
            }
        }
        if !managed {
            emit(each, EdgeKind::Owned, word(bytes, at(l.type_.dict)), Slot::Field("__dict__"));
            emit(each, EdgeKind::Owned, word(bytes, at(l.type_.subclasses)), Slot::Field("tp_subclasses"));
        }
        return Ok(());
    }
    emit(each, EdgeKind::Visited, word(bytes, at(l.type_.base)), Slot::Field("__base__"));
    emit(each, EdgeKind::Visited, word(bytes, at(l.type_.dict)), Slot::Field("__dict__"));
    emit(each, EdgeKind::Owned, word(bytes, at(l.type_.subclasses)), Slot::Field("tp_subclasses"));
    let heap = runtime.space.slice(object, l.heap_type.size as usize)?;
    if let Some(module) = l.heap_type.module {
        emit(each, EdgeKind::Visited, word(heap, at(module)), Slot::Field("ht_module"));
    }
    for (field, name) in [
        (l.heap_type.name, "__name__"),
        (l.heap_type.qualname, "__qualname__"),
        (l.heap_type.slots, "__slots__"),
    ] {
        emit(each, EdgeKind::Owned, word(heap, at(field)), Slot::Field(name));
    }
    let keys = word(heap, at(l.heap_type.cached_keys));
    if keys != 0 {
        for (key, _) in DictTable::read(runtime, keys)?.entries() {
            emit(each, EdgeKind::Owned, key, Slot::Field("ht_cached_keys"));
        }
    }
    Ok(())
}

/// The defining class of a builtin method (Objects/methodobject.c, `meth_traverse`).
pub fn cfunction(runtime: &Runtime<'_>, object: Address, each: &mut impl FnMut(Referent)) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some(class) = l.cmethod.class else { return Ok(()) };
    let def = space.field(object, l.cfunction.def)?;
    // The definition may be constant, and then only in the file. A subtype of the usual type has the class, and only it
    // (Objects/methodobject.c, `PyCMethod_New`, 3.9 and later).
    let has_class = match space.small(def, l.method_def.flags) {
        Ok(flags) => flags & METH_METHOD != 0,
        Err(_) => {
            let type_ = space.field(object, l.object.type_)?;
            space.field(type_, l.type_.basicsize)? >= u64::from(l.cmethod.size)
        }
    };
    if has_class {
        emit(each, EdgeKind::Visited, space.field(object, class)?, Slot::Field("mm_class"));
    }
    Ok(())
}

/// The items behind an object's struct, from `first` on: as many as its `ob_size` says.
pub fn items_behind(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
    first: u32,
    each: &mut impl FnMut(Referent),
) -> Result {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let count = space.signed(object, l.var_object.ob_size)?.unsigned_abs();
    for index in 0..count {
        let Some(offset) =
            u32::try_from(index).ok().and_then(|index| index.checked_mul(8)?.checked_add(first))
        else {
            break;
        };
        let target = space.read_u64(object.wrapping_add(u64::from(offset)))?;
        emit(each, EdgeKind::Visited, target, Slot::Word { type_: info.address, offset });
    }
    Ok(())
}
