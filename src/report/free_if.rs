//! `free-if`: what goes with a reference or an object, when, and what stays.

use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use crate::analysis::free_if::{Cut, FreeIf, Holding, How, Survivor};
use crate::analysis::{Heap, Selection, histogram};
use crate::graph::NodeSet;
use crate::heap::ObjectId;
use serde::Serialize;

/// The answer of `free-if`.
#[derive(Clone, Debug, Serialize)]
pub struct FreeIfReport {
    /// What was asked for.
    pub target: String,
    /// `reference`, `object` or `instances`: what is let go of.
    pub reading: &'static str,
    /// The Python that would do it; `null` where no single statement does.
    pub statement: Option<String>,
    /// Objects that are let go of.
    pub objects: u64,
    /// Everything that would be freed.
    pub freed: FreedAmount,
    /// Of it, what goes at once, by reference counts.
    pub at_once: FreedAmount,
    /// Of it, what only a collection frees.
    pub collected: FreedAmount,
    /// `gc.isenabled()`.
    pub collector_enabled: bool,
    /// Objects among the freed whose finalizer has yet to run.
    pub finalizers: u64,
    /// Objects that such finalizers reach and might bring back.
    pub resurrectable: u64,
    /// Objects that nothing would hold but no collection frees (`tp_del`).
    pub uncollectable: u64,
    /// Callbacks of weak references that would run, and of whose effect nothing is known.
    pub unknown_callbacks: u64,
    /// Objects that a collection frees anyway, and that are not counted.
    pub garbage_objects: u64,
    /// How many types there are among the freed.
    pub types_total: u64,
    /// The types with most bytes.
    pub types: Vec<FreedType>,
    /// What freed objects held, and stays.
    pub stays: FreedAmount,
    /// How many rows there would be in `survivors`.
    pub survivors_total: u64,
    /// What stays, by type and label: what was let go of itself first, then what that held directly, then the largest.
    pub survivors: Vec<SurvivorRow>,
    /// With `--list`: the first of the freed objects, by address.
    pub listed: Vec<FreedObject>,
}

/// How many objects, and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FreedAmount {
    /// How many.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// The freed objects of one type.
