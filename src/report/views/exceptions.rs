//! `view exceptions`: exceptions that are alive, and the frames that their tracebacks keep.

use super::{HeldObject, end, hidden, place};
use crate::analysis::views::{Keepers, KeptException};
use crate::report::table::{Align, Table};
use crate::report::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number, short_type_name};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `view exceptions`.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionsReport {
    /// `exceptions`.
    pub view: &'static str,
    /// How many there are.
    pub exceptions_total: u64,
    /// Those of them that have a traceback.
    pub with_traceback: u64,
    /// Types that they are of.
    pub types_total: u64,
    /// The types with most frames.
    pub types: Vec<ExceptionType>,
    /// The exceptions that keep most.
    pub exceptions: Vec<ExceptionRow>,
}

/// Exceptions of one type.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionType {
    /// Its name.
    pub type_name: String,
    /// How many there are.
    pub exceptions: u64,
    /// Those of them that have a traceback.
    pub with_traceback: u64,
    /// Frames in these, one in several tracebacks counted for each.
    pub frames: u64,
}

/// One exception.
#[derive(Clone, Debug, Serialize)]
pub struct ExceptionRow {
    /// The exception.
    pub object: HeldObject,
    /// Frames in its traceback.
    pub frames: u64,
    /// Function that raised it; `null` without a traceback.
    pub function: Option<String>,
    /// File of that function.
    pub file: Option<String>,
    /// Line that raised it.
    pub line: Option<u32>,
    /// Its cause, else its context.
    pub context: Option<Hex>,
}

impl ExceptionsReport {
    /// Counts what was found, and names the first `limit`.
    pub fn new(keepers: &mut Keepers<'_, '_>, mut found: Vec<KeptException>, limit: usize) -> Self {
        keepers.sort(&mut found, |exception| exception.id);
        let heap = keepers.heap();
        let mut types: BTreeMap<&str, ExceptionType> = BTreeMap::new();
        for exception in &found {
            let name = short_type_name(&heap.type_of(exception.id).name);
            let entry = types.entry(name).or_insert_with(|| ExceptionType {
                type_name: name.to_owned(),
                exceptions: 0,
                with_traceback: 0,
                frames: 0,
            });
            entry.exceptions += 1;
            entry.with_traceback += u64::from(exception.frames > 0);
            entry.frames += exception.frames;
        }
        let mut types: Vec<ExceptionType> = types.into_values().collect();
        types.sort_by_key(|entry| std::cmp::Reverse((entry.frames, entry.exceptions)));
        Self {
            view: "exceptions",
            exceptions_total: found.len() as u64,
            with_traceback: found.iter().filter(|exception| exception.frames > 0).count() as u64,
            types_total: types.len() as u64,
            types: types.into_iter().take(limit).collect(),
            exceptions: found.iter().take(limit).map(|exception| row(keepers, exception)).collect(),
        }
    }
}

fn row(keepers: &mut Keepers<'_, '_>, exception: &KeptException) -> ExceptionRow {
    let raised = exception.raised.as_ref();
    ExceptionRow {
        object: HeldObject::new(keepers, exception.id),
        frames: exception.frames,
        function: raised.map(|raised| raised.function.clone()),
        file: raised.map(|raised| raised.file.clone()),
        line: raised.and_then(|raised| raised.line),
        context: exception.context.map(|id| Hex(keepers.heap().objects.address(id))),
    }
}

impl Report for ExceptionsReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let total = number::counted(self.exceptions_total, "exception", coverage.objects_bounded());
        page.paragraph(
            Tone::Strong,
            2,
            &format!("{total}, {} with a traceback", number::count(self.with_traceback)),
        );
        if !self.types.is_empty() {
            let mut table = Table::new(&[
                ("count", Align::Right),
                ("tracebacks", Align::Right),
                ("frames", Align::Right),
                ("type", Align::Left),
            ]);
            for row in &self.types {
                let numbers = [row.exceptions, row.with_traceback, row.frames].map(number::count);
                table.row(numbers.into_iter().chain([row.type_name.clone()]).collect());
            }
            page.gap();
            page.table(&table);
            hidden(page, self.types_total, self.types.len());
        }
        for row in &self.exceptions {
            let title = match &row.function {
                Some(function) => format!(
                    "{}, raised in {}",
                    row.object.type_name,
                    place(Some(function), row.file.as_deref(), row.line)
                ),
                None => format!("{} without a traceback", row.object.type_name),
            };
            row.object.render(page, &title);
            if row.frames > 0 {
                let frames = number::counted(row.frames, "frame", false);
                page.line(Tone::Plain, 4, &format!("its traceback keeps {frames} with all variables"));
            }
            if let Some(context) = row.context {
                page.line(Tone::Plain, 4, &format!("raised after {context}"));
            }
        }
        hidden(page, self.exceptions_total, self.exceptions.len());
        end(page, core, coverage, self.exceptions.first().map(|row| &row.object));
    }
}
