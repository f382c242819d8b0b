//! Layout tables as text: printed, and read back. Knows the text format only.
//!
//! ```text
//! # comment
//! format 1
//! producer some compiler 12.2            header: a key and the rest of the line, any number
//! module libfoo.so.1 build-id 0a1b2c     opens a module; the build-id may be absent
//! symbol foo_root 5a10e0 2048            link-time address (hexadecimal) and size in that module
//! struct foo size 48                     opens a struct; the size may be absent
//!   next 8 8                             path, offset, size in bytes
//!   state.flags 16 1 bits 2 3            a bit-field: lowest bit in the byte at the offset, width
//! fact visit 48 16,24 foo.Thing          what else is known of the program: a kind and the rest of the line
//! variant 1.2.0 1.2.4                    the structs that follow differ thus in these releases
//! struct foo size 40
//!   next 16 8
//!   state.flags -                        is not there
//! ```

use std::fmt::{self, Display};

use rustc_hash::FxHashSet;
use thiserror::Error;

use super::table::{Table, TableModule, TableStruct, TableSymbol, TableVariant};
use super::{Bits, Field};
use crate::debuginfo::FieldPath;

/// The version of the text format that is printed and read.
const FORMAT: u32 = 1;
/// A table has a few kilobytes; anything far beyond is not a table.
const MAX_BYTES: usize = 16 << 20;
/// How much of an offending line an error repeats, in characters.
const MAX_QUOTED: usize = 120;

