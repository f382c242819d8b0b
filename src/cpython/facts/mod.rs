//! What another process of the same release, whose files were whole, told of its types: for processes without them.
//!
//! Knows the text of these facts, one a line, as layout tables carry them (`fact …`):
//!
//! ```text
//! static 9c1f0a33d2e84b57 12 list_iterator       fingerprint and order of a type made in C (see `identity`)
//! visit 32 + hamt_bitmap_node                    the same: no member, but ob_size items behind the struct
//! visit 88 8,24,-24 _io.FileIO                   tp_basicsize; members its tp_traverse visits; below 0: the managed dict
//! hold 48 16,24;25:40 _foo.Thing                 members that instances own, without a tp_traverse; 25 tells of 40
//! state 96 0,8,16 _foo                           m_size; members of the module's state that m_traverse visits
//! state 208 8,16;0 io                            the same, none of which it visits while the member at 0 is 0
//! ```
//!
//! Refuses to know what a process did: facts speak of types and C structs, which are alike in all builds of a release
//! that have the same sizes. A fact is used only for a type of the same name and size.

mod embedded;
mod identity;
mod record;

pub use identity::StaticNames;

use super::shapes::FieldEdge;
use super::types::{Walk, WalkKind};
use super::{PyVersion, Runtime};
use crate::corefile::{Address, AddressSpace, ModuleStatus, ReadError};
use crate::graph::EdgeKind;
use crate::layout::Table;
use identity::Identity;
use rustc_hash::FxHashMap;
use std::fmt::{self, Display};

/// Structs by name; of one name there may be several, of different sizes, as patch releases add members.
type ByName<T> = FxHashMap<Box<str>, Vec<T>>;

/// Facts of one release.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    statics: Vec<Identity>,
    visits: ByName<Members>,
    holds: ByName<Held>,
    states: ByName<State>,
}

/// Members of a struct of a certain size, by offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    size: u64,
    offsets: Box<[i32]>,
    /// Behind the struct lie as many more as `ob_size` says.
    items: bool,
}

/// Members that instances own without showing them to the collector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    members: Members,
    /// A byte that is not 0 where the member after it exists.
    optional: Option<(u32, u32)>,
}

/// Members of a module's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    members: Members,
    /// A member, of 4 bytes, that is 0 while none of them is visited.
    guard: Option<i32>,
}

impl Facts {
    /// The facts that `table` carries and, where it has none, those that come with this crate for builds of `version` whose
    /// object headers have `header` bytes.
    pub(super) fn of(table: Option<&Table>, version: PyVersion, header: u32) -> Self {
        let mut facts = Self::default();
        facts.read(table.into_iter().flat_map(|table| table.facts.iter().map(String::as_str)));
        facts.read(embedded::lines(version, header));
        facts
    }

