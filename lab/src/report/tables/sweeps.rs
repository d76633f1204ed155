//! One thing turned, all else alike: sizes, producers, and the knobs of the sweeps.

use super::rows;
use crate::report::Point;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::value::whole;
use crate::trial::Linger;

/// The loads that differ from each other in one field, at the rate at which there are the most of them.
pub fn axis(summary: &Summary, same: fn(Point) -> Point) -> Vec<Point> {
    let Some(centre) = summary.centre() else {
        return Vec::new();
    };
    let all = summary.points("throughput");
    let at = |rate| {
        all.iter()
            .copied()
            .filter(move |point| same(*point) == same(Point { rate, ..centre }))
    };
    let rates = all.iter().map(|point| point.rate);
    let best = rates.max_by_key(|rate| (at(*rate).count(), *rate));
    let points: Vec<Point> = best.map_or(Vec::new(), |rate| at(rate).collect());
    if points.len() > 1 { points } else { Vec::new() }
}

const COSTS: &[(&str, &str)] = &[
    ("records/s", "throughput"),
    ("CPU us", "program_cpu"),
    ("producers us", "producer_cpu"),
    ("daemon us", "daemon_cpu"),
    ("records a round", "batch"),
    ("p50 us", "due_p50"),
    ("p99 us", "due_p99"),
    ("producers' sleeps", "producer_voluntary"),
    ("lost %", "lost"),
];

pub fn sizes(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point { size: 0, ..point });
    let name = |point: Point| format!("{}, {}", whole(point.size), point.rate.label());
    rows(summary, &points, ("bytes, rate", name), COSTS)
}

pub fn producers(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point {
        producers: 0,
        ..point
    });
    let name = |point: Point| format!("{}, {}", point.producers, point.rate.label());
    rows(summary, &points, ("producers, rate", name), COSTS)
}

pub fn qlen(summary: &Summary) -> Table {
    sweep(summary, "queue", |point| {
        point.qlen.map(|qlen| qlen.to_string())
    })
}

pub fn pipe(summary: &Summary) -> Table {
    sweep(summary, "pipe bytes", |point| point.pipe.map(whole))
}

pub fn nagle(summary: &Summary) -> Table {
    let word = |on: bool| if on { "on" } else { "off" }.to_owned();
    sweep(summary, "Nagle", move |point| point.nagle.map(word))
}

pub fn linger(summary: &Summary) -> Table {
    sweep(summary, "linger, us", |point| match point.linger? {
        Linger::Auto => Some("auto".to_owned()),
        Linger::Microseconds(microseconds) => Some(microseconds.to_string()),
    })
}

fn sweep(summary: &Summary, title: &str, knob: impl Fn(Point) -> Option<String>) -> Table {
    let points = summary.points("throughput").into_iter();
    let points: Vec<Point> = points.filter(|point| knob(*point).is_some()).collect();
    let mut table = rows(summary, &points, ("", |point| point.to_string()), COSTS);
    if table.is_empty() {
        return table;
    }
    table.columns[1] = format!("{title}, rate");
    for row in &mut table.rows {
        if let Ok(point) = row[1].text.parse::<Point>() {
            row[1].text = format!(
                "{}, {}",
                knob(point).unwrap_or_default(),
                point.rate.label()
            );
        }
    }
    table
}