/// Why a text is not a layout table.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TableError {
    /// A line that cannot be understood.
    #[error("layout table, line {line}: {reason}: {text:?}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
        /// The line, cut to a readable length.
        text: String,
    },
    /// A format version that this program does not read.
    #[error(
        "layout table, line {line}: {found:?} is not supported, only format {FORMAT}; print the table again with this version of the program"
    )]
    Format {
        /// Line number, from 1.
        line: usize,
        /// The line that states the version.
        found: String,
    },
    /// The text has no `format` line.
    #[error("not a layout table: there is no `format` line before the first module or struct")]
    NoFormat,
    /// The text is larger than any table.
    #[error("not a layout table: {size} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Size of the text in bytes.
        size: usize,
    },
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`] with the number and text of the line at fault.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        if text.len() > MAX_BYTES {
            return Err(TableError::TooLarge { size: text.len() });
        }
        let mut parser = Parser::default();
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            parser.line(line).map_err(|fault| match fault {
                Fault::Format => TableError::Format { line: number, found: quoted(content) },
                Fault::Line(reason) => TableError::Line { line: number, reason, text: quoted(content) },
            })?;
        }
        if parser.format_seen { Ok(parser.table) } else { Err(TableError::NoFormat) }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format {FORMAT}")?;
        for (key, value) in &self.header {
            writeln!(f, "{key} {value}")?;
        }
        for module in &self.modules {
            write!(f, "\nmodule {}", module.name)?;
            if let Some(id) = &module.build_id {
                write!(f, " build-id ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            }
            writeln!(f)?;
            for TableSymbol { name, address, size } in &module.symbols {
                writeln!(f, "symbol {name} {address:x} {size}")?;
            }
        }
        self.structs.iter().try_for_each(|structure| write!(f, "\n{structure}"))?;
        if !self.facts.is_empty() {
            writeln!(f)?;
        }
        self.facts.iter().try_for_each(|fact| writeln!(f, "fact {fact}"))?;
        for variant in &self.variants {
            writeln!(f, "\nvariant {} {}", variant.first, variant.last)?;
            variant.structs.iter().try_for_each(|structure| write!(f, "{structure}"))?;
        }
        Ok(())
    }
}

impl Display for TableStruct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "struct {}", self.name)?;
        match self.size {
            Some(size) => writeln!(f, " size {size}")?,
            None => writeln!(f)?,
        }
        for (path, Field { offset, size, bits }) in &self.fields {
            write!(f, "  {path} {offset} {size}")?;
            match bits {
                Some(Bits { offset, width }) => writeln!(f, " bits {offset} {width}")?,
                None => writeln!(f)?,
            }
        }
        self.absent.iter().try_for_each(|path| writeln!(f, "  {path} -"))
    }
}

/// Why one line is refused.
enum Fault {
    Format,
    Line(&'static str),
}

#[derive(Default)]
struct Parser {
    table: Table,
    format_seen: bool,
    struct_names: FxHashSet<String>,
    /// Paths of the struct that is open.
    paths: FxHashSet<String>,
}

impl Parser {
    /// Fields are told from everything else by being indented, because a field may have any name.
    fn line(&mut self, line: &str) -> Result<(), Fault> {
        let content = line.trim();
        if line.starts_with([' ', '\t']) {
            return self.field(content).map_err(Fault::Line);
        }
        let (key, rest) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
        let rest = rest.trim();
        let in_header =
            self.table.modules.is_empty() && self.table.structs.is_empty() && self.table.variants.is_empty();
        if !self.format_seen && matches!(key, "module" | "symbol" | "struct" | "variant" | "fact") {
            return Err(Fault::Line("no `format` line before this"));
        }
        match key {
            "module" => self.module(rest).map_err(Fault::Line),
            "symbol" => self.symbol(rest).map_err(Fault::Line),
            "struct" => self.structure(rest).map_err(Fault::Line),
            "fact" => {
                self.table.facts.push(rest.to_owned());
                Ok(())
            }
            "variant" => self.variant(rest).map_err(Fault::Line),
            "format" if !self.format_seen && rest.parse() == Ok(FORMAT) => {
                self.format_seen = true;
                Ok(())
            }
            "format" => Err(Fault::Format),
            _ if in_header => {
                self.table.header.push((key.to_owned(), rest.to_owned()));
                Ok(())
            }
            _ => Err(Fault::Line(
                "neither `module`, `symbol`, `struct`, `variant`, `fact` nor an indented field",
            )),
        }
    }

    fn module(&mut self, rest: &str) -> Result<(), &'static str> {
        let (name, build_id) = match rest.rsplit_once(" build-id ") {
            Some((name, digits)) => {
                let id = bytes_of_hex(digits.trim())
                    .ok_or("the build-id is not an even number of hexadecimal digits")?;
                (name.trim(), Some(id))
            }
            None => (rest, None),
        };
        if name.is_empty() {
            return Err("a module without a name");
        }
        self.table.modules.push(TableModule { name: name.to_owned(), build_id, symbols: Vec::new() });
        Ok(())
    }

    fn symbol(&mut self, rest: &str) -> Result<(), &'static str> {
        const EXPECTED: &str = "expected `symbol NAME HEXADDRESS SIZE`";
        let mut words = rest.split_whitespace();
        let (Some(name), Some(address), Some(size), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(EXPECTED);
        };
        let address = u64::from_str_radix(address, 16).map_err(|_| EXPECTED)?;
        let size = size.parse().map_err(|_| EXPECTED)?;
        let module = self.table.modules.last_mut().ok_or("a symbol outside a module")?;
        module.symbols.push(TableSymbol { name: name.to_owned(), address, size });
        Ok(())
    }

    fn structure(&mut self, rest: &str) -> Result<(), &'static str> {
        let (name, size) = match rest.rsplit_once(" size ") {
            Some((name, size)) => {
                (name.trim(), Some(size.trim().parse().map_err(|_| "the size is not a number below 2^32")?))
            }
            None => (rest, None),
        };
        if name.is_empty() {
            return Err("a struct without a name");
        }
        if !self.struct_names.insert(name.to_owned()) {
            return Err("this struct was described before");
        }
        self.paths.clear();
        self.structs().push(TableStruct { name: name.to_owned(), size, ..TableStruct::default() });
        Ok(())
    }

    fn variant(&mut self, rest: &str) -> Result<(), &'static str> {
        let mut words = rest.split_whitespace();
        let (Some(first), Some(last), None) = (words.next(), words.next(), words.next()) else {
            return Err("expected `variant FIRST LAST`");
        };
        self.struct_names.clear();
        let variant = TableVariant { first: first.to_owned(), last: last.to_owned(), structs: Vec::new() };
        self.table.variants.push(variant);
        Ok(())
    }

    /// Where structs are added: to the last variant, if there is one.
    fn structs(&mut self) -> &mut Vec<TableStruct> {
        match self.table.variants.last_mut() {
            Some(variant) => &mut variant.structs,
            None => &mut self.table.structs,
        }
    }

    fn field(&mut self, content: &str) -> Result<(), &'static str> {
        const EXPECTED: &str = "expected `PATH OFFSET SIZE` or `PATH OFFSET SIZE bits FIRST WIDTH`";
        let words: Vec<&str> = content.split_whitespace().take(7).collect();
        if let [path, "-"] = words.as_slice() {
            return self.absent(path);
        }
        let (path, offset, size, bits) = match words.as_slice() {
            [path, offset, size] => (path, offset, size, None),
            [path, offset, size, "bits", first, width] => (path, offset, size, Some((first, width))),
            _ => return Err(EXPECTED),
        };
        let bits = match bits {
            Some((first, width)) => {
                Some(parse_bits(first, width).ok_or("bits must start below 8 and have a width of 1 to 255")?)
            }
            None => None,
        };
        if FieldPath::parse(path).is_none() {
            return Err("a path is member names joined by dots, with subscripts in brackets");
        }
        let offset = offset.parse().map_err(|_| EXPECTED)?;
        let size = size.parse().map_err(|_| EXPECTED)?;
        if !self.paths.insert((*path).to_owned()) {
            return Err("this field was described before");
        }
        let structure = self.structs().last_mut().ok_or("a field outside a struct")?;
        structure.fields.push(((*path).to_owned(), Field { offset, size, bits }));
        Ok(())
    }
}

impl Parser {
    fn absent(&mut self, path: &str) -> Result<(), &'static str> {
        if FieldPath::parse(path).is_none() {
            return Err("a path is member names joined by dots, with subscripts in brackets");
        }
        if !self.paths.insert(path.to_owned()) {
            return Err("this field was described before");
        }
        let variant = self.table.variants.last_mut().ok_or("only a variant has fields that are not there")?;
        let structure = variant.structs.last_mut().ok_or("a field outside a struct")?;
        structure.absent.push(path.to_owned());
        Ok(())
    }
}

fn parse_bits(first: &str, width: &str) -> Option<Bits> {
    let offset = first.parse().ok().filter(|first| *first < 8)?;
    let width = width.parse().ok().filter(|width| *width > 0)?;
    Some(Bits { offset, width })
}

fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}
