//! What a run prints at its end: a table that fits 100 columns, and the warnings.

use super::Point;
use super::point::Rate;
use super::summary::Summary;
use super::table::{Cell, Table};
use super::tables::{self, relative};
use super::warnings::Warning;

/// Columns that a terminal surely has.
const WIDTH: usize = 100;

/// The whole of it.
pub fn text(summary: &Summary, warnings: &[Warning]) -> String {
    let mut text = String::new();
    if let Some(point) = summary.centre() {
        text += &format!(
            "{}; CPU in us a record, latency in us from due\n\n",
            point.words()
        );
        text += &narrow(comparison(summary, point).without_empty_columns()).text();
    }
    for name in ["seed", "qlen", "pipe", "nagle", "linger", "waterfall"] {
        if let Ok(table) = tables::by_name(summary, name) {
            text += &format!("\n{}\n\n{}", title(name), narrow(table).text());
        }
    }
    if !warnings.is_empty() {
        text += "\nWarnings\n";
        for warning in warnings {
            text += &wrap(&warning.to_string());
        }
    }
    text
}

fn title(name: &str) -> &'static str {
    let known = tables::TABLES.iter().find(|(known, _, _)| *known == name);
    known.map_or("", |(_, title, _)| title)
}

fn comparison(summary: &Summary, point: Point) -> Table {
    let flat = Point {
        rate: Rate::FlatOut,
        ..point
    };
    let columns = [
        "transport",
        "CPU",
        "min to max",
        "relative",
        "p50",
        "p99",
        "calls",
        "daemon's",
        "round",
        "flat out/s",
        "lost %",
    ];
    let mut table = Table::new(&columns);
    for transport in summary.transports("throughput", point) {
        let of = |measure: &str, point| Cell::of(summary, measure, transport, point);
        table.rows.push(vec![
            Cell::text(transport.name()),
            of("program_cpu", point),
            of("range_program_cpu", point),
            Cell::text(relative(summary, "program_cpu", transport, point)),
            of("due_p50", point),
            of("due_p99", point),
            of("producer_calls", point),
            of("daemon_calls", point),
            of("batch", point),
            of("throughput", flat),
            of("lost", flat),
        ]);
    }
    table
}

/// Without its last columns, if they do not fit.
fn narrow(mut table: Table) -> Table {
    while table.columns.len() > 2
        && table
            .text()
            .lines()
            .any(|line| line.chars().count() > WIDTH)
    {
        table.columns.pop();
        table.rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    table
}

/// A warning as an item, its words kept whole.
fn wrap(text: &str) -> String {
    let (mut wrapped, mut column) = ("  -".to_owned(), 3);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH && column > 4 {
            wrapped += "\n   ";
            column = 3;
        }
        wrapped += " ";
        wrapped += word;
        column += 1 + length;
    }
    wrapped + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::summary::Part;
    use crate::report::warnings;
    use log_aggregator::transports::Transport;

    #[test]
    fn everything_fits_a_hundred_columns() {
        let mut study = fixture::study();
        study
            .environment
            .sysctls
            .insert("net.unix.max_dgram_qlen".to_owned(), "10".to_owned());
        for trial in &mut study.trials {
            trial.machine_cpu_ns = 2_000_000_000;
            trial.daemon.cpu_ns *= 2000;
        }
        let summary = Summary::new(vec![Part::new(String::new(), study)]);
        let text = text(&summary, &warnings::all(&summary));
        assert!(
            text.contains("relative") && text.contains("Warnings"),
            "{text}"
        );
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        for kind in Transport::ALL {
            assert!(
                text.lines().any(|line| line.starts_with(kind.name())),
                "{text}"
            );
        }
    }
}
