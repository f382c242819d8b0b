//! Facts from machine code: which members a type's `tp_traverse` visits, whatever they hold.
//!
//! The function is followed over a stand-in for an object, in which each word leads to an address of its own that holds
//! nothing; so a visit tells the member. What then depends on a member's value, or reads beyond the members, is no fact.
//! Every fact is compared with the code's own answer for the objects that the process has. Refuses to know any type.

use super::{Facts, Held, Members, State, has_managed_dict, note};
use crate::corefile::Address;
use crate::cpython::references::{Stage, follow_code, module_traversal};
use crate::cpython::types::{TypeInfo, WalkKind, traversal_owner};
use crate::cpython::words::ReadField;
use crate::cpython::{Runtime, dict_items, names, values};
use crate::graph::EdgeKind;
use crate::machine::{CodeCache, Limits};
use rustc_hash::FxHashMap;

/// Largest struct that is taken apart, in bytes.
const MAX_SIZE: u64 = 4096;
/// Bytes of an item that is a reference.
const WORD: u64 = 8;
/// Most items that a stand-in has.
const MAX_ITEMS: u64 = 3;
/// Objects of one type that a fact is compared with.
const MAX_COMPARED: usize = 64;
/// Instructions for one stand-in; a traversal without loops takes some hundred.
const LIMITS: Limits = Limits { instructions: 20_000, call_depth: 16 };
/// Longest name of a module.
const MAX_NAME: usize = 256;

/// Adds what the code and the debug information of this process tell to `facts`.
pub(super) fn record(runtime: &Runtime<'_>, facts: &mut Facts) {
    let mut code = CodeCache::new(LIMITS);
    let instances = instances(runtime);
    for (_, info) in runtime.types.iter() {
        let name = names::tp_name(runtime, info.address);
        if info.by_class_statement || name.is_empty() || info.basicsize > MAX_SIZE {
            continue;
        }
        let members_only = matches!(info.walk.kind, WalkKind::Fixed | WalkKind::Optional { .. });
        // The type that defines a traversal need not be the collector's, though its subclasses are.
        let followed = info.walk.kind == WalkKind::Machine || (members_only && !info.has_gc());
        if followed
            && info.traverse != 0
            && !info.is_metatype()
            && traversal_owner(runtime, info.address) == info.address
        {
            let objects = instances.get(&info.address).map_or(&[][..], Vec::as_slice);
            if let Some(members) = visited(runtime, &mut code, info, objects) {
                note(&mut facts.visits, &name, members);
            }
        }
        if members_only && let Some(held) = held(runtime, info) {
            note(&mut facts.holds, &name, held);
        }
    }
    record_states(runtime, &mut code, facts);
}

/// A few tracked objects of each type.
fn instances(runtime: &Runtime<'_>) -> FxHashMap<Address, Vec<Address>> {
    let mut found: FxHashMap<Address, Vec<Address>> = FxHashMap::default();
    for &object in runtime.gc_lists.iter().flat_map(|list| &list.objects) {
        let Ok(type_) = runtime.space.field(object, runtime.layouts.object.type_) else { continue };
        let objects = found.entry(type_).or_default();
        if objects.len() < MAX_COMPARED {
            objects.push(object);
        }
    }
    found
}

/// The members that the traversal of `info` visits, if that is all there is to it.
fn visited(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    info: &TypeInfo,
    objects: &[Address],
) -> Option<Members> {
    let stage = Stage::object(runtime, info.address, info.basicsize);
    let members = match unconditional(runtime, code, &stage, info.traverse) {
        Some(offsets) => Members { size: info.basicsize, offsets, items: false },
        None => items_visited(runtime, code, info)?,
    };
    let agrees = objects.iter().all(|&object| agrees(runtime, code, info, object, &members));
    agrees.then_some(members)
}

/// The members of a struct with items behind it, if each item is a reference and visited, and of the struct nothing but the
/// type.
fn items_visited(runtime: &Runtime<'_>, code: &mut CodeCache, info: &TypeInfo) -> Option<Members> {
    if info.itemsize != WORD {
        return None;
    }
    let count_at = i32::try_from(runtime.layouts.var_object.ob_size.offset).ok()?;
    let first = i32::try_from(info.basicsize).ok()?;
    let mut visited_with = |count: u64| {
        let size = info.basicsize.saturating_add(count * WORD);
        let stage = Stage::object(runtime, info.address, size).with(count_at, count);
        offsets_visited(runtime, code, &stage, info.traverse)
    };
    let fixed = visited_with(0)?;
    for count in 1..=MAX_ITEMS {
        let items = (0..count as i32).map(|index| first + index * WORD as i32);
        if !visited_with(count)?.into_iter().eq(fixed.iter().copied().chain(items)) {
            return None;
        }
    }
    let type_only = fixed.iter().all(|&offset| u32::try_from(offset) == Ok(runtime.header.type_at));
    type_only.then(|| Members { size: info.basicsize, offsets: fixed.into_boxed_slice(), items: true })
}

