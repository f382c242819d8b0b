//! Our own `tp_traverse`: every reference an object holds, what it is to the collector, and where it stands.
//!
//! Knows which words of an object are references, type by type; refuses to know what anybody does with them. An edge is *visited* exactly when
//! the interpreter's own traversal reports it, so that the set equals `gc.get_referents()`.

mod containers;
mod cross_check;
mod frames;
mod greenlets;
mod native;
mod stage;

use super::greenlets::GreenletLayout;
use super::instance::{DictPlace, bytes_of_items};
use super::semantics::{ManagedDict, ValuesHeader, type_flags};
use super::types::{TypeInfo, WalkKind};
use super::words::{ReadField, at, word};
use super::{DictTable, Runtime, Slot};
use crate::corefile::{Address, ReadError};
use crate::graph::EdgeKind;
use crate::machine::CodeCache;

pub use cross_check::Disagreement;
pub use frames::uncounted as uncounted_referents;
pub(in crate::cpython) use native::{follow_code, module_traversal};
pub(in crate::cpython) use stage::Stage;

/// One reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referent {
    /// What it is to the collector.
    pub kind: EdgeKind,
    /// The object referred to.
    pub target: Address,
    /// Where it stands in its holder.
    pub slot: Slot,
}

/// Why an object's references are known in part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Memory it needs is not there.
    Unreadable(ReadError),
    /// Its own traversal could not be followed; its memory was scanned instead.
    Opaque,
}

impl From<ReadError> for Gap {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

/// Reads references; one for each thread, as it remembers decoded machine code.
#[derive(Debug)]
pub struct References<'r, 'core> {
    runtime: &'r Runtime<'core>,
    code: CodeCache,
    greenlets: greenlets::GreenletTypes,
}

impl<'r, 'core> References<'r, 'core> {
    /// A reader over `runtime`.
    pub fn new(runtime: &'r Runtime<'core>) -> Self {
        Self { runtime, code: CodeCache::default(), greenlets: greenlets::GreenletTypes::default() }
    }

    /// Calls `each` with every reference that the instance of `info` at `object` holds.
    ///
    /// # Errors
    /// Part of the object could not be read or understood; what was found has been reported.
    #[inline]
    pub fn visit(
        &mut self,
        info: &TypeInfo,
        object: Address,
        each: &mut impl FnMut(Referent),
    ) -> Result<(), Gap> {
        if info.is_atomic() {
            return Ok(());
        }
        self.visit_parts(info, object, each)?;
        if !info.walk.fields.is_empty() {
            self.visit_fields(info, object, each)?;
        }
        match info.walk.kind {
            WalkKind::Fixed | WalkKind::Recorded { items: None, .. } => Ok(()),
            WalkKind::Recorded { items: Some(first), .. } => {
                Ok(containers::items_behind(self.runtime, info, object, first, each)?)
            }
            WalkKind::Tuple => Ok(containers::tuple(self.runtime, object, each)?),
            WalkKind::StructSequence(items) => {
                Ok(containers::struct_sequence(self.runtime, object, items, each)?)
            }
            WalkKind::List => Ok(containers::list(self.runtime, object, each)?),
            WalkKind::Dict => Ok(containers::dict(self.runtime, object, each)?),
            WalkKind::OrderedDict => Ok(containers::ordered_dict(self.runtime, object, each)?),
            WalkKind::Set => Ok(containers::set(self.runtime, object, each)?),
            WalkKind::Deque => Ok(containers::deque(self.runtime, object, each)?),
            WalkKind::LruCache => Ok(containers::lru_cache(self.runtime, object, each)?),
            WalkKind::Type => Ok(containers::type_object(self.runtime, object, each)?),
            WalkKind::Frame => Ok(frames::frame_object(self.runtime, object, each)?),
            WalkKind::Generator => Ok(frames::generator(self.runtime, object, each)?),
            WalkKind::Code => Ok(frames::code(self.runtime, object, each)?),
            WalkKind::CFunction => Ok(containers::cfunction(self.runtime, object, each)?),
            WalkKind::Module => native::module_state(self.runtime, &mut self.code, object, each),
            WalkKind::Optional { flag, member } => {
                if self.runtime.space.read_u8(object.wrapping_add(u64::from(flag)))? != 0 {
                    let target = self.runtime.space.read_u64(object.wrapping_add(u64::from(member)))?;
                    emit(each, EdgeKind::Owned, target, Slot::Word { type_: info.address, offset: member });
                }
                Ok(())
            }
            WalkKind::NumpyArray => Ok(native::numpy_array(self.runtime, object, each)?),
            // A static type is not the collector's (`type_is_gc`), so that metatypes do not expect to traverse one.
            WalkKind::Machine if info.is_metatype() && !is_heap_type(self.runtime, object) => {
                Ok(containers::type_object(self.runtime, object, each)?)
            }
            WalkKind::Machine => {
                if let Some(layout) = self.greenlets.layout(self.runtime, info) {
                    return self.greenlet(info, &layout, object, each);
                }
                native::follow(self.runtime, &mut self.code, info, object, each)?;
                if info.is_metatype() {
                    // What types own besides, the machine code passes over.
                    let mut owned = |referent: Referent| {
                        if referent.kind == EdgeKind::Owned {
                            each(referent);
                        }
                    };
                    containers::type_object(self.runtime, object, &mut owned)?;
                }
                Ok(())
            }
            WalkKind::Scan if info.is_metatype() => {
                containers::type_object(self.runtime, object, each)?;
                Err(Gap::Opaque)
            }
            WalkKind::Scan => {
                native::scan_object(self.runtime, info, object, each)?;
                Err(Gap::Opaque)
            }
        }
    }

