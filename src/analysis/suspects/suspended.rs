//! Suspended generators, coroutines and async generators by the function they are of.
//!
//! Knows which own a frame; refuses to know who was to resume them.

use super::claims::{Claim, Claims};
use crate::analysis::labels::Labels;
use crate::analysis::{Collection, Heap, python_name};
use crate::corefile::Address;
use crate::cpython::{Slot, WalkKind, generator_frame, read_str};
use crate::heap::ObjectId;
use std::collections::BTreeMap;

/// Fewer of one function are no finding.
pub const MIN_GENERATORS: u64 = 100;
/// Longest name of a function, in characters.
const MAX_NAME: usize = 200;

/// Suspended generators, coroutines or async generators of one function.
pub struct Suspension {
    /// Its name and file.
    pub function: String,
    /// Type of the first of them.
    pub type_name: String,
    /// How many there are.
    pub count: u64,
    /// What only they have reached.
    pub claim: Claim,
}

/// Groups everything suspended by its code and claims what only it has reached.
pub fn suspensions(heap: Heap<'_, '_>, garbage: &Collection, claims: &mut Claims<'_, '_>) -> Vec<Suspension> {
    let mut generators = heap.nodes_of_types(|_, info| info.walk.kind == WalkKind::Generator);
    generators.subtract(&garbage.unreachable);
    let mut by_code: BTreeMap<Address, Vec<ObjectId>> = BTreeMap::new();
    let mut labels = Labels::new(heap);
    for generator in generators.iter().map(ObjectId) {
        let mut code = None;
        labels.each(generator, &mut |target, _, slot| {
            if slot == Slot::Field("gi_code") {
                code = Some(heap.objects.address(target));
            }
        });
        if let Some(code) = code {
            by_code.entry(code).or_default().push(generator);
        }
    }
    let many = by_code.into_iter().filter(|(_, generators)| generators.len() as u64 >= MIN_GENERATORS);
    many.filter_map(|(code, generators)| suspension(heap, claims, code, &generators)).collect()
}

fn suspension(
    heap: Heap<'_, '_>,
    claims: &mut Claims<'_, '_>,
    code: Address,
    generators: &[ObjectId],
) -> Option<Suspension> {
    let first = *generators.first()?;
    let mut claim = Claim::default();
    let mut count = 0;
    for &generator in generators {
        // Ended ones own no frame.
        if generator_frame(heap.runtime, heap.objects.address(generator)).is_some() {
            let more = claims.claim(generator);
            claim.objects += more.objects;
            claim.bytes += more.bytes;
            count += 1;
        }
    }
    let mut names = [None, None];
    let code = heap.objects.find(code)?;
    Labels::new(heap).each(code, &mut |target, _, slot| match slot {
        Slot::Field("co_qualname") => names[0] = Some(target),
        Slot::Field("co_filename") => names[1] = Some(target),
        _ => {}
    });
    let [name, file] = names.map(|name| {
        let text = name.and_then(|name| read_str(heap.runtime, heap.objects.address(name), MAX_NAME).ok());
        text.unwrap_or_else(|| "?".to_owned())
    });
    let type_name = python_name(&heap.type_of(first).name).to_owned();
    Some(Suspension { function: format!("{name}() in {file}"), type_name, count, claim })
}
