//! What came in some rounds, and in what time.

use super::{
    CYCLE_MAX_NS, SAMPLE_NS, SAMPLE_NS_MAX, SAMPLE_RECORDS, SAMPLE_RECORDS_OF_ONE, SAMPLE_ROUNDS,
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
    records: f64,
    /// Bytes, and as many again for each record as the kernel needs to hold it: so neither few large records nor many
    /// small ones hide what comes beside them.
    load: f64,
    /// It has brought something since the last pause.
    is_known: bool,
}

/// What a kernel buffer is charged for a record beside its bytes, about.
const RECORD_LOAD: f64 = 1000.0;

/// So many more records than came may be the rule.
const CHANCE: f64 = 3.0;

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
            (part.records, part.load) = (0.0, 0.0);
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
        part.records += records as f64;
        part.load += bytes as f64 + records as f64 * RECORD_LOAD;
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
            sum.records += part.records;
            sum.load += part.load;
            sum.is_known |= part.records > 0.0;
        }
    }

    /// Lets the older half go of what is more than a few samples.
    pub(super) fn forget(&mut self) {
        let is_long = self.ns > 4.0 * SAMPLE_NS && self.records > 4.0 * SAMPLE_RECORDS;
        if is_long && self.rounds > 4 * SAMPLE_ROUNDS {
            self.ns /= 2.0;
            self.rounds /= 2;
            self.records /= 2.0;
            for part in &mut self.parts {
                part.records /= 2.0;
                part.load /= 2.0;
            }
        }
    }

    /// Tells whether it is long enough to be told apart from chance.
    pub(super) fn is_sample(&self) -> bool {
        let is_enough = |part: &Part| {
            // One that brings less than a record in the longest wait is not held up by it.
            let at_most = part.records + CHANCE;
            !part.is_known
                || part.records >= SAMPLE_RECORDS_OF_ONE
                || at_most * CYCLE_MAX_NS < self.ns
        };
        self.rounds >= SAMPLE_ROUNDS
            && self.records >= SAMPLE_RECORDS
            && self.ns >= SAMPLE_NS
            && (self.ns >= SAMPLE_NS_MAX || self.parts.iter().all(is_enough))
    }

    /// How many times slower records came than in `other`, over the endpoint where that is most, and by how much the ratio
    /// may be above 1 by chance.
    pub(super) fn slower_than(&self, other: &Self) -> (f64, f64) {
        let ratio = |own: f64, others: f64| (others / other.ns) / (own / self.ns).max(1e-12);
        let (mut worst, mut surplus) = ((0.0, 0.0), f64::NEG_INFINITY);
        for (index, others) in other.parts.iter().enumerate() {
            if others.records < SAMPLE_RECORDS_OF_ONE {
                continue;
            }
            let own = self.parts.get(index).copied().unwrap_or_default();
            let ratio = ratio(own.load, others.load);
            let expected = others.records / other.ns * self.ns;
            let doubt = 0.05 + 1.25 * (1.0 / others.records + 1.0 / expected).sqrt();
            if ratio - doubt > surplus {
                (worst, surplus) = ((ratio, doubt), ratio - doubt);
            }
        }
        worst
    }
}
