//! What field names cannot say: encodings, flag bits, and which of several algorithms an interpreter runs.
//!
//! Decided by the presence of a name where that is possible. Besides the reader of `_Py_DebugOffsets`, this is the only
//! file that may compare versions; each comparison cites the CPython source file and release it rests on.

use super::layouts::Layouts;

/// A CPython release, as `PY_VERSION_HEX` encodes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PyVersion(pub u32);

impl PyVersion {
    /// Major version: 3.
    pub fn major(self) -> u32 {
        self.0 >> 24
    }

    /// Minor version: the 12 of 3.12.1.
    pub fn minor(self) -> u32 {
        (self.0 >> 16) & 0xff
    }

    /// Patch level: the 1 of 3.12.1.
    pub fn micro(self) -> u32 {
        (self.0 >> 8) & 0xff
    }

    /// From the text of a release: `3.15.0rc1`. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (major, minor, micro) = (parts.next()?, parts.next()?, parts.next()?);
        let end = micro.find(|c: char| !c.is_ascii_digit()).unwrap_or(micro.len());
        let (micro, level) = micro.split_at_checked(end)?;
        let (level, serial) =
            match level.split_at_checked(level.find(|c: char| c.is_ascii_digit()).unwrap_or(0))? {
                ("a", serial) => (0xa, serial.parse::<u8>().ok()?),
                ("b", serial) => (0xb, serial.parse::<u8>().ok()?),
                ("rc", serial) => (0xc, serial.parse::<u8>().ok()?),
                ("", "") => (0xf, 0),
                _ => return None,
            };
        let byte = |text: &str| text.parse::<u8>().ok().map(u32::from);
        let serial = u32::from(serial).min(0xf);
        Some(Self(byte(major)? << 24 | byte(minor)? << 16 | byte(micro)? << 8 | level << 4 | serial))
    }

    /// Whether this is `first`, `last` or a release between them.
    pub fn lies_within(self, first: Self, last: Self) -> bool {
        first.0 <= self.0 && self.0 <= last.0
    }

    /// How far answers about this release are to be trusted.
    pub fn support(self) -> Support {
        match self.0 {
            // The pipeline is proved against the interpreter on these minors (tests/matrix).
            0x0308_0000..0x0310_0000 => Support::Proved,
            // All structs are found by name; 3.6 has no _PyRuntime (Include/internal/pystate.h, 3.7).
            0x0307_0000..0x0308_0000 => Support::ByNames,
            _ => Support::Unknown,
        }
    }
}

impl std::fmt::Display for PyVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major(), self.minor(), self.micro())?;
        let serial = self.0 & 0xf;
        match (self.0 >> 4) & 0xf {
            0xa => write!(f, "a{serial}"),
            0xb => write!(f, "b{serial}"),
            0xc => write!(f, "rc{serial}"),
            _ => Ok(()),
        }
    }
}

/// How far the answers about a release are known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Collector, frames, types and allocator are decoded, and proved against the interpreter.
    Proved,
    /// Decoded as far as structs and fields bear the names of later releases; nothing is proved.
    ByNames,
    /// Not decoded.
    Unknown,
}

/// `tp_flags` bits (Include/object.h, Include/cpython/object.h).
pub mod type_flags {
    /// 3.12+: a static type of the interpreter itself, with per-interpreter state.
    pub const STATIC_BUILTIN: u64 = 1 << 1;
    /// 3.13+: attribute values lie in the object itself.
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// 3.12+: a slot for weak references lies in front of the object.
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// 3.11+: a slot for the instance dict lies in front of the object.
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Made at run time.
    pub const HEAPTYPE: u64 = 1 << 9;
    /// `PyType_Ready` has finished.
    pub const READY: u64 = 1 << 12;
    /// Instances have a GC head.
    pub const HAVE_GC: u64 = 1 << 14;
    /// Subclass of `int`.
    pub const LONG_SUBCLASS: u64 = 1 << 24;
    /// Subclass of `list`.
    pub const LIST_SUBCLASS: u64 = 1 << 25;
    /// Subclass of `tuple`.
    pub const TUPLE_SUBCLASS: u64 = 1 << 26;
    /// Subclass of `bytes`.
    pub const BYTES_SUBCLASS: u64 = 1 << 27;
    /// Subclass of `str`.
    pub const UNICODE_SUBCLASS: u64 = 1 << 28;
    /// Subclass of `dict`.
    pub const DICT_SUBCLASS: u64 = 1 << 29;
    /// Subclass of `BaseException`.
    pub const BASE_EXC_SUBCLASS: u64 = 1 << 30;
    /// Subclass of `type`: instances are types.
    pub const TYPE_SUBCLASS: u64 = 1 << 31;
}

