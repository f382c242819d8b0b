//! Names of static types where `tp_name` leads to memory that is nowhere: they are recognised by what they are.
//!
//! Knows what tells a type made in C from all others: its sizes, flags and base, the names in its dict, its docstring; and,
//! among those alike in all that, the order in which the interpreter made them ready. Refuses to guess: where that order
//! depends on the program, or a process has not as many alike as the facts name, each is said to be one of these.

use super::Facts;
use crate::corefile::Address;
use crate::cpython::semantics::type_flags;
use crate::cpython::type_search::{static_parts, type_dict};
use crate::cpython::words::ReadField;
use crate::cpython::{Runtime, dict_items, names, values};
use rustc_hash::{FxHashMap, FxHashSet};

/// `Py_TPFLAGS_BASETYPE`.
const BASETYPE: u64 = 1 << 10;
/// Flags that are the same in every process of a release: what the type's source says, not what happened to it.
const STEADY: u64 = type_flags::STATIC_BUILTIN | BASETYPE | type_flags::HAVE_GC | 0xff << 24;
/// The order of a type that no base's subclasses name: it was never made ready.
const UNKNOWN: u64 = u64::MAX;
/// More subclasses than are counted of one base; those made in C are among the first.
const PLACES: u64 = 1 << 16;
/// Longest chain of bases.
const MAX_BASES: usize = 64;
/// Characters of a docstring that count.
const MAX_DOC: usize = 4096;
/// Longest name of a module or an attribute.
const MAX_NAME: usize = 256;

/// A type as it can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub fingerprint: u64,
    /// Comparable among types of one fingerprint.
    pub order: u64,
    pub name: Box<str>,
}

/// Names of static types that cannot be read, by address.
#[derive(Clone, Debug, Default)]
pub struct StaticNames {
    names: FxHashMap<Address, Box<str>>,
    /// The names of which a type has one, where nothing tells which.
    one_of: FxHashMap<Address, Vec<Box<str>>>,
}

impl StaticNames {
    /// Names those of `types` that are static and whose `tp_name` cannot be read.
    pub(in crate::cpython) fn find(runtime: &Runtime<'_>, facts: &Facts, types: &[Address]) -> Self {
        let mut nameless: Vec<Address> =
            types.iter().copied().filter(|&type_| is_static(runtime, type_)).collect();
        nameless.retain(|&type_| names::written_tp_name(runtime, type_).is_none());
        let mut found = Self::default();
        if nameless.is_empty() {
            return found;
        }
        by_facts(runtime, facts, &nameless, &mut found);
        by_builtins(runtime, &nameless, &mut found.names);
        by_own_module(runtime, &mut found);
        by_modules(runtime, &nameless, &mut found.names);
        for (&type_, names) in &found.one_of {
            let either = || format!("<static type {}>", names.join(" or ")).into();
            found.names.entry(type_).or_insert_with(either);
        }
        found
    }

    /// `tp_name` of the static type at `type_`; if it is not known, the names that it may be, or where it was found.
    pub fn get(&self, type_: Address) -> Option<&str> {
        self.names.get(&type_).map(AsRef::as_ref)
    }

    /// The names of which the static type at `type_` has one; empty if it is known which, or no facts say.
    pub(in crate::cpython) fn one_of(&self, type_: Address) -> &[Box<str>] {
        self.one_of.get(&type_).map_or(&[], Vec::as_slice)
    }
}

/// Every static type of the process that has a name, as it can be recognised elsewhere.
pub(super) fn of_types(runtime: &Runtime<'_>) -> Vec<Identity> {
    let order = Order::of(runtime);
    let types = runtime.types.iter().filter(|(_, info)| is_static(runtime, info.address));
    let known = types.filter_map(|(_, info)| {
        Some(Identity {
            fingerprint: fingerprint(runtime, info.address),
            order: order.of_type(runtime, info.address),
            name: names::written_tp_name(runtime, info.address)?.into(),
        })
    });
    known.collect()
}

