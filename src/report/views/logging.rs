//! `view logging`: handlers of logging, and the records that they keep back.

use super::{HeldObject, end, hidden};
use crate::analysis::views::{Keepers, LogHandler};
use crate::report::{CoreIdentity, Coverage, Page, Report, Tone, number};
use serde::Serialize;

/// The answer of `view logging`.
#[derive(Clone, Debug, Serialize)]
pub struct LoggingReport {
    /// `logging`.
    pub view: &'static str,
    /// Records that are alive, wherever.
    pub records: u64,
    /// How many handlers there are.
    pub handlers_total: u64,
    /// The handlers that keep most.
    pub handlers: Vec<HandlerRow>,
}

/// One handler.
#[derive(Clone, Debug, Serialize)]
pub struct HandlerRow {
    /// The handler.
    pub object: HeldObject,
    /// Its level.
    pub level: Option<u64>,
    /// Records it keeps back; `null` for one without a buffer.
    pub buffered: Option<u64>,
}

impl LoggingReport {
    /// Names the first `limit` of what was found; so many `records` are alive.
    pub fn new(
        keepers: &mut Keepers<'_, '_>,
        mut found: Vec<LogHandler>,
        records: u64,
        limit: usize,
    ) -> Self {
        keepers.sort(&mut found, |handler| handler.id);
        let mut handlers = Vec::new();
        for handler in found.iter().take(limit) {
            let object = HeldObject::new(keepers, handler.id);
            handlers.push(HandlerRow { object, level: handler.level, buffered: handler.buffered });
        }
        Self { view: "logging", records, handlers_total: found.len() as u64, handlers }
    }
}

/// The name of a level (Lib/logging/__init__.py), or its number.
fn level_name(level: u64) -> String {
    match level {
        0 => "every level".to_owned(),
        10 => "DEBUG".to_owned(),
        20 => "INFO".to_owned(),
        30 => "WARNING".to_owned(),
        40 => "ERROR".to_owned(),
        50 => "CRITICAL".to_owned(),
        level => format!("level {level}"),
    }
}

impl Report for LoggingReport {
    const COMMAND: &'static str = "view";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        let bound = coverage.objects_bounded();
        let handlers = number::counted(self.handlers_total, "handler", bound);
        let records = number::counted(self.records, "record", bound);
        page.paragraph(Tone::Strong, 2, &format!("{handlers} of logging, {records} alive"));
        for row in &self.handlers {
            let level = row.level.map_or_else(|| "unknown level".to_owned(), level_name);
            row.object.render(page, &format!("{} from {level}", row.object.type_name));
            if let Some(buffered) = row.buffered {
                let records = number::counted(buffered, "record", false);
                page.line(Tone::Plain, 4, &format!("keeps {records} back"));
            }
        }
        hidden(page, self.handlers_total, self.handlers.len());
        end(page, core, coverage, self.handlers.first().map(|row| &row.object));
    }
}
