//! What the repetitions of one load cost: time, processor time, latency, switches, loss.
#![allow(clippy::cast_precision_loss)] // counts and nanoseconds of a trial are far below 2^52

use super::measure::PERCENTILES;
use super::value::{Value, median};
use crate::latency::{Latencies, histogram};
use crate::trial::{Trial, Usage};
use hdrhistogram::Histogram;

type Measurement = (&'static str, fn(&Trial) -> Option<f64>);

/// Measured once in each repetition; the median is shown.
const MEDIANS: &[Measurement] = &[
    ("throughput", |t| {
        ratio(t.delivery.written as f64, t.seconds)
    }),
    ("lost", |t| {
        ratio(100.0 * t.delivery.missing as f64, t.delivery.sent as f64)
    }),
    ("daemon_cpu", |t| {
        by_written(t, t.daemon.cpu_ns as f64 / 1e3)
    }),
    ("producer_cpu", |t| by_sent(t, net(t, |u| u.cpu_ns) / 1e3)),
    ("program_cpu", |t| {
        Some(by_written(t, t.daemon.cpu_ns as f64 / 1e3)? + by_sent(t, net(t, |u| u.cpu_ns) / 1e3)?)
    }),
    ("startup_cpu", |t| {
        let base = t.producers_base?.cpu_ns as f64 / 1e3;
        ratio(base, f64::from(t.setting.producers))
    }),
    ("machine_cpu", |t| {
        by_written(t, t.machine_cpu_ns as f64 / 1e3)
    }),
    ("batch", |t| {
        ratio(t.delivery.written as f64, t.daemon.write_calls as f64)
    }),
    ("daemon_voluntary", |t| {
        by_written(t, t.daemon.voluntary_switches as f64)
    }),
    ("daemon_involuntary", |t| {
        by_written(t, t.daemon.involuntary_switches as f64)
    }),
    ("producer_voluntary", |t| {
        by_sent(t, net(t, |u| u.voluntary_switches))
    }),
    ("producer_involuntary", |t| {
        by_sent(t, net(t, |u| u.involuntary_switches))
    }),
    ("daemon_queue", |t| {
        by_written(t, t.daemon.run_queue_wait_ns as f64 / 1e3)
    }),
    ("producer_queue", |t| {
        by_sent(t, net(t, |u| u.run_queue_wait_ns) / 1e3)
    }),
    ("daemon_memory", |t| {
        Some(t.daemon.memory_peak_kib as f64 / 1024.0)
    }),
    ("producer_memory", |t| {
        Some(t.producers.memory_peak_kib as f64 / 1024.0)
    }),
];

/// Counted in each repetition; the sum of all is shown.
const SUMS: &[Measurement] = &[
    ("sent", |t| Some(t.delivery.sent as f64)),
    ("written", |t| Some(t.delivery.written as f64)),
    ("missing", |t| Some(t.delivery.missing as f64)),
    ("socket_drops", |t| Some(t.delivery.socket_drops as f64)),
    ("kernel_drops", |t| Some(t.delivery.kernel_drops as f64)),
    ("duplicates", |t| Some(t.delivery.duplicates as f64)),
    ("reordered", |t| Some(t.delivery.reordered as f64)),
];

/// Counted by a tracer; the median is shown.
const COUNTED: &[Measurement] = &[
    ("daemon_wakeups", |t| {
        by_written(t, t.counts.as_ref()?.daemon_wakeups? as f64)
    }),
    ("producer_wakeups", |t| {
        by_sent(t, t.counts.as_ref()?.producer_wakeups? as f64)
    }),
    ("wake_to_run", |t| {
        let (times, ns) = t.counts.as_ref()?.daemon_wake_to_run?;
        ratio(ns as f64 / 1e3, times as f64)
    }),
];

/// Reports the numbers of repetitions that nobody watched.
pub fn measure(trials: &[&Trial], mut add: impl FnMut(String, Value)) {
    for (name, of) in MEDIANS {
        let each = trials.iter().filter_map(|trial| of(trial)).collect();
        if let Some(value) = Value::median_of(each) {
            add((*name).to_owned(), value);
        }
    }
    for (name, of) in SUMS {
        let each = trials.iter().filter_map(|trial| of(trial)).collect();
        if let Some(value) = Value::sum_of(each) {
            add((*name).to_owned(), value);
        }
    }
    let latencies: Vec<&Latencies> = trials.iter().filter_map(|t| t.latencies.as_ref()).collect();
    let from =
        |of: fn(&Latencies) -> &Histogram<u64>| latencies.iter().map(|l| of(l)).collect::<Vec<_>>();
    measure_latency("due", &from(|latencies| &latencies.from_due), &mut add);
    measure_latency("sent", &from(|latencies| &latencies.from_sent), &mut add);
}

/// Reports what only a tracer can count.
pub fn measure_counted(trials: &[&Trial], mut add: impl FnMut(String, Value)) {
    for (name, of) in COUNTED {
        let each = trials.iter().filter_map(|trial| of(trial)).collect();
        if let Some(value) = Value::median_of(each) {
            add((*name).to_owned(), value);
        }
    }
}

/// Reports what it cost to be watched: of the same load, traced by untraced.
pub fn measure_tracing(timed: &[&Trial], traced: &[&Trial], mut add: impl FnMut(String, Value)) {
    for (name, shown) in [
        ("tracing_cpu", "program_cpu"),
        ("tracing_throughput", "throughput"),
    ] {
        let Some((_, of)) = MEDIANS.iter().find(|(known, _)| *known == shown) else {
            continue;
        };
        let [plain, watched] = [timed, traced].map(|trials| {
            median(
                &trials
                    .iter()
                    .filter_map(|trial| of(trial))
                    .collect::<Vec<_>>(),
            )
        });
        let times = plain
            .zip(watched)
            .and_then(|(plain, watched)| ratio(watched, plain));
        if let Some(value) = times.and_then(|times| Value::median_of(vec![times])) {
            add(name.to_owned(), value);
        }
    }
}

/// The percentiles of all repetitions together: their histograms are added. Those of each repetition by itself show
/// how far they are apart. A percentile is left out where fewer than one record would be beyond it.
fn measure_latency(from: &str, each: &[&Histogram<u64>], mut add: impl FnMut(String, Value)) {
    let mut merged = histogram();
    let added: Result<(), _> = each.iter().try_for_each(|one| merged.add(*one));
    if added.is_err() || merged.is_empty() {
        return;
    }
    let at = |histogram: &Histogram<u64>, share: f64| match share {
        1.0 => histogram.max() as f64 / 1e3,
        _ => histogram.value_at_quantile(share) as f64 / 1e3,
    };
    for (name, share) in PERCENTILES {
        if share < 1.0 && (merged.len() as f64) * (1.0 - share) < 1.0 - 1e-9 {
            continue;
        }
        let filled = each.iter().filter(|one| !one.is_empty());
        let value = Value {
            value: at(&merged, share),
            each: filled.map(|one| at(one, share)).collect(),
        };
        add(format!("{from}_{name}"), value);
    }
}

/// What producers used for records: all, without what they use to start and end, where that is known.
fn net(trial: &Trial, of: fn(&Usage) -> u64) -> f64 {
    let base = trial.producers_base.as_ref().map_or(0, of);
    of(&trial.producers).saturating_sub(base) as f64
}

fn by_written(trial: &Trial, amount: f64) -> Option<f64> {
    ratio(amount, trial.delivery.written as f64)
}

fn by_sent(trial: &Trial, amount: f64) -> Option<f64> {
    ratio(amount, trial.delivery.sent as f64)
}

fn ratio(amount: f64, by: f64) -> Option<f64> {
    (by > 0.0).then(|| amount / by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use std::collections::BTreeMap;

    #[test]
    fn a_trial_is_divided_by_the_right_records() {
        let mut trial = fixture::timed(fixture::at_rate("udp", 0), 1000);
        trial.delivery.written = 500;
        trial.delivery.missing = 500;
        trial.daemon.cpu_ns = 1_000_000;
        trial.daemon.write_calls = 50;
        trial.producers.cpu_ns = 5_000_000;
        trial.producers_base = Some(Usage {
            cpu_ns: 1_000_000,
            ..Usage::default()
        });
        trial.machine_cpu_ns = 20_000_000;
        let mut found = BTreeMap::new();
        measure(&[&trial], |name, value| {
            found.insert(name, value.value);
        });
        let want = [
            ("daemon_cpu", 2.0),
            ("producer_cpu", 4.0),
            ("program_cpu", 6.0),
            ("startup_cpu", 200.0),
            ("machine_cpu", 40.0),
            ("batch", 10.0),
            ("lost", 50.0),
            ("missing", 500.0),
        ];
        for (name, value) in want {
            assert_eq!(found[name], value, "{name}");
        }
    }

    #[test]
    fn a_percentile_that_no_record_is_beyond_is_left_out() {
        let mut trial = fixture::timed(fixture::centre("tcp"), 100);
        trial.latencies = Some(fixture::latencies(&[(10_000, 100)]));
        let mut found = Vec::new();
        measure(&[&trial], |name, _| found.push(name));
        assert!(found.contains(&"due_p99".to_owned()));
        assert!(found.contains(&"due_max".to_owned()));
        assert!(!found.contains(&"due_p99.9".to_owned()));
    }
}
