//! The whole report of made-up results, read again.

use super::{fixture, key, value, write};
use crate::results::{Results, Writer};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Writes results as a run does, and reports them.
fn report(results: &Results, folder: &Path) {
    let writer = Writer::create(folder, &results.environment).unwrap();
    results
        .trials
        .iter()
        .for_each(|trial| writer.trial(trial).unwrap());
    results
        .journeys
        .iter()
        .for_each(|journey| writer.journey(journey).unwrap());
    write(folder).unwrap();
}

fn page(folder: &Path) -> String {
    fs::read_to_string(folder.join("report.html")).unwrap()
}

fn numbers(folder: &Path) -> BTreeMap<String, Json> {
    let text = fs::read_to_string(folder.join("numbers.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines
        .map(|line| (line["key"].as_str().unwrap().to_owned(), line))
        .collect()
}

/// Reads the page as XML, which it is, but for its first line.
fn parse(page: &str) -> roxmltree::Document<'_> {
    let (_, page) = page.split_once('\n').unwrap();
    roxmltree::Document::parse(page).unwrap()
}

#[test]
fn the_page_refers_to_nothing_outside() {
    let folder = tempfile::tempdir().unwrap();
    report(&fixture::study(), folder.path());
    let page = page(folder.path()).to_lowercase();
    for outside in [
        "http", "<script", "<link", "<iframe", "<img", "src=", "href=", "@import", "url(", "onload",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn every_figure_has_a_title_a_description_and_the_numbers_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    report(&fixture::study(), folder.path());
    let (page, numbers) = (page(folder.path()), numbers(folder.path()));
    let document = parse(&page);
    let figures: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("figure"))
        .collect();
    let names: Vec<_> = figures
        .iter()
        .map(|figure| figure.attribute("id").unwrap())
        .collect();
    let all = [
        "cpu",
        "calls",
        "percentiles",
        "percentiles-sent",
        "latency",
        "batch",
        "throughput",
        "loss",
        "waterfall",
    ];
    assert_eq!(names, all);
    for figure in figures {
        let name = figure.attribute("id").unwrap();
        let find = |tag: &str| {
            figure
                .descendants()
                .filter(|node| node.has_tag_name(tag))
                .collect::<Vec<_>>()
        };
        for svg in find("svg") {
            assert_eq!(svg.attribute("role"), Some("img"));
            let labels: Vec<_> = svg
                .attribute("aria-labelledby")
                .unwrap()
                .split(' ')
                .collect();
            let of = |tag: &str| svg.children().find(|node| node.has_tag_name(tag)).unwrap();
            assert_eq!(
                labels,
                ["title", "desc"].map(|tag| of(tag).attribute("id").unwrap())
            );
            assert!(
                !of("title").text().unwrap().is_empty() && !of("desc").text().unwrap().is_empty()
            );
        }
        assert!(!find("svg").is_empty() && !find("p").is_empty(), "{name}");
        let cells: Vec<_> = find("td")
            .into_iter()
            .filter(|cell| cell.has_attribute("data-key"))
            .collect();
        assert!(cells.len() > 3, "{name} has {} numbers", cells.len());
    }
    let cells = document
        .descendants()
        .filter(|node| node.has_attribute("data-key"));
    let mut count = 0;
    for cell in cells {
        let key = cell.attribute("data-key").unwrap();
        let line = numbers
            .get(key)
            .unwrap_or_else(|| panic!("{key} is not in numbers.jsonl"));
        let number = line["value"].as_f64().unwrap();
        let shown = cell.text().unwrap();
        let whole =
            matches!(line["unit"].as_str(), Some("records" | "calls")) && !key.starts_with("batch");
        let want = if whole {
            value::with_decimals(number, 0)
        } else {
            value::number(number)
        };
        assert_eq!(shown, want, "{key}");
        count += 1;
    }
    assert!(count > 300, "{count}");
}

#[test]
fn every_number_of_the_file_is_found_by_its_key_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    report(&fixture::study(), folder.path());
    let numbers = numbers(folder.path());
    for (name, line) in &numbers {
        assert_eq!(key::parse(name).unwrap().to_string(), *name);
        assert!(!line["unit"].as_str().unwrap().is_empty(), "{name}");
        assert!(!line["meaning"].as_str().unwrap().is_empty(), "{name}");
        assert!(line["low"].as_f64() <= line["high"].as_f64());
    }
    assert_eq!(
        numbers["throughput/fifo/rate=0"]["each"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn what_is_missing_is_left_out() {
    let mut untraced = fixture::study();
    untraced.trials.retain(|trial| trial.counts.is_none());
    untraced.journeys.clear();
    let mut one = fixture::study();
    one.trials
        .retain(|trial| trial.setting.transport.name() == "fifo" && trial.repetition == 0);
    let mut ways = fixture::study();
    ways.trials.clear();
    let mut sweep = fixture::study();
    sweep.trials.retain(|trial| trial.setting.qlen.is_some());
    sweep.journeys.clear();
    let mut seed = fixture::study();
    seed.trials
        .retain(|trial| trial.setting.axis == crate::trial::Axis::Seed);
    let nothing = fixture::results(Vec::new(), Vec::new());
    let cases = [
        (untraced, "comparison table", "id=\"calls\""),
        (one, "id=\"cpu\"", "unixgram/rate"),
        (ways, "id=\"waterfall\"", "id=\"cpu\""),
        (sweep, "Sweep of net.unix.max_dgram_qlen", "<figure"),
        (seed, "id=\"calls\"", "id=\"throughput\""),
        (nothing, "Where it was measured", "<figure"),
    ];
    for (results, there, missing) in cases {
        let folder = tempfile::tempdir().unwrap();
        report(&results, folder.path());
        let page = page(folder.path());
        parse(&page);
        let there = there
            .strip_suffix(" table")
            .map_or(there, |_| "The five mechanisms beside each other");
        assert!(page.contains(there), "{there}");
        assert!(!page.contains(missing), "{missing}");
        assert!(!page.contains("NaN") && !page.contains("inf\""));
    }
}

#[test]
fn folders_in_a_folder_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = fixture::study();
    let mut seed = fixture::study();
    run.trials
        .retain(|trial| trial.setting.axis != crate::trial::Axis::Seed);
    seed.trials
        .retain(|trial| trial.setting.axis == crate::trial::Axis::Seed);
    for (name, results) in [("run", run), ("seed", seed)] {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        report(&results, &path);
    }
    write(folder.path()).unwrap();
    let numbers = numbers(folder.path());
    assert_eq!(numbers["throughput/tcp/rate=0"]["folder"], "run");
    assert_eq!(numbers["producer_calls/tcp/seed"]["folder"], "seed");
    assert_eq!(numbers["original_calls/tcp/seed"]["value"], 3928.0);
    let empty = tempfile::tempdir().unwrap();
    let refused = write(empty.path()).unwrap_err().to_string();
    assert!(
        refused.ends_with("name a folder that a run of lab has written"),
        "{refused}"
    );
}
