//! The controller in made-up worlds: senders of every pace, buffers of every size, none of which it is told.

use super::*;

/// Numbers that look random (xorshift64*), the same in each run.
struct Dice(u64);

impl Dice {
    #[allow(clippy::cast_precision_loss)] // 53 bits
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between the two, each factor as likely.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.share())
    }
}

/// One endpoint's senders and the buffer between them and the daemon.
#[derive(Clone, Debug)]
struct Senders {
    per_second: f64,
    /// Records that the buffer holds.
    fits: f64,
    /// How much the pace changes from moment to moment, as a share of it.
    unsteady: f64,
    record_bytes: usize,
    queued: f64,
    pace: f64,
    /// Nanoseconds in which the buffer was full.
    stalled: f64,
    taken: f64,
}

impl Senders {
    fn new(per_second: f64, fits: f64) -> Self {
        Self {
            per_second,
            fits,
            unsteady: 0.0,
            record_bytes: 200,
            queued: 0.0,
            pace: 1.0,
            stalled: 0.0,
            taken: 0.0,
        }
    }

    fn pass(&mut self, time: f64) {
        let rate = self.per_second * self.pace / 1e9;
        // A sender waits with the next record in its hand.
        let full = self.fits + 1.0;
        let room = (full - self.queued) / rate;
        self.stalled += (time - room).max(0.0);
        self.queued = (self.queued + time * rate).min(full);
    }
}

/// Senders beside each other, and a daemon that takes so long for a round and for a record; in nanoseconds.
#[derive(Clone, Debug)]
struct World {
    senders: Vec<Senders>,
    round: f64,
    record: f64,
    /// What a sleep takes longer than it should, at least and at most.
    oversleep: (f64, f64),
    dice: u64,
}

/// What came of it.
struct Outcome {
    last_wait: Duration,
    rounds: f64,
    time: f64,
    senders: Vec<Senders>,
}

impl Outcome {
    fn records_of_a_round(&self) -> f64 {
        self.senders.iter().map(|s| s.taken).sum::<f64>() / self.rounds
    }