fn is_static(runtime: &Runtime<'_>, type_: Address) -> bool {
    runtime
        .space
        .field(type_, runtime.layouts.type_.flags)
        .is_ok_and(|flags| flags & type_flags::HEAPTYPE == 0)
}

/// What all processes of a release agree on about a type made in C.
fn fingerprint(runtime: &Runtime<'_>, type_: Address) -> u64 {
    let (space, l) = (&runtime.space, &runtime.layouts.type_);
    let read = |address, field| space.field(address, field).unwrap_or(0);
    let mut hash = Fnv::default();
    let mut current = type_;
    for _ in 0..MAX_BASES {
        if current == 0 {
            break;
        }
        hash.word(read(current, l.basicsize));
        hash.word(read(current, l.itemsize));
        hash.word(read(current, l.flags) & STEADY);
        current = read(current, l.base);
    }
    let mut attributes: Vec<String> = Vec::new();
    let mut doc = String::new();
    for (key, value) in dict_items(runtime, type_dict(runtime, type_)) {
        let Ok(name) = values::read_str(runtime, key, MAX_NAME) else { continue };
        if name == "__doc__" && values::is_str(runtime, value) {
            doc = values::read_str(runtime, value, MAX_DOC).unwrap_or_default();
        }
        attributes.push(name);
    }
    attributes.sort_unstable();
    attributes.iter().for_each(|name| hash.text(name));
    hash.text(&doc);
    hash.0
}

/// Fowler, Noll and Vo's hash (FNV-1a, 64 bits): the same in every release of this crate.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0xff]);
    }
}

/// When types were made ready: by their number where the interpreter numbers them (3.12 and later), else by their places
/// among the subclasses of their bases, which a dict keeps in order.
struct Order(FxHashMap<Address, u64>);

impl Order {
    fn of(runtime: &Runtime<'_>) -> Self {
        let l = &runtime.layouts;
        let mut places = FxHashMap::default();
        let mut pending = vec![(runtime.landmarks.object_type, 0u64)];
        while let Some((base, above)) = pending.pop() {
            let subclasses = static_parts(runtime, 0, base).map_or_else(
                || runtime.space.field(base, l.type_.subclasses).unwrap_or(0),
                |parts| parts.subclasses,
            );
            if !is_static(runtime, base) || !values::has_flag(runtime, subclasses, type_flags::DICT_SUBCLASS)
            {
                continue;
            }
            for (place, (_, reference)) in (1..PLACES).zip(dict_items(runtime, subclasses)) {
                let order = above.saturating_mul(PLACES).saturating_add(place);
                if let Ok(subclass) = runtime.space.field(reference, l.weakref.object)
                    && places.insert(subclass, order).is_none()
                {
                    pending.push((subclass, order));
                }
            }
        }
        Self(places)
    }

    fn of_type(&self, runtime: &Runtime<'_>, type_: Address) -> u64 {
        let (space, l) = (&runtime.space, &runtime.layouts.type_);
        let numbered = space.field(type_, l.flags).is_ok_and(|flags| flags & type_flags::STATIC_BUILTIN != 0);
        match numbered {
            true => space.field(type_, l.subclasses).unwrap_or(0),
            false => self.0.get(&type_).copied().unwrap_or(UNKNOWN),
        }
    }
}

/// By fingerprint; among several alike, by order.
fn by_facts(runtime: &Runtime<'_>, facts: &Facts, nameless: &[Address], found: &mut StaticNames) {
    let order = Order::of(runtime);
    let mut alike: FxHashMap<u64, Vec<(u64, Address)>> = FxHashMap::default();
    for &type_ in nameless {
        alike.entry(fingerprint(runtime, type_)).or_default().push((order.of_type(runtime, type_), type_));
    }
    for (fingerprint, mut types) in alike {
        let mut known: Vec<&Identity> =
            facts.statics.iter().filter(|known| known.fingerprint == fingerprint).collect();
        known.sort_by_key(|known| known.order);
        // Two patch releases may have told the same.
        let mut names = FxHashSet::default();
        known.retain(|known| names.insert(&known.name));
        types.sort_unstable();
        let alone = types.len() == 1;
        if known.len() == types.len() && (alone || (told_apart(&known) && ordered(&types))) {
            let named = types.iter().zip(&known).map(|(&(_, type_), known)| (type_, known.name.clone()));
            found.names.extend(named);
        } else if types.len() <= known.len() {
            let names: Vec<Box<str>> = known.iter().map(|known| known.name.clone()).collect();
            found.one_of.extend(types.iter().map(|&(_, type_)| (type_, names.clone())));
        }
    }
}

