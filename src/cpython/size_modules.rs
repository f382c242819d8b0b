//! `__sizeof__` of types from C modules of the standard library: sums of terms over members of their structs.
//!
//! Knows which members each formula adds up; refuses to know where they lie. That is told by the debug information of
//! the module that holds the `__sizeof__` function, or by the user's layout table, asked once when the type is met.
//! A formula with a member that nobody knows is not used at all: the size is then a lower bound.

use super::words::ReadField;
use super::{Runtime, size};
use crate::corefile::{Address, ReadError};
use crate::layout::{DwarfSource, Field, LayoutSource, Resolution, Resolver};

/// Longest C string that is measured, in bytes.
const MAX_STRING: usize = 1 << 20;
/// Most structs of an array whose end is marked.
const MAX_RECORDS: u64 = 1 << 20;
/// `MPD_DATAFLAGS` (Modules/_decimal/libmpdec/mpdecimal.h): the digits are static, shared or constant.
const MPD_DATAFLAGS: u64 = 0xe0;
/// Alignment of data behind a type object (`_Py_SIZE_ROUND_UP(…, ALIGNOF_MAX_ALIGN_T)`, Modules/_ctypes/ctypes.h).
const TYPE_DATA_ALIGNMENT: u32 = 16;

/// `Struct.member`, or a pointer `Struct.member` and the member of the struct that it points to.
type Path = &'static [&'static str];

/// What the terms are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `tp_basicsize` and items.
    Object,
    /// The size as a dict.
    Dict,
}

/// Where the struct of a formula starts.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// With the object.
    Object,
    /// Behind the type object that the object is.
    TypeData,
}

/// A number of bytes, by name.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    Are(u64),
    SizeOf(&'static str),
    /// By how much the first struct is larger than the second.
    Beyond(&'static str, &'static str),
}

/// When a term counts. `P` says where a member lies.
#[derive(Clone, Copy, Debug)]
enum When<P> {
    Always,
    NotZero(P),
    /// None of these bits is set.
    Clear(P, u64),
    /// It has this value.
    Is(P, u64),
    /// The pointer does not lead to the array that the struct itself holds.
    Outside {
        pointer: P,
        own: P,
    },
    /// Nothing else refers to the object.
    Unshared {
        /// The pointer to it.
        pointer: P,
        /// A flag that says otherwise, in builds that have it.
        shared: Option<P>,
    },
}

/// How many bytes a term adds. `P` says where a member lies, `B` what a number of bytes is.
#[derive(Clone, Copy, Debug)]
enum Amount<P, B> {
    Fixed(B),
    Times(P, B),
    /// As `Times`, with one more.
    OneMore(P, B),
    Product(P, P),
    /// A C string with its end, unless the pointer is NULL.
    CString(P),
    /// `sys.getsizeof` of an object, unless the pointer is NULL.
    Object(P),
    /// An array of structs, up to and with the one whose first word is 0.
    Records(P, B),
}

use Amount::{CString, Fixed, Object, OneMore, Product, Records, Times};
use Bytes::{Are, Beyond, SizeOf};
use When::{Always, Clear, Is, NotZero, Outside, Unshared};

type Line = (When<Path>, Amount<Path, Bytes>);
type Term = (When<Place>, Amount<Place, u64>);

/// `__sizeof__` of one type, by names.
struct Formula {
    /// `tp_name` of the type that defines it.
    type_name: &'static str,
    start: Start,
    base: Base,
    lines: &'static [Line],
}

const WORD: Bytes = Are(8);

/// Of an object that is no type and no dict.
const fn plain(type_name: &'static str, lines: &'static [Line]) -> Formula {
    Formula { type_name, start: Start::Object, base: Base::Object, lines }
}

const BUFFERED: &[Line] = &[(NotZero(&["buffered.buffer"]), Times(&["buffered.buffer_size"], Are(1)))];

const STRUCT: &[Line] = &[(Always, Records(&["PyStructObject.s_codes"], SizeOf("formatcode")))];

