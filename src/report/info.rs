//! `info`: which process this was, what was found of its files, and what can be answered.

use super::modules;
pub use super::modules::ModuleRow;
use super::outline::borrowed;
use super::table::{Align, Table};
use super::{CoreIdentity, Coverage, Hex, Page, Report, Tone, number};
use crate::corefile::Inputs;
use crate::cpython::{Interpreter, Outline, Runtime, dict_get, read_str, regions};
use crate::layout::Resolution;
use serde::Serialize;

/// Most modules, interpreters and places listed without `--limit`.
const MAX_LISTED: usize = 200;
/// Longest `sys.version` that is read, in characters.
const MAX_VERSION: usize = 400;

/// The answer of `info`.
#[derive(Clone, Debug, Serialize)]
pub struct InfoReport {
    /// Parent of the process.
    pub parent_pid: Option<i32>,
    /// When the core file was last written, in seconds since 1970 (UTC). The core itself does not say when.
    pub file_modified: Option<u64>,
    /// Threads of the process.
    pub threads: u64,
    /// The interpreter; `null` if none was found or could be decoded.
    pub python: Option<PythonIdentity>,
    /// Why there is none.
    pub python_problem: Option<String>,
    /// What a process that is not decoded tells of itself all the same; `null` if nothing.
    pub python_outline: Option<OutlineIdentity>,
    /// Mapped files.
    pub modules_total: u64,
    /// The first of them: programs and libraries in order of address, then other files.
    pub modules: Vec<ModuleRow>,
    /// Where layouts were learnt, most trusted first.
    pub layout_sources: Vec<String>,
    /// With `--show-layouts`: every field that was asked for.
    pub layouts: Option<Vec<LayoutRow>>,
}

/// Which Python.
#[derive(Clone, Debug, Serialize)]
pub struct PythonIdentity {
    /// Its release.
    pub version: String,
    /// `sys.version`: with compiler and date.
    pub sys_version: Option<String>,
    /// `default` (made for a GIL) or `free-threaded`.
    pub build: &'static str,
    /// Whether threads took turns: always in default builds, in free-threaded ones when asked for (`PYTHON_GIL=1`) or by an
    /// extension that needs it.
    pub gil_enabled: bool,
    /// `sys.abiflags`, such as `d` for a debug build.
    pub abiflags: Option<String>,
    /// Where memory for objects came from: `pymalloc`, `mimalloc` or `malloc`, with `_debug` behind it where debug hooks padded
    /// each block: the values of `PYTHONMALLOC`. `null` if that cannot be told.
    pub allocator: Option<String>,
    /// Address of `_PyRuntime`.
    pub runtime: Hex,
    /// How many interpreters there are.
    pub interpreters_total: u64,
    /// The first of them.
    pub interpreters: Vec<InterpreterRow>,
    /// Types found.
    pub types: u64,
}

/// What is known of an interpreter that is not decoded.
#[derive(Clone, Debug, Serialize)]
pub struct OutlineIdentity {
    /// Its release.
    pub version: String,
    /// Whether the build has no GIL.
    pub free_threaded: bool,
    /// Release whose order of `_Py_DebugOffsets` was taken, where that of its own is not known.
    pub in_order_of: Option<&'static str>,
    /// Its threads.
    pub threads: u64,
}

/// One interpreter.
#[derive(Clone, Debug, Serialize)]
pub struct InterpreterRow {
    /// Its id; 0 is the main one.
    pub id: i64,
    /// Its `PyInterpreterState`.
    pub address: Hex,
    /// Its threads.
    pub threads: u64,
    /// `gc.isenabled()`.
    pub gc_enabled: bool,
    /// A collection was under way.
    pub gc_collecting: bool,
    /// Objects the collector tracks.
    pub tracked_objects: u64,
}

/// One answer of the layout sources.
#[derive(Clone, Debug, Serialize)]
pub struct LayoutRow {
    /// The C type.
    pub structure: String,
    /// The field; `null` for the size of the type.
    pub field: Option<String>,
    /// Offset in bytes; `null` for sizes, and for fields that no source knows.
    pub offset: Option<u32>,
    /// Size in bytes.
    pub size: Option<u32>,
    /// Lowest bit of a bit-field.
    pub bit: Option<u8>,
    /// Width of a bit-field.
    pub bit_width: Option<u8>,
    /// Which kind of source answered; `null` if none did.
    pub origin: Option<String>,
}

