//! The mechanisms beside each other, and beside the original.

use super::{by_rate, load_name};
use crate::report::point::{Rate, Work};
use crate::report::rank::rank_in;
use crate::report::summary::Summary;
use crate::report::table::{Cell, Table};
use crate::report::value::number;
use crate::report::{Point, journeys};
use log_aggregator::transports::Transport;

pub fn comparison(summary: &Summary) -> Table {
    let Some(centre) = summary.centre() else {
        return Table::default();
    };
    let flat = Point {
        rate: Rate::FlatOut,
        ..centre
    };
    let columns = [
        ("CPU us a record", "program_cpu", centre),
        ("min to max", "range_program_cpu", centre),
        ("relative", "", centre),
        ("p50 us", "due_p50", centre),
        ("p99 us", "due_p99", centre),
        ("from sent p50 us", "sent_p50", centre),
        ("producer's calls", "producer_calls", centre),
        ("daemon's calls", "daemon_calls", centre),
        ("records a round", "batch", centre),
        ("flat out records/s", "throughput", flat),
        ("flat out CPU us", "program_cpu", flat),
        ("flat out lost %", "lost", flat),
    ];
    let titles: Vec<&str> = ["transport"]
        .into_iter()
        .chain(columns.iter().map(|(title, ..)| *title))
        .collect();
    let mut table = Table::new(&titles);
    for transport in summary.transports("throughput", centre) {
        let cells = columns.iter().map(|(title, measure, point)| match *title {
            "relative" => Cell::text(relative(summary, "program_cpu", transport, centre)),
            _ => Cell::of(summary, measure, transport, *point),
        });
        table.rows.push(
            [Cell::text(transport.name())]
                .into_iter()
                .chain(cells)
                .collect(),
        );
    }
    table.without_empty_columns()
}

/// How many times the lowest of all mechanisms it is; with a `~` if it cannot be told from that.
pub fn relative(summary: &Summary, measure: &str, transport: Transport, point: Point) -> String {
    let of = |transport| summary.get(measure, transport, point);
    let values = Transport::ALL.into_iter().filter_map(of);
    let lowest = values.min_by(|a, b| a.value.total_cmp(&b.value));
    match (of(transport), lowest) {
        (Some(value), Some(lowest)) if lowest.value > 0.0 => {
            let tied = value != lowest && !lowest.is_below(value);
            format!(
                "{}{}",
                number(value.value / lowest.value),
                if tied { " ~" } else { "" }
            )
        }
        _ => "-".to_owned(),
    }
}

pub fn seed(summary: &Summary) -> Table {
    let point = Point::named(Work::Seed);
    let columns = [
        ("producers' calls", "producer_calls_sum"),
        ("of them write", "producer_write_sum"),
        ("sleep", "producer_pacing_sum"),
        ("start and end", "producer_other_sum"),
        ("a record", "producer_calls"),
        ("one more record", "producer_calls_each"),
        ("the original's calls", "original_calls"),
        ("of them write", "original_write"),
        ("sleep and wait", "original_wait"),
        ("others", "original_other"),
        ("a record", "original_each"),
        ("daemon's calls", "daemon_calls_sum"),
        ("a record", "daemon_calls"),
    ];
    let titles: Vec<&str> = ["transport"]
        .into_iter()
        .chain(columns.iter().map(|(title, _)| *title))
        .collect();
    let mut table = Table::new(&titles);
    for transport in summary.transports("producer_calls_sum", point) {
        let cells = columns
            .iter()
            .map(|(_, measure)| Cell::of(summary, measure, transport, point));
        table.rows.push(
            [Cell::text(transport.name())]
                .into_iter()
                .chain(cells)
                .collect(),
        );
    }
    table.without_empty_columns()
}

pub fn waterfall(summary: &Summary) -> Table {
    let point = Point::named(Work::Follow);
    let transports = summary.transports("step_written", point);
    let mut titles = vec!["what has happened"];
    titles.extend(transports.iter().map(|kind| kind.name()));
    let mut table = Table::new(&titles);
    for (step, words) in journeys::STEPS {
        let measure = format!("step_{}", journeys::name(step));
        let cells = transports
            .iter()
            .map(|kind| Cell::of(summary, &measure, *kind, point));
        let cells: Vec<Cell> = cells.collect();
        if cells.iter().any(|cell| cell.key.is_some()) {
            table
                .rows
                .push([Cell::text(words)].into_iter().chain(cells).collect());
        }
    }
    table
}

/// On what mechanisms are told apart.
const RANKED: [(&str, &str); 4] = [
    ("program_cpu", "CPU a record"),
    ("due_p50", "latency from due, p50"),
    ("sent_p50", "latency from sent, p50"),
    ("due_p99", "latency from due, p99"),
];

pub fn separable(summary: &Summary) -> Table {
    let titles = [
        "measure",
        "a producer's rate",
        "run",
        "from low to high (~: tied)",
        "pairs told apart",
        "agreed by all runs",
    ];
    let mut table = Table::new(&titles);
    for (measure, words) in RANKED {
        for point in by_rate(summary, measure) {
            let rankings: Vec<_> = summary
                .parts
                .iter()
                .map(|part| (part.name.as_str(), rank_in(part, measure, point)))
                .filter(|(_, ranking)| ranking.pairs > 0)
                .collect();
            let agreed = |pair: &&(Transport, Transport)| {
                rankings.iter().all(|(_, r)| r.separable.contains(pair))
            };
            for (name, ranking) in &rankings {
                let agreed = match rankings.len() {
                    1 => "-".to_owned(),
                    _ => ranking.separable.iter().filter(agreed).count().to_string(),
                };
                let pairs = format!("{} of {}", ranking.separable.len(), ranking.pairs);
                let name = if name.is_empty() { "-" } else { name };
                let cells = [
                    words,
                    &load_name(point),
                    name,
                    &ranking.to_string(),
                    &pairs,
                    &agreed,
                ]
                .map(Cell::text);
                table.rows.push(cells.to_vec());
            }
        }
    }
    table.without_empty_columns()
}
