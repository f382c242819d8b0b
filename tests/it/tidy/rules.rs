//! The rules as functions from a file to its offences, each shown to fail on a line that breaks it.

use super::source::Source;

/// From a file to what offends in it, as `path:line: text`.
pub type Rule = fn(&Source) -> Vec<String>;

/// Folders of `src/`, from the ground up: each uses only what stands before it.
pub const LAYERS: &[&str] = &[
    "columns",
    "graph",
    "corefile",
    "capture",
    "debuginfo",
    "layout",
    "machine",
    "cpython",
    "heap",
    "analysis",
    "index",
    "query",
    "report",
    "saved",
    "cli",
];

/// Layers that work on any process, and stay that way.
const GENERAL: [&str; 7] = ["columns", "graph", "corefile", "capture", "debuginfo", "layout", "machine"];

/// `machine` stands beside the file layers, and `query` beside `report`: neither needs the other.
const STRANGERS: [(&str, &str); 4] =
    [("machine", "debuginfo"), ("machine", "layout"), ("report", "query"), ("machine", "graph")];

/// Lines of a file that is still one room.
const LONGEST: usize = 700;

/// Files whose types are written into the notes of saved heaps.
const NOTED: [&str; 9] = [
    "src/corefile/saved.rs",
    "src/corefile/build_id.rs",
    "src/corefile/debug_search.rs",
    "src/corefile/elf.rs",
    "src/corefile/core_source.rs",
    "src/corefile/modules.rs",
    "src/corefile/notes.rs",
    "src/debuginfo/answers.rs",
    "src/debuginfo/field.rs",
];

/// The files with `unsafe` code: the mapping of files, and the program's allocator.
const UNSAFE: [&str; 2] = ["src/corefile/mapped_file.rs", "src/allocator.rs"];

/// The one file that knows what differs between versions, and the reader of a struct that says nothing but its version.
const VERSIONED: [&str; 2] = ["src/cpython/semantics.rs", "src/cpython/debug_offsets.rs"];

fn offence(source: &Source, number: usize) -> String {
    let line = source.text.lines().nth(number - 1).unwrap_or_default();
    format!("{}:{number}: {}", source.path, line.trim())
}

/// Offences of the lines that match.
fn lines<'a>(
    source: &'a Source,
    of: impl Iterator<Item = (usize, &'a str)>,
    matches: impl Fn(&str) -> bool,
) -> Vec<String> {
    of.filter(|(_, line)| matches(line)).map(|(number, _)| offence(source, number)).collect()
}

/// Whether `word` stands in `text` with no letter, digit or `_` at either side.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

/// The modules of `lib.rs` in the order of their declaration.
pub fn declared_layers(lib: &str) -> Vec<&str> {
    lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect()
}

/// A layer uses only layers before it.
pub fn layer_order(source: &Source) -> Vec<String> {
    let Some(layer) = source.layer() else { return Vec::new() };
    let rank = |name: &str| LAYERS.iter().position(|&layer| layer == name);
    let Some(own) = rank(layer) else { return Vec::new() };
    let last = source.shipped_bare().map(|(number, _)| number).max().unwrap_or(0);
    used_layers(&source.bare)
        .into_iter()
        .filter(|(number, _)| *number <= last)
        .filter(|(_, used)| {
            rank(used).is_some_and(|used| used > own) || STRANGERS.contains(&(layer, used.as_str()))
        })
        .map(|(number, _)| offence(source, number))
        .collect()
}

/// What follows each `crate::`, groups in braces taken apart, with the line it stands in.
fn used_layers(bare: &str) -> Vec<(usize, String)> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect()
    };
    let mut used = Vec::new();
    for (at, start) in bare.match_indices("crate::") {
        let number = bare[..at].matches('\n').count() + 1;
        let rest = &bare[at + start.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.push((number, name(rest)));
            continue;
        };
        let mut depth = 0;
        let mut member = 0;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' if depth > 0 => {}
                ',' | '}' => {
                    used.push((number + group[..member].matches('\n').count(), name(&group[member..index])));
                    member = index + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    used
}

/// Below `cpython`, nothing is called by a name of Python's.
pub fn no_python_below_cpython(source: &Source) -> Vec<String> {
    match source.layer() {
        Some(layer) if GENERAL.contains(&layer) => {
            lines(source, source.shipped_code(), |line| line.contains("Py") || line.contains("python"))
        }
        _ => Vec::new(),
    }
}

/// A file is one room.
pub fn length(source: &Source) -> Vec<String> {
    let count = source.text.lines().count();
    match count > LONGEST {
        true => vec![format!("{}: {count} lines, more than {LONGEST}", source.path)],
        false => Vec::new(),
    }
}

/// A file begins with `//!`.
pub fn module_comment(source: &Source) -> Vec<String> {
    match source.text.starts_with("//! ") {
        true => Vec::new(),
        false => vec![format!("{}: does not begin with `//!`", source.path)],
    }
}

/// `unsafe` is in two files.
pub fn unsafe_code(source: &Source) -> Vec<String> {
    match UNSAFE.contains(&source.path.as_str()) {
        true => Vec::new(),
        false => lines(source, source.bare.lines().zip(1..).map(|(line, number)| (number, line)), |line| {
            has_word(line, "unsafe") || line.contains("allow(unsafe")
        }),
    }
}

/// Versions of Python are compared in two files, and no others name one. (The test kit compares versions of DWARF.)
pub fn version_comparison(source: &Source) -> Vec<String> {
    match VERSIONED.contains(&source.path.as_str()) {
        true => Vec::new(),
        false => lines(source, source.shipped_bare(), |line| compares_a_version(line) || has_a_version(line)),
    }
}

/// Whether a number in `line` is a release as `PY_VERSION_HEX` has it: `0x030d_00f0`.
fn has_a_version(line: &str) -> bool {
    line.match_indices("0x03").any(|(at, start)| {
        let rest = &line[at + start.len()..];
        let digits = rest.chars().take_while(|&c| c.is_ascii_hexdigit() || c == '_');
        let word = line[..at].ends_with(|c: char| c.is_alphanumeric());
        !word && digits.filter(|&c| c != '_').count() == 6
    })
}

fn compares_a_version(line: &str) -> bool {
    ["minor", "version", "hex"].iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let after = line[at + word.len()..].trim_start();
            let operand = ["==", "!=", ">=", "<=", ">", "<"].iter().find_map(|sign| after.strip_prefix(sign));
            operand.is_some_and(|operand| {
                operand.trim_start().trim_start_matches('(').starts_with(|c: char| c.is_ascii_digit())
            })
        })
    })
}

