//! The figures: each with a title, how to read it, its drawings, and its numbers in a table.

use super::bars::{self, Bars};
use super::lines::{self, Lines};
use super::measure::PERCENTILES;
use super::point::{Rate, Work};
use super::summary::Summary;
use super::svg::Drawing;
use super::table::{Cell, Table};
use super::tables::{axis, by_name as table_by_name, by_rate, load_name};
use super::{Point, escape, svg, timeline};
use log_aggregator::transports::Transport;

/// A figure.
#[derive(Debug)]
pub struct Figure {
    /// By which documents ask for it.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// How to read it: for all readers, and for those who hear instead of see.
    pub reading: &'static str,
    /// Its drawings, side by side or below each other.
    pub panels: Vec<Panel>,
    /// Its numbers.
    pub table: Table,
}

/// A drawing and its size.
#[derive(Debug)]
pub struct Panel {
    drawing: Drawing,
    title: String,
    width: f64,
    height: f64,
}

type Maker = fn(&Summary) -> Figure;

const FIGURES: [Maker; 9] = [
    cpu,
    calls,
    percentiles,
    latency,
    batch,
    throughput,
    loss,
    waterfall,
    percentiles_sent,
];

/// All figures for which something was measured, in the order of the report.
pub fn all(summary: &Summary) -> Vec<Figure> {
    let figures = FIGURES.iter().map(|make| make(summary));
    figures.filter(|figure| !figure.table.is_empty()).collect()
}

/// A figure by its name.
///
/// # Errors
/// A line that says that there is none of that name, or that nothing was measured for it.
pub fn by_name(summary: &Summary, name: &str) -> Result<Figure, String> {
    let figures: Vec<Figure> = FIGURES.iter().map(|make| make(summary)).collect();
    let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
    let unknown = format!("'{name}' is no figure: they are {}", names.join(", "));
    let figure = figures
        .into_iter()
        .find(|figure| figure.name == name)
        .ok_or(unknown)?;
    if figure.table.is_empty() {
        return Err(format!("nothing was measured for the figure '{name}'"));
    }
    Ok(figure)
}

impl Figure {
    /// For a page that has the style: the drawings, each with a title and a description.
    pub fn html(&self) -> String {
        let draw = |(index, panel): (usize, &Panel)| {
            let id = format!("{}-{index}", self.name);
            format!(
                "<svg role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {} {}\">\
                 <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{}</svg>\n",
                panel.width,
                panel.height,
                escape(&format!("{}: {}", self.title, panel.title)),
                escape(self.reading),
                panel.drawing.body()
            )
        };
        self.panels.iter().enumerate().map(draw).collect()
    }

    /// A file of its own: the drawings in two columns on their own paper, in light or dark as the reader likes it.
    pub fn file(&self) -> String {
        let columns = if self.panels.len() > 1 { 2 } else { 1 };
        let (mut body, mut y, mut full_width) = (String::new(), 8.0, 0.0_f64);
        for row in self.panels.chunks(columns) {
            let mut x = 8.0;
            for panel in row {
                let (width, height) = (panel.width, panel.height);
                body += &format!(
                    "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">\n{}</svg>\n",
                    panel.drawing.body()
                );
                x += width + 16.0;
            }
            full_width = full_width.max(x - 8.0);
            y += row.iter().map(|panel| panel.height).fold(0.0, f64::max) + 12.0;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"t d\" width=\"{full_width}\" \
             height=\"{y}\" viewBox=\"0 0 {full_width} {y}\">\n<title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n\
             <style>\n{}</style>\n<rect class=\"paper\" width=\"{full_width}\" height=\"{y}\" rx=\"6\"/>\n{body}</svg>\n",
            escape(&self.title),
            escape(self.reading),
            svg::style("svg")
        )
    }
}

/// A chart of lines as a panel.
fn lines(chart: &Lines) -> Panel {
    let (width, height) = lines::SIZE;
    Panel {
        drawing: chart.draw(),
        title: chart.title.clone(),
        width,
        height,
    }
}

/// A chart of bars as a panel.
fn bars(chart: &Bars) -> Panel {
    let (drawing, height) = chart.draw();
    Panel {
        drawing,
        title: chart.title.clone(),
        width: bars::WIDTH,
        height,
    }
}

/// A table of one measure: a row for each point, a column for each mechanism.
fn grid(
    summary: &Summary,
    first: &str,
    points: &[Point],
    measure: &str,
    name: fn(Point) -> String,
) -> Table {
    let has = |kind: &Transport| {
        points
            .iter()
            .any(|point| summary.get(measure, *kind, *point).is_some())
    };
    let transports: Vec<Transport> = Transport::ALL.into_iter().filter(has).collect();
    let titles: Vec<&str> = [first]
        .into_iter()
        .chain(transports.iter().map(|kind| kind.name()))
        .collect();
    let mut table = Table::new(&titles);
    for point in points {
        let cells = transports
            .iter()
            .map(|kind| Cell::of(summary, measure, *kind, *point));
        table.rows.push(
            [Cell::text(name(*point))]
                .into_iter()
                .chain(cells)
                .collect(),
        );
    }
    table
}

