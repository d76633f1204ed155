//! One number of a report, and how it is written down.

use serde::Serialize;

/// A number with the repetitions that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// What is shown: a median of the repetitions, a sum, or a percentile of all of them merged.
    pub value: f64,
    /// The same of each repetition by itself, in the order in which they were made.
    pub each: Vec<f64>,
}

impl Value {
    /// The median of the repetitions; `None` of none.
    pub fn median_of(each: Vec<f64>) -> Option<Self> {
        let value = median(&each)?;
        Some(Self { value, each })
    }

    /// The sum of the repetitions; `None` of none.
    pub fn sum_of(each: Vec<f64>) -> Option<Self> {
        (!each.is_empty()).then(|| Self {
            value: each.iter().sum(),
            each,
        })
    }

    /// The lowest of the repetitions.
    pub fn low(&self) -> f64 {
        self.each.iter().copied().fold(self.value, f64::min)
    }

    /// The highest of the repetitions.
    pub fn high(&self) -> f64 {
        self.each.iter().copied().fold(self.value, f64::max)
    }

    /// How far the repetitions are apart, as a share of what is shown.
    pub fn spread(&self) -> f64 {
        if self.value == 0.0 {
            return 0.0;
        }
        (self.high() - self.low()) / self.value.abs()
    }

    /// Whether all repetitions of this are below all of the other. Of one repetition nobody knows.
    pub fn is_below(&self, other: &Self) -> bool {
        let known = |value: &Self| value.each.len() > 1;
        known(self) && known(other) && self.high() < other.low()
    }
}

/// The middle one, or the mean of the two middle ones; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// A number as people read it: three significant digits, or all of its whole part, with commas between thousands.
pub fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.000_05 {
        return "<0.0001".to_owned();
    }
    let decimals = match value.abs() {
        0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 => 2,
        size if size >= 0.000_995 => 3,
        _ => 4,
    };
    with_decimals(value, decimals)
}

/// A whole number, with commas between thousands.
pub fn whole(value: u32) -> String {
    with_decimals(f64::from(value), 0)
}

/// A number with so many decimals, and commas between thousands.
pub fn with_decimals(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = match text.strip_prefix('-') {
        // What rounds to nothing has no sign.
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) => ("", digits),
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_of_the_middle_whatever_the_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn one_is_below_another_only_if_no_repetitions_overlap() {
        let of = |each: &[f64]| Value::median_of(each.to_vec()).unwrap();
        assert!(of(&[1.0, 2.0]).is_below(&of(&[2.1, 3.0])));
        assert!(!of(&[1.0, 2.2]).is_below(&of(&[2.1, 3.0])));
        assert!(!of(&[2.0, 2.0]).is_below(&of(&[2.0, 2.0])));
        assert!(!of(&[1.0]).is_below(&of(&[2.1, 3.0])));
        assert_eq!(of(&[1.0, 2.0, 3.0]).spread(), 1.0);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let cases = [
            (0.0, "0"),
            (0.000_44, "0.0004"),
            (0.04, "0.040"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (45.67, "45.7"),
            (99.97, "100"),
            (1_234_567.4, "1,234,567"),
            (-1_234.0, "-1,234"),
            (0.000_01, "<0.0001"),
            (0.008, "0.008"),
            (100.0, "100"),
        ];
        for (value, want) in cases {
            assert_eq!(number(value), want);
        }
    }
}
