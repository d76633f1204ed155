//! How things change with the rate and with the size of a record: lines.

use super::parts::{evenly, grid, lines, series, stack};
use super::{Figure, Panel};
use crate::report::Point;
use crate::report::chart::lines::Lines;
use crate::report::point::Rate;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::tables::{axis, by_rate, load_name};
use crate::report::value::whole;
use log_aggregator::transports::Transport;

/// A panel of a measure by the rate.
fn by_rate_panel(
    summary: &Summary,
    measure: &str,
    title: &str,
    y_label: &str,
    logarithmic: bool,
) -> (Panel, Table) {
    let points = by_rate(summary, measure);
    let ticks = evenly(&points, load_name);
    let chart = Lines {
        title: title.to_owned(),
        x_label: "records a second of each producer".to_owned(),
        y_label: y_label.to_owned(),
        logarithmic,
        series: series(summary, measure, &points, &ticks),
        x_ticks: ticks,
        marks: true,
    };
    (
        lines(&chart),
        grid(summary, "a producer's rate", &points, measure, load_name),
    )
}

pub fn latency(summary: &Summary) -> Figure {
    let parts = [
        ("due_p50", "p50: the usual record"),
        ("due_p99", "p99: the slowest of a hundred"),
    ];
    let (panels, tables): (Vec<Panel>, Vec<(&str, Table)>) = parts
        .iter()
        .map(|(measure, title)| {
            let (panel, table) = by_rate_panel(summary, measure, title, "microseconds", true);
            (panel, (&measure[4..], table))
        })
        .unzip();
    Figure {
        name: "latency",
        title: "Latency by rate".to_owned(),
        reading: "Lower is quicker; the scale goes by tenfolds. Latency is from when the record was due until the \
                  daemon's read returned. Flat out is not shown: there it is the length of a queue. A \
                  low rate is often slower; between two points nothing was measured.",
        panels,
        table: stack(tables),
    }
}

pub fn batch(summary: &Summary) -> Figure {
    let (panel, table) = by_rate_panel(summary, "batch", "Records a round", "records", true);
    Figure {
        name: "batch",
        title: "How many records one round of the daemon serves".to_owned(),
        reading: "A round is one wait, the reads it leads to, and one write. Higher means that records share the price \
                  of a wake-up; it does not say which mechanism is the cheapest. The scale goes by tenfolds.",
        panels: vec![panel],
        table,
    }
}

/// The size of each point's message as a place on a logarithmic axis.
fn by_size(points: &[Point]) -> Vec<(f64, String)> {
    let log = |point: &Point| f64::from(point.size.max(1)).ln();
    let (low, high) = (
        points.first().map_or(0.0, log),
        points.last().map_or(1.0, log),
    );
    let place = |point: &Point| (log(point) - low) / (high - low).max(1e-9);
    points
        .iter()
        .map(|point| (place(point), whole(point.size)))
        .collect()
}

pub fn throughput(summary: &Summary) -> Figure {
    let mut points = axis(summary, |point| Point { size: 0, ..point });
    // A planned rate says nothing of what could be.
    let rate = points
        .iter()
        .map(|point| point.rate)
        .max()
        .unwrap_or(Rate::FlatOut);
    points.retain(|point| point.rate == rate);
    let size = |point: Point| whole(point.size);
    let ticks = by_size(&points);
    let chart = Lines {
        title: format!("Records a second, {}", rate.words()),
        x_label: "bytes of a record's message".to_owned(),
        y_label: "records a second".to_owned(),
        logarithmic: false,
        series: series(summary, "throughput", &points, &ticks),
        x_ticks: ticks,
        marks: true,
    };
    Figure {
        name: "throughput",
        title: "Throughput by the size of a record".to_owned(),
        reading: "Higher is more. What arrived in the file counts, not what was sent. Producers, daemon and kernel \
                  share this machine's processors, so this is what all of it together can do.",
        panels: vec![lines(&chart)],
        table: grid(summary, "message bytes", &points, "throughput", size),
    }
}

pub fn loss(summary: &Summary) -> Figure {
    let points = by_rate(summary, "lost");
    let ticks = evenly(&points, load_name);
    let table = grid(summary, "a producer's rate", &points, "lost", load_name);
    let all = series(summary, "lost", &points, &ticks);
    let datagrams = all.into_iter().filter(|(kind, _)| *kind == Transport::Udp);
    let chart = Lines {
        title: "Records lost over UDP, percent of those sent".to_owned(),
        x_label: "records a second of each producer".to_owned(),
        y_label: "percent".to_owned(),
        logarithmic: false,
        series: datagrams.collect(),
        x_ticks: ticks,
        marks: true,
    };
    let drawn = !chart.series.is_empty();
    Figure {
        name: "loss",
        title: "What UDP loses".to_owned(),
        reading: "Lower is better; the other four lose nothing, so only UDP is drawn (the table has all). UDP makes no \
                  sender wait: what finds the receive buffer full is dropped by the kernel.",
        panels: vec![lines(&chart)],
        table: if drawn { table } else { Table::default() },
    }
}