    /// Reads facts; a line that is none is passed over, as tables of later releases may have more kinds.
    fn read<'t>(&mut self, lines: impl Iterator<Item = &'t str>) {
        for line in lines {
            // Nothing depends on a line that cannot be read.
            let _ = self.line(line);
        }
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let (first, rest) = rest.split_once(' ')?;
        let (second, name) = rest.split_once(' ')?;
        match kind {
            "static" => self.note_static(Identity {
                fingerprint: u64::from_str_radix(first, 16).ok()?,
                order: second.parse().ok()?,
                name: name.into(),
            }),
            "visit" => note(&mut self.visits, name, Members::parse(first, second)?),
            "state" => note(&mut self.states, name, State::parse(first, second)?),
            "hold" => note(&mut self.holds, name, Held::parse(first, second)?),
            _ => {}
        }
        Some(())
    }

    /// Adds a type unless it is known: the orders of two processes are not compared.
    fn note_static(&mut self, told: Identity) {
        let same = |known: &Identity| known.fingerprint == told.fingerprint && known.name == told.name;
        if !self.statics.iter().any(same) {
            self.statics.push(told);
        }
    }

    /// The facts as lines, sorted.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .statics
            .iter()
            .map(|known| format!("static {:016x} {} {}", known.fingerprint, known.order, known.name))
            .chain(all(&self.visits).map(|(name, members)| format!("visit {members} {name}")))
            .chain(all(&self.holds).map(|(name, held)| format!("hold {held} {name}")))
            .chain(all(&self.states).map(|(name, state)| format!("state {state} {name}")))
            .collect();
        lines.sort_unstable();
        lines
    }

    /// Adds what `told` has.
    fn pass_on(&mut self, told: &Self) {
        told.statics.iter().cloned().for_each(|known| self.note_static(known));
        all(&told.visits).for_each(|(name, members)| note(&mut self.visits, name, members.clone()));
        all(&told.states).for_each(|(name, state)| note(&mut self.states, name, state.clone()));
        all(&told.holds).for_each(|(name, held)| note(&mut self.holds, name, held.clone()));
    }

    /// Reads lines and writes again what was understood: for tests of hostile text.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn rewritten<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<String> {
        let mut facts = Self::default();
        facts.read(lines);
        facts.lines()
    }

    /// How instances of the type called `name`, of `size` bytes, are traversed by a function whose code is not there;
    /// `type_at` is where an object has its type.
    fn visited(&self, name: &str, size: u64, type_at: u32) -> Option<Walk> {
        let members = self.visits.get(name)?.iter().find(|members| members.size == size)?;
        let items = members.items.then(|| u32::try_from(size)).transpose().ok()?;
        let kind = WalkKind::Recorded { managed_dict: has_managed_dict(&members.offsets), items };
        Some(Walk { fields: members.fields(EdgeKind::Visited, Some(type_at)), kind })
    }

    /// How instances of the static type at `type_`, of `size` bytes, are traversed, as [`Self::visited`]: by its `name`, or
    /// if only several names are known of which it has one, by what facts of all these agree on.
    pub(super) fn visited_of(
        &self,
        runtime: &Runtime<'_>,
        type_: Address,
        name: &str,
        size: u64,
    ) -> Option<Walk> {
        let type_at = runtime.header.type_at;
        let Some((first, others)) = runtime.static_names.one_of(type_).split_first() else {
            return self.visited(name, size, type_at);
        };
        let members = |name: &str| self.visits.get(name)?.iter().find(|members| members.size == size);
        let told = members(first)?;
        others.iter().all(|other| members(other) == Some(told)).then(|| self.visited(first, size, type_at))?
    }

    /// What instances of the type called `name`, of `size` bytes, own although the collector does not know them.
    pub(super) fn held(&self, name: &str, size: u64) -> Option<Walk> {
        let held = self.holds.get(name)?.iter().find(|held| held.members.size == size)?;
        let kind =
            held.optional.map_or(WalkKind::Fixed, |(flag, member)| WalkKind::Optional { flag, member });
        Some(Walk { fields: held.members.fields(EdgeKind::Owned, None), kind })
    }

    /// Offsets of the references in the state, at `address` and of `size` bytes, of the module called `name`.
    ///
    /// # Errors
    /// The state cannot be read.
    pub(super) fn state(
        &self,
        space: &AddressSpace<'_>,
        name: &str,
        address: Address,
        size: u64,
    ) -> Result<Option<impl Iterator<Item = u32> + '_>, ReadError> {
        let fitting = |known: &&State| known.members.size == size;
        let Some(known) = self.states.get(name).and_then(|all| all.iter().find(fitting)) else {
            return Ok(None);
        };
        let visited = match known.guard {
            Some(guard) => space.read_u32(address.wrapping_add_signed(i64::from(guard)))? != 0,
            None => true,
        };
        let offsets = known.members.offsets.iter().filter(move |_| visited);
        Ok(Some(offsets.filter_map(|&offset| u32::try_from(offset).ok())))
    }
}

/// Whether one of the offsets lies in front of the object, where the attribute dict is: 24 bytes, or 8 without a GC head.
fn has_managed_dict(offsets: &[i32]) -> bool {
    offsets.iter().any(|&offset| offset < 0)
}

/// Adds what is not known yet.
fn note<T: PartialEq>(to: &mut ByName<T>, name: &str, fact: T) {
    let known = to.entry(name.into()).or_default();
    if !known.contains(&fact) {
        known.push(fact);
    }
}

fn all<T>(by_name: &ByName<T>) -> impl Iterator<Item = (&str, &T)> {
    by_name.iter().flat_map(|(name, facts)| facts.iter().map(move |fact| (name.as_ref(), fact)))
}

impl Members {
    fn parse(size: &str, offsets: &str) -> Option<Self> {
        let (items, list) = match offsets.strip_suffix('+') {
            Some(list) => (true, list.trim_end_matches(',')),
            None => (false, offsets),
        };
        let offsets = match list {
            "-" | "" => Box::default(),
            list => list.split(',').map(|offset| offset.parse().ok()).collect::<Option<_>>()?,
        };
        Some(Self { size: size.parse().ok()?, offsets, items })
    }

