//! The modules of `info`: which file was found for each, which has its debug information, and what would help.

use super::table::{Align, Table};
use super::{Hex, Page};
use crate::corefile::{BuildId, Inputs, Module, ModuleStatus};
use crate::debuginfo::Binaries;
use serde::Serialize;
use std::path::PathBuf;

/// Most places named where a debug file was looked for.
const MAX_TRIED: usize = 8;

/// One mapped file.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleRow {
    /// Its path in the process.
    pub path: String,
    /// First address.
    pub start: Hex,
    /// First address behind it.
    pub end: Hex,
    /// The process' build-id.
    pub build_id: Option<String>,
    /// It is the program itself.
    pub is_executable: bool,
    /// It holds the interpreter.
    pub is_python: bool,
    /// It had lost its name before the core was taken.
    pub deleted: bool,
    /// `matched`, `unverified`, `missing`, `refused` or `not-elf`.
    pub status: &'static str,
    /// The file that is used, or that was refused.
    pub file: Option<String>,
    /// Whether a separate debug file was found.
    pub debug_file: bool,
    /// The file that has its debug information; `null` if none was found.
    pub debug_info: Option<String>,
    /// How that was found, if it is not in the module's own file.
    pub debug_found_by: Option<String>,
    /// Where a separate debug file was looked for in vain, if there is no debug information.
    pub debug_tried: Vec<String>,
    /// Which of its symbols are known: `all`, `exported` or, without a file, `null`.
    pub symbols: Option<&'static str>,
    /// Something in the core speaks for the file: its build-id, or memory that it was compared with. `null` without a file.
    pub compared: Option<bool>,
    /// Its contents are all in the core, so that the file is not needed for its memory.
    pub in_core: bool,
    /// What is wrong with the file, and what to try.
    pub advice: Option<String>,
}

/// A row for each mapped file: programs and libraries in order of address, then other files.
pub(super) fn rows(inputs: &Inputs, python: Option<usize>) -> Vec<ModuleRow> {
    let binaries = Binaries::new(inputs);
    let modules = inputs.modules().iter().enumerate();
    let mut rows: Vec<ModuleRow> =
        modules.map(|(index, module)| row(&binaries, index, module, python == Some(index))).collect();
    rows.sort_by_key(|row| row.status == "not-elf");
    rows
}

fn row(binaries: &Binaries<'_>, index: usize, module: &Module, is_python: bool) -> ModuleRow {
    let (status, file, advice) = status(module);
    let debug_info = binaries.debug_info_file(index);
    let is_separate = debug_info.is_some() && debug_info.as_deref() == module.debug_path();
    let most_tried = if debug_info.is_none() { MAX_TRIED } else { 0 };
    let tried = module.debug_tried().iter().take(most_tried);
    ModuleRow {
        path: module.path.clone(),
        start: Hex(module.start),
        end: Hex(module.end),
        build_id: module.build_id.as_ref().map(BuildId::to_string),
        is_executable: module.is_executable,
        is_python,
        deleted: module.deleted,
        status,
        file: file.map(|path| path.display().to_string()),
        debug_file: module.debug_path().is_some(),
        debug_info: debug_info.map(|path| path.display().to_string()),
        debug_found_by: module.debug_source().filter(|_| is_separate).map(|source| source.to_string()),
        debug_tried: tried.map(|path| path.display().to_string()).collect(),
        symbols: binaries.has_all_symbols(index).map(|all| if all { "all" } else { "exported" }),
        compared: match &module.status {
            ModuleStatus::Matched { .. } => Some(true),
            ModuleStatus::Unverified { compared, .. } => Some(*compared),
            ModuleStatus::Missing { .. } | ModuleStatus::Refused { .. } | ModuleStatus::NotElf => None,
        },
        in_core: module.image_in_core(),
        advice,
    }
}