/// Where instances with a managed dict keep their attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedDict {
    /// 3.11: a values pointer four words and a dict pointer three words before the object
    /// (`_PyObject_ValuesPointer`, Include/internal/pycore_object.h).
    TwoSlots,
    /// 3.12: one word three words before the object; odd means "values minus one" (`PyDictOrValues`).
    TaggedWord,
    /// 3.13+: a dict pointer three words before the object, values inline after it (gh-115776).
    InlineValues,
}

/// How a `PyDictValues` block tells its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValuesHeader {
    /// 3.11, 3.12: bytes in front of the first value, the last of which is the prefix's size.
    Prefix,
    /// 3.13+: named fields (`capacity`, `size`, `embedded`, `valid`).
    Fields,
}

/// How refcounts and immortality are encoded in the header's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefcountRule {
    /// Up to 3.11: a signed word, no immortal objects.
    Plain,
    /// 3.12+ (PEP 683): the low 32 bits; negative as `i32` means immortal.
    Low32Immortal,
    /// 3.14+: the same, with flags of the object in the upper half (Include/refcount.h, `_Py_IMMORTAL_FLAGS`).
    Low32Flags,
}

/// Sizes of pymalloc's units, in bytes (Include/internal/pycore_obmalloc.h; 3.10+ with the radix tree).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// An arena, as mapped.
    pub arena: u64,
    /// A pool; arenas are cut into pools aligned to this.
    pub pool: u64,
    /// Alignment of blocks and step of the size classes.
    pub alignment: u64,
}

/// Choices that hold for one interpreter build.
#[derive(Clone, Copy, Debug)]
pub struct Semantics {
    /// The release.
    pub version: PyVersion,
    /// Refcount encoding.
    pub refcount: RefcountRule,
    /// Attribute storage.
    pub managed_dict: ManagedDict,
    /// An instance visits its dict even where that shares the instance's own values, and the dict visits them.
    pub shared_dict_visited: bool,
    /// Values blocks.
    pub values_header: ValuesHeader,
    /// `sys.getsizeof` adds the GC head by the type's flag even where the object itself has none.
    pub getsizeof_counts_head_by_flag: bool,
    /// Frames marked with this owner or a higher one are no Python frames (`enum _frameowner`).
    pub first_shim_owner: u8,
    /// `gi_frame_state` at and above which a generator owns no frame any more (`FRAME_CLEARED`).
    pub frame_cleared: i8,
    /// `gi_frame_state` values below this one mean suspended or just created.
    pub frame_executing: i8,
    /// `gi_frame_state` of what has not begun (`FRAME_CREATED`).
    pub frame_created: i8,
    /// The first of the states below [`Self::frame_executing`] that mean waiting in `yield from` or `await`
    /// (`FRAME_SUSPENDED_YIELD_FROM`); `None` where the state does not tell.
    pub frame_yield_from: Option<i8>,
    /// A full collection takes tuples that hold nothing it could track off the youngest list before it looks for garbage,
    /// not afterwards.
    pub tuples_untracked_first: bool,
    /// Words of frames carry tags: `_PyStackRef` (3.14+).
    pub tagged_stack: bool,
    /// The interned dict's own references to mortal interned strings are not counted.
    pub interned_refs_uncounted: bool,
    /// A class lets go of its table of subclasses when that becomes empty.
    pub empty_subclasses_freed: bool,
    /// Digits that `int.__sizeof__` counts at least.
    pub least_digits: u64,
    /// `tp_traverse` of a type that C code makes at run time visits the instance's type.
    pub native_heap_types_visit_type: bool,
    /// pymalloc's units.
    pub pools: PoolGeometry,
    /// Bytes from a list's capacity up to its items, where `list.__sizeof__` looks there.
    pub list_capacity_in_front: Option<u32>,
    /// A collection stops tracking dicts that hold nothing it could track, as it does with tuples.
    pub collector_untracks_dicts: bool,
    /// Bytes of the GC head in front of each object the collector knows; 0 in free-threaded builds.
    pub gc_head: u32,
}

