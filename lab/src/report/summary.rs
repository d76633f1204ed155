//! Trials become numbers: groups of repetitions, medians with their spread, histograms merged and never averaged.
//!
//! Pure: no files, no clock. Every number of a report is one of these, found by its key.

use super::point::{Point, Work};
use super::value::Value;
use super::{calls, costs, journeys, seed};
use crate::environment::Environment;
use crate::results::Results;
use crate::trial::{Axis, Tracing, Trial};
use log_aggregator::transports::Transport;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which number it is: what was measured, over which mechanism, under which load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Under which load.
    pub point: Point,
    /// Over which mechanism.
    pub transport: Transport,
    /// What, by the name of a measure.
    pub measure: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.measure,
            self.transport.name(),
            self.point
        )
    }
}

/// The numbers of one folder.
#[derive(Debug)]
pub struct Part {
    /// The folder's name where several are read together, else empty.
    pub name: String,
    /// What it holds.
    pub results: Results,
    /// The numbers that come of it.
    pub values: BTreeMap<Key, Value>,
}

impl Part {
    /// Computes the numbers of a folder.
    pub fn new(name: String, results: Results) -> Self {
        let mut values = BTreeMap::new();
        for ((point, transport), group) in groups(&results.trials) {
            group.measure(|measure, value| {
                let key = Key {
                    point,
                    transport,
                    measure,
                };
                values.insert(key, value);
            });
        }
        for transport in Transport::ALL {
            let over = |journey: &&_| crate::journey::Journey::is_over(journey, transport);
            let followed: Vec<_> = results.journeys.iter().filter(over).collect();
            let point = Point::named(Work::Follow);
            journeys::measure(&followed, |measure, value| {
                let key = Key {
                    point,
                    transport,
                    measure,
                };
                values.insert(key, value);
            });
        }
        Self {
            name,
            results,
            values,
        }
    }
}

/// The numbers of all folders that are read together.
#[derive(Debug)]
pub struct Summary {
    /// Of each folder. Where several have a number of the same key, the first one's is meant.
    pub parts: Vec<Part>,
    /// What the original published of itself.
    pub original: BTreeMap<Key, Value>,
}

impl Summary {
    /// Of these folders.
    pub fn new(parts: Vec<Part>) -> Self {
        let original = seed::original();
        Self { parts, original }
    }

    /// The environment of the first folder.
    pub fn environment(&self) -> Option<&Environment> {
        self.parts.first().map(|part| &part.results.environment)
    }

    /// A number, of the first folder that has it.
    pub fn get(&self, measure: &str, transport: Transport, point: Point) -> Option<&Value> {
        let measure = measure.to_owned();
        self.find(&Key {
            point,
            transport,
            measure,
        })
    }

    /// A number, of the first folder that has it.
    pub fn find(&self, key: &Key) -> Option<&Value> {
        let mut found = self.parts.iter().filter_map(|part| part.values.get(key));
        found.next().or_else(|| self.original.get(key))
    }

    /// All loads that have a number of this measure, in order.
    pub fn points(&self, measure: &str) -> Vec<Point> {
        let keys = self.parts.iter().flat_map(|part| part.values.keys());
        let points: BTreeSet<Point> = keys
            .filter(|key| key.measure == measure)
            .map(|key| key.point)
            .collect();
        points.into_iter().collect()
    }

    /// The mechanisms that have a number of this measure at this load, in their usual order.
    pub fn transports(&self, measure: &str, point: Point) -> Vec<Transport> {
        let has = |transport: &Transport| self.get(measure, *transport, point).is_some();
        Transport::ALL.into_iter().filter(has).collect()
    }

    /// The load that stands for all: the centre of a study; without one, the one that most mechanisms were measured
    /// under, rather one that paces; the original's if there is no other. None of a sweep, whose table says all.
    pub fn centre(&self) -> Option<Point> {
        let trials = self.parts.iter().flat_map(|part| &part.results.trials);
        let mut centres = trials.filter(|trial| trial.setting.axis == Axis::Centre);
        if let Some(trial) = centres.next() {
            return Some(Point::of(&trial.setting));
        }
        let points = self.points("throughput").into_iter();
        let usual = points.filter(|point| point.is_plain() || point.work == Work::Seed);
        usual.max_by_key(|point| {
            let transports = self.transports("throughput", *point).len();
            let paced = point.rate != super::point::Rate::FlatOut;
            (transports, point.is_plain(), paced)
        })
    }
}

/// The trials of one load over one mechanism.
#[derive(Debug, Default)]
struct Group<'a> {
    untraced: BTreeMap<u64, Vec<&'a Trial>>,
    /// By tracer and length: the best tracer comes first.
    traced: BTreeMap<(Tracing, u64), Vec<&'a Trial>>,
}

fn groups(trials: &[Trial]) -> BTreeMap<(Point, Transport), Group<'_>> {
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for trial in trials {
        let setting = &trial.setting;
        let group = groups
            .entry((Point::of(setting), setting.transport))
            .or_default();
        let trials = match setting.tracing {
            Tracing::Off => group.untraced.entry(setting.records).or_default(),
            tracer => group.traced.entry((tracer, setting.records)).or_default(),
        };
        trials.push(trial);
    }
    groups
}

