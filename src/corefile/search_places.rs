//! The file system that files of the process are looked for in: this machine's, and what `--sysroot` names: a directory, an
//! archive, or an image.
//!
//! Knows how to open a place wherever it is, and which of its files has a build-id; refuses to know which places to try.
//! The files of an archive are called `archive:/path`, and that name works like any other path here.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::archive_tree::{ArchiveTree, follow};
use super::build_id::BuildId;
use super::compressed::Format;
use super::core_source::unpacked;
use super::elf::Machine;
use super::error::CoreError;
use super::image_layout::Store;
use super::mapped_file::{MappedFile, open_regular};
use super::module_search::{SearchOptions, build_id_of_file};
use super::tar_reader::TarReader;

/// Most files of a sysroot that are looked at for a build-id.
const MOST_FILES: usize = 1 << 20;
/// Most files of the name of a module whose build-ids are read before those of all files are.
const MOST_NAMED: usize = 64;
/// Directories at the top of a running system that hold no files of programs.
const NOT_WALKED: [&str; 4] = ["proc", "sys", "dev", "run"];
/// First bytes of a program or library.
const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// Where files are looked for, opened.
#[derive(Debug, Default)]
pub struct SearchPlaces {
    pub(super) options: SearchOptions,
    archive: Option<ArchiveTree>,
    names: OnceLock<FxHashMap<OsString, Vec<PathBuf>>>,
    ids: OnceLock<FxHashMap<BuildId, Vec<PathBuf>>>,
}

impl SearchPlaces {
    /// Opens what the sysroot is. Of images for several machines, the one for `machine` is taken.
    ///
    /// # Errors
    /// [`CoreError::Sysroot`] if it is neither a directory, nor a tar, nor an image; [`CoreError::Open`],
    /// [`CoreError::Temporary`].
    pub fn open(options: &SearchOptions, machine: Option<Machine>) -> Result<SearchPlaces, CoreError> {
        let mut places = SearchPlaces { options: options.clone(), ..SearchPlaces::default() };
        if let Some(path) = options.sysroot.as_deref().filter(|_| !options.core_only) {
            places.archive = opened(path, machine)?;
        }
        if let (Some(_), Some(path)) = (&places.archive, &options.sysroot) {
            let mut root = path.as_os_str().to_owned();
            root.push(":");
            places.options.sysroot = Some(root.into());
        }
        Ok(places)
    }

