//! Layout tables: the embedded ones are right, wherever something is at hand to compare them with, and every source of
//! layouts leads to the same answers.

use exuvia::corefile::NOTE_OWNER;
use exuvia::cpython::{PyVersion, embedded_tables};
use exuvia::layout::Table;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A committed core, and the layouts that debug information of its very build told.
struct Fixture {
    core: PathBuf,
    /// The table, in a directory of its own.
    table: PathBuf,
    _directory: tempfile::TempDir,
}

/// The committed cores. The table of a saved heap is the one that it carries, printed; that of an ordinary core is another's of
/// the same build.
fn fixtures() -> Vec<Fixture> {
    let entries = std::fs::read_dir(root().join("fixtures/cores")).expect("fixtures/cores").flatten();
    let mut cores: Vec<_> = entries.map(|entry| entry.path().join("core.zst")).collect();
    cores.retain(|core| core.exists());
    cores.sort();
    let told = |core: &PathBuf| match is_saved(core) {
        true => core.clone(),
        false => cores
            .iter()
            .find(|other| is_saved(other) && origin(other)["cell"] == origin(core)["cell"])
            .unwrap_or_else(|| panic!("{}: no saved heap is of this build", core.display()))
            .clone(),
    };
    let fixture = |core: &PathBuf| {
        let directory = tempfile::tempdir().expect("a directory");
        let table = directory.path().join("table");
        let output = exuvia(&[&"dev", &"layouts", &told(core), &"-o", &table]);
        assert!(output.status.success(), "{}: {}", core.display(), String::from_utf8_lossy(&output.stderr));
        Fixture { core: core.clone(), table, _directory: directory }
    };
    cores.iter().map(fixture).collect()
}

/// What marks the notes that only saved heaps have: the length of their owner's name and of their content lie before.
fn own_notes(core: &[u8]) -> Vec<usize> {
    let owner = [NOTE_OWNER.as_bytes(), b"\0"].concat();
    let is = |at: &usize| core[*at..].starts_with(&owner) && core[at - 12] == owner.len() as u8;
    (12..core.len() - owner.len()).step_by(4).filter(is).collect()
}

fn is_saved(core: &Path) -> bool {
    let file = exuvia::corefile::MappedFile::open(core).expect("a core");
    !own_notes(file.bytes()).is_empty()
}

/// The core without what was found out when it was saved: what other readers see, and all that a core has that was not saved.
fn untold(core: &Path) -> (tempfile::TempDir, PathBuf) {
    changed(core, |core| forget(core))
}

fn forget(core: &mut [u8]) {
    for at in own_notes(core) {
        core[at] ^= 0x20;
    }
}

