//! The files of a live interpreter in every form that the file system of a container comes in: the answers are those
//! with the files in place.

#[path = "../../src/testkit/compressors.rs"]
#[allow(dead_code, reason = "shared with the unit tests")]
mod compressors;

use crate::sources::Answers;
use compressors::{gzip, zstd_streamed};
use exuvia::corefile::{Inputs, Module, ModuleStatus, SearchOptions};
use exuvia::layout::Origin;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The form that shows files found by their build-ids, for interpreters that are not installed on this machine.
const OTHER_NAMES: &str = "files of other names";

/// Contents by paths without a leading slash.
type Files = BTreeMap<String, Vec<u8>>;

/// Asks a core once with its files where they are, and once with each form of them as the sysroot.
pub fn prove(core: &Path, search: &SearchOptions) -> Result<(), String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let inputs = Inputs::open(core, search).map_err(|error| error.to_string())?;
    let files = files(&inputs)?;
    let expected = Answers::by(&inputs, Origin::Dwarf)?;
    drop(inputs);
    let mut wrong = Vec::new();
    for (form, sysroot) in forms(directory.path(), &files)? {
        let options = SearchOptions { sysroot: Some(sysroot.clone()), ..search.clone() };
        let inputs = Inputs::open(core, &options).map_err(|error| format!("{form}: {error}"))?;
        // This machine's own files come before those that only a build-id leads to.
        let own = form == OTHER_NAMES;
        wrong.extend(elsewhere(&inputs, &sysroot, own).into_iter().map(|path| format!("{form}: {path}")));
        expected.differences(&Answers::by(&inputs, Origin::Dwarf)?, form, &mut wrong);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The files that a core's modules were matched with, by the paths the process had them.
fn files(inputs: &Inputs) -> Result<Files, String> {
    let mut files = Files::new();
    for module in inputs.modules() {
        if let Some(bytes) = module.elf_bytes() {
            files.insert(module.path.trim_start_matches('/').to_owned(), bytes.to_vec());
        }
    }
    if files.is_empty() { Err("no file of the process was found".to_owned()) } else { Ok(files) }
}

/// Modules with a build-id that were not found in the sysroot; if `own`, those at their paths on this machine are passed
/// over.
fn elsewhere(inputs: &Inputs, sysroot: &Path, own: bool) -> Vec<String> {
    let inside = sysroot.to_string_lossy().into_owned();
    let outside = |module: &&Module| match &module.status {
        ModuleStatus::Matched { path } => {
            !(path.to_string_lossy().starts_with(&inside) || (own && *path == Path::new(&module.path)))
        }
        ModuleStatus::NotElf | ModuleStatus::Unverified { .. } => false,
        ModuleStatus::Missing { .. } | ModuleStatus::Refused { .. } => true,
    };
    let known = inputs.modules().iter().filter(|module| module.build_id.is_some());
    known.filter(outside).map(|module| format!("{} is {:?}", module.path, module.status)).collect()
}

/// Every form, in files below a directory.
fn forms(directory: &Path, files: &Files) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let write = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        written.and_then(|()| std::fs::write(&path, content)).map_err(|error| error.to_string())?;
        Ok::<PathBuf, String>(path)
    };
    let plain = tar(files)?;
    let (low, high) = layers(files);
    let (low, high) = (tar(&low)?, tar(&high)?);
    for (name, content) in files {
        write(&format!("root/{name}"), content)?;
    }
    for (number, content) in files.values().enumerate() {
        write(&format!("renamed/of-another-name/{number}"), content)?;
    }
    for (name, content) in layout(gzip(&low), zstd_streamed(&high)) {
        write(&format!("layout/{name}"), &content)?;
    }
    Ok(vec![
        ("a directory", directory.join("root")),
        (OTHER_NAMES, directory.join("renamed")),
        ("a tar", write("root.tar", &plain)?),
        ("a tar.gz", write("root.tar.gz", &gzip(&plain))?),
        ("docker save", write("saved.tar", &tar(&saved(low, high))?)?),
        ("an OCI layout", directory.join("layout")),
    ])
}

/// Two layers: the lower one has all files, but wrong content in every other one, which the upper one replaces.
fn layers(files: &Files) -> (Files, Files) {
    let (mut low, mut high) = (files.clone(), Files::new());
    for (name, content) in files.iter().step_by(2) {
        low.insert(name.clone(), b"replaced".to_vec());
        high.insert(name.clone(), content.clone());
    }
    (low, high)
}

fn tar(files: &Files) -> Result<Vec<u8>, String> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, &content[..]).map_err(|error| error.to_string())?;
    }
    archive.into_inner().map_err(|error| error.to_string())
}

/// What `docker save` writes.
fn saved(low: Vec<u8>, high: Vec<u8>) -> Files {
    let manifest = json!([{ "Config": "config.json", "Layers": ["1/layer.tar", "2/layer.tar"] }]);
    [("1/layer.tar", low), ("2/layer.tar", high), ("manifest.json", manifest.to_string().into_bytes())]
        .map(|(name, content)| (name.to_owned(), content))
        .into()
}

/// An image in the OCI layout.
fn layout(low: Vec<u8>, high: Vec<u8>) -> Files {
    let descriptor = |hash: &str| json!({ "digest": format!("sha256:{hash}") });
    let manifest = json!({ "layers": [descriptor("1"), descriptor("2")] });
    [
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string().into_bytes()),
        ("index.json", json!({ "manifests": [descriptor("3")] }).to_string().into_bytes()),
        ("blobs/sha256/3", manifest.to_string().into_bytes()),
        ("blobs/sha256/1", low),
        ("blobs/sha256/2", high),
    ]
    .map(|(name, content)| (name.to_owned(), content))
    .into()
}
