//! The file system of the process in a directory, an archive or an image; files found by build-id where paths lie.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::{BuildId, CoreError, Inputs, ModuleStatus, SearchOptions};
use super::{BASE, Loaded, Scene};
use crate::testkit::compressors::{Compressor, FORMATS, gzip, zstd_streamed};
use crate::testkit::core_builder::{CoreBuilder, READ, WRITE};

const ID: [u8; 20] = [0xab; 20];
const OTHER: [u8; 20] = [0xcd; 20];

/// An archive to be.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: tar::EntryType, name: &str, link: &str, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        match link {
            "" => self.0.append_data(&mut header, name, content).unwrap(),
            link => self.0.append_link(&mut header, name, link).unwrap(),
        }
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Tar {
        self.entry(tar::EntryType::Regular, name, "", content)
    }

    fn directory(self, name: &str) -> Tar {
        self.entry(tar::EntryType::Directory, name, "", b"")
    }

    fn link(self, name: &str, target: &str) -> Tar {
        self.entry(tar::EntryType::Symlink, name, target, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Tar {
        self.entry(tar::EntryType::Link, name, target, b"")
    }

    fn build(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn library(id: &[u8]) -> Loaded {
    Loaded::new(Path::new("/usr/lib/app/libx.so"), id)
}

fn with_sysroot(path: &Path) -> SearchOptions {
    SearchOptions { sysroot: Some(path.to_owned()), ..SearchOptions::default() }
}

/// The file that the module of [`library`] is matched with under a sysroot.
fn matched(scene: &Scene, sysroot: &Path) -> Option<PathBuf> {
    let inputs = scene.open_with(&library(&ID).kernel_core().build(), &with_sysroot(sysroot));
    match &inputs.modules()[0].status {
        ModuleStatus::Matched { path } => {
            assert_eq!(inputs.space().read_u8(BASE + 0x1000), Ok(0xc0), "the code comes from the file");
            assert_eq!(inputs.modules()[0].elf_bytes(), Some(&library(&ID).file[..]));
            Some(path.clone())
        }
        _ => None,
    }
}

/// That file in an archive, by its path there.
fn matched_in(archive: Vec<u8>) -> Option<String> {
    let scene = Scene::new();
    let path = scene.write("root.tar", &archive);
    let found = matched(&scene, &path)?;
    Some(found.to_str().unwrap().strip_prefix(&format!("{}:", path.display())).unwrap().to_owned())
}

fn refused(path: &Path) -> String {
    let scene = Scene::new();
    let core = scene.write("core", &library(&ID).kernel_core().build());
    let error = Inputs::open(&core, &with_sysroot(path)).unwrap_err();
    assert!(matches!(error, CoreError::Sysroot { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && !text.contains('\n'), "{text}");
    text
}

#[test]
fn a_tar_serves_like_the_directory_it_was_made_of() {
    let file = library(&ID).file;
    let archive = Tar::new().directory("usr/").file("./usr/lib/app/libx.so", &file).build();
    for Compressor { name, compress } in FORMATS {
        assert_eq!(matched_in(compress(&archive)).as_deref(), Some("/usr/lib/app/libx.so"), "{name}");
    }
    assert_eq!(matched_in(archive).as_deref(), Some("/usr/lib/app/libx.so"));
    let scene = Scene::new();
    let path = scene.write("root/usr/lib/app/libx.so", &file);
    assert_eq!(matched(&scene, &scene.path("root")), Some(path));
}

#[test]
fn links_in_an_archive_are_followed_within_it() {
    let file = library(&ID).file;
    let cases = [
        Tar::new().link("usr/lib", "/opt/lib").file("opt/lib/app/libx.so", &file),
        Tar::new().link("usr/lib", "../opt/./lib").file("opt/lib/app/libx.so", &file),
        Tar::new().link("usr/lib", "../../../../opt/lib").file("opt/lib/app/libx.so", &file),
        Tar::new().link("usr/lib/app/libx.so", "libx.so.1").file("usr/lib/app/libx.so.1", &file),
        Tar::new().file("store/x", &file).hard_link("usr/lib/app/libx.so", "./store/x"),
        // An archive that puts a file behind a link of its own.
        Tar::new().link("usr/lib", "../opt").file("usr/lib/app/libx.so", &file),
    ];
    let found: Vec<_> = cases.into_iter().map(|case| matched_in(case.build())).collect();
    let at = |path: &str| Some(path.to_owned());
    let (opt, lib) = (at("/opt/lib/app/libx.so"), at("/usr/lib/app/libx.so"));
    assert_eq!(
        found,
        [opt.clone(), opt.clone(), opt, at("/usr/lib/app/libx.so.1"), lib, at("/opt/app/libx.so")]
    );
    let round =
        Tar::new().link("usr", "/usr").link("a", "b").link("b", "a").hard_link("c", "a").file("z", b"");
    assert_eq!(matched_in(round.build()), None);
}

#[test]
fn names_of_any_length_are_read() {
    let file = library(&ID).file;
    for length in [90, 120, 200, 1000] {
        let directory = ["d"; 3].map(|part| part.repeat(length / 4)).join("/");
        let target = format!("{directory}/libx.so");
        let archive =
            Tar::new().link("usr/lib/app/libx.so", &format!("/{target}")).file(&target, &file).build();
        assert_eq!(matched_in(archive), Some(format!("/{target}")), "{length}");
    }
    // As POSIX has it: a prefix in the header, and records before it.
    let mut header = tar::Header::new_ustar();
    header.set_path(format!("usr/lib/app/{}/{}", "p".repeat(90), "n".repeat(90))).unwrap();
    header.set_size(file.len() as u64);
    header.set_cksum();
    let mut prefixed =
        Tar::new().link("usr/lib/app/libx.so", &format!("{}/{}", "p".repeat(90), "n".repeat(90)));
    prefixed.0.append(&header, &file[..]).unwrap();
    assert!(matched_in(prefixed.build()).is_some());
    let mut records = Tar::new();
    records.0.append_pax_extensions([("path", &b"usr/lib/app/libx.so"[..]), ("mtime", b"1.5")]).unwrap();
    assert_eq!(matched_in(records.file("short", &file).build()).as_deref(), Some("/usr/lib/app/libx.so"));
}

/// Layers of an image: the lowest has the wrong file, and what the upper ones remove and add counts.
fn layers() -> [Vec<u8>; 3] {
    let (file, wrong) = (library(&ID).file, library(&OTHER).file);
    [
        Tar::new()
            .file("usr/lib/app/libx.so", &wrong)
            .file("gone/libx.so", &file)
            .file("old/libx.so", &file)
            .build(),
        Tar::new().file("usr/lib/.wh.app", b"").file("gone/.wh..wh..opq", b"").file(".wh.old", b"").build(),
        Tar::new().file("opt/libx.so", &file).link("usr/lib/app", "/opt").build(),
    ]
}

/// The files of an image as `docker save` names them.
fn docker_save(architecture: &str) -> Vec<(String, Vec<u8>)> {
    let [low, middle, high] = layers();
    let config = json!({ "architecture": architecture, "os": "linux" });
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": ["app:latest"],
        "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"],
    }]);
    vec![
        ("a/layer.tar".to_owned(), low),
        ("b/layer.tar".to_owned(), gzip(&middle)),
        ("c/layer.tar".to_owned(), high),
        ("config.json".to_owned(), config.to_string().into_bytes()),
        ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
    ]
}

/// The files of an OCI image layout with an index in its index.
fn oci_layout(architectures: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec())];
    let mut add = |hash: &str, content: Vec<u8>| {
        files.push((format!("blobs/sha256/{hash}"), content));
        json!({ "digest": format!("sha256:{hash}"), "size": 1 })
    };
    let [low, middle, high] = layers();
    let right = [add("a1", gzip(&low)), add("a2", zstd_streamed(&middle)), add("a3", high)];
    let wrong = [add("b1", gzip(&Tar::new().file("usr/lib/app/libx.so", &library(&OTHER).file).build()))];
    let mut manifests = vec![];
    for (number, architecture) in architectures.iter().enumerate() {
        let layers = if *architecture == "amd64" { json!(right) } else { json!(wrong) };
        let config =
            add(&format!("c{number}"), json!({ "architecture": architecture }).to_string().into_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let mut descriptor = add(&format!("d{number}"), manifest.to_string().into_bytes());
        if architectures.len() > 1 {
            descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
        }
        manifests.push(descriptor);
    }
    let inner = add("e", json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes());
    files.push(("index.json".to_owned(), json!({ "manifests": [inner] }).to_string().into_bytes()));
    files
}