fn status(module: &Module) -> (&'static str, Option<PathBuf>, Option<String>) {
    let option = if module.is_executable { "--exe or --sysroot" } else { "--sysroot" };
    match &module.status {
        ModuleStatus::Matched { path } => ("matched", Some(path.clone()), None),
        ModuleStatus::Unverified { path, reason, compared } => {
            let advice = match compared {
                true => reason.clone(),
                false => format!(
                    "{reason}: its path alone speaks for it; a core with ELF headers (coredump_filter bit 4, 0x10) would tell"
                ),
            };
            ("unverified", Some(path.clone()), Some(advice))
        }
        ModuleStatus::Missing { tried } => {
            let places = match tried.len() {
                0 => String::new(),
                1 => format!(
                    "not at {}; ",
                    tried.first().map_or(String::new(), |path| path.display().to_string())
                ),
                places => format!("not in {places} places; "),
            };
            let known = module.build_id.as_ref().map_or(String::new(), |id| format!(" (build-id {id})"));
            let advice = if module.image_in_core() {
                format!("{places}its memory is in the core; with {option} its symbols could be read too")
            } else {
                format!("{places}say with {option} where it is{known}")
            };
            ("missing", None, Some(advice))
        }
        ModuleStatus::Refused { path, expected, found } => {
            let id =
                |id: &Option<BuildId>, none: &str| id.as_ref().map_or(none.to_owned(), BuildId::to_string);
            let advice = match expected {
                Some(_) => format!(
                    "build-id {} is not the process' {}: another build; say with {option} where the right one is",
                    id(found, "(none)"),
                    id(expected, "(unknown)")
                ),
                None => format!(
                    "its bytes differ from the core's: another build; say with {option} where the right one is"
                ),
            };
            ("refused", Some(path.clone()), Some(advice))
        }
        ModuleStatus::NotElf => ("not-elf", None, None),
    }
}

/// Writes the table of modules, what is wrong with their files, and where the debug information of those that matter is.
pub(super) fn render(page: &mut Page, rows: &[ModuleRow], total: u64) {
    page.heading("Modules");
    let mut table = Table::new(&[
        ("module", Align::Left),
        ("status", Align::Left),
        ("build-id", Align::Left),
        ("file", Align::Left),
    ]);
    for row in rows.iter().filter(|row| row.status != "not-elf") {
        let mut marks = Vec::new();
        marks.extend(row.is_executable.then_some("program"));
        marks.extend(row.is_python.then_some("Python"));
        marks.extend(row.debug_file.then_some("debug file"));
        marks.extend(row.deleted.then_some("deleted"));
        let mark = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        let build_id: String = row.build_id.as_deref().unwrap_or("-").chars().take(12).collect();
        let name = row.path.rsplit('/').next().unwrap_or(&row.path);
        let file = row.file.as_deref().unwrap_or("-");
        table.row(vec![format!("{name}{mark}"), row.status.to_owned(), build_id, file.to_owned()]);
    }
    page.table(&table);
    let others = total - table.len() as u64;
    if others > 0 {
        page.note(&format!("and {others} other mapped files"));
    }
    for row in rows.iter().filter(|row| row.is_python || row.is_executable) {
        render_debug_info(page, row);
    }
    for row in rows {
        let is_problem = row.status == "refused"
            || (row.status == "missing" && !row.in_core)
            || row.compared == Some(false);
        if let Some(advice) = row.advice.as_deref().filter(|_| is_problem) {
            let file = row.file.as_deref().unwrap_or(&row.path);
            page.warning(&format!("{file}: {advice}"));
        }
    }
}

/// Where the debug information of a module is, unless it is where everybody would look first.
fn render_debug_info(page: &mut Page, row: &ModuleRow) {
    let name = row.path.rsplit('/').next().unwrap_or(&row.path);
    match (&row.debug_info, &row.debug_found_by) {
        (Some(path), Some(found_by)) => {
            page.note(&format!("debug information of {name}: {path} ({found_by})"))
        }
        (Some(_), None) => {}
        (None, _) if row.symbols.is_none() => {}
        (None, _) => {
            let symbols = match row.symbols {
                Some("all") => "all its symbols are known",
                _ => "of its symbols, those that others link to are known",
            };
            let tried = match row.debug_tried.as_slice() {
                [] => String::new(),
                places => format!("; looked for {}", places.join(", ")),
            };
            page.note(&format!("no debug information of {name}, {symbols}{tried}"));
        }
    }
}
