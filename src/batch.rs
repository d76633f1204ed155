//! What one round completed: bytes on their way to the output, and what they count for.
//!
//! Pure. A record counts as written only when the output has taken it.

use memchr::{memchr_iter, memrchr};

/// What lines written amount to.
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
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// How many of `bytes` the output has taken.
    taken: usize,
    /// Whose lines stand where, in order.
    runs: Vec<Run>,
    /// The lines that are wrapped, in order.
    wrapped: Vec<Wrapped>,
}

/// Lines of one endpoint that follow each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    endpoint: usize,
    start: usize,
    records: u64,
}

/// A line that holds what was sent as a message.
#[derive(Clone, Copy, Debug)]
struct Wrapped {
    start: usize,
    is_truncated: bool,
}

/// Where one source's lines are appended.
#[derive(Debug)]
pub struct Lines<'a> {
    /// The batch's bytes.
    pub bytes: &'a mut Vec<u8>,
    records: &'a mut u64,
    wrapped: &'a mut Vec<Wrapped>,
}

impl Lines<'_> {
    /// How many lines of this endpoint follow each other here.
    pub fn records(&self) -> u64 {
        *self.records
    }

    /// Appends so many lines, each with its newline.
    pub fn append_verbatim(&mut self, lines: &[u8], count: u64) {
        self.bytes.extend_from_slice(lines);
        *self.records += count;
    }

    /// Notes that the line appended next is an object as it came.
    pub fn count_verbatim(&mut self) {
        *self.records += 1;
    }

    /// Notes that the line appended next is a wrapped one.
    pub fn count_wrapped(&mut self, is_truncated: bool) {
        *self.records += 1;
        self.wrapped.push(Wrapped {
            start: self.bytes.len(),
            is_truncated,
        });
    }
}

/// A batch gives memory back when it is empty and holds more than this.
const KEPT_BYTES: usize = 2 << 20;
const KEPT_ENTRIES: usize = 16 << 10;

impl Batch {
    /// Where to append lines of this endpoint.
    pub fn lines_of(&mut self, endpoint: usize) -> Lines<'_> {
        if self.runs.last().is_none_or(|run| run.endpoint != endpoint) {
            self.runs.push(Run {
                endpoint,
                start: self.bytes.len(),
                records: 0,
            });
        }
        let last = self.runs.len() - 1;
        Lines {
            bytes: &mut self.bytes,
            records: &mut self.runs[last].records,
            wrapped: &mut self.wrapped,
        }
    }

    /// How many lines it holds.
    pub fn records(&self) -> u64 {
        self.runs.iter().map(|run| run.records).sum()
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

    /// Takes the bytes of a line that the output has taken in part back, so that the whole line goes to
    /// the next one; returns how many they are.
    pub fn take_back_half_line(&mut self) -> usize {
        let whole = memrchr(b'\n', &self.bytes[..self.taken]).map_or(0, |at| at + 1);
        let half = self.taken - whole;
        self.taken = whole;
        half
    }

    /// How many lines the output has not taken whole.
    pub fn lines_left(&self) -> usize {
        memchr_iter(b'\n', self.rest()).count()
    }

    /// Calls `count` for each endpoint's part of what the output has taken, and gives up the batch's
    /// claim to be counted. Of a line that was taken in part, only the bytes count.
    pub fn settle(&mut self, mut count: impl FnMut(usize, Tally)) {
        let mut wrapped = self.wrapped.iter().peekable();
        for (index, run) in self.runs.iter().enumerate() {
            let next = self.runs.get(index + 1);
            let end = next.map_or(self.bytes.len(), |next| next.start);
            let taken = &self.bytes[run.start.min(self.taken)..end.min(self.taken)];
            let mut records = run.records;
            let mut lines_end = end;
            if end > self.taken {
                records = memchr_iter(b'\n', taken).count() as u64;
                lines_end = run.start + memrchr(b'\n', taken).map_or(0, |at| at + 1);
            }
            let mut tally = Tally {
                records,
                bytes: taken.len() as u64,
                ..Tally::default()
            };
            while let Some(line) = wrapped.next_if(|line| line.start < lines_end) {
                tally.wrapped += 1;
                tally.truncated += u64::from(line.is_truncated);
            }
            if tally.bytes > 0 {
                count(run.endpoint, tally);
            }
        }
        self.forget_taken();
    }

    fn forget_taken(&mut self) {
        self.runs.clear();
        self.wrapped.clear();
        self.runs.shrink_to(KEPT_ENTRIES);
        self.wrapped.shrink_to(KEPT_ENTRIES);
        self.bytes.drain(..self.taken);
        self.bytes.shrink_to(KEPT_BYTES);
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three lines of endpoint 1, the second one wrapped, and one of endpoint 0, wrapped in part.
    fn batch() -> Batch {
        let mut batch = Batch::default();
        let mut lines = batch.lines_of(1);
        lines.count_verbatim();
        lines.bytes.extend_from_slice(b"{}\n");
        lines.count_wrapped(false);
        lines.bytes.extend_from_slice(b"{\"a\":1}\n");
        // The next turn of the same endpoint.
        let mut lines = batch.lines_of(1);
        lines.count_verbatim();
        lines.bytes.extend_from_slice(b"{}\n");
        let mut lines = batch.lines_of(0);
        lines.count_wrapped(true);
        lines.bytes.extend_from_slice(b"{\"b\":2}\n");
        batch
    }

    const ONE: Tally = Tally {
        records: 3,
        bytes: 14,
        wrapped: 1,
        truncated: 0,
    };

    /// Takes this many bytes and checks what they count for.
    #[track_caller]
    fn check(taken: usize, want: &[(usize, Tally)], want_left: usize) {
        let mut batch = batch();
        batch.take(taken);
        let mut counted = Vec::new();
        batch.settle(|endpoint, tally| counted.push((endpoint, tally)));
        assert_eq!(counted, want, "after {taken} bytes");
        assert_eq!(batch.lines_left(), want_left, "after {taken} bytes");
        batch.settle(|endpoint, _| panic!("endpoint {endpoint} counted twice"));
    }

    #[test]
    fn half_a_line_can_be_taken_back() {
        for (taken, half) in [(0, 0), (2, 2), (3, 0), (10, 7), (11, 0), (21, 7)] {
            let mut batch = batch();
            batch.take(taken);
            assert_eq!(batch.take_back_half_line(), half);
            assert_eq!(batch.rest().len(), 22 - (taken - half));
        }
    }

    #[test]
    fn a_batch_taken_whole_counts_whole() {
        let zero = Tally {
            records: 1,
            bytes: 8,
            wrapped: 1,
            truncated: 1,
        };
        check(22, &[(1, ONE), (0, zero)], 0);
    }

    #[test]
    fn a_batch_taken_in_part_counts_the_lines_that_are_whole() {
        let part = |records, bytes, wrapped| Tally {
            records,
            bytes,
            wrapped,
            truncated: 0,
        };
        check(0, &[], 4);
        check(2, &[(1, part(0, 2, 0))], 4);
        check(3, &[(1, part(1, 3, 0))], 3);
        check(10, &[(1, part(1, 10, 0))], 3);
        check(11, &[(1, part(2, 11, 1))], 2);
        check(14, &[(1, ONE)], 1);
        check(21, &[(1, ONE), (0, part(0, 7, 0))], 1);
    }
}
