//! bpftrace's clock against that of the stamps.

use log_aggregator::error::Error;
use nix::time::{ClockId, clock_gettime};

/// How often the two clocks are read; the tightest bounds of all count.
const READINGS: u32 = 1000;

/// What to take from bpftrace's `nsecs`, which is CLOCK_BOOTTIME, to have CLOCK_MONOTONIC. The first goes on while
/// the machine is suspended and the second does not: on one that never was, it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds.
    pub ns: i64,
    /// How much more or less it may be.
    pub tolerance_ns: i64,
}

impl Offset {
    /// Reads both clocks many times, one between two readings of the other.
    ///
    /// # Errors
    /// When there are no such clocks.
    pub fn measure() -> Result<Self, Error> {
        let readings: Result<Vec<_>, Error> = (0..READINGS)
            .map(|_| {
                let before = read(ClockId::CLOCK_MONOTONIC)?;
                let between = read(ClockId::CLOCK_BOOTTIME)?;
                Ok((before, between, read(ClockId::CLOCK_MONOTONIC)?))
            })
            .collect();
        Ok(Self::within(&readings?))
    }

    /// Each reading of BOOTTIME between two of MONOTONIC bounds the offset from both sides.
    fn within(readings: &[(i64, i64, i64)]) -> Self {
        let least = readings.iter().map(|(_, boot, after)| boot - after).max();
        let most = readings.iter().map(|(before, boot, _)| boot - before).min();
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
        // Between bounds that have 0 among them, it is 0: no suspend is that short.
        let ns = if (least..=most).contains(&0) {
            0
        } else {
            i64::midpoint(least, most)
        };
        Self {
            ns,
            tolerance_ns: (most - ns).max(ns - least).max(0),
        }
    }

    /// The same moment on CLOCK_MONOTONIC.
    pub fn to_monotonic(self, boottime_ns: i64) -> i64 {
        boottime_ns - self.ns
    }
}

fn read(clock: ClockId) -> Result<i64, Error> {
    let time = clock_gettime(clock).map_err(|e| Error::new("read", clock, e))?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_hold_zero_mean_that_the_machine_never_slept() {
        let offset = Offset::within(&[(100, 120, 150), (200, 205, 230)]);
        assert_eq!(
            offset,
            Offset {
                ns: 0,
                tolerance_ns: 25
            }
        );
    }

    #[test]
    fn the_tightest_bounds_of_all_readings_count() {
        // 1000 +- 50 by the first, +- 10 by the second, and not more than 1005 by the third.
        let readings = [(0, 1050, 100), (200, 1210, 220), (400, 1405, 600)];
        let offset = Offset::within(&readings);
        assert_eq!((offset.ns, offset.tolerance_ns), (997, 8));
        assert_eq!(offset.to_monotonic(5000), 4003);
    }

    #[test]
    fn this_machine_has_both_clocks() {
        let offset = Offset::measure().unwrap();
        assert!(offset.tolerance_ns >= 0);
        assert!(offset.to_monotonic(read(ClockId::CLOCK_BOOTTIME).unwrap()) > 0);
    }
}