impl InfoReport {
    /// Describes `inputs` and, if there is one, the interpreter in it. `problem` says why there is none.
    pub fn new(
        inputs: &Inputs,
        runtime: Option<&Runtime<'_>>,
        problem: Option<String>,
        layouts: bool,
    ) -> Self {
        let notes = inputs.notes();
        let python_module = runtime.map(|runtime| runtime.module);
        let mut modules = modules::rows(inputs, python_module);
        let modules_total = modules.len() as u64;
        modules.truncate(MAX_LISTED);
        Self {
            parent_pid: notes.process.as_ref().map(|process| process.ppid),
            file_modified: inputs.core().modified(),
            threads: notes.threads.len() as u64,
            python: runtime.map(python),
            python_problem: problem,
            python_outline: match runtime {
                Some(_) => None,
                None => Outline::read(inputs).map(|outline| outline_identity(&outline)),
            },
            modules_total,
            modules,
            layout_sources: runtime.map(|runtime| runtime.layout_sources.clone()).unwrap_or_default(),
            layouts: runtime.filter(|_| layouts).map(|runtime| {
                runtime.resolutions.iter().chain(runtime.types.module_answers()).map(layout_row).collect()
            }),
        }
    }
}

fn python(runtime: &Runtime<'_>) -> PythonIdentity {
    let of_sys = |name| {
        let sys = runtime.interpreters.first()?.sysdict;
        read_str(runtime, dict_get(runtime, sys, name)?, MAX_VERSION).ok()
    };
    PythonIdentity {
        version: runtime.semantics.version.to_string(),
        sys_version: of_sys("version"),
        build: if runtime.header.has_gc_bits() { "free-threaded" } else { "default" },
        gil_enabled: runtime
            .interpreters
            .iter()
            .any(|interpreter| interpreter.gil.is_none_or(|gil| gil.enabled)),
        abiflags: of_sys("abiflags"),
        allocator: regions(runtime)
            .ok()
            .map(|regions| format!("{}{}", regions.kind.name(), if regions.padded { "_debug" } else { "" })),
        runtime: Hex(runtime.address),
        interpreters_total: runtime.interpreters.len() as u64,
        interpreters: (0..)
            .zip(&runtime.interpreters)
            .take(MAX_LISTED)
            .map(|row| interpreter_row(runtime, row))
            .collect(),
        types: runtime.types.len() as u64,
    }
}

fn outline_identity(outline: &Outline) -> OutlineIdentity {
    OutlineIdentity {
        version: outline.version.to_string(),
        free_threaded: outline.free_threaded,
        in_order_of: outline.in_order_of,
        threads: outline.threads.len() as u64,
    }
}

fn interpreter_row(runtime: &Runtime<'_>, (index, interpreter): (usize, &Interpreter)) -> InterpreterRow {
    let lists = runtime.gc_lists.iter().filter(|list| list.interpreter == index);
    InterpreterRow {
        id: interpreter.id,
        address: Hex(interpreter.address),
        threads: interpreter.threads.len() as u64,
        gc_enabled: interpreter.gc.enabled,
        gc_collecting: interpreter.gc.collecting,
        tracked_objects: lists.map(|list| list.objects.len() as u64).sum(),
    }
}

fn layout_row(resolution: &Resolution) -> LayoutRow {
    let field = resolution.field;
    let bits = field.and_then(|field| field.bits);
    LayoutRow {
        structure: resolution.ty.clone(),
        field: resolution.path.clone(),
        offset: field.filter(|_| resolution.path.is_some()).map(|field| field.offset),
        size: field.map(|field| field.size),
        bit: bits.map(|bits| bits.offset),
        bit_width: bits.map(|bits| bits.width),
        origin: resolution.origin.map(|origin| origin.to_string()),
    }
}

impl Report for InfoReport {
    const COMMAND: &'static str = "info";

    fn render(&self, page: &mut Page, core: &CoreIdentity, coverage: &Coverage) {
        self.render_process(page, core);
        self.render_python(page, core);
        modules::render(page, &self.modules, self.modules_total);
        render_coverage(page, coverage);
        if let Some(rows) = &self.layouts {
            render_layouts(page, rows);
        }
    }
}

impl InfoReport {
    fn render_process(&self, page: &mut Page, core: &CoreIdentity) {
        let written = match core.written_by {
            "kernel" => ", written by the kernel",
            "gcore" => ", written by gcore",
            _ => "",
        };
        let when =
            self.file_modified.map_or(String::new(), |seconds| format!(", last modified {}", utc(seconds)));
        page.pair(
            "Core file",
            &format!("{}, {}{written}{when}", core.path, number::bytes_exactly(core.bytes)),
        );
        let pid = core.pid.map_or("unknown".to_owned(), |pid| pid.to_string());
        let parent = self.parent_pid.map_or(String::new(), |pid| format!(", child of {pid}"));
        page.pair("Process", &format!("{pid} {}{parent}", core.process.as_deref().unwrap_or_default()));
        if let Some(command) = core.command_line.as_deref().filter(|line| !line.is_empty()) {
            page.pair("Command line", command);
        }
        page.pair("Ended by", &core.ending());
        page.pair("Threads", &number::count(self.threads));
    }

