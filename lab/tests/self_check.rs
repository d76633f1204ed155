//! The witnesses of a real load agree, and one that lies is found.

#[allow(dead_code)] // each test program uses some of it
mod common;

use common::{TRANSPORTS, find_program, lab, no_bpftrace, said, skip, stderr, stdout};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// strace, but the log of one producer begins with a record more. It writes nothing itself: that would be counted,
/// too, since the process becomes the producer.
const LYING_STRACE: &str = r#"#!/bin/sh
for word; do
    case $word in
        */strace-producer-0) ln -s "$0.lie" "$word" && exec REAL -A "$@" ;;
    esac
done
exec REAL "$@"
"#;

const LIE: &str = "execve() = 0\nwrite(3, \"\"..., 240) = 240\n";

/// A line of the table, in words.
fn row<'a>(text: &'a str, block: &str, fact: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|line| *line != block);
    let row = lines
        .skip(1)
        .find_map(|line| line.trim_start().strip_prefix(fact));
    let row = row.unwrap_or_else(|| panic!("no '{fact}' of {block} in {text}"));
    row.split_whitespace().collect()
}

#[test]
fn all_witnesses_agree_on_every_transport() {
    let is_traced = no_bpftrace().is_none() && find_program("strace").is_some();
    if !is_traced {
        return skip("bpftrace or strace is missing, or this is not root");
    }
    let text = said(&lab(&["self-check"], |_| {}));
    for transport in TRANSPORTS {
        assert_eq!(
            row(&text, transport, "records sent"),
            ["529", "529", "529", "agree"]
        );
        assert_eq!(
            row(&text, transport, "records written"),
            ["529", "529", "agree"]
        );
        let slept = row(&text, transport, "the daemon's sleeps");
        assert_eq!((slept.len(), slept[2]), (3, "agree"), "{text}");
        let strace = format!("{transport}, under strace");
        assert_eq!(
            row(&text, &strace, "records sent"),
            ["529", "529", "529", "agree"]
        );
        let writes = row(&text, &strace, "the daemon's write calls");
        assert_eq!((writes.len(), writes[3]), (4, "agree"), "{text}");
    }
    // Some records were lost, and three count them alike.
    let lost = row(
        &text,
        "udp, flat out, with the daemon stopped",
        "records lost",
    );
    assert_eq!((lost.len(), lost[3]), (4, "agree"), "{text}");
    assert!((1..529).contains(&lost[0].parse().unwrap()), "{text}");
    assert!(text.contains("All witnesses agree on"), "{text}");
    assert!(
        !text.contains("DIFFER") && !text.contains("one witness"),
        "{text}"
    );
}

#[test]
fn a_witness_that_lies_by_one_record_is_found() {
    let Some(real) = find_program("strace") else {
        return skip("strace is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let liar = folder.path().join("strace");
    fs::write(&liar, LYING_STRACE.replace("REAL", real.to_str().unwrap())).unwrap();
    fs::write(folder.path().join("strace.lie"), LIE).unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let paths = std::env::var_os("PATH").unwrap();
    let folders = [folder.path().to_owned()].into_iter();
    let paths = std::env::join_paths(folders.chain(std::env::split_paths(&paths))).unwrap();
    let output = lab(&["self-check", "--ipc", "fifo"], |command| {
        command.env("PATH", paths);
    });
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = stderr(&output);
    let lie = "fifo, under strace: the witnesses differ on records sent: programs 529, /proc 529, strace 530";
    assert!(said.contains(lie), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let sent = stdout(&output);
    let sent = row(&sent, "fifo, under strace", "records sent");
    assert_eq!(sent, ["529", "529", "530", "DIFFER"]);
}

#[test]
fn without_tracers_it_checks_what_it_can_and_says_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let path: &Path = empty.path();
    let text = said(&lab(&["self-check", "--ipc", "unixsock"], |command| {
        command.env("PATH", path);
    }));
    assert_eq!(
        row(&text, "unixsock", "records sent"),
        ["529", "529", "agree"]
    );
    let writes = row(&text, "unixsock", "the daemon's write calls");
    assert_eq!(writes[1..], ["one", "witness"], "{text}");
    for tracer in ["bpftrace", "strace"] {
        let (_, missing) = text.split_once("Missing:\n").unwrap();
        assert!(missing.contains(tracer), "{text}");
    }
    assert!(
        text.contains("have one witness, and are not checked"),
        "{text}"
    );
}
