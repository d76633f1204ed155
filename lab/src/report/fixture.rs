//! Made-up trials for tests.

use crate::environment::Environment;
use crate::journey::{Journey, Step};
use crate::latency::Latencies;
use crate::results::Results;
use crate::trial::{Axis, Counts, Delivery, Linger, Setting, Tracing, Trial, Usage};
use log_aggregator::transports::Transport;

/// A mechanism by its name.
pub fn transport(name: &str) -> Transport {
    Transport::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .unwrap()
}

/// The centre of a study.
pub fn centre(name: &str) -> Setting {
    Setting {
        axis: Axis::Centre,
        transport: transport(name),
        producers: 5,
        message_bytes: 100,
        rate: 1000,
        records: 1000,
        linger: Linger::Microseconds(0),
        nagle: false,
        pipe_bytes: None,
        qlen: None,
        tracing: Tracing::Off,
    }
}

/// The same at another rate.
pub fn at_rate(name: &str, rate: u32) -> Setting {
    let axis = if rate == 1000 {
        Axis::Centre
    } else {
        Axis::Rate
    };
    Setting {
        axis,
        rate,
        ..centre(name)
    }
}

/// A trial that nobody watched, of so many records in a second.
#[allow(clippy::needless_pass_by_value)] // a setting is made for its trial
pub fn timed(setting: Setting, records: u64) -> Trial {
    Trial {
        index: 0,
        repetition: 0,
        seconds: 1.0,
        started: 1_700_000_000,
        delivery: Delivery {
            sent: records,
            written: records,
            bytes: records * 130,
            ..Delivery::default()
        },
        daemon: used(records, 3),
        producers: used(records, 2),
        producers_base: Some(used(0, 2)),
        machine_cpu_ns: records * 9_000,
        latencies: (setting.rate > 0)
            .then(|| latencies(&[(20_000, records), (90_000, records / 50)])),
        counts: None,
        setting: Setting { records, ..setting },
    }
}

/// A trial that bpftrace watched.
pub fn traced(setting: Setting, records: u64) -> Trial {
    let calls = |names: &[(&str, u64)]| {
        names
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    };
    let mut trial = timed(setting, records);
    trial.setting.tracing = Tracing::Bpftrace;
    trial.counts = Some(Counts {
        daemon_calls: calls(&[
            ("epoll_wait", records),
            ("read", records),
            ("write", records),
        ]),
        producer_calls: calls(&[
            ("write", records),
            ("clock_nanosleep", records - 5),
            ("mmap", 185),
        ]),
        daemon_wakeups: Some(records),
        producer_wakeups: Some(records / 2),
        daemon_sleeps: Some(records),
        daemon_wake_to_run: Some((records, records * 4_000)),
    });
    trial
}

fn used(records: u64, microseconds: u64) -> Usage {
    Usage {
        cpu_ns: records * microseconds * 1_000 + 2_000_000,
        run_queue_wait_ns: records * 700,
        voluntary_switches: records + 10,
        involuntary_switches: records / 100,
        read_calls: records,
        write_calls: records,
        memory_peak_kib: 2_600,
    }
}

/// Latencies of so many records of so many nanoseconds, from both beginnings.
pub fn latencies(of: &[(u64, u64)]) -> Latencies {
    let mut latencies = Latencies::new();
    for (ns, records) in of {
        latencies.from_due.record_n(*ns, *records).unwrap();
        latencies.from_sent.record_n(*ns, *records).unwrap();
    }
    latencies
}

/// A folder of these.
pub fn results(trials: Vec<Trial>, journeys: Vec<Journey>) -> Results {
    let environment = Environment {
        command: "lab run".to_owned(),
        started: 1_700_000_000,
        git_revision: "0123456".to_owned(),
        kernel: "Linux 6.18".to_owned(),
        cpu: "A <made-up> processor & more".to_owned(),
        cpus: 2,
        ..Environment::default()
    };
    Results {
        environment,
        trials,
        journeys,
    }
}

/// What a whole study finds, in short: all mechanisms, rates, sizes, tracing, sweeps, journeys; UDP loses.
pub fn study() -> Results {
    let mut trials = Vec::new();
    let mut journeys = Vec::new();
    for (index, kind) in Transport::ALL.into_iter().enumerate() {
        let extra = u64::try_from(index).unwrap() + 1;
        for repetition in 0..3 {
            for (rate, records) in [(10, 50), (1000, 5_000), (10_000, 20_000), (0, 40_000)] {
                let mut trial = timed(at_rate(kind.name(), rate), records);
                trial.repetition = repetition;
                trial.daemon.cpu_ns += records * 1_000 * extra + u64::from(repetition) * 9_000;
                trial.latencies = (rate != 0).then(|| {
                    let ns = 15_000 * extra;
                    latencies(&[
                        (ns, records),
                        (ns * 3, records / 50),
                        (ns * 30, records / 900),
                    ])
                });
                trial.daemon.write_calls = if rate == 0 { records / 40 } else { records };
                trial.seconds = if rate == 0 {
                    0.1 * f64::from(u32::try_from(extra).unwrap())
                } else {
                    1.0
                };
                if kind == Transport::Udp && rate == 0 {
                    trial.delivery.written -= 4_000;
                    trial.delivery.missing = 4_000;
                    trial.delivery.socket_drops = 4_000;
                    trial.delivery.kernel_drops = 4_000;
                }
                trials.push(trial);
            }
            for size in [50, 1000, 3500] {
                let setting = Setting {
                    axis: Axis::Size,
                    message_bytes: size,
                    ..at_rate(kind.name(), 0)
                };
                trials.push(timed(setting, 10_000 * extra));
            }
        }
        for records in [250, 500] {
            trials.push(traced(
                Setting {
                    axis: Axis::Seed,
                    rate: 10,
                    ..centre(kind.name())
                },
                records,
            ));
        }
        trials.push(traced(centre(kind.name()), 5_000));
        journeys.push(journey(kind, 0, extra));
        journeys.push(journey(kind, 1, extra + 1));
    }
    for qlen in [10, 512] {
        let setting = Setting {
            axis: Axis::Qlen,
            qlen: Some(qlen),
            ..at_rate("unixgram", 0)
        };
        trials.push(timed(
            Setting {
                axis: Axis::Qlen,
                ..setting
            },
            10_000,
        ));
    }
    results(trials, journeys)
}

/// A journey that takes so many times ten microseconds.
pub fn journey(kind: Transport, number: u32, tens: u64) -> Journey {
    let steps = [
        (Step::Due, 1_000_000),
        (Step::Stamped, 1_050_000),
        (Step::SendEntered, 1_051_000),
        (Step::DaemonWoken, 1_053_000),
        (Step::SendLeft, 1_056_000),
        (Step::DaemonRunning, 1_056_000 + tens * 5_000),
        (Step::WaitReturned, 1_057_000 + tens * 5_000),
        (Step::ReadEntered, 1_058_000 + tens * 5_000),
        (Step::ReadReturned, 1_060_000 + tens * 5_000),
        (Step::WriteEntered, 1_063_000 + tens * 5_000),
        (Step::Written, 1_067_000 + tens * 5_000),
    ];
    Journey {
        transport: kind.name().to_owned(),
        number,
        steps: steps.to_vec(),
        same_cpu: number == 0,
    }
}