/// Whether the order, ascending, of types that are alike is the same in every process: all have one, and one module (or the
/// interpreter itself) makes them. Which module comes first is up to the program.
fn told_apart(known: &[&Identity]) -> bool {
    let module = |known: &Identity| known.name.rsplit_once('.').map(|(module, _)| module.to_owned());
    let orders: Vec<u64> = known.iter().map(|known| known.order).collect();
    distinct(&orders) && known.windows(2).all(|pair| matches!(pair, [a, b] if module(a) == module(b)))
}

/// Whether an order, ascending, puts all types one after the other.
fn ordered(types: &[(u64, Address)]) -> bool {
    distinct(&types.iter().map(|&(order, _)| order).collect::<Vec<_>>())
}

fn distinct(orders: &[u64]) -> bool {
    orders.last() != Some(&UNKNOWN) && orders.windows(2).all(|pair| pair.first() != pair.last())
}

/// By the name that the module `builtins` has for a type, the first if it has several (`OSError` and its aliases).
fn by_builtins(runtime: &Runtime<'_>, nameless: &[Address], found: &mut FxHashMap<Address, Box<str>>) {
    let Some(main) = runtime.interpreters.first() else { return };
    for (key, value) in dict_items(runtime, main.builtins) {
        if nameless.contains(&value)
            && !found.contains_key(&value)
            && let Ok(name) = values::read_str(runtime, key, MAX_NAME)
        {
            found.insert(value, name.into());
        }
    }
}

/// Of several names the one in the module that has the type as an attribute, if there is one only: `_md5` has `_md5.md5` (as
/// `MD5Type`), not `_sha1.sha1`.
fn by_own_module(runtime: &Runtime<'_>, found: &mut StaticNames) {
    if found.one_of.is_empty() {
        return;
    }
    each_attribute(runtime, &mut |module, _, value| {
        let Some(names) = found.one_of.get(&value) else { return };
        let is_of_module = |name: &str| name.rsplit_once('.').is_some_and(|(prefix, _)| prefix == module);
        let mut of_module = names.iter().filter(|name| is_of_module(name));
        if let (Some(name), None) = (of_module.next().cloned(), of_module.next()) {
            found.one_of.remove(&value);
            found.names.insert(value, name);
        }
    });
}

/// Where no name is known, by the place where a type was found: an attribute of a module.
fn by_modules(runtime: &Runtime<'_>, nameless: &[Address], found: &mut FxHashMap<Address, Box<str>>) {
    each_attribute(runtime, &mut |module, key, value| {
        if nameless.contains(&value)
            && !found.contains_key(&value)
            && let Ok(attribute) = values::read_str(runtime, key, MAX_NAME)
        {
            found.insert(value, format!("<static type {module}.{attribute}>").into());
        }
    });
}

/// Calls `each` with every module's name, and the key and value of each of its attributes.
fn each_attribute(runtime: &Runtime<'_>, each: &mut impl FnMut(&str, Address, Address)) {
    let Some(main) = runtime.interpreters.first() else { return };
    for (name, module) in dict_items(runtime, main.modules) {
        let Ok(module_name) = values::read_str(runtime, name, MAX_NAME) else { continue };
        let attributes = runtime.space.field(module, runtime.layouts.module.dict).unwrap_or(0);
        if !values::has_flag(runtime, attributes, type_flags::DICT_SUBCLASS) {
            continue;
        }
        for (key, value) in dict_items(runtime, attributes) {
            each(&module_name, key, value);
        }
    }
}