impl<'a> Group<'a> {
    /// Reports all numbers. Trials of different lengths are never mixed: times are of the shortest untraced length,
    /// counts of the same length if it was traced, else of the shortest that was.
    fn measure(&self, mut add: impl FnMut(String, Value)) {
        let (length, timed) = self
            .untraced
            .first_key_value()
            .map_or((None, &[][..]), |(l, t)| (Some(*l), t));
        let tracer = self.traced.keys().map(|(tracer, _)| *tracer).next();
        let lengths: Vec<(u64, &Vec<&Trial>)> = self
            .traced
            .iter()
            .filter(|((by, _), _)| Some(*by) == tracer)
            .map(|((_, length), trials)| (*length, trials))
            .collect();
        let same = lengths.iter().find(|(known, _)| Some(*known) == length);
        let main = same.or(lengths.first());
        let counted: &[&'a Trial] = main.map_or(&[], |(_, trials)| trials);
        let other = lengths
            .iter()
            .rev()
            .find(|(length, _)| main.is_some_and(|(l, _)| l != length));
        costs::measure(if timed.is_empty() { counted } else { timed }, &mut add);
        costs::measure_counted(counted, &mut add);
        calls::measure(counted, other.map_or(&[], |(_, trials)| trials), &mut add);
        costs::measure_tracing(timed, counted, &mut add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn part(trials: Vec<Trial>) -> Summary {
        let results = fixture::results(trials, Vec::new());
        Summary::new(vec![Part::new(String::new(), results)])
    }

    fn number(summary: &Summary, measure: &str, transport: Transport, point: &str) -> Option<f64> {
        let point = point.parse().unwrap();
        summary
            .get(measure, transport, point)
            .map(|value| value.value)
    }

    #[test]
    fn repetitions_become_a_median_and_others_stay_apart() {
        let mut trials = Vec::new();
        for (transport, rate, seconds) in [
            ("tcp", 1000, 9.0),
            ("tcp", 1000, 1.0),
            ("tcp", 1000, 2.0),
            ("tcp", 10, 5.0),
            ("fifo", 1000, 7.0),
        ] {
            let mut trial = fixture::timed(fixture::at_rate(transport, rate), 1000);
            trial.seconds = 1000.0 / seconds;
            trials.push(trial);
        }
        let summary = part(trials);
        let value = summary
            .get("throughput", Transport::Tcp, "rate=1000".parse().unwrap())
            .unwrap();
        assert_eq!((value.value, value.low(), value.high()), (2.0, 1.0, 9.0));
        assert_eq!(value.each.len(), 3);
        assert_eq!(
            number(&summary, "throughput", Transport::Tcp, "rate=10"),
            Some(5.0)
        );
        assert_eq!(
            number(&summary, "throughput", Transport::Fifo, "rate=1000"),
            Some(7.0)
        );
        assert_eq!(
            number(&summary, "throughput", Transport::Udp, "rate=1000"),
            None
        );
    }

    #[test]
    fn latencies_are_merged_not_averaged() {
        // 999 records of 10 us in one repetition, one of 9 ms in the other: the median of the percentiles would be
        // 4.5 ms, their merger has one slow record in a thousand.
        let mut quick = fixture::timed(fixture::centre("udp"), 999);
        let mut slow = fixture::timed(fixture::centre("udp"), 1);
        slow.setting.records = quick.setting.records;
        quick.latencies = Some(fixture::latencies(&[(10_000, 999)]));
        slow.latencies = Some(fixture::latencies(&[(9_000_000, 1)]));
        let summary = part(vec![quick, slow]);
        let of = |measure| number(&summary, measure, Transport::Udp, "rate=1000").unwrap();
        assert!((of("due_p50") - 10.0).abs() < 0.2);
        assert!((of("due_p99") - 10.0).abs() < 0.2);
        assert!((of("sent_p99.9") - 10.0).abs() < 0.2);
        assert!((of("due_max") - 9_000.0).abs() < 100.0);
    }

    #[test]
    fn traced_trials_give_counts_and_never_times() {
        let mut traced = fixture::traced(fixture::centre("fifo"), 100);
        traced.seconds = 50.0;
        let mut timed = fixture::timed(fixture::centre("fifo"), 100);
        timed.seconds = 1.0;
        let summary = part(vec![traced, timed]);
        let of = |measure| number(&summary, measure, Transport::Fifo, "rate=1000");
        assert_eq!(of("throughput"), Some(100.0));
        assert_eq!(of("tracing_throughput"), Some(0.02));
        assert_eq!(of("producer_write"), Some(1.0));
    }

    #[test]
    fn lengths_are_not_mixed() {
        let mut trials = vec![
            fixture::timed(fixture::centre("fifo"), 100),
            fixture::timed(fixture::centre("fifo"), 200),
            fixture::traced(fixture::centre("fifo"), 200),
            fixture::traced(fixture::centre("fifo"), 100),
        ];
        trials[1].seconds = 1e9;
        let summary = part(trials);
        let of = |measure| number(&summary, measure, Transport::Fifo, "rate=1000");
        assert_eq!(of("written"), Some(100.0));
        assert_eq!(of("producer_write_sum"), Some(100.0));
        assert_eq!(of("producer_write_each"), Some(1.0));
    }

    #[test]
    fn the_first_folder_of_several_is_meant() {
        let part = |name: &str, seconds| {
            let mut trial = fixture::timed(fixture::centre("tcp"), 100);
            trial.seconds = seconds;
            Part::new(name.to_owned(), fixture::results(vec![trial], Vec::new()))
        };
        let summary = Summary::new(vec![part("run", 1.0), part("run-reversed", 4.0)]);
        assert_eq!(
            number(&summary, "throughput", Transport::Tcp, "rate=1000"),
            Some(100.0)
        );
        assert_eq!(summary.centre().unwrap().to_string(), "rate=1000");
    }
}
