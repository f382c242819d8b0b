//! The files of this repository, as far as somebody wrote them.

use super::Source;
use clap::CommandFactory;
use exuvia::cli::args::Arguments;
use std::path::{Path, PathBuf};

/// Where files that people write are, besides those at the top.
const FOLDERS: [&str; 7] = ["src", "tests", "benches", "examples", "docs", "fixtures", ".ci"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Content of a file.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether there is a file or folder of that name.
pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// All Rust files.
pub fn rust_sources() -> Vec<Source> {
    let mut found: Vec<Source> = text_files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| Source::new(&path, &text))
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    found
}

/// All files that are text, with their paths from the root.
pub fn text_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root of the repository") {
        let path = entry.expect("an entry of the root").path();
        if path.is_file()
            && path.extension().is_some_and(|extension| extension == "md" || extension == "toml")
        {
            files.push(path);
        }
    }
    for folder in FOLDERS {
        walk(&root().join(folder), &mut files);
    }
    let text = |path: PathBuf| {
        let name = path.strip_prefix(root()).ok()?.to_str()?.to_owned();
        Some((name, std::fs::read_to_string(&path).ok()?))
    };
    files.into_iter().filter_map(text).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            files.push(path);
        } else if path.file_name().is_none_or(|name| name != "__pycache__") {
            walk(&path, files);
        }
    }
}

/// The program's commands as one types them (`types`, `dev dump`), in alphabetical order.
pub fn commands() -> Vec<String> {
    let mut names = Vec::new();
    for command in Arguments::command().get_subcommands() {
        let inner =
            command.get_subcommands().map(|leaf| format!("{} {}", command.get_name(), leaf.get_name()));
        match command.has_subcommands() {
            true => names.extend(inner),
            false => names.push(command.get_name().to_owned()),
        }
    }
    names.sort();
    names
}
