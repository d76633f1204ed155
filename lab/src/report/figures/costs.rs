//! What a record costs: processor time and system calls, as bars.

use super::Figure;
use super::parts::{at_rate, bars, grid, stack};
use crate::report::Point;
use crate::report::chart::bars::{Bar, Bars};
use crate::report::point::Work;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::tables::{by_rate, load_name};
use log_aggregator::transports::Transport;

pub fn cpu(summary: &Summary) -> Figure {
    let parts = [("producers", "producer_cpu"), ("daemon", "daemon_cpu")];
    let both = ("both", "program_cpu");
    let points = by_rate(summary, "program_cpu");
    let panel = |point: &Point| {
        let row = |kind: Transport| {
            let measures = parts.map(|(_, measure)| measure);
            bar(summary, kind, *point, &measures, "program_cpu")
        };
        bars(&Bars {
            title: format!("Processor time {}", at_rate(*point)),
            x_label: "microseconds of processor time for a record".to_owned(),
            parts: vec![("producers".to_owned(), 1), ("daemon".to_owned(), 2)],
            rows: summary
                .transports("program_cpu", *point)
                .into_iter()
                .map(row)
                .collect(),
        })
    };
    let tables = parts.iter().chain([&both]).map(|(name, measure)| {
        (
            *name,
            grid(
                summary,
                "side and a producer's rate",
                &points,
                measure,
                load_name,
            ),
        )
    });
    Figure {
        name: "cpu",
        title: "What a record costs in processor time".to_owned(),
        reading: "Shorter is cheaper. The left part of a bar is what the producers pay for a record (their start \
                  taken off), the right part what the daemon pays; the number at the end is both. The thin line below \
                  a bar goes from the cheapest to the dearest repetition: where those of two mechanisms overlap, \
                  neither is surely cheaper. At low rates each record pays for a wake-up of its own and for the producer's \
                  sleep before it; flat out one wake-up serves many. The producers' part is by records sent, the \
                  daemon's by records written: over UDP these are not the same. Each picture has its own scale.",
        panels: points.iter().map(panel).collect(),
        table: stack(tables.collect()),
    }
}

pub fn calls(summary: &Summary) -> Figure {
    let seed = Point::named(Work::Seed);
    let has = |point: &Point| !summary.transports("producer_calls", *point).is_empty();
    let point = summary.centre().filter(has).or(Some(seed).filter(has));
    let sides = [
        (
            "producer",
            "Producer",
            &["write", "wait", "pacing", "other"][..],
        ),
        (
            "daemon",
            "Daemon",
            &["wait", "read", "write", "pacing", "other"][..],
        ),
    ];
    let (mut panels, mut tables) = (Vec::new(), Vec::new());
    for (side, title, classes) in sides {
        let Some(point) = point else { break };
        let transports = summary.transports("producer_calls", point);
        let measure = |class: &str| format!("{side}_{class}");
        let number = |kind, class: &str| {
            summary
                .get(&measure(class), kind, point)
                .map_or(0.0, |value| value.value)
        };
        let used = |class: &&&str| transports.iter().any(|kind| number(*kind, class) > 0.0);
        let classes: Vec<&str> = classes.iter().filter(used).copied().collect();
        let measures: Vec<String> = classes.iter().map(|class| measure(class)).collect();
        let measures: Vec<&str> = measures.iter().map(String::as_str).collect();
        let row = |kind: &Transport| bar(summary, *kind, point, &measures, &measure("calls"));
        panels.push(bars(&Bars {
            title: format!("{title}, {}", at_rate(point)),
            x_label: "system calls for a record".to_owned(),
            parts: classes
                .iter()
                .map(|class| ((*class).to_owned(), shade(class)))
                .collect(),
            rows: transports.iter().map(row).collect(),
        }));
        for class in classes.iter().chain(&["calls"]) {
            let name = format!("{side}: {}", if *class == "calls" { "all" } else { class });
            let mut table = grid(summary, "class", &[point], &measure(class), load_name);
            table
                .rows
                .iter_mut()
                .for_each(|row| row[0].text.clone_from(&name));
            tables.push(table);
        }
    }
    let mut table = tables
        .first()
        .map(|table| Table {
            rows: Vec::new(),
            ..table.clone()
        })
        .unwrap_or_default();
    tables
        .into_iter()
        .for_each(|one| table.rows.extend(one.rows));
    Figure {
        name: "calls",
        title: "System calls for a record, by what they are for".to_owned(),
        reading: "Each bar is how often a record makes a program enter the kernel; the parts stand in the order of \
                  the line above. write: the record itself. wait: asking the kernel what has arrived (epoll_wait). \
                  read: fetching it. pacing: sleeping until the next record is due. other: starting, connecting, \
                  ending, spread over all records.",
        panels,
        table,
    }
}

/// The bar of a mechanism: these measures, and the one that is all of them together.
fn bar(summary: &Summary, kind: Transport, point: Point, parts: &[&str], total: &str) -> Bar {
    let of = |measure: &&str| {
        summary
            .get(measure, kind, point)
            .map_or(0.0, |value| value.value)
    };
    let sum = summary.get(total, kind, point);
    Bar {
        name: kind.name().to_owned(),
        parts: parts.iter().map(of).collect(),
        total: sum.map_or(0.0, |value| value.value),
        range: sum.map_or((0.0, 0.0), |value| (value.low(), value.high())),
    }
}

/// A class has the same shade on both sides.
fn shade(class: &str) -> usize {
    match class {
        "write" => 1,
        "pacing" => 2,
        "wait" => 3,
        "read" => 4,
        _ => 5,
    }
}