fn as_tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, content)).build()
}

#[test]
fn saved_images_are_read_layer_by_layer() {
    let right = Some("/opt/libx.so".to_owned());
    assert_eq!(matched_in(as_tar(&docker_save("amd64"))), right);
    assert_eq!(matched_in(gzip(&as_tar(&docker_save("amd64")))), right);
    assert_eq!(matched_in(as_tar(&oci_layout(&["arm64", "unknown", "amd64"]))), right);
    assert_eq!(matched_in(as_tar(&oci_layout(&["amd64"]))), right);
    for files in [docker_save("amd64"), oci_layout(&["arm64", "amd64"])] {
        let scene = Scene::new();
        files.iter().for_each(|(name, content)| drop(scene.write(&format!("image/{name}"), content)));
        let found = matched(&scene, &scene.path("image")).unwrap();
        assert_eq!(found, PathBuf::from(format!("{}:/opt/libx.so", scene.path("image").display())));
    }
}

#[test]
fn what_an_upper_layer_removes_is_gone() {
    let scene = Scene::new();
    let mut files = docker_save("amd64");
    // Without the layer that brings the right file: the removed ones must not be found by their build-id either.
    files[2].1 = Tar::new().file("else", b"").build();
    let path = scene.write("image.tar", &as_tar(&files));
    assert_eq!(matched(&scene, &path), None);
    files[1].1 = Tar::new().file("else", b"").build();
    let path = scene.write("image.tar", &as_tar(&files));
    assert!(matched(&scene, &path).is_some(), "with nothing removed, there is one");
}

