//! `show`: an object as Python would show it, with what it holds, to a depth.

use super::header::ObjectHeader;
use super::page::{columns, cut};
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::corefile::Address;
use crate::cpython::{
    Generation, Items, PreviewLimits, Runtime, Values, instance_attributes, items, preview,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

/// Longest preview, in characters.
const MAX_PREVIEW: usize = 160;
/// Longest attribute name or key, in characters.
const MAX_LABEL: usize = 60;
/// Columns that a value gets in any case.
const LEAST_VALUE: usize = 20;
/// Most rows, whatever the depth.
const MAX_ROWS: usize = 2000;

/// The answer of `show`.
#[derive(Clone, Debug, Serialize)]
pub struct ShowReport {
    /// What was asked for.
    pub target: String,
    /// Whether values are shown, or types and lengths only.
    pub values: bool,
    /// How deep attributes and items were followed.
    pub depth: u64,
    /// The object is a class with so many types of that name; its instances are another question.
    pub is_class: bool,
    /// Rows were left out because there are too many.
    pub cut_off: bool,
    /// The object, then what it holds, each followed by what that holds.
    pub rows: Vec<ShowRow>,
}

/// One object.
#[derive(Clone, Debug, Serialize)]
pub struct ShowRow {
    /// 0 for the object asked for, 1 for what it holds, and so on.
    pub depth: u64,
    /// Its place in its holder, as Python would write it: `.owner`, `[3]`, `['key']`; empty for the object asked for.
    pub label: String,
    /// The object itself.
    #[serde(flatten)]
    pub header: ObjectHeader,
    /// Its value, as `repr()` would show it.
    pub value: String,
    /// The value is longer than shown.
    pub value_truncated: bool,
    /// Attributes and items it has.
    pub members: u64,
    /// Of these, the ones that follow as rows of the next depth.
    pub members_shown: u64,
    /// It stands above already; what it holds is not repeated.
    pub repeated: bool,
}

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct ShowOptions {
    /// How deep attributes and items are followed.
    pub depth: usize,
    /// Most members of each object.
    pub limit: usize,
    /// Whether values appear.
    pub values: Values,
}

impl ShowReport {
    /// Shows the object at `object`.
    pub fn new(
        runtime: &Runtime<'_>,
        target: String,
        object: Address,
        is_class: bool,
        options: ShowOptions,
    ) -> Self {
        let Walk { mut rows, cut_off, .. } = Walk::new(runtime, object, options);
        let generations = generations(runtime, &rows);
        for row in &mut rows {
            let generation = generations.get(&row.header.address.0).copied();
            row.header.tracked = generation.is_some();
            row.header.generation = generation.map_or("untracked", Generation::name);
        }
        Self {
            target,
            values: options.values == Values::Shown,
            depth: options.depth as u64,
            is_class,
            cut_off,
            rows,
        }
    }
}

/// Reads all that [`ShowReport::new`] reads of an object.
pub fn read_members(runtime: &Runtime<'_>, object: Address, options: ShowOptions) {
    Walk::new(runtime, object, options);
}

/// Generation of each object that is on one of the collector's lists.
fn generations(runtime: &Runtime<'_>, rows: &[ShowRow]) -> FxHashMap<Address, Generation> {
    let wanted: FxHashSet<Address> = rows.iter().map(|row| row.header.address.0).collect();
    let mut found = FxHashMap::default();
    for list in &runtime.gc_lists {
        let listed = list.objects.iter().filter(|object| wanted.contains(object));
        found.extend(listed.map(|&object| (object, list.generation)));
    }
    found
}

struct Walk<'r, 'core> {
    runtime: &'r Runtime<'core>,
    options: ShowOptions,
    rows: Vec<ShowRow>,
    seen: FxHashSet<Address>,
    cut_off: bool,
}

impl<'r, 'core> Walk<'r, 'core> {
    /// A walk from `object`.
    fn new(runtime: &'r Runtime<'core>, object: Address, options: ShowOptions) -> Self {
        let mut walk =
            Self { runtime, options, rows: Vec::new(), seen: FxHashSet::default(), cut_off: false };
        walk.object(object, String::new(), 0);
        walk
    }

    fn object(&mut self, object: Address, label: String, depth: usize) {
        if self.rows.len() >= MAX_ROWS {
            self.cut_off = true;
            return;
        }
        let limits = PreviewLimits { max_chars: MAX_PREVIEW, ..PreviewLimits::default() };
        let value = preview(self.runtime, object, self.options.values, limits);
        let repeated = !self.seen.insert(object);
        let members = self.members(object);
        let follow = depth < self.options.depth && !repeated;
        let shown = if follow { members.len().min(self.options.limit) } else { 0 };
        self.rows.push(ShowRow {
            depth: depth as u64,
            label,
            header: ObjectHeader::new(self.runtime, object, None),
            value: value.text,
            value_truncated: value.truncated,
            members: members.len() as u64,
            members_shown: shown as u64,
            repeated,
        });
        for (label, member) in members.into_iter().take(shown) {
            self.object(member, self.label(&label), depth + 1);
        }
    }

    /// Attributes, then items.
    fn members(&self, object: Address) -> Vec<(Label, Address)> {
        let mut members: Vec<(Label, Address)> = instance_attributes(self.runtime, object)
            .into_iter()
            .map(|(name, value)| {
                let text = name.text(self.runtime, MAX_LABEL).unwrap_or_else(|| "?".to_owned());
                (Label::Attribute(text), value)
            })
            .collect();
        match items(self.runtime, object) {
            Some(Items::Sequence(found)) => {
                members.extend((0..).zip(found).map(|(index, item)| (Label::Index(index), item)));
            }
            Some(Items::Mapping(view)) => {
                // What an unreadable table lacks is missing from the rows.
                let _ = view.for_each(self.runtime, |key, value| members.push((Label::Key(key), value)));
            }
            None => {}
        }
        members.retain(|&(_, value)| value != 0);
        members
    }

    fn label(&self, label: &Label) -> String {
        match label {
            Label::Attribute(name) => format!(".{name}"),
            Label::Index(index) => format!("[{index}]"),
            Label::Key(key) => {
                // Keys are names: what they lead to may be hidden, they are not.
                let limits = PreviewLimits { max_chars: MAX_LABEL, max_items: 3, max_depth: 1 };
                format!("[{}]", preview(self.runtime, *key, Values::Shown, limits).text)
            }
        }
    }
}

/// Where a member stands; keys are read only if they are shown.
enum Label {
    Attribute(String),
    Index(u64),
    Key(Address),
}

impl Report for ShowReport {
    const COMMAND: &'static str = "show";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let Some((object, members)) = self.rows.split_first() else { return };
        page.paragraph(Tone::Strong, 2, &self.target);
        let header = &object.header;
        page.pair("Address", &header.address.to_string());
        page.pair("Type", &format!("{} at {}", header.type_name, header.type_address));
        page.pair("Size", &header.size.map_or("unknown".to_owned(), number::bytes_exactly));
        if let Some(shallow) = header.shallow_size.filter(|_| header.shallow_size != header.size) {
            let why = match header.size.is_some_and(|size| shallow < size) {
                true => "without the object that sys.getsizeof() counts as part of it",
                false => "with what it alone owns and sys.getsizeof() does not count",
            };
            page.pair("Shallow size", &format!("{}, {why}", number::bytes_exactly(shallow)));
        }
        page.pair("Refcount", &header.refcount_text());
        page.pair(
            "Collector",
            &match header.generation {
                "untracked" => "not tracked".to_owned(),
                generation => format!("generation {generation}"),
            },
        );
        page.pair("Value", &object.value);
        if !members.is_empty() {
            page.heading("Attributes and items");
        }
        let mut hidden: Vec<(u64, u64)> = vec![(0, object.members - object.members_shown)];
        for row in members {
            Self::close(page, &mut hidden, row.depth);
            Self::render_member(page, row);
            if row.members_shown > 0 {
                hidden.push((row.depth, row.members - row.members_shown));
            }
        }
        Self::close(page, &mut hidden, 0);
        if self.cut_off {
            page.note("too many rows: the rest is left out; try a smaller --depth or --limit");
        }
        if self.is_class {
            page.gap();
            page.note(&format!("this is a class; its instances: exuvia objects CORE {}", self.target));
        }
        coverage.render_warnings(page, &["objects"]);
    }
}