/// All types of Modules/ with a `__sizeof__` of their own on Linux, 3.8 to 3.15.
const FORMULAS: &[Formula] = &[
    plain(
        "array.array",
        &[(Always, Product(&["arrayobject.allocated"], &["arrayobject.ob_descr", "arraydescr.itemsize"]))],
    ),
    // Modules/_io/bufferedio.c; up to 3.11 each class has the method, from 3.12 on their base.
    plain("_io._BufferedIOBase", BUFFERED),
    plain("_io._Buffered", BUFFERED),
    plain("_io.BufferedReader", BUFFERED),
    plain("_io.BufferedWriter", BUFFERED),
    plain("_io.BufferedRandom", BUFFERED),
    plain(
        "_io.BytesIO",
        &[(
            // The flag: free-threaded builds of 3.14 and later.
            Unshared { pointer: &["bytesio.buf"], shared: Some(&["bytesio.buf_shared"]) },
            Object(&["bytesio.buf"]),
        )],
    ),
    // 3.15; before, what its ring holds is not counted.
    plain("_queue.SimpleQueue", &[(Always, Times(&["simplequeueobject.buf.items_cap"], WORD))]),
    plain("_struct.Struct", STRUCT),
    // Modules/_struct.c, up to 3.8.
    plain("Struct", STRUCT),
    plain(
        "decimal.Decimal",
        &[(Clear(&["PyDecObject.dec.flags"], MPD_DATAFLAGS), Times(&["PyDecObject.dec.alloc"], WORD))],
    ),
    plain(
        "xml.etree.ElementTree.Element",
        &[
            (NotZero(&["ElementObject.extra"]), Fixed(SizeOf("ElementObjectExtra"))),
            (
                Outside {
                    pointer: &["ElementObject.extra", "ElementObjectExtra.children"],
                    own: &["ElementObject.extra", "ElementObjectExtra._children"],
                },
                Times(&["ElementObject.extra", "ElementObjectExtra.allocated"], WORD),
            ),
        ],
    ),
    plain(
        "_pickle.Pickler",
        &[
            (NotZero(&["PicklerObject.memo"]), Fixed(SizeOf("PyMemoTable"))),
            (Always, Times(&["PicklerObject.memo", "PyMemoTable.mt_allocated"], SizeOf("PyMemoEntry"))),
            (Always, Object(&["PicklerObject.output_buffer"])),
        ],
    ),
    plain(
        "_pickle.Unpickler",
        &[
            (NotZero(&["UnpicklerObject.memo"]), Times(&["UnpicklerObject.memo_size"], WORD)),
            (NotZero(&["UnpicklerObject.marks"]), Times(&["UnpicklerObject.marks_size"], WORD)),
            (Always, CString(&["UnpicklerObject.input_line"])),
            (Always, CString(&["UnpicklerObject.encoding"])),
            (Always, CString(&["UnpicklerObject.errors"])),
        ],
    ),
    plain("itertools.product", &[(Always, Times(&["productobject.pools", "PyVarObject.ob_size"], WORD))]),
    plain("itertools.combinations", &[(Always, Times(&["combinationsobject.r"], WORD))]),
    plain("itertools.combinations_with_replacement", &[(Always, Times(&["cwrobject.r"], WORD))]),
    plain(
        "itertools.permutations",
        &[
            (Always, Times(&["permutationsobject.pool", "PyVarObject.ob_size"], WORD)),
            (Always, Times(&["permutationsobject.r"], WORD)),
        ],
    ),
    // Modules/_ctypes/stgdict.c, up to 3.12: adds the struct's own part a second time.
    Formula {
        type_name: "StgDict",
        start: Start::Object,
        base: Base::Dict,
        lines: &[
            (Always, Fixed(Beyond("StgDictObject", "PyDictObject"))),
            (Always, CString(&["StgDictObject.format"])),
            (Always, Times(&["StgDictObject.ndim"], WORD)),
            (NotZero(&["StgDictObject.ffi_type_pointer.elements"]), OneMore(&["StgDictObject.length"], WORD)),
        ],
    },
    // Modules/_ctypes/_ctypes.c, 3.13.
    Formula {
        type_name: "_ctypes.CType_Type",
        start: Start::TypeData,
        base: Base::Object,
        lines: &[
            (Always, CString(&["StgInfo.format"])),
            (Always, Times(&["StgInfo.ndim"], WORD)),
            (NotZero(&["StgInfo.ffi_type_pointer.elements"]), OneMore(&["StgInfo.length"], WORD)),
        ],
    },
];

