//! The ways of single records, put together: the median of each step.

use super::value::Value;
use crate::journey::{Journey, Step};

/// The steps in their usual order, and what has happened when each is reached.
pub const STEPS: [(Step, &str); 11] = [
    (Step::Due, "the record was due by the plan"),
    (Step::Stamped, "the producer had written the time into it"),
    (Step::SendEntered, "the send call was entered"),
    (Step::DaemonWoken, "the daemon was made ready to run"),
    (Step::SendLeft, "the send call returned"),
    (Step::DaemonRunning, "the daemon ran on a processor"),
    (Step::WaitReturned, "the daemon's wait returned"),
    (Step::ReadEntered, "the daemon entered its read"),
    (Step::ReadReturned, "the read brought the record"),
    (Step::WriteEntered, "the daemon entered its write"),
    (Step::Written, "the record was in the file"),
];

/// As in the name of a measure.
pub fn name(step: Step) -> &'static str {
    match step {
        Step::Due => "due",
        Step::Stamped => "stamped",
        Step::SendEntered => "send_entered",
        Step::DaemonWoken => "daemon_woken",
        Step::SendLeft => "send_left",
        Step::DaemonRunning => "daemon_running",
        Step::WaitReturned => "wait_returned",
        Step::ReadEntered => "read_entered",
        Step::ReadReturned => "read_returned",
        Step::WriteEntered => "write_entered",
        Step::Written => "written",
    }
}

/// Reports the median of each step of these journeys, in microseconds from when the send call was entered, and how
/// often sender and daemon had the same processor. A journey without a send call is left out.
pub fn measure(journeys: &[&Journey], mut add: impl FnMut(String, Value)) {
    for (step, _) in STEPS {
        let each = journeys
            .iter()
            .filter_map(|journey| relative(journey, step))
            .collect();
        if let Some(value) = Value::median_of(each) {
            add(format!("step_{}", name(step)), value);
        }
    }
    let same = |journey: &&Journey| if journey.same_cpu { 100.0 } else { 0.0 };
    let each: Vec<f64> = journeys.iter().map(same).collect();
    #[allow(clippy::cast_precision_loss)] // a handful of journeys
    let share = each.iter().sum::<f64>() / each.len() as f64;
    if !each.is_empty() {
        add("same_cpu".to_owned(), Value { value: share, each });
    }
}

#[allow(clippy::cast_precision_loss)] // differences are far below 2^52
fn relative(journey: &Journey, step: Step) -> Option<f64> {
    let (at, zero) = (journey.at(step)?, journey.at(Step::SendEntered)?);
    let far = at.abs_diff(zero) as f64 / 1000.0;
    Some(if at < zero { -far } else { far })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn steps_are_medians_from_the_send_call_on() {
        let journey = |number, woken: Option<u64>, written| Journey {
            transport: "udp".to_owned(),
            number,
            steps: [
                (Step::Due, Some(900)),
                (Step::SendEntered, Some(2_000)),
                (Step::DaemonWoken, woken),
            ]
            .into_iter()
            .chain([(Step::Written, Some(written))])
            .filter_map(|(step, at)| Some((step, at?)))
            .collect(),
            same_cpu: number == 0,
        };
        let journeys = [
            journey(0, Some(3_000), 52_000),
            journey(1, None, 42_000),
            journey(2, Some(5_000), 12_000),
            journey(3, None, 32_000),
        ];
        let mut values = BTreeMap::new();
        measure(&journeys.iter().collect::<Vec<_>>(), |name, value| {
            values.insert(name, value.value);
        });
        let want = [
            ("same_cpu", 25.0),
            ("step_daemon_woken", 2.0),
            ("step_due", -1.1),
            ("step_send_entered", 0.0),
            ("step_written", 35.0),
        ];
        assert_eq!(
            values,
            want.map(|(name, value)| (name.to_owned(), value)).into()
        );
    }
}
