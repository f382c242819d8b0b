//! What the files of a process' modules told in one analysis, so that another can do without them.
//!
//! Knows the questions that [`Binaries`](super::Binaries) passes on to files, and their answers; refuses to know who asks.
//! A saved heap carries the answers as a note. A question that was not asked then has no answer: for whoever asks, it is as
//! if the file were not there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Field;
use crate::corefile::Address;

/// Answers by question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// By index of the module.
    pub(super) modules: BTreeMap<usize, OfModule>,
    /// Name of the symbol that a slot of a global offset table is bound to.
    #[serde(with = "pairs")]
    pub(super) slots: BTreeMap<Address, Option<String>>,
    /// Address of the symbol of that name that some module exports.
    pub(super) exported: BTreeMap<String, Option<Address>>,
    /// The struct of that many bytes that the function at the address works on.
    #[serde(with = "pairs")]
    pub(super) structs: BTreeMap<(Address, u32), Option<ObjectStruct>>,
}

/// What the files of one module told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfModule {
    pub(super) symbols: BTreeMap<String, Option<FoundSymbol>>,
    pub(super) sections: BTreeMap<String, Option<Address>>,
    pub(super) debug_info: Option<PathBuf>,
    pub(super) has_all_symbols: Option<bool>,
    /// Whether there is debug information; else why not.
    pub(super) dwarf: Option<Result<(), String>>,
    /// Sizes of structs.
    pub(super) sizes: BTreeMap<String, Option<u32>>,
    /// Fields, by struct and path.
    pub(super) fields: BTreeMap<String, BTreeMap<String, Option<Field>>>,
}

/// A symbol of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSymbol {
    /// Run-time address.
    pub address: Address,
    /// Size in bytes; 0 if the linker does not know it.
    pub size: u64,
    /// Whether other modules can link to it.
    pub exported: bool,
}

/// The C struct behind objects of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStruct {
    /// Offsets and paths of the members that point at objects.
    pub pointers: Vec<(u32, String)>,
    /// Offsets and names of all members.
    pub members: Vec<(u32, String)>,
    /// Offset of the member that was asked for by name, if there is one.
    pub flag: Option<u32>,
}

/// Maps whose keys are no strings, as JSON wants them: lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer, K: Serialize, V: Serialize>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub fn deserialize<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl Answers {
    /// Passes every path, and every name of a struct's member or of a function, through `rename`.
    pub fn rename(&mut self, rename: &mut dyn FnMut(&str) -> String) {
        for module in self.modules.values_mut() {
            if let Some(path) = &mut module.debug_info {
                *path = PathBuf::from(rename(&path.to_string_lossy()));
            }
            if let Some(Err(problem)) = &mut module.dwarf {
                // It may name files.
                *problem = "there was none when the heap was saved".to_owned();
            }
        }
        for name in self.slots.values_mut().flatten() {
            *name = rename(name);
        }
        self.exported = std::mem::take(&mut self.exported)
            .into_iter()
            .map(|(name, address)| (rename(&name), address))
            .collect();
        for found in self.structs.values_mut().flatten() {
            let members = found.pointers.iter_mut().chain(&mut found.members);
            members.for_each(|(_, name)| *name = rename(name));
        }
    }

    /// Reads a note's content; `None` if it is not what this program writes.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }

    /// The content of the note.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}
