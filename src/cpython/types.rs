//! Type objects: every type of the process, how its instances are laid out, traversed and measured.
//!
//! Knows `PyTypeObject`, inheritance and which traversal a type runs; refuses to read instances.

use super::dict::{dict_get, dict_items};
use super::semantics::type_flags;
use super::shapes::FieldEdge;
use super::size::SizeRule;
use super::size_modules::ModuleSize;
use super::type_search::{MAX_BASES, all_types, more_types, type_dict};
use super::words::{ReadField, at, word};
use super::{PythonError, Runtime, instance::InstanceParts, values};
use crate::corefile::Address;
use crate::graph::EdgeKind;
use crate::layout::{Field, Resolution};
use rustc_hash::FxHashMap;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Dense number of a type, in order of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct TypeId(pub u32);

/// One type.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    /// Its type object.
    pub address: Address,
    /// `module.qualname`, as `__module__` and `__qualname__` give it.
    pub name: Box<str>,
    /// `tp_basicsize`.
    pub basicsize: u64,
    /// `tp_itemsize`.
    pub itemsize: u64,
    /// `tp_flags`.
    pub flags: u64,
    /// Its metatype.
    pub metatype: Address,
    /// `tp_base`.
    pub base: Address,
    /// `tp_dealloc`.
    pub dealloc: Address,
    /// `tp_traverse` of the first base that is not made by a class statement.
    pub traverse: Address,
    /// `tp_finalize` is set: `__del__`, generators, coroutines, and C types with finalizers.
    pub has_finalizer: bool,
    /// `tp_del` is set: a legacy finalizer, which makes cycles uncollectable.
    pub has_legacy_finalizer: bool,
    /// Made by a class statement: the collector tracks every live instance with a GC head from the start
    /// (`PyType_GenericAlloc`, Objects/typeobject.c), and only untracks exact tuples and dicts.
    pub by_class_statement: bool,
    /// Bytes in front of an instance: GC head and managed slots.
    pub preheader: u32,
    /// What a class statement adds to instances.
    pub parts: InstanceParts,
    /// How the C part of instances refers to objects.
    pub walk: Walk,
    /// How `sys.getsizeof` measures instances.
    pub size_rule: SizeRule,
    /// What a build with `COUNT_ALLOCS` counted of instances.
    pub counts: Option<AllocationCounts>,
}

/// Counters of a type that builds with `COUNT_ALLOCS` keep, up to 3.8 (Misc/SpecialBuilds.txt; `sys.getcounts()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationCounts {
    /// Instances made so far (`tp_allocs`).
    pub allocs: u64,
    /// Instances freed so far (`tp_frees`).
    pub frees: u64,
    /// Most instances at a time (`tp_maxalloc`).
    pub max: u64,
}

impl AllocationCounts {
    /// Those in the type object `bytes`; `None` where the build does not count.
    fn read(runtime: &Runtime<'_>, bytes: &[u8]) -> Option<Self> {
        let l = &runtime.layouts.type_;
        let counter = |field: Option<Field>| Some(word(bytes, at(field?)));
        Some(Self { allocs: counter(l.allocs)?, frees: counter(l.frees)?, max: counter(l.maxalloc)? })
    }
}

/// The references of the C part of a type's instances.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Members at fixed offsets.
    pub fields: Box<[FieldEdge]>,
    /// What else there is.
    pub kind: WalkKind,
}

/// References that are not at fixed offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalkKind {
    /// None: atomic, or fixed members only.
    Fixed,
    /// Items of a tuple.
    Tuple,
    /// A named tuple made in C: so many items, of which a tuple shows the first.
    StructSequence(u32),
    /// Items of a list.
    List,
    /// Keys and values.
    Dict,
    /// Nodes in order, then keys and values.
    OrderedDict,
    /// Elements of a set or frozenset.
    Set,
    /// A type object.
    Type,
    /// A module and its state.
    Module,
    /// A frame object.
    Frame,
    /// A generator, coroutine or async generator with its frame.
    Generator,
    /// A code object: constants and names, none of which the collector visits.
    Code,
    /// A builtin function: the defining class of a method.
    CFunction,
    /// Blocks of a deque.
    Deque,
    /// Remembered calls.
    LruCache,
    /// A numpy array of objects.
    NumpyArray,
    /// One more member, which instances have only where a byte of theirs is not 0: the time zone of a `datetime`.
    Optional {
        /// Offset of the byte.
        flag: u32,
        /// Offset of the member.
        member: u32,
    },
    /// Members of which the same traversal in another process told (`facts/`).
    Recorded {
        /// It visits the attribute dict in front of the object besides.
        managed_dict: bool,
        /// Where as many items begin as `ob_size` says, all of which it visits.
        items: Option<u32>,
    },
    /// The type's own `tp_traverse`, followed instruction by instruction.
    Machine,
    /// Unknown: words of the object's memory that are addresses of objects.
    Scan,
}

