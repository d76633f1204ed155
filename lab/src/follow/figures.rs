//! Medians and spreads of what was followed.

use super::matching::Followed;
use super::words::{STEPS, before};
use crate::journey::{Journey, Step};

/// The middle of some values, and between what the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub median: i64,
    pub lower_quartile: i64,
    pub upper_quartile: i64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(mut values: Vec<i64>) -> Option<Self> {
        values.sort_unstable();
        let last = values.len().checked_sub(1)?;
        Some(Self {
            // Of the two in the middle, if there are two: else what is negative had another median.
            median: i64::midpoint(values[last / 2], values[last - last / 2]),
            lower_quartile: values[last / 4],
            upper_quartile: values[last - last / 4],
        })
    }
}

/// A step, over all journeys in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub step: Step,
    /// When it was, in nanoseconds after the stamp.
    pub at: Spread,
    /// How long it took, from the step whose end is its beginning; the first takes nothing.
    pub took: Option<Spread>,
}

/// A row for each step that happened, in the order of their times.
pub fn rows(journeys: &[&Journey]) -> Vec<Row> {
    let row = |step| {
        let at =
            |journey: &&Journey| Some(moment(journey, step)? - moment(journey, Step::Stamped)?);
        Some(Row {
            step,
            at: Spread::of(journeys.iter().filter_map(at).collect())?,
            took: Spread::of(
                journeys
                    .iter()
                    .filter_map(|journey| took(journey, step))
                    .collect(),
            ),
        })
    };
    let mut rows: Vec<Row> = STEPS.into_iter().filter_map(row).collect();
    rows.sort_by_key(|row| row.at.median);
    rows
}

fn moment(journey: &Journey, step: Step) -> Option<i64> {
    i64::try_from(journey.at(step)?).ok()
}

/// From the beginning of a step to its end. If what it begins with did not happen, it began with what did before.
fn took(journey: &Journey, step: Step) -> Option<i64> {
    let end = moment(journey, step)?;
    let mut begin = before(step)?;
    while journey.at(begin).is_none() {
        begin = before(begin)?;
    }
    Some(end - moment(journey, begin)?)
}

/// How the time from the stamp to the file divides, in nanoseconds: these three add up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The sender, until it had woken the daemon.
    pub sender: i64,
    /// The daemon was ready, and waited for a processor.
    pub waiting: i64,
    pub daemon: i64,
}

impl Shares {
    /// Of a journey with a wake-up in it.
    fn of(journey: &Journey) -> Option<Self> {
        let at = |step| moment(journey, step);
        let (woken, running) = (at(Step::DaemonWoken)?, at(Step::DaemonRunning)?);
        Some(Self {
            sender: woken - at(Step::Stamped)?,
            waiting: running - woken,
            daemon: at(Step::Written)? - running,
        })
    }

    /// The median of each.
    pub fn median(followed: &[Followed]) -> Option<Self> {
        let all: Vec<Self> = followed
            .iter()
            .filter_map(|followed| Self::of(&followed.journey))
            .collect();
        let median = |part: fn(&Self) -> i64| {
            Spread::of(all.iter().map(part).collect()).map(|spread| spread.median)
        };
        Some(Self {
            sender: median(|shares| shares.sender)?,
            waiting: median(|shares| shares.waiting)?,
            daemon: median(|shares| shares.daemon)?,
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::follow::matching::journey;
    use log_aggregator::transports::Transport;

    /// A journey of all steps, `scale` times as long as the shortest.
    pub fn followed(scale: i64) -> Followed {
        let steps = [
            (Step::Due, 100_000 - 50 * scale),
            (Step::Stamped, 100_000),
            (Step::SendEntered, 100_000 + scale),
            (Step::DaemonWoken, 100_000 + 4 * scale),
            (Step::SendLeft, 100_000 + 6 * scale),
            (Step::DaemonRunning, 100_000 + 9 * scale),
            (Step::WaitReturned, 100_000 + 10 * scale),
            (Step::ReadEntered, 100_000 + 12 * scale),
            (Step::ReadReturned, 100_000 + 13 * scale),
            (Step::WriteEntered, 100_000 + 15 * scale),
            (Step::Written, 100_000 + 20 * scale),
        ];
        Followed {
            journey: journey(Transport::Fifo, steps.to_vec(), false),
            woken_by_sender: true,
            send_cpu: 1,
            daemon_cpu: 0,
        }
    }

    #[test]
    fn the_quartiles_hold_the_middle_half() {
        let spread = Spread::of((1..=9).rev().collect()).unwrap();
        assert_eq!(
            (spread.lower_quartile, spread.median, spread.upper_quartile),
            (3, 5, 7)
        );
        assert_eq!(Spread::of(vec![4]).unwrap().upper_quartile, 4);
        assert_eq!(Spread::of(vec![1, 5]).unwrap().median, 3);
        assert_eq!(Spread::of(vec![-1, -5]).unwrap().median, -3);
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn a_row_has_when_and_how_long() {
        let all = [1, 2, 3].map(followed);
        let journeys: Vec<&Journey> = all.iter().map(|followed| &followed.journey).collect();
        let rows = rows(&journeys);
        assert_eq!(rows.len(), STEPS.len());
        assert_eq!(
            (rows[0].step, rows[0].at.median, rows[0].took),
            (Step::Due, -100, None)
        );
        let left = rows.iter().find(|row| row.step == Step::SendLeft).unwrap();
        assert_eq!((left.at.median, left.took.unwrap().median), (12, 10));
        assert_eq!(left.took.unwrap().upper_quartile, 15);
    }

    #[test]
    fn a_step_begins_where_the_one_that_happened_before_it_ended() {
        let mut awake = followed(1).journey;
        let asleep = [Step::DaemonWoken, Step::DaemonRunning, Step::WaitReturned];
        awake.steps.retain(|(step, _)| !asleep.contains(step));
        assert_eq!(
            took(&awake, Step::ReadEntered),
            Some(11),
            "from the send call on"
        );
        assert_eq!(Shares::of(&awake), None);
    }

    #[test]
    fn the_shares_add_up_to_the_whole() {
        let shares = Shares::median(&[followed(2)]).unwrap();
        let parts = (shares.sender, shares.waiting, shares.daemon);
        assert_eq!(parts, (8, 10, 22));
    }
}
