//! `suspects`: what to look at first.

use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::analysis::{Confidence, Evidence, Least, Mostly, Suspect, SuspectKind, Suspects, Thresholds};
use crate::cpython::Bound;
use crate::heap::ObjectTable;
use serde::Serialize;

/// Paths of folded suspects that are written out.
const MAX_INSIDE: usize = 3;

/// The answer of `suspects`.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectsReport {
    /// Bytes of all objects.
    pub heap_bytes: u64,
    /// From where on something is a suspect.
    pub least: LeastRows,
    /// How many suspects there are.
    pub suspects_total: u64,
    /// What keeps most first.
    pub suspects: Vec<SuspectRow>,
    /// Every `--fail-if`, in the order given.
    pub conditions: Vec<ConditionRow>,
}

/// From where on something is a suspect.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LeastRows {
    /// What application code names.
    pub application: LeastRow,
    /// What the standard library names, variables, and large objects that nothing else speaks against.
    pub other: LeastRow,
    /// Garbage.
    pub garbage: LeastRow,
}

/// What must be reached, both.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LeastRow {
    /// Bytes.
    pub bytes: u64,
    /// Share of all objects' bytes, in thousandths.
    pub share_permille: u32,
}

/// One suspect.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectRow {
    /// `garbage`, `pinned_buffer`, `finished_tasks`, `exceptions`, `thread_locals`, `unbounded_cache`, `listeners`, `container`,
    /// `bounded_container`, `suspended`, `instances`, `held_by_c`, `thread_owned` or `owner`.
    pub kind: &'static str,
    /// Its name as Python would write it.
    pub path: String,
    /// The object; `null` where it is not one.
    pub address: Option<Hex>,
    /// Its type.
    pub type_name: String,
    /// `high`, `medium` or `low`.
    pub confidence: &'static str,
    /// What was counted as evidence.
    pub count: u64,
    /// The evidence in words.
    pub evidence: String,
    /// Bytes it keeps: the larger of the next two sizes.
    pub kept_bytes: u64,
    /// Their share of all objects' bytes, in thousandths.
    pub share_permille: u32,
    /// Bytes that would be freed with it alone; `null` where that is not known.
    pub retained_bytes: Option<u64>,
    /// Bytes of the objects that it is the first to reach through data.
    pub bytes: u64,
    /// So many objects.
    pub objects: u64,
    /// The type of most of what would be freed with it; `null` where that is not known.
    pub mostly: Option<MostlyRow>,
    /// Paths of suspects that would be freed with it, and are not listed therefore.
    pub inside: Vec<String>,
    /// What to do.
    pub remedy: &'static str,
    /// The command that shows more.
    pub see: String,
}

/// The type of most of a suspect's bytes.
#[derive(Clone, Debug, Serialize)]
pub struct MostlyRow {
    /// Its name.
    pub type_name: String,
    /// So many instances.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

/// A condition of `--fail-if`.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionRow {
    /// As it was given.
    pub condition: String,
    /// What was measured: bytes, a number, or a share in hundredths of a percent.
    pub value: u64,
    /// Whether it holds.
    pub holds: bool,
    /// The value in words.
    #[serde(skip)]
    pub text: String,
}

impl SuspectsReport {
    /// Cuts what was found to `limit` suspects.
    pub fn new(objects: &ObjectTable, found: &Suspects, conditions: Vec<ConditionRow>, limit: usize) -> Self {
        let row = |suspect: &Suspect| SuspectRow::new(objects, suspect, found.heap_bytes);
        Self {
            heap_bytes: found.heap_bytes,
            least: LeastRows::new(&found.thresholds),
            suspects_total: found.list.len() as u64,
            suspects: found.list.iter().take(limit).map(row).collect(),
            conditions,
        }
    }

    /// Whether a condition of `--fail-if` holds.
    pub fn fails(&self) -> bool {
        self.conditions.iter().any(|row| row.holds)
    }
}

impl LeastRows {
    fn new(thresholds: &Thresholds) -> Self {
        let row = |least: Least| LeastRow { bytes: least.bytes, share_permille: least.share / 10 };
        Self {
            application: row(thresholds.application),
            other: row(thresholds.other),
            garbage: row(thresholds.garbage),
        }
    }
}

/// What a condition was measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// A number of objects or suspects.
    Count(u64),
    /// A share, in basis points.
    Share(u32),
}

impl Amount {
    /// The number, whatever its unit.
    pub fn value(self) -> u64 {
        match self {
            Self::Bytes(value) | Self::Count(value) => value,
            Self::Share(share) => u64::from(share),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Bytes(bytes) => number::bytes_exactly(bytes),
            Self::Count(count) => number::count(count),
            Self::Share(share) => number::percent(share / 10),
        }
    }
}

impl ConditionRow {
    /// A condition, what was measured, and whether it holds of that.
    pub fn new(condition: String, amount: Amount, holds: bool) -> Self {
        Self { condition, value: amount.value(), holds, text: amount.text() }
    }
}