/// The interpreter's own types whose traversal is not a list of fields, by `tp_name`.
const KINDS: &[(&str, WalkKind)] = &[
    ("tuple", WalkKind::Tuple),
    ("list", WalkKind::List),
    ("dict", WalkKind::Dict),
    ("frozendict", WalkKind::Dict),
    ("collections.OrderedDict", WalkKind::OrderedDict),
    ("collections.defaultdict", WalkKind::Dict),
    ("set", WalkKind::Set),
    ("frozenset", WalkKind::Set),
    ("type", WalkKind::Type),
    ("module", WalkKind::Module),
    ("frame", WalkKind::Frame),
    ("generator", WalkKind::Generator),
    ("coroutine", WalkKind::Generator),
    ("async_generator", WalkKind::Generator),
    ("code", WalkKind::Code),
    ("builtin_function_or_method", WalkKind::CFunction),
    ("collections.deque", WalkKind::Deque),
    ("functools._lru_cache_wrapper", WalkKind::LruCache),
];

/// All types of the process.
#[derive(Clone, Debug, Default)]
pub struct TypeTable {
    types: Vec<TypeInfo>,
    by_address: FxHashMap<Address, TypeId>,
    /// `tp_traverse` of classes made by class statements (`subtype_traverse`).
    subtype_traverse: Address,
    /// The interned str `__sizeof__`, by which overriding classes are recognised.
    sizeof_name: Address,
    /// Formulas of `__sizeof__` functions of C modules.
    module_sizes: Vec<ModuleSize>,
    /// Their numbers by function; `None`: nothing describes the function.
    module_size_numbers: FxHashMap<Address, Option<u32>>,
}

impl TypeTable {
    /// Finds every type: those of the objects on the collector's lists, and all subclasses of `object`.
    ///
    /// # Errors
    /// The type `type` or `object` cannot be read.
    pub fn discover(runtime: &Runtime<'_>) -> Result<Self, PythonError> {
        let addresses = all_types(runtime);
        let mut table = Self {
            subtype_traverse: subtype_traverse(runtime, &addresses),
            sizeof_name: sizeof_name(runtime),
            ..Self::default()
        };
        for address in addresses {
            table.insert(runtime, address);
        }
        Ok(table)
    }

    /// Adds the type at `address`, unless it is known.
    fn insert(&mut self, runtime: &Runtime<'_>, address: Address) {
        if self.by_address.contains_key(&address) {
            return;
        }
        let size_rule = SizeRule::of(runtime, self, address);
        if let Some(info) = TypeInfo::read(runtime, self, address, size_rule) {
            self.by_address.insert(address, TypeId(self.types.len() as u32));
            self.types.push(info);
        }
    }

    /// The builtin type whose subclasses have `flag` among their flags, such as [`type_flags::TUPLE_SUBCLASS`]: the one
    /// that has the flag and whose base has not.
    pub fn first_with(&self, flag: u64) -> Option<TypeId> {
        let has_flag = |info: &TypeInfo| info.flags & flag != 0;
        self.iter()
            .find(|(_, info)| has_flag(info) && !self.of(info.base).is_some_and(has_flag))
            .map(|(id, _)| id)
    }

    /// Adds types met only later, such as those whose instances the collector never sees.
    pub fn extend(&mut self, runtime: &Runtime<'_>, candidates: impl IntoIterator<Item = Address>) {
        for address in more_types(runtime, self.by_address.keys().copied(), candidates) {
            self.insert(runtime, address);
        }
    }

    /// The type whose type object is at `address`.
    #[inline]
    pub fn id_of(&self, address: Address) -> Option<TypeId> {
        self.by_address.get(&address).copied()
    }

    /// What is known of a type.
    ///
    /// # Panics
    /// Never for ids this table gave out.
    #[inline]
    pub fn get(&self, id: TypeId) -> &TypeInfo {
        &self.types[id.0 as usize]
    }

    /// The type of the object whose header says `type_`.
    #[inline]
    pub fn of(&self, type_: Address) -> Option<&TypeInfo> {
        self.id_of(type_).map(|id| self.get(id))
    }

