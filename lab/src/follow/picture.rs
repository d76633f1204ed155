//! Draws a record's way, at most [`COLUMNS`] wide.

use super::figures::{Row, Shares, rows};
use super::matching::Followed;
use super::words;
use crate::journey::{Journey, Step};
use log_aggregator::transports::Transport;
use std::fmt::Write as _;

/// Columns of the terminal that are used.
pub const COLUMNS: usize = 100;

/// The timeline: a line for each step, with a bar from its beginning to its end.
pub fn timeline(journeys: &[&Journey]) -> String {
    let rows = rows(journeys);
    let has_spread = journeys.len() > 1;
    let cells: Vec<[String; 5]> = rows.iter().map(|row| cells(row, has_spread)).collect();
    let heads = [
        "who",
        "step",
        "at ns",
        "took ns",
        if has_spread { "middle half" } else { "" },
    ];
    let width = |column: usize| {
        let lengths = cells.iter().map(|cells| cells[column].len());
        lengths.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let left = |cells: &[String; 5]| {
        let [who, step, at, took, middle] = cells;
        let [a, b, c, d, e] = widths;
        format!("{who:<a$}  {step:<b$}  {at:>c$}  {took:>d$}  {middle:>e$}")
            .trim_end()
            .to_owned()
    };
    let end = rows.iter().map(|row| row.at.median).max().unwrap_or(0);
    let used = widths.iter().sum::<usize>() + 8 + if has_spread { 2 } else { 0 };
    let room = COLUMNS.saturating_sub(used);
    let mut text = String::new();
    let scale = format!("{:>room$}", format!("{} ns", grouped(end)));
    let lines = rows
        .iter()
        .zip(&cells)
        .map(|(row, cells)| (left(cells), bar(row, end, room)));
    let head = (
        left(&heads.map(str::to_owned)),
        format!("0{}", &scale[1.min(scale.len())..]),
    );
    for (left, right) in std::iter::once(head).chain(lines) {
        let line = format!("{left:<used$}{right}");
        let _ = writeln!(text, "{}", line.trim_end()); // a String takes all
    }
    text
}

fn cells(row: &Row, has_spread: bool) -> [String; 5] {
    let took = row.took.map_or(String::new(), |took| grouped(took.median));
    let middle = match row.took {
        Some(took) if has_spread => format!(
            "{}..{}",
            grouped(took.lower_quartile),
            grouped(took.upper_quartile)
        ),
        _ => String::new(),
    };
    [
        words::who(row.step).to_owned(),
        words::name(row.step).to_owned(),
        grouped(row.at.median),
        took,
        middle,
    ]
}

/// Where a step lies between the stamp and `end`, on `room` columns; hollow where the daemon waits. What lies before the
/// stamp has no place on it.
fn bar(row: &Row, end: i64, room: usize) -> String {
    let column = |ns: i64| {
        let ns = usize::try_from(ns.clamp(0, end)).unwrap_or(0);
        let end = usize::try_from(end).unwrap_or(0).max(1);
        ns * room / end
    };
    let took = match row.took {
        Some(took) if row.at.median > 0 => took.median,
        _ => return String::new(),
    };
    let begin = column(row.at.median - took).min(room.saturating_sub(1));
    let length = column(row.at.median).saturating_sub(begin).max(1);
    let fill = if row.step == Step::DaemonRunning {
        "░"
    } else {
        "█"
    };
    " ".repeat(begin) + &fill.repeat(length)
}

/// What each step means, a line each.
pub fn explanation(journeys: &[&Journey], transport: Transport) -> String {
    let line = |row: Row| {
        let (name, meaning) = (words::name(row.step), words::meaning(row.step, transport));
        format!("{name:<19}  {meaning}\n")
    };
    rows(journeys).into_iter().map(line).collect()
}

/// Who worked, and where.
pub fn who_worked(followed: &[Followed], transport: Transport) -> String {
    let Some(shares) = Shares::median(followed) else {
        return "The daemon was awake already: nobody had to wake it.\n".to_owned();
    };
    let whole = (shares.sender + shares.waiting + shares.daemon).max(1);
    let parts = [
        ("the sender, until the daemon was woken", shares.sender),
        ("the daemon, ready, waited for a processor", shares.waiting),
        (
            "the daemon, until the record was in its file",
            shares.daemon,
        ),
    ];
    let mut text = String::new();
    for (name, ns) in parts {
        let percent = (ns * 100 + whole / 2) / whole;
        let _ = writeln!(text, "{percent:>4} %  {:>9} ns  {name}", grouped(ns));
    }
    let _ = writeln!(text, "\n{}", words::work_of_the_sender(transport));
    let _ = writeln!(text, "{}", where_it_ran(followed));
    text
}

fn where_it_ran(followed: &[Followed]) -> String {
    let all = followed.len();
    let count = |fact: fn(&Followed) -> bool| followed.iter().filter(|one| fact(one)).count();
    let by_sender = count(|one| one.woken_by_sender);
    let same_cpu = count(|one| one.journey.same_cpu);
    if let [one] = followed {
        let waker = if by_sender == 1 {
            "the sender's own call"
        } else {
            "an interrupt, not by the sender's call"
        };
        let place = if same_cpu == 1 {
            "too, once the sender slept".to_owned()
        } else {
            format!("on processor {}", one.daemon_cpu)
        };
        return format!(
            "Woken by {waker}. That ran on processor {}, the daemon {place}.",
            one.send_cpu
        );
    }
    format!(
        "Woken by the sender's own call in {by_sender} of {all}; the daemon ran on the sender's processor in \
         {same_cpu} of {all}."
    )
}

/// With a comma between thousands.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::followed;
    use super::*;

    fn width(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn one_record_has_a_line_and_a_bar_for_each_step() {
        let one = followed(1000);
        let text = timeline(&[&one.journey]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 12, "{text}");
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["who", "step", "at", "ns", "took", "ns", "0", "20,000", "ns"]
        );
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(lines[1]), ["due", "-50,000"], "{text}");
        assert_eq!(
            words(lines[6])[..5],
            ["(waits)", "daemon", "running", "9,000", "5,000"]
        );
        assert!(lines[6].contains('░') && !lines[6].contains('█'), "{text}");
        assert!(lines[11].ends_with('█'), "{text}");
        assert_eq!(width(&text), COLUMNS);
    }

    #[test]
    fn a_bar_lies_between_the_beginning_and_the_end_of_its_step() {
        let one = followed(10);
        let journeys = [&one.journey];
        let rows = rows(&journeys);
        let of = |step| bar(rows.iter().find(|row| row.step == step).unwrap(), 200, 20);
        assert_eq!(of(Step::SendEntered), "█");
        assert_eq!(of(Step::SendLeft), " █████");
        assert_eq!(of(Step::DaemonRunning), "    ░░░░░");
        assert_eq!(of(Step::Due), "");
        assert_eq!(of(Step::Stamped), "");
    }

    #[test]
    fn many_records_have_medians_and_quartiles() {
        let all: Vec<Followed> = (1..=9).map(|scale| followed(scale * 100)).collect();
        let journeys: Vec<&Journey> = all.iter().map(|one| &one.journey).collect();
        let text = timeline(&journeys);
        let left = text.lines().find(|line| line.contains("send call left"));
        let words: Vec<&str> = left.unwrap().split_whitespace().collect();
        assert_eq!(words[4..7], ["3,000", "2,500", "1,500..3,500"], "{text}");
        assert!(width(&text) <= COLUMNS);
        let who = who_worked(&all, Transport::Fifo);
        assert!(who.contains("  20 %      2,000 ns  the sender, "), "{who}");
        assert!(who.contains("in 9 of 9; the daemon ran on the sender's processor in 0 of 9."));
        assert!(width(&who) <= COLUMNS);
    }

    #[test]
    fn a_single_record_says_on_which_processors_it_was() {
        let text = who_worked(&[followed(1)], Transport::Tcp);
        assert!(
            text.contains("ran on processor 1, the daemon on processor 0."),
            "{text}"
        );
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(-999), "-999");
        assert_eq!(grouped(-1000), "-1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