    /// A place's path within the sysroot, if it lies there.
    fn inside<'p>(&self, place: &'p Path) -> Option<&'p str> {
        place.strip_prefix(self.options.sysroot.as_deref()?).ok()?.to_str()
    }

    /// A place's path within the archive that is the sysroot.
    fn archived<'p>(&self, place: &'p Path) -> Option<(&ArchiveTree, &'p str)> {
        Some((self.archive.as_ref()?, self.inside(place)?))
    }

    /// `path` of the process inside a directory, as if that were its root: neither an absolute link nor `..` leads out.
    pub(super) fn below(&self, directory: &Path, path: &str) -> PathBuf {
        let link = |inside: &str| {
            let target = std::fs::read_link(directory.join(inside)).ok()?;
            target.to_str().map(str::to_owned)
        };
        match (self.archived(directory), &self.options.sysroot) {
            (Some((tree, base)), Some(root)) => root.join(tree.follow(base, path)),
            _ => directory.join(follow(path, &link).0),
        }
    }

    /// Where `path` of the process is in the sysroot.
    pub(super) fn in_sysroot(&self, path: &str) -> Option<PathBuf> {
        self.options.sysroot.as_ref().map(|root| self.below(root, path))
    }

    /// The place without links: those of the sysroot lead to files of the sysroot.
    fn resolved(&self, place: &Path) -> PathBuf {
        self.inside(place).and_then(|inside| self.in_sysroot(inside)).unwrap_or_else(|| place.to_owned())
    }

    /// The place without any links, if there is something.
    pub(super) fn real(&self, place: &Path) -> Option<PathBuf> {
        let resolved = self.resolved(place);
        if self.archive.is_some() && self.inside(place).is_some() {
            Some(resolved)
        } else {
            resolved.canonicalize().ok()
        }
    }

    /// Whether a place is a regular file.
    pub(super) fn is_file(&self, place: &Path) -> bool {
        match self.archived(place) {
            Some((tree, inside)) => tree.is_file(inside),
            None => self.resolved(place).is_file(),
        }
    }

    /// The file of a place, as it is.
    pub(super) fn file(&self, place: &Path) -> Option<MappedFile> {
        match self.archived(place) {
            Some((tree, inside)) => tree.file(inside, place),
            None => MappedFile::of(place, &open_regular(&self.resolved(place)).ok()?).ok(),
        }
    }

    /// Files of the sysroot that have a build-id, whatever their paths; those called `name` first. The sysroot is walked
    /// once, when this is first asked.
    pub(super) fn with_build_id(&self, name: &str, id: &BuildId) -> Vec<PathBuf> {
        let names = self.names.get_or_init(|| {
            let mut names: FxHashMap<OsString, Vec<PathBuf>> = FxHashMap::default();
            for place in self.list() {
                let name = place.file_name().unwrap_or_default().to_owned();
                names.entry(name).or_default().push(place);
            }
            names
        });
        let named = names.get(OsStr::new(name)).into_iter().flatten().take(MOST_NAMED);
        let found: Vec<PathBuf> =
            named.filter(|place| self.build_id(place).as_ref() == Some(id)).cloned().collect();
        if !found.is_empty() {
            return found;
        }
        let ids = self.ids.get_or_init(|| {
            let mut ids: FxHashMap<BuildId, Vec<PathBuf>> = FxHashMap::default();
            for place in names.values().flatten() {
                if let Some(id) = self.build_id(place) {
                    ids.entry(id).or_default().push(place.clone());
                }
            }
            ids.values_mut().for_each(|places| places.sort());
            ids
        });
        ids.get(id).cloned().unwrap_or_default()
    }

    fn build_id(&self, place: &Path) -> Option<BuildId> {
        if self.archive.is_none() {
            // Most files are none: they are not mapped.
            let mut magic = [0; ELF_MAGIC.len()];
            open_regular(place).ok()?.read_exact(&mut magic).ok()?;
            (magic == ELF_MAGIC).then_some(())?;
        }
        let file = self.file(place)?;
        file.bytes().starts_with(&ELF_MAGIC).then(|| build_id_of_file(file.bytes()))?
    }

    /// The regular files of the sysroot, in the order of their paths.
    fn list(&self) -> Vec<PathBuf> {
        let Some(root) = &self.options.sysroot else { return Vec::new() };
        if let Some(tree) = &self.archive {
            return tree.files().take(MOST_FILES).map(|file| root.join(file)).collect();
        }
        let mut files = Vec::new();
        let mut pending: Vec<PathBuf> = vec![root.clone()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                // Of the entry, not of what it links to: nothing is walked twice.
                let Ok(kind) = entry.file_type() else { continue };
                let skipped = directory == *root && NOT_WALKED.iter().any(|name| entry.file_name() == *name);
                if kind.is_dir() && !skipped {
                    pending.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
            if files.len() + pending.len() > MOST_FILES {
                break;
            }
        }
        files.sort();
        files
    }
}

/// The tree in an archive or an image; `None` of a directory that is a file system itself.
fn opened(path: &Path, machine: Option<Machine>) -> Result<Option<ArchiveTree>, CoreError> {
    let wrong = |reason: String| CoreError::Sysroot { path: path.to_owned(), reason };
    if !path.exists() {
        // A directory without files. Who was told of it can say more (a misspelt option).
        return Ok(None);
    }
    let metadata =
        std::fs::metadata(path).map_err(|source| CoreError::Open { path: path.to_owned(), source })?;
    if metadata.is_dir() {
        let store = Store::Directory(path);
        return match store.is_image() {
            true => image(&store, machine, path).map(Some),
            false => Ok(None),
        };
    }
    let archive = unpacked(MappedFile::open_as_is(path)?)?;
    if !TarReader::is_tar(archive.bytes()) {
        return Err(wrong("it is no tar archive".to_owned()));
    }
    let mut tree = ArchiveTree::default();
    tree.add_layer(archive);
    let store = Store::Archive(&tree, path);
    match store.is_image() {
        true => image(&store, machine, path).map(Some),
        false if tree.files().next().is_none() => Err(wrong("it holds no files".to_owned())),
        false => Ok(Some(tree)),
    }
}

fn image(store: &Store<'_>, machine: Option<Machine>, path: &Path) -> Result<ArchiveTree, CoreError> {
    let wrong = |reason: String| CoreError::Sysroot { path: path.to_owned(), reason };
    let mut tree = ArchiveTree::default();
    for layer in store.layers(machine).map_err(wrong)? {
        let name = layer.path().display().to_string();
        let layer = if Format::of(layer.bytes()).is_some() { unpacked(layer)? } else { layer };
        let empty = layer.bytes().iter().take(1024).all(|&byte| byte == 0);
        if !empty && !TarReader::is_tar(layer.bytes()) {
            return Err(wrong(format!("its layer {name} is no tar archive")));
        }
        tree.add_layer(layer);
    }
    let any = tree.files().next().is_some();
    if any { Ok(tree) } else { Err(wrong("its layers hold no files".to_owned())) }
}
