//! One thing turned, all else alike: sizes, producers, and the knobs of the sweeps.

use super::rows;
use crate::report::Point;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::value::whole;
use crate::trial::Linger;

/// The loads that differ from the centre in one field and perhaps the rate; of each rate at which there are several.
pub fn axis(summary: &Summary, same: fn(Point) -> Point) -> Vec<Point> {
    let Some(centre) = summary.centre() else {
        return Vec::new();
    };
    let alike = |point: &Point| {
        same(*point)
            == same(Point {
                rate: point.rate,
                ..centre
            })
    };
    let points: Vec<Point> = summary
        .points("throughput")
        .into_iter()
        .filter(alike)
        .collect();
    let several = |point: &&Point| {
        points
            .iter()
            .filter(|other| other.rate == point.rate)
            .count()
            > 1
    };
    points.iter().filter(several).copied().collect()
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

/// By the size of the message.
pub fn sizes(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point { size: 0, ..point });
    let name = |point: Point| format!("{} {}", whole(point.size), point.rate.after());
    rows(summary, &points, "bytes", name, COSTS)
}

/// By the number of producers.
pub fn producers(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point {
        producers: 0,
        ..point
    });
    let name = |point: Point| format!("{} {}", point.producers, point.rate.after());
    rows(summary, &points, "producers", name, COSTS)
}

/// By the queue of Unix datagrams.
pub fn qlen(summary: &Summary) -> Table {
    let points = turned(summary, |point| point.qlen.is_some());
    sweep(summary, "queue", &points, |point| point.qlen.map(whole))
}

/// By the size of the pipe.
pub fn pipe(summary: &Summary) -> Table {
    let points = turned(summary, |point| point.pipe.is_some());
    sweep(summary, "pipe bytes", &points, |point| {
        point.pipe.map(whole)
    })
}

/// With and without Nagle's algorithm.
pub fn nagle(summary: &Summary) -> Table {
    let points = turned(summary, |point| point.nagle.is_some());
    sweep(summary, "Nagle", &points, |point| {
        point
            .nagle
            .map(|on| if on { "on" } else { "off" }.to_owned())
    })
}

/// With and without lingering. Where only `auto` was asked for by itself, all other trials are those without.
pub fn linger(summary: &Summary) -> Table {
    let mut points = turned(summary, |point| point.linger.is_some());
    let has_both = points
        .iter()
        .any(|point| point.linger == Some(Linger::Microseconds(0)));
    if !has_both {
        let bare: Vec<Point> = points
            .iter()
            .map(|point| Point {
                linger: None,
                ..*point
            })
            .collect();
        points.extend(bare);
        points.sort_by_key(|point| {
            (
                Point {
                    linger: None,
                    ..*point
                },
                point.linger,
            )
        });
    }
    sweep(summary, "linger us", &points, |point| match point.linger {
        Some(Linger::Auto) => Some("auto".to_owned()),
        Some(Linger::Microseconds(microseconds)) => Some(whole(microseconds)),
        None => Some(whole(0)),
    })
}

fn turned(summary: &Summary, knob: fn(&Point) -> bool) -> Vec<Point> {
    summary
        .points("throughput")
        .into_iter()
        .filter(knob)
        .collect()
}

fn sweep(
    summary: &Summary,
    title: &str,
    points: &[Point],
    word: fn(Point) -> Option<String>,
) -> Table {
    let name = |point: Point| format!("{} {}", word(point).unwrap_or_default(), point.rate.after());
    rows(summary, points, title, name, COSTS)
}
