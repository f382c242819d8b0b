//! Finds files with debug information: a module's separate debug file, and what such a file names in turn.
//!
//! Knows the places that GDB and elfutils look in, and the marks by which a file is known to be the right one (build-id,
//! the checksum of `.gnu_debuglink`); refuses to know DWARF, and the network.

use std::path::{Path, PathBuf};

use goblin::elf::section_header::SHT_NOBITS;
use serde::{Deserialize, Serialize};

use super::build_id::BuildId;
use super::elf::{ElfHeaders, clipped};
use super::mapped_file::MappedFile;
use super::module_search::{build_id_of_file, sections};
use super::search_places::SearchPlaces;

/// Directory that distributions install debug files to.
const SYSTEM_DEBUG_DIR: &str = "usr/lib/debug";
/// Directory of debug files beside programs (GDB manual, "Debugging Information in Separate Files").
const DEBUG_SUBDIR: &str = ".debug";

/// How a separate debug file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DebugSource {
    /// By build-id, in a `.build-id` directory.
    BuildIdDirectory,
    /// By the name and the checksum in the program's section `.gnu_debuglink`.
    DebugLink,
    /// By build-id, in what a debuginfod client has downloaded before.
    DebuginfodCache,
    /// In the place of the program itself.
    InPlace,
}

impl std::fmt::Display for DebugSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DebugSource::BuildIdDirectory => "build-id directory",
            DebugSource::DebugLink => ".gnu_debuglink",
            DebugSource::DebuginfodCache => "debuginfod cache",
            DebugSource::InPlace => "in place of the program",
        })
    }
}

/// The separate debug file of a module.
#[derive(Debug)]
pub(super) struct DebugFile {
    pub(super) file: MappedFile,
    pub(super) source: DebugSource,
}

/// Directories with debug files: those given, the sysroot's, the system's.
pub(super) fn debug_dirs(files: &SearchPlaces) -> Vec<PathBuf> {
    let options = &files.options;
    let roots = options.sysroot.iter().cloned().chain([PathBuf::from("/")]);
    let mut dirs = options.debug_dirs.clone();
    dirs.extend(roots.map(|root| root.join(SYSTEM_DEBUG_DIR)));
    dirs
}

/// Looks for the debug file of a module, whose build-id is `wanted`, whose file is `file` and whose path in the process
/// was `path`. Each place that has none is added to `tried`.
pub(super) fn separate(
    wanted: Option<&BuildId>,
    file: Option<&MappedFile>,
    path: &str,
    files: &SearchPlaces,
    tried: &mut Vec<PathBuf>,
) -> Option<DebugFile> {
    if files.options.core_only {
        return None;
    }
    let by_id = wanted.and_then(|id| by_build_id(id, files, tried));
    by_id.or_else(|| by_debug_link(file?, wanted, path, files, tried))
}

/// The separate debug file of a file that no process is known to have mapped.
pub fn separate_debug_file(file: &MappedFile, files: &SearchPlaces) -> Option<MappedFile> {
    let id = build_id_of_file(file.bytes());
    let path = file.path().to_string_lossy();
    separate(id.as_ref(), Some(file), &path, files, &mut Vec::new()).map(|found| found.file)
}

fn by_build_id(id: &BuildId, files: &SearchPlaces, tried: &mut Vec<PathBuf>) -> Option<DebugFile> {
    for (place, source) in places_by_id(id, files) {
        match files.file(&place) {
            Some(file) if build_id_of_file(file.bytes()).as_ref() == Some(id) => {
                return Some(DebugFile { file, source });
            }
            _ => tried.push(place),
        }
    }
    None
}

/// Where a file with debug information may lie that has this build-id.
fn places_by_id(id: &BuildId, files: &SearchPlaces) -> Vec<(PathBuf, DebugSource)> {
    let mut places = Vec::new();
    if let Some(entry) = id.directory_entry() {
        let mut entry = entry.into_os_string();
        entry.push(".debug");
        let dirs = debug_dirs(files).into_iter().map(|dir| dir.join(".build-id").join(&entry));
        places.extend(dirs.map(|place| (place, DebugSource::BuildIdDirectory)));
    }
    let caches =
        files.options.debuginfod_caches.iter().map(|cache| cache.join(id.to_string()).join("debuginfo"));
    places.extend(caches.map(|place| (place, DebugSource::DebuginfodCache)));
    places
}

