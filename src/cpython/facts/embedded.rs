//! The facts that come with this crate, as text, by minor release and size of an object's header.
//!
//! Knows which text is for which builds; refuses to know what it says. `fixtures/facts.py` writes them.

use crate::cpython::PyVersion;

/// Facts of the builds of one minor release whose objects have the same header.
struct Embedded {
    /// Minor release, as in a table's header.
    minor: &'static str,
    /// `sizeof(PyObject)`: 16, or 32 without a GIL and, up to 3.12, where all objects are kept in a list (trace-refs).
    header: u32,
    text: &'static str,
}

/// Embeds the facts of that name.
macro_rules! embedded {
    ($($name:literal $minor:literal $header:literal),* $(,)?) => {
        &[$(Embedded {
            minor: $minor,
            header: $header,
            text: include_str!(concat!("../../../facts/", $name, ".facts")),
        }),*]
    };
}

/// All of them, oldest release first.
const EMBEDDED: &[Embedded] = embedded![
    "3.8" "3.8" 16,
    "3.9" "3.9" 16,
    "3.9-trace-refs" "3.9" 32,
    "3.10" "3.10" 16,
    "3.11" "3.11" 16,
    "3.12" "3.12" 16,
    "3.13" "3.13" 16,
    "3.13-free-threaded" "3.13" 32,
    "3.14" "3.14" 16,
    "3.14-free-threaded" "3.14" 32,
    "3.15" "3.15" 16,
    "3.15-free-threaded" "3.15" 32,
];

/// The facts for builds of the minor release of `version` whose object headers have `header` bytes; none for others.
pub(super) fn lines(version: PyVersion, header: u32) -> impl Iterator<Item = &'static str> {
    let minor = format!("{}.{}", version.major(), version.minor());
    let fitting = EMBEDDED.iter().filter(move |known| known.minor == minor && known.header == header);
    fitting.flat_map(|known| known.text.lines())
}

#[cfg(test)]
mod tests {
    use super::super::Facts;
    use super::*;

    #[test]
    fn every_line_is_a_fact_and_is_written_as_it_is_read() {
        for known in EMBEDDED {
            let lines: Vec<&str> = known.text.lines().collect();
            let mut facts = Facts::default();
            facts.read(lines.iter().copied());
            assert_eq!(facts.lines(), lines, "{}", known.minor);
            assert!(lines.len() > 100, "{}", known.minor);
        }
    }
}
