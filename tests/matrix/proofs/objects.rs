//! Objects: that all are found, with their types, sizes, references and counts.

use super::{Differences, View};
use crate::oracle::Oracle;
use crate::untold;
use exuvia::cpython::{AllocatorKind, ReadField, References};
use exuvia::graph::EdgeKind;
use exuvia::heap::ObjectId;
use std::collections::{BTreeMap, BTreeSet};

impl View<'_, '_> {
    /// Proof 2: referents of every object, as multisets.
    pub fn referents(&self, oracle: &Oracle, differences: &mut Differences) {
        let mut references = References::new(self.runtime);
        let mut wrong = BTreeMap::<String, Vec<String>>::new();
        for (address, mut theirs) in oracle.referents() {
            let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
            let mut ours = Vec::new();
            let mut outcome = "type unknown".to_owned();
            if let Some(info) = self.runtime.types.of(type_) {
                let result = references.visit(info, address, &mut |referent| {
                    if referent.kind == EdgeKind::Visited {
                        ours.push(referent.target);
                    }
                });
                outcome = format!("{result:?}");
            }
            ours.sort_unstable();
            theirs.sort_unstable();
            let known_gap = self.without_code
                && outcome.contains("Opaque")
                && ours.iter().all(|id| theirs.contains(id))
                && untold::is_unfollowed(&self.made_in_c(type_), &self.module_name(address));
            if ours != theirs && !known_gap {
                let missing: Vec<String> =
                    theirs.iter().filter(|id| !ours.contains(id)).map(|&id| self.type_name(id)).collect();
                let surplus: Vec<String> =
                    ours.iter().filter(|id| !theirs.contains(id)).map(|&id| self.type_name(id)).collect();
                wrong.entry(self.type_name(address)).or_default().push(format!(
                    "{address:#x}: {} for {}, missing {missing:?}, surplus {surplus:?}, {outcome}, made in C: {}",
                    ours.len(),
                    theirs.len(),
                    match self.made_in_c(type_).as_str() {
                        "module" => format!("module {}", self.module_name(address)),
                        made_in_c => made_in_c.to_owned(),
                    }
                ));
            }
        }
        let lines =
            wrong.iter().map(|(name, all)| format!("{} × {name}, first {}", all.len(), all[0])).collect();
        differences.all("referents, by type", lines);
    }

    /// Proof 3, first half: every object is in the census, with its type, the type's name, and its size.
    pub fn objects(&self, oracle: &Oracle, differences: &mut Differences) {
        let names = oracle.types();
        let objects = &self.census.objects;
        let mut wrong = BTreeMap::<String, Vec<String>>::new();
        let hidden = match self.without_code && self.census.allocator == AllocatorKind::Malloc {
            true => self.behind_opaque_objects(oracle),
            false => BTreeSet::new(),
        };
        for object in oracle.objects() {
            let said = names.get(&object.type_).map_or("?", |name| name.name.as_str());
            let mut note = |what: String| {
                wrong.entry(said.to_owned()).or_default().push(format!("{:#x}: {what}", object.address));
            };
            let Some(id) = objects.find(object.address) else {
                // malloc keeps no list: what only objects that could not be followed refer to is not found, and coverage
                // says that counts are lower bounds.
                if !hidden.contains(&object.address) {
                    note("not in the census".to_owned());
                }
                continue;
            };
            let info = self.runtime.types.get(objects.type_id(id));
            let unnamed =
                self.without_code && info.name.starts_with("<static type") && untold::is_unnamed(said);
            if info.address != object.type_ || (*info.name != *said && !unnamed) {
                note(format!("is a {}", info.name));
            }
            // 2^64-1: sys.getsizeof itself failed.
            let unmeasured =
                self.without_code && objects.size(id) < object.size && untold::is_unmeasured(said);
            if object.size != u64::MAX && objects.size(id) != object.size && !unmeasured {
                note(format!("{} bytes, not {}", objects.size(id), object.size));
            }
        }
        let lines =
            wrong.iter().map(|(name, all)| format!("{} × {name}, first {}", all.len(), all[0])).collect();
        differences.all("objects, by type", lines);
    }

    /// What an object that could not be followed refers to, as the interpreter said, or what only that leads to.
    fn behind_opaque_objects(&self, oracle: &Oracle) -> BTreeSet<u64> {
        let objects = &self.census.objects;
        let referents: BTreeMap<u64, Vec<u64>> = oracle.referents().into_iter().collect();
        let is_opaque = |&&address: &&u64| {
            let type_ = self.runtime.space.field(address, self.runtime.layouts.object.type_).unwrap_or(0);
            untold::is_unfollowed(&self.made_in_c(type_), &self.module_name(address))
        };
        let mut pending: Vec<u64> = referents.keys().filter(is_opaque).copied().collect();
        let mut hidden = BTreeSet::new();
        while let Some(address) = pending.pop() {
            let targets = referents.get(&address).into_iter().flatten().copied();
            let lost = targets.filter(|&target| objects.find(target).is_none());
            pending.extend(lost.filter(|&target| hidden.insert(target)));
        }
        hidden
    }

