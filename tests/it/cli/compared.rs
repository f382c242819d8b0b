//! `diff` and `trend` on the committed cores: of one program on several releases, of one core and itself, of two programs.

use super::{exuvia, schema, stderr};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn core(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/cores").join(name).join("core.zst")
}

fn document(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Value {
    let mut line = arguments.to_vec();
    line.push(&"--json");
    let output = exuvia(&line);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let command = document["command"].as_str().expect("a command").to_owned();
    assert_eq!(schema::differences(&command, std::slice::from_ref(&document), false), Vec::<String>::new());
    document["result"].clone()
}

/// Type -> objects and bytes, as `types` counts them.
fn counted(core: &Path) -> std::collections::BTreeMap<String, (u64, u64)> {
    let mut counted = std::collections::BTreeMap::new();
    for row in document(&[&"types", &core, &"--limit", &"100000"])["rows"].as_array().expect("rows") {
        let number = |key: &str| row[key].as_u64().expect("a number");
        let entry = counted.entry(row["name"].as_str().expect("a name").to_owned()).or_insert((0, 0));
        *entry = (entry.0 + number("objects"), entry.1 + number("bytes"));
    }
    counted
}

#[test]
fn one_program_on_two_releases_is_compared_by_type_and_path() {
    let (old, new) = (core("3.11.7-garbage"), core("3.13.0-garbage"));
    let result = document(&[&"diff", &old, &new, &"--limit", &"100000"]);
    assert_eq!(result["matched_by"], "type_and_path");
    assert!(result["matched"].is_null());
    let (before, after) = (counted(&old), counted(&new));
    let rows = result["types"].as_array().expect("rows");
    assert!(rows.len() > 100);
    for row in rows {
        let name = row["type_name"].as_str().expect("a name");
        let number = |key: &str| row[key].as_u64().expect("a number");
        let of = |counted: &std::collections::BTreeMap<_, _>| counted.get(name).copied().unwrap_or((0, 0));
        assert_eq!((number("objects_before"), number("bytes_before")), of(&before), "{name}");
        assert_eq!((number("objects_after"), number("bytes_after")), of(&after), "{name}");
    }
    let changed = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    assert_eq!(rows.len(), changed.collect::<std::collections::BTreeSet<_>>().len());
    let growth: i64 = rows.iter().map(|row| row["growth_bytes"].as_i64().expect("a number")).sum();
    assert_eq!(result["growth_bytes"], growth);
}

#[test]
fn a_core_does_not_differ_from_itself() {
    let core = core("3.12.1-bare");
    let result = document(&[&"diff", &core, &core]);
    assert_eq!(result["matched_by"], "address");
    for key in ["types_total", "holders_total", "suspects_total", "growth_bytes", "growth_objects"] {
        assert_eq!(result[key], 0, "{key}");
    }
    assert_eq!(result["matched"]["new_objects"], 0);
}

#[test]
fn a_saved_heap_does_not_differ_from_its_core_redacted_or_not() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let whole = core("3.13.0-bare");
    for (name, redaction) in [("saved", None), ("redacted", Some("--redact"))] {
        let saved = folder.path().join(name);
        let mut line: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"save", &whole, &"-o", &saved, &"--level", &"1"];
        line.extend(redaction.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
        let output = exuvia(&line);
        assert!(output.status.success(), "{}", stderr(&output));
        let result = document(&[&"diff", &whole, &saved]);
        assert_eq!(result["matched_by"], "address", "{name}");
        for key in ["types_total", "growth_bytes", "growth_objects"] {
            assert_eq!(result[key], 0, "{name}: {key}");
        }
        assert_eq!(result["before"]["written"], result["after"]["written"], "{name}");
    }
}

#[test]
fn what_grew_in_every_step_grew_in_every_step() {
    let cores = ["3.8.18-bare", "3.10.13-bare", "3.12.1-bare"].map(core);
    let result = document(&[&"trend", &cores[0], &cores[1], &cores[2], &"--limit", &"100000"]);
    let counted = cores.each_ref().map(|core| counted(core));
    let rows = result["types"].as_array().expect("rows");
    let bytes = |name: &String| counted.each_ref().map(|core| core.get(name).map_or(0, |row| row.1));
    let mut expected: Vec<&String> = counted[2]
        .keys()
        .filter(|name| {
            let [first, second, third] = bytes(name);
            first < second && second < third
        })
        .collect();
    expected.sort();
    let mut found: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(!found.is_empty());
}

#[test]
fn two_programs_are_refused_in_one_line() {
    let (one, two) = (core("3.12.1-service"), core("3.12.1-bare"));
    for command in ["diff", "trend"] {
        let refused = exuvia(&[&command, &one, &two]);
        let said = stderr(&refused);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(
            said.contains("service.py") && said.contains("bare.py") && said.contains("--force"),
            "{said}"
        );
        let piped = exuvia(&[&command, &one, &"-"]);
        assert_eq!(piped.status.code(), Some(2));
        assert!(stderr(&piped).contains("write the one from the pipe to a file"), "{}", stderr(&piped));
    }
    let alone = exuvia(&[&"trend", &one]);
    assert_eq!(alone.status.code(), Some(2), "{}", stderr(&alone));
}
