//! Which types there are: all that objects, bases and subclasses lead to, and what proves that an address is one.
//!
//! Knows how types refer to each other and where the interpreter keeps that; refuses to know what their instances look like.

use super::dict::dict_items;
use super::semantics::type_flags;
use super::words::{ReadField, at, word};
use super::{Runtime, values};
use crate::corefile::Address;
use rustc_hash::FxHashSet;

/// More types than any process has; a longer table is damage.
const MAX_TYPES: usize = 4_000_000;
/// Longest chain of bases that is followed.
pub(super) const MAX_BASES: usize = 1000;

/// Addresses of the types of the objects on the collector's lists, and of all subclasses of `object`, ascending.
pub(super) fn all_types(runtime: &Runtime<'_>) -> Vec<Address> {
    let mut search = TypeSearch { runtime, known: FxHashSet::default(), pending: Vec::new() };
    search.add(runtime.landmarks.type_type);
    search.add(runtime.landmarks.object_type);
    for list in &runtime.gc_lists {
        list.types.iter().for_each(|&type_| search.add(type_));
    }
    search.close();
    let mut addresses: Vec<Address> = search.known.into_iter().collect();
    addresses.sort_unstable();
    addresses
}

/// Addresses of the types that `candidates` lead to, besides those that are `known`; ascending.
pub(super) fn more_types(
    runtime: &Runtime<'_>,
    known: impl Iterator<Item = Address> + Clone,
    candidates: impl IntoIterator<Item = Address>,
) -> Vec<Address> {
    let mut search = TypeSearch { runtime, known: known.clone().collect(), pending: Vec::new() };
    candidates.into_iter().for_each(|candidate| search.add(candidate));
    search.close();
    known.for_each(|address| {
        search.known.remove(&address);
    });
    let mut addresses: Vec<Address> = search.known.into_iter().collect();
    addresses.sort_unstable();
    addresses
}

/// Whether the word `candidate` is the address of a type object in use: it is ready and inherits from `object`, and its
/// own type inherits from `type`. Memory that merely looks alike does not chain up to these two.
pub fn is_type(runtime: &Runtime<'_>, candidate: Address) -> bool {
    let l = &runtime.layouts;
    let Ok(bytes) = runtime.space.peek(candidate, l.type_.size as usize) else { return false };
    let metatype = word(bytes, at(l.object.type_));
    if !candidate.is_multiple_of(8) || !inherits(runtime, metatype, runtime.landmarks.type_type) {
        return false;
    }
    let ready = word(bytes, at(l.type_.flags)) & type_flags::READY != 0;
    // 3.11 makes instances of static types that it never finished (positions_iterator, Objects/codeobject.c).
    let unfinished = || {
        metatype == runtime.landmarks.type_type
            && runtime.binaries.containing(candidate).is_some()
            && runtime.binaries.containing(word(bytes, at(l.type_.dealloc))).is_some()
    };
    if ready { inherits(runtime, candidate, runtime.landmarks.object_type) } else { unfinished() }
}

/// Whether `ancestor` is `type_` or one of its bases. What is looked at may be anything, so it is not recorded as read:
/// whatever turns out to be a type is read as one.
fn inherits(runtime: &Runtime<'_>, type_: Address, ancestor: Address) -> bool {
    let mut current = type_;
    for _ in 0..MAX_BASES {
        if current == ancestor {
            return true;
        }
        let base = current.wrapping_add(u64::from(runtime.layouts.type_.base.offset));
        let base = runtime.space.peek(base, 8).ok().and_then(|bytes| bytes.first_chunk());
        match base.map(|bytes| u64::from_le_bytes(*bytes)) {
            Some(base) if base != 0 && base.is_multiple_of(8) => current = base,
            _ => return false,
        }
    }
    false
}

/// Closes a set of types under bases, metatypes and subclasses.
struct TypeSearch<'r, 'core> {
    runtime: &'r Runtime<'core>,
    known: FxHashSet<Address>,
    pending: Vec<Address>,
}

impl TypeSearch<'_, '_> {
    fn add(&mut self, candidate: Address) {
        if candidate != 0
            && self.known.len() < MAX_TYPES
            && !self.known.contains(&candidate)
            && is_type(self.runtime, candidate)
        {
            self.known.insert(candidate);
            self.pending.push(candidate);
        }
    }

    fn close(&mut self) {
        let runtime = self.runtime;
        let l = &runtime.layouts;
        while let Some(type_) = self.pending.pop() {
            for field in [l.object.type_, l.type_.base] {
                if let Ok(next) = runtime.space.field(type_, field) {
                    self.add(next);
                }
            }
            if let Ok(mro) = runtime.space.field(type_, l.type_.mro) {
                for base in values::tuple_items(runtime, mro).unwrap_or_default() {
                    self.add(base);
                }
            }
            for interpreter in 0..runtime.interpreters.len() {
                let subclasses = static_parts(runtime, interpreter, type_).map_or_else(
                    || runtime.space.field(type_, l.type_.subclasses).unwrap_or(0),
                    |parts| parts.subclasses,
                );
                // A dict from address to weak reference (type.__subclasses__()).
                for (_, reference) in dict_items_if_dict(runtime, subclasses) {
                    if let Ok(subclass) = runtime.space.field(reference, l.weakref.object) {
                        self.add(subclass);
                    }
                }
            }
        }
    }
}

fn dict_items_if_dict(runtime: &Runtime<'_>, address: Address) -> Vec<(Address, Address)> {
    if address != 0 && values::has_flag(runtime, address, type_flags::DICT_SUBCLASS) {
        dict_items(runtime, address)
    } else {
        Vec::new()
    }
}

/// Per-interpreter members of a static builtin type (3.12+; Objects/typeobject.c, gh-94673).
#[derive(Clone, Copy, Debug)]
pub struct StaticParts {
    /// `tp_dict`.
    pub dict: Address,
    /// `tp_subclasses`.
    pub subclasses: Address,
}

/// Looks up a static builtin type's members in `interpreter`; `None` for types that keep them themselves.
pub fn static_parts(runtime: &Runtime<'_>, interpreter: usize, type_: Address) -> Option<StaticParts> {
    let l = &runtime.layouts;
    let flags = runtime.space.field(type_, l.type_.flags).ok()?;
    if flags & type_flags::STATIC_BUILTIN == 0 {
        return None;
    }
    let index = runtime.space.field(type_, l.type_.subclasses).ok()?.checked_sub(1)?;
    let base = runtime.interpreters.get(interpreter)?.address;
    for table in [l.interpreter.types_builtins, l.interpreter.types_for_extensions].into_iter().flatten() {
        let entry = base
            .wrapping_add(u64::from(table.offset))
            .wrapping_add(index.wrapping_mul(u64::from(l.static_type.size)));
        let read = |field: Option<_>| field.and_then(|field| runtime.space.field(entry, field).ok());
        if read(l.static_type.type_) == Some(type_) {
            return Some(StaticParts {
                dict: read(l.static_type.dict)?,
                subclasses: read(l.static_type.subclasses)?,
            });
        }
    }
    None
}

/// `tp_dict` of a type, wherever the interpreter keeps it.
pub fn type_dict(runtime: &Runtime<'_>, type_: Address) -> Address {
    static_parts(runtime, 0, type_).map_or_else(
        || runtime.space.field(type_, runtime.layouts.type_.dict).unwrap_or(0),
        |parts| parts.dict,
    )
}
