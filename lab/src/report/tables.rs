//! The tables, by the names by which documents ask for them.

use super::measure::describe;
use super::point::{Rate, Work};
use super::rank::rank_in;
use super::summary::{Key, Summary};
use super::table::{Cell, Table};
use super::value::number;
use super::{Point, environment, figures, journeys};
use log_aggregator::transports::Transport;

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
    ("qlen", "Sweep of net.unix.max_dgram_qlen", |s| {
        sweep(s, "queue", |p| p.qlen.map(|q| q.to_string()))
    }),
    ("pipe", "Sweep of the pipe's size", |s| {
        sweep(s, "pipe bytes", |p| p.pipe.map(|b| number(f64::from(b))))
    }),
    ("nagle", "Sweep of Nagle's algorithm", |s| {
        sweep(s, "Nagle", |p| {
            p.nagle.map(|on| if on { "on" } else { "off" }.to_owned())
        })
    }),
    ("linger", "Sweep of the daemon's linger", |s| {
        sweep(s, "linger, us", linger_word)
    }),
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

/// A row for each mechanism and load, columns as given: title and measure.
fn rows(
    summary: &Summary,
    points: &[Point],
    load: (&str, fn(Point) -> String),
    columns: &[(&str, &str)],
) -> Table {
    let titles: Vec<&str> = ["transport", load.0]
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
            let names = [Cell::text(transport.name()), Cell::text(load.1(*point))];
            table.rows.push(names.into_iter().chain(cells).collect());
        }
    }
    table.without_empty_columns()
}

const RATE: (&str, fn(Point) -> String) = ("a producer's rate", load_name);

fn comparison(summary: &Summary) -> Table {
    let Some(centre) = summary.centre() else {
        return Table::default();
    };
    let flat = Point {
        rate: Rate::FlatOut,
        ..centre
    };
    let columns = [
        ("CPU us a record", "program_cpu", centre),
        ("relative", "", centre),
        ("p50 us", "due_p50", centre),
        ("p99 us", "due_p99", centre),
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

fn seed(summary: &Summary) -> Table {
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

fn cpu(summary: &Summary) -> Table {
    let columns = [
        ("producers us", "producer_cpu"),
        ("daemon us", "daemon_cpu"),
        ("together us", "program_cpu"),
        ("whole machine us", "machine_cpu"),
        ("start of a producer us", "startup_cpu"),
        ("producers queued us", "producer_queue"),
        ("daemon queued us", "daemon_queue"),
        ("daemon MiB", "daemon_memory"),
        ("producer MiB", "producer_memory"),
    ];
    rows(summary, &by_rate(summary, "program_cpu"), RATE, &columns)
}

fn latency(summary: &Summary) -> Table {
    let columns = [
        ("due p50", "due_p50"),
        ("p90", "due_p90"),
        ("p99", "due_p99"),
        ("p99.9", "due_p99.9"),
        ("max", "due_max"),
        ("sent p50", "sent_p50"),
        ("p90", "sent_p90"),
        ("p99", "sent_p99"),
        ("p99.9", "sent_p99.9"),
        ("max", "sent_max"),
    ];
    rows(summary, &by_rate(summary, "due_max"), RATE, &columns)
}

fn calls(summary: &Summary) -> Table {
    let columns = [
        ("producer: write", "producer_write"),
        ("wait", "producer_wait"),
        ("pacing", "producer_pacing"),
        ("other", "producer_other"),
        ("all", "producer_calls"),
        ("a (fixed)", "producer_calls_fixed"),
        ("b (one more record)", "producer_calls_each"),
        ("daemon: wait", "daemon_wait"),
        ("read", "daemon_read"),
        ("write", "daemon_write"),
        ("other", "daemon_other"),
        ("all", "daemon_calls"),
    ];
    rows(summary, &traced(summary), RATE, &columns)
}

/// The loads whose calls were counted: the original's, and those of the centre at all rates.
fn traced(summary: &Summary) -> Vec<Point> {
    let seed = Point::named(Work::Seed);
    let seed = summary
        .points("producer_calls")
        .into_iter()
        .filter(|point| *point == seed);
    let mut points: Vec<Point> = by_rate(summary, "producer_calls");
    points.extend(seed);
    points.dedup();
    points
}

fn switches(summary: &Summary) -> Table {
    let columns = [
        ("records a round", "batch"),
        ("daemon: sleeps", "daemon_voluntary"),
        ("made to yield", "daemon_involuntary"),
        ("wake-ups", "daemon_wakeups"),
        ("woken to running us", "wake_to_run"),
        ("producers: sleeps", "producer_voluntary"),
        ("made to yield", "producer_involuntary"),
        ("wake-ups", "producer_wakeups"),
    ];
    rows(summary, &by_rate(summary, "batch"), RATE, &columns)
}

fn loss(summary: &Summary) -> Table {
    let columns = [
        ("sent", "sent"),
        ("written", "written"),
        ("missing numbers", "missing"),
        ("socket's counter", "socket_drops"),
        ("kernel's counter", "kernel_drops"),
        ("lost %", "lost"),
        ("twice", "duplicates"),
        ("out of order", "reordered"),
    ];
    rows(summary, &by_rate(summary, "sent"), RATE, &columns)
}

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

fn sizes(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point { size: 0, ..point });
    let name = |point: Point| format!("{}, {}", number(f64::from(point.size)), point.rate.label());
    rows(summary, &points, ("bytes, rate", name), COSTS)
}

fn producers(summary: &Summary) -> Table {
    let points = axis(summary, |point| Point {
        producers: 0,
        ..point
    });
    let name = |point: Point| format!("{}, {}", point.producers, point.rate.label());
    rows(summary, &points, ("producers, rate", name), COSTS)
}

fn linger_word(point: Point) -> Option<String> {
    Some(match point.linger? {
        crate::trial::Linger::Auto => "auto".to_owned(),
        crate::trial::Linger::Microseconds(microseconds) => microseconds.to_string(),
    })
}

fn sweep(summary: &Summary, title: &str, knob: fn(Point) -> Option<String>) -> Table {
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

fn waterfall(summary: &Summary) -> Table {
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

fn separable(summary: &Summary) -> Table {
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

fn tracing(summary: &Summary) -> Table {
    let columns = [
        ("CPU, times", "tracing_cpu"),
        ("records/s, times", "tracing_throughput"),
    ];
    let points: Vec<Point> = summary
        .points("tracing_cpu")
        .into_iter()
        .filter(|point| point.work != Work::SelfCheck)
        .collect();
    rows(summary, &points, ("load", |point| point.words()), &columns)
}

/// Of the measure that stands in a key, in plain words.
pub fn words(key: &Key) -> String {
    describe(&key.measure).map_or_else(String::new, |measure| measure.words)
}
