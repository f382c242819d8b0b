//! What a class statement adds to instances: `__slots__`, the attribute dict in all its forms, the reference to the class.
//!
//! Knows `subtype_traverse` (Objects/typeobject.c) and where attributes lie; refuses to know the C part of the type.

use super::semantics::{ManagedDict, type_flags};
use super::types::{WalkKind, traversal_owner};
use super::words::ReadField;
use super::{Runtime, names};
use crate::corefile::{Address, ReadError};
use crate::graph::EdgeKind;

/// `Py_T_OBJECT_EX` (Include/structmember.h): the member type of `__slots__`.
const T_OBJECT_EX: i64 = 16;
/// `_Py_AFTER_ITEMS` (Include/descrobject.h, 3.15): the member lies behind the items of an object of variable size.
const AFTER_ITEMS: i64 = 1 << 4;
/// The one type whose instances' reference to it is visited by the object that holds them (`lru_cache_tp_traverse`,
/// Modules/_functoolsmodule.c); it would count twice.
const VISITED_BY_HOLDER: &str = "functools._lru_list_elem";
/// More slots than any class has.
const MAX_SLOTS: u64 = 100_000;

/// Where instances of a type keep their `__dict__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictPlace {
    /// They have none that this type adds.
    None,
    /// A pointer this many bytes from the object's start.
    Offset(u32),
    /// A pointer this many bytes from the end of an object of variable size (negative).
    FromEnd(i64),
    /// In front of the object, or in the object.
    Managed,
}

/// One `__slots__` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMember {
    /// Bytes from the object's start.
    pub offset: u32,
    /// The bytes of the object's items come in addition: classes made from tuple, 3.15.
    pub after_items: bool,
    /// Its name, a C string.
    pub name: Address,
}

/// Whether the `PyMemberDef` at `record` is of a member behind the items of an object of variable size.
pub fn lies_after_items(runtime: &Runtime<'_>, record: Address) -> bool {
    runtime.space.signed(record, runtime.layouts.member_def.flags).is_ok_and(|flags| flags & AFTER_ITEMS != 0)
}

/// Bytes of the items of the object at `object`, whose type is at `type_`, in whole words (Python/structmember.c,
/// `_PyMember_GetOffset`, 3.15).
///
/// # Errors
/// The object or its type is not readable.
pub fn bytes_of_items(runtime: &Runtime<'_>, type_: Address, object: Address) -> Result<u64, ReadError> {
    let l = &runtime.layouts;
    let count = (runtime.space.field(object, l.var_object.ob_size)? as i64).unsigned_abs();
    let each = runtime.space.field(type_, l.type_.itemsize)?;
    Ok(count.saturating_mul(each).checked_next_multiple_of(8).unwrap_or(0))
}

/// What `subtype_traverse` visits before the base's own traversal.
#[derive(Clone, Debug)]
pub struct InstanceParts {
    /// Members of `__slots__`, of this class and the classes above it.
    pub slots: Box<[SlotMember]>,
    /// The attribute dict this chain of classes adds.
    pub dict: DictPlace,
    /// The reference to the class.
    pub type_edge: Option<EdgeKind>,
    /// Whether values lie in the object itself (3.13+).
    pub inline_values: bool,
    /// `ht_cached_keys`: names of attributes kept outside a dict.
    pub cached_keys: Address,
    /// `tp_weaklistoffset`.
    pub weaklist_offset: i64,
}

impl InstanceParts {
    /// Reads the chain from the class at `type_` down to `base`, the first ancestor with a traversal of its own.
    /// `walk`: a traversal that is followed as code, now or once before, reports the reference to a heap type itself.
    pub fn of(runtime: &Runtime<'_>, type_: Address, base: Address, walk: WalkKind) -> Self {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let read = |address, field| space.field(address, field).unwrap_or(0);
        let flags = read(type_, l.type_.flags);
        let mut slots = Vec::new();
        let mut current = type_;
        while current != base && current != 0 {
            read_slots(runtime, current, &mut slots);
            current = read(current, l.type_.base);
        }
        let type_edge = type_edge(runtime, type_, base, walk);
        Self {
            slots: slots.into_boxed_slice(),
            dict: match walk {
                WalkKind::Recorded { managed_dict: true, .. } => DictPlace::Managed,
                _ => dict_place(runtime, type_, base),
            },
            type_edge,
            inline_values: flags & type_flags::INLINE_VALUES != 0
                && runtime.semantics.managed_dict == ManagedDict::InlineValues,
            cached_keys: if flags & type_flags::HEAPTYPE != 0 {
                read(type_, l.heap_type.cached_keys)
            } else {
                0
            },
            weaklist_offset: read(type_, l.type_.weaklistoffset) as i64,
        }
    }

