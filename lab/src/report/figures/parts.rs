//! What figures are made of.

use super::Panel;
use crate::report::Point;
use crate::report::chart::bars::{self, Bars};
use crate::report::chart::lines::{self, Lines};
use crate::report::point::{Rate, Work};
use crate::report::summary::Summary;
use crate::report::table::{Cell, Table};
use log_aggregator::transports::Transport;

/// A chart of lines as a panel.
pub fn lines(chart: &Lines) -> Panel {
    let (width, height) = lines::SIZE;
    Panel {
        drawing: chart.draw(),
        title: chart.title.clone(),
        width,
        height,
    }
}

/// A chart of bars as a panel.
pub fn bars(chart: &Bars) -> Panel {
    let (drawing, height) = chart.draw();
    Panel {
        drawing,
        title: chart.title.clone(),
        width: bars::WIDTH,
        height,
    }
}

/// A table of one measure: a row for each point, a column for each mechanism.
pub fn grid(
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
pub fn stack(tables: Vec<(&str, Table)>) -> Table {
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
pub fn evenly(points: &[Point], label: fn(Point) -> String) -> Vec<(f64, String)> {
    let last = points.len().saturating_sub(1).max(1) as f64;
    points
        .iter()
        .enumerate()
        .map(|(index, point)| (index as f64 / last, label(*point)))
        .collect()
}

/// The numbers of a measure at these points, for each mechanism that has any.
pub fn series(
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

/// The load, for the title of a panel.
pub fn at_rate(point: Point) -> String {
    match (point.work, point.rate) {
        (Work::Load, Rate::PerSecond(_)) => format!("at {} from each", point.rate.words()),
        (Work::Load, Rate::FlatOut) => "flat out".to_owned(),
        _ => point.words(),
    }
}
