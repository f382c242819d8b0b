//! `cuts`: which single reference, removed, frees most.

use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::analysis::{Cut, CutPlace, Cuts};
use crate::heap::ObjectTable;
use serde::Serialize;

/// The answer of `cuts`.
#[derive(Clone, Debug, Serialize)]
pub struct CutsReport {
    /// Bytes of all that is alive.
    pub live_bytes: u64,
    /// Cuts there are that free a thousandth of it or more.
    pub cuts_total: u64,
    /// Those that free most.
    pub cuts: Vec<CutLine>,
}

/// One reference.
#[derive(Clone, Debug, Serialize)]
pub struct CutLine {
    /// Its name as Python would write it.
    pub path: String,
    /// `module` (a name of one), `attribute`, `item`, `local` (a variable of a running function) or `internal`.
    pub place: &'static str,
    /// Who has the reference; `null` for variables of running functions.
    pub holder: Option<Hex>,
    /// Type of the holder.
    pub holder_type: String,
    /// What it refers to.
    pub address: Hex,
    /// Type of that.
    pub type_name: String,
    /// Bytes that go with the reference.
    pub freed_bytes: u64,
    /// Objects that go with it.
    pub freed_objects: u64,
    /// Share of all live bytes, in thousandths.
    pub share_permille: u32,
    /// References to the object that no known object has: C code holds it too, and nothing is freed before it lets go.
    pub unknown_references: u64,
}

impl CutsReport {
    /// Names what was found.
    pub fn new(objects: &ObjectTable, found: &Cuts) -> Self {
        let line = |cut: &Cut| CutLine {
            path: cut.path.clone(),
            place: match cut.place {
                CutPlace::Module => "module",
                CutPlace::Attribute => "attribute",
                CutPlace::Item => "item",
                CutPlace::Local => "local",
                CutPlace::Internal => "internal",
            },
            holder: cut.holder.map(|id| Hex(objects.address(id))),
            holder_type: cut.holder_type.clone(),
            address: Hex(objects.address(cut.object)),
            type_name: cut.type_name.clone(),
            freed_bytes: cut.freed_bytes,
            freed_objects: cut.freed_objects,
            share_permille: number::permille(cut.freed_bytes, found.live_bytes),
            unknown_references: cut.unknown_references,
        };
        Self {
            live_bytes: found.live_bytes,
            cuts_total: found.total,
            cuts: found.list.iter().map(line).collect(),
        }
    }
}

impl Report for CutsReport {
    const COMMAND: &'static str = "cuts";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let live = number::at_least_bytes(self.live_bytes, coverage.sizes_bounded());
        let title = match self.cuts_total {
            0 => format!("No single reference frees a thousandth of the {live} that are alive"),
            total => format!(
                "{} free much of the {live} that are alive",
                number::counted(total, "single reference", false)
            ),
        };
        page.paragraph(Tone::Strong, 2, &title);
        for (index, cut) in self.cuts.iter().enumerate() {
            cut.render(page, index + 1);
        }
        let hidden = self.cuts_total.saturating_sub(self.cuts.len() as u64);
        if hidden > 0 {
            page.gap();
            page.note(&format!("and {} more, see --limit", number::count(hidden)));
        }
        if let Some(first) = self.cuts.first() {
            page.gap();
            page.note(
                "freed: what nothing else keeps alive; of references one behind the other the one is told where what \
                 they hold spreads out",
            );
            page.note(&format!("next: exuvia dominators CORE {}", first.address));
        }
        coverage.render_warnings(page, &["sizes", "references"]);
    }
}

impl CutLine {
    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        page.line(Tone::Strong, 0, &format!("{place}. {}", self.path));
        let freed = format!(
            "{} freed ({}), {}",
            number::bytes(self.freed_bytes),
            number::percent(self.share_permille),
            number::counted(self.freed_objects, "object", false)
        );
        page.line(Tone::Plain, 4, &freed);
        let what = match self.place {
            "module" => "a name of a module".to_owned(),
            "attribute" => "an attribute".to_owned(),
            "item" => format!("an item of a {}", self.holder_type),
            "local" => "a variable of a running function".to_owned(),
            _ => format!("inside a {}", self.holder_type),
        };
        page.line(Tone::Plain, 4, &format!("{}, {what}", self.type_name));
        if self.unknown_references > 0 {
            page.line(
                Tone::Warning,
                4,
                &format!("but {} in C to it", number::counted(self.unknown_references, "reference", false)),
            );
        }
        page.line(Tone::Faint, 4, &self.address.to_string());
    }
}