    /// All objects that a build with trace-refs has on the list that `sys.getobjects()` shows are found, and nothing of
    /// pools is found that is not there (Objects/object.c, up to 3.11).
    pub fn chain(&self, differences: &mut Differences) {
        let Some(next) = self.runtime.layouts.object.chain_next else { return };
        let Some(head) = self.runtime.symbol("refchain") else { return };
        let mut theirs = BTreeSet::new();
        let mut object = self.runtime.space.field(head, next).unwrap_or(head);
        while object != head && theirs.insert(object) {
            object = self.runtime.space.field(object, next).unwrap_or(head);
        }
        let objects = &self.census.objects;
        let all = (0..objects.len() as u32).map(|id| objects.address(ObjectId(id)));
        let ours: BTreeSet<u64> = all.collect();
        let known: BTreeSet<u64> = theirs.iter().copied().filter(|object| ours.contains(object)).collect();
        differences.sets("sys.getobjects()", &known, &theirs, &|id| self.type_name(id));
        // Static objects join the list when something first holds them.
        let surplus = ours.difference(&theirs).filter(|&&id| self.runtime.binaries.containing(id).is_none());
        let surplus: Vec<String> =
            surplus.map(|&id| format!("{id:#x} {} is not on the list", self.type_name(id))).collect();
        differences.all("sys.getobjects()", surplus);
    }

    /// What a build with `COUNT_ALLOCS` counted: between what the interpreter said before the dump and what it said after,
    /// which for most types is the same. It says nothing of types without instances so far, and types may share a name.
    pub fn allocation_counts(&self, oracle: &Oracle, differences: &mut Differences) {
        let Some([before, after]) = oracle.summary().build.counts else { return };
        let names = oracle.types().into_iter();
        let ours = names.filter_map(|(address, name)| {
            let counts = self.runtime.types.of(address)?.counts?;
            Some((name.tp_name.unwrap_or(name.name), counts.allocs, counts.frees, counts.max))
        });
        let by_name = |rows: Vec<(String, u64, u64, u64)>| {
            let mut named = BTreeMap::<String, Vec<[u64; 3]>>::new();
            for (name, allocs, frees, max) in rows {
                named.entry(name).or_default().push([allocs, frees, max]);
            }
            named.values_mut().for_each(|counts| counts.sort_unstable());
            named
        };
        let ours = by_name(ours.filter(|&(_, allocs, ..)| allocs > 0).collect());
        let (before, after) = (by_name(before), by_name(after));
        let (mut wrong, mut exact) = (Vec::new(), 0);
        for (name, counts) in &ours {
            let (Some(low), Some(high)) = (before.get(name), after.get(name)) else { continue };
            if [low.len(), high.len()] != [counts.len(); 2] {
                continue;
            }
            let mut rows = counts.iter().zip(low).zip(high);
            let within = |ours: &[u64; 3], low: &[u64; 3], high: &[u64; 3]| {
                (0..3).all(|index| (low[index]..=high[index]).contains(&ours[index]))
            };
            if rows.all(|((ours, low), high)| within(ours, low, high)) {
                exact += usize::from(low == high);
            } else {
                wrong.push(format!("{name}: {counts:?}, not {low:?} to {high:?}"));
            }
        }
        differences.all("sys.getcounts()", wrong);
        differences.check(exact * 4 > after.len() * 3, || {
            format!("sys.getcounts(): exactly the same for {exact} of {} names only", after.len())
        });
    }

    /// Proof 3, second half: reference counts, corrected for what the oracle's looking changed.
    pub fn refcounts(&self, oracle: &Oracle, differences: &mut Differences) {
        let summary = oracle.summary();
        let mut said: BTreeMap<u64, u64> = oracle.refcounts().into_iter().collect();
        for (address, _, _, in_core, _) in &summary.looking.refcounts {
            said.insert(*address, *in_core as u64);
        }
        let mut wrong = Vec::new();
        for (address, theirs) in said {
            let found = self.runtime.header_refcount(address).ok();
            if found.is_none_or(|found| found.count != theirs && !found.immortal) {
                wrong.push(format!("{address:#x} {}: {found:?}, not {theirs}", self.type_name(address)));
            }
        }
        differences.all("reference counts", wrong);
    }
}