/// Puts the rows of several grids under each other.
fn stack(tables: Vec<(&str, Table)>) -> Table {
    let widest = tables.iter().max_by_key(|(_, table)| table.columns.len());
    let columns = widest
        .map(|(_, table)| table.columns.clone())
        .unwrap_or_default();
    let mut stacked = Table {
        columns,
        rows: Vec::new(),
    };
    for (name, table) in tables {
        if table.columns != stacked.columns {
            continue;
        }
        for mut row in table.rows {
            row[0].text = format!("{name}, {}", row[0].text);
            stacked.rows.push(row);
        }
    }
    stacked
}

/// Points evenly spaced from left to right.
#[allow(clippy::cast_precision_loss)] // a handful of points
fn evenly(points: &[Point], label: fn(Point) -> String) -> Vec<(f64, String)> {
    let last = points.len().saturating_sub(1).max(1) as f64;
    points
        .iter()
        .enumerate()
        .map(|(index, point)| (index as f64 / last, label(*point)))
        .collect()
}

/// The numbers of a measure at these points, for each mechanism that has any.
fn series(
    summary: &Summary,
    measure: &str,
    points: &[Point],
    ticks: &[(f64, String)],
) -> Vec<(Transport, Vec<(f64, f64)>)> {
    let of = |kind: Transport| {
        let numbers = points.iter().zip(ticks).filter_map(|(point, (place, _))| {
            summary
                .get(measure, kind, *point)
                .map(|value| (*place, value.value))
        });
        (kind, numbers.collect::<Vec<_>>())
    };
    Transport::ALL
        .into_iter()
        .map(of)
        .filter(|(_, numbers)| !numbers.is_empty())
        .collect()
}

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

fn cpu(summary: &Summary) -> Figure {
    let parts = [("producers", "producer_cpu"), ("daemon", "daemon_cpu")];
    let points = by_rate(summary, "program_cpu");
    let panel = |point: &Point| {
        let row = |kind: Transport| {
            let of = |measure| {
                summary
                    .get(measure, kind, *point)
                    .map_or(0.0, |value| value.value)
            };
            (
                kind.name().to_owned(),
                parts.map(|(_, measure)| of(measure)).to_vec(),
            )
        };
        bars(&Bars {
            title: format!("At {} of each producer", point.rate.words())
                .replace("At flat out of", "Flat out,"),
            x_label: "microseconds of processor time for a record".to_owned(),
            parts: parts.map(|(name, _)| name.to_owned()).to_vec(),
            rows: summary
                .transports("program_cpu", *point)
                .into_iter()
                .map(row)
                .collect(),
        })
    };
    let tables = parts.iter().map(|(name, measure)| {
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
                  taken off), the right part what the daemon pays; the number at the end is both. At low rates each \
                  record pays for a wake-up of its own; flat out one wake-up serves many. Each picture has its own scale.",
        panels: points.iter().map(panel).collect(),
        table: stack(tables.collect()),
    }
}