impl Semantics {
    /// Decides by what exists in `layouts`, and by `version` only where nothing tells.
    pub fn new(version: PyVersion, layouts: &Layouts) -> Self {
        let inline_values = layouts.dict_values.embedded.is_some();
        let tagged_word = layouts.dict_or_values.dict.is_some();
        Self {
            version,
            refcount: if layouts.object.overflow.is_some() {
                RefcountRule::Low32Flags
            } else if layouts.object.refcnt_split.is_some() {
                RefcountRule::Low32Immortal
            } else {
                RefcountRule::Plain
            },
            managed_dict: match (inline_values, tagged_word) {
                (true, _) => ManagedDict::InlineValues,
                (false, true) => ManagedDict::TaggedWord,
                (false, false) => ManagedDict::TwoSlots,
            },
            // Objects/dictobject.c, PyObject_VisitManagedDict (gh-130327): 3.13.13, 3.14.4, 3.15.
            shared_dict_visited: inline_values
                && (version.0 >= 0x030e_0400 || (0x030d_0d00..0x030e_0000).contains(&version.0)),
            values_header: if inline_values { ValuesHeader::Fields } else { ValuesHeader::Prefix },
            // Python/sysmodule.c, _PySys_GetSizeOf: 3.11 and 3.12 add _PyType_PreHeaderSize(type);
            // before and after, only what _PyObject_IS_GC(object) admits.
            getsizeof_counts_head_by_flag: (0x030b_0000..0x030d_0000).contains(&version.0),
            // Include/internal/pycore_frame.h: FRAME_OWNED_BY_CSTACK is 3 (3.12, 3.13); 3.11 has no such owner. From 3.14 on
            // FRAME_OWNED_BY_INTERPRETER is 3, and in 3.14 FRAME_OWNED_BY_CSTACK is 4 (pycore_interpframe_structs.h).
            first_shim_owner: 3,
            // Include/internal/pycore_frame.h, enum _framestate: renumbered in 3.15, all states from 0 up; before,
            // FRAME_EXECUTING is 0 and FRAME_CLEARED is 4.
            frame_cleared: if version.0 >= 0x030f_0000 { 5 } else { 4 },
            frame_executing: if version.0 >= 0x030f_0000 { 4 } else { 0 },
            // The same: FRAME_SUSPENDED_YIELD_FROM came in 3.13 (gh-111354), below FRAME_EXECUTING.
            frame_created: match version.0 {
                0x030f_0000.. => 0,
                0x030d_0000.. => -3,
                _ => -2,
            },
            frame_yield_from: match version.0 {
                0x030f_0000.. => Some(2),
                0x030d_0000.. => Some(-1),
                _ => None,
            },
            // Python/gc.c, gc_collect_full, 3.14.0 to 3.14.4: the incremental collector, which has two spaces.
            tuples_untracked_first: layouts.gc.visited_space.is_some(),
            tagged_stack: layouts.frame.tagged.is_some(),
            interned_refs_uncounted: true,
            // Objects/typeobject.c, remove_subclass: since 3.11 (bpo-46417).
            empty_subclasses_freed: version.0 >= 0x030b_0000,
            // Objects/listobject.c, list___sizeof___impl: 3.13 reads `allocated` in free-threaded builds too.
            list_capacity_in_front: match (
                layouts.free_threaded.list_array.items,
                layouts.free_threaded.list_array.allocated,
            ) {
                (Some(items), Some(capacity)) if version.0 >= 0x030e_0000 => {
                    items.offset.checked_sub(capacity.offset)
                }
                _ => None,
            },
            // Python/gc_free_threading.c, update_refs: 3.13 only; dicts are always tracked in 3.14.
            collector_untracks_dicts: version.0 < 0x030e_0000,
            gc_head: if layouts.object.gc_bits.is_some() { 0 } else { layouts.gc_head.size },
            // Objects/longobject.c, int___sizeof___impl: 3.11 counts the digit that 0 has room for (gh-89039).
            least_digits: u64::from(version.0 >= 0x030b_0000),
            // Objects/typeobject.c, subtype_traverse: since 3.9 it leaves the type to the traversal of a base made at
            // run time (bpo-40217); 3.8 visits it itself, and such traversals do not.
            native_heap_types_visit_type: version.0 >= 0x0309_0000,
            // Objects/obmalloc.c: larger arenas and pools came with the tree that finds them, in 3.10.
            pools: if layouts.allocators.arena_map.size != 0 || version.0 >= 0x030b_0000 {
                PoolGeometry { arena: 1 << 20, pool: 1 << 14, alignment: 16 }
            } else {
                PoolGeometry { arena: 1 << 18, pool: 1 << 12, alignment: 16 }
            },
        }
    }