    /// Share of the time in which the buffer was full of those who fared worst.
    fn stalled(&self) -> f64 {
        let worst = self.senders.iter().map(|s| s.stalled).fold(0.0, f64::max);
        worst / self.time
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // of a round
fn live(world: &World, linger: &mut Linger, seconds: f64) -> Outcome {
    let begin = linger.last_ns.unwrap_or(1_000_000_000) as f64;
    let (mut now, mut rounds, mut wait) = (begin, 0.0, Duration::ZERO);
    let mut senders = world.senders.clone();
    let mut dice = Dice(world.dice);
    let mut next_change = now;
    while now < begin + seconds * 1e9 {
        if now >= next_change {
            for one in &mut senders {
                one.pace = 1.0 + one.unsteady * (2.0 * dice.share() - 1.0);
            }
            next_change = now + 1e6 * dice.share();
        }
        if !wait.is_zero() {
            let (least, most) = world.oversleep;
            let slept = wait.as_nanos() as f64 + least + (most - least) * dice.share();
            senders.iter_mut().for_each(|one| one.pass(slept));
            now += slept;
        }
        if senders.iter().all(|one| one.queued < 1.0) {
            // Asleep in the kernel until there is one.
            let until = |one: &Senders| (1.0 - one.queued) * 1e9 / (one.per_second * one.pace);
            let idle = senders.iter().map(until).fold(f64::INFINITY, f64::min) + 1.0;
            senders.iter_mut().for_each(|one| one.pass(idle));
            now += idle;
        }
        let began = now as u64;
        let mut took = world.round;
        for (endpoint, one) in senders.iter_mut().enumerate() {
            let taken = one.queued.floor().min(one.fits);
            one.queued -= taken;
            one.taken += taken;
            took += taken * world.record;
            if taken > 0.0 {
                linger.note(endpoint, taken as u64, taken as usize * one.record_bytes);
            }
        }
        senders.iter_mut().for_each(|one| one.pass(took));
        now += took;
        rounds += 1.0;
        wait = linger.after(began);
        assert!(wait <= LINGER_MAX);
    }
    Outcome {
        last_wait: wait,
        rounds,
        time: now - begin,
        senders,
    }
}

fn world(senders: Vec<Senders>) -> World {
    World {
        senders,
        round: 5_000.0,
        record: 500.0,
        oversleep: (55_000.0, 65_000.0),
        dice: 1,
    }
}

fn auto() -> Linger {
    Linger::new(LingerPolicy::Auto)
}

fn never() -> Linger {
    Linger::new(LingerPolicy::Fixed(Duration::ZERO))
}

#[test]
fn rare_records_are_never_waited_for() {
    for per_second in [1.0, 10.0, 100.0, 1000.0, 2000.0] {
        let world = world(vec![Senders::new(per_second, 5000.0)]);
        let outcome = live(&world, &mut auto(), 1e4 / per_second);
        assert!(outcome.records_of_a_round() < 1.5, "{per_second}");
        assert_eq!(outcome.last_wait, Duration::ZERO, "{per_second}");
    }
}

#[test]
fn many_are_gathered_and_nobody_is_held_up() {
    for (per_second, fits, want) in [
        (25_000.0, 11.0, 4.0),
        (25_000.0, 167.0, 15.0),
        (25_000.0, 5000.0, 15.0),
        (400_000.0, 5000.0, 100.0),
    ] {
        let world = world(vec![Senders::new(per_second, fits)]);
        let outcome = live(&world, &mut auto(), 2.0);
        let records = outcome.records_of_a_round();
        assert!(records >= want, "{per_second} {fits}: {records}");
        let stalled = outcome.stalled();
        assert!(stalled < 0.02, "{per_second} {fits}: {stalled}");
    }
}

/// A world that may be anything.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small numbers
fn any_world(number: u64) -> World {
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..8).for_each(|_| _ = dice.share());
    let count = 1 + (dice.share() * 3.0) as usize;
    let senders = (0..count)
        .map(|_| Senders {
            unsteady: dice.share() * 0.3,
            record_bytes: dice.between(16.0, 65_536.0) as usize,
            ..Senders::new(
                dice.between(100.0, 2e6),
                dice.between(1.0, 20_000.0).floor(),
            )
        })
        .collect();
    let least = dice.between(1_000.0, 100_000.0);
    World {
        senders,
        round: dice.between(1_000.0, 50_000.0),
        record: dice.between(100.0, 5_000.0),
        oversleep: (least, least * (1.0 + dice.share())),
        dice: number + 1,
    }
}

/// How much longer the buffer is full of those who fare worst, as a share of the time, than without a wait.
fn held_up_by_the_wait(world: &World) -> f64 {
    let seconds = 4.0;
    let waited = live(world, &mut auto(), seconds).stalled();
    if waited < 0.02 {
        return waited; // most are, and need no second look
    }
    waited - live(world, &mut never(), seconds).stalled()
}

#[test]
fn in_no_world_are_senders_held_up_who_would_not_be_without_a_wait() {
    let worlds = if std::env::var_os("LONG").is_some() {
        100_000
    } else {
        300
    };
    let mut above = 0;
    for number in 0..worlds {
        let world = any_world(number);
        let held_up = held_up_by_the_wait(&world);
        assert!(held_up < 0.1, "{number}: {held_up}: {world:?}");
        above += u64::from(held_up >= 0.02);
    }
    // Those of several endpoints, one of which is faster than the daemon.
    assert!(above <= worlds / 500, "{above}");
}

#[test]
fn a_slow_endpoint_does_not_keep_a_fast_one_from_being_waited_for() {
    let pair = vec![Senders::new(25_000.0, 5000.0), Senders::new(1200.0, 50.0)];
    let outcome = live(&world(pair), &mut auto(), 2.0);
    let records = outcome.records_of_a_round();
    assert!(records > 5.0, "{records}");
}

#[test]
fn who_comes_when_others_are_waited_for_is_not_held_up_for_long() {
    for newcomer in [Senders::new(300_000.0, 11.0), Senders::new(20_000.0, 1.0)] {
        let mut linger = auto();
        let others = || Senders::new(5000.0, 5000.0);
        let before = live(&world(vec![others()]), &mut linger, 2.0);
        assert!(before.last_wait > Duration::ZERO);
        let after = live(&world(vec![others(), newcomer]), &mut linger, 0.5);
        assert!(after.stalled() < 0.05, "{}", after.stalled());
    }
}

#[test]
fn who_sends_faster_than_before_is_not_held_up_for_long() {
    let mut linger = auto();
    let before = live(&world(vec![Senders::new(5000.0, 11.0)]), &mut linger, 2.0);
    assert!(before.last_wait > Duration::ZERO);
    let faster = world(vec![Senders::new(300_000.0, 11.0)]);
    let after = live(&faster, &mut linger, 0.5);
    assert!(after.stalled() < 0.1, "{}", after.stalled());
}

#[test]
fn who_has_become_rare_is_waited_for_no_more() {
    let mut linger = auto();
    let world = world(vec![Senders::new(25_000.0, 5000.0)]);
    assert!(live(&world, &mut linger, 1.0).last_wait > Duration::ZERO);
    let last = linger.last_ns.unwrap();
    for number in 1..10 {
        linger.note(0, 1, 200);
        let wait = linger.after(last + number * 3_000_000);
        assert!(number == 1 || wait == Duration::ZERO, "{wait:?}");
    }
}

#[test]
fn the_first_record_after_a_pause_is_written_at_once() {
    let mut linger = auto();
    let world = world(vec![Senders::new(25_000.0, 5000.0)]);
    assert!(live(&world, &mut linger, 1.0).last_wait > Duration::ZERO);
    for pause in [3_600, 3_601] {
        linger.note(0, 1, 200);
        assert_eq!(linger.after(pause * 1_000_000_000), Duration::ZERO);
    }
}

#[test]
fn no_wait_is_longer_than_the_cap_whatever_the_clock_and_the_sources_say() {
    let mut linger = auto();
    let mut now = 0;
    for step in 0..100_000_u64 {
        let scrambled = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        now = if step % 97 == 0 {
            now / 2
        } else {
            now + scrambled % 3_000_000
        };
        let records = scrambled % 5000;
        linger.note(usize::try_from(step % 7).unwrap(), records, 1);
        *linger.fill() = f64::from(u32::try_from(scrambled % 300).unwrap()) / 200.0;
        assert!(linger.after(now) <= LINGER_MAX);
    }
}

#[test]
fn a_receive_buffer_that_drops_is_never_let_fill_up() {
    let mut linger = auto();
    let world = world(vec![Senders::new(25_000.0, 5000.0)]);
    let wait = live(&world, &mut linger, 1.0).last_wait;
    linger.note(0, 25, 5000);
    *linger.fill() = 0.9;
    let last = linger.last_ns.unwrap();
    let since = 1_000_000;
    assert!(linger.after(last + since) < wait.mul_f64(0.8));
}

#[test]
fn a_fixed_wait_follows_each_round_that_brought_something() {
    let wait = Duration::from_micros(70);
    for (policy, want) in [(wait, wait), (Duration::ZERO, Duration::ZERO)] {
        let mut linger = Linger::new(LingerPolicy::Fixed(policy));
        assert_eq!(linger.after(1), Duration::ZERO);
        linger.note(0, 1, 10);
        assert_eq!(linger.after(2), want);
        assert_eq!(linger.after(3), Duration::ZERO);
    }
}