/// Only the command line writes to standard output or standard error.
pub fn printing(source: &Source) -> Vec<String> {
    let exempt = source.layer() == Some("cli") || source.path == "src/main.rs";
    match exempt {
        true => Vec::new(),
        false => lines(source, source.shipped_bare(), |line| {
            ["println!", "print!", "eprintln!", "eprint!", "stdout()", "stderr()"]
                .iter()
                .any(|word| line.contains(word))
        }),
    }
}

/// Only reports are serialised, and the notes of saved heaps, by those whose facts they hold.
pub fn serialisation(source: &Source) -> Vec<String> {
    match source.layer() {
        Some("report") => Vec::new(),
        _ if NOTED.contains(&source.path.as_str()) => Vec::new(),
        _ => lines(source, source.shipped_bare(), |line| {
            has_word(line, "Serialize") || has_word(line, "serde")
        }),
    }
}

/// Nothing is ignored, stubbed or marked for later.
pub fn unfinished(source: &Source) -> Vec<String> {
    let marks = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    let code = ["#[ignore", "todo!", "unimplemented!", "dbg!"];
    source
        .text
        .lines()
        .zip(source.bare.lines())
        .zip(1..)
        .filter(|((text, bare), _)| {
            marks.iter().any(|mark| has_word(text, mark)) || code.iter().any(|word| bare.contains(word))
        })
        .map(|(_, number)| offence(source, number))
        .collect()
}

/// No path of the machine it was written on.
pub fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let homes = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    text.lines()
        .zip(1..)
        .filter(|(line, _)| homes.iter().any(|home| line.contains(home)))
        .map(|(line, number)| {
            format!("{path}:{number}: {}", line.trim().chars().take(120).collect::<String>())
        })
        .collect()
}

/// Commands in the first column of the README's table, without arguments and options, in alphabetical order.
pub fn commands_in_table(readme: &str) -> Vec<String> {
    let mut found: Vec<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|typed| {
            let words =
                typed.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
            words.collect::<Vec<_>>().join(" ")
        })
        .filter(|typed| !typed.is_empty())
        .collect();
    found.sort();
    found
}

