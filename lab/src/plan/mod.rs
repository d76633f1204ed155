//! Which trials are made, and in which order.
//!
//! Axes one at a time around a centre, not a full grid. Within a repetition a setting is tried on all mechanisms
//! before the next one comes, and each repetition begins with another mechanism: drift hits all alike.

mod loads;
mod point;

use crate::cli::Run;
use crate::trial::{Axis, Linger, Setting, Tracing};
use loads::Loads;
use log_aggregator::transports::Transport;
use point::{Point, fits};

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

impl Plan {
    /// The study.
    pub fn run(options: &Run, tracing: Tracing) -> Self {
        let loads = Loads::of(options);
        let mut plan = Self::default();
        for repetition in 0..options.repeat {
            let mechanisms = rotated(&options.ipc.0, repetition);
            for point in loads.timed() {
                plan.add(&mechanisms, &point, Tracing::Off, repetition);
            }
            if repetition == 0 && tracing != Tracing::Off {
                for point in Loads::of(options).for_counting().counted() {
                    plan.add(&mechanisms, &point, tracing, repetition);
                }
            }
        }
        plan.reversed_if(options.reverse)
    }

    /// The short study: the centre, a slow load and one flat out, counts at the centre.
    pub fn quick(reverse: bool, tracing: Tracing) -> Self {
        let loads = Loads::quick();
        let mut plan = Self::default();
        for repetition in 0..2 {
            let mechanisms = rotated(&Transport::ALL, repetition);
            for point in loads.rates() {
                plan.add(&mechanisms, &point, Tracing::Off, repetition);
            }
        }
        if tracing != Tracing::Off {
            for point in loads.for_counting().two_lengths() {
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
            flat_out_records: 0,
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

    /// A sweep of one knob: `turned` makes the settings of a plain one. Each repetition begins with another of them.
    pub fn sweep(
        mechanisms: &[Transport],
        axis: Axis,
        repeat: u32,
        turned: impl Fn(&Setting) -> Vec<Setting>,
    ) -> Self {
        let loads = Loads::of_sweep();
        let mut plan = Self::default();
        for repetition in 0..repeat {
            for point in loads.rates() {
                let mut plain = Self::default();
                plain.add(
                    &rotated(mechanisms, repetition),
                    &point.on(axis),
                    Tracing::Off,
                    repetition,
                );
                for planned in &plain.trials {
                    let mut settings = turned(&planned.setting);
                    let by = repetition as usize % settings.len().max(1);
                    settings.rotate_left(by);
                    let planned = |setting| Planned {
                        setting,
                        repetition,
                    };
                    plan.trials.extend(settings.into_iter().map(planned));
                }
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
mod tests;