    /// All types with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &TypeInfo)> {
        self.types.iter().enumerate().map(|(index, info)| (TypeId(index as u32), info))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// `subtype_traverse`.
    pub fn subtype_traverse(&self) -> Address {
        self.subtype_traverse
    }

    /// The interned str `__sizeof__`.
    pub fn sizeof_name(&self) -> Address {
        self.sizeof_name
    }

    /// The formula that [`SizeRule::Module`] numbers.
    #[inline]
    pub fn module_size(&self, number: u32) -> Option<&ModuleSize> {
        self.module_sizes.get(number as usize)
    }

    /// What layout sources said of the structs of C modules.
    pub fn module_answers(&self) -> impl Iterator<Item = &Resolution> {
        self.module_sizes.iter().flat_map(|formula| &formula.answers)
    }

    /// Number of the formula of the `__sizeof__` function that the type named `tp_name` defines; `None` if nothing
    /// describes it.
    pub(super) fn module_size_rule(
        &mut self,
        runtime: &Runtime<'_>,
        tp_name: &str,
        function: Address,
    ) -> Option<u32> {
        if let Some(&known) = self.module_size_numbers.get(&function) {
            return known;
        }
        let number = ModuleSize::resolve(runtime, tp_name, function).map(|formula| {
            self.module_sizes.push(formula);
            (self.module_sizes.len() - 1) as u32
        });
        self.module_size_numbers.insert(function, number);
        number
    }
}

/// The `tp_traverse` that classes made by class statements share: by far the most common one of heap types.
fn subtype_traverse(runtime: &Runtime<'_>, types: &[Address]) -> Address {
    if let Some(address) = runtime.symbol("subtype_traverse") {
        return address;
    }
    let l = &runtime.layouts.type_;
    let mut counts: FxHashMap<Address, usize> = FxHashMap::default();
    for &type_ in types {
        let flags = runtime.space.field(type_, l.flags).unwrap_or(0);
        if flags & type_flags::HEAPTYPE != 0 {
            *counts.entry(runtime.space.field(type_, l.traverse).unwrap_or(0)).or_default() += 1;
        }
    }
    counts.remove(&0);
    counts.into_iter().max_by_key(|&(address, count)| (count, address)).map_or(0, |(address, _)| address)
}

fn sizeof_name(runtime: &Runtime<'_>) -> Address {
    dict_items(runtime, type_dict(runtime, runtime.landmarks.object_type))
        .into_iter()
        .map(|(key, _)| key)
        .find(|&key| values::str_equals(runtime, key, "__sizeof__"))
        .unwrap_or(0)
}

impl TypeInfo {
    fn read(runtime: &Runtime<'_>, table: &TypeTable, address: Address, size_rule: SizeRule) -> Option<Self> {
        let (space, l) = (&runtime.space, &runtime.layouts);
        let bytes = space.slice(address, l.type_.size as usize).ok()?;
        let flags = word(bytes, at(l.type_.flags));
        let base = ancestor_with_own_traverse(runtime, table, address);
        let traverse = space.field(base, l.type_.traverse).unwrap_or(0);
        let walk = walk_of(runtime, flags, base, traverse);
        Some(Self {
            address,
            name: super::names::type_name(runtime, address).into_boxed_str(),
            basicsize: word(bytes, at(l.type_.basicsize)),
            itemsize: word(bytes, at(l.type_.itemsize)),
            flags,
            metatype: word(bytes, at(l.object.type_)),
            base: word(bytes, at(l.type_.base)),
            dealloc: word(bytes, at(l.type_.dealloc)),
            traverse,
            has_finalizer: word(bytes, at(l.type_.finalize)) != 0,
            has_legacy_finalizer: word(bytes, at(l.type_.del)) != 0,
            by_class_statement: address != base,
            preheader: runtime.semantics.preheader(flags),
            parts: InstanceParts::of(runtime, address, base, walk.kind),
            walk,
            size_rule,
            counts: AllocationCounts::read(runtime, bytes),
        })
    }

    /// Whether instances have a GC head, as far as the type can tell (type objects: only heap types do).
    #[inline]
    pub fn has_gc(&self) -> bool {
        self.flags & type_flags::HAVE_GC != 0
    }

    /// Whether sizes of instances are lower bounds; see [`SizeRule::Bound`].
    #[inline]
    pub fn size_is_bound(&self) -> bool {
        self.size_rule == SizeRule::Bound
    }

    /// Whether instances are types.
    #[inline]
    pub fn is_metatype(&self) -> bool {
        self.flags & type_flags::TYPE_SUBCLASS != 0
    }

