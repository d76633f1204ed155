//! What the cells say together: a line for each, tables, the median, the worst, and whether that is too bad. Pure.

use super::cell::Cell;
use super::figures::Figures;
use super::parts::PARTS;
use crate::report::table::{Cell as Field, Table};
use crate::report::value::{Value, median, number, with_decimals};
use log_aggregator::error::Error;

/// How many percentage points more than `--linger 0` auto may lose, where that is asked at all.
const LOST_POINTS_MAX: f64 = 50.0;

/// A cell, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The cell.
    pub cell: Cell,
    /// Its figures, or why there are none.
    pub found: Result<Figures, String>,
}

impl Row {
    /// The line that is said when it is done.
    pub fn line(&self) -> String {
        let name = self.cell.to_string();
        match &self.found {
            Err(why) => format!("{name}  skipped: {why}"),
            Ok(figures) => format!("{name:<48}  {}", said(figures)),
        }
    }
}

fn said(figures: &Figures) -> String {
    let mut text = format!(
        "{}  auto {}/s, 0 {}/s, CPU {}",
        spread(&figures.ratio),
        number(figures.auto_rate),
        number(figures.zero_rate),
        ratio(figures.cpu.value),
    );
    if figures.groups.len() > 1 {
        text += &format!(", groups {}", groups(figures));
    }
    if figures.lost.iter().any(|lost| *lost > 0.0) {
        let [auto, zero] = figures.lost.map(percent);
        text += &format!(", lost {auto} % and {zero} %");
    }
    text
}

fn ratio(value: f64) -> String {
    with_decimals(value, 2)
}

fn percent(value: f64) -> String {
    with_decimals(value, 1)
}

/// `0.98 (0.90-1.02)`
fn spread(value: &Value) -> String {
    let middle = ratio(value.value);
    if value.each.len() < 2 {
        return middle;
    }
    format!("{middle} ({}-{})", ratio(value.low()), ratio(value.high()))
}

fn groups(figures: &Figures) -> String {
    let each: Vec<String> = figures
        .groups
        .iter()
        .map(|group| ratio(group.value))
        .collect();
    each.join(" and ")
}

const COLUMNS: [&str; 8] = [
    "cell",
    "auto, records/s",
    "0, records/s",
    "auto / 0",
    "of each group",
    "CPU a record",
    "lost %, auto and 0",
    "points more",
];

fn fields(row: &Row) -> Vec<Field> {
    let dash = || "-".to_owned();
    let mut texts = vec![row.cell.words()];
    match &row.found {
        Err(why) => texts[0] += &format!("; skipped: {why}"),
        Ok(figures) => {
            let is_mixed = figures.groups.len() > 1;
            let loses = figures.lost.iter().any(|lost| *lost > 0.0);
            let [auto, zero] = figures.lost.map(percent);
            let or_dash = |is_there: bool, text: String| if is_there { text } else { dash() };
            texts.extend([
                number(figures.auto_rate),
                number(figures.zero_rate),
                spread(&figures.ratio),
                or_dash(is_mixed, groups(figures)),
                ratio(figures.cpu.value),
                or_dash(loses, format!("{auto} and {zero}")),
                or_dash(loses, percent(figures.lost_points.value)),
            ]);
        }
    }
    texts.resize_with(COLUMNS.len(), dash);
    texts.into_iter().map(Field::text).collect()
}

/// A table for each part that has rows.
pub fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    for part in PARTS {
        let own: Vec<&Row> = rows
            .iter()
            .filter(|row| row.cell.part == part.name)
            .collect();
        if own.is_empty() {
            continue;
        }
        let mut table = Table::new(&COLUMNS);
        table.rows = own.iter().map(|row| fields(row)).collect();
        let table = table.without_empty_columns().markdown();
        text += &format!("**{}** (`{}`)\n\n{table}\n", part.title, part.name);
    }
    text
}

fn figures(rows: &[Row]) -> impl Iterator<Item = (&Cell, &Figures)> {
    rows.iter()
        .filter_map(|row| Some((&row.cell, row.found.as_ref().ok()?)))
}

/// The median of the cells, and the worst of them, in a sentence each; nothing of no cell.
pub fn conclusion(rows: &[Row]) -> Option<String> {
    let ratios: Vec<f64> = figures(rows).map(|(_, it)| it.worst().value).collect();
    let middle = median(&ratios)?;
    let (cell, worst) =
        figures(rows).min_by(|(_, a), (_, b)| a.worst().value.total_cmp(&b.worst().value))?;
    let below = ratios.iter().filter(|ratio| **ratio < 0.9).count();
    let mut text = format!(
        "Cells: {}, {} skipped. Their median is {}, {below} below 0.9. The worst is `{cell}`: {} of what `--linger 0` \
         writes.",
        rows.len(),
        rows.len() - ratios.len(),
        ratio(middle),
        spread(worst.worst()),
    );
    let most = |a: &(&Cell, &Figures), b: &(&Cell, &Figures)| {
        a.1.lost_points.value.total_cmp(&b.1.lost_points.value)
    };
    if let Some((cell, figures)) = figures(rows)
        .max_by(most)
        .filter(|(_, figures)| figures.lost_points.value > 0.0)
    {
        let points = percent(figures.lost_points.value);
        text += &format!(
            " The most that auto lost beyond 0 is in `{cell}`: {points} percentage points of what was sent."
        );
    }
    Some(text)
}