    fn render_undecoded(&self, page: &mut Page, core: &CoreIdentity) {
        let outline = self.python_outline.as_ref();
        let told = outline.map(|outline| {
            let build = if outline.free_threaded { ", free-threaded build" } else { "" };
            format!("{}{build}, not decoded", outline.version)
        });
        page.pair("Python", told.as_deref().unwrap_or("none decoded"));
        if let Some(problem) = &self.python_problem {
            page.warning(problem);
        }
        if let Some(outline) = outline {
            page.pair(
                "Still told",
                &format!(
                    "the stacks of {}, by what the process says of its own layouts: exuvia threads {}.{}",
                    number::counted(outline.threads, "thread", false),
                    core.argument(),
                    borrowed(outline.in_order_of)
                ),
            );
        }
    }

    fn render_python(&self, page: &mut Page, core: &CoreIdentity) {
        let Some(python) = &self.python else {
            self.render_undecoded(page, core);
            return;
        };
        let build = match python.abiflags.as_deref() {
            _ if python.build == "free-threaded" && python.gil_enabled => {
                "free-threaded build, run with a GIL"
            }
            _ if python.build == "free-threaded" => "free-threaded build",
            Some(flags) if flags.contains('d') => "debug build with a GIL",
            _ => "default build with a GIL",
        };
        let module = core.python_module.as_deref().unwrap_or_default();
        page.pair("Python", &format!("{}, {build}, in {module}", python.version));
        if let Some(version) = &python.sys_version {
            page.pair("sys.version", &version.replace('\n', " "));
        }
        if let Some(allocator) = &python.allocator {
            page.pair("Allocator", allocator);
        }
        for interpreter in &python.interpreters {
            let collector = match (interpreter.gc_enabled, interpreter.gc_collecting) {
                (_, true) => "collecting",
                (true, false) => "on",
                (false, false) => "off",
            };
            page.pair(
                "Interpreter",
                &format!(
                    "{}{}: {}, collector {collector}, {}",
                    interpreter.id,
                    if interpreter.id == 0 { " (main)" } else { "" },
                    number::counted(interpreter.threads, "Python thread", false),
                    number::counted(interpreter.tracked_objects, "tracked object", false)
                ),
            );
        }
        match core.redacted {
            Some("names") => {
                page.pair("Redacted", "contents of objects, and names that are not Python's own")
            }
            Some(_) => page.pair("Redacted", "contents of objects, and their hashes; names are as they were"),
            None => {}
        }
        for source in &self.layout_sources {
            page.pair("Layouts from", source);
        }
    }
}

fn render_coverage(page: &mut Page, coverage: &Coverage) {
    page.heading("Coverage");
    let memory = &coverage.memory;
    page.pair(
        "Memory",
        &format!(
            "{} mapped: {} in the core, {} from files, {} never touched, {} missing ({} of it writable)",
            number::bytes(memory.mapped_bytes),
            number::bytes(memory.core_bytes),
            number::bytes(memory.file_bytes),
            number::bytes(memory.untouched_bytes),
            number::bytes(memory.missing_bytes),
            number::bytes(memory.missing_writable_bytes),
        ),
    );
    if let Some(cut) = coverage.truncated {
        page.pair(
            "Truncated",
            &format!(
                "{} of {} are there",
                number::bytes(cut.actual_bytes),
                number::bytes(cut.expected_bytes)
            ),
        );
    }
    if let Some(damaged) = &coverage.damaged {
        page.pair(
            "Damaged",
            &format!("{} could be unpacked: {}", number::bytes(damaged.decoded_bytes), damaged.reason),
        );
    }
    if !coverage.notes_complete {
        page.pair("Notes", "some are damaged or cut off");
    }
    for answer in &coverage.answers {
        let why = if answer.why.is_empty() { String::new() } else { format!(": {}", answer.why.join("; ")) };
        page.pair(&capitalized(answer.answer), &format!("{}{why}", answer.state.name()));
    }
}

fn render_layouts(page: &mut Page, rows: &[LayoutRow]) {
    page.heading("Layouts");
    let mut table = Table::new(&[
        ("struct", Align::Left),
        ("field", Align::Left),
        ("offset", Align::Right),
        ("size", Align::Right),
        ("bits", Align::Right),
        ("origin", Align::Left),
    ]);
    let number = |value: Option<u32>| value.map_or(String::new(), |value| value.to_string());
    for row in rows {
        let bits = match (row.bit, row.bit_width) {
            (Some(first), Some(width)) => format!("{first}+{width}"),
            _ => String::new(),
        };
        table.row(vec![
            row.structure.clone(),
            row.field.clone().unwrap_or_else(|| "(size)".to_owned()),
            number(row.offset),
            number(row.size),
            bits,
            row.origin.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]);
    }
    page.table(&table);
    let unknown = rows.iter().filter(|row| row.origin.is_none()).count();
    page.paragraph(
        Tone::Faint,
        2,
        &format!(
            "{} answers, {unknown} unknown: fields and structs that this release does not have",
            rows.len()
        ),
    );
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// `2025-03-01 12:00:00 UTC` of seconds since 1970.
pub(super) fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days from 0000-03-01 on, in eras of 400 years: leap days fall on the last day of a year that begins in March.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