fn origin(core: &Path) -> serde_json::Value {
    let path = core.with_file_name("origin.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("origin.json")
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

/// What embedded tables call the build that a committed core is of.
fn flavour(core: &Path) -> &'static str {
    match origin(core)["build"].as_str() {
        Some("") => "default",
        Some("t") => "free-threaded",
        Some("d") => "debug",
        Some("dtr") => "debug trace-refs",
        Some("counts") => "count-allocs",
        other => panic!("{}: build {other:?}", core.display()),
    }
}

/// The processor that embedded tables are made on.
const MACHINE: &str = "x86-64";

#[test]
fn embedded_tables_are_adapted_to_other_processors() {
    let mut compared = 0;
    for Fixture { core, table, .. } in fixtures() {
        if read(&table).header_value("machine") == Some(MACHINE) {
            continue;
        }
        let (_directory, untold) = untold(&core);
        let layouts = |rest: &[&dyn AsRef<std::ffi::OsStr>]| {
            let line: [&dyn AsRef<std::ffi::OsStr>; 3] = [&"--show-layouts", &"--core-only", &untold];
            answer("info", &[&line, rest].concat()).expect("an interpreter")["layouts"].clone()
        };
        let (adapted, own) = (layouts(&[]), layouts(&[&"--layout", &table]));
        let (adapted, own) = (adapted.as_array().expect("a list"), own.as_array().expect("a list"));
        assert_eq!(adapted.len(), own.len(), "{}", core.display());
        // A table that was written before a field was asked for does not have it.
        for (adapted, own) in adapted.iter().zip(own).filter(|(_, own)| !own["origin"].is_null()) {
            assert_eq!(adapted, own, "{}", core.display());
            compared += 1;
        }
    }
    assert!(compared > 100, "no committed core is of another processor");
}

#[test]
fn embedded_tables_say_what_debug_information_said_of_the_committed_cores() {
    let fixtures = fixtures();
    assert!(!fixtures.is_empty(), "fixtures/cores has no cores");
    for Fixture { core, table, .. } in fixtures {
        let own = read(&table);
        if own.header_value("machine") != Some(MACHINE) {
            continue;
        }
        let release = own.header_value("python").expect("a release");
        let flavour = flavour(&core);
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
        assert!(compared > 300, "{}: only {compared} fields are in the embedded table", core.display());
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
    for Fixture { core, table, .. } in fixtures() {
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
    let mut compared = 0;
    for Fixture { core, table, .. } in fixtures() {
        let (_directory, untold) = untold(&core);
        for command in ["types", "threads"] {
            let told = answer(command, &[&core, &"--core-only"]);
            let given = answer(command, &[&untold, &"--core-only", &"--layout", &table]);
            assert!(told.is_ok(), "{told:?}");
            assert_eq!(given, told, "{command} of {} without its notes", core.display());
            // Where a saved heap was told by its files where the interpreter is, it may lack what leads there.
            match answer(command, &[&untold, &"--core-only", &"--layouts", &"table"]) {
                Err(message) if is_saved(&core) => {
                    assert!(message.contains("no CPython was found"), "{message}")
                }
                embedded => {
                    assert_eq!(embedded, told, "{command} of {}", core.display());
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20, "only {compared} answers are from embedded tables alone");
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

/// What `_Py_DebugOffsets` begins with, and where it has its release and the size of `PyInterpreterState` (3.13 to 3.15).
const COOKIE: &[u8] = b"xdebugpy";
const RELEASE: usize = 8;
const INTERPRETER_SIZE: usize = 48;
/// A release that is not known: 3.16.0.
const LATER: u32 = 0x0310_00f0;

/// Where in a core `_Py_DebugOffsets` is; code has the same bytes, with no release behind them.
fn self_description(core: &[u8]) -> Option<usize> {
    let is = |at: &usize| {
        core[*at..].starts_with(COOKIE) && core[at + RELEASE + 3..].starts_with(&[3, 0, 0, 0, 0])
    };
    (0..core.len() - 64).step_by(8).find(is)
}

/// A copy of a core with some bytes changed.
fn changed(core: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let mut bytes = exuvia::corefile::MappedFile::open(core).expect("a core").bytes().to_vec();
    change(&mut bytes);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("core");
    std::fs::write(&path, bytes).expect("a core");
    (directory, path)
}

/// The document of a command that cannot be done, and its message.
fn failed(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> (serde_json::Value, String) {
    let output = exuvia(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), message)
}

/// Function, file and line of each frame, by thread.
fn stacks(threads: &serde_json::Value) -> BTreeMap<u64, Vec<serde_json::Value>> {
    let stack = |thread: &serde_json::Value| {
        let frames = thread["frames"].as_array().expect("frames").iter();
        let frames = frames.map(|frame| serde_json::json!([frame["function"], frame["file"], frame["line"]]));
        (thread["native_id"].as_u64().expect("a thread"), frames.collect())
    };
    threads["threads"].as_array().expect("threads").iter().map(stack).collect()
}

#[test]
fn a_build_that_no_layouts_fit_still_tells_its_stacks() {
    let mut compared = 0;
    for Fixture { core, table, .. } in fixtures() {
        let file = exuvia::corefile::MappedFile::open(&core).expect("a core");
        let Some(at) = self_description(file.bytes()) else { continue };
        let expected = stacks(&answer("threads", &[&core]).expect("threads"));
        assert!(!expected.is_empty());

        let resize = |bytes: &mut Vec<u8>| {
            forget(bytes);
            bytes[at + INTERPRETER_SIZE] ^= 8;
        };
        let (_directory, resized) = changed(&core, resize);
        let (document, message) = failed(&[&"threads", &"--json", &"--core-only", &resized]);
        assert!(message.contains("no embedded layout table"), "{message}");
        assert_eq!(document["result"]["in_order_of"], serde_json::Value::Null);
        assert_eq!(stacks(&document["result"]), expected, "{}", core.display());

        let later = |bytes: &mut Vec<u8>| {
            forget(bytes);
            bytes[at + RELEASE..][..4].copy_from_slice(&LATER.to_le_bytes());
        };
        let (_directory, unknown) = changed(&core, later);
        let (document, message) = failed(&[&"threads", &"--json", &"--core-only", &unknown]);
        assert!(message.contains("CPython 3.16.0 is not supported"), "{message}");
        let minor = document["result"]["in_order_of"].as_str().expect("a release");
        assert!(
            read(&table).header_value("python").is_some_and(|python| python.starts_with(minor)),
            "{minor}"
        );
        assert_eq!(stacks(&document["result"]), expected, "{}", core.display());
        let (document, _) = failed(&[&"info", &"--json", &"--core-only", &unknown]);
        let outline = &document["result"]["python_outline"];
        assert_eq!(document["result"]["python"], serde_json::Value::Null);
        assert_eq!(
            [&outline["version"], &outline["threads"]],
            [&serde_json::json!("3.16.0"), &expected.len().into()]
        );
        let (_, message) = failed(&[&"types", &"--core-only", &unknown]);
        assert!(message.contains("`exuvia threads` tells its stacks"), "{message}");
        compared += 1;
    }
    assert!(compared > 3, "{compared} committed cores have _Py_DebugOffsets");
}

#[test]
fn a_release_that_is_not_known_is_not_taken_for_another_with_its_layouts() {
    let mut compared = 0;
    for Fixture { core, table, .. } in fixtures() {
        let release = read(&table).header_value("python").and_then(PyVersion::parse).expect("a release");
        let (_directory, later) = changed(&core, |bytes| {
            for word in bytes.as_chunks_mut::<4>().0 {
                if *word == release.0.to_le_bytes() {
                    *word = LATER.to_le_bytes();
                }
            }
        });
        for command in ["info", "types"] {
            let (document, message) =
                failed(&[&command, &"--json", &"--core-only", &later, &"--layout", &table]);
            assert!(message.contains("CPython 3.16.0 is not supported"), "{message}");
            if command == "info" {
                assert!(document["result"]["python_problem"].is_string());
                assert!(document["result"]["threads"].as_u64() > Some(0));
            }
        }
        compared += 1;
    }
    assert!(compared > 0, "fixtures/cores has no cores");
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
