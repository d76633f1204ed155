//! What one round completed: bytes on their way to the output, and what they count for.
//!
//! Pure. A record counts as written only when the output has taken all of its batch.

/// What lines written amount to, per endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines, wrapped ones included.
    pub records: u64,
    /// Bytes, newlines included.
    pub bytes: u64,
    /// Lines that are not the sender's own JSON object but hold it as a message.
    pub wrapped: u64,
    /// Lines that hold only the beginning of what was sent; part of `wrapped`.
    pub truncated: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.wrapped += other.wrapped;
        self.truncated += other.truncated;
    }
}

/// Complete lines that wait to be written.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    /// How many of `bytes` the output has taken.
    taken: usize,
    /// What the whole of `bytes` counts for, by endpoint.
    tallies: Vec<Tally>,
}

/// A batch gives memory back when it is empty and holds more than this.
const KEPT_BYTES: usize = 2 << 20;

impl Batch {
    /// An empty batch for the records of `endpoints` endpoints.
    pub fn new(endpoints: usize) -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
            tallies: vec![Tally::default(); endpoints],
        }
    }

    /// Where to append lines of this endpoint, and where to count them.
    pub fn lines_of(&mut self, endpoint: usize) -> (&mut Vec<u8>, &mut Tally) {
        (&mut self.bytes, &mut self.tallies[endpoint])
    }

    /// The bytes that the output has not taken yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Notes that the output has taken the next `bytes`.
    pub fn take(&mut self, bytes: usize) {
        self.taken += bytes;
        debug_assert!(self.taken <= self.bytes.len());
    }

    /// How many lines the output has not taken whole.
    pub fn lines_left(&self) -> usize {
        memchr::memchr_iter(b'\n', self.rest()).count()
    }

    /// Empties a batch that the output has taken whole; calls `count` for each endpoint's part.
    pub fn settle(&mut self, mut count: impl FnMut(usize, Tally)) {
        debug_assert!(self.rest().is_empty());
        for (endpoint, tally) in self.tallies.iter_mut().enumerate() {
            if tally.records > 0 {
                count(endpoint, std::mem::take(tally));
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_when_it_is_taken_whole() {
        let mut batch = Batch::new(2);
        let (bytes, tally) = batch.lines_of(1);
        bytes.extend_from_slice(b"{}\n{}\n");
        tally.records = 2;
        tally.bytes = 6;

        batch.take(4);
        assert_eq!(batch.rest(), b"}\n");
        assert_eq!(batch.lines_left(), 1);
        batch.take(2);

        let mut counted = Vec::new();
        batch.settle(|endpoint, tally| counted.push((endpoint, tally.records, tally.bytes)));
        assert_eq!(counted, [(1, 2, 6)]);
        assert_eq!(batch.rest(), b"");
        batch.settle(|endpoint, _| panic!("endpoint {endpoint} counted twice"));
    }
}
