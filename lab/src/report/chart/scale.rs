//! From numbers to places on an axis, and the ticks that people expect there.

use crate::report::value::number;

/// A vertical axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Scale {
    /// From nothing to at least the highest of these.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let highest = values.fold(0.0, f64::max);
        let step = step_of(if highest > 0.0 { highest } else { 1.0 });
        let mut ticks = vec![0.0];
        while *ticks.last().unwrap_or(&0.0) < highest.max(step) * (1.0 - 1e-9) {
            ticks.push(step * count(ticks.len()));
        }
        let high = *ticks.last().unwrap_or(&1.0);
        Self {
            low: 0.0,
            high,
            logarithmic: false,
            ticks,
        }
    }

    /// By decades, around all of these that are above nothing.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(0.0, f64::max);
        if values.is_empty() {
            return Self {
                low: 1.0,
                high: 10.0,
                logarithmic: true,
                ticks: vec![1.0, 10.0],
            };
        }
        let fine: Vec<f64> = (-9..13)
            .flat_map(|e| [1.0, 2.0, 5.0].map(|d| d * 10_f64.powi(e)))
            .collect();
        let below = fine.iter().rposition(|tick| *tick <= lowest).unwrap_or(0);
        let above = fine
            .iter()
            .position(|tick| *tick >= highest)
            .unwrap_or(fine.len() - 1)
            .max(below + 1);
        let (low, high) = (fine[below], fine[above]);
        let within = &fine[below..=above];
        let decade = |tick: &f64| (tick.log10() - tick.log10().round()).abs() < 1e-6;
        let ticks = match within.len() {
            ..=8 => within.to_vec(),
            _ => within.iter().copied().filter(decade).collect(),
        };
        Self {
            low,
            high,
            logarithmic: true,
            ticks,
        }
    }

    /// Where a number is, from 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// The ticks with their places and labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks
            .iter()
            .map(|tick| (self.place(*tick), label(*tick)))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that it takes four to eight of them up to here.
fn step_of(highest: f64) -> f64 {
    let rough = highest / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let digit = match rough / power {
        low if low < 1.5 => 1.0,
        low if low < 3.5 => 2.0,
        low if low < 7.5 => 5.0,
        _ => 10.0,
    };
    digit * power
}

#[allow(clippy::cast_precision_loss)] // a handful of ticks
fn count(ticks: usize) -> f64 {
    ticks as f64
}

/// A round number, short: 20, 0.5, 200k, 2M.
fn label(value: f64) -> String {
    let short = |value: f64| {
        let text = number(value);
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        text.to_owned()
    };
    match value {
        big if big >= 999_999.0 => short(big / 1e6) + "M",
        big if big >= 9_999.0 => short(big / 1e3) + "k",
        other => short(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        let scale = Scale::linear([3.0, 1.0, 23.0].into_iter());
        assert_eq!(labels(&scale), ["0", "5", "10", "15", "20", "25"]);
        assert_eq!(scale.place(12.5), 0.5);
        let scale = Scale::linear([260_000.0].into_iter());
        assert_eq!(
            labels(&scale),
            ["0", "50k", "100k", "150k", "200k", "250k", "300k"]
        );
        assert_eq!(
            labels(&Scale::linear([0.0].into_iter())),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"].map(String::from)[..2]
        );
    }

    #[test]
    fn decades_are_as_far_apart_as_each_other() {
        let scale = Scale::logarithmic([13.0, 0.0, 60.0].into_iter());
        assert_eq!(labels(&scale), ["10", "20", "50", "100"]);
        let scale = Scale::logarithmic([1.0, 100_000.0].into_iter());
        assert_eq!(labels(&scale), ["1", "10", "100", "1,000", "10k", "100k"]);
        assert!((scale.place(1_000.0) - 0.6).abs() < 1e-9);
        assert_eq!(scale.place(0.0), 0.0);
        let same = Scale::logarithmic([20.0].into_iter());
        assert!(same.place(20.0).is_finite());
        assert_eq!(Scale::logarithmic(std::iter::empty()).ticks().len(), 2);
    }
}