    /// What the traversal of a greenlet visits, and what its frames own besides.
    fn greenlet(
        &mut self,
        info: &TypeInfo,
        layout: &GreenletLayout,
        object: Address,
        each: &mut impl FnMut(Referent),
    ) -> Result<(), Gap> {
        let mut visited = Vec::new();
        let mut note = |referent: Referent| {
            visited.push(referent.target);
            each(referent);
        };
        native::follow(self.runtime, &mut self.code, info, object, &mut note)?;
        let is_visited = |target| visited.contains(&target);
        Ok(greenlets::frames(self.runtime, layout, object, is_visited, each)?)
    }

    /// What `subtype_traverse` visits itself: slots, attributes, the class.
    #[inline]
    fn visit_parts(
        &self,
        info: &TypeInfo,
        object: Address,
        each: &mut impl FnMut(Referent),
    ) -> Result<(), ReadError> {
        let parts = &info.parts;
        for member in &parts.slots {
            let mut place = object.wrapping_add(u64::from(member.offset));
            if member.after_items {
                place = place.wrapping_add(bytes_of_items(self.runtime, info.address, object)?);
            }
            let target = self.runtime.space.read_u64(place)?;
            emit(each, EdgeKind::Visited, target, Slot::SlotMember(member.name));
        }
        match parts.dict {
            DictPlace::None => {}
            DictPlace::Managed => managed_attributes(self.runtime, info, object, each)?,
            DictPlace::Offset(_) | DictPlace::FromEnd(_) => {
                if let Some(place) = dict_slot(self.runtime, info, object)? {
                    let dict = self.runtime.space.read_u64(place)?;
                    emit(each, EdgeKind::Visited, dict, Slot::InstanceDict);
                }
            }
        }
        if let Some(kind) = parts.type_edge {
            emit(each, kind, info.address, Slot::Type);
        }
        Ok(())
    }

    #[inline]
    fn visit_fields(
        &self,
        info: &TypeInfo,
        object: Address,
        each: &mut impl FnMut(Referent),
    ) -> Result<(), ReadError> {
        let bytes = self.runtime.space.peek(object, info.basicsize as usize)?;
        for field in &info.walk.fields {
            self.runtime.space.record(object.wrapping_add(u64::from(field.offset)), 8);
            let slot = match field.name {
                Some(name) => Slot::Field(name),
                None => Slot::Word { type_: info.address, offset: field.offset },
            };
            emit(each, field.kind, word(bytes, field.offset as usize), slot);
        }
        Ok(())
    }
}

/// Whether the type object at `type_` was made at run time.
fn is_heap_type(runtime: &Runtime<'_>, type_: Address) -> bool {
    let flags = runtime.space.field(type_, runtime.layouts.type_.flags);
    flags.is_ok_and(|flags| flags & type_flags::HEAPTYPE != 0)
}

/// Reports a reference unless it is NULL.
#[inline(always)]
fn emit(each: &mut impl FnMut(Referent), kind: EdgeKind, target: Address, slot: Slot) {
    if target != 0 {
        each(Referent { kind, target, slot });
    }
}

/// Address of the `__dict__` pointer of an instance whose type keeps it inside the object.
///
/// # Errors
/// An object of variable size whose size cannot be read.
pub fn dict_slot(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
) -> Result<Option<Address>, ReadError> {
    Ok(match info.parts.dict {
        DictPlace::Offset(offset) => Some(object.wrapping_add(u64::from(offset))),
        DictPlace::FromEnd(offset) => {
            // _PyObject_ComputedDictPointer, Objects/object.c.
            let items =
                (runtime.space.field(object, runtime.layouts.var_object.ob_size)? as i64).unsigned_abs();
            let size = info.basicsize.saturating_add(info.itemsize.saturating_mul(items)).next_multiple_of(8);
            Some(object.wrapping_add(size).wrapping_add_signed(offset))
        }
        DictPlace::None | DictPlace::Managed => None,
    })
}

/// Where an instance with a managed dict keeps its attributes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// Nowhere: it has none yet.
    None,
    /// In a dict.
    Dict(Address),
    /// In an array whose names are the class's cached keys; so many words are valid.
    Values {
        /// First value word.
        first: Address,
        /// Words of the array; `None`: as many as the keys table has entries.
        capacity: Option<u32>,
        /// The dict that shares the array, or 0.
        dict: Address,
    },
}

