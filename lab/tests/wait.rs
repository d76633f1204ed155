//! The matrix of the wait: real cells, as small as they can be.

#[allow(dead_code)] // each test program uses some of it
mod common;

use common::{lab, stderr, stdout};
use serde_json::Value;
use std::fs;

const MARKERS: [&str; 2] = ["<!-- wait-table: begin -->", "<!-- wait-table: end -->"];

fn numbers(of: &Value) -> Vec<u64> {
    let all = of.as_array().unwrap().iter();
    all.map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn a_cell_is_run_in_pairs_and_every_record_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let [json, document] = ["runs.jsonl", "document.md"].map(|name| folder.path().join(name));
    fs::write(&document, MARKERS.join("\n") + "\n").unwrap();
    let words =
        "wait --part rates --part pipes --part mixed --pairs 2 --seconds 0.05 --json".split(' ');
    let mut words: Vec<&str> = words.collect();
    words.extend([
        json.to_str().unwrap(),
        "--update",
        document.to_str().unwrap(),
    ]);
    // Paced over a FIFO; one that was inherited; two groups over two mechanisms.
    for (filter, groups) in [
        ("fifo/size=197/senders=5/rate=20000", 1),
        ("size=1400/inherited=4096", 1),
        ("mixed/tcp/size=2000+fifo", 2),
    ] {
        let output = lab(&[&words[..], &["--cell", filter]].concat(), |_| {});
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let runs = fs::read_to_string(&json).unwrap();
        let lines: Vec<Value> = runs
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{runs}");
        let name = lines[1]["cell"].as_str().unwrap();
        assert!(stdout(&output).starts_with(name), "{output:?}");
        let pairs = lines[1]["pairs"].as_array().unwrap();
        assert_eq!(pairs.len(), 2);
        for side in pairs.iter().flat_map(|pair| [&pair["auto"], &pair["zero"]]) {
            let sent = numbers(&side["sent"]);
            assert_eq!(sent.len(), groups, "{side}");
            assert!(sent.iter().all(|sent| *sent > 0), "{side}");
            assert_eq!(numbers(&side["written"]), sent, "{side}");
            assert!(side["cpu_ns"].as_u64().unwrap() > 0, "{side}");
        }
        let text = fs::read_to_string(&document).unwrap();
        let (_, words) = name.split_once('/').unwrap();
        assert!(text.contains(&format!("| {words} | ")), "{text}");
        assert!(
            text.contains("Cells: 1, 0 skipped. Their median is "),
            "{text}"
        );
        assert!(text.ends_with(&format!("{}\n", MARKERS[1])), "{text}");
    }
}

/// Nothing is ten times as quick as itself.
#[test]
fn a_cell_below_the_factor_is_a_failure_in_one_line() {
    let words = "wait --part sizes --cell fifo/size=64 --pairs 1 --seconds 0.05 --fail-below 10";
    let output = lab(&words.split(' ').collect::<Vec<_>>(), |_| {});
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = stderr(&output);
    let line = said.lines().last().unwrap_or_default();
    assert!(
        line.contains("cannot accept the wait in sizes/fifo/size=64: auto writes "),
        "{said}"
    );
    assert!(
        line.ends_with("lab wait --part sizes --cell fifo/size=64"),
        "{said}"
    );
}

#[test]
fn cells_are_listed_and_what_there_is_not_is_wrong_usage() {
    let text = stdout(&lab(&["wait", "--list", "--part", "qlen"], |_| {}));
    assert_eq!(text.lines().count(), 18, "{text}");
    assert!(
        text.contains("qlen/unixgram/size=200/senders=5/qlen=512\n"),
        "{text}"
    );
    for (words, want) in [
        (["--part", "pigeons"], "'pigeons' is none of sizes, senders"),
        (["--cell", "pigeons"], "no cell has 'pigeons' in its name"),
    ] {
        let output = lab(&[&["wait"], &words[..]].concat(), |_| {});
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(want), "{output:?}");
    }
}
