//! The loads of a run: axes one at a time around a centre.

use super::point::Point;
use crate::cli::Run;
use crate::trial::{Axis, Linger};

/// The centre, where its value is among those that are asked for; else the first of those is in its place.
const CENTRE_PRODUCERS: u32 = 5;
const CENTRE_BYTES: u32 = 100;
const CENTRE_RATE: u32 = 1000;

/// Fewer records a second than this are slow: few come in a second, so it takes more seconds.
const SLOW_RATE: u32 = 100;

/// How long trials are.
#[derive(Debug)]
struct Lengths {
    /// Seconds of a paced trial at a slow rate.
    slow: f64,
    /// Seconds of the centre.
    centre: f64,
    /// Seconds of the other paced trials.
    other: f64,
    /// Records of all producers, flat out. A million is work for 0.7 s (FIFO) to 3 s (Unix datagrams) on two
    /// processors.
    flat_out_records: u64,
}

const LONG: Lengths = Lengths {
    slow: 6.0,
    centre: 2.5,
    other: 2.0,
    flat_out_records: 1_000_000,
};

const SHORT: Lengths = Lengths {
    slow: 3.0,
    centre: 1.5,
    other: 1.0,
    flat_out_records: 400_000,
};

/// What is counted need not be long: nothing is sampled.
const COUNTED: Lengths = Lengths {
    slow: 3.0,
    centre: 1.0,
    other: 1.0,
    flat_out_records: 200_000,
};

/// The values that are asked for on each axis; the centre's first.
#[derive(Debug)]
pub struct Loads {
    producers: Vec<u32>,
    sizes: Vec<u32>,
    rates: Vec<u32>,
    lengths: Lengths,
}

impl Loads {
    /// Those of the study.
    pub fn of(options: &Run) -> Self {
        Self {
            producers: centre_first(&options.producers.0, CENTRE_PRODUCERS),
            sizes: centre_first(&options.sizes.0, CENTRE_BYTES),
            rates: centre_first(&options.rates.0, CENTRE_RATE),
            lengths: LONG,
        }
    }

    /// The centre, a slow load and one flat out, all short.
    pub fn quick() -> Self {
        Self {
            producers: vec![CENTRE_PRODUCERS],
            sizes: vec![CENTRE_BYTES],
            rates: vec![CENTRE_RATE, 10, 0],
            lengths: SHORT,
        }
    }

    /// The centre and flat out, where a knob is turned.
    pub fn of_sweep() -> Self {
        Self {
            rates: vec![CENTRE_RATE, 0],
            lengths: LONG,
            ..Self::quick()
        }
    }

    /// The same loads in the length for counting.
    pub fn for_counting(self) -> Self {
        Self {
            lengths: COUNTED,
            ..self
        }
    }

    /// The centre.
    fn centre(&self) -> Point {
        let lengths = &self.lengths;
        let is_slow = self.rates[0] < SLOW_RATE;
        Point {
            axis: Axis::Centre,
            producers: self.producers[0],
            message_bytes: self.sizes[0],
            rate: self.rates[0],
            linger: Linger::Microseconds(0),
            seconds: if is_slow {
                lengths.slow
            } else {
                lengths.centre
            },
            flat_out_records: lengths.flat_out_records,
            times: 1,
        }
    }

    /// A point beside the centre.
    fn other(&self, axis: Axis, rate: u32) -> Point {
        let lengths = &self.lengths;
        let is_slow = rate < SLOW_RATE;
        Point {
            axis,
            rate,
            seconds: if is_slow { lengths.slow } else { lengths.other },
            ..self.centre()
        }
    }

    /// The centre and the other rates.
    pub fn rates(&self) -> Vec<Point> {
        let mut points = vec![self.centre()];
        let others = self.rates[1..].iter();
        points.extend(others.map(|&rate| self.other(Axis::Rate, rate)));
        points
    }

    fn is_flat_out_asked(&self) -> bool {
        self.rates.contains(&0)
    }

    /// All that is timed.
    pub fn timed(&self) -> Vec<Point> {
        let other = |axis| self.other(axis, self.rates[0]);
        let mut points = self.rates();
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

    /// The centre in two lengths, so that what a record costs can be told from what a start costs.
    pub fn two_lengths(&self) -> [Point; 2] {
        [self.centre(), self.centre().times(2)]
    }

    /// What is counted: the centre in two lengths, the other rates in one.
    pub fn counted(&self) -> Vec<Point> {
        let mut points = self.two_lengths().to_vec();
        points.extend(self.rates().split_off(1));
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
