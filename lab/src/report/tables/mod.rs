//! The tables, by the names by which documents ask for them.

mod by_load;
mod compare;
mod sweeps;

pub use compare::relative;
pub use sweeps::axis;

use super::measure::describe;
use super::point::Work;
use super::summary::{Key, Summary};
use super::table::{Cell, Table};
use super::{Point, environment, figures};
use by_load::{calls, cpu, latency, loss, switches, tracing};
use compare::{comparison, seed, separable, waterfall};
use log_aggregator::transports::Transport;
use sweeps::{linger, nagle, pipe, producers, qlen, sizes};

/// What makes a table; it has no rows where nothing was measured.
type Maker = fn(&Summary) -> Table;

/// Name, title and maker of each.
pub const TABLES: &[(&str, &str, Maker)] = &[
    (
        "comparison",
        "The five mechanisms beside each other",
        comparison,
    ),
    (
        "seed",
        "System calls under the original's load: 5 producers, 250 records",
        seed,
    ),
    ("cpu", "Processor time for a record", cpu),
    ("latency", "Latency, in microseconds", latency),
    ("calls", "System calls for a record, by class", calls),
    ("switches", "Wake-ups, switches and rounds", switches),
    ("loss", "Loss, by three witnesses", loss),
    ("sizes", "By the size of the message", sizes),
    ("producers", "By the number of producers", producers),
    ("qlen", "Sweep of net.unix.max_dgram_qlen", qlen),
    ("pipe", "Sweep of the pipe's size", pipe),
    ("nagle", "Sweep of Nagle's algorithm", nagle),
    ("linger", "Sweep of the daemon's linger", linger),
    (
        "waterfall",
        "The way of a record, in microseconds from the send call",
        waterfall,
    ),
    ("separable", "What can be told apart", separable),
    ("tracing", "What it cost to be watched", tracing),
    ("environment", "Where it was measured", environment::table),
];

/// A table by its name, or the numbers of a figure by the figure's.
///
/// # Errors
/// A line that says that there is none of that name, or that nothing was measured for it.
pub fn by_name(summary: &Summary, name: &str) -> Result<Table, String> {
    let known = TABLES.iter().find(|(known, _, _)| *known == name);
    let table = match known {
        Some((_, _, maker)) => maker(summary),
        None => {
            let names: Vec<&str> = TABLES.iter().map(|(name, _, _)| *name).collect();
            let figure = figures::by_name(summary, name).map_err(|_| {
                format!(
                    "'{name}' is no table: they are {}, and those of the figures",
                    names.join(", ")
                )
            })?;
            figure.table
        }
    };
    if table.is_empty() {
        return Err(format!("nothing was measured for the table '{name}'"));
    }
    Ok(table)
}

/// Loads at which no knob was turned, with the usual producers and sizes: those of the centre, at all rates.
pub fn by_rate(summary: &Summary, measure: &str) -> Vec<Point> {
    let Some(centre) = summary.centre() else {
        return Vec::new();
    };
    let alike = |point: &Point| {
        Point {
            rate: centre.rate,
            ..*point
        } == centre
    };
    summary.points(measure).into_iter().filter(alike).collect()
}

/// The rate, or what else the load is called.
pub fn load_name(point: Point) -> String {
    match point.work {
        Work::Load => point.rate.label(),
        _ => point.words(),
    }
}

/// A row for each mechanism and load, the load under this title and by this name; columns as given: title and measure.
fn rows(
    summary: &Summary,
    points: &[Point],
    title: &str,
    name: impl Fn(Point) -> String,
    columns: &[(&str, &str)],
) -> Table {
    let titles: Vec<&str> = ["transport", title]
        .into_iter()
        .chain(columns.iter().map(|(title, _)| *title))
        .collect();
    let mut table = Table::new(&titles);
    for transport in Transport::ALL {
        for point in points {
            let cells = columns
                .iter()
                .map(|(_, measure)| Cell::of(summary, measure, transport, *point));
            let cells: Vec<Cell> = cells.collect();
            if cells.iter().all(|cell| cell.key.is_none()) {
                continue;
            }
            let names = [Cell::text(transport.name()), Cell::text(name(*point))];
            table.rows.push(names.into_iter().chain(cells).collect());
        }
    }
    table.without_empty_columns()
}

/// Of the measure that stands in a key, in plain words.
pub fn words(key: &Key) -> String {
    describe(&key.measure).map_or_else(String::new, |measure| measure.words)
}