/// Finds the attributes of an instance with a managed dict.
///
/// # Errors
/// The words in front of the object cannot be read.
#[inline]
pub fn managed_place(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
) -> Result<Attributes, ReadError> {
    let space = &runtime.space;
    let dict_at = object.wrapping_sub(runtime.semantics.dict_slot());
    let from_dict = |dict| if dict == 0 { Attributes::None } else { Attributes::Dict(dict) };
    Ok(match runtime.semantics.managed_dict {
        ManagedDict::TwoSlots => {
            let values = space.read_u64(dict_at.wrapping_sub(8))?;
            match values {
                0 => from_dict(space.read_u64(dict_at)?),
                first => Attributes::Values { first, capacity: None, dict: space.read_u64(dict_at)? },
            }
        }
        ManagedDict::TaggedWord => match space.read_u64(dict_at)? {
            odd if odd & 1 == 1 => Attributes::Values { first: odd.wrapping_add(1), capacity: None, dict: 0 },
            dict => from_dict(dict),
        },
        ManagedDict::InlineValues => {
            let dict = space.read_u64(dict_at)?;
            match inline_values(runtime, info, object)? {
                Some((first, capacity)) => Attributes::Values { first, capacity: Some(capacity), dict },
                None => from_dict(dict),
            }
        }
    })
}

/// Inline values of an instance, if its type has them and they are valid: first word and capacity.
#[inline]
fn inline_values(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
) -> Result<Option<(Address, u32)>, ReadError> {
    debug_assert!(runtime.semantics.values_header == ValuesHeader::Fields);
    let l = &runtime.layouts.dict_values;
    let (true, Some(capacity), Some(valid)) = (info.parts.inline_values, l.capacity, l.valid) else {
        return Ok(None);
    };
    let values = object.wrapping_add(info.basicsize);
    let header = runtime.space.slice(values, l.size as usize)?;
    let byte = |offset: usize| header.get(offset).copied().unwrap_or(0);
    if byte(at(valid)) == 0 {
        return Ok(None);
    }
    Ok(Some((
        values.wrapping_add(u64::from(l.values.map_or(0, |field| field.offset))),
        u32::from(byte(at(capacity))),
    )))
}

/// `PyObject_VisitManagedDict` (3.13), `_PyObject_VisitManagedDict` (3.12), `_PyObject_VisitInstanceAttributes` (3.11).
#[inline]
fn managed_attributes(
    runtime: &Runtime<'_>,
    info: &TypeInfo,
    object: Address,
    each: &mut impl FnMut(Referent),
) -> Result<(), ReadError> {
    match managed_place(runtime, info, object)? {
        Attributes::None => {}
        Attributes::Dict(dict) => emit(each, EdgeKind::Visited, dict, Slot::InstanceDict),
        Attributes::Values { dict, .. } if dict != 0 && runtime.semantics.shared_dict_visited => {
            emit(each, EdgeKind::Visited, dict, Slot::InstanceDict);
        }
        Attributes::Values { first, capacity, dict } => {
            let keys = DictTable::read(runtime, info.parts.cached_keys)?;
            let count = capacity.unwrap_or(keys.nentries as u32) as usize;
            let values = runtime.space.slice(first, count * 8)?;
            for index in 0..count {
                emit(each, EdgeKind::Visited, word(values, index * 8), Slot::Attribute(keys.key(index)));
            }
            // 3.13 does not visit a dict that shares the inline values (gh-117750), 3.11 visits it through tp_dictoffset.
            let kind = match runtime.semantics.managed_dict {
                ManagedDict::InlineValues => EdgeKind::Owned,
                _ => EdgeKind::Visited,
            };
            emit(each, kind, dict, Slot::InstanceDict);
        }
    }
    Ok(())
}