    /// Whether instances get nothing from class statements.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.dict == DictPlace::None && self.type_edge.is_none()
    }
}

/// What the reference from an instance of `type_` to the type itself is to the collector. A type made at run time is
/// visited by the traversal it defines (bpo-40217), or, made by a class statement over a static one, by
/// `subtype_traverse`; one that merely inherits a static type's traversal is not visited at all.
fn type_edge(runtime: &Runtime<'_>, type_: Address, base: Address, walk: WalkKind) -> Option<EdgeKind> {
    let l = &runtime.layouts.type_;
    let read = |address, field| runtime.space.field(address, field).unwrap_or(0);
    let is_heap_type = |address| read(address, l.flags) & type_flags::HEAPTYPE != 0;
    // Instances of static types hold no reference to them.
    if !is_heap_type(type_) || names::tp_name(runtime, type_) == VISITED_BY_HOLDER {
        return None;
    }
    let base_traverses = read(base, l.traverse) != 0;
    let native_visits = runtime.semantics.native_heap_types_visit_type;
    let base_reports = native_visits && base_traverses && is_heap_type(traversal_owner(runtime, base));
    let class_reports = type_ != base && !(native_visits && base_traverses && is_heap_type(base));
    if read(type_, l.flags) & type_flags::HAVE_GC == 0 || !(base_reports || class_reports) {
        return Some(EdgeKind::Owned);
    }
    match walk {
        WalkKind::Machine | WalkKind::Recorded { .. } if base_reports => None,
        // Some types forget to visit it (Modules/cjkcodecs/multibytecodec.c): what is not known is not claimed.
        WalkKind::Scan if base_reports => Some(EdgeKind::Owned),
        _ => Some(EdgeKind::Visited),
    }
}

/// Where the classes above `base` keep the attribute dict they add.
fn dict_place(runtime: &Runtime<'_>, type_: Address, base: Address) -> DictPlace {
    let l = &runtime.layouts.type_;
    let read = |address, field| runtime.space.field(address, field).unwrap_or(0);
    if type_ == base {
        return DictPlace::None;
    }
    let offset = read(type_, l.dictoffset) as i64;
    let added = offset != read(base, l.dictoffset) as i64;
    let managed = read(type_, l.flags) & type_flags::MANAGED_DICT != 0;
    // 3.11 visits managed values whatever the offsets say; later releases only where these classes added the dict.
    if managed && (added || runtime.semantics.managed_dict == ManagedDict::TwoSlots) {
        return DictPlace::Managed;
    }
    match offset {
        0 => DictPlace::None,
        _ if !added => DictPlace::None,
        1.. => u32::try_from(offset).map_or(DictPlace::None, DictPlace::Offset),
        _ => DictPlace::FromEnd(offset),
    }
}

/// Appends the `__slots__` members that the class at `type_` itself declares. Their records follow the type object.
fn read_slots(runtime: &Runtime<'_>, type_: Address, slots: &mut Vec<SlotMember>) {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Ok(count) = space.field(type_, l.var_object.ob_size) else { return };
    let Ok(metatype) = space.field(type_, l.object.type_) else { return };
    let Ok(start) = space.field(metatype, l.type_.basicsize) else { return };
    for index in 0..count.min(MAX_SLOTS) {
        let record = type_.wrapping_add(start).wrapping_add(index * u64::from(l.member_def.size));
        let (Ok(kind), Ok(offset), Ok(name)) = (
            space.signed(record, l.member_def.type_),
            space.field(record, l.member_def.offset),
            space.field(record, l.member_def.name),
        ) else {
            return;
        };
        if let (T_OBJECT_EX, Ok(offset)) = (kind, u32::try_from(offset)) {
            slots.push(SlotMember { offset, name, after_items: lies_after_items(runtime, record) });
        }
    }
}