#[test]
fn what_is_no_file_system_is_refused_in_a_line() {
    let scene = Scene::new();
    let write = |name: &str, content: &[u8]| scene.write(name, content);
    assert!(refused(&write("text", b"no archive")).contains("it is no tar archive"));
    assert!(refused(&write("empty", b"")).contains("it is no tar archive"));
    assert!(refused(&write("text.gz", &gzip(b"no archive"))).contains("it is no tar archive"));
    assert!(refused(&write("zeros", &[0; 1024])).contains("it is no tar archive"));
    assert!(refused(&write("hollow", &Tar::new().directory("usr").build())).contains("it holds no files"));
    let arm = refused(&write("arm", &as_tar(&docker_save("arm64"))));
    assert!(arm.contains("no image for the core's machine, only for arm64"), "{arm}");
    let arm = refused(&write("arm", &as_tar(&oci_layout(&["arm64"]))));
    assert!(arm.contains("no image for the core's machine, only for arm64"), "{arm}");
    let mut missing = docker_save("amd64");
    missing.remove(1);
    assert!(refused(&write("missing", &as_tar(&missing))).contains("its layer b/layer.tar is missing"));
    let mut wrong = docker_save("amd64");
    wrong[1].1 = b"no archive".to_vec();
    assert!(refused(&write("wrong", &as_tar(&wrong))).contains("is no tar archive"));
    let mut none = oci_layout(&["amd64"]);
    none.last_mut().unwrap().1 = br#"{"manifests": []}"#.to_vec();
    assert!(refused(&write("none", &as_tar(&none))).contains("it has no image"));
    none.last_mut().unwrap().1 = br#"{"manifests": [{"digest": "sha256:../../etc"}]}"#.to_vec();
    assert!(refused(&write("none", &as_tar(&none))).contains("a digest in its index is none"));
    // An index that names itself, once and so often that following all would take for ever.
    for (times, reason) in [(1, "nested too deeply"), (1000, "too many manifests")] {
        let own = json!({ "manifests": vec![json!({ "digest": "sha256:e" }); times] }).to_string();
        let mut nested = oci_layout(&["amd64"]);
        let index = nested.iter_mut().find(|(name, _)| name.ends_with("/e")).unwrap();
        index.1 = own.into_bytes();
        assert!(refused(&write("nested", &as_tar(&nested))).contains(reason));
    }
}

