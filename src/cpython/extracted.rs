//! A layout table from an interpreter's files alone, without a core: everything that this crate asks of a build.
//!
//! Knows the list of questions and what tells one flavour of build from another; refuses to know where the files are and
//! which processes ran them.

use super::layouts::Layouts;
use super::shapes::Shapes;
use super::size_modules;
use crate::debuginfo::ElfImage;
use crate::layout::{LayoutSource, Resolver, Table};

/// A symbol that only builds with counted references have (Include/refcount.h, `Py_REF_DEBUG`).
const DEBUG_SYMBOL: &str = "_Py_NegativeRefcount";
/// Longest version believed: `3.15.0rc1+` and more.
const MAX_VERSION: usize = 16;

/// The header's key for the release that a table was made from.
pub const PYTHON: &str = "python";
/// The header's key for the flavour of the build.
pub const FLAVOUR: &str = "flavour";

/// The flavour of a build without any of the words of [`flavour`].
pub const DEFAULT: &str = "default";

/// The layouts of the build that `sources` describe: the debug information of its main file first, then of its extension
/// modules. The header says which release and flavour it is; nothing says where a build's variables lie, so the table
/// serves every build alike.
pub fn extract(sources: Vec<&dyn LayoutSource>, python: &str, flavour: &str) -> Table {
    let mut resolver = Resolver::new(sources);
    Layouts::ask(&mut resolver);
    // What `Header` asks besides.
    resolver.optional("PyObject|_object", "ob_refcnt");
    Shapes::resolve(&mut resolver);
    size_modules::ask(&mut resolver);
    let header = [
        ("producer", concat!("exuvia ", env!("CARGO_PKG_VERSION"))),
        (PYTHON, python),
        (FLAVOUR, flavour),
        ("machine", "x86-64"),
    ];
    let header = header.map(|(key, value)| (key.to_owned(), value.to_owned()));
    resolver.to_table(header.into(), Vec::new())
}

/// What sets a build apart from the usual one, by what its structs have, as words joined by spaces: `free-threaded`, `debug`,
/// `trace-refs`, `count-allocs`; [`DEFAULT`] if nothing does. `has_symbol` asks the main file.
pub fn flavour(source: &dyn LayoutSource, has_symbol: impl Fn(&str) -> bool) -> String {
    let has = |types: &[&str], path: &str| types.iter().any(|ty| source.field(ty, path).is_some());
    let object = ["PyObject", "_object"];
    // Include/object.h up to 3.12; Include/internal/pycore_object_state.h, 3.13 and later.
    let trace_refs = has(&object, "_ob_next") || has(&["PyInterpreterState", "_is"], "object_state.refchain");
    let words = [
        ("free-threaded", has(&object, "ob_tid")),
        ("debug", has_symbol(DEBUG_SYMBOL)),
        ("trace-refs", trace_refs),
        ("count-allocs", has(&["PyTypeObject", "_typeobject"], "tp_allocs")),
    ];
    let words: Vec<&str> = words.into_iter().filter_map(|(word, holds)| holds.then_some(word)).collect();
    if words.is_empty() { DEFAULT.to_owned() } else { words.join(" ") }
}

/// The release of an interpreter's file: the one text in its memory that ends with a version (`PY_VERSION`,
/// Include/patchlevel.h; linkers merge texts with the same end) of the minor release that `file_name` has in it, if any.
/// `None` if there is no such text, or they differ.
pub fn release_of(elf: &ElfImage<'_>, file_name: &str) -> Option<String> {
    let mut found: Vec<&str> = Vec::new();
    for text in elf.strings() {
        if let Some(release) = release_at_end(text)
            && !found.contains(&release)
        {
            found.push(release);
        }
    }
    let minor = |text: &str| text.rsplit_once('.').map(|(minor, _)| format!("n{minor}"));
    if found.len() > 1 {
        found.retain(|text| minor(text).is_some_and(|minor| file_name.contains(&minor)));
    }
    match found.as_slice() {
        [one] => Some(one.trim_end_matches('+').to_owned()),
        _ => None,
    }
}

/// The release that a text ends with.
fn release_at_end(text: &[u8]) -> Option<&str> {
    let first = text.len().saturating_sub(MAX_VERSION);
    (first..text.len()).find_map(|start| {
        let inside = start
            .checked_sub(1)
            .and_then(|at| text.get(at))
            .is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        let release = std::str::from_utf8(text.get(start..)?).ok()?;
        (!inside && is_release(release)).then_some(release)
    })
}

/// Whether a text is `3.MINOR.PATCH`, maybe with a level such as `rc1`, maybe with the `+` of a build from a checkout.
fn is_release(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("3.") else { return false };
    let Some((minor, patch)) = rest.split_once('.') else { return false };
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let patch = patch.trim_end_matches('+');
    let split = patch.find(|c: char| !c.is_ascii_digit()).unwrap_or(patch.len());
    let (number, level) = patch.split_at(split);
    let serial = ["rc", "a", "b"].iter().find_map(|level_name| level.strip_prefix(level_name));
    digits(minor) && digits(number) && (level.is_empty() || serial.is_some_and(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_told_from_other_strings() {
        for text in ["3.8.18", "3.15.0rc1", "3.13.0a4", "3.14.10+"] {
            assert!(is_release(text), "{text}");
        }
        for text in ["3.8", "3.8.", "3.8.x", "2.7.18", "3.8.18 (", "3.8.18.1", "3.100.1", "3.8.1rc", ""] {
            assert!(!is_release(text), "{text}");
        }
        assert_eq!(release_at_end(b"built from v3.8.18"), Some("3.8.18"));
        assert_eq!(release_at_end(b"13.8.18"), None);
        assert_eq!(release_at_end(b"3.8.18 or so"), None);
    }
}
