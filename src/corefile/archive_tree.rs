//! A file system made of tar archives laid over each other, as container images are. Nothing is extracted: a file is a range
//! of a mapped archive.
//!
//! Knows links and what removes files of lower layers (OCI image specification, "Image Layer Filesystem Changeset"); refuses
//! to know which archives belong together, and what the files are for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mapped_file::MappedFile;
use super::tar_reader::{Entry, Kind, TarReader};

/// Prefix of a file name that stands for a removed file, and the name that stands for all of a directory.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Most entries of all layers together.
const MOST_NODES: usize = 4 << 20;
/// Symbolic links followed on the way to one file (`MAXSYMLINKS` of Linux).
const MOST_LINKS: u32 = 40;
/// Longest path, and longest target of a link (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// Parts of paths that are followed while a tree is built: several times what the largest images need.
const MOST_STEPS: usize = 8 << 20;
/// Parts of paths that are followed on the way to one file.
const MOST_PARTS: usize = 4096;

#[derive(Clone, Debug)]
enum Node {
    Directory,
    /// A range of the content of a layer.
    File {
        layer: usize,
        start: usize,
        end: usize,
    },
    Link(String),
    Other,
}

/// The merged tree. Paths have no `/` at either end.
#[derive(Debug, Default)]
pub(super) struct ArchiveTree {
    layers: Vec<MappedFile>,
    nodes: BTreeMap<String, Node>,
    steps: usize,
}

impl ArchiveTree {
    /// Lays an archive over what is there. `false` if it has no entries.
    pub(super) fn add_layer(&mut self, archive: MappedFile) -> bool {
        let layer = self.layers.len();
        let mut removed = Vec::new();
        let mut added = Vec::new();
        for entry in TarReader::new(archive.bytes()) {
            let Some(path) = normalized(&entry.name) else { continue };
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            match name.strip_prefix(WHITEOUT) {
                Some(_) if name == OPAQUE => removed.push((directory.to_owned(), true)),
                Some(hidden) => removed.push((joined(directory, hidden), false)),
                None => added.push((path, entry)),
            }
            if added.len() + self.nodes.len() > MOST_NODES {
                break;
            }
        }
        let any = !(added.is_empty() && removed.is_empty());
        // Only what lower layers have is removed, wherever in the archive it says so.
        for (path, only_below) in removed {
            self.remove_below(&path);
            if !only_below {
                self.nodes.remove(&path);
            }
        }
        // Entries of a directory follow each other.
        let mut latest = (String::new(), String::new());
        for (path, entry) in added {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if latest.0 != directory {
                latest = (directory.to_owned(), self.place_of(directory));
            }
            let path = joined(&latest.1, name);
            // What the place of a directory is may change with a link.
            if self.add(path, entry, layer) {
                latest = (String::new(), String::new());
            }
        }
        self.layers.push(archive);
        any
    }

    fn remove_below(&mut self, path: &str) {
        // The byte behind `/` is `0`: what lies between are the names that begin with the path and a slash.
        let range = if path.is_empty() {
            String::new()..char::MAX.to_string()
        } else {
            format!("{path}/")..format!("{path}0")
        };
        let inside: Vec<String> = self.nodes.range(range).map(|(inside, _)| inside.clone()).collect();
        for inside in inside {
            self.nodes.remove(&inside);
        }
    }

    /// Where a directory of an archive is: it may lie behind a link that the archive, or a lower layer, has.
    fn place_of(&mut self, directory: &str) -> String {
        if self.steps > MOST_STEPS {
            return directory.to_owned();
        }
        let (place, steps) = follow(directory, &|inside| self.link(inside));
        self.steps = self.steps.saturating_add(steps);
        place
    }

    fn link(&self, place: &str) -> Option<String> {
        match self.nodes.get(place) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        }
    }

    /// Adds an entry at its place; returns whether it is a link, or takes the place of something.
    fn add(&mut self, path: String, Entry { kind, .. }: Entry, layer: usize) -> bool {
        let node = match kind {
            Kind::File(content) => Node::File { layer, start: content.start, end: content.end },
            Kind::Directory => Node::Directory,
            Kind::Link(target) if target.len() <= LONGEST_PATH => Node::Link(target),
            Kind::Link(_) => Node::Other,
            Kind::HardLink(target) => {
                let target = normalized(&target).map(|target| self.place_of(&target));
                let node = target.and_then(|target| self.nodes.get(&target)).cloned();
                node.filter(|node| matches!(node, Node::File { .. })).unwrap_or(Node::Other)
            }
            Kind::Other => Node::Other,
        };
        if !matches!(node, Node::Directory) {
            self.remove_below(&path);
        }
        let is_link = matches!(node, Node::Link(_));
        self.nodes.insert(path, node).is_some() || is_link
    }

    /// What `path` leads to when it is looked up in `base`, as if that were the root: links are followed as a process would
    /// have followed them, and neither an absolute one nor `..` leads out.
    pub(super) fn follow(&self, base: &str, path: &str) -> String {
        joined(base, &follow(path, &|inside| self.link(&joined(base, inside))).0)
    }

    /// A file, called `name`, by its path in the tree; links are followed.
    pub(super) fn file(&self, path: &str, name: &Path) -> Option<MappedFile> {
        match self.node(path)? {
            Node::File { layer, start, end } => self.layers.get(*layer)?.part(name, *start..*end),
            _ => None,
        }
    }

    /// Whether there is a regular file behind a path.
    pub(super) fn is_file(&self, path: &str) -> bool {
        matches!(self.node(path), Some(Node::File { .. }))
    }

    /// What a path leads to: most are of files, with nothing to follow.
    fn node(&self, path: &str) -> Option<&Node> {
        let direct = self.nodes.get(path).filter(|node| matches!(node, Node::File { .. }));
        direct.or_else(|| self.nodes.get(&self.follow("", path)))
    }

    /// The regular files, by their own paths.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let files = self.nodes.iter().filter(|(_, node)| matches!(node, Node::File { .. }));
        files.map(|(path, _)| PathBuf::from(path))
    }
}

/// Follows symbolic links in `path`, each of which `link` tells by its place. Returns a path without links, `.` and `..`, and
/// the number of steps that took. A path that grows too long is followed no further.
pub(super) fn follow(path: &str, link: &dyn Fn(&str) -> Option<String>) -> (String, usize) {
    let mut inside = String::new();
    let mut pending: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let (mut links, mut steps) = (0, 0);
    while let Some(part) = pending.pop() {
        steps += 1;
        let parent = inside.len();
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                inside.truncate(inside.rfind('/').unwrap_or(0));
                continue;
            }
            _ if parent > 0 => inside.push('/'),
            _ => {}
        }
        inside.push_str(&part);
        let may_follow = links < MOST_LINKS && steps <= MOST_PARTS && inside.len() <= LONGEST_PATH;
        if let Some(target) = may_follow.then(|| link(&inside)).flatten() {
            links += 1;
            inside.truncate(if target.starts_with('/') { 0 } else { parent });
            pending.extend(target.rsplit('/').map(str::to_owned));
        }
    }
    (inside, steps)
}

fn joined(directory: &str, name: &str) -> String {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => directory.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

/// A name of an archive as a path in the tree. `None` of the root, of paths that lead out, and of absurd ones.
fn normalized(name: &str) -> Option<String> {
    if name.len() > LONGEST_PATH {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}
