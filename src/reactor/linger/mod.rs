//! How long to wait before the next look, so that one round serves many records.
//!
//! Pure. A wake-up costs more than a record, so while records come fast, each round is put off until many have
//! gathered. But a kernel buffer that is full makes its senders wait (or loses what they send), and nobody can ask how
//! much a sender's buffer holds. So the wait is found as TCP finds its window: it grows while what comes in a given
//! time stays the same, and is cut as soon as less comes than without a wait.
//!
//! From time to time there is a *trial*: some rounds without a wait, then some with a wait longer than the usual one.
//! If the same comes in the same time, no sender was held up, and the usual wait grows towards the one tried, of which
//! it stays a share. If less comes, the ratio of the two rates says after what share of the tried wait the buffer was
//! full, and the usual wait is set to fit. The next trial is put off by a multiple of what this one has cost.

mod run;
#[cfg(test)]
mod tests;

use run::Run;
use std::time::Duration;

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LingerPolicy {
    /// As long as the load suggests, at most [`LINGER_MAX`].
    Auto,
    /// Always this long after records have come.
    Fixed(Duration),
}

/// The longest wait, and so the most that waiting adds to a record's latency.
pub const LINGER_MAX: Duration = Duration::from_millis(1);

/// What a sleep oversleeps: timer slack (50 us, `man 2 prctl`) and the wake-up.
const OVERSLEEP_NS: f64 = 60_000.0;

/// The longest time from one round to the next that a wait leads to.
const CYCLE_MAX_NS: f64 = 1_000_000.0 + OVERSLEEP_NS;

/// The wait in use, as a share of the longest that was tried with success: what the senders may quicken, and what a
/// trial may overlook.
const SHARE: f64 = 0.75;

/// How much longer than the wait in use one is that is tried.
const STEP: f64 = 3.0;

/// Less is no growth, after which a longer one would be tried at once.
const GROWTH_MIN: f64 = 1.05;

/// How long what came without a wait may be compared with, as long as the wait grows.
const FRESH_NS: u64 = 20_000_000;

/// A wait is worth it that has one round do the work of so many: it costs about as much as a wake-up itself.
const ROUNDS_WORTH: f64 = 3.0;

/// More records than these cost no less for coming together.
const RECORDS_ENOUGH: f64 = 512.0;

/// How full a receive buffer may get that drops what does not fit.
const FILL_MAX: f64 = 0.5;

/// After a pause that long, nothing is known of what comes next.
const PAUSE_NS: f64 = 5_000_000.0;

/// What comes is told apart from chance by so many records at least, in that time at least.
const SAMPLE_RECORDS: f64 = 100.0;
const SAMPLE_NS: f64 = 1_000_000.0;

/// An endpoint that is slower than the others has so much of its load looked at, for so long at most.
const SAMPLE_LOAD_OF_ONE: f64 = 50.0;
const SAMPLE_NS_MAX: f64 = 50_000_000.0;

/// Rounds of a sample at least.
const SAMPLE_ROUNDS: u32 = 4;

/// Rounds at the begin of a sample that still bring what an earlier wait has left: senders that were held up are back
/// after a moment, and a TCP sender with Nagle's algorithm sends what it has gathered in answer to our read.
const ROUNDS_BETWEEN: u32 = 2;

/// How long nothing is tried after a trial, in multiples of what that has cost.
const REST: f64 = 100.0;

/// How long nothing is tried after a trial that has held up nobody, at most.
const REST_MAX_NS: f64 = 500_000_000.0;

/// From here on, a ratio of rates leaves no doubt, if so much load was to be expected.
const CLEARLY_HELD_UP: f64 = 2.0;
const CLEAR_LOAD: f64 = 10.0;

/// After a change of the load, a trial comes when so many times the last one's look without a wait have passed.
const REST_AFTER_CHANGE: f64 = 10.0;