    /// Whether the type was made at run time.
    #[inline]
    pub fn is_heap_type(&self) -> bool {
        self.flags & type_flags::HEAPTYPE != 0
    }

    /// Whether instances can refer to nothing, so that a graph need not ask them.
    #[inline]
    pub fn is_atomic(&self) -> bool {
        self.walk.kind == WalkKind::Fixed && self.walk.fields.is_empty() && self.parts.is_empty()
    }
}

/// The first type among `type_` and its bases whose traversal is not that of class statements.
fn ancestor_with_own_traverse(runtime: &Runtime<'_>, table: &TypeTable, type_: Address) -> Address {
    let l = &runtime.layouts.type_;
    let mut current = type_;
    for _ in 0..MAX_BASES {
        match (runtime.space.field(current, l.traverse), runtime.space.field(current, l.base)) {
            (Ok(traverse), Ok(base)) if traverse == table.subtype_traverse && base != 0 => current = base,
            _ => break,
        }
    }
    current
}

/// The topmost base of `type_` that runs the same traversal: it has defined it. Types without one all inherit from
/// `object`, which says nothing of their members, so they are their own.
pub(super) fn traversal_owner(runtime: &Runtime<'_>, type_: Address) -> Address {
    let (space, l) = (&runtime.space, &runtime.layouts.type_);
    let traverse = space.field(type_, l.traverse).unwrap_or(0);
    let mut owner = type_;
    for _ in 0..MAX_BASES {
        match space.field(owner, l.base) {
            Ok(next) if next != 0 && traverse != 0 && space.field(next, l.traverse) == Ok(traverse) => {
                owner = next
            }
            _ => break,
        }
    }
    owner
}

/// How the C part of `base` is traversed: by our own knowledge of the type that defines its traversal, else by its code.
fn walk_of(runtime: &Runtime<'_>, flags: u64, base: Address, traverse: Address) -> Walk {
    let (_space, _l) = (&runtime.space, &runtime.layouts.type_);
    let fixed = |fields: &[FieldEdge]| Walk { fields: fields.into(), kind: WalkKind::Fixed };
    let owner = traversal_owner(runtime, base);
    let name = super::names::tp_name(runtime, owner);
    let own = runtime.is_own_code(traverse) || traverse == 0;
    if own {
        if let Some(&(_, kind)) = KINDS.iter().find(|(known, _)| *known == name) {
            let mut fields: Box<[FieldEdge]> = runtime.shapes.get(&name).unwrap_or_default().into();
            if kind == WalkKind::Code && traverse != 0 {
                // Objects/codeobject.c, code_traverse: free-threaded builds only.
                let visited = fields.iter_mut().filter(|field| field.name == Some("co_consts"));
                visited.for_each(|field| field.kind = EdgeKind::Visited);
            }
            return Walk { fields, kind };
        }
        if let Some(fields) = runtime.shapes.get(&name) {
            return fixed(fields);
        }
    }
    let kind = |kind| Walk { fields: Box::default(), kind };
    if name == "numpy.ndarray" {
        return kind(WalkKind::NumpyArray);
    }
    if let Some(items) = struct_sequence_items(runtime, flags, base) {
        return kind(WalkKind::StructSequence(items));
    }
    let size = runtime.space.field(owner, runtime.layouts.type_.basicsize).unwrap_or(0);
    if traverse != 0 && flags & type_flags::HAVE_GC != 0 {
        if runtime.has_code(traverse) {
            return kind(WalkKind::Machine);
        }
        return runtime.facts.visited_of(runtime, owner, &name, size).unwrap_or_else(|| kind(WalkKind::Scan));
    }
    if own || owner == runtime.landmarks.object_type {
        return fixed(&[]);
    }
    // Made in C, unknown to the collector: what its instances refer to is told by debug information, else guessed.
    super::members::object_walk(runtime, base)
        .or_else(|| runtime.facts.held(&name, size))
        .unwrap_or_else(|| kind(WalkKind::Scan))
}

/// Number of items of a struct sequence's instances, shown or not (Objects/structseq.c: the type's attribute
/// `n_fields`); `None` for other types.
fn struct_sequence_items(runtime: &Runtime<'_>, flags: u64, base: Address) -> Option<u32> {
    if flags & type_flags::TUPLE_SUBCLASS == 0 {
        return None;
    }
    let attributes = type_dict(runtime, base);
    dict_get(runtime, attributes, "n_unnamed_fields")?;
    let count = values::read_count(runtime, dict_get(runtime, attributes, "n_fields")?).ok()??;
    u32::try_from(count).ok()
}
