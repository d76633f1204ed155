//! How long to wait before the next look, so that one round serves many records: coalescing that follows the
//! load.
//!
//! Pure. A wake-up costs more than a record. While records come fast, each round is put off until as many have
//! gathered as fit safely into the kernel's buffers on the way; while they are rare, nothing is.

use std::time::Duration;

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LingerPolicy {
    /// As long as the load suggests, at most [`LINGER_MAX`].
    Auto,
    /// Always this long after records have come.
    Fixed(Duration),
}

/// What comes before the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The question who is ready, at once.
    Ask,
    /// A wait.
    Wait(Duration),
    /// Nothing: senders have filled a buffer time and again, and most likely have something in it now.
    GoOn,
}

/// The longest wait, and so the most that waiting adds to a record's latency.
pub const LINGER_MAX: Duration = Duration::from_millis(1);

/// How full the fullest kernel buffer is to become while we wait.
const FULLNESS_WANTED: f64 = 0.7;

/// From here on its senders may have been held up, which is not worth any saving.
const FULLNESS_MAX: f64 = 0.85;

/// Fewer records than these are not worth a wait: it costs about as much as the wake-up that it saves.
const RECORDS_WORTH: f64 = 3.0;

/// Less is not worth the call.
const WAIT_MIN_NS: f64 = 5_000.0;

/// More records than these cost no less for coming together.
const RECORDS_ENOUGH: f64 = 1024.0;

/// What a sleep oversleeps: timer slack (50 us, `man 2 prctl`) and the wake-up. It is more while others use the
/// processors, but among them are the senders, and when a buffer has them wait, it is our turn.
const OVERSLEEP_NS: f64 = 60_000.0;

/// After a pause that long, nothing is known of what comes next.
const PAUSE_NS: u64 = 5_000_000;

/// Share of the newest round in the averages.
const NEWEST: f64 = 1.0 / 16.0;

/// How soon the ceiling is back at its height: in as many rounds.
const RECOVERY: f64 = 128.0;

/// What a round has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// Records, of all sources.
    pub records: u64,
    /// How full the fullest kernel buffer was, from 0 to 1.
    pub fullness: f64,
}

/// Looks at rounds and says how long to wait before the next.
#[derive(Debug)]
pub struct Linger {
    policy: LingerPolicy,
    /// When the last round ended (CLOCK_MONOTONIC).
    last_ns: Option<u64>,
    /// The wait before the last round, in nanoseconds.
    waited_ns: f64,
    /// Averages over the last rounds: how long they took in nanoseconds, the records that they brought, and
    /// the fullness. (An average of rates would be mostly that of the shortest rounds.)
    since_ns: f64,
    records: f64,
    fullness: f64,
    /// No wait longer than this; lowered when a buffer was nearly full.
    ceiling_ns: f64,
}

impl Linger {
    /// One that knows nothing yet.
    pub fn new(policy: LingerPolicy) -> Self {
        Self {
            policy,
            last_ns: None,
            waited_ns: 0.0,
            since_ns: 0.0,
            records: 0.0,
            fullness: 0.0,
            ceiling_ns: max_ns(),
        }
    }

    /// What comes after a round that ended at `now_ns` (CLOCK_MONOTONIC).
    pub fn after(&mut self, round: Round, now_ns: u64) -> Next {
        let wait = match self.policy {
            LingerPolicy::Fixed(wait) if round.records > 0 => wait,
            LingerPolicy::Fixed(_) => Duration::ZERO,
            LingerPolicy::Auto => {
                self.waited_ns = self.next_ns(round, now_ns);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 ms
                Duration::from_nanos(self.waited_ns as u64)
            }
        };
        if !wait.is_zero() {
            Next::Wait(wait)
        } else if self.fullness > FULLNESS_WANTED {
            Next::GoOn
        } else {
            Next::Ask
        }
    }

    #[allow(clippy::cast_precision_loss)] // of a round's time and its records
    fn next_ns(&mut self, round: Round, now_ns: u64) -> f64 {
        let since = self
            .last_ns
            .replace(now_ns)
            .map(|last| now_ns.saturating_sub(last));
        let Some(since @ 1..PAUSE_NS) = since else {
            // The first record after a pause is written at once, and so is the second.
            (self.since_ns, self.records, self.fullness) = (0.0, 0.0, 0.0);
            return 0.0;
        };
        let since = since as f64;
        let newest = if self.since_ns == 0.0 { 1.0 } else { NEWEST };
        let average = |old: &mut f64, new: f64| *old += (new - *old) * newest;
        average(&mut self.since_ns, since);
        average(&mut self.records, round.records as f64);
        average(&mut self.fullness, round.fullness);
        self.ceiling_ns = if round.fullness > FULLNESS_MAX {
            self.waited_ns / 2.0
        } else {
            (self.ceiling_ns + max_ns() / RECOVERY).min(max_ns())
        };
        let until_wanted = FULLNESS_WANTED * self.since_ns / self.fullness - OVERSLEEP_NS;
        let until_enough = RECORDS_ENOUGH * self.since_ns / self.records - OVERSLEEP_NS;
        let wait = until_wanted.min(until_enough).min(self.ceiling_ns);
        let expected = self.records / self.since_ns * (wait + OVERSLEEP_NS);
        let is_worth_it = expected >= RECORDS_WORTH;
        if is_worth_it && wait >= WAIT_MIN_NS {
            wait
        } else {
            0.0
        }
    }
}

