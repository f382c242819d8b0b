//! Which embedded layout table suits a process: what the process says of its build narrows the choice, and its memory proves
//! it.
//!
//! Knows where a build shows; refuses to take the nearest release for the right one: a table that the core contradicts is
//! not used.

use super::PyVersion;
use super::debug_offsets::DebugOffsets;
use super::embedded::embedded_tables;
use super::extracted::{FLAVOUR, PYTHON};
use super::fit::{Misfit, fits};
use super::layouts::Layouts;
use super::processor::adapted;
use crate::corefile::{Address, AddressSpace, Machine};
use crate::layout::{LayoutSource, Resolver, Table};

/// Most tables whose failure a message describes.
const MAX_NAMED: usize = 4;

/// The header's key for what an embedded table is called.
const NAME: &str = "name";

/// What is known of a build before any layout is.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The release, by a constant of the binary.
    pub version: Option<PyVersion>,
    /// What the process says of its own layouts.
    pub offsets: Option<DebugOffsets>,
    /// Size of `_PyRuntime` by the symbol table of its file.
    pub runtime_size: Option<u64>,
    /// The processor, if it is another than tables are made on.
    pub machine: Option<Machine>,
    /// Minor release and ABI flags by the names of mapped files.
    pub files: Option<FileNames>,
}

/// What names such as `libpython3.13t.so.1.0` and `_json.cpython-313t-x86_64-linux-gnu.so` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNames {
    /// `3.13`.
    pub minor: String,
    /// `t` free-threaded, `d` debug.
    pub flags: String,
}

impl FileNames {
    /// What the first telling name says.
    pub fn read<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let extension = |name: &str| {
            let digits = name.split_once(".cpython-3")?.1;
            Self::after_major(digits)
        };
        let library = |name: &str| Self::after_major(name.strip_prefix("libpython3.")?);
        let program = |name: &str| Self::after_major(name.strip_prefix("python3.")?);
        names
            .clone()
            .find_map(extension)
            .or_else(|| names.clone().find_map(library))
            .or_else(|| names.clone().find_map(program))
    }

    /// From what follows the 3 of the major release: `13t`.
    fn after_major(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (minor, rest) = text.split_at_checked(digits)?;
        let flags = rest.chars().take_while(|c| matches!(c, 't' | 'd')).collect();
        (!minor.is_empty()).then(|| Self { minor: format!("3.{minor}"), flags })
    }
}

/// A table for builds of some releases.
#[derive(Debug)]
pub struct Candidate {
    /// For people: name and releases.
    pub name: String,
    /// What it says.
    pub table: Table,
    first: Option<PyVersion>,
    last: Option<PyVersion>,
}

impl Candidate {
    /// Every embedded table, one for each group of releases, that `evidence` does not rule out; the likeliest first.
    pub fn all(evidence: &Evidence) -> Vec<Self> {
        let mut candidates = Vec::new();
        for embedded in embedded_tables() {
            let flavour = embedded.header_value(FLAVOUR).unwrap_or_default();
            if !evidence.admits(embedded.name, flavour) {
                continue;
            }
            let Ok(table) = embedded.table() else { continue };
            for number in 0..table.variants.len().max(1) {
                let candidate = Self::of_variant(embedded.name, &table, number, evidence.machine);
                if evidence.sizes_admit(&candidate.table) {
                    candidates.push(candidate);
                }
            }
        }
        candidates.sort_by_key(|candidate| evidence.distance(candidate));
        candidates
    }

    fn of_variant(name: &str, table: &Table, number: usize, machine: Option<Machine>) -> Self {
        let made_from = table.header_value(PYTHON).unwrap_or_default().to_owned();
        let (first, last) = match table.variants.get(number) {
            Some(variant) => (variant.first.clone(), variant.last.clone()),
            None => (made_from.clone(), made_from),
        };
        let releases = if first == last { first.clone() } else { format!("{first} to {last}") };
        let mut merged = table.variant(number);
        let mut described = format!("embedded table {name}, of {releases}");
        if let Some(machine) = machine {
            merged = adapted(merged, machine);
            described.push_str(&format!(", adapted to {machine}"));
        }
        merged.header.push((NAME.to_owned(), described));
        Self {
            name: format!("{name} ({releases})"),
            table: merged,
            first: PyVersion::parse(&first),
            last: PyVersion::parse(&last),
        }
    }
}

impl Evidence {
    /// The build as far as it is known: `CPython 3.16.0, free-threaded`.
    pub fn describe(&self) -> String {
        let release = match (self.version, &self.files) {
            (Some(version), _) => format!("CPython {version}"),
            (None, Some(files)) => format!("a CPython, {} by the names of its files", files.minor),
            (None, None) => "a CPython of unknown release".to_owned(),
        };
        let free_threaded = self.files.as_ref().is_some_and(|files| files.flags.contains('t'))
            || self.offsets.as_ref().is_some_and(|offsets| offsets.free_threaded);
        if free_threaded { format!("{release}, free-threaded") } else { release }
    }

    /// The minor release, as `3.13`.
    fn minor(&self) -> Option<String> {
        let stated = self.version.or(self.offsets.as_ref().map(|offsets| offsets.version));
        match stated {
            Some(version) => Some(format!("{}.{}", version.major(), version.minor())),
            None => self.files.as_ref().map(|files| files.minor.clone()),
        }
    }

    /// Whether a table of that name and flavour can be of this build.
    fn admits(&self, name: &str, flavour: &str) -> bool {
        let minor = name.split_once('-').map_or(name, |(minor, _)| minor);
        let free_threaded = flavour.contains("free-threaded");
        let by_offsets = self.offsets.as_ref().map(|offsets| offsets.free_threaded);
        self.minor().is_none_or(|known| known == minor)
            && by_offsets.is_none_or(|known| known == free_threaded)
    }

