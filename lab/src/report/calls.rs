//! System calls by class, and what of them one more record adds.

use super::measure::{DAEMON_CLASSES, PRODUCER_CLASSES};
use super::value::{Value, median};
use crate::trial::Trial;
use std::collections::BTreeMap;

/// Who made the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Producer,
    Daemon,
}

impl Side {
    /// As names of measures have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Daemon => "daemon",
        }
    }

    /// The classes of its calls, in the order in which they are shown.
    pub fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Producer => &PRODUCER_CLASSES,
            Self::Daemon => &DAEMON_CLASSES,
        }
    }

    /// The class of a call, by its name.
    fn class(self, call: &str) -> &'static str {
        match call {
            "clock_nanosleep" | "nanosleep" => "pacing",
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" => "wait",
            "write" | "writev" | "pwrite64" => "write",
            "sendto" | "sendmsg" | "sendmmsg" if self == Self::Producer => "write",
            "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" if self == Self::Daemon => {
                "read"
            }
            _ => "other",
        }
    }

    fn calls(self, trial: &Trial) -> Option<&BTreeMap<String, u64>> {
        let counts = trial.counts.as_ref()?;
        Some(match self {
            Self::Producer => &counts.producer_calls,
            Self::Daemon => &counts.daemon_calls,
        })
    }

    /// The records that its calls were for: a lost one was sent, too.
    #[allow(clippy::cast_precision_loss)] // counts of records are far below 2^52
    fn records(self, trial: &Trial) -> Option<f64> {
        let records = match self {
            Self::Producer => trial.delivery.sent,
            Self::Daemon => trial.delivery.written,
        };
        (records > 0).then_some(records as f64)
    }

    /// Calls of a class in a trial, or of all classes (`calls`).
    fn count(self, trial: &Trial, class: &str) -> Option<f64> {
        let calls = self.calls(trial)?;
        let belongs = |name: &str| class == "calls" || self.class(name) == class;
        let counts = calls.iter().filter(|(name, _)| belongs(name));
        #[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^52
        Some(counts.map(|(_, count)| *count as f64).sum())
    }
}

/// Reports the calls of one length of a load, and, if it was traced at another length too, their slope: name and
/// value of each.
pub fn measure(main: &[&Trial], other: &[&Trial], mut add: impl FnMut(String, Value)) {
    for side in [Side::Producer, Side::Daemon] {
        for class in side.classes().iter().chain(&["calls"]) {
            let name = format!("{}_{class}", side.name());
            let sums: Vec<f64> = main
                .iter()
                .filter_map(|trial| side.count(trial, class))
                .collect();
            let per_record = main
                .iter()
                .filter_map(|trial| Some(side.count(trial, class)? / side.records(trial)?))
                .collect();
            if let Some(value) = Value::median_of(per_record) {
                add(name.clone(), value);
            }
            if let Some(slope) = slope(side, class, main, other) {
                add(format!("{name}_fixed"), slope.0);
                add(format!("{name}_each"), slope.1);
            }
            if let Some(value) = Value::median_of(sums) {
                add(format!("{name}_sum"), value);
            }
        }
    }
}

/// a and b of a + b * N, from the medians of two lengths.
fn slope(side: Side, class: &str, main: &[&Trial], other: &[&Trial]) -> Option<(Value, Value)> {
    let of = |trials: &[&Trial]| {
        let calls: Option<Vec<f64>> = trials.iter().map(|t| side.count(t, class)).collect();
        let records: Option<Vec<f64>> = trials.iter().map(|t| side.records(t)).collect();
        Some((median(&records?)?, median(&calls?)?))
    };
    let ((n1, calls1), (n2, calls2)) = (of(main)?, of(other)?);
    if (n2 - n1).abs() < 1.0 {
        return None;
    }
    let each = (calls2 - calls1) / (n2 - n1);
    let fixed = Value::median_of(vec![calls1 - each * n1])?;
    Some((fixed, Value::median_of(vec![each])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn found(main: &[Trial], other: &[Trial]) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        let [main, other] = [main, other].map(|trials| trials.iter().collect::<Vec<_>>());
        measure(&main, &other, |name, value| {
            values.insert(name, value);
        });
        values
    }

    #[test]
    fn calls_are_sorted_into_classes() {
        let mut trial = fixture::traced(fixture::centre("unixgram"), 100);
        let counts = trial.counts.as_mut().unwrap();
        let calls = [
            ("recvmmsg", 90),
            ("epoll_wait", 80),
            ("write", 70),
            ("accept4", 5),
        ];
        counts.daemon_calls = calls.map(|(name, count)| (name.to_owned(), count)).into();
        let calls = [("write", 100), ("clock_nanosleep", 95), ("mmap", 5)];
        counts.producer_calls = calls.map(|(name, count)| (name.to_owned(), count)).into();
        let values = found(&[trial], &[]);
        let of = |name: &str| values[name].value;
        assert_eq!(of("daemon_read"), 0.9);
        assert_eq!(of("daemon_wait_sum"), 80.0);
        assert_eq!(of("daemon_write"), 0.7);
        assert_eq!(of("daemon_other_sum"), 5.0);
        assert_eq!(of("daemon_calls_sum"), 245.0);
        assert_eq!(of("producer_write"), 1.0);
        assert_eq!(of("producer_pacing"), 0.95);
        assert_eq!(of("producer_calls"), 2.0);
        assert!(!values.contains_key("producer_calls_each"));
    }

    #[test]
    fn two_lengths_tell_the_start_from_the_records() {
        let of = |records: u64| {
            let mut trial = fixture::traced(fixture::centre("tcp"), records);
            let counts = trial.counts.as_mut().unwrap();
            counts.producer_calls =
                [("write".to_owned(), records), ("mmap".to_owned(), 185)].into();
            trial
        };
        let values = found(&[of(250)], &[of(500)]);
        assert_eq!(values["producer_calls_fixed"].value, 185.0);
        assert_eq!(values["producer_calls_each"].value, 1.0);
        assert_eq!(values["producer_other_each"].value, 0.0);
        assert_eq!(values["producer_write_fixed"].value, 0.0);
    }
}
