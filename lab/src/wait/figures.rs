//! What the runs of a cell say: ratios of each pair, and their medians. Pure.

use super::trial::Outcome;
use crate::report::value::{Value, median};
use serde::Serialize;

/// Two runs, one right after the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// With `--linger auto`.
    pub auto: Outcome,
    /// With `--linger 0`.
    pub zero: Outcome,
}

/// The figures of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Records a second of auto, the median.
    pub auto_rate: f64,
    /// Of 0.
    pub zero_rate: f64,
    /// Records a second, auto by 0, of all groups together.
    pub ratio: Value,
    /// The same of each group.
    pub groups: Vec<Value>,
    /// What auto lost of what was sent, less what 0 lost, in percentage points.
    pub lost_points: Value,
    /// What each lost, in percent: medians.
    pub lost: [f64; 2],
    /// The daemon's processor time for a record written, auto by 0.
    pub cpu: Value,
}

impl Figures {
    /// The ratio by which a cell is judged: that of the group that fares worst, since a fast one may hide a slow one.
    pub fn worst(&self) -> &Value {
        let all = self.groups.iter().chain([&self.ratio]);
        all.min_by(|a, b| a.value.total_cmp(&b.value))
            .unwrap_or(&self.ratio)
    }

    /// Those of some pairs; `None` of none.
    pub fn of(pairs: &[Pair]) -> Option<Self> {
        let each = |value: &dyn Fn(&Pair) -> f64| -> Vec<f64> { pairs.iter().map(value).collect() };
        let middle = |value: &dyn Fn(&Pair) -> f64| Value::median_of(each(value));
        let groups = pairs.first()?.auto.written.len();
        let of_group = |at: usize| {
            middle(&|pair| ratio(group_rate(&pair.auto, at), group_rate(&pair.zero, at)))
        };
        Some(Self {
            auto_rate: median(&each(&|pair| rate(&pair.auto)))?,
            zero_rate: median(&each(&|pair| rate(&pair.zero)))?,
            ratio: middle(&|pair| ratio(rate(&pair.auto), rate(&pair.zero)))?,
            groups: (0..groups).map(of_group).collect::<Option<_>>()?,
            lost_points: middle(&|pair| lost(&pair.auto) - lost(&pair.zero))?,
            lost: [
                median(&each(&|pair| lost(&pair.auto)))?,
                median(&each(&|pair| lost(&pair.zero)))?,
            ],
            cpu: middle(&|pair| ratio(cpu(&pair.auto), cpu(&pair.zero)))?,
        })
    }
}

#[allow(clippy::cast_precision_loss)] // counts of less than 2^52
fn float(count: u64) -> f64 {
    count as f64
}

fn rate(outcome: &Outcome) -> f64 {
    float(outcome.written.iter().sum()) / outcome.seconds
}

fn group_rate(outcome: &Outcome, group: usize) -> f64 {
    float(outcome.written[group]) / outcome.seconds
}

/// In percent of what was sent.
fn lost(outcome: &Outcome) -> f64 {
    let (sent, written) = (outcome.sent.iter().sum(), outcome.written.iter().sum());
    if sent == 0 {
        return 0.0;
    }
    100.0 * (1.0 - float(written) / float(sent))
}

/// Nanoseconds for a record.
fn cpu(outcome: &Outcome) -> f64 {
    float(outcome.cpu_ns) / float(outcome.written.iter().sum::<u64>().max(1))
}

/// Of nothing and nothing it is 1.
fn ratio(auto: f64, zero: f64) -> f64 {
    match (auto > 0.0, zero > 0.0) {
        (_, true) => auto / zero,
        (true, false) => f64::INFINITY,
        (false, false) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sent: &[u64], written: &[u64], cpu_ns: u64) -> Outcome {
        Outcome {
            sent: sent.to_vec(),
            written: written.to_vec(),
            seconds: 2.0,
            cpu_ns,
        }
    }

    #[test]
    fn a_cell_is_the_median_of_the_ratios_and_not_the_ratio_of_medians() {
        let pair = |auto: u64, zero: u64| Pair {
            auto: outcome(&[100, 10], &[auto, 10], 1000),
            zero: outcome(&[100, 20], &[zero, 20], 4000),
        };
        let pairs = [pair(90, 80), pair(40, 80), pair(50, 50)];
        let figures = Figures::of(&pairs).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(figures.ratio.value, 60.0 / 70.0);
        close(figures.ratio.low(), 0.5);
        close(figures.ratio.high(), 1.0);
        close(figures.groups[0].value, 1.0);
        close(figures.groups[1].value, 0.5);
        close(figures.auto_rate, 30.0);
        close(figures.zero_rate, 50.0);
        close(figures.cpu.value, 0.25 * 70.0 / 60.0);
        close(figures.lost[1], 100.0 * 20.0 / 120.0);
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn loss_is_in_points_and_nothing_by_nothing_is_one() {
        let pair = Pair {
            auto: outcome(&[200], &[100], 0),
            zero: outcome(&[100], &[80], 0),
        };
        let figures = Figures::of(&[pair]).unwrap();
        assert!((figures.lost_points.value - 30.0).abs() < 1e-9);
        assert!((figures.cpu.value - 1.0).abs() < 1e-9);
        assert!(ratio(1.0, 0.0).is_infinite());
    }
}
