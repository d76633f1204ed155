//! Follows real records.

#[allow(dead_code)] // each test program uses some of it
mod common;

use common::{TRANSPORTS, lab, no_bpftrace, said, skip, stderr};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn journeys(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("journeys.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The names of a journey's steps, in the order of their times.
fn steps(journey: &Value) -> Vec<&str> {
    let steps = journey["steps"].as_array().unwrap();
    let times: Vec<u64> = steps.iter().map(|step| step[1].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{journey}");
    steps.iter().map(|step| step[0].as_str().unwrap()).collect()
}

#[test]
fn a_record_is_followed_over_every_transport() {
    if let Some(reason) = no_bpftrace() {
        return skip(reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for transport in TRANSPORTS {
        let before = if out.exists() {
            journeys(&out).len()
        } else {
            0
        };
        let words = [
            "follow",
            transport,
            "--repeat",
            "5",
            "--out",
            out.to_str().unwrap(),
        ];
        let text = said(&lab(&words, |_| {}));
        let all = journeys(&out);
        let new = &all[before..];
        assert!((1..=5).contains(&new.len()), "{text}");
        let checked = format!("between the traced calls in {} of 5.", new.len());
        assert!(text.contains(&checked), "{text}");
        for (number, journey) in new.iter().enumerate() {
            assert_eq!(journey["transport"], transport);
            assert_eq!(journey["number"], number);
            let steps = steps(journey);
            assert_eq!(steps[..3], ["due", "stamped", "send_entered"], "{journey}");
            let end = ["read_entered", "read_returned", "write_entered", "written"];
            let daemon: Vec<&str> = steps
                .into_iter()
                .filter(|step| end.contains(step))
                .collect();
            assert_eq!(daemon, end, "{journey}");
        }
        for step in [
            "due",
            "send call entered",
            "read returned",
            "write returned",
        ] {
            assert!(text.contains(step), "no {step}: {text}");
        }
    }
    assert!(out.join("environment.json").exists());
}

#[test]
fn one_record_says_on_which_processors_it_was() {
    if let Some(reason) = no_bpftrace() {
        return skip(reason);
    }
    let text = said(&lab(&["follow", "unixsock"], |_| {}));
    assert!(text.contains("one record"), "{text}");
    let is_told = text.contains("ran on processor") || text.contains("awake already");
    assert!(is_told, "{text}");
    assert!(text.contains('█'), "{text}");
}

#[test]
fn without_bpftrace_the_stamps_tell_what_they_can() {
    let empty = tempfile::tempdir().unwrap();
    let out = empty.path().join("out");
    let words = [
        "follow",
        "fifo",
        "--repeat",
        "2",
        "--out",
        out.to_str().unwrap(),
    ];
    let text = said(&lab(&words, |command| {
        command.env("PATH", empty.path());
    }));
    assert!(text.contains("The others need bpftrace"), "{text}");
    let advice = ["apt-get install bpftrace", "sudo"];
    assert!(advice.iter().any(|advice| text.contains(advice)), "{text}");
    let journeys = journeys(&out);
    assert_eq!(journeys.len(), 2);
    assert_eq!(steps(&journeys[0]), ["due", "stamped", "read_returned"]);
}

#[test]
fn an_unknown_transport_is_wrong_usage() {
    let output = lab(&["follow", "pigeon"], |_| {});
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("'pigeon' is none of unixsock"),
        "{output:?}"
    );
}
