//! The other files that a file with debug information names: the supplementary file that `dwz` moves what several files
//! share to, and the `.dwo` files or `.dwp` package that `-gsplit-dwarf` leaves the types in.
//!
//! Knows how they are named and how to tell that they are the right ones; refuses to know where they lie, which
//! whoever asks for an index tells by its [`Companions`].

use std::sync::Arc;

use gimli::{DwarfPackage, EndianSlice, LittleEndian, Reader, Section, SectionId};

use super::units::{Dwarf, Slice, UnitSlot, malformed};
use crate::corefile::Kept;
use crate::debuginfo::{DebugInfoError, ElfImage};

/// What the section `.gnu_debugaltlink` (of `dwz`) or `.debug_sup` (DWARF 5, section 7.3.6) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupplementaryLink<'d> {
    /// Path of the supplementary file, absolute or relative to the directory of the file that names it.
    pub path: &'d str,
    /// Its build-id, or the checksum in its own `.debug_sup`.
    pub id: &'d [u8],
}

/// What a skeleton unit says of the unit it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitUnit<'d> {
    /// Path of the `.dwo` file, absolute or relative to `directory`.
    pub path: &'d str,
    /// The directory the compiler ran in.
    pub directory: Option<&'d str>,
}

/// Finds the files that debug information is spread over. Each method gives a file only if it exists and can be
/// read; whether it is the right one is checked here where the file itself cannot say.
pub trait Companions<'d> {
    /// The supplementary file.
    ///
    /// # Errors
    /// Where it was looked for, for people to read.
    fn supplementary(&self, link: SupplementaryLink<'d>) -> Result<ElfImage<'d>, String>;
    /// The package with all split units (`PROGRAM.dwp`).
    fn package(&self) -> Option<ElfImage<'d>>;
    /// Files that may hold a split unit, best first.
    fn split(&self, unit: SplitUnit<'d>) -> Vec<ElfImage<'d>>;
}

/// For a file that is all there is.
pub(super) struct Alone;

impl<'d> Companions<'d> for Alone {
    fn supplementary(&self, _: SupplementaryLink<'d>) -> Result<ElfImage<'d>, String> {
        Err("nowhere".to_owned())
    }

    fn package(&self) -> Option<ElfImage<'d>> {
        None
    }

    fn split(&self, _: SplitUnit<'d>) -> Vec<ElfImage<'d>> {
        Vec::new()
    }
}

impl<'d> ElfImage<'d> {
    /// What the file says about a supplementary file it needs; `None` if it needs none.
    pub fn supplementary_link(&self) -> Option<SupplementaryLink<'d>> {
        let alternative = || {
            let (path, id) = split_at_nul(self.section(".gnu_debugaltlink")?)?;
            Some(SupplementaryLink { path, id })
        };
        alternative()
            .or_else(|| self.debug_sup().filter(|(is_supplementary, _)| !is_supplementary).map(|(_, l)| l))
    }

    /// What a supplementary file of DWARF 5 says of itself: the checksum of [`SupplementaryLink::id`].
    pub fn supplementary_checksum(&self) -> Option<&'d [u8]> {
        self.debug_sup().filter(|(is_supplementary, _)| *is_supplementary).map(|(_, link)| link.id)
    }

    /// `.debug_sup`: version, whether this is the supplementary file, a name, a length, a checksum.
    fn debug_sup(&self) -> Option<(bool, SupplementaryLink<'d>)> {
        let section = self.section(".debug_sup")?;
        let is_supplementary = *section.get(2)? != 0;
        let (path, rest) = split_at_nul(section.get(3..)?)?;
        let mut rest = EndianSlice::new(rest, LittleEndian);
        let length = usize::try_from(rest.read_uleb128().ok()?).ok()?;
        Some((is_supplementary, SupplementaryLink { path, id: rest.slice().get(..length)? }))
    }
}

fn split_at_nul(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let nul = bytes.iter().position(|&byte| byte == 0)?;
    let (text, rest) = bytes.split_at_checked(nul)?;
    Some((std::str::from_utf8(text).ok()?, rest.get(1..)?))
}