/// What types of Modules/ own that no `__sizeof__` counts, 3.8 to 3.15, by the `tp_name` of the type that has the struct. A line
/// with a member that a release does not have says nothing of it.
const UNCOUNTED: &[Formula] = &[
    // Modules/mmapmodule.c: memory of no file.
    plain("mmap.mmap", &[(Is(&["mmap_object.fd"], NO_FILE), Times(&["mmap_object.size"], Are(1)))]),
    // Modules/_io/stringio.c: its text once it was read or sought in, and before that (3.11) what was written so far.
    plain(
        "_io.StringIO",
        &[
            (NotZero(&["stringio.buf"]), Times(&["stringio.buf_size"], Are(4))),
            (Always, Object(&["stringio.writer.buffer"])),
        ],
    ),
    // Modules/_ctypes/_ctypes.c, `PyCData_MallocBuffer`: 1 is the flag of a buffer of its own.
    plain(
        "_ctypes._CData",
        &[(
            Outside { pointer: &["CDataObject.b_ptr"], own: &["CDataObject.b_value"] },
            Product(&["CDataObject.b_size"], &["CDataObject.b_needsfree"]),
        )],
    ),
    // Modules/_queuemodule.c, 3.13 and 3.14.
    plain("_queue.SimpleQueue", &[(Always, Times(&["simplequeueobject.buf.items_cap"], WORD))]),
];

/// -1 as a C int.
const NO_FILE: u64 = 0xffff_ffff;

/// Where a member of an object lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Bytes from the object to the struct.
    start: u32,
    /// The pointer to follow first.
    through: Option<Field>,
    field: Field,
}

/// A formula with everything resolved.
#[derive(Clone, Debug)]
pub struct ModuleSize {
    /// What the terms are added to.
    pub base: Base,
    terms: Box<[Term]>,
    /// Every question that finding the members took.
    pub answers: Vec<Resolution>,
}

/// Asks `resolver` for every member that any formula reads, so that its answers are all that is known.
pub fn ask(resolver: &mut Resolver<'_>) {
    for line in FORMULAS.iter().flat_map(|formula| formula.lines) {
        let (members, structs) = asked(line);
        for (structure, member) in members.into_iter().flatten().filter_map(|step| step.split_once('.')) {
            resolver.optional(structure, member);
        }
        for structure in structs {
            resolver.size_of(structure);
        }
    }
}

/// The paths and the sizes of structs that a line of a formula is made of.
fn asked(line: &Line) -> (Vec<Path>, Vec<&'static str>) {
    let (when, amount) = line;
    let mut paths = match *when {
        Always => vec![],
        NotZero(path) | Clear(path, _) | Is(path, _) => vec![path],
        Unshared { pointer, shared } => shared.into_iter().chain([pointer]).collect(),
        Outside { pointer, own } => vec![pointer, own],
    };
    let bytes = match *amount {
        Fixed(bytes) => Some(bytes),
        Times(path, bytes) | OneMore(path, bytes) | Records(path, bytes) => {
            paths.push(path);
            Some(bytes)
        }
        CString(path) | Object(path) => {
            paths.push(path);
            None
        }
        Product(one, other) => {
            paths.extend([one, other]);
            None
        }
    };
    let structs = match bytes {
        Some(SizeOf(structure)) => vec![structure],
        Some(Beyond(larger, smaller)) => vec![larger, smaller],
        Some(Are(_)) | None => vec![],
    };
    (paths, structs)
}

impl ModuleSize {
    /// The formula of the type named `tp_name`, whose `__sizeof__` is the function at `function`. `None` when there is
    /// no such formula, or a struct of it is not known.
    pub fn resolve(runtime: &Runtime<'_>, tp_name: &str, function: Address) -> Option<Self> {
        let formula = FORMULAS.iter().find(|formula| formula.type_name == tp_name)?;
        let module = runtime.binaries.containing(function)?;
        let name = runtime.binaries.module(module)?.name();
        let dwarf = runtime.binaries.types(module).ok().map(|types| DwarfSource::new(types, name));
        let mut sources: Vec<&dyn LayoutSource> = Vec::new();
        if let Some(dwarf) = &dwarf {
            sources.push(dwarf);
        }
        if let Some(table) = runtime.table.as_deref() {
            sources.push(table);
        }
        let start = match formula.start {
            Start::Object => 0,
            Start::TypeData => runtime.layouts.heap_type.size.next_multiple_of(TYPE_DATA_ALIGNMENT),
        };
        let mut names = Names { resolver: Resolver::new(sources), start };
        let terms = formula.lines.iter().map(|line| names.term(line)).collect::<Option<_>>()?;
        Some(Self { base: formula.base, terms, answers: names.resolver.resolved().to_vec() })
    }

