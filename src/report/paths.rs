//! `paths`: how roots reach an object, or many.

use super::header::ObjectHeader;
use super::referrers::kind_name;
use super::{CoreIdentity, Coverage, Page, Report, Tone, number};
use crate::analysis::{Heap, HolderPath, MergedPaths, MergedStep};
use serde::Serialize;

/// The answer of `paths`.
#[derive(Clone, Debug, Serialize)]
pub struct PathsReport {
    /// What was asked for.
    pub target: String,
    /// Objects that a root reaches.
    pub reached: u64,
    /// Objects that no root reaches: garbage.
    pub unreached: u64,
    /// Paths to a single object, best first, each by another direct referrer.
    pub paths: Vec<PathLine>,
    /// Paths to several objects, merged, in preorder.
    pub merged: Vec<MergedLine>,
}

/// One path.
#[derive(Clone, Debug, Serialize)]
pub struct PathLine {
    /// As Python would write it.
    pub name: String,
    /// What holds the first object.
    pub root: String,
    /// The objects on the way, the target last.
    pub steps: Vec<PathStepLine>,
}

/// One object on a path.
#[derive(Clone, Debug, Serialize)]
pub struct PathStepLine {
    /// Where the object before holds it; empty for the first.
    pub label: String,
    /// `visited`, `owned`, `weak` or `inferred`.
    pub kind: &'static str,
    /// The object.
    pub object: ObjectHeader,
}

/// Objects of one type, held in the same way.
#[derive(Clone, Debug, Serialize)]
pub struct MergedLine {
    /// 0 for what a root holds.
    pub depth: u32,
    /// What holds a root, or where the objects above hold these.
    pub label: String,
    /// Their type.
    pub type_name: String,
    /// How many there are.
    pub objects: u64,
    /// Objects asked about here or further on.
    pub targets: u64,
    /// Of these, those behind steps that are not shown.
    pub targets_left_out: u64,
    /// They hold one another in the same way, as a linked list does.
    pub repeats: bool,
    /// One of them.
    pub example: super::Hex,
}

impl PathsReport {
    /// Paths to one object.
    pub fn single(heap: Heap<'_, '_>, target: String, found: &[HolderPath]) -> Self {
        let step = |step: &crate::analysis::PathStep| PathStepLine {
            label: step.label.clone(),
            kind: kind_name(step.kind),
            object: ObjectHeader::counted(heap.runtime, heap.objects, step.object),
        };
        let line = |path: &HolderPath| PathLine {
            name: path.name.clone(),
            root: path.root.clone(),
            steps: path.steps.iter().map(step).collect(),
        };
        Self {
            target,
            reached: u64::from(!found.is_empty()),
            unreached: u64::from(found.is_empty()),
            paths: found.iter().map(line).collect(),
            merged: Vec::new(),
        }
    }

    /// Paths to many objects.
    pub fn merged(heap: Heap<'_, '_>, target: String, found: &MergedPaths) -> Self {
        let line = |step: &MergedStep| MergedLine {
            depth: step.depth,
            label: step.label.clone(),
            type_name: step.type_name.clone(),
            objects: step.objects,
            targets: step.targets,
            targets_left_out: step.targets_left_out,
            repeats: step.repeats,
            example: super::Hex(heap.objects.address(step.example)),
        };
        Self {
            target,
            reached: found.reached,
            unreached: found.unreached,
            paths: Vec::new(),
            merged: found.steps.iter().map(line).collect(),
        }
    }
}

impl Report for PathsReport {
    const COMMAND: &'static str = "paths";

    fn render(&self, page: &mut Page, _: &CoreIdentity, coverage: &Coverage) {
        let title = match (self.reached, self.unreached, self.paths.len() as u64) {
            (0, 1, _) => format!("No root reaches {}: it is garbage", self.target),
            (0, unreached, _) => {
                format!(
                    "No root reaches any of {} of {}",
                    number::counted(unreached, "object", false),
                    self.target
                )
            }
            (_, _, 0) => {
                format!("Paths to {} of {}", number::counted(self.reached, "object", false), self.target)
            }
            (_, _, paths) => format!("{} to {}", number::counted(paths, "path", false), self.target),
        };
        page.paragraph(Tone::Strong, 2, &title);
        for (index, path) in self.paths.iter().enumerate() {
            path.render(page, index + 1);
        }
        if !self.merged.is_empty() {
            page.gap();
        }
        for line in &self.merged {
            line.render(page);
        }
        if self.unreached > 0 && self.reached > 0 {
            page.gap();
            page.note(&format!(
                "{} more are garbage: no root reaches them",
                number::counted(self.unreached, "object", false)
            ));
        }
        if self.unreached > 0 {
            page.note("next: exuvia cycles CORE");
        }
        coverage.render_warnings(page, &["references"]);
    }
}

impl PathLine {
    fn render(&self, page: &mut Page, place: usize) {
        page.gap();
        page.line(Tone::Strong, 0, &format!("{place}. {}", self.name));
        let rows = self.steps.len();
        for (index, step) in self.steps.iter().enumerate() {
            // Of a very long path the ends are what tells.
            if rows > SHOWN_STEPS && index == SHOWN_STEPS / 2 {
                page.line(
                    Tone::Faint,
                    4,
                    &format!("… {} more …", number::count((rows - SHOWN_STEPS) as u64)),
                );
            }
            if rows > SHOWN_STEPS && (SHOWN_STEPS / 2..rows - SHOWN_STEPS / 2).contains(&index) {
                continue;
            }
            let label = if index == 0 { self.root.as_str() } else { step.label.as_str() };
            let kind = match step.kind {
                "inferred" => " (inferred)",
                _ => "",
            };
            page.line(
                Tone::Plain,
                4,
                &format!("{label}{kind} → {} {}", step.object.type_name, step.object.address),
            );
        }
    }
}

/// Steps of one path that are shown.
const SHOWN_STEPS: usize = 30;

impl MergedLine {
    fn render(&self, page: &mut Page) {
        let many = match self.objects {
            1 => String::new(),
            objects => format!(" ×{}", number::count(objects)),
        };
        let chain = if self.repeats { ", one behind the other" } else { "" };
        let hidden = match self.targets_left_out {
            0 => String::new(),
            hidden => format!(" ({} behind steps not shown)", number::count(hidden)),
        };
        let indent = 2 * self.depth as usize;
        page.line(
            Tone::Plain,
            indent.min(page.width() / 2),
            &format!(
                "{:>9}  {} → {}{many}{chain}{hidden}",
                number::count(self.targets),
                self.label,
                self.type_name
            ),
        );
    }
}