/// Loads the sections of the file that is asked about, and of its supplementary file.
pub(super) fn load<'d>(
    elf: &ElfImage<'d>,
    info: &'d [u8],
    companions: &dyn Companions<'d>,
    kept: &'d Kept<Box<[u8]>>,
) -> Result<Dwarf<'d>, DebugInfoError> {
    let mut dwarf: Dwarf<'d> = gimli::Dwarf::load(|id| match id {
        SectionId::DebugInfo => Ok(EndianSlice::new(info, LittleEndian)),
        _ => section(elf, id, Some(id.name()), kept),
    })?;
    if let Some(link) = elf.supplementary_link() {
        let file = companions.supplementary(link).map_err(|looked_for| DebugInfoError::NoSupplementary {
            path: link.path.to_owned(),
            id: link.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            looked_for,
        })?;
        dwarf.load_sup(|id| section(&file, id, Some(id.name()), kept))?;
    }
    Ok(dwarf)
}

/// A section that answers need; the others (locations, macros, call frames) are not even decompressed.
fn section<'d>(
    elf: &ElfImage<'d>,
    id: SectionId,
    name: Option<&str>,
    kept: &'d Kept<Box<[u8]>>,
) -> Result<Slice<'d>, DebugInfoError> {
    let bytes = match (id, name) {
        (
            SectionId::DebugAranges
            | SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro,
            _,
        )
        | (_, None) => None,
        (_, Some(name)) => elf.expanded_section(name, kept)?,
    };
    Ok(EndianSlice::new(bytes.unwrap_or_default(), LittleEndian))
}

/// The sections that hold the unit that a skeleton stands for, from the package or else from a file of its own;
/// `None` if neither is there. A file is taken when it has a unit with the skeleton's id.
pub(super) struct SplitFiles<'c, 'd> {
    main: Arc<Dwarf<'d>>,
    companions: &'c dyn Companions<'d>,
    package: Option<DwarfPackage<Slice<'d>>>,
    kept: &'d Kept<Box<[u8]>>,
}

impl<'c, 'd> SplitFiles<'c, 'd> {
    /// For the skeletons of `main`.
    ///
    /// # Errors
    /// The package is damaged.
    pub(super) fn new(
        main: Arc<Dwarf<'d>>,
        companions: &'c dyn Companions<'d>,
        kept: &'d Kept<Box<[u8]>>,
    ) -> Result<Self, DebugInfoError> {
        let read = |elf: ElfImage<'d>| {
            let section = |id: SectionId| section(&elf, id, id.dwo_name(), kept).map_err(Loading::Section);
            DwarfPackage::load(section, EndianSlice::new(&[], LittleEndian)).map_err(Loading::into_error)
        };
        let package = companions.package().map(read).transpose()?;
        Ok(Self { main, companions, package, kept })
    }

    /// The sections with the unit of `skeleton`.
    pub(super) fn find(&self, skeleton: &UnitSlot<'d>) -> Option<Dwarf<'d>> {
        let id = skeleton.unit.dwo_id?;
        let packed = self.package.as_ref().and_then(|package| package.find_cu(id, &self.main).ok()?);
        packed.or_else(|| {
            let files = self.companions.split(self.split_unit(skeleton)?);
            files.iter().find_map(|file| self.open(file).filter(|dwarf| has_unit(dwarf, id)))
        })
    }

    fn split_unit(&self, skeleton: &UnitSlot<'d>) -> Option<SplitUnit<'d>> {
        let unit = &skeleton.unit;
        let path = self.main.attr_string(unit, unit.dwo_name().ok()??).ok()?;
        let directory = unit.comp_dir.and_then(|directory| std::str::from_utf8(directory.slice()).ok());
        Some(SplitUnit { path: std::str::from_utf8(path.slice()).ok()?, directory })
    }

    fn open(&self, elf: &ElfImage<'d>) -> Option<Dwarf<'d>> {
        let mut dwarf = gimli::Dwarf::load(|id| section(elf, id, id.dwo_name(), self.kept)).ok()?;
        dwarf.make_dwo(&self.main);
        Some(dwarf)
    }
}

/// Why a package could not be loaded.
enum Loading {
    Section(DebugInfoError),
    Index(gimli::Error),
}

impl From<gimli::Error> for Loading {
    fn from(error: gimli::Error) -> Self {
        Self::Index(error)
    }
}

impl Loading {
    fn into_error(self) -> DebugInfoError {
        match self {
            Self::Section(error) => error,
            Self::Index(error) => malformed(error),
        }
    }
}

fn has_unit(dwarf: &Dwarf<'_>, id: gimli::DwoId) -> bool {
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        if dwarf.unit(header).is_ok_and(|unit| unit.dwo_id == Some(id)) {
            return true;
        }
    }
    false
}

/// Bytes of the `.debug_info` of a file.
pub(super) fn info_size(dwarf: &Dwarf<'_>) -> usize {
    dwarf.debug_info.reader().len()
}
