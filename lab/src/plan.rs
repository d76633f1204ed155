//! Which trials are made, and in which order.
//!
//! Axes one at a time around a centre, not a full grid. Within a repetition a setting is tried on all mechanisms
//! before the next one comes, and each repetition begins with another mechanism: drift hits all alike.

use crate::cli::Run;
use crate::trial::{Axis, Linger, Setting, Tracing};
use log_aggregator::transports::{Transport, write_bytes_max};

/// A trial to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub setting: Setting,
    /// The how manieth time, from 0.
    pub repetition: u32,
}

/// What is to be done in a run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In this order.
    pub trials: Vec<Planned>,
    /// What is left out and why, a line each.
    pub left_out: Vec<String>,
}

/// A load, whatever carries it.
#[derive(Clone, Debug)]
struct Point {
    axis: Axis,
    producers: u32,
    message_bytes: u32,
    rate: u32,
    linger: Linger,
    /// How long it shall take, if it is paced.
    seconds: f64,
    /// How many times the records that this makes.
    times: u64,
}

/// The centre, where its value is among those that are asked for; else the first of those is in its place.
const CENTRE_PRODUCERS: u32 = 5;
const CENTRE_BYTES: u32 = 100;
const CENTRE_RATE: u32 = 1000;

/// The longest that stands around the message of a stamped record.
const LONGEST_FRAME: &str = concat!(
    r#"{"source":"producer","timestamp":1700000000,"level":"INFO","message":"","pid":4194304,"#,
    r#""seq":18446744073709551615,"due_ns":18446744073709551615,"sent_ns":18446744073709551615}"#,
    "\n"
);

impl Plan {
    /// The study.
    pub fn run(options: &Run, tracing: Tracing) -> Self {
        let loads = Loads::of(options);
        let mut plan = Self::default();
        for repetition in 0..options.repeat {
            let mechanisms = rotated(&options.ipc.0, repetition);
            for point in loads.timed(&RUN_SECONDS) {
                plan.add(&mechanisms, &point, Tracing::Off, repetition);
            }
            if repetition == 0 && tracing != Tracing::Off {
                for point in loads.counted() {
                    plan.add(&mechanisms, &point, tracing, repetition);
                }
            }
        }
        plan.reversed_if(options.reverse)
    }

    /// The short study: the centre, a slow load and one flat out, counts at the centre.
    pub fn quick(reverse: bool, tracing: Tracing) -> Self {
        let loads = Loads {
            producers: vec![CENTRE_PRODUCERS],
            sizes: vec![CENTRE_BYTES],
            rates: vec![CENTRE_RATE, 10, 0],
        };
        let mut plan = Self::default();
        for repetition in 0..2 {
            let mechanisms = rotated(&Transport::ALL, repetition);
            for point in loads.rates(&QUICK_SECONDS) {
                plan.add(&mechanisms, &point, Tracing::Off, repetition);
            }
        }
        if tracing != Tracing::Off {
            for times in [1, 2] {
                let point = loads.centre(0.5).times(times);
                plan.add(&Transport::ALL, &point, tracing, 0);
            }
        }
        plan.reversed_if(reverse)
    }

    /// The load of the original: untraced, and counted in two lengths.
    pub fn seed(tracing: Tracing) -> Self {
        let point = |times| Point {
            axis: Axis::Seed,
            producers: 5,
            message_bytes: 100,
            rate: 10,
            linger: Linger::Microseconds(0),
            seconds: 5.0,
            times,
        };
        let mut plan = Self::default();
        plan.add(&Transport::ALL, &point(1), Tracing::Off, 0);
        if tracing != Tracing::Off {
            plan.add(&Transport::ALL, &point(1), tracing, 0);
            plan.add(&Transport::ALL, &point(2), tracing, 0);
        }
        plan
    }

    /// A sweep of one knob: `turned` makes the settings of a plain one.
    pub fn sweep(
        mechanisms: &[Transport],
        axis: Axis,
        repeat: u32,
        turned: impl Fn(&Setting) -> Vec<Setting>,
    ) -> Self {
        let loads = Loads {
            producers: vec![CENTRE_PRODUCERS],
            sizes: vec![CENTRE_BYTES],
            rates: vec![CENTRE_RATE, 0],
        };
        let mut plan = Self::default();
        for repetition in 0..repeat {
            for point in loads.rates(&RUN_SECONDS) {
                let mut plain = Self::default();
                plain.add(
                    &rotated(mechanisms, repetition),
                    &point.on(axis),
                    Tracing::Off,
                    repetition,
                );
                let settings = plain
                    .trials
                    .iter()
                    .flat_map(|planned| turned(&planned.setting));
                plan.trials.extend(settings.map(|setting| Planned {
                    setting,
                    repetition,
                }));
            }
        }
        plan
    }