/// The shortest wait is this share of [`OVERSLEEP_NS`]: less is not worth the call.
const WAIT_MIN: f64 = 0.1;

/// A pause that a trial may have made counts as what it has cost, up to this.
const DEAREST_NS: f64 = 50_000_000.0;

/// Share of the newest round in the averages.
const NEWEST: f64 = 1.0 / 8.0;

/// Looks at rounds and says how long to wait before the next.
#[derive(Debug)]
pub struct Linger {
    policy: LingerPolicy,
    /// What this round has brought so far.
    round: Run,
    /// How full the fullest receive buffer of this round was that drops what does not fit, from 0 to 1.
    fill: f64,
    /// When the last round began (CLOCK_MONOTONIC).
    last_ns: Option<u64>,
    stage: Stage,
    /// What came in which time since the stage began.
    run: Run,
    /// How many rounds of the stage are still to be left out.
    skipped: u32,
    /// What came with the usual wait before that was looked at.
    waited: Run,
    /// What came without a wait, last time.
    bare: Run,
    /// When that was, and from when on the next trial may be.
    bare_ns: u64,
    rest_until_ns: u64,
    /// The time from one round to the next that the wait in use aims at, 0 for none.
    cycle_ns: f64,
    /// What the last wait aimed at.
    aimed_ns: f64,
    /// Averages of the last rounds: the time of one, and its records.
    round_ns: f64,
    round_records: f64,
}

/// What the rounds are for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// The usual wait.
    Usual,
    /// No wait, to see what comes then.
    Bare,
    /// A wait on trial, as the time from one round to the next.
    Tried(f64),
}

impl Linger {
    /// One that knows nothing yet.
    pub fn new(policy: LingerPolicy) -> Self {
        Self {
            policy,
            round: Run::new(),
            fill: 0.0,
            last_ns: None,
            stage: Stage::Usual,
            run: Run::new(),
            skipped: 0,
            waited: Run::new(),
            bare: Run::new(),
            bare_ns: 0,
            rest_until_ns: 0,
            cycle_ns: 0.0,
            aimed_ns: 0.0,
            round_ns: 0.0,
            round_records: 0.0,
        }
    }

    /// Tells whether rounds are looked at.
    pub fn is_auto(&self) -> bool {
        self.policy == LingerPolicy::Auto
    }

    /// Notes what a turn of this round has brought.
    pub fn note(&mut self, endpoint: usize, records: u64, bytes: usize) {
        self.round.note(endpoint, records, bytes);
    }

    /// Tells whether a wait may follow this round.
    pub fn is_waiting(&self) -> bool {
        match self.policy {
            LingerPolicy::Fixed(wait) => !wait.is_zero(),
            LingerPolicy::Auto => self.stage != Stage::Usual || self.wait_ns() > 0.0,
        }
    }

    /// Where a source that drops what does not fit into its receive buffer notes how full that was, from 0 to 1.
    pub fn fill(&mut self) -> &mut f64 {
        &mut self.fill
    }

    /// How long to wait after this round, which began at `began_ns` (CLOCK_MONOTONIC).
    pub fn after(&mut self, began_ns: u64) -> Duration {
        if !self.round.has_records() {
            return Duration::ZERO;
        }
        let wait = match self.policy {
            LingerPolicy::Fixed(wait) => wait,
            LingerPolicy::Auto => {
                let cycle = self.cycle_after(began_ns);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 ms
                Duration::from_nanos((cycle - OVERSLEEP_NS).max(0.0) as u64).min(LINGER_MAX)
            }
        };
        self.round.clear();
        self.fill = 0.0;
        wait
    }