/// Whether no cell is below this factor, nor loses half of what is sent beside what 0 loses.
///
/// # Errors
/// The worst cell that is or does.
pub fn judge(rows: &[Row], factor: f64) -> Result<(), Error> {
    let slow = |figures: &Figures| figures.worst().value < factor;
    let lossy = |figures: &Figures| figures.lost_points.value > LOST_POINTS_MAX;
    let bad = figures(rows).filter(|(_, figures)| slow(figures) || lossy(figures));
    let mut bad: Vec<(&Cell, &Figures)> = bad.collect();
    bad.sort_by(|(_, a), (_, b)| a.worst().value.total_cmp(&b.worst().value));
    let Some((cell, worst)) = bad.first() else {
        return Ok(());
    };
    let said = if slow(worst) {
        format!(
            "auto writes {} of what 0 does, less than {}",
            ratio(worst.worst().value),
            number(factor)
        )
    } else {
        let points = percent(worst.lost_points.value);
        format!("auto loses {points} percentage points more than 0")
    };
    let more = match bad.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more cells are so)"),
    };
    Err(
        Error::new("accept", format!("the wait in {cell}"), said + &more).advise(format!(
            "run it again on a quiet machine: lab wait --part {} --cell {}",
            cell.part,
            cell.words()
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::cell::Group;
    use crate::wait::figures::Pair;
    use crate::wait::trial::Outcome;
    use log_aggregator::transports::Transport::{self, Fifo, Udp};

    /// Over UDP, 4,000 were sent each time; elsewhere what was written.
    fn row(transport: Transport, auto: u64, zero: u64) -> Row {
        let outcome = |written: u64| Outcome {
            sent: vec![if transport == Udp { 4000 } else { written }],
            written: vec![written],
            seconds: 1.0,
            cpu_ns: written * 500,
        };
        let pair = Pair {
            auto: outcome(auto),
            zero: outcome(zero),
        };
        Row {
            cell: Cell::of("sizes", Group::new(transport, 64)),
            found: Ok(Figures::of(&[pair]).unwrap()),
        }
    }

    fn rows() -> Vec<Row> {
        vec![
            row(Fifo, 2000, 4000),
            row(Udp, 3000, 3000),
            Row {
                cell: Cell::of("qlen", Group::new(Transport::Unixgram, 200)).qlen(10),
                found: Err("no root".to_owned()),
            },
        ]
    }

    #[test]
    fn a_line_says_what_matters() {
        let lines: Vec<String> = rows().iter().map(Row::line).collect();
        assert!(lines[0].starts_with("sizes/fifo/size=64 "), "{}", lines[0]);
        assert!(lines[0].contains("  0.50  auto 2,000/s, 0 4,000/s, CPU 1.00"));
        assert!(
            lines[1].ends_with(", lost 25.0 % and 25.0 %"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], "qlen/unixgram/size=200/qlen=10  skipped: no root");
    }

    #[test]
    fn there_is_a_table_for_each_part() {
        let text = tables(&rows()[..1]);
        assert_eq!(
            text,
            "**Record sizes, one sender flat out** (`sizes`)\n\n\
             | cell | auto, records/s | 0, records/s | auto / 0 | CPU a record |\n\
             | --- | ---: | ---: | ---: | ---: |\n\
             | fifo/size=64 | 2,000 | 4,000 | 0.50 | 1.00 |\n\n"
        );
        let all = tables(&rows());
        assert!(
            all.contains("| unixgram/size=200/qlen=10; skipped: no root |"),
            "{all}"
        );
    }

    #[test]
    fn the_worst_is_named() {
        let text = conclusion(&rows()).unwrap();
        assert!(text.starts_with("Cells: 3, 1 skipped. Their median is 0.75, 1 below 0.9."));
        assert!(
            text.contains("The worst is `sizes/fifo/size=64`: 0.50 of"),
            "{text}"
        );
        assert!(!text.contains("lost"), "{text}");
        assert_eq!(conclusion(&rows()[2..]), None);
        let text = conclusion(&[row(Udp, 1200, 3600)]).unwrap();
        assert!(
            text.contains("`sizes/udp/size=64`: 60.0 percentage points"),
            "{text}"
        );
    }

    #[test]
    fn a_factor_and_a_loss_are_judged() {
        assert_eq!(judge(&rows(), 0.5), Ok(()));
        let error = judge(&rows(), 0.6).unwrap_err().to_string();
        assert!(
            error.contains("the wait in sizes/fifo/size=64: auto writes 0.50"),
            "{error}"
        );
        let lossy = [row(Udp, 1200, 3600)];
        let error = judge(&lossy, 0.1).unwrap_err().to_string();
        assert!(
            error.contains("loses 60.0 percentage points more"),
            "{error}"
        );
    }
}
