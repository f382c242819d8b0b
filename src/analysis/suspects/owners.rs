//! Exact sizes: what would be freed with each suspect alone, and owners that no name led to.
//!
//! Knows dominance; refuses to guess. An *accumulation point* is where what one owner holds spreads out: from the owner
//! down as long as one object below holds nearly all of it.

use super::claims::{Claim, Kinds};
use super::descent::{Ways, drop_explained};
use super::finding::{Evidence, Remedy, Suspect, SuspectKind};
use super::held_by_c::held_by_c;
use super::places::{Level, Place};
use super::structure::Structure;
use super::thresholds::Thresholds;
use super::{Survey, Suspects, groups, nested, rules, sort};
use crate::analysis::python_path::PathWriter;
use crate::analysis::share::share;
use crate::analysis::{Heap, Holders, Retention, Roots};
use crate::heap::ObjectId;
use rustc_hash::FxHashSet;

/// Owners of which known suspects explain at least so much are no news, in basis points.
const EXPLAINED: u32 = 4000;
/// Owners added at most.
const MAX_OWNERS: usize = 20;
/// Longest way down.
const MAX_WAY: usize = 1000;

/// Adds to every suspect what would be freed with it alone, folds those that lie inside others, and adds what holds much
/// without a name that a rule looks at: single owners, and classes whose instances are held in several ways.
pub fn retained_by_suspects(
    heap: Heap<'_, '_>,
    roots: &Roots,
    retention: &Retention,
    suspects: &mut Suspects,
) {
    for suspect in &mut suspects.list {
        if let Some(id) = suspect.object {
            suspect.retained = Some(retention.bytes(id));
            suspect.share = share(suspect.kept(), suspects.heap_bytes);
        }
    }
    suspects.list.extend(held_by_c(heap, roots, retention, suspects));
    let parts = large_parts(retention, suspects);
    let ways = Ways::new(heap, retention, &parts);
    descend(heap, retention, &ways, suspects);
    nested::fold(retention, suspects);
    let structure = Structure::of(heap, roots, retention);
    let points = accumulation_points(&structure, &ways, &parts, suspects);
    let candidates = groups::candidates(heap, retention, suspects, &points);
    if !points.is_empty() || !candidates.is_empty() {
        let holders = Holders::search(heap, roots, None);
        let mut writer = PathWriter::new(heap);
        let mut name = |node: u32| Some(writer.name(&holders.path_to(node)?, roots));
        let claims = claims_of(heap, retention, &points);
        for (&node, claim) in points.iter().zip(&claims) {
            if let (Some(object), Some(path)) = (heap.id(node), name(node)) {
                let place = Place { object, path, level: Level::Attribute, stdlib: true };
                suspects.list.push(owner(heap, suspects, &place, claim));
            }
        }
        let kept = points.iter().map(|&node| (node, retention.of(node))).collect();
        drop_explained(heap, &mut suspects.list, &kept);
        for group in groups::meeting(heap, &holders, suspects, candidates) {
            if !structure.contains(group.meeting)
                && let Some(path) = name(group.meeting)
            {
                suspects.list.push(group.suspect(heap, retention, path, suspects.heap_bytes));
            }
        }
    }
    sort(&mut suspects.list);
}

/// From something large down to what holds most of it, and so on: less than this is never met on the way.
fn large_parts(retention: &Retention, suspects: &Suspects) -> Vec<u32> {
    retention.retaining(|bytes| {
        let whole = bytes.saturating_add(bytes / 4).saturating_add(1);
        suspects.thresholds.other.is_reached(whole, suspects.heap_bytes)
    })
}

/// Puts what the rules say of where an owner's parts spread out in the place of what they say of the owner.
fn descend(heap: Heap<'_, '_>, retention: &Retention, ways: &Ways<'_, '_, '_>, suspects: &mut Suspects) {
    let descents = ways.descents(&suspects.list);
    let points: Vec<u32> = descents.iter().map(|descent| descent.point).collect();
    let claims = claims_of(heap, retention, &points);
    for (descent, claim) in descents.into_iter().zip(&claims) {
        let Some(object) = heap.id(descent.point) else { continue };
        let level = if descent.is_variable { Level::Local } else { Level::Attribute };
        let place = Place { object, path: descent.path, level, stdlib: false };
        let found = owner(heap, suspects, &place, claim);
        if let Some(suspect) = suspects.list.get_mut(descent.suspect) {
            *suspect = found;
        }
    }
    let mut seen = FxHashSet::default();
    suspects.list.retain(|suspect| suspect.object.is_none_or(|id| seen.insert(id)));
}

