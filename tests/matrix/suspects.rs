//! What `suspects` finds: every leak that `fixtures/programs/leaks.py` plants, by its path, in order of bytes, with what to do
//! about it, and nothing else; nothing in an interpreter that rests.

use crate::cells::Origin;
use crate::oracle::Oracle;
use crate::program::{command, document, output};
use crate::saved::files_of;
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;

/// What is a suspect of a program that does not leak, and rightly so: it holds on purpose what its purpose is to hold.
const KEPT_ON_PURPOSE: [(&str, &str); 1] = [("stdlib", "__main__.KEEP")];
/// What a leak holds besides its payload, at most: a quarter of it.
const OVERHEAD: u64 = 4;

/// A leak, as the program says that it has planted it, largest first.
#[derive(Debug, Deserialize)]
struct Planted {
    path: String,
    kind: String,
    /// Part of the remedy.
    remedy: String,
    /// Bytes.
    payload: u64,
    /// Of the object at that path; of `None` where there is none.
    id: u64,
}

/// The proof for one core, if its scenario is one that says what there is to find.
pub fn prove(core: &Path, oracle: &Oracle, origin: &Origin) -> Result<(), String> {
    let files = files_of(origin);
    let found = document(&["suspects", "--limit", "1000"], core, &files)?;
    match origin.scenario.as_str() {
        "leaks" => {
            let planted: Vec<Planted> = oracle.note("planted");
            leaks(&planted, &found)?;
            conditions(&planted, core, &files)
        }
        "service" => service(oracle, &found),
        scenario => nothing_else(scenario, &found),
    }
}

/// Whether there is a proof for a scenario.
pub fn is_proved(scenario: &str) -> bool {
    matches!(scenario, "leaks" | "service" | "bare" | "stdlib")
}

fn rows(found: &Value) -> Vec<&Value> {
    found["result"]["suspects"].as_array().into_iter().flatten().collect()
}

fn address(row: &Value) -> Option<u64> {
    u64::from_str_radix(row["address"].as_str()?.strip_prefix("0x")?, 16).ok()
}

/// All of them, none but them, in order.
fn leaks(planted: &[Planted], found: &Value) -> Result<(), String> {
    let rows = rows(found);
    let paths: Vec<&str> = rows.iter().filter_map(|row| row["path"].as_str()).collect();
    let expected: Vec<&str> = planted.iter().map(|leak| leak.path.as_str()).collect();
    if paths != expected {
        return Err(format!("suspects are {paths:?}, planted were {expected:?}"));
    }
    for (leak, row) in planted.iter().zip(rows) {
        let says = |part: bool, what: &str| match part {
            true => Ok(()),
            false => Err(format!("{}: {what} is not as planted: {leak:?}, found {row}", leak.path)),
        };
        says(row["kind"] == leak.kind.as_str(), "the kind")?;
        says(row["remedy"].as_str().is_some_and(|remedy| remedy.contains(&leak.remedy)), "the remedy")?;
        says(row["address"].is_null() || address(row) == Some(leak.id), "the object")?;
        // What a word refers to that is left over on an evaluation stack is its alone all the same.
        for size in ["kept_bytes", "retained_bytes"] {
            let bytes = row[size].as_u64().unwrap_or(0);
            says((leak.payload..leak.payload + leak.payload / OVERHEAD).contains(&bytes), size)?;
        }
    }
    Ok(())
}

/// The exit status follows the conditions.
fn conditions(planted: &[Planted], core: &Path, files: &[OsString]) -> Result<(), String> {
    let largest = planted.first().ok_or("nothing was planted")?;
    let nodes = planted.iter().find(|leak| leak.kind == "garbage").ok_or("no garbage was planted")?;
    let holding = [
        format!("retained>={}", largest.payload),
        format!("retained({})>={}", largest.path, largest.payload),
        format!("suspects>={}", planted.len()),
        format!("garbage>={}", nodes.payload),
        "share>10%".to_owned(),
        "heap>10MB".to_owned(),
        "objects(app.leaks.Node)>=140".to_owned(),
        "bytes(bytes)>10MiB".to_owned(),
    ];
    let others = [
        format!("retained>{}", largest.payload * 2),
        format!("suspects>{}", planted.len()),
        "garbage>1TB".to_owned(),
        "share>90%".to_owned(),
        "objects(app.leaks.Node)>140".to_owned(),
    ];
    let asked = |conditions: &[String]| {
        let mut question = vec!["suspects", "--json"];
        question.extend(conditions.iter().flat_map(|condition| ["--fail-if", condition]));
        let output = output(&mut command(&question, core, files))?;
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let rows = found["result"]["conditions"].as_array().cloned().unwrap_or_default();
        let holds: Vec<bool> = rows.into_iter().map(|row| row["holds"] == true).collect();
        Ok::<_, String>((output.status.code(), holds))
    };
    let all: Vec<String> = holding.iter().chain(&others).cloned().collect();
    let expected: Vec<bool> = holding.iter().map(|_| true).chain(others.iter().map(|_| false)).collect();
    match (asked(&all)?, asked(&others)?) {
        ((Some(1), found), (Some(0), _)) if found == expected => Ok(()),
        (all_of_them, others_alone) => Err(format!(
            "{all:?}: exit status and what holds are {all_of_them:?}; of the last {} {others_alone:?}",
            others.len()
        )),
    }
}

/// The leaks that the service has always had are found, by their path.
fn service(oracle: &Oracle, found: &Value) -> Result<(), String> {
    let leaks: std::collections::BTreeMap<String, u64> = oracle.note("leaks");
    for (path, entries) in leaks {
        let row = rows(found).into_iter().find(|row| row["path"] == path.as_str());
        let row = row.ok_or_else(|| format!("{path} is no suspect"))?;
        // Of the exceptions, the frames are counted.
        if row["kind"] != "exceptions" && row["count"].as_u64() != Some(entries) {
            return Err(format!("{path} has {entries} entries, found {row}"));
        }
    }
    Ok(())
}

fn nothing_else(scenario: &str, found: &Value) -> Result<(), String> {
    // Cycles that wait for the collector are there, and rightly told; and what the oracle holds is the oracle's.
    let is_waiting = |row: &Value| scenario == "stdlib" && row["kind"] == "garbage";
    let is_oracles = |row: &Value| row["path"].as_str().is_some_and(|path| path.starts_with("oracle."));
    let is_meant = |row: &&Value| {
        is_waiting(row)
            || is_oracles(row)
            || KEPT_ON_PURPOSE.iter().any(|&(program, path)| program == scenario && row["path"] == path)
    };
    match rows(found).into_iter().find(|row| !is_meant(row)) {
        None => Ok(()),
        Some(row) => Err(format!("this program does not leak, yet {row}")),
    }
}
