//! What every object has: address, type, size, refcount, generation.

use super::{Hex, number, short_type_name};
use crate::analysis::refcount;
use crate::corefile::Address;
use crate::cpython::{Beside, Generation, ReadField, Runtime, TypeInfo, object_size};
use crate::heap::{ObjectId, ObjectTable};
use serde::Serialize;

/// One object.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectHeader {
    /// Its address: `id()` of it.
    pub address: Hex,
    /// Its type's qualified name.
    pub type_name: String,
    /// Its type object.
    pub type_address: Hex,
    /// `sys.getsizeof()` in bytes; `null` where that cannot be read.
    pub size: Option<u64>,
    /// The same with the memory that it alone owns and `sys.getsizeof()` does not count, as far as that is known.
    pub shallow_size: Option<u64>,
    /// Its reference count; `null` for immortal objects.
    pub refcount: Option<u64>,
    /// It is never freed (PEP 683).
    pub immortal: bool,
    /// `0`, `1`, `2`, `permanent`, `detached` or `untracked`.
    pub generation: &'static str,
    /// Whether the collector tracks it.
    pub tracked: bool,
}

impl ObjectHeader {
    /// An object of the census.
    pub fn counted(runtime: &Runtime<'_>, objects: &ObjectTable, id: ObjectId) -> Self {
        let flags = objects.flags(id);
        let mut header = Self::new(runtime, objects.address(id), flags.generation());
        header.size = Some(objects.size(id));
        header.shallow_size = Some(objects.shallow(id));
        header
    }

    /// The object at `address`, of which the collector's lists say `generation`.
    pub fn new(runtime: &Runtime<'_>, address: Address, generation: Option<Generation>) -> Self {
        let type_address = runtime.space.field(address, runtime.layouts.object.type_).unwrap_or(0);
        let size = object_size(runtime, address).ok();
        let (count, immortal) = refcount(runtime, address).unwrap_or((0, false));
        Self {
            address: Hex(address),
            type_name: type_name(runtime.types.of(type_address)),
            type_address: Hex(type_address),
            size,
            shallow_size: size.map(|size| size.saturating_add_signed(beside(runtime, address))),
            refcount: (!immortal).then_some(count),
            immortal,
            generation: generation.map_or("untracked", Generation::name),
            tracked: generation.is_some(),
        }
    }

    /// The refcount, in words.
    pub fn refcount_text(&self) -> String {
        self.refcount.map_or("immortal".to_owned(), number::count)
    }

    /// The size with what is owned besides, for people; none where that is the same.
    pub fn shallow_text(&self) -> Option<String> {
        self.shallow_size.filter(|_| self.shallow_size != self.size).map(number::bytes)
    }

    /// The size for people.
    pub fn size_text(&self) -> String {
        self.size.map_or("unknown".to_owned(), number::bytes)
    }
}

/// What the object at `address` owns besides its size; negative where that counts other objects.
fn beside(runtime: &Runtime<'_>, address: Address) -> i64 {
    let type_ = runtime.space.field(address, runtime.layouts.object.type_).unwrap_or(0);
    let bytes = |info| Beside::of(runtime, info).bytes(runtime, info, address);
    runtime.types.of(type_).map_or(0, bytes)
}

/// A type's name, or a mark for one that is unknown.
pub fn type_name(info: Option<&TypeInfo>) -> String {
    info.map_or("<unknown type>", |info| short_type_name(&info.name)).to_owned()
}
