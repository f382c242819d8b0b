//! A file that has its name only when it is complete.
//!
//! Knows how Linux writes a file that nobody sees before it is done; refuses to know what is written. Whoever dies half-way,
//! even by SIGKILL, leaves nothing at the name that was asked for. Where the file system has no unnamed files
//! (`O_TMPFILE`), a temporary name beside it is used, which [`remove_unfinished`] takes away before an early end.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

/// What is written of a process holds its secrets: for its owner only.
const OWNER_ONLY: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// Temporary names tried before giving up.
const MOST_NAMES: u32 = 100;

/// Temporary names that stand for files still being written.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Why a file cannot be written. Each message is one line and says what to try.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// There is one, and it was not said that it may be replaced.
    #[error("{} exists already; choose another name, or replace it with --force", path.display())]
    Exists {
        /// The name that was asked for.
        path: PathBuf,
    },
    /// The directory cannot be written to.
    #[error("cannot write {}: {source}; check that the directory exists, is yours and has room", path.display())]
    Write {
        /// The name that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file being written. Dropped before [`NewFile::into_place`], it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    replace: bool,
    /// The name it has for now; `None` while it has none.
    temporary: Option<PathBuf>,
}

impl NewFile {
    /// Begins a file that will be called `path`, readable and writable for its owner only. With `replace` it takes the
    /// place of what has that name at the end.
    ///
    /// # Errors
    /// [`NewFileError`].
    pub fn create(path: &Path, replace: bool) -> Result<NewFile, NewFileError> {
        let failed = |source| NewFileError::Write { path: path.to_owned(), source };
        if !replace && path.symlink_metadata().is_ok() {
            return Err(NewFileError::Exists { path: path.to_owned() });
        }
        if path.is_dir() {
            return Err(failed(Errno::EISDIR.into()));
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        match open(directory(path), flags, OWNER_ONLY) {
            Ok(file) => Ok(NewFile { file: file.into(), path: path.to_owned(), replace, temporary: None }),
            // What file systems and kernels without unnamed files answer (open(2)).
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT) => {
                NewFile::create_named(path, replace).map_err(failed)
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    fn create_named(path: &Path, replace: bool) -> io::Result<NewFile> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let (file, temporary) = with_free_name(path, |name| {
            // Noted first: whoever is told to end between the two lines removes a name that is not there.
            unfinished().push(name.to_owned());
            let opened = open(name, flags, OWNER_ONLY);
            if opened.is_err() {
                unfinished().retain(|known| known != name);
            }
            opened
        })?;
        Ok(NewFile { file: file.into(), path: path.to_owned(), replace, temporary: Some(temporary) })
    }

    /// The file to write to, from its start.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// [`NewFileError`]; nothing is left behind then.
    pub fn into_place(self) -> Result<(), NewFileError> {
        let failed = |source| match source {
            Errno::EEXIST => NewFileError::Exists { path: self.path.clone() },
            source => NewFileError::Write { path: self.path.clone(), source: source.into() },
        };
        match (&self.temporary, self.replace) {
            (None, false) => self.link(&self.path).map_err(failed),
            (None, true) => {
                let link = |name: &Path| self.link(name);
                let ((), name) = with_free_name(&self.path, link).map_err(failed_errno).map_err(failed)?;
                let renamed = nix::fcntl::renameat(AT_FDCWD, &name, AT_FDCWD, &self.path);
                if renamed.is_err() {
                    let _ = std::fs::remove_file(&name);
                }
                renamed.map_err(failed)
            }
            (Some(name), false) => {
                // Unlike a rename, a link fails where something has taken the name meanwhile. The temporary name goes with
                // `self`.
                match linkat(AT_FDCWD, name, AT_FDCWD, &self.path, AtFlags::empty()) {
                    // File systems without links (vfat).
                    Err(Errno::EPERM | Errno::EOPNOTSUPP) if self.path.symlink_metadata().is_err() => {
                        nix::fcntl::renameat(AT_FDCWD, name, AT_FDCWD, &self.path).map_err(failed)
                    }
                    linked => linked.map_err(failed),
                }
            }
            (Some(name), true) => nix::fcntl::renameat(AT_FDCWD, name, AT_FDCWD, &self.path).map_err(failed),
        }
    }

    /// Gives the unnamed file a name, through its descriptor: the way that needs no privilege (open(2), `O_TMPFILE`).
    fn link(&self, name: &Path) -> nix::Result<()> {
        let descriptor = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(AT_FDCWD, descriptor.as_str(), AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = self.temporary.take() {
            // After a rename there is nothing of that name.
            let _ = std::fs::remove_file(&name);
            unfinished().retain(|known| *known != name);
        }
    }
}

/// Removes what unfinished files have for a name: to be called before the program ends early.
pub fn remove_unfinished() {
    for name in unfinished().drain(..) {
        let _ = std::fs::remove_file(name);
    }
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed_errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The directory of a name.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Does something with a name beside `path` that nothing has.
fn with_free_name<T>(path: &Path, attempt: impl Fn(&Path) -> nix::Result<T>) -> io::Result<(T, PathBuf)> {
    let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let process = std::process::id();
    for number in 0..MOST_NAMES {
        let name = directory(path).join(format!(".{last}.{process}-{number}.part"));
        match attempt(&name) {
            Err(Errno::EEXIST) => {}
            done => return Ok((done?, name)),
        }
    }
    Err(Errno::EEXIST.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    type Begin = fn(&Path, bool) -> NewFile;
    /// Both ways of beginning a file.
    const BOTH: [Begin; 2] = [
        |path, replace| NewFile::create(path, replace).unwrap(),
        |path, replace| NewFile::create_named(path, replace).unwrap(),
    ];

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        for begin in BOTH {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("heap");
            let chosen = begin(&path, false);
            chosen.file().write_all(b"all").unwrap();
            assert!(!path.exists());
            chosen.into_place().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"all");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(names(directory.path()), ["heap"]);
        }
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for begin in BOTH {
            drop(begin(&directory.path().join("heap"), false));
        }
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_when_told_to() {
        for begin in BOTH {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("heap");
            let late = begin(&path, false);
            std::fs::write(&path, b"old").unwrap();
            assert!(matches!(late.into_place(), Err(NewFileError::Exists { .. })));
            assert!(matches!(NewFile::create(&path, false), Err(NewFileError::Exists { .. })));
            let chosen = begin(&path, true);
            chosen.file().write_all(b"new").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            chosen.into_place().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            assert_eq!(names(directory.path()), ["heap"]);
        }
    }

    #[test]
    fn directories_that_are_not_there_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("none/heap");
        assert!(matches!(NewFile::create(&missing, false), Err(NewFileError::Write { .. })));
        assert!(matches!(NewFile::create(directory.path(), true), Err(NewFileError::Write { .. })));
    }
}