#[derive(Clone, Debug, Serialize)]
pub struct FreedType {
    /// The type.
    pub type_name: String,
    /// Its objects.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Objects of one type that stay.
#[derive(Clone, Debug, Serialize)]
pub struct SurvivorRow {
    /// Their type.
    pub type_name: String,
    /// Where a freed object held them; empty for what was let go of itself.
    pub label: String,
    /// They were let go of, or what was let go of held them itself.
    pub direct: bool,
    /// How many.
    pub objects: u64,
    /// Their size in bytes, without what they hold.
    pub bytes: u64,
    /// One of them.
    pub example: Hex,
    /// `path`, `immortal`, `c` or `uncollectable`: what kind of holder keeps that one.
    pub kept_by: &'static str,
    /// The holder in words; for `path`, as Python would write it.
    pub holder: String,
}

/// One freed object.
#[derive(Clone, Debug, Serialize)]
pub struct FreedObject {
    /// Its address.
    pub address: Hex,
    /// Its type.
    pub type_name: String,
    /// `sys.getsizeof()` in bytes.
    pub size: u64,
    /// Whether it goes at once.
    pub at_once: bool,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// As the user wrote it.
    pub target: String,
    /// What is let go of.
    pub cut: &'q Cut,
    /// It is all instances of a type.
    pub instances: bool,
    /// List the objects.
    pub list: bool,
    /// Most rows of each list.
    pub limit: usize,
}

impl FreeIfReport {
    /// Names what was found.
    pub fn new(heap: Heap<'_, '_>, question: Question<'_>, found: &FreeIf) -> Self {
        let Question { target, cut, instances, list, limit } = question;
        let (freed, types) = by_type(heap, &found.freed);
        let (at_once, _) = by_type(heap, &found.at_once);
        let (reading, statement) = match cut {
            Cut::Reference { how: How::Delete, .. } => ("reference", Some(format!("del {target}"))),
            Cut::Reference { how: How::SetToNone, .. } => ("reference", Some(format!("{target} = None"))),
            Cut::Objects(_) => (if instances { "instances" } else { "object" }, None),
        };
        let object = |id: ObjectId| FreedObject {
            address: Hex(heap.objects.address(id)),
            type_name: heap.type_name(id).to_owned(),
            size: heap.objects.size(id),
            at_once: found.at_once.contains(id.0),
        };
        let listed = found.freed.iter().filter(|_| list).take(limit).filter_map(|node| heap.id(node));
        Self {
            target,
            reading,
            statement,
            objects: found.targets.len() as u64,
            freed,
            at_once,
            collected: FreedAmount {
                objects: freed.objects.saturating_sub(at_once.objects),
                bytes: freed.bytes.saturating_sub(at_once.bytes),
            },
            collector_enabled: heap.runtime.interpreters.first().is_some_and(|main| main.gc.enabled),
            finalizers: found.finalizers,
            resurrectable: found.resurrectable,
            uncollectable: found.uncollectable,
            unknown_callbacks: found.unknown_callbacks,
            garbage_objects: found.garbage,
            types_total: types.len() as u64,
            types: types.into_iter().take(limit).collect(),
            stays: FreedAmount { objects: found.survivors.objects, bytes: found.survivors.bytes },
            survivors_total: found.survivors.kinds,
            survivors: found.survivors.rows.iter().map(|row| SurvivorRow::new(heap, row)).collect(),
            listed: listed.map(object).collect(),
        }
    }
}

impl SurvivorRow {
    fn new(heap: Heap<'_, '_>, row: &Survivor) -> Self {
        let (kept_by, holder) = match &row.holding {
            Holding::Path(path) => ("path", path.clone()),
            Holding::Immortal => ("immortal", "it is never freed".to_owned()),
            Holding::ByC(1) => ("c", "a reference in C".to_owned()),
            Holding::ByC(count) => ("c", format!("{count} references, in C or of what these hold")),
            Holding::Uncollectable => ("uncollectable", "nothing that a collection could free".to_owned()),
        };
        Self {
            type_name: row.type_name.clone(),
            label: row.label.clone(),
            direct: row.direct,
            objects: row.objects,
            bytes: row.bytes,
            example: Hex(heap.objects.address(row.example)),
            kept_by,
            holder,
        }
    }
}

/// All of a set, and by type: most bytes first.
fn by_type(heap: Heap<'_, '_>, set: &NodeSet) -> (FreedAmount, Vec<FreedType>) {
    let selection = Selection { within: Some(set), ..Selection::default() };
    let counted = histogram(heap.objects, heap.runtime.types.len(), &selection);
    let mut rows: Vec<FreedType> = counted
        .types
        .iter()
        .map(|total| FreedType {
            type_name: short_type_name(&heap.runtime.types.get(total.type_id).name).to_owned(),
            objects: total.objects,
            bytes: total.shallow,
        })
        .collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.type_name.cmp(&b.type_name)));
    (FreedAmount { objects: counted.objects, bytes: counted.shallow }, rows)
}

impl FreedAmount {
    fn text(self, bound: bool) -> String {
        format!(
            "{}, {}",
            number::counted(self.objects, "object", bound),
            number::at_least_bytes(self.bytes, bound)
        )
    }
}

impl Report for FreeIfReport {
    const COMMAND: &'static str = "free-if";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.garbage_bounded();
        let what = match (&self.statement, self.reading) {
            (Some(statement), _) => format!("`{statement}`"),
            (None, "instances") => format!(
                "letting go of all {} of {}",
                number::counted(self.objects, "instance", false),
                self.target
            ),
            (None, _) => format!("letting go of {} everywhere", self.target),
        };
        let title = match self.freed.objects {
            0 => format!("{what} would free nothing"),
            _ => format!("{what} would free {}", self.freed.text(bound)),
        };
        page.paragraph(Tone::Strong, 2, &title);
        self.when(page);
        self.doubts(page);
        if !self.types.is_empty() {
            page.gap();
            page.table(&self.types_table());
            let hidden = self.types_total - self.types.len() as u64;
            if hidden > 0 {
                page.note(&format!("and {}, see --limit", number::counted(hidden, "more type", false)));
            }
        }
        if !self.survivors.is_empty() {
            self.survivors(page);
        }
        if !self.listed.is_empty() {
            self.list(page);
        }
        self.next(page);
        coverage.render_warnings(page, &["references", "garbage"]);
    }
}

