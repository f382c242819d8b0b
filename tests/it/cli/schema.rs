//! `docs/json-schema.md` and the documents say the same, in both directions.

use super::samples::{Sample, sample, samples};
use serde_json::Value;
use std::collections::BTreeMap;

/// The description, as it is committed.
pub const SCHEMA: &str = include_str!("../../../docs/json-schema.md");

/// Types by path, for one command.
type Paths = BTreeMap<String, String>;

/// What the description says of `command`: the frame, and its own section.
fn documented(command: &str) -> Paths {
    let mut paths = section("Every document");
    let own = section(command);
    assert!(!own.is_empty(), "docs/json-schema.md has no section {command}");
    expand(own, "result", &mut paths);
    paths
}

/// Adds the keys of a section, `result` replaced by `under`, and for values that are described elsewhere those keys.
fn expand(section_keys: Paths, under: &str, paths: &mut Paths) {
    for (path, kind) in section_keys {
        let path = path.replacen("result", under, 1);
        match kind.strip_prefix("as ") {
            Some(other) => {
                expand(section(other), &path, paths);
                paths.insert(path, "object".to_owned());
            }
            None => {
                paths.insert(path, kind);
            }
        }
    }
}

fn section(title: &str) -> Paths {
    let heading = format!("## {title}");
    let lines = SCHEMA.lines().skip_while(|line| **line != heading).skip(1);
    lines
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let path = cells.next()?.strip_suffix('`')?;
            Some((path.to_owned(), cells.next()?.to_owned()))
        })
        .collect()
}

/// Everything in which `documents` of one command and its description differ: keys that are not described, values of
/// another type, and, if `all_keys`, described keys that no document has.
pub fn differences(command: &str, documents: &[Value], all_keys: bool) -> Vec<String> {
    let described = documented(command);
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for document in documents {
        visit(document, "", &described, &mut seen, &mut wrong);
    }
    if all_keys {
        let missing = described.keys().filter(|path| !seen.contains_key(*path));
        wrong.extend(missing.map(|path| format!("{command}: no document has {path}")));
    }
    wrong.dedup();
    wrong
}

fn visit(
    value: &Value,
    path: &str,
    described: &Paths,
    seen: &mut BTreeMap<String, ()>,
    wrong: &mut Vec<String>,
) {
    let Value::Object(members) = value else { return };
    for (key, member) in members {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        seen.insert(path.clone(), ());
        match described.get(&path) {
            None => wrong.push(format!("{path} is not described")),
            Some(kind) if !is_a(member, kind) => wrong.push(format!("{path} is {member}, not {kind}")),
            Some(_) => {}
        }
        match member {
            Value::Array(items) => {
                items.iter().for_each(|item| visit(item, &format!("{path}[]"), described, seen, wrong));
            }
            member => visit(member, &path, described, seen, wrong),
        }
    }
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let absent = described.keys().filter(|known| {
        let name = known.strip_prefix(&prefix);
        name.is_some_and(|name| !name.contains('.') && !members.contains_key(name.trim_end_matches("[]")))
    });
    wrong.extend(absent.map(|known| format!("{known} is missing from an object")));
}

fn is_a(value: &Value, kind: &str) -> bool {
    kind.split(" or ").any(|kind| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.as_array().is_some_and(|items| items.iter().all(Value::is_object)),
        "array of strings" => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        "array of integers" => value.as_array().is_some_and(|items| items.iter().all(Value::is_u64)),
        "null" => value.is_null(),
        _ => false,
    })
}

#[test]
fn every_key_is_described_and_every_description_has_a_key() {
    for Sample { section, document, .. } in samples() {
        assert_eq!(document["command"], section.split(' ').next().unwrap_or_default());
        assert_eq!(differences(section, &[document], true), Vec::<String>::new(), "{section}");
    }
}

#[test]
fn differences_are_found() {
    let changed = |change: fn(&mut Value)| {
        let mut document = sample("types").document;
        change(&mut document);
        differences("types", &[document], true)
    };
    assert_eq!(changed(|d| d["result"]["new"] = 1.into()), ["result.new is not described"]);
    assert_eq!(changed(|d| d["core"]["pid"] = 1.5.into()), ["core.pid is 1.5, not integer or null"]);
    assert_eq!(
        changed(|d| {
            d["result"].as_object_mut().expect("an object").remove("sort");
        }),
        ["result.sort is missing from an object", "types: no document has result.sort"]
    );
}