    /// The same of a process that turned out to be of this release.
    pub fn with_version(&self, version: PyVersion) -> Self {
        Self { version: Some(version), ..self.clone() }
    }

    /// Whether `table` is the likeliest of the embedded ones, or all that is known cannot tell.
    pub fn prefers(&self, table: &Table) -> bool {
        let likeliest = Candidate::all(self).into_iter().next();
        likeliest.is_none_or(|candidate| candidate.table.header_value(NAME) == table.header_value(NAME))
    }

    fn sizes_admit(&self, table: &Table) -> bool {
        let agree = |own: Option<u32>, types: &[&str]| {
            let listed = types.iter().find_map(|ty| table.size_of(ty));
            own.zip(listed).is_none_or(|(own, listed)| own == listed)
        };
        let runtime = ["_PyRuntimeState", "pyruntimestate"];
        let by_symbol = self.runtime_size.and_then(|size| u32::try_from(size).ok()).filter(|&size| size != 0);
        let stated = |ty| self.offsets.as_ref().and_then(|offsets| offsets.size_of(ty));
        agree(by_symbol, &runtime)
            && agree(stated("_PyRuntimeState"), &runtime)
            && agree(stated("PyInterpreterState"), &["PyInterpreterState", "_is"])
            && agree(stated("PyThreadState"), &["PyThreadState", "_ts"])
    }

    /// Sorts candidates: those of this very release first, then those with the flags that file names have.
    fn distance(&self, candidate: &Candidate) -> (bool, bool, bool) {
        let version = self.version.or(self.offsets.as_ref().map(|offsets| offsets.version));
        let within = candidate.covers(version);
        let flavour = candidate.table.header_value(FLAVOUR).unwrap_or_default();
        let flags = self.files.as_ref().map_or("", |files| files.flags.as_str());
        let flags_differ = flags.contains('t') != flavour.contains("free-threaded")
            || flags.contains('d') != flavour.contains("debug");
        (!within, flags_differ, flavour.contains(' '))
    }
}

impl Candidate {
    /// Whether it was made for that release; for an unknown one, yes.
    pub fn covers(&self, version: Option<PyVersion>) -> bool {
        let (Some(version), Some(first), Some(last)) = (version, self.first, self.last) else { return true };
        version.lies_within(first, last)
    }

    /// Whether the core agrees, together with what the process says of itself.
    ///
    /// # Errors
    /// What does not fit.
    pub fn prove(
        &self,
        space: &AddressSpace<'_>,
        offsets: Option<&DebugOffsets>,
        runtime: Address,
    ) -> Result<(), Misfit> {
        let mut sources: Vec<&dyn LayoutSource> = vec![&self.table];
        if let Some(offsets) = offsets {
            sources.push(offsets);
        }
        let mut resolver = Resolver::new(sources);
        let misfit = |what| Misfit { what, address: runtime };
        let layouts = Layouts::resolve(&mut resolver).map_err(|error| misfit(error.to_string()))?;
        if let Some((ty, path)) = resolver.disagreement() {
            return Err(misfit(format!("_Py_DebugOffsets has another {ty}.{path}")));
        }
        fits(space, &layouts, runtime)
    }
}

/// The first of `candidates` that the core proves right, or why each is wrong.
pub fn proved(
    candidates: Vec<Candidate>,
    space: &AddressSpace<'_>,
    offsets: Option<&DebugOffsets>,
    runtime: Address,
) -> Result<Candidate, String> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.prove(space, offsets, runtime) {
            Ok(()) => return Ok(candidate),
            Err(misfit) => {
                reasons.push(format!("{}: {} (at {:#x})", candidate.name, misfit.what, misfit.address))
            }
        }
    }
    if reasons.is_empty() {
        return Err("no embedded layout table is for such a build".to_owned());
    }
    let more = reasons.len().saturating_sub(MAX_NAMED);
    reasons.truncate(MAX_NAMED);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(format!("no embedded layout table fits it: {}{rest}", reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Option<(String, String)> {
        FileNames::read(names.iter().copied()).map(|found| (found.minor, found.flags))
    }

    #[test]
    fn names_of_files_tell_minor_release_and_flags() {
        let both = |minor: &str, flags: &str| Some((minor.to_owned(), flags.to_owned()));
        assert_eq!(names(&["libc.so.6", "_json.cpython-313t-x86_64-linux-gnu.so"]), both("3.13", "t"));
        assert_eq!(names(&["python3.9", "libpython3.9d.so.1.0"]), both("3.9", "d"));
        assert_eq!(names(&["python3.14"]), both("3.14", ""));
        assert_eq!(names(&["_ssl.cpython-315td-x86_64-linux-gnu.so"]), both("3.15", "td"));
        assert_eq!(names(&["python", "libpython3.so", "a.cpython-x"]), None);
    }

    #[test]
    fn what_a_process_states_rules_tables_out() {
        let evidence = Evidence { version: PyVersion::parse("3.12.3"), ..Evidence::default() };
        let candidates = Candidate::all(&evidence);
        assert!(
            !candidates.is_empty() && candidates.iter().all(|candidate| candidate.name.starts_with("3.12 "))
        );
        assert!(candidates.first().is_some_and(|first| first.covers(evidence.version)));
        let sized = Evidence { runtime_size: Some(459_280), ..evidence };
        let of_size: Vec<_> = Candidate::all(&sized).into_iter().map(|candidate| candidate.name).collect();
        assert_eq!(of_size, ["3.12 (3.12.7 to 3.12.14)"]);
    }
}
