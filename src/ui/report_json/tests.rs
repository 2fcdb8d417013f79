//! Reports as JSON, against the schema and against the text.

use serde_json::Value;

use super::super::attributes::Detail;
use super::super::page::escaped;
use super::super::quantity::human_bytes;
use super::super::report_text::report_text;
use super::super::run_json::run_json;
use super::super::sample::{SampleContents, bare, committed, conflicting, endings, view};
use super::super::schema::assert_valid;
use super::*;
use crate::model::run::{Run, RunMode, RunOutcome};

#[test]
fn every_report_is_valid_against_the_schema() {
    let mut reports = endings();
    reports.extend([committed(), conflicting(), bare()]);
    for report in &reports {
        for contents in [None, Some(&SampleContents as &dyn ContentSource)] {
            let line = report_json(report, &view(Detail::Normal), contents).unwrap();
            assert_valid("report.schema.json", &line);
        }
    }
}

#[test]
fn every_end_of_a_run_is_valid_against_the_schema() {
    let outcomes = [
        RunOutcome::NothingPending,
        RunOutcome::Complete,
        RunOutcome::Stopped,
        RunOutcome::RebootNeeded,
        RunOutcome::Rebooting,
        RunOutcome::Interrupted(2),
    ];
    for outcome in outcomes {
        let run = Run {
            mode: RunMode::Preview,
            host: "alpha".parse().unwrap(),
            branch: "generic".parse().unwrap(),
            entries: 1,
            last: Some(bare()),
            pending: 1,
            outcome,
            duration: Duration::from_millis(1),
        };
        assert_valid("report.schema.json", &run_json(&run).unwrap());
    }
}

fn sample() -> Value {
    let line = report_json(&committed(), &view(Detail::Normal), Some(&SampleContents)).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// The bytes behind a string or an object with their digits.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => {
            let digits = other["hex"].as_str().unwrap().as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            digits.chunks_exact(2).map(byte).collect()
        }
    }
}

#[test]
fn paths_are_lossless() {
    let found: Vec<Vec<u8>> = sample()["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| bytes(&change["path"]))
        .collect();
    let wanted: Vec<Vec<u8>> = committed()
        .changes
        .changes()
        .iter()
        .map(|change| [b"/", change.path.as_bytes()].concat())
        .collect();
    assert_eq!(found, wanted);
    assert!(found.contains(&b"/odd\xff".to_vec()));
    assert!(found.contains(&b"/odd\nname".to_vec()));
}

/// Collects every string (and object of bytes) in `value` by the name of its field.
fn strings(value: &Value, name: &str, found: &mut Vec<(String, Vec<u8>)>) {
    match value {
        Value::String(_) => found.push((name.to_owned(), bytes(value))),
        Value::Object(fields) if fields.contains_key("hex") => {
            found.push((name.to_owned(), bytes(value)));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, v)| strings(v, name, found)),
        Value::Array(items) => items.iter().for_each(|item| strings(item, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn text_and_json_show_the_same_facts() {
    let text = report_text(&committed(), &view(Detail::Full), Some(&SampleContents));
    let json = sample();
    let mut found = Vec::new();
    strings(&json, "", &mut found);
    // Names where the text has sentences and signs, and states that are told by their difference.
    let told_otherwise = [
        "kind",
        "in",
        "verdict",
        "fate",
        "answer",
        "change",
        "differs_in",
        "not_shown",
        "reason",
        "remedy",
        "outcome",
        "mode",
        "mtime",
        "flags",
        "unified",
        "value",
        "manager",
        "services",
        "said",
    ];
    for (name, value) in found {
        let is_shown = text.contains(&escaped(&value));
        assert!(
            is_shown || told_otherwise.contains(&name.as_str()),
            "{name} {:?}",
            escaped(&value)
        );
    }
    for change in json["changes"].as_array().unwrap() {
        let path = escaped(&bytes(&change["path"]));
        let line = text
            .lines()
            .find(|line| {
                line.get(2..)
                    .is_some_and(|l| l[1..].trim_start().starts_with(&path))
            })
            .unwrap_or_else(|| panic!("{path}"));
        let is_added = change["change"] == "added" && change["after"]["kind"] != "symlink";
        for name in ["mode", "mtime"] {
            assert!(!is_added || line.contains(change["after"][name].as_str().unwrap()));
        }
        if let (true, Some(size)) = (is_added, change["after"]["size"].as_u64()) {
            assert!(line.contains(&human_bytes(size)));
        }
    }
}

#[test]
fn secrets_and_their_digests_are_left_out() {
    let json = sample();
    let changes = json["changes"].as_array().unwrap();
    let secret = changes.iter().find(|c| c["path"] == "/etc/secret").unwrap();
    assert_eq!(secret["diff"]["not_shown"], "secret");
    assert!(secret["after"].get("sha256").is_none());
    assert!(secret["after"]["xattrs"][0].get("value").is_none());
    let shown = changes.iter().find(|c| c["path"] == "/etc/motd").unwrap();
    assert!(shown["diff"]["unified"].as_str().unwrap().contains("-two"));
}