/// What rules say of an accumulation point; that it holds much, where they say nothing.
fn owner(heap: Heap<'_, '_>, suspects: &Suspects, place: &Place, claim: &Claim) -> Suspect {
    let heap_bytes = suspects.heap_bytes;
    // It is large enough already; what it is said to be may be smaller than what it retains.
    let all = Thresholds::default().with(Some(0), Some(0));
    let found = rules::of_place(&Survey::new(heap, &all, heap_bytes), place, claim);
    let mut suspect = found.unwrap_or_else(|| Suspect {
        kind: SuspectKind::Owner,
        path: place.path.clone(),
        object: Some(place.object),
        type_name: heap.type_name(place.object).to_owned(),
        evidence: Evidence::Parts(0),
        objects: claim.objects,
        bytes: claim.bytes,
        retained: None,
        share: share(claim.bytes, heap_bytes),
        confidence: rules::confidence(SuspectKind::Owner, claim.bytes, heap_bytes, false),
        remedy: Remedy::Inspect,
        mostly: None,
        inside: Vec::new(),
    });
    suspect.retained = Some(claim.bytes);
    suspect
}

/// What is below each of `points` in the dominator tree, counted as [`super::claims`] counts.
fn claims_of(heap: Heap<'_, '_>, retention: &Retention, points: &[u32]) -> Vec<Claim> {
    let mut claims = vec![Claim::default(); points.len()];
    if points.is_empty() {
        return claims;
    }
    let objects: Vec<Option<u32>> = points.iter().map(|&node| Some(node)).collect();
    let (kinds, rows) = (Kinds::of(heap), heap.objects.rows());
    for (node, &owner) in nested::owners(retention, &objects).iter().enumerate() {
        let object = || rows.get(ObjectId(u32::try_from(node).ok()?));
        if let Some(claim) = claims.get_mut(owner as usize)
            && let Some(object) = object()
        {
            kinds.count(heap, object, claim);
        }
    }
    // Barriers are not counted there, but they would be freed.
    for (claim, &node) in claims.iter_mut().zip(points) {
        claim.bytes = retention.of(node);
    }
    claims
}

/// Where large ones of the `parts` spread out and no suspect is above or below that explains most of it.
fn accumulation_points(
    structure: &Structure<'_, '_, '_>,
    ways: &Ways<'_, '_, '_>,
    parts: &[u32],
    suspects: &Suspects,
) -> Vec<u32> {
    let (retention, heap_bytes) = (structure.retention(), suspects.heap_bytes);
    let (tree, of) = (retention.tree(), |node: u32| retention.of(node));
    let is_large = |node: u32| suspects.thresholds.other.is_reached(of(node), heap_bytes);
    let is_owner = |&node: &u32| {
        is_large(node)
            && !structure.contains(node)
            && tree.idom(node).is_none_or(|above| structure.contains(above))
    };
    let owners: Vec<u32> = parts.iter().copied().filter(is_owner).collect();
    if owners.is_empty() {
        return owners;
    }
    let known: Vec<(u32, u64)> =
        suspects.list.iter().filter_map(|suspect| Some((suspect.object?.0, suspect.kept()))).collect();
    let is_below = |node: u32, point: u32| {
        node == point || tree.dominators(node).take(MAX_WAY).any(|above| above == point)
    };
    let mut points: Vec<u32> = Vec::new();
    for owner in owners {
        let Some(&point) = ways.to_point(owner).last() else { continue };
        let inside = known.iter().filter(|&&(node, _)| is_below(node, point)).map(|&(_, kept)| kept);
        let above = known.iter().any(|&(node, _)| is_below(point, node));
        if !above && share(inside.sum(), of(point)) < EXPLAINED {
            points.push(point);
        }
    }
    points.sort_by_key(|&node| (std::cmp::Reverse(of(node)), node));
    points.truncate(MAX_OWNERS);
    points.retain(|&node| is_large(node));
    points
}
