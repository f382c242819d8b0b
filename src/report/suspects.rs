//! `suspects`: what to look at first.

use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::analysis::{Confidence, Suspect, SuspectKind, Suspects};
use crate::heap::ObjectTable;
use serde::Serialize;

/// The answer of `suspects`.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectsReport {
    /// Bytes of all objects.
    pub heap_bytes: u64,
    /// How many suspects there are.
    pub suspects_total: u64,
    /// The surest first, then the largest.
    pub suspects: Vec<SuspectRow>,
}

/// One suspect.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectRow {
    /// `garbage`, `unbounded_cache`, `listeners`, `exceptions`, `container`, `bounded_container`, `suspended`,
    /// `thread_owned` or `owner`.
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
    /// Objects that it is the first to reach through data.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Their share of all objects' bytes, in thousandths.
    pub share_permille: u32,
    /// Bytes that would be freed with it alone; `null` where that is not known.
    pub retained_bytes: Option<u64>,
    /// What to do.
    pub remedy: &'static str,
}

impl SuspectsReport {
    /// Cuts what was found to `limit` suspects.
    pub fn new(objects: &ObjectTable, found: &Suspects, limit: usize) -> Self {
        let row = |suspect: &Suspect| SuspectRow {
            kind: kind_name(suspect.kind),
            path: suspect.path.clone(),
            address: suspect.object.map(|id| Hex(objects.address(id))),
            type_name: suspect.type_name.clone(),
            confidence: confidence_name(suspect.confidence),
            count: suspect.count,
            evidence: suspect.kind.evidence(suspect.count),
            objects: suspect.objects,
            bytes: suspect.bytes,
            share_permille: number::permille(suspect.bytes, found.heap_bytes),
            retained_bytes: suspect.retained,
            remedy: suspect.remedy.text(),
        };
        Self {
            heap_bytes: found.heap_bytes,
            suspects_total: found.list.len() as u64,
            suspects: found.list.iter().take(limit).map(row).collect(),
        }
    }
}

fn kind_name(kind: SuspectKind) -> &'static str {
    match kind {
        SuspectKind::Garbage => "garbage",
        SuspectKind::UnboundedCache => "unbounded_cache",
        SuspectKind::Listeners => "listeners",
        SuspectKind::Exceptions => "exceptions",
        SuspectKind::Container => "container",
        SuspectKind::BoundedContainer => "bounded_container",
        SuspectKind::Suspended => "suspended",
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
        let title = match self.suspects_total {
            0 => "No suspects: nothing named holds a large part of the heap, and there is little garbage"
                .to_owned(),
            total => number::counted(total, "suspect", false),
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
        if let Some(first) = self.suspects.iter().find_map(|row| row.address) {
            page.gap();
            page.note(
                "reached: bytes that the suspect is the first to reach through data, larger containers first; \
                 freed: bytes that nothing else keeps alive",
            );
            page.note(&format!("next: exuvia referents CORE {first}"));
        }
        coverage.render_warnings(page, &["objects", "sizes", "references"]);
    }
}

impl SuspectRow {
    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        page.line(Tone::Strong, 0, &format!("{place}. {}", self.path));
        let mut facts =
            vec![format!("{} reached ({})", number::bytes(self.bytes), number::percent(self.share_permille))];
        facts.extend(self.retained_bytes.map(|bytes| format!("{} freed with it", number::bytes(bytes))));
        facts.push(number::counted(self.objects, "object", false));
        page.line(Tone::Plain, 4, &facts.join(", "));
        let what = [self.type_name.as_str(), self.evidence.as_str()];
        let what: Vec<&str> = what.into_iter().filter(|text| !text.is_empty()).collect();
        page.line(Tone::Plain, 4, &format!("{} · confidence {}", what.join(": "), self.confidence));
        page.line(Tone::Plain, 4, self.remedy);
        if let Some(address) = self.address {
            page.line(Tone::Faint, 4, &address.to_string());
        }
    }
}