impl SuspectRow {
    fn new(objects: &ObjectTable, suspect: &Suspect, heap_bytes: u64) -> Self {
        let address = suspect.object.map(|id| Hex(objects.address(id)));
        let mostly = |mostly: &Mostly| MostlyRow {
            type_name: mostly.type_name.clone(),
            objects: mostly.objects,
            bytes: mostly.bytes,
        };
        Self {
            kind: kind_name(suspect.kind),
            path: suspect.path.clone(),
            address,
            type_name: suspect.type_name.clone(),
            confidence: confidence_name(suspect.confidence),
            count: suspect.evidence.count(),
            evidence: evidence_text(suspect.evidence),
            kept_bytes: suspect.kept(),
            share_permille: number::permille(suspect.kept(), heap_bytes),
            retained_bytes: suspect.retained,
            bytes: suspect.bytes,
            objects: suspect.objects,
            mostly: suspect.mostly.as_ref().map(mostly),
            inside: suspect.inside.clone(),
            remedy: suspect.remedy.text(),
            see: see(suspect, address),
        }
    }

    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        let type_name = match self.type_name.as_str() {
            name if self.path.ends_with(name) => String::new(),
            name => format!(" ({name})"),
        };
        let size = format!("{}, {}", number::bytes(self.kept_bytes), number::percent(self.share_permille));
        page.indented(Tone::Strong, 0, &format!("{place}. {}{type_name}: {size}", self.path));
        let mut facts = vec![self.evidence.clone()];
        facts.extend(self.shared());
        facts.extend(self.mostly.as_ref().map(|mostly| {
            let objects = number::count(mostly.objects);
            format!("mostly {objects} {} ({})", mostly.type_name, number::bytes(mostly.bytes))
        }));
        facts.extend(self.others_inside());
        facts.push(format!("confidence {}", self.confidence));
        page.indented(Tone::Plain, 4, &facts.join(" · "));
        page.indented(Tone::Plain, 4, self.remedy);
        page.line(Tone::Faint, 4, &self.see);
    }

    /// Says so where less would be freed than it reaches.
    fn shared(&self) -> Option<String> {
        let alone = self.retained_bytes.filter(|&alone| alone < self.kept_bytes / 2)?;
        Some(format!("{} freed with it alone, others hold the rest too", number::bytes(alone)))
    }

    fn others_inside(&self) -> Option<String> {
        let shown = self.inside.iter().take(MAX_INSIDE).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match self.inside.len().saturating_sub(MAX_INSIDE) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!self.inside.is_empty()).then(|| format!("{shown}{more} inside"))
    }
}

/// The command that shows more of a suspect.
fn see(suspect: &Suspect, address: Option<Hex>) -> String {
    match (suspect.kind, address) {
        (SuspectKind::Garbage, _) => "exuvia cycles CORE".to_owned(),
        (SuspectKind::Suspended, None) | (SuspectKind::Instances, _) => {
            format!("exuvia paths CORE {}", suspect.type_name)
        }
        (SuspectKind::HeldByC, _) => format!("exuvia objects CORE {}", suspect.type_name),
        (SuspectKind::ThreadOwned, _) | (_, None) => "exuvia threads CORE".to_owned(),
        (SuspectKind::UnboundedCache | SuspectKind::ThreadLocals, Some(address)) => {
            format!("exuvia referents CORE {address}")
        }
        (_, Some(address)) => format!("exuvia show CORE {address}"),
    }
}

/// Evidence in words.
pub fn evidence_text(evidence: Evidence) -> String {
    let count = number::count;
    let counted = |value, noun| number::counted(value, noun, false);
    match evidence {
        Evidence::Unreachable(objects) => {
            format!("{}, not collected", counted(objects, "unreachable object"))
        }
        Evidence::Views { views, shown, kept } => format!(
            "{} of {} in all {} {} alone",
            counted(views, "view"),
            number::bytes(shown),
            if views == 1 { "keeps" } else { "keep" },
            number::bytes(kept)
        ),
        Evidence::Finished { finished, entries } => {
            format!("{} of {} entries are tasks or futures that are done", count(finished), count(entries))
        }
        Evidence::Frames(frames) => format!("tracebacks of exceptions hold {}", counted(frames, "frame")),
        Evidence::Threads { threads, ended: 0 } => format!("values of {}", counted(threads, "thread")),
        Evidence::Threads { threads, ended } => {
            format!("values of {}, {} of them ended", counted(threads, "thread"), count(ended))
        }
        Evidence::Cache { results, hits, misses, bound } => {
            let bound = match bound {
                Bound::Unbounded => "None".to_owned(),
                Bound::Entries(bound) => bound.to_string(),
            };
            format!(
                "maxsize={bound}, {}, {}, {}",
                counted(results, "result"),
                counted(hits, "hit"),
                match misses {
                    1 => "1 miss".to_owned(),
                    misses => format!("{} misses", count(misses)),
                }
            )
        }
        Evidence::Callbacks(callbacks) => format!("{} registered", counted(callbacks, "callback")),
        Evidence::Entries { entries, bound: None } => format!("{}, nothing bounds it", entries_text(entries)),
        Evidence::Entries { entries, bound: Some(bound) } => {
            format!("{}, bounded to {}", entries_text(entries), count(bound))
        }
        Evidence::Suspended(1) => "1 generator, coroutine or task that has not ended".to_owned(),
        Evidence::Suspended(suspended) => {
            format!("{} generators, coroutines or tasks that have not ended", count(suspended))
        }
        Evidence::Instances(instances) => {
            format!("{} whose paths meet here", counted(instances, "instance"))
        }
        Evidence::HeldByC { objects, references } => format!(
            "{} that no object or known root refers to, {} in C",
            counted(objects, "object"),
            counted(references, "reference")
        ),
        Evidence::InUse(0) => "in use by a thread".to_owned(),
        Evidence::InUse(entries) => format!("{} in use by a thread", entries_text(entries)),
        Evidence::Parts(0) => "one object holds much".to_owned(),
        Evidence::Parts(1) => "1 entry holds much".to_owned(),
        Evidence::Parts(entries) => format!("{} hold much", entries_text(entries)),
    }
}