    /// The time from this round to the next that is aimed at.
    #[allow(clippy::cast_precision_loss)] // a time
    fn cycle_after(&mut self, began_ns: u64) -> f64 {
        let last = self.last_ns.replace(began_ns);
        let since = last.map_or(0, |last| began_ns.saturating_sub(last)) as f64;
        if !(1.0..PAUSE_NS).contains(&since) {
            // The first record after a pause is written at once, and so is the second.
            self.forget_all(began_ns, since);
            return 0.0;
        }
        if self.run.is_new(&self.round) && self.wait_ns() > 0.0 {
            // The wait was tried without this endpoint.
            self.forget_all(began_ns, 0.0);
        }
        self.round_ns += (since - self.round_ns) * NEWEST;
        self.round_records += (self.round.records - self.round_records) * NEWEST;
        if self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.run.add(&self.round, since, self.room_ns(since));
        }
        match self.stage {
            Stage::Usual => self.usual(began_ns),
            Stage::Bare => self.see_bare(began_ns),
            Stage::Tried(cycle) => self.see_tried(cycle, began_ns),
        }
        let cycle = match self.stage {
            // At the pace of this round, none would come meanwhile.
            Stage::Usual if self.cycle_ns * self.round.records < since => 0.0,
            Stage::Usual => self.cycle_that_is_worth_it(),
            Stage::Bare => 0.0,
            Stage::Tried(cycle) => cycle,
        };
        // A round takes longer than the wait that it aims at: so much is left for that.
        let late = if self.aimed_ns > 0.0 {
            since - self.aimed_ns
        } else {
            0.0
        };
        self.aimed_ns = cycle.min(self.room_ns(since) - late.max(0.0)).max(0.0);
        self.aimed_ns
    }

    /// After what time the fullest receive buffer that drops what does not fit would be as full as it may get, if more came
    /// as in this round, which began so long after the one before.
    fn room_ns(&self, since_ns: f64) -> f64 {
        if self.fill > 0.0 {
            since_ns * FILL_MAX / self.fill
        } else {
            f64::INFINITY
        }
    }

    /// The usual cycle, if as many come in it by the last rounds' pace as are worth a wait, and no more than are enough.
    fn cycle_that_is_worth_it(&self) -> f64 {
        let records = self.cycle_ns / self.round_ns * self.round_records;
        if records < ROUNDS_WORTH {
            return 0.0;
        }
        self.cycle_ns * (RECORDS_ENOUGH / records).min(1.0)
    }

    /// Begins as one that knows nothing. If a trial has made the pause before, it was a dear one.
    fn forget_all(&mut self, now_ns: u64, pause_ns: f64) {
        match self.stage {
            Stage::Tried(_) => self.rest(now_ns, pause_ns.min(DEAREST_NS)),
            Stage::Usual | Stage::Bare if self.cycle_ns > 0.0 => self.rest_until_ns = now_ns,
            Stage::Usual | Stage::Bare => {}
        }
        self.begin(Stage::Usual, 0);
        self.run.begin_anew();
        (self.cycle_ns, self.aimed_ns) = (0.0, 0.0);
        (self.round_ns, self.round_records) = (0.0, 0.0);
    }

    fn begin(&mut self, stage: Stage, skipped: u32) {
        self.stage = stage;
        self.skipped = skipped;
        self.run.clear();
    }

    /// Puts the next trial off by what this one has cost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most seconds
    fn rest(&mut self, now_ns: u64, cost_ns: f64) {
        self.rest_until_ns = now_ns + (REST * cost_ns) as u64;
    }

    fn usual(&mut self, now_ns: u64) {
        let is_due = now_ns >= self.rest_until_ns && self.run.is_sample();
        if !is_due && !self.has_load_changed(now_ns) {
            self.run.forget();
        } else if self.run.ns / self.run.records * ROUNDS_WORTH > CYCLE_MAX_NS {
            // They have become rare.
            self.cycle_ns = 0.0;
            self.run.forget();
        } else {
            self.waited.clone_from(&self.run);
            self.begin(Stage::Bare, ROUNDS_BETWEEN);
        }
    }

    /// Tells whether more comes than without a wait: the wait in use was not tried with such a load.
    fn has_load_changed(&self, now_ns: u64) -> bool {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // less than a second
        let soon = self.bare_ns + (REST_AFTER_CHANGE * self.bare.ns) as u64;
        let is_seen = self.run.rounds >= SAMPLE_ROUNDS && self.run.ns >= SAMPLE_NS;
        if self.wait_ns() <= 0.0 || !is_seen || now_ns < soon {
            return false;
        }
        let (ratio, doubt) = self.bare.slower_than(&self.run, CLEAR_LOAD);
        ratio > 1.0 + doubt
    }

    fn wait_ns(&self) -> f64 {
        self.cycle_ns - OVERSLEEP_NS
    }

    fn see_bare(&mut self, now_ns: u64) {
        if !self.run.is_sample_of_each() {
            return;
        }
        self.bare.clone_from(&self.run);
        self.bare_ns = now_ns;
        let (ratio, doubt) = self.waited.slower_than(&self.bare, CLEAR_LOAD);
        if self.wait_ns() > 0.0 && ratio > 1.0 + doubt {
            self.shorten(&self.waited.clone(), self.cycle_ns, ratio);
        }
        if now_ns >= self.rest_until_ns {
            self.try_longer(now_ns);
        } else {
            self.begin(Stage::Usual, 1);
        }
    }

    /// Makes the usual wait fit, after a run in which so many times less came than without a wait.
    fn shorten(&mut self, run: &Run, cycle: f64, ratio: f64) {
        // A round takes longer than the wait that it aims at: so much is left for that.
        let took = run.ns / f64::from(run.rounds);
        let left = SHARE * took / ratio - (took - cycle);
        self.cycle_ns = self.cycle_ns.min(left.max(0.0));
    }

    /// Begins to try a longer wait than the usual one, or goes on as usual if there is none.
    fn try_longer(&mut self, now_ns: u64) {
        let shortest = (ROUNDS_WORTH * self.bare.ns / f64::from(self.bare.rounds))
            .max(OVERSLEEP_NS * (1.0 + WAIT_MIN));
        let enough = RECORDS_ENOUGH / SHARE * self.bare.ns / self.bare.records;
        let longest = CYCLE_MAX_NS.min(enough).min(self.bare.room_ns);
        if shortest > longest {
            self.cycle_ns = 0.0;
            self.rest(now_ns, SAMPLE_NS);
            return self.begin(Stage::Usual, 0);
        }
        let cycle = (STEP * self.cycle_ns).clamp(shortest, longest);
        self.begin(Stage::Tried(cycle), 1);
    }

    fn see_tried(&mut self, cycle: f64, now_ns: u64) {
        if self.run.rounds < SAMPLE_ROUNDS {
            return;
        }
        let (ratio, doubt) = self.run.slower_than(&self.bare, CLEAR_LOAD);
        // What is not clear needs as long a look: the scheduler may have kept the senders from a processor.
        let is_clear = ratio > CLEARLY_HELD_UP + doubt;
        if !is_clear && self.run.ns < self.bare.ns.min(SAMPLE_NS_MAX) {
            return;
        }
        let was = self.cycle_ns;
        if ratio <= 1.0 + doubt {
            // Other limits may have cut the waits.
            let took = self.run.ns / f64::from(self.run.rounds);
            self.cycle_ns = SHARE * cycle.min(took);
            if self.cycle_ns > was * GROWTH_MIN {
                return if now_ns - self.bare_ns < FRESH_NS {
                    self.try_longer(now_ns);
                } else {
                    self.begin(Stage::Bare, ROUNDS_BETWEEN);
                };
            }
            self.rest(now_ns, self.bare.ns.min(REST_MAX_NS / REST));
        } else {
            self.shorten(&self.run.clone(), cycle, ratio);
            let lost = self.run.ns * (1.0 - 1.0 / ratio);
            self.rest(now_ns, lost);
        }
        self.begin(Stage::Usual, 1);
    }
}