impl FreeIfReport {
    /// What goes when.
    fn when(&self, page: &mut Page) {
        if self.collected.objects == 0 {
            if self.freed.objects > 0 {
                page.note("all of it at once, without a collection");
            }
            return;
        }
        let collector = match self.collector_enabled {
            true => "when the collector next looks at all generations",
            false => "only by gc.collect(): the collector was disabled",
        };
        page.note(&format!(
            "at once {}; {} {collector}",
            self.at_once.text(false),
            self.collected.text(false)
        ));
    }

    fn doubts(&self, page: &mut Page) {
        if self.finalizers > 0 {
            page.note(&format!(
                "{} would run, and might bring back what {} reach; none is taken to",
                number::counted(self.finalizers, "finalizer", false),
                if self.finalizers == 1 { "it can" } else { "they can" },
            ));
        }
        if self.uncollectable > 0 {
            page.note(&format!(
                "{} would be left in gc.garbage: an object with tp_del is in their cycle",
                number::counted(self.uncollectable, "object", false)
            ));
        }
        if self.unknown_callbacks > 0 {
            page.note(&format!(
                "{} of weak references would run; what they let go of is not known and not counted",
                number::counted(self.unknown_callbacks, "callback", false)
            ));
        }
        if self.garbage_objects > 0 {
            page.note(&format!(
                "{} are garbage already and not counted: exuvia cycles CORE",
                number::counted(self.garbage_objects, "object", false)
            ));
        }
    }

    fn types_table(&self) -> Table {
        let mut table = Table::new(&[("count", Align::Right), ("size", Align::Right), ("type", Align::Left)]);
        for row in &self.types {
            table.row(vec![number::count(row.objects), number::bytes(row.bytes), row.type_name.clone()]);
        }
        table
    }

    fn survivors(&self, page: &mut Page) {
        page.heading(&format!(
            "What stays of what was held: {}",
            number::counted(self.stays.objects, "object", false)
        ));
        for row in &self.survivors {
            let many =
                if row.objects == 1 { String::new() } else { format!(" ×{}", number::count(row.objects)) };
            let place = if row.label.is_empty() { String::new() } else { format!("{} → ", row.label) };
            page.line(
                Tone::Plain,
                2,
                &format!("{place}{}{many}, {}", row.type_name, number::bytes(row.bytes)),
            );
            let example = if row.objects == 1 { String::new() } else { format!("{}: ", row.example) };
            page.line(Tone::Faint, 6, &format!("{example}held by {}", row.holder));
        }
        let hidden = self.survivors_total - self.survivors.len() as u64;
        if hidden > 0 {
            page.note(&format!("and {}, see --limit", number::counted(hidden, "more kind", false)));
        }
    }

    fn list(&self, page: &mut Page) {
        page.gap();
        let mut table = Table::new(&[
            ("address", Align::Left),
            ("size", Align::Right),
            ("when", Align::Left),
            ("type", Align::Left),
        ]);
        for row in &self.listed {
            let when = if row.at_once { "at once" } else { "collected" };
            table.row(vec![
                row.address.to_string(),
                number::bytes(row.size),
                when.to_owned(),
                row.type_name.clone(),
            ]);
        }
        page.table(&table);
        let hidden = self.freed.objects.saturating_sub(self.listed.len() as u64);
        if hidden > 0 {
            page.note(&format!("and {}, see --limit", number::counted(hidden, "more object", false)));
        }
    }

    fn next(&self, page: &mut Page) {
        let kept = self.survivors.iter().find(|row| row.direct);
        match kept {
            Some(row) => {
                page.gap();
                page.note(&format!("next: exuvia paths CORE {} (who else holds it)", row.example));
            }
            None if self.freed.objects > 0 && self.listed.is_empty() => {
                page.gap();
                page.note("next: --list shows the objects");
            }
            None => {}
        }
    }
}