fn calls(summary: &Summary) -> Figure {
    let seed = Point::named(Work::Seed);
    let has = |point: &Point| !summary.transports("producer_calls", *point).is_empty();
    let point = summary.centre().filter(has).or(Some(seed).filter(has));
    let sides = [
        (
            "producer",
            "A producer's calls",
            &["write", "wait", "pacing", "other"][..],
        ),
        (
            "daemon",
            "The daemon's calls",
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
        let row = |kind: &Transport| {
            (
                kind.name().to_owned(),
                classes.iter().map(|class| number(*kind, class)).collect(),
            )
        };
        panels.push(bars(&Bars {
            title: format!(
                "{title}, {}",
                load_name(point).replace(",000", "k")
                    + if point.work == Work::Load {
                        " records/s"
                    } else {
                        ""
                    }
            ),
            x_label: "system calls for a record".to_owned(),
            parts: classes.iter().map(|class| (*class).to_owned()).collect(),
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

fn percentiles(summary: &Summary) -> Figure {
    Figure {
        name: "percentiles",
        title: "How late records come: from when they were due".to_owned(),
        reading: "Each line goes from the usual record (left) to the unluckiest ones (right): at 99 %, one record of a \
                  hundred took longer than the line is high. Lower is quicker; a line that climbs at the right has rare \
                  long waits. Time counts from when the plan wanted the record sent, so a late sender is not hidden.",
        ..curve(summary, "due")
    }
}

fn percentiles_sent(summary: &Summary) -> Figure {
    Figure {
        name: "percentiles-sent",
        title: "How long the mechanism takes: from the send call".to_owned(),
        reading: "The same, but time counts from right before the call that sends: the mechanism and the daemon's \
                  wake-up alone, without the sender's own lateness.",
        ..curve(summary, "sent")
    }
}

/// The curve of percentiles at the centre, over 1 / (1 - p) by decades.
fn curve(summary: &Summary, from: &str) -> Figure {
    let point = summary.centre().unwrap_or(Point::named(Work::Load));
    let known = |(name, share): &(&'static str, f64)| {
        let measured = !summary
            .transports(&format!("{from}_{name}"), point)
            .is_empty();
        (*share < 1.0 && measured).then_some((*name, *share))
    };
    let shown: Vec<(&str, f64)> = PERCENTILES.iter().filter_map(known).collect();
    let rarity = |share: f64| -(1.0 - share).log10();
    let span = |share| rarity(share) - rarity(0.5);
    let full = shown.last().map_or(1.0, |(_, share)| span(*share)).max(0.1);
    let mut table = Table::default();
    let mut lines_of: Vec<(Transport, Vec<(f64, f64)>)> = Vec::new();
    for (name, share) in &shown {
        let measure = format!("{from}_{name}");
        let mut row = grid(summary, "of the records", &[point], &measure, load_name);
        row.rows
            .iter_mut()
            .for_each(|row| row[0].text = format!("{} %", &name[1..]));
        if table.is_empty() {
            table.columns.clone_from(&row.columns);
        }
        if row.columns == table.columns {
            table.rows.extend(row.rows);
        }
        for kind in summary.transports(&measure, point) {
            let place = (
                span(*share) / full,
                summary
                    .get(&measure, kind, point)
                    .map_or(0.0, |value| value.value),
            );
            match lines_of.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, points)) => points.push(place),
                None => lines_of.push((kind, vec![place])),
            }
        }
    }
    let ticks = shown
        .iter()
        .filter(|(name, _)| !matches!(*name, "p75" | "p95"));
    let chart = Lines {
        title: format!(
            "{} of each producer, all repetitions merged",
            point.rate.words()
        ),
        x_label: "so many percent of the records were at least as quick".to_owned(),
        x_ticks: ticks
            .map(|(name, share)| (span(*share) / full, name[1..].to_owned()))
            .collect(),
        y_label: "microseconds".to_owned(),
        logarithmic: true,
        series: lines_of,
        marks: true,
    };
    Figure {
        name: "",
        title: String::new(),
        reading: "",
        panels: vec![lines(&chart)],
        table,
    }
}

fn latency(summary: &Summary) -> Figure {
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
                  daemon's read returned. Flat out is not shown: there it is the length of a queue. Often the middle is \
                  quickest: at low rates processors and caches have gone to sleep, at high rates records wait for each other.",
        panels,
        table: stack(tables),
    }
}

fn batch(summary: &Summary) -> Figure {
    let (panel, table) = by_rate_panel(summary, "batch", "Records a round", "records", true);
    Figure {
        name: "batch",
        title: "How many records one round of the daemon serves".to_owned(),
        reading: "A round is one wait, the reads it leads to, and one write. Higher means that records share the price \
                  of a wake-up: this explains most of why a record is cheaper when more come. The scale goes by tenfolds.",
        panels: vec![panel],
        table,
    }
}

fn throughput(summary: &Summary) -> Figure {
    let points = axis(summary, |point| Point { size: 0, ..point });
    let log = |point: &Point| f64::from(point.size.max(1)).ln();
    let (low, high) = (
        points.first().map_or(0.0, log),
        points.last().map_or(1.0, log),
    );
    let size = |point: Point| super::value::number(f64::from(point.size)).replace(".0", "");
    let ticks: Vec<(f64, String)> = points
        .iter()
        .map(|point| {
            (
                (log(point) - low) / (high - low).max(1e-9),
                round(point.size),
            )
        })
        .collect();
    let rate = points.first().map_or(Rate::FlatOut, |point| point.rate);
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

fn round(size: u32) -> String {
    super::value::with_decimals(f64::from(size), 0)
}

fn loss(summary: &Summary) -> Figure {
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

fn waterfall(summary: &Summary) -> Figure {
    let transports = summary.transports("step_written", Point::named(Work::Follow));
    let (drawing, height) = timeline::draw(summary, &transports);
    let panel = Panel {
        drawing,
        title: "timeline".to_owned(),
        width: bars::WIDTH,
        height,
    };
    Figure {
        name: "waterfall",
        title: "The way of one record".to_owned(),
        reading: "Time runs to the right, on one clock. The upper lane of a pair is the sender, the lower one the daemon. \
                  Where the lanes overlap, both work at once; the daemon's lane often begins inside of the sender's call, \
                  since on one machine that call itself delivers the record and wakes the daemon up.",
        panels: vec![panel],
        table: table_by_name(summary, "waterfall").unwrap_or_default(),
    }
}
