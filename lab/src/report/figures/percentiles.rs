//! How late records come: curves of percentiles.

use super::Figure;
use super::parts::{at_rate, grid, lines};
use crate::report::Point;
use crate::report::chart::lines::Lines;
use crate::report::measure::PERCENTILES;
use crate::report::point::Work;
use crate::report::summary::Summary;
use crate::report::table::Table;
use crate::report::tables::load_name;
use log_aggregator::transports::Transport;

pub fn percentiles(summary: &Summary) -> Figure {
    Figure {
        name: "percentiles",
        title: "How late records come: from when they were due".to_owned(),
        reading: "Each line goes from the usual record (left) to the unluckiest ones (right): at 99 %, one record of a \
                  hundred took longer than the line is high. Lower is quicker; a line that climbs at the right has rare \
                  long waits. Time counts from when the plan wanted the record sent, so a late sender is not hidden. All repetitions are in it.",
        ..curve(summary, "due")
    }
}

pub fn percentiles_sent(summary: &Summary) -> Figure {
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
        title: format!("Latency {}", at_rate(point)),
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