#[test]
fn where_the_path_lies_the_build_id_tells() {
    let (file, wrong) = (library(&ID).file, library(&OTHER).file);
    let with = |files: &[(&str, &[u8])]| {
        let scene = Scene::new();
        files.iter().for_each(|(name, content)| drop(scene.write(&format!("root/{name}"), content)));
        let found = matched(&scene, &scene.path("root"));
        let found = found.map(|path| path.strip_prefix(scene.path("root")).unwrap().display().to_string());
        let tar = files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, content));
        assert_eq!(matched_in(tar.build()), found.as_ref().map(|found| format!("/{found}")));
        found
    };
    let noise: (&str, &[u8]) = ("usr/bin/text", b"#!/bin/sh");
    assert_eq!(with(&[noise, ("opt/else/libx.so", &file)]).as_deref(), Some("opt/else/libx.so"));
    assert_eq!(
        with(&[noise, ("usr/lib/app/libx.so", &wrong), ("renamed", &file)]).as_deref(),
        Some("renamed")
    );
    assert_eq!(
        with(&[("a", &file), ("z/libx.so", &file)]).as_deref(),
        Some("z/libx.so"),
        "the same name first"
    );
    assert_eq!(with(&[noise, ("usr/lib/app/libx.so", &wrong)]), None);
}

#[test]
fn without_a_build_id_nothing_is_looked_for_elsewhere() {
    let scene = Scene::new();
    let path = scene.write("root.tar", &Tar::new().file("else/libx.so", &library(&[]).file).build());
    let inputs = scene.open_with(&library(&[]).kernel_core().build(), &with_sysroot(&path));
    assert!(matches!(inputs.modules()[0].status, ModuleStatus::Missing { .. }));
}

#[test]
fn debug_files_of_an_archive_are_found_through_its_links() {
    let scene = Scene::new();
    let file = library(&ID).file;
    let entry = format!("usr/lib/debug/.build-id/ab/{}.debug", "ab".repeat(19));
    let archive = Tar::new()
        .file("usr/lib/app/libx.so", &file)
        .file("usr/lib/debug/real", &file)
        .link(&entry, "/usr/lib/debug/real")
        .build();
    let path = scene.write("root.tar", &archive);
    let inputs = scene.open_with(&library(&ID).kernel_core().build(), &with_sysroot(&path));
    let debug = inputs.modules()[0].debug_file().unwrap();
    assert_eq!(debug.path(), PathBuf::from(format!("{}:/{entry}", path.display())));
    assert_eq!(debug.bytes(), file);
    assert_eq!(inputs.modules()[0].build_id, BuildId::new(&ID));
}

#[test]
fn links_of_a_directory_do_not_lead_out_of_it() {
    let scene = Scene::new();
    let outside = scene.write("outside/real", &library(&ID).file);
    scene.write("root/usr/lib/app/libx.so", &library(&ID).file);
    scene.write("root/debug/real", b"");
    let entry = scene.path(&format!("root/usr/lib/debug/.build-id/ab/{}.debug", "ab".repeat(19)));
    std::fs::create_dir_all(entry.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&outside, &entry).unwrap();
    let core = library(&ID).kernel_core().build();
    let debug = |scene: &Scene| {
        let inputs = scene.open_with(&core, &with_sysroot(&scene.path("root")));
        inputs.modules()[0].debug_file().is_some()
    };
    assert!(!debug(&scene), "an absolute link is one of the sysroot");
    scene.write(&format!("root{}", outside.display()), &library(&ID).file);
    assert!(debug(&scene));
}

#[test]
fn damaged_archives_end_in_an_answer_or_an_error() {
    let core = CoreBuilder::new()
        .segment(0x1000, READ | WRITE, &[1])
        .file(0x1000, 0x2000, 0, "/usr/lib/app/libx.so")
        .build();
    let scene = Scene::new();
    let core = scene.write("core", &core);
    let small = Tar::new()
        .file("a/b", b"content")
        .link("usr", &"x/".repeat(200))
        .hard_link("h", "a/b")
        .file(&"n".repeat(300), b"")
        .build();
    let open = |bytes: &[u8]| {
        let path = scene.write("root.tar", bytes);
        let result = Inputs::open(&core, &with_sysroot(&path));
        assert!(result.is_ok() || matches!(result, Err(CoreError::Sysroot { .. })));
    };
    for cut in (0..small.len()).step_by(97) {
        open(&small[..cut]);
    }
    for at in (0..small.len()).step_by(13) {
        let mut damaged = small.clone();
        damaged[at] ^= 0xff;
        // A header whose sum is right again is read.
        let block = at / 512 * 512;
        let header: &mut [u8; 512] = (&mut damaged[block..][..512]).try_into().unwrap();
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        open(&damaged);
    }
}
