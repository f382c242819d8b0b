//! Layout tables: the embedded ones are right, wherever something is at hand to compare them with, and every source of
//! layouts leads to the same answers.

use exuvia::cpython::{PyVersion, embedded_tables};
use exuvia::layout::Table;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Directories with a core, each with the table that debug information of its very build made.
fn fixtures() -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(root().join("fixtures/cores")).expect("fixtures/cores").flatten();
    let mut found: Vec<_> = entries
        .map(|entry| (entry.path().join("core.zst"), entry.path().join("layout.txt")))
        .filter(|(core, table)| core.exists() && table.exists())
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Table::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The embedded table of a release and flavour, with what its variant changes.
fn embedded(release: &str, flavour: &str) -> Option<Table> {
    let version = PyVersion::parse(release)?;
    let parse = |text: &str| PyVersion::parse(text).unwrap_or_else(|| panic!("{text} is no release"));
    embedded_tables().find_map(|embedded| {
        let table = embedded.table().expect("an embedded table");
        let of = |key| table.header_value(key).unwrap_or_default().to_owned();
        let number = table
            .variants
            .iter()
            .position(|variant| version.lies_within(parse(&variant.first), parse(&variant.last)))?;
        (of("flavour") == flavour).then(|| table.variant(number))
    })
}

#[test]
fn embedded_tables_say_what_debug_information_said_of_the_committed_cores() {
    let fixtures = fixtures();
    assert!(!fixtures.is_empty(), "fixtures/cores has no cores");
    for (_, path) in fixtures {
        let own = read(&path);
        let release = own.header_value("python").expect("a release");
        let flavour = own.header_value("flavour").unwrap_or("default");
        let Some(embedded) = embedded(release, flavour) else {
            panic!("no embedded table is for {release} {flavour}");
        };
        let mut compared = 0;
        for structure in &own.structs {
            let Some(known) = embedded.structure(&structure.name) else { continue };
            let name = &structure.name;
            if let (Some(own), Some(known)) = (structure.size, known.size) {
                assert_eq!(own, known, "{release}: size of {name}");
            }
            for (place, field) in &structure.fields {
                let Some(known) = known.field(place) else { continue };
                assert_eq!(*field, known, "{release}: {name}.{place}");
                compared += 1;
            }
        }
        assert!(compared > 300, "{}: only {compared} fields are in the embedded table", path.display());
    }
}

fn exuvia(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exuvia"));
    for argument in arguments {
        command.arg(argument);
    }
    command.output().expect("exuvia")
}

/// The answer of a command, without what says where it came from.
fn answer(command: &str, rest: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<serde_json::Value, String> {
    let mut line: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&command, &"--json"];
    line.extend(rest);
    let output = exuvia(&line);
    match output.status.success() {
        true => {
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
            Ok(document.get("result").cloned().expect("a result"))
        }
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn what_a_process_says_of_itself_leads_to_the_same_answers_as_a_table() {
    let mut compared = 0;
    for (core, table) in fixtures() {
        for command in ["types", "threads", "overview"] {
            let with = |source: &str| answer(command, &[&core, &"--layout", &table, &"--layouts", &source]);
            let by_table = with("table").unwrap_or_else(|error| panic!("{}: {error}", core.display()));
            match with("runtime") {
                Ok(by_runtime) => {
                    assert_eq!(by_runtime, by_table, "{command} of {}", core.display());
                    compared += 1;
                }
                Err(message) => {
                    assert!(message.contains("no _Py_DebugOffsets of a known release"), "{message}")
                }
            }
            let without = with("dwarf");
            if let Ok(by_dwarf) = without {
                assert_eq!(by_dwarf, by_table, "{command} of {}", core.display());
            }
        }
    }
    assert!(compared > 0, "no committed core has _Py_DebugOffsets");
}

#[test]
fn embedded_tables_lead_to_the_same_answers_without_any_file() {
    for (core, table) in fixtures() {
        for command in ["types", "threads"] {
            let given = answer(command, &[&core, &"--core-only", &"--layout", &table]);
            let embedded = answer(command, &[&core, &"--core-only", &"--layouts", &"table"]);
            assert_eq!(embedded, given, "{command} of {}", core.display());
            assert!(given.is_ok(), "{given:?}");
        }
    }
}

#[test]
fn tables_are_listed_and_other_files_are_no_interpreters() {
    let output = exuvia(&[&"layouts"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("3.14-free-threaded"), "{text}");
    let output = exuvia(&[&"layouts", &"extract", &root().join("Cargo.toml")]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("Cargo.toml"), "{message}");
}

/// Where `_Py_DebugOffsets` has the size of `PyInterpreterState` (3.13 to 3.15).
const INTERPRETER_SIZE: usize = 48;

#[test]
fn a_build_that_no_layouts_fit_still_tells_its_stacks() {
    let mut compared = 0;
    for (core, table) in fixtures() {
        let file = exuvia::corefile::MappedFile::open(&core).expect("a core");
        let mut bytes = file.bytes().to_vec();
        let cookies: Vec<usize> =
            (0..bytes.len() - 8).step_by(8).filter(|&at| &bytes[at..at + 8] == b"xdebugpy").collect();
        let [cookie] = cookies.as_slice() else { continue };
        bytes[cookie + INTERPRETER_SIZE] ^= 8;
        let directory = tempfile::tempdir().expect("a directory");
        let patched = directory.path().join("core");
        std::fs::write(&patched, bytes).expect("a patched core");

        let output = exuvia(&[&"threads", &"--json", &"--core-only", &patched]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("no embedded layout table"), "{message}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
        let expected = answer("threads", &[&core, &"--layout", &table]).expect("threads");
        let frames = |threads: &serde_json::Value| -> Vec<serde_json::Value> {
            let frames = threads["threads"][0]["frames"].as_array().expect("frames");
            frames
                .iter()
                .map(|frame| serde_json::json!([frame["function"], frame["file"], frame["line"]]))
                .collect()
        };
        let known = frames(&expected);
        assert!(!known.is_empty());
        assert_eq!(frames(&document["result"]), known, "{}", core.display());
        compared += 1;
    }
    assert!(compared > 0, "no committed core has _Py_DebugOffsets");
}

/// Every interpreter with debug information that is found; `EXUVIA_EXPECT` says which must be.
#[test]
fn embedded_tables_say_what_the_interpreters_here_do() {
    let output = Command::new("python3")
        .args([&root().join("fixtures/layouts.py"), Path::new("--check"), Path::new("--exuvia")])
        .arg(env!("CARGO_BIN_EXE_exuvia"))
        .output();
    let Ok(output) = output else {
        assert!(std::env::var_os("EXUVIA_EXPECT").is_none(), "python3 cannot be run");
        return;
    };
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{text}");
}
