//! What came in some rounds, and in what time.

use super::{
    CYCLE_MAX_NS, SAMPLE_LOAD_OF_ONE, SAMPLE_NS, SAMPLE_NS_MAX, SAMPLE_RECORDS, SAMPLE_ROUNDS,
};

/// Rounds, summed up. A round of its own has no time yet.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// From the begin of the round before the first to that of the last.
    pub(super) ns: f64,
    pub(super) rounds: u32,
    pub(super) records: f64,
    /// The shortest time after which a receive buffer that drops what does not fit would be as full as it may get.
    pub(super) room_ns: f64,
    /// By endpoint.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Records, and one more for each 1,000 bytes: so neither few large records nor many small ones hide what comes beside
    /// them, and a large record counts while it comes in pieces.
    load: f64,
    /// It has brought something since the last pause.
    is_known: bool,
}

/// Bytes that count as much as a record: about what a kernel buffer is charged for one beside its bytes.
const RECORD_BYTES: f64 = 1000.0;

/// So much more than came may be the rule.
const CHANCE: f64 = 3.0;

/// A rate that is lower by a share is no sign if it may be chance: by this share, and so many standard errors.
const DOUBT: f64 = 0.05;
const DOUBT_ERRORS: f64 = 1.25;

/// What is older counts half when so many samples have come.
const SAMPLES_KEPT: f64 = 4.0;

impl Run {
    pub(super) fn new() -> Self {
        Self {
            ns: 0.0,
            rounds: 0,
            records: 0.0,
            room_ns: f64::INFINITY,
            parts: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        (self.ns, self.rounds, self.records) = (0.0, 0, 0.0);
        self.room_ns = f64::INFINITY;
        for part in &mut self.parts {
            part.load = 0.0;
        }
    }

    /// Clears it, and lets go of who has brought something so far.
    pub(super) fn begin_anew(&mut self) {
        self.clear();
        self.parts.clear();
    }

    #[allow(clippy::cast_precision_loss)] // of a round
    pub(super) fn note(&mut self, endpoint: usize, records: u64, bytes: usize) {
        if self.parts.len() <= endpoint {
            self.parts.resize(endpoint + 1, Part::default());
        }
        let part = &mut self.parts[endpoint];
        part.load += records as f64 + bytes as f64 / RECORD_BYTES;
        self.records += records as f64;
    }

    pub(super) fn has_records(&self) -> bool {
        self.records > 0.0
    }

    /// Adds a round that began so long after the one before.
    pub(super) fn add(&mut self, round: &Self, since_ns: f64, room_ns: f64) {
        self.ns += since_ns;
        self.room_ns = self.room_ns.min(room_ns);
        self.rounds += 1;
        self.records += round.records;
        if self.parts.len() < round.parts.len() {
            self.parts.resize(round.parts.len(), Part::default());
        }
        for (sum, part) in self.parts.iter_mut().zip(&round.parts) {
            sum.load += part.load;
            sum.is_known |= part.load > 0.0;
        }
    }

    /// Lets the older half go of what is more than a few samples.
    pub(super) fn forget(&mut self) {
        let is_long = self.ns > SAMPLES_KEPT * SAMPLE_NS
            && self.records > SAMPLES_KEPT * SAMPLE_RECORDS
            && f64::from(self.rounds) > SAMPLES_KEPT * f64::from(SAMPLE_ROUNDS);
        if is_long {
            self.ns /= 2.0;
            self.rounds /= 2;
            self.records /= 2.0;
            for part in &mut self.parts {
                part.load /= 2.0;
            }
        }
    }

    /// Tells whether it is long enough to be told apart from chance.
    pub(super) fn is_sample(&self) -> bool {
        self.rounds >= SAMPLE_ROUNDS && self.records >= SAMPLE_RECORDS && self.ns >= SAMPLE_NS
    }

    /// Tells whether each endpoint has brought enough for that, too.
    pub(super) fn is_sample_of_each(&self) -> bool {
        let is_enough = |part: &Part| {
            // One that brings less than a record in the longest wait is not held up by it.
            let at_most = part.load + CHANCE;
            !part.is_known || part.load >= SAMPLE_LOAD_OF_ONE || at_most * CYCLE_MAX_NS < self.ns
        };
        let is_long = self.ns >= SAMPLE_NS_MAX;
        self.is_sample() && (is_long || self.parts.iter().all(is_enough))
    }

    /// Tells whether a round brings something from an endpoint that has brought nothing so far.
    pub(super) fn is_new(&self, round: &Self) -> bool {
        let is_known = |index| {
            self.parts
                .get(index)
                .is_some_and(|part: &Part| part.is_known)
        };
        let mut parts = round.parts.iter().enumerate();
        parts.any(|(index, part)| part.load > 0.0 && !is_known(index))
    }

    /// How many times slower the load came than in `other`, over the endpoint where that is most beyond chance, and by how
    /// much the ratio may be above 1 by chance. Endpoints of which less than `least` was to be expected are left out.
    pub(super) fn slower_than(&self, other: &Self, least: f64) -> (f64, f64) {
        let mut worst = (0.0, 0.0);
        let mut surplus = f64::NEG_INFINITY;
        for (own, others) in self.parts.iter().zip(&other.parts) {
            let expected = others.load / other.ns * self.ns;
            // Who is held up brings what the buffer holds. One that brings nothing has ended.
            if others.load < SAMPLE_LOAD_OF_ONE || expected < least || own.load == 0.0 {
                continue;
            }
            let ratio = expected / own.load;
            let doubt = DOUBT + DOUBT_ERRORS * (1.0 / others.load + 1.0 / expected).sqrt();
            if ratio - doubt > surplus {
                (worst, surplus) = ((ratio, doubt), ratio - doubt);
            }
        }
        worst
    }
}
