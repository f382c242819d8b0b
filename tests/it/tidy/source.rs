//! Rust source text with comments, or comments and string literals, blanked out; lines stay where they are.

/// One source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// Without comments.
    pub code: String,
    /// Without comments and the content of string literals.
    pub bare: String,
}

impl Source {
    /// Splits the text of a file.
    pub fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text, false),
            bare: blank(text, true),
        }
    }

    /// The folder, or the file's stem, directly under `src/`.
    pub fn layer(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }

    /// Whether the whole file is compiled for tests only.
    pub fn is_test(&self) -> bool {
        let stem = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        self.path.contains("/tests/")
            || !self.path.starts_with("src/")
            || stem == "tests"
            || stem.ends_with("_tests")
            || stem.starts_with("test_")
            || self.layer() == Some("testkit")
    }

    /// Lines of `code` before the test module, with their numbers. Test modules come last (clippy sees to it).
    pub fn shipped_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.shipped(&self.code)
    }

    /// The same of `bare`.
    pub fn shipped_bare(&self) -> impl Iterator<Item = (usize, &str)> {
        self.shipped(&self.bare)
    }

    fn shipped<'a>(&self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let end = if self.is_test() { 0 } else { test_module(&self.bare) };
        text.lines().zip(1..).take(end).map(|(line, number)| (number, line))
    }
}

/// Lines before `#[cfg(test)] mod … {`.
fn test_module(bare: &str) -> usize {
    let lines: Vec<&str> = bare.lines().collect();
    let starts = |pair: &[&str]| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    lines.windows(2).position(starts).unwrap_or(lines.len())
}

/// What the characters at hand are part of.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    LineComment,
    BlockComment(usize),
    Literal { hashes: Option<usize> },
}

/// Replaces comments, and string literals if asked, by spaces; line ends stay.
fn blank(text: &str, strings: bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut within = Within::Code;
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let (next, taken, keep) = match within {
            Within::Code => code_step(rest, at.checked_sub(1).map(|before| characters[before])),
            Within::LineComment if rest[0] == '\n' => (Within::Code, 1, true),
            Within::LineComment => (within, 1, false),
            Within::BlockComment(depth) => block_step(rest, depth),
            Within::Literal { hashes } => literal_step(rest, hashes, strings),
        };
        for &character in &rest[..taken] {
            out.push(if keep || character == '\n' { character } else { ' ' });
        }
        within = next;
        at += taken;
    }
    out
}

fn code_step(rest: &[char], before: Option<char>) -> (Within, usize, bool) {
    let identifier = |c: char| c.is_alphanumeric() || c == '_';
    match rest {
        ['/', '/', ..] => (Within::LineComment, 2, false),
        ['/', '*', ..] => (Within::BlockComment(1), 2, false),
        ['"', ..] => (Within::Literal { hashes: None }, 1, true),
        ['r', ..] if !before.is_some_and(|c| identifier(c) && c != 'b') => {
            let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
            match rest.get(1 + hashes) {
                Some('"') => (Within::Literal { hashes: Some(hashes) }, hashes + 2, true),
                _ => (Within::Code, 1, true),
            }
        }
        // A character, which may be a quote; a lifetime has no closing mark.
        ['\'', '\\', _, '\'', ..] => (Within::Code, 4, true),
        ['\'', _, '\'', ..] => (Within::Code, 3, true),
        _ => (Within::Code, 1, true),
    }
}

fn block_step(rest: &[char], depth: usize) -> (Within, usize, bool) {
    match rest {
        ['*', '/', ..] if depth == 1 => (Within::Code, 2, false),
        ['*', '/', ..] => (Within::BlockComment(depth - 1), 2, false),
        ['/', '*', ..] => (Within::BlockComment(depth + 1), 2, false),
        _ => (Within::BlockComment(depth), 1, false),
    }
}

fn literal_step(rest: &[char], hashes: Option<usize>, blanked: bool) -> (Within, usize, bool) {
    let inside = Within::Literal { hashes };
    match (rest, hashes) {
        (['\\', _, ..], None) => (inside, 2, !blanked),
        (['"', ..], None) => (Within::Code, 1, true),
        (['"', after @ ..], Some(count)) if after.iter().take_while(|&&c| c == '#').count() >= count => {
            (Within::Code, 1 + count, true)
        }
        _ => (inside, 1, !blanked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_nothing_else() {
        let text =
            "let a = \"x // y\"; // z\nlet b = 'c'; /* d /* e */ f */ let g: &'h str = r#\"i \" j\"#;\n";
        let source = Source::new("src/a.rs", text);
        assert_eq!(
            source.code,
            "let a = \"x // y\";     \nlet b = 'c';                   let g: &'h str = r#\"i \" j\"#;\n"
        );
        assert_eq!(
            source.bare,
            "let a = \"      \";     \nlet b = 'c';                   let g: &'h str = r#\"     \"#;\n"
        );
    }

    #[test]
    fn quotes_as_characters_and_escapes_do_not_open_strings() {
        let source = Source::new("src/a.rs", r#"('"', '\'', "\"a\\", b"c", br"\", d)"#);
        assert_eq!(source.bare, r#"('"', '\'', "     ", b" ", br" ", d)"#);
    }

    #[test]
    fn the_test_module_does_not_ship() {
        let source = Source::new("src/a/b.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!(source.shipped_code().collect::<Vec<_>>(), [(1, "fn a() {}")]);
        assert_eq!(source.layer(), Some("a"));
        assert_eq!(Source::new("src/a/tests.rs", "fn a() {}\n").shipped_bare().count(), 0);
    }
}
