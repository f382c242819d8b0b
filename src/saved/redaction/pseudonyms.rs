//! Other names for names: of the same length, the same for the same name wherever it stands, and chosen by nothing but the
//! order in which names are met.
//!
//! Knows words and which of them may stay; refuses to know where a name stands.

use rustc_hash::{FxHashMap, FxHashSet};

/// Words of paths and qualified names that say nothing about a program.
const COMMON: [&str; 30] = [
    "bin", "cpython", "dictcomp", "dist", "dynload", "exe", "frozen", "genexpr", "gnu", "lambda", "lib",
    "lib64", "linux", "listcomp", "local", "locals", "main", "module", "opt", "packages", "py", "python",
    "python3", "self", "setcomp", "site", "so", "string", "usr", "x86",
];
/// Letters of other names.
const LETTERS: u64 = 26;

/// The other names given so far.
#[derive(Debug, Default)]
pub struct Pseudonyms {
    /// Words that stay.
    kept: FxHashSet<String>,
    given: FxHashMap<String, String>,
    /// Other names given so far, by length.
    counts: FxHashMap<usize, u64>,
}

impl Pseudonyms {
    /// Words of `text` stay.
    pub fn keep(&mut self, text: &str) {
        for word in text.split(is_separator).filter(|word| !word.is_empty()) {
            if !self.kept.contains(word) {
                self.kept.insert(word.to_owned());
            }
        }
    }

    /// `text` with each of its words replaced that does not stay; as many characters as before.
    pub fn rename(&mut self, text: &str) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(is_separator).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            renamed.push_str(&self.word(word));
            let separators = after.find(|c| !is_separator(c)).unwrap_or(after.len());
            let (separators, after) = after.split_at(separators);
            renamed.push_str(separators);
            rest = after;
        }
        renamed
    }

    fn word(&mut self, word: &str) -> String {
        let bare = word.trim_start_matches('_');
        let dunder = word.len() > 4 && word.starts_with("__") && word.ends_with("__");
        let says_nothing = bare.is_empty() || dunder || bare.bytes().all(|byte| byte.is_ascii_digit());
        if says_nothing || self.kept.contains(word) || COMMON.contains(&word) || is_versioned_python(word) {
            return word.to_owned();
        }
        if let Some(given) = self.given.get(word) {
            return given.clone();
        }
        let underscores = word.len() - bare.len();
        let length = bare.chars().count();
        let other = loop {
            let count = self.counts.entry(length).or_default();
            let other = format!("{}{}", "_".repeat(underscores), letters(*count, length));
            *count += 1;
            // Short names run out; then two may share one.
            let exhausted =
                u32::try_from(length).ok().and_then(|n| LETTERS.checked_pow(n)).is_some_and(|n| *count > n);
            if exhausted || (!self.kept.contains(&other) && other != word) {
                break other;
            }
        };
        self.given.insert(word.to_owned(), other.clone());
        other
    }
}

/// What divides a path or a qualified name into words.
fn is_separator(character: char) -> bool {
    !(character == '_' || character.is_alphanumeric())
}

/// `python3`, `libpython3`, `python312`, `cpython`…
fn is_versioned_python(word: &str) -> bool {
    let word = word.strip_prefix("lib").unwrap_or(word);
    let word = word.strip_prefix('c').unwrap_or(word);
    let flags = word.strip_prefix("python").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    flags.is_some_and(|flags| matches!(flags, "" | "t" | "d" | "td"))
}

/// The number as `length` lower-case letters, the last one counting fastest.
fn letters(mut number: u64, length: usize) -> String {
    let mut letters = vec![b'a'; length];
    for letter in letters.iter_mut().rev() {
        *letter = b'a' + (number % LETTERS) as u8;
        number /= LETTERS;
    }
    letters.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gets_the_same_other_name_of_its_length() {
        let mut names = Pseudonyms::default();
        names.keep("json.decoder.JSONDecoder");
        let renamed = names.rename("billing.Invoice.total");
        assert_eq!(renamed.len(), "billing.Invoice.total".len());
        assert!(!renamed.contains("billing") && !renamed.contains("Invoice") && !renamed.contains("total"));
        let (module, rest) = renamed.split_once('.').unwrap();
        assert_eq!(names.rename("billing"), module);
        assert_eq!(names.rename("x/billing.Invoice.total")[2..], format!("{module}.{rest}"));
        assert_eq!(names.rename("json.JSONDecoder"), "json.JSONDecoder");
    }

    #[test]
    fn what_python_gives_a_meaning_to_stays() {
        let mut names = Pseudonyms::default();
        for text in [
            "__init__",
            "_",
            "/usr/lib/python3.12/site-packages/",
            "libpython3.12.so.1.0",
            "<locals>",
            "<frozen x>",
        ] {
            let renamed = names.rename(text);
            assert!(
                renamed == text || text == "<frozen x>" && renamed.starts_with("<frozen "),
                "{text}: {renamed}"
            );
        }
        let renamed = names.rename("__secret");
        assert!(renamed.starts_with("__") && renamed != "__secret" && renamed.len() == 8);
    }

    #[test]
    fn different_names_get_different_ones() {
        let mut names = Pseudonyms::default();
        names.keep("aaab");
        let mut seen = FxHashSet::default();
        for number in 0..5000 {
            let name = letters(number * 7 + 3, 4);
            let other = names.rename(&name);
            assert!(other != "aaab" && seen.insert(other), "{name}");
        }
    }
}