    /// The refcount in a header word, and whether the object is immortal.
    #[inline]
    pub fn refcount(&self, word: u64) -> (u64, bool) {
        match self.refcount {
            RefcountRule::Plain => (word, false),
            RefcountRule::Low32Immortal | RefcountRule::Low32Flags => {
                let low = word & 0xffff_ffff;
                (low, low & 0x8000_0000 != 0)
            }
        }
    }

    /// Whether `word` can be the refcount word of a live object. An address, as a buffer may hold there, cannot.
    #[inline]
    pub fn plausible_refcount(&self, word: u64) -> bool {
        match self.refcount {
            RefcountRule::Plain | RefcountRule::Low32Immortal => word != 0 && word <= 0xffff_ffff,
            // ob_refcnt, ob_overflow, ob_flags: no release has more than four flags.
            RefcountRule::Low32Flags => word & 0xffff_ffff != 0 && word & 0xfff0_ffff_0000_0000 == 0,
        }
    }

    /// Bytes in front of an instance of a type with `flags`: managed slots and GC head
    /// (`_PyType_PreHeaderSize`, Include/internal/pycore_object.h).
    #[inline]
    pub fn preheader(&self, flags: u64) -> u32 {
        let managed = match self.managed_dict {
            ManagedDict::TwoSlots => type_flags::MANAGED_DICT,
            _ => type_flags::MANAGED_DICT | type_flags::MANAGED_WEAKREF,
        };
        let slots = if flags & managed != 0 { 16 } else { 0 };
        let head = if flags & type_flags::HAVE_GC != 0 { self.gc_head } else { 0 };
        slots + head
    }

    /// All that [`Semantics::preheader`] may answer, ascending.
    pub fn preheaders(&self) -> impl Iterator<Item = u32> + use<> {
        let head = self.gc_head;
        let all = [0, head, 16 + head];
        all.into_iter()
            .enumerate()
            .filter(move |&(index, size)| index != 1 || size != 0)
            .map(|(_, size)| size)
    }

    /// Bytes from the slot of the managed dict up to the object.
    #[inline]
    pub fn dict_slot(&self) -> u64 {
        u64::from(self.gc_head) + 8
    }
}

/// What the count of an object with deferred reference counting is too high: such objects outlive the count's zero until
/// the collector finds them.
pub fn deferred_bias(layouts: &Layouts) -> i64 {
    // `_PyObject_SetDeferredRefcount`: `_Py_REF_DEFERRED` is PY_SSIZE_T_MAX / 8 (Include/internal/pycore_object.h, 3.14,
    // with per-thread counts); one reference in 3.13 (Objects/object.c).
    if layouts.interpreter.unique_ids.is_some() { i64::MAX / 8 } else { 1 }
}

#[cfg(test)]
mod release_tests {
    use super::PyVersion;

    #[test]
    fn a_release_is_read_and_printed() {
        for text in ["3.8.18", "3.15.0rc1", "3.13.0a4", "3.14.10", "3.15.0b4"] {
            assert_eq!(PyVersion::parse(text).map(|version| version.to_string()).as_deref(), Some(text));
        }
        for text in ["", "3.8", "3.8.x", "3.8.1rc", "3.8.1z2", "3.999.1"] {
            assert_eq!(PyVersion::parse(text), None, "{text}");
        }
        let [first, inside, last] =
            ["3.15.0b4", "3.15.0rc1", "3.15.0"].map(|text| PyVersion::parse(text).unwrap());
        assert!(inside.lies_within(first, last) && !first.lies_within(inside, last));
    }
}
