//! Which archives make up a saved container image, in which order.
//!
//! Knows the OCI image layout (image specification, "Image Layout", "Image Index", "Image Manifest") and what `docker save`
//! writes (`manifest.json`), each as a directory or in a tar; refuses to know what is in the layers. Digests are not
//! compared: which file is the right one its build-id tells.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::archive_tree::ArchiveTree;
use super::elf::Machine;
use super::mapped_file::{MappedFile, open_regular};

/// Largest JSON document of an image that is read: what registries must take (OCI distribution specification, "Pushing
/// Manifests").
const LONGEST_DOCUMENT: usize = 4 << 20;
/// Indexes within indexes that are followed.
const DEEPEST: u32 = 4;
/// More layers and manifests than images have, of all indexes together: one may name itself.
const MOST_LAYERS: usize = 4096;
const MOST_MANIFESTS: usize = 1024;

/// Files by the names that an image's documents have for them.
#[derive(Debug)]
pub(super) enum Store<'a> {
    /// A directory.
    Directory(&'a Path),
    /// An archive, and the name its files are called by.
    Archive(&'a ArchiveTree, &'a Path),
}

impl Store<'_> {
    fn file(&self, name: &str) -> Option<MappedFile> {
        // Names come from the image: they must not lead elsewhere.
        let plain = !name.starts_with('/') && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        match self {
            _ if !plain => None,
            Store::Directory(directory) => {
                let path = directory.join(name);
                MappedFile::of(&path, &open_regular(&path).ok()?).ok()
            }
            Store::Archive(tree, root) => tree.file(name, &root.join(name)),
        }
    }

    fn document(&self, name: &str) -> Option<Value> {
        let file = self.file(name)?;
        let bytes = file.bytes().get(..file.bytes().len().min(LONGEST_DOCUMENT))?;
        serde_json::from_slice(bytes).ok()
    }

    /// Whether this is an image and not a file system.
    pub(super) fn is_image(&self) -> bool {
        self.is_oci() || self.document("manifest.json").is_some_and(|saved| saved[0]["Layers"].is_array())
    }

    fn is_oci(&self) -> bool {
        self.file("oci-layout").is_some() && self.document("index.json").is_some()
    }

    /// The layers of the image for a machine, from the lowest up: compressed or not.
    ///
    /// # Errors
    /// Why there are none, in one line.
    pub(super) fn layers(&self, machine: Option<Machine>) -> Result<Vec<MappedFile>, String> {
        if self.is_oci() {
            return self.oci_layers(machine);
        }
        self.saved_layers(machine)
    }

    fn oci_layers(&self, machine: Option<Machine>) -> Result<Vec<MappedFile>, String> {
        let index = self.document("index.json").ok_or("its index.json cannot be read")?;
        let mut left = MOST_MANIFESTS;
        let manifest = self.manifest(&index, machine, DEEPEST, &mut left)?;
        let layers = manifest["layers"].as_array().ok_or("its manifest names no layers")?;
        let names = layers.iter().take(MOST_LAYERS).map(|layer| blob(&layer["digest"]));
        self.open_all(names)
    }

    /// The manifest for a machine that an index leads to, among the next `left` that are named.
    fn manifest(
        &self,
        index: &Value,
        machine: Option<Machine>,
        depth: u32,
        left: &mut usize,
    ) -> Result<Value, String> {
        let listed = index["manifests"].as_array().ok_or("its index names no manifests")?;
        let mut others = Vec::new();
        let mut inner = None;
        for descriptor in listed {
            *left = left.checked_sub(1).ok_or("its indexes name too many manifests")?;
            let architecture = descriptor["platform"]["architecture"].as_str();
            if !is_for(architecture, machine) {
                others.extend(architecture.filter(|name| *name != "unknown").map(str::to_owned));
                continue;
            }
            let name = blob(&descriptor["digest"]).ok_or("a digest in its index is none")?;
            let document = self.document(&name).ok_or_else(|| format!("{name} is missing or damaged"))?;
            if document["manifests"].is_array() {
                let below = depth.checked_sub(1).ok_or("its indexes are nested too deeply")?;
                match self.manifest(&document, machine, below, left) {
                    Ok(manifest) => return Ok(manifest),
                    Err(reason) => inner = Some(reason),
                }
            } else if architecture.is_some() || is_for(self.architecture(&document).as_deref(), machine) {
                return Ok(document);
            } else {
                others.extend(self.architecture(&document));
            }
        }
        Err(inner.unwrap_or_else(|| no_image(&others)))
    }

    /// The architecture that the configuration of a manifest names.
    fn architecture(&self, manifest: &Value) -> Option<String> {
        let config = self.document(&blob(&manifest["config"]["digest"])?)?;
        config["architecture"].as_str().map(str::to_owned)
    }

    fn saved_layers(&self, machine: Option<Machine>) -> Result<Vec<MappedFile>, String> {
        let saved = self.document("manifest.json").ok_or("its manifest.json cannot be read")?;
        let images = saved.as_array().ok_or("its manifest.json is no list of images")?;
        let mut others = Vec::new();
        for image in images.iter().take(MOST_MANIFESTS) {
            let config = image["Config"].as_str().and_then(|name| self.document(name));
            let architecture = config.as_ref().and_then(|config| config["architecture"].as_str());
            if !is_for(architecture, machine) {
                others.extend(architecture.map(str::to_owned));
                continue;
            }
            let layers = image["Layers"].as_array().ok_or("its manifest.json names no layers")?;
            return self
                .open_all(layers.iter().take(MOST_LAYERS).map(|layer| layer.as_str().map(str::to_owned)));
        }
        Err(no_image(&others))
    }

    fn open_all(&self, names: impl Iterator<Item = Option<String>>) -> Result<Vec<MappedFile>, String> {
        let open = |name: Option<String>| {
            let name = name.ok_or("the name of a layer is none")?;
            self.file(&name).ok_or_else(|| format!("its layer {name} is missing"))
        };
        names.map(open).collect()
    }
}

fn no_image(others: &[String]) -> String {
    match others.first() {
        Some(_) => format!("it has no image for the core's machine, only for {}", others.join(", ")),
        None => "it has no image".to_owned(),
    }
}

/// Where the blob of a digest is: `blobs/sha256/…` of `sha256:…`.
fn blob(digest: &Value) -> Option<String> {
    let (algorithm, hash) = digest.as_str()?.split_once(':')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let path = PathBuf::from("blobs").join(algorithm).join(hash);
    (plain(algorithm) && plain(hash)).then(|| path.to_string_lossy().into_owned())
}

/// Whether an image of that architecture (a `GOARCH`) may be what a process of that machine ran in.
fn is_for(architecture: Option<&str>, machine: Option<Machine>) -> bool {
    let wanted = match machine {
        Some(Machine::X86_64) => "amd64",
        Some(Machine::Aarch64) => "arm64",
        None => return architecture != Some("unknown"),
    };
    architecture.is_none_or(|architecture| architecture == wanted)
}