    fn fields(&self, kind: EdgeKind, type_at: Option<u32>) -> Box<[FieldEdge]> {
        let inside = self.offsets.iter().filter_map(|&offset| u32::try_from(offset).ok());
        let name = |offset| (Some(offset) == type_at).then_some("__class__");
        inside.map(|offset| FieldEdge { offset, kind, name: name(offset) }).collect()
    }
}

impl Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut offsets: Vec<String> = self.offsets.iter().map(i32::to_string).collect();
        offsets.extend(self.items.then(|| "+".to_owned()));
        let list = if offsets.is_empty() { "-".to_owned() } else { offsets.join(",") };
        write!(f, "{} {list}", self.size)
    }
}

impl State {
    /// `8,16` or, where a member says whether there is something to visit, `8,16;0`.
    fn parse(size: &str, offsets: &str) -> Option<Self> {
        let (offsets, guard) = match offsets.split_once(';') {
            Some((offsets, guard)) => (offsets, Some(guard.parse().ok()?)),
            None => (offsets, None),
        };
        Some(Self { members: Members::parse(size, offsets)?, guard })
    }
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.members)?;
        self.guard.map_or(Ok(()), |guard| write!(f, ";{guard}"))
    }
}

impl Held {
    /// `16,24` or, with an optional member, `16,24;25:40` (byte 25 tells of the member at 40).
    fn parse(size: &str, offsets: &str) -> Option<Self> {
        let (offsets, optional) = match offsets.split_once(';') {
            Some((offsets, optional)) => {
                let (flag, member) = optional.split_once(':')?;
                (offsets, Some((flag.parse().ok()?, member.parse().ok()?)))
            }
            None => (offsets, None),
        };
        Some(Self { members: Members::parse(size, offsets)?, optional })
    }
}

impl Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.members)?;
        match self.optional {
            Some((flag, member)) => write!(f, ";{flag}:{member}"),
            None => Ok(()),
        }
    }
}

impl Runtime<'_> {
    /// Everything that this process tells of its types to one without its files, a fact a line. A process that lacks
    /// files itself passes on what it was told.
    pub fn facts_as_lines(&self) -> Vec<String> {
        let mut facts = Facts::default();
        identity::of_types(self).into_iter().for_each(|told| facts.note_static(told));
        record::record(self, &mut facts);
        let mut modules = (0..self.binaries.len()).filter_map(|index| self.binaries.module(index));
        let is_lacking = |status: &ModuleStatus| {
            matches!(status, ModuleStatus::Missing { .. } | ModuleStatus::Refused { .. })
        };
        if modules.any(|module| is_lacking(&module.status)) {
            facts.pass_on(&self.facts);
        }
        facts.lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_written_as_they_are_read() {
        let lines = [
            "hold 40 16,24;25:32 datetime.thing",
            "state 16 - _nothing",
            "state 32 8,16;0 _guarded",
            "static 00000000000000ff 12 anext awaitable",
            "visit 32 + hamt_bitmap_node",
            "visit 40 8,+ items",
            "visit 88 8,24,-24 _io.FileIO",
        ];
        let mut facts = Facts::default();
        facts.read(lines.into_iter());
        assert_eq!(facts.lines(), lines);
        let walk = facts.visited("_io.FileIO", 88, 8).expect("a walk");
        assert_eq!(walk.kind, WalkKind::Recorded { managed_dict: true, items: None });
        assert_eq!(walk.fields.iter().map(|field| field.offset).collect::<Vec<_>>(), [8, 24]);
        let walk = facts.visited("items", 40, 8).expect("a walk");
        assert_eq!(walk.kind, WalkKind::Recorded { managed_dict: false, items: Some(40) });
        assert!(facts.visited("_io.FileIO", 96, 8).is_none(), "a type of another size");
        let walk = facts.held("datetime.thing", 40).expect("a walk");
        assert_eq!(walk.kind, WalkKind::Optional { flag: 25, member: 32 });
    }

    #[test]
    fn what_is_no_fact_is_passed_over() {
        let mut facts = Facts::default();
        facts.read(["visit 8", "visit x 8 name", "later 1 2 3", ""].into_iter());
        assert_eq!(facts.lines(), Vec::<String>::new());
    }
}