/// Paths into this repository that a document names: relative ones in backquotes, in links, and in commands.
pub fn files_named(document: &str) -> Vec<String> {
    let folders = ["src/", "tests/", "benches/", "docs/", "fixtures/", ".ci/"];
    let mut found: Vec<String> = document
        .split(|c: char| c.is_whitespace() || "`()[]|,;\"'".contains(c))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| {
            folders.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '{', '<'])
        })
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offences of one file with that text.
    fn broken(rule: Rule, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }

    #[test]
    fn a_layer_that_uses_one_above_it_is_found() {
        assert_eq!(broken(layer_order, "src/graph/a.rs", "use crate::cpython::Runtime;\n"), 1);
        assert_eq!(broken(layer_order, "src/heap/a.rs", "use crate::{cpython, report::{a, b}, graph};\n"), 1);
        assert_eq!(broken(layer_order, "src/layout/a.rs", "use crate::{\n    graph,\n    cli,\n};\n"), 1);
        assert_eq!(broken(layer_order, "src/machine/a.rs", "let a = crate::layout::Table;\n"), 1);
        assert_eq!(broken(layer_order, "src/heap/a.rs", "use crate::{cpython::Runtime, heap, graph};\n"), 0);
        assert_eq!(broken(layer_order, "src/heap/a.rs", "// as crate::cli does\n"), 0);
    }

    #[test]
    fn the_offending_line_of_a_group_is_named() {
        let source = Source::new("src/layout/a.rs", "use crate::{\n    graph,\n    cli,\n};\n");
        assert_eq!(used_layers(&source.bare), [(1, "graph".into()), (2, "cli".into()), (3, String::new())]);
    }

    #[test]
    fn an_undeclared_layer_is_found() {
        assert_eq!(
            declared_layers("//! a\npub mod graph;\n\npub mod new;\nmod private;\n"),
            ["graph", "new"]
        );
    }

    #[test]
    fn python_in_a_general_layer_is_found() {
        let rule = no_python_below_cpython;
        assert_eq!(broken(rule, "src/layout/a.rs", "let a = \"PyObject\";\n"), 1);
        assert_eq!(broken(rule, "src/debuginfo/a.rs", "fn a() {} // PyObject, say\n"), 0);
        assert_eq!(
            broken(rule, "src/layout/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n\"PyObject\"\n}\n"),
            0
        );
        assert_eq!(broken(rule, "src/cpython/a.rs", "let a = \"PyObject\";\n"), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(broken(length, "src/a.rs", &"\n".repeat(LONGEST)), 0);
        assert_eq!(broken(length, "src/a.rs", &"\n".repeat(LONGEST + 1)), 1);
    }

    #[test]
    fn a_file_that_says_nothing_of_itself_is_found() {
        assert_eq!(broken(module_comment, "src/a.rs", "use std::fmt;\n"), 1);
        assert_eq!(broken(module_comment, "src/a.rs", "//! Knows a.\n"), 0);
    }

    #[test]
    fn unsafe_code_elsewhere_is_found() {
        assert_eq!(broken(unsafe_code, "src/graph/a.rs", "let a = unsafe { b() };\n"), 1);
        assert_eq!(broken(unsafe_code, "src/graph/a.rs", "#![allow(unsafe_code)]\n"), 1);
        assert_eq!(broken(unsafe_code, UNSAFE[0], "let a = unsafe { b() };\n"), 0);
        assert_eq!(broken(unsafe_code, "src/graph/a.rs", "let unsafely = 1; // unsafe\n"), 0);
    }

    #[test]
    fn a_version_ladder_is_found() {
        for line in [
            "if minor >= 12 {",
            "if self.version < (3, 12) {",
            "a.hex==0x030c0000",
            "minor != 13",
            "a < 0x030d_00f0",
        ] {
            assert_eq!(broken(version_comparison, "src/heap/a.rs", &format!("{line}\n")), 1, "{line}");
        }
        for line in [
            "version: 3,",
            "fn minor(self) -> u8 {",
            "// minor >= 12",
            "if version == other {",
            "a = 0x0300 << 8;",
        ] {
            assert_eq!(broken(version_comparison, "src/heap/a.rs", &format!("{line}\n")), 0, "{line}");
        }
        for path in VERSIONED {
            assert_eq!(broken(version_comparison, path, "if minor >= 12 {\n"), 0);
        }
    }

    #[test]
    fn printing_below_the_command_line_is_found() {
        assert_eq!(broken(printing, "src/heap/a.rs", "println!(\"a\");\n"), 1);
        assert_eq!(broken(printing, "src/heap/a.rs", "std::io::stderr().write(b);\n"), 1);
        assert_eq!(broken(printing, "src/cli/a.rs", "println!(\"a\");\n"), 0);
    }

    #[test]
    fn a_serialised_analysis_is_found() {
        assert_eq!(broken(serialisation, "src/analysis/a.rs", "#[derive(Debug, Serialize)]\n"), 1);
        assert_eq!(broken(serialisation, "src/report/a.rs", "#[derive(Debug, Serialize)]\n"), 0);
    }

    #[test]
    fn unfinished_work_is_found() {
        let marked = concat!("// FIX", "ME: later\n");
        for line in ["#[ignore]\n", "#[ignore = \"slow\"]\n", "todo!()\n", "dbg!(a);\n", marked] {
            assert_eq!(broken(unfinished, "src/heap/a.rs", line), 1, "{line}");
        }
        assert_eq!(broken(unfinished, "src/heap/a.rs", "let a = \"#[ignore]\";\n"), 0);
    }

    #[test]
    fn a_path_of_a_machine_is_found() {
        let line = concat!("see /ho", "me/somebody/core\n");
        assert_eq!(machine_paths("README.md", line).len(), 1);
        assert_eq!(machine_paths("README.md", "see /opt/cpython/bin\n").len(), 0);
    }

    #[test]
    fn commands_and_files_of_a_document_are_found() {
        let readme = "| command | answers |\n|---|---|\n| `types` | a |\n| `dev dump CORE P` | b |\n\
                      and `docs/a.md`, [b](tests/b.rs): fixtures/cores/x/core.zst\n";
        assert_eq!(commands_in_table(readme), ["dev dump", "types"]);
        assert_eq!(files_named(readme), ["docs/a.md", "fixtures/cores/x/core.zst", "tests/b.rs"]);
    }
}