    fn add(&mut self, mechanisms: &[Transport], point: &Point, tracing: Tracing, repetition: u32) {
        for &transport in mechanisms {
            if fits(transport, point.message_bytes) {
                let setting = point.setting(transport, tracing);
                self.trials.push(Planned {
                    setting,
                    repetition,
                });
                continue;
            }
            let line = format!(
                "{transport} is left out at {} message bytes: the record would not fit into one write",
                point.message_bytes
            );
            if !self.left_out.contains(&line) {
                self.left_out.push(line);
            }
        }
    }

    fn reversed_if(mut self, reverse: bool) -> Self {
        if reverse {
            self.trials.reverse();
        }
        self
    }
}

/// ABCDE, BCDEA, ...
fn rotated(mechanisms: &[Transport], repetition: u32) -> Vec<Transport> {
    let mut mechanisms = mechanisms.to_vec();
    let by = repetition as usize % mechanisms.len().max(1);
    mechanisms.rotate_left(by);
    mechanisms
}

fn fits(transport: Transport, message_bytes: u32) -> bool {
    let record = message_bytes as usize + LONGEST_FRAME.len();
    write_bytes_max(transport).is_none_or(|max| record <= max)
}

/// How long paced trials take, in seconds.
struct Seconds {
    /// At fewer than [`SLOW_RATE`] records a second, where few come in a second.
    slow: f64,
    centre: f64,
    other: f64,
}

const SLOW_RATE: u32 = 100;

const RUN_SECONDS: Seconds = Seconds {
    slow: 6.0,
    centre: 2.5,
    other: 2.0,
};

const QUICK_SECONDS: Seconds = Seconds {
    slow: 3.0,
    centre: 1.5,
    other: 1.0,
};

/// The values that are asked for on each axis; the centre's first.
struct Loads {
    producers: Vec<u32>,
    sizes: Vec<u32>,
    rates: Vec<u32>,
}

impl Loads {
    fn of(options: &Run) -> Self {
        Self {
            producers: centre_first(&options.producers.0, CENTRE_PRODUCERS),
            sizes: centre_first(&options.sizes.0, CENTRE_BYTES),
            rates: centre_first(&options.rates.0, CENTRE_RATE),
        }
    }

    fn centre(&self, seconds: f64) -> Point {
        Point {
            axis: Axis::Centre,
            producers: self.producers[0],
            message_bytes: self.sizes[0],
            rate: self.rates[0],
            linger: Linger::Microseconds(0),
            seconds,
            times: 1,
        }
    }

    /// The centre and the other rates.
    fn rates(&self, seconds: &Seconds) -> Vec<Point> {
        let mut points = vec![self.centre(seconds.centre)];
        points.extend(self.rates[1..].iter().map(|&rate| Point {
            rate,
            seconds: if rate < SLOW_RATE {
                seconds.slow
            } else {
                seconds.other
            },
            ..self.centre(seconds.other).on(Axis::Rate)
        }));
        points
    }

    fn is_flat_out_asked(&self) -> bool {
        self.rates.contains(&0)
    }

    /// All that is timed.
    fn timed(&self, seconds: &Seconds) -> Vec<Point> {
        let other = |axis| self.centre(seconds.other).on(axis);
        let mut points = self.rates(seconds);
        points.extend(self.producers[1..].iter().map(|&producers| Point {
            producers,
            ..other(Axis::Producers)
        }));
        for &message_bytes in &self.sizes[1..] {
            let paced = Point {
                message_bytes,
                ..other(Axis::Size)
            };
            points.extend(self.paced_and_flat_out(&paced));
        }
        let lingering = Point {
            linger: Linger::Auto,
            ..other(Axis::Linger)
        };
        points.extend(self.paced_and_flat_out(&lingering));
        points
    }