fn entries_text(entries: u64) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        entries => format!("{} entries", number::count(entries)),
    }
}

/// A kind in lower case.
pub fn kind_name(kind: SuspectKind) -> &'static str {
    match kind {
        SuspectKind::Garbage => "garbage",
        SuspectKind::PinnedBuffer => "pinned_buffer",
        SuspectKind::FinishedTasks => "finished_tasks",
        SuspectKind::Exceptions => "exceptions",
        SuspectKind::ThreadLocals => "thread_locals",
        SuspectKind::UnboundedCache => "unbounded_cache",
        SuspectKind::Listeners => "listeners",
        SuspectKind::Container => "container",
        SuspectKind::BoundedContainer => "bounded_container",
        SuspectKind::Suspended => "suspended",
        SuspectKind::Instances => "instances",
        SuspectKind::HeldByC => "held_by_c",
        SuspectKind::ThreadOwned => "thread_owned",
        SuspectKind::Owner => "owner",
    }
}

/// A confidence in lower case.
pub fn confidence_name(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

impl Report for SuspectsReport {
    const COMMAND: &'static str = "suspects";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let heap = number::bytes(self.heap_bytes);
        let title = match self.suspects_total {
            0 => format!(
                "No suspects: nothing named holds a large part of the heap, {heap}, and there is little garbage"
            ),
            total => {
                format!("{} in a heap of {heap}, by what they keep", number::counted(total, "suspect", false))
            }
        };
        page.paragraph(Tone::Strong, 2, &title);
        for (index, row) in self.suspects.iter().enumerate() {
            row.render(page, index + 1);
        }
        let hidden = self.suspects_total - self.suspects.len() as u64;
        if hidden > 0 {
            page.gap();
            page.note(&format!("and {} more, see --limit", number::count(hidden)));
        }
        self.render_conditions(page);
        if self.suspects.iter().any(|row| row.address.is_some()) {
            page.gap();
            page.note("next: exuvia paths CORE ADDRESS says what keeps one alive; --min-share and --min-bytes show less or more");
        }
        coverage.render_warnings(page, &["objects", "sizes", "references"]);
    }
}

impl SuspectsReport {
    fn render_conditions(&self, page: &mut Page) {
        if !self.conditions.is_empty() {
            page.gap();
        }
        for row in &self.conditions {
            let (tone, word) = if row.holds {
                (Tone::Warning, "--fail-if holds")
            } else {
                (Tone::Plain, "--fail-if does not hold")
            };
            page.line(tone, 0, &format!("{word}: {} (it is {})", row.condition, row.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_counted_in_words() {
        let said = |evidence| evidence_text(evidence);
        assert_eq!(
            said(Evidence::Views { views: 1, shown: 64, kept: 1 << 20 }),
            "1 view of 64 B in all keeps 1.0 MiB alone"
        );
        assert_eq!(
            said(Evidence::Cache { results: 1000, hits: 1, misses: 2, bound: Bound::Unbounded }),
            "maxsize=None, 1,000 results, 1 hit, 2 misses"
        );
        assert_eq!(said(Evidence::Threads { threads: 5, ended: 4 }), "values of 5 threads, 4 of them ended");
        assert_eq!(said(Evidence::Parts(1)), "1 entry holds much");
    }

    #[test]
    fn a_condition_is_told_in_its_unit() {
        let row = |amount| ConditionRow::new("a>b".to_owned(), amount, true);
        assert_eq!((row(Amount::Share(2050)).text.as_str(), row(Amount::Share(2050)).value), ("20.5%", 2050));
        assert_eq!(row(Amount::Count(1234)).text, "1,234");
        assert_eq!(row(Amount::Bytes(2048)).text, "2.0 KiB (2,048 bytes)");
    }
}