/// `.gnu_debuglink`: a file name, padding, and the CRC-32 of that file. A file that also has a build-id must have the right
/// one.
fn by_debug_link(
    file: &MappedFile,
    wanted: Option<&BuildId>,
    path: &str,
    files: &SearchPlaces,
    tried: &mut Vec<PathBuf>,
) -> Option<DebugFile> {
    let (name, checksum) = debug_link(file.bytes())?;
    let beside = file.path().parent()?;
    let mut places = vec![beside.join(&name), beside.join(DEBUG_SUBDIR).join(&name)];
    if let Some((directory, _)) = path.rsplit_once('/') {
        places.extend(debug_dirs(files).iter().map(|dir| files.below(dir, directory).join(&name)));
    }
    for place in places {
        let right = |found: &MappedFile| {
            let id = build_id_of_file(found.bytes());
            crc32(found.bytes()) == checksum && (id.is_none() || wanted.is_none() || id.as_ref() == wanted)
        };
        match files.file(&place) {
            // A link may name the very file it is in.
            Some(found) if place != file.path() && right(&found) => {
                return Some(DebugFile { file: found, source: DebugSource::DebugLink });
            }
            _ => tried.push(place),
        }
    }
    None
}

/// Name and checksum in `.gnu_debuglink`. The name has no directory: what it says must not lead elsewhere.
fn debug_link(bytes: &[u8]) -> Option<(String, u32)> {
    let section = section_named(bytes, ".gnu_debuglink")?;
    let end = section.iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(section.get(..end)?).ok()?;
    let checksum = section.get((end + 1).checked_next_multiple_of(4)?..)?.first_chunk()?;
    let plain = !name.is_empty() && !name.contains('/') && name != "..";
    plain.then(|| (name.to_owned(), u32::from_le_bytes(*checksum)))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn section_named<'a>(bytes: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let headers = ElfHeaders::parse(bytes).ok()?;
    let sections = sections(bytes, &headers);
    let names = sections.get(usize::from(headers.header.e_shstrndx))?;
    let names = clipped(bytes, names.sh_offset, names.sh_size);
    let section = sections.iter().filter(|section| section.sh_type != SHT_NOBITS).find(|section| {
        let name = names.get(section.sh_name..).unwrap_or_default();
        name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    })?;
    Some(clipped(bytes, section.sh_offset, section.sh_size))
}

/// Where a file may lie that the debug information in `from` names by a path and a build-id: at that path (in the sysroot
/// first, from the place of `from` if it is relative), in the debug directories, or by its build-id.
pub(super) fn supplementary_places(
    from: &Path,
    name: &str,
    id: Option<&BuildId>,
    files: &SearchPlaces,
) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if name.starts_with('/') {
        places.extend(files.in_sysroot(name));
        places.push(PathBuf::from(name));
        let below_debug = name.trim_start_matches('/').strip_prefix(SYSTEM_DEBUG_DIR);
        places.extend(
            below_debug
                .into_iter()
                .flat_map(|rest| files.options.debug_dirs.iter().map(|dir| files.below(dir, rest))),
        );
    } else {
        // The entries of build-id directories are often links to where the file really is.
        let real = files.real(from);
        let names = [Some(from.to_owned()), real];
        places.extend(names.iter().flatten().filter_map(|file| Some(file.parent()?.join(name))));
    }
    places.extend(id.into_iter().flat_map(|id| places_by_id(id, files)).map(|(place, _)| place));
    places
}

/// Where the `.dwo` file may lie that a unit compiled in `directory` names `name`: where the compiler put it (in the sysroot
/// first), in a debug directory by its whole or its last name, or beside the program.
pub(super) fn split_places(
    program: &Path,
    name: &str,
    directory: Option<&str>,
    files: &SearchPlaces,
) -> Vec<PathBuf> {
    let whole = match directory {
        Some(directory) if !name.starts_with('/') => format!("{directory}/{name}"),
        _ => name.to_owned(),
    };
    let mut places = Vec::new();
    if whole.starts_with('/') {
        places.extend(files.in_sysroot(&whole));
        places.push(PathBuf::from(&whole));
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    for dir in &files.options.debug_dirs {
        places.push(files.below(dir, name));
        places.push(dir.join(last));
    }
    places.extend(program.parent().map(|beside| beside.join(last)));
    places
}

/// Where the package of a program's split units may lie: beside the program or its debug file, or in a debug directory.
pub(super) fn package_places(programs: &[&Path], files: &SearchPlaces) -> Vec<PathBuf> {
    let with_suffix = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dwp");
        PathBuf::from(name)
    };
    let mut places: Vec<PathBuf> = programs.iter().map(|path| with_suffix(path)).collect();
    for dir in &files.options.debug_dirs {
        places.extend(
            programs.iter().filter_map(|path| Some(dir.join(with_suffix(Path::new(path.file_name()?))))),
        );
    }
    places
}