/// The offsets visited on `stage`, provided that a visit depends on nothing but its own member being NULL.
fn unconditional(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    stage: &Stage<'_, '_>,
    entry: Address,
) -> Option<Box<[i32]>> {
    guarded(runtime, code, stage, entry).and_then(|(offsets, guard)| guard.is_none().then_some(offsets))
}

/// The offsets visited on `stage`, and that of the word, if there is one, that must not be 0 for any to be visited; provided
/// that a visit depends on nothing else but its own member being NULL.
fn guarded(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    stage: &Stage<'_, '_>,
    entry: Address,
) -> Option<(Box<[i32]>, Option<i32>)> {
    let all = offsets_visited(runtime, code, stage, entry)?;
    let mut guard = None;
    for offset in stage.members() {
        for value in [0, 1] {
            // A member may hold a small number in the place of an object (`errors` of the multibyte codecs): it is then
            // not visited, and no plain member.
            let expected = all.iter().copied().filter(|&known| known != offset || value != 0);
            let changed = offsets_visited(runtime, code, &stage.with(offset, value), entry)?;
            if value == 0
                && changed.is_empty()
                && !all.is_empty()
                && !all.contains(&offset)
                && guard.is_none()
            {
                guard = Some(offset);
            } else if !changed.into_iter().eq(expected) {
                return None;
            }
        }
    }
    let once = all.windows(2).all(|pair| pair.first() != pair.last());
    once.then(|| (all.into_boxed_slice(), guard))
}

/// Offsets of the members that the code at `entry` visits, ascending; `None` if it cannot be followed, or visits anything
/// else.
fn offsets_visited(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    stage: &Stage<'_, '_>,
    entry: Address,
) -> Option<Vec<i32>> {
    let visits = follow_code(runtime, stage, code, entry, stage.argument()).ok()?;
    let mut offsets: Vec<i32> =
        visits.iter().map(|visit| stage.offset_of(visit.target)).collect::<Option<_>>()?;
    offsets.sort_unstable();
    Some(offsets)
}

/// Whether the members at `offsets` are what the code visits of a real object.
fn agrees(
    runtime: &Runtime<'_>,
    code: &mut CodeCache,
    info: &TypeInfo,
    object: Address,
    members: &Members,
) -> bool {
    let offsets = &members.offsets;
    // Attributes outside a dict are visited one by one; how is known for every release.
    if has_managed_dict(offsets) {
        return true;
    }
    let real = Stage::none(runtime);
    let Ok(visits) = follow_code(runtime, &real, code, info.traverse, object) else { return false };
    let mut theirs: Vec<Address> = visits.iter().map(|visit| visit.target).collect();
    let word = |address: Address| runtime.space.read_u64(address).unwrap_or(0);
    let count = runtime.space.signed(object, runtime.layouts.var_object.ob_size).map_or(0, i64::unsigned_abs);
    let items = (0..count.min(MAX_SIZE)).filter(|_| members.items);
    let mut ours: Vec<Address> = offsets
        .iter()
        .map(|&offset| word(object.wrapping_add_signed(i64::from(offset))))
        .chain(items.map(|index| word(object.wrapping_add(members.size).wrapping_add(index * WORD))))
        .filter(|&target| target != 0)
        .collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    ours == theirs
}

/// What debug information told of a type that the collector does not know.
fn held(runtime: &Runtime<'_>, info: &TypeInfo) -> Option<Held> {
    let owned = |field: &crate::cpython::shapes::FieldEdge| {
        let own =
            field.kind == EdgeKind::Owned && field.name.is_none() && field.offset >= runtime.header.size;
        own.then_some(field.offset)
    };
    let offsets: Box<[i32]> =
        info.walk.fields.iter().map(|field| i32::try_from(owned(field)?).ok()).collect::<Option<_>>()?;
    let optional = match info.walk.kind {
        WalkKind::Optional { flag, member } => Some((flag, member)),
        _ => None,
    };
    let known = !offsets.is_empty() || optional.is_some();
    known.then_some(Held { members: Members { size: info.basicsize, offsets, items: false }, optional })
}

/// The members that the `m_traverse` of each imported module visits of its state.
fn record_states(runtime: &Runtime<'_>, code: &mut CodeCache, facts: &mut Facts) {
    let (space, l) = (&runtime.space, &runtime.layouts);
    let Some(main) = runtime.interpreters.first() else { return };
    for (_, module) in dict_items(runtime, main.modules) {
        let Ok(Some((size, traverse))) = module_traversal(runtime, module) else { continue };
        let size = u64::try_from(size).unwrap_or(0);
        let name = space.field(module, l.module.name).unwrap_or(0);
        if traverse == 0 || size == 0 || size > MAX_SIZE || !values::is_str(runtime, name) {
            continue;
        }
        let Ok(name) = values::read_str(runtime, name, MAX_NAME) else { continue };
        let stage = Stage::state(runtime, module, size);
        if let Some((offsets, guard)) = guarded(runtime, code, &stage, traverse) {
            note(&mut facts.states, &name, State { members: Members { size, offsets, items: false }, guard });
        }
    }
}