    /// What the type named `tp_name` owns that no `__sizeof__` counts; `function` is any in the module that has its struct.
    /// Debug information alone tells: nothing of this is in layout tables.
    pub fn beside(runtime: &Runtime<'_>, tp_name: &str, function: Address) -> Option<Self> {
        let formula = UNCOUNTED.iter().find(|formula| formula.type_name == tp_name)?;
        let module = runtime.binaries.containing(function)?;
        let name = runtime.binaries.module(module)?.name();
        let dwarf = DwarfSource::new(runtime.binaries.types(module).ok()?, name);
        let mut names = Names { resolver: Resolver::new(vec![&dwarf]), start: 0 };
        let terms: Box<[Term]> = formula.lines.iter().filter_map(|line| names.term(line)).collect();
        (!terms.is_empty()).then_some(Self { base: formula.base, terms, answers: Vec::new() })
    }

    /// Whether it counts objects that are objects on their own.
    pub fn counts_objects(&self) -> bool {
        self.terms.iter().any(|(_, amount)| matches!(amount, Object(_)))
    }

    /// How much of [`Self::sum`] is objects that are objects on their own, in bytes.
    ///
    /// # Errors
    /// A member that the formula reads is not there.
    pub fn of_objects(&self, runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
        self.sum_of(runtime, object, |amount| matches!(amount, Object(_)))
    }

    /// What the terms add to the base for the object at `object`, in bytes.
    ///
    /// # Errors
    /// A member that the formula reads is not there.
    pub fn sum(&self, runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
        self.sum_of(runtime, object, |_| true)
    }

    fn sum_of(
        &self,
        runtime: &Runtime<'_>,
        object: Address,
        is_asked: impl Fn(&Amount<Place, u64>) -> bool,
    ) -> Result<u64, ReadError> {
        let mut sum = 0u64;
        for (when, amount) in &self.terms {
            if is_asked(amount) && when.holds(runtime, object)? {
                sum = sum.wrapping_add(amount.bytes(runtime, object)?);
            }
        }
        Ok(sum)
    }
}

/// Turns names into offsets.
struct Names<'s> {
    resolver: Resolver<'s>,
    start: u32,
}

impl Names<'_> {
    fn field(&mut self, path: &str) -> Option<Field> {
        let (structure, member) = path.split_once('.')?;
        self.resolver.optional(structure, member)
    }

    fn place(&mut self, path: Path) -> Option<Place> {
        let (through, last) = match path {
            [member] => (None, member),
            [pointer, member] => (Some(self.field(pointer)?), member),
            _ => return None,
        };
        Some(Place { start: self.start, through, field: self.field(last)? })
    }

    fn bytes(&mut self, bytes: Bytes) -> Option<u64> {
        Some(match bytes {
            Are(bytes) => bytes,
            SizeOf(structure) => u64::from(self.resolver.size_of(structure)?),
            Beyond(larger, smaller) => {
                u64::from(self.resolver.size_of(larger)?.checked_sub(self.resolver.size_of(smaller)?)?)
            }
        })
    }

    fn term(&mut self, (when, amount): &Line) -> Option<Term> {
        let when = match *when {
            Always => Always,
            NotZero(path) => NotZero(self.place(path)?),
            Clear(path, mask) => Clear(self.place(path)?, mask),
            Is(path, value) => Is(self.place(path)?, value),
            Outside { pointer, own } => Outside { pointer: self.place(pointer)?, own: self.place(own)? },
            Unshared { pointer, shared } => {
                Unshared { pointer: self.place(pointer)?, shared: shared.and_then(|flag| self.place(flag)) }
            }
        };
        let amount = match *amount {
            Fixed(bytes) => Fixed(self.bytes(bytes)?),
            Times(path, bytes) => Times(self.place(path)?, self.bytes(bytes)?),
            OneMore(path, bytes) => OneMore(self.place(path)?, self.bytes(bytes)?),
            Product(one, other) => Product(self.place(one)?, self.place(other)?),
            CString(path) => CString(self.place(path)?),
            Object(path) => Object(self.place(path)?),
            Records(path, bytes) => Records(self.place(path)?, self.bytes(bytes)?),
        };
        Some((when, amount))
    }
}