fn max_ns() -> f64 {
    LINGER_MAX.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Senders with a steady rate, a buffer of so many records, and a daemon that takes so long for a round
    /// and for a record; all in nanoseconds.
    struct World {
        between_records: f64,
        fits: f64,
        round: f64,
        record: f64,
        /// What a sleep takes longer than it should.
        oversleep: f64,
    }

    /// What came of it.
    struct Outcome {
        /// The last one.
        next: Next,
        records_of_a_round: f64,
        /// Share of the time in which the buffer was full.
        stalled: f64,
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    fn live(world: &World, linger: &mut Linger) -> Outcome {
        const ROUNDS: u32 = 20_000;
        let (mut now, mut queued, mut stalled, mut records) = (1e9, 1.0_f64, 0.0, 0.0);
        let mut next = Next::Ask;
        let begin = now;
        for _ in 0..ROUNDS {
            let mut pass = |time: f64, queued: &mut f64| {
                let room = (world.fits - *queued) * world.between_records;
                stalled += (time - room).max(0.0);
                *queued = (*queued + time / world.between_records).min(world.fits);
                now += time;
            };
            if let Next::Wait(wait) = next {
                pass(wait.as_nanos() as f64 + world.oversleep, &mut queued);
            }
            if queued < 1.0 {
                // Asleep in the kernel until there is one.
                pass((1.0 - queued) * world.between_records, &mut queued);
            }
            let taken = queued.floor();
            queued -= taken;
            pass(world.round + taken * world.record, &mut queued);
            records += taken;
            let round = Round {
                records: taken as u64,
                fullness: taken / world.fits,
            };
            next = linger.after(round, now as u64);
        }
        Outcome {
            next,
            records_of_a_round: records / f64::from(ROUNDS),
            stalled: stalled / (now - begin),
        }
    }

    fn world(per_second: f64, fits: f64) -> World {
        World {
            between_records: 1e9 / per_second,
            fits,
            round: 5_000.0,
            record: 500.0,
            oversleep: 60_000.0,
        }
    }

    #[test]
    fn rare_records_are_never_waited_for() {
        for per_second in [1.0, 10.0, 100.0, 1000.0, 2000.0] {
            let mut linger = Linger::new(LingerPolicy::Auto);
            let outcome = live(&world(per_second, 5000.0), &mut linger);
            assert_eq!(outcome.next, Next::Ask, "{per_second}");
        }
    }

    #[test]
    fn many_are_gathered_and_nobody_is_held_up() {
        // What fits, and the fewest records of a round: half of it, or what comes in a millisecond.
        for (fits, want) in [(11.0, 4.0), (167.0, 20.0), (5000.0, 20.0)] {
            let mut linger = Linger::new(LingerPolicy::Auto);
            let outcome = live(&world(25_000.0, fits), &mut linger);
            assert!(
                outcome.records_of_a_round >= want,
                "{fits}: {}",
                outcome.records_of_a_round
            );
            assert!(outcome.stalled < 0.01, "{fits}: {}", outcome.stalled);
        }
    }

    #[test]
    fn a_flood_is_not_held_up_by_a_small_buffer() {
        let mut linger = Linger::new(LingerPolicy::Auto);
        let outcome = live(&world(400_000.0, 11.0), &mut linger);
        assert!(outcome.stalled < 0.05, "{}", outcome.stalled);
        // A large one is used.
        let outcome = live(&world(400_000.0, 5000.0), &mut linger);
        assert!(
            outcome.records_of_a_round > 200.0,
            "{}",
            outcome.records_of_a_round
        );
        assert!(outcome.stalled < 0.01, "{}", outcome.stalled);
    }

    #[test]
    fn where_a_buffer_is_always_full_nobody_asks() {
        let mut linger = Linger::new(LingerPolicy::Auto);
        let outcome = live(&world(3_000_000.0, 11.0), &mut linger);
        assert_eq!(outcome.next, Next::GoOn);
        let mut linger = Linger::new(LingerPolicy::Fixed(Duration::ZERO));
        let outcome = live(&world(3_000_000.0, 11.0), &mut linger);
        assert_eq!(outcome.next, Next::Ask);
    }

    #[test]
    fn the_first_record_after_a_pause_is_written_at_once() {
        let mut linger = Linger::new(LingerPolicy::Auto);
        let world = world(25_000.0, 5000.0);
        assert!(matches!(live(&world, &mut linger).next, Next::Wait(_)));
        let one = Round {
            records: 1,
            fullness: 0.001,
        };
        assert_eq!(linger.after(one, 3_600_000_000_000), Next::Ask);
        assert_eq!(linger.after(one, 3_601_000_000_000), Next::Ask);
    }

    #[test]
    fn no_wait_is_longer_than_the_cap_whatever_the_clock_and_the_sources_say() {
        let mut linger = Linger::new(LingerPolicy::Auto);
        let mut now = 0;
        for step in 0..100_000_u64 {
            let scrambled = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            now = if step % 97 == 0 {
                now / 2
            } else {
                now + scrambled % 3_000_000
            };
            let round = Round {
                records: scrambled % 5000,
                fullness: f64::from(u32::try_from(scrambled % 300).unwrap()) / 200.0,
            };
            if let Next::Wait(wait) = linger.after(round, now) {
                assert!(wait <= LINGER_MAX);
            }
        }
    }

    #[test]
    fn a_fixed_wait_follows_each_round_that_brought_something() {
        let wait = Duration::from_micros(70);
        let mut linger = Linger::new(LingerPolicy::Fixed(wait));
        let round = |records| Round {
            records,
            fullness: 1.0,
        };
        assert_eq!(linger.after(round(1), 1), Next::Wait(wait));
        assert_eq!(linger.after(round(0), 2), Next::Ask);
        let mut linger = Linger::new(LingerPolicy::Fixed(Duration::ZERO));
        assert_eq!(linger.after(round(1000), 3), Next::Ask);
    }
}
