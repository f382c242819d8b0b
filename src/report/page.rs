//! A page of text for people: headings, paragraphs, label and value pairs, tables, all as wide as the terminal.
//!
//! Everything that gets onto a page goes through [`escape`]: names and values come from the memory of a dead process,
//! and none of them may act on the terminal. Knows widths and colours; refuses to know what is written.

use super::table::Table;
use crate::cpython::escape_text;
use std::borrow::Cow;

/// Narrowest page that is laid out; a smaller terminal breaks lines itself.
const NARROWEST: usize = 40;

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Like everything else.
    Plain,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
    /// Something to take note of.
    Warning,
}

impl Tone {
    /// ECMA-48, "Select Graphic Rendition".
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Warning => "\x1b[33m",
        }
    }
}

/// Text in the making.
#[derive(Clone, Debug)]
pub struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    /// An empty page of so many columns.
    pub fn new(width: usize, color: bool) -> Self {
        Self { text: String::new(), width: width.max(NARROWEST), color }
    }

    /// Columns of a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// An empty line, unless the page is empty or ends in one.
    pub fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A heading, after a gap.
    pub fn heading(&mut self, text: &str) {
        self.gap();
        self.toned(Tone::Strong, &escape(text));
        self.text.push('\n');
    }

    /// A paragraph, wrapped; following lines are indented by `indent` columns.
    pub fn paragraph(&mut self, tone: Tone, indent: usize, text: &str) {
        let lines = wrap(&escape(text), self.width, indent);
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                self.spaces(indent);
            }
            self.toned(tone, line);
            self.text.push('\n');
        }
    }

    /// A line that is cut in the middle if it is too long.
    pub fn line(&mut self, tone: Tone, indent: usize, text: &str) {
        let text = shorten(&escape(text), self.width.saturating_sub(indent)).into_owned();
        self.spaces(indent);
        self.toned(tone, &text);
        self.text.push('\n');
    }

    /// A paragraph, wrapped, all of whose lines are indented by `indent` columns.
    pub fn indented(&mut self, tone: Tone, indent: usize, text: &str) {
        for line in wrap(&escape(text), self.width.saturating_sub(indent), 0) {
            self.spaces(indent);
            self.toned(tone, &line);
            self.text.push('\n');
        }
    }

    /// A label and its value: values of several pairs stand below each other.
    pub fn pair(&mut self, label: &str, value: &str) {
        const LABEL: usize = 14;
        let lines = wrap(&escape(value), self.width.saturating_sub(LABEL), 0);
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                self.toned(Tone::Strong, label);
                self.spaces(LABEL.saturating_sub(columns(label)).max(1));
            } else {
                self.spaces(LABEL);
            }
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    /// A table.
    pub fn table(&mut self, table: &Table) {
        for (index, line) in table.lines(self.width).iter().enumerate() {
            self.toned(if index == 0 { Tone::Faint } else { Tone::Plain }, line);
            self.text.push('\n');
        }
    }

    /// A command line, whole so that it can be copied, and behind it, or below if there is no room, what it is for.
    /// `widest` is the length of the longest command that stands in the same list.
    pub fn command(&mut self, command: &str, widest: usize, purpose: &str) {
        let (command, purpose) = (escape(command), escape(purpose));
        self.spaces(2);
        self.text.push_str(&command);
        let column = widest + 4;
        if column + columns(&purpose) <= self.width {
            self.spaces(column.saturating_sub(columns(&command) + 2));
        } else {
            self.text.push('\n');
            self.spaces(6);
        }
        self.toned(Tone::Faint, &purpose);
        self.text.push('\n');
    }

    /// A remark, such as how many rows are not shown.
    pub fn note(&mut self, text: &str) {
        self.paragraph(Tone::Faint, 2, text);
    }

    /// A warning.
    pub fn warning(&mut self, text: &str) {
        self.paragraph(Tone::Warning, 2, &format!("! {text}"));
    }

    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    /// Appends text that is escaped already.
    fn toned(&mut self, tone: Tone, text: &str) {
        if self.color && tone != Tone::Plain && !text.is_empty() {
            self.text.push_str(tone.code());
            self.text.push_str(text);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }
}

/// Terminal columns of a text. Counted in characters: a wide one shifts its line, and nothing worse.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Text fit for a terminal: characters it might obey or not show are escaped, as Python escapes them.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(escape_text(text))
}

/// At most `width` columns of `text`: what is too long loses its middle, since names differ at their ends.
pub fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    let length = columns(text);
    if length <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let kept = width - 1;
    let head = kept.div_ceil(2);
    let tail = kept - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    Cow::Owned(format!("{start}…{end}"))
}

/// At most `width` columns of `text`, from its start.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(start + "…")
}

/// Breaks `text` at blanks into lines of at most `width` columns, `indent` of which are taken on all but the first.
/// A word that is longer stays whole: paths and commands must be fit for copying.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let room = width.saturating_sub(if lines.is_empty() { 0 } else { indent });
        let length = columns(word);
        if used > 0 && used + 1 + length > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, shown) in [
            ("plain", "plain"),
            ("é漢", "é漢"),
            ("a\x1b[31mb", "a\\x1b[31mb"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{202e}abc\u{2066}", "\\u202eabc\\u2066"),
            ("\u{9b}31m", "\\x9b31m"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten("abcdefghij", 7), "abc…hij");
        assert_eq!(shorten("abcdefghij", 6), "abc…ij");
        assert_eq!(shorten("abcdefghij", 1), "…");
        assert_eq!(shorten("abcdefghij", 0), "");
    }

    #[test]
    fn paragraphs_are_wrapped_at_blanks() {
        assert_eq!(wrap("one two three", 7, 2), ["one two", "three"]);
        assert_eq!(wrap("one two six ten", 7, 2), ["one two", "six", "ten"]);
        assert_eq!(wrap("/a/very/long/path x", 5, 0), ["/a/very/long/path", "x"]);
    }

    #[test]
    fn nothing_escapes_escaping() {
        let mut page = Page::new(80, false);
        let evil = "\x1b]0;x\x07\u{202e}\r";
        page.heading(evil);
        page.paragraph(Tone::Warning, 0, evil);
        page.line(Tone::Plain, 2, evil);
        page.pair("Label", evil);
        page.note(evil);
        let mut table = Table::new(&[("name", super::super::table::Align::Left)]);
        table.row(vec![evil.to_owned()]);
        page.table(&table);
        let text = page.into_text();
        let obeyed = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!text.contains(obeyed), "{text:?}");
    }
}