impl Place {
    /// Address of the struct that has the member; `None` behind a NULL pointer.
    fn holder(&self, runtime: &Runtime<'_>, object: Address) -> Result<Option<Address>, ReadError> {
        let start = object.wrapping_add(u64::from(self.start));
        Ok(match self.through {
            None => Some(start),
            Some(pointer) => Some(runtime.space.field(start, pointer)?).filter(|&address| address != 0),
        })
    }

    /// The member's value; 0 behind a NULL pointer.
    fn read(&self, runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
        match self.holder(runtime, object)? {
            Some(holder) => runtime.space.small(holder, self.field),
            None => Ok(0),
        }
    }
}

impl When<Place> {
    fn holds(&self, runtime: &Runtime<'_>, object: Address) -> Result<bool, ReadError> {
        Ok(match self {
            Always => true,
            NotZero(place) => place.read(runtime, object)? != 0,
            Clear(place, mask) => place.read(runtime, object)? & mask == 0,
            Is(place, value) => place.read(runtime, object)? == *value,
            Outside { pointer, own } => {
                let array =
                    own.holder(runtime, object)?.map(|at| at.wrapping_add(u64::from(own.field.offset)));
                array.is_some_and(|array| pointer.read(runtime, object) != Ok(array))
            }
            Unshared { shared: Some(flag), .. } if flag.read(runtime, object)? != 0 => false,
            Unshared { pointer, .. } => match pointer.read(runtime, object)? {
                0 => false,
                referent => runtime.refcount(referent)?.count <= 1,
            },
        })
    }
}

impl Amount<Place, u64> {
    fn bytes(&self, runtime: &Runtime<'_>, object: Address) -> Result<u64, ReadError> {
        let read = |place: &Place| place.read(runtime, object);
        Ok(match self {
            Fixed(bytes) => *bytes,
            Times(place, bytes) => read(place)?.wrapping_mul(*bytes),
            OneMore(place, bytes) => read(place)?.wrapping_add(1).wrapping_mul(*bytes),
            Product(one, other) => read(one)?.wrapping_mul(read(other)?),
            CString(place) => match read(place)? {
                0 => 0,
                text => runtime.space.c_string(text, MAX_STRING)?.len() as u64 + 1,
            },
            Object(place) => match read(place)? {
                0 => 0,
                referent => size::object_size(runtime, referent)?,
            },
            Records(place, bytes) => records(runtime, read(place)?, *bytes)?,
        })
    }
}

/// Bytes of the array of structs of `stride` bytes at `first`, with the one that ends it.
fn records(runtime: &Runtime<'_>, first: Address, stride: u64) -> Result<u64, ReadError> {
    let mut count = 0;
    while count < MAX_RECORDS && runtime.space.read_u64(first.wrapping_add(count.wrapping_mul(stride)))? != 0
    {
        count += 1;
    }
    Ok((count + 1).wrapping_mul(stride))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that `Names` cannot take apart would silently turn sizes into bounds.
    #[test]
    fn every_path_names_a_member_or_one_behind_a_pointer() {
        for path in
            FORMULAS.iter().chain(UNCOUNTED).flat_map(|formula| formula.lines).flat_map(|line| asked(line).0)
        {
            assert!(matches!(path.len(), 1 | 2), "{path:?}");
            for step in path {
                assert!(
                    step.split_once('.')
                        .is_some_and(|(structure, member)| !structure.is_empty() && !member.is_empty())
                );
            }
        }
    }

    #[test]
    fn a_type_has_one_formula() {
        let mut names: Vec<_> = FORMULAS
            .iter()
            .chain(UNCOUNTED)
            .filter(|formula| formula.type_name != "_queue.SimpleQueue")
            .map(|formula| formula.type_name)
            .collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