    fn paced_and_flat_out(&self, paced: &Point) -> Vec<Point> {
        let mut points = vec![paced.clone()];
        if self.is_flat_out_asked() && paced.rate > 0 {
            points.push(Point {
                rate: 0,
                ..paced.clone()
            });
        }
        points
    }

    /// The centre in two lengths, so that what a record costs can be told from what a start costs; other rates once.
    fn counted(&self) -> Vec<Point> {
        let mut points = vec![self.centre(1.0), self.centre(1.0).times(2)];
        points.extend(self.rates[1..].iter().map(|&rate| Point {
            rate,
            seconds: if rate < SLOW_RATE { 3.0 } else { 1.0 },
            ..self.centre(1.0).on(Axis::Rate)
        }));
        points
    }
}

fn centre_first(values: &[u32], centre: u32) -> Vec<u32> {
    let mut ordered = values.to_vec();
    if let Some(at) = ordered.iter().position(|&value| value == centre) {
        ordered[..=at].rotate_right(1);
    }
    let mut distinct = Vec::new();
    for value in ordered {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

impl Point {
    fn on(self, axis: Axis) -> Self {
        Self { axis, ..self }
    }

    fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    fn setting(&self, transport: Transport, tracing: Tracing) -> Setting {
        Setting {
            axis: self.axis,
            transport,
            producers: self.producers,
            message_bytes: self.message_bytes,
            rate: self.rate,
            records: self.records(tracing) * self.times,
            linger: self.linger,
            nagle: false,
            pipe_bytes: None,
            qlen: None,
            tracing,
        }
    }

    /// Records of each producer.
    fn records(&self, tracing: Tracing) -> u64 {
        if self.rate > 0 {
            return paced_records(self.rate, self.seconds);
        }
        let frame = LONGEST_FRAME.len() as u64;
        let by_bytes = FLAT_OUT_BYTES / (u64::from(self.message_bytes) + frame);
        let records = match tracing {
            Tracing::Off => FLAT_OUT_RECORDS.min(by_bytes),
            Tracing::Bpftrace => FLAT_OUT_RECORDS.min(by_bytes) / 4,
            Tracing::Strace => FLAT_OUT_RECORDS_STRACE,
        };
        (records / u64::from(self.producers)).max(1)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most a million a second for some seconds
fn paced_records(rate: u32, seconds: f64) -> u64 {
    ((f64::from(rate) * seconds) as u64).max(1)
}

/// Of all producers, flat out: work for 0.7 s (FIFO) to 3 s (Unix datagrams) on two processors.
const FLAT_OUT_RECORDS: u64 = 1_000_000;
/// But not more bytes than this.
const FLAT_OUT_BYTES: u64 = 400_000_000;
/// Each call is stopped twice.
const FLAT_OUT_RECORDS_STRACE: u64 = 20_000;

impl Planned {
    /// About how long it takes, in seconds, with its daemon's start and end.
    pub fn estimate(&self) -> f64 {
        let setting = &self.setting;
        #[allow(clippy::cast_precision_loss)]
        let records = setting.records as f64;
        let load = if setting.rate == 0 {
            1.5
        } else {
            records / f64::from(setting.rate)
        };
        let around = if setting.tracing == Tracing::Off {
            0.2
        } else {
            1.5
        };
        load + around
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{List, TraceChoice};
    use std::collections::BTreeSet;

    fn options() -> Run {
        Run {
            ipc: List(Transport::ALL.to_vec()),
            producers: List(vec![1, 5, 20]),
            sizes: List(vec![50, 100, 1000, 3500]),
            rates: List(vec![10, 1000, 10_000, 0]),
            repeat: 3,
            trace: TraceChoice::Auto,
            reverse: false,
            out: None,
        }
    }

    fn seconds(plan: &Plan) -> f64 {
        plan.trials.iter().map(Planned::estimate).sum()
    }

    #[test]
    fn the_longest_frame_is_what_the_producer_writes() {
        let record = LONGEST_FRAME.replace("\"message\":\"\"", "\"message\":\"A\"");
        let value: serde_json::Value = serde_json::from_str(&record).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        let want = [
            "source",
            "timestamp",
            "level",
            "message",
            "pid",
            "seq",
            "due_ns",
            "sent_ns",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn by_default_a_run_takes_less_than_thirteen_minutes_and_quick_less_than_a_hundred_seconds() {
        let run = Plan::run(&options(), Tracing::Bpftrace);
        assert!(seconds(&run) < 13.0 * 60.0, "{}", seconds(&run));
        let quick = Plan::quick(false, Tracing::Bpftrace);
        assert!(seconds(&quick) < 100.0, "{}", seconds(&quick));
    }

    #[test]
    fn ten_a_second_a_thousand_and_flat_out_are_there_for_all() {
        for plan in [
            Plan::run(&options(), Tracing::Off),
            Plan::quick(false, Tracing::Off),
        ] {
            let loads: BTreeSet<(Transport, u32)> = plan
                .trials
                .iter()
                .filter(|planned| planned.setting.message_bytes == 100)
                .map(|planned| (planned.setting.transport, planned.setting.rate))
                .collect();
            for transport in Transport::ALL {
                assert!(
                    [10, 1000, 0]
                        .iter()
                        .all(|&rate| loads.contains(&(transport, rate)))
                );
            }
        }
    }

    #[test]
    fn one_axis_at_a_time() {
        let plan = Plan::run(&options(), Tracing::Off);
        for Planned { setting, .. } in &plan.trials {
            let moved = [
                setting.producers != 5,
                setting.message_bytes != 100,
                setting.linger != Linger::Microseconds(0),
            ];
            assert!(moved.iter().filter(|&&it| it).count() <= 1, "{setting:?}");
        }
        let settings: BTreeSet<String> = plan.trials.iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(
            settings.len(),
            plan.trials.len(),
            "something is planned twice"
        );
    }

    #[test]
    fn each_repetition_begins_with_another_mechanism_and_reverse_turns_all_around() {
        let mut options = options();
        let plan = Plan::run(&options, Tracing::Off);
        let first_of = |repetition| {
            let mut trials = plan.trials.iter();
            trials
                .find(|it| it.repetition == repetition)
                .unwrap()
                .setting
                .transport
        };
        assert_eq!([0, 1, 2].map(first_of), Transport::ALL[..3]);
        options.reverse = true;
        let mut reversed = Plan::run(&options, Tracing::Off).trials;
        reversed.reverse();
        assert_eq!(reversed, plan.trials);
    }

    #[test]
    fn a_size_that_a_fifo_cannot_carry_is_left_out_and_said_once() {
        let mut options = options();
        options.sizes = List(vec![100, 4000]);
        let plan = Plan::run(&options, Tracing::Off);
        let fifo = |it: &&Planned| it.setting.transport == Transport::Fifo;
        assert!(
            plan.trials
                .iter()
                .filter(fifo)
                .all(|it| it.setting.message_bytes == 100)
        );
        assert_eq!(plan.left_out.len(), 1, "{:?}", plan.left_out);
        assert!(plan.left_out[0].starts_with("fifo is left out at 4000 message bytes"));
    }

    #[test]
    fn a_list_without_the_centre_has_its_first_value_there() {
        let mut options = options();
        options.producers = List(vec![2, 2]);
        options.sizes = List(vec![200]);
        options.rates = List(vec![50]);
        options.repeat = 1;
        let plan = Plan::run(&options, Tracing::Off);
        let centre = plan
            .trials
            .iter()
            .filter(|it| it.setting.axis == Axis::Centre);
        assert_eq!(centre.count(), 5);
        assert!(
            plan.trials
                .iter()
                .all(|it| it.setting.rate == 50 && it.setting.producers == 2)
        );
    }

    #[test]
    fn counts_come_in_two_lengths() {
        for plan in [
            Plan::run(&options(), Tracing::Bpftrace),
            Plan::quick(false, Tracing::Bpftrace),
            Plan::seed(Tracing::Bpftrace),
        ] {
            for transport in Transport::ALL {
                let traced = plan.trials.iter().filter(|it| {
                    let setting = &it.setting;
                    let is_two_long = matches!(setting.axis, Axis::Centre | Axis::Seed);
                    setting.tracing != Tracing::Off && is_two_long && setting.transport == transport
                });
                let records: Vec<u64> = traced.map(|it| it.setting.records).collect();
                assert_eq!(records.len(), 2);
                assert_eq!(records[0] * 2, records[1]);
            }
        }
        let seed = Plan::seed(Tracing::Off);
        assert!(seed.trials.iter().all(|it| it.setting.records == 50));
    }
}