impl ShowReport {
    fn render_member(page: &mut Page, row: &ShowRow) {
        let indent = 2 * usize::try_from(row.depth).unwrap_or(usize::MAX).min(20);
        let more = match (row.repeated, row.members_shown, row.members) {
            (true, ..) => "  (shown above)".to_owned(),
            (false, 0, members) if members > 0 => format!("  ({} members)", number::count(members)),
            _ => String::new(),
        };
        let address = row.header.address;
        let place =
            if row.value.contains(&address.to_string()) { String::new() } else { format!("  {address}") };
        let after = format!("  {}, {}{place}{more}", row.header.type_name, row.header.size_text());
        let room = page.width().saturating_sub(indent + columns(&row.label) + columns(&after) + 3);
        let value = cut(&row.value, room.max(LEAST_VALUE));
        page.line(Tone::Plain, indent, &format!("{} = {value}{after}", row.label));
    }

    /// Says how many members were left out of each object whose rows end before a row of `depth`.
    fn close(page: &mut Page, open: &mut Vec<(u64, u64)>, depth: u64) {
        while let Some(&(of, hidden)) = open.last() {
            if of < depth && depth > 0 {
                return;
            }
            open.pop();
            if hidden > 0 {
                let indent = 2 * usize::try_from(of + 1).unwrap_or(usize::MAX).min(20);
                page.line(Tone::Faint, indent, &format!("and {} more, see --limit", number::count(hidden)));
            }
        }
    }
}
