//! The index of the core at hand: whether there is one that may be used, and where one is kept.
//!
//! Knows options and places; refuses to know what an index holds. That an index cannot be used is never an error: what it
//! holds can be worked out again.

use super::args::Common;
use super::output::say;
use crate::columns::{Damaged, fingerprint};
use crate::corefile::{Inputs, NOTE_ANSWERS};
use crate::cpython::{Known, Runtime};
use crate::index::{self, Contents, Index, IndexError, Key, Places};
use crate::layout::{Origin, Table};
use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Standard input, of which nothing is kept.
const STANDARD_INPUT: &str = "-";

/// What is kept of a core.
#[derive(Debug, Default)]
pub struct KeptIndex {
    /// Where an index may be, and what it must say; `None` if none is wanted.
    wanted: Option<(Places, Key)>,
    /// The one that was found.
    index: Option<Index>,
    /// It turned out not to be usable.
    given_up: Cell<bool>,
}

impl KeptIndex {
    /// For the core at `core`; nothing is opened yet.
    pub(super) fn new(
        core: &Path,
        common: &Common,
        inputs: &Inputs,
        table: Option<&Table>,
        source: Option<Origin>,
    ) -> Self {
        if common.no_index || core.as_os_str() == STANDARD_INPUT {
            return Self::default();
        }
        let cache = cache(&|name| std::env::var_os(name));
        let places = Places::new(core, common.index_dir.as_deref(), cache.as_deref());
        let table = table.map(|table| fingerprint(table.to_string().as_bytes()));
        let choices = format!("table {table:?} source {source:?} core only {}", common.core_only);
        Self { wanted: Some((places, Key::new(core, inputs, &choices))), ..Self::default() }
    }

    /// Looks for an index and lets `inputs` recall what it has of the process' files. What else need not be looked for is
    /// returned.
    pub(super) fn open(&mut self, inputs: &mut Inputs) -> Known {
        let Some((places, key)) = &self.wanted else { return Known::default() };
        for path in places.iter() {
            let opened = Index::open(path, key).map(|opened| {
                let index = opened?;
                Ok((index.answers()?, index.known()?, index))
            });
            match opened {
                None => {}
                Some(Ok((answers, known, index))) => {
                    inputs.recall(NOTE_ANSWERS, answers);
                    self.index = Some(index);
                    return known;
                }
                Some(Err(why)) => say_unusable(path, &why),
            }
        }
        Known::default()
    }

    /// Gives the index up if it numbers types otherwise than `runtime`.
    pub(super) fn fits(&self, runtime: &Runtime<'_>) {
        if let Some(index) = &self.index
            && !index.fits(runtime)
        {
            say_unusable(index.path(), &Damaged::because("it knows other types"));
            self.given_up.set(true);
        }
    }

    /// What the index has, if there is one and that part of it is whole.
    pub(super) fn get<T>(&self, part: impl FnOnce(&Index) -> Result<T, Damaged>) -> Option<T> {
        let index = self.index.as_ref().filter(|_| !self.given_up.get())?;
        match part(index) {
            Ok(part) => Some(part),
            Err(why) => {
                say_unusable(index.path(), &why);
                self.given_up.set(true);
                None
            }
        }
    }

    /// Whether what is worked out may be kept.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Where the index lies that is in use.
    pub(super) fn path(&self) -> Option<&Path> {
        self.index.as_ref().filter(|_| !self.given_up.get()).map(Index::path)
    }

    /// Keeps what was worked out, for the next command, and says where; `None` if nothing is to be kept.
    ///
    /// # Errors
    /// There is no place that takes it.
    pub(super) fn keep(&self, contents: Contents<'_, '_>) -> Result<Option<PathBuf>, IndexError> {
        let Some((places, key)) = &self.wanted else { return Ok(None) };
        index::write(places, key, contents).map(Some)
    }
}

fn say_unusable(path: &Path, why: &Damaged) {
    say(&format!("the index {} is not used: {why}; `exuvia index` makes a new one", path.display()));
}

/// The user's cache directory for this program (XDG Base Directory Specification). `variable` gives a variable of the
/// environment.
fn cache(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("exuvia"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_users() {
        let cache_of = |set: &[(&str, &str)]| {
            cache(&|name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(cache_of(&[]), None);
        assert_eq!(cache_of(&[("HOME", "/h")]), Some(PathBuf::from("/h/.cache/exuvia")));
        assert_eq!(cache_of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some(PathBuf::from("/x/exuvia")));
    }
}
