//! Where an index lies: beside its core; else, where that cannot be written, in the user's cache directory; or in the one
//! directory that was named.
//!
//! Knows names of files; refuses to know what is in them.

use crate::columns::fingerprint;
use crate::corefile::{NewFile, NewFileError};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What the name of an index ends in.
const EXTENSION: &str = "exuvia-index";

/// Places for the index of one core, the best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    candidates: Vec<PathBuf>,
}

impl Places {
    /// Places for the index of the core at `path`: in `only`, if that is given, else beside it and in `cache`.
    pub fn new(path: &Path, only: Option<&Path>, cache: Option<&Path>) -> Self {
        let beside = path.with_file_name(joined(path, ""));
        let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let hash = format!(".{:016x}", fingerprint(whole.as_os_str().as_bytes()));
        let candidates = match only {
            Some(only) => vec![only.join(joined(path, &hash))],
            None => {
                std::iter::once(beside).chain(cache.map(|cache| cache.join(joined(path, &hash)))).collect()
            }
        };
        Self { candidates }
    }

    /// The places, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.candidates.iter().map(PathBuf::as_path)
    }

    /// Begins a file in the first place that takes one.
    ///
    /// # Errors
    /// None does; what the first one said.
    pub(super) fn create(&self) -> Result<(PathBuf, NewFile), NewFileError> {
        let mut first = None;
        for path in &self.candidates {
            if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
                // Whether it is there is told by the file.
                let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            }
            match NewFile::create(path, true) {
                Ok(new) => return Ok((path.clone(), new)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| NewFileError::Write {
            path: PathBuf::new(),
            source: std::io::ErrorKind::NotFound.into(),
        }))
    }
}

/// `core.4242` and `.hash` make `core.4242.hash.exuvia-index`.
fn joined(path: &Path, hash: &str) -> OsString {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!("{hash}.{EXTENSION}"));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(places: &Places) -> Vec<String> {
        places.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn beside_the_core_then_in_the_cache_or_only_where_told() {
        let core = Path::new("/none/core.1");
        let beside = "/none/core.1.exuvia-index".to_owned();
        assert_eq!(names(&Places::new(core, None, None)), std::slice::from_ref(&beside));
        let both = names(&Places::new(core, None, Some(Path::new("/cache"))));
        assert_eq!(both.len(), 2);
        assert_eq!(both[0], beside);
        assert!(both[1].starts_with("/cache/core.1.") && both[1].ends_with(".exuvia-index"));
        let other = names(&Places::new(Path::new("/other/core.1"), None, Some(Path::new("/cache"))));
        assert_ne!(both[1], other[1]);
        let only = names(&Places::new(core, Some(Path::new("/here")), Some(Path::new("/cache"))));
        assert_eq!(only.len(), 1);
        assert!(only[0].starts_with("/here/core.1."));
    }

    #[test]
    fn what_takes_no_file_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("deep/cache");
        // Nothing can be made below a file.
        let blocked = directory.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let places = Places::new(&blocked.join("core"), None, Some(&cache));
        let (path, new) = places.create().unwrap();
        assert!(path.starts_with(&cache));
        new.into_place().unwrap();
        assert!(path.exists());
        assert!(Places::new(&blocked.join("core"), None, None).create().is_err());
    }
}
