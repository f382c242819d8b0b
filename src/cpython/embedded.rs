//! The layout tables that come with this crate, as text.
//!
//! Knows their names; refuses to know which one suits a process (see `choice`). `fixtures/layouts.py` writes them.

use crate::layout::{Table, TableError};

/// Embeds the tables of that name.
macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(EmbeddedTable {
            name: $name,
            text: include_str!(concat!("../../layouts/", $name, ".layout")),
        }),*]
    };
}

/// All of them, oldest release first.
pub const EMBEDDED: &[EmbeddedTable] = embedded![
    "3.8",
    "3.8-count-allocs",
    "3.9",
    "3.9-trace-refs",
    "3.10",
    "3.11",
    "3.12",
    "3.13",
    "3.13-debug",
    "3.13-trace-refs",
    "3.13-free-threaded",
    "3.14",
    "3.14-debug",
    "3.14-free-threaded",
    "3.15",
    "3.15-debug",
    "3.15-free-threaded",
];

/// A table as text, with its name: the minor release, and the flavour of the build unless it is the usual one.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedTable {
    /// The name.
    pub name: &'static str,
    /// The text.
    pub text: &'static str,
}

impl EmbeddedTable {
    /// The table.
    ///
    /// # Errors
    /// The text is damaged; a test proves that it is not.
    pub fn table(&self) -> Result<Table, TableError> {
        Table::parse(self.text)
    }

    /// The value of a header line, without reading the whole table.
    pub fn header_value(&self, key: &str) -> Option<&'static str> {
        let mut header = self.text.lines().take_while(|line| !line.starts_with("struct "));
        header.find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
    }
}

/// The embedded tables.
pub fn embedded_tables() -> impl Iterator<Item = EmbeddedTable> {
    EMBEDDED.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::extracted::{FLAVOUR, PYTHON};

    #[test]
    fn every_table_is_read_and_says_what_it_is_for() {
        for embedded in embedded_tables() {
            let table = embedded.table().unwrap_or_else(|error| panic!("{}: {error}", embedded.name));
            let (minor, _) = embedded.name.split_once('-').unwrap_or((embedded.name, ""));
            for key in [PYTHON, FLAVOUR] {
                assert_eq!(table.header_value(key), embedded.header_value(key), "{}", embedded.name);
            }
            let python = table.header_value(PYTHON).unwrap();
            assert!(python.starts_with(&format!("{minor}.")), "{}: {python}", embedded.name);
            assert_eq!(table.to_string(), embedded.text, "{} is not as it would be written", embedded.name);
        }
    }
}
