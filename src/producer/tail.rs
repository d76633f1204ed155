//! The last records that were sent, in case some of them have not arrived.

use std::collections::VecDeque;

/// How many bytes of them are kept for TCP: what a socket's send buffer holds at most (`tcp_wmem` in
/// `man 7 tcp`).
pub(super) const TCP_BYTES_MAX: usize = 4 << 20;

/// The same for UDP, which tells only of the last one.
pub(super) const UDP_BYTES_MAX: usize = 64 << 10;

/// Records, the oldest first.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    bytes_max: usize,
}

impl Tail {
    /// Room for so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: VecDeque::with_capacity(bytes_max),
            bytes_max,
        }
    }

    /// Adds the record that has just been sent.
    pub(super) fn push(&mut self, record: &[u8]) {
        let excess = (self.bytes.len() + record.len()).saturating_sub(self.bytes_max);
        if excess > 0 {
            // In whole records, so that what is sent again begins with one.
            let mut rest = self.bytes.iter().skip(excess.saturating_sub(1));
            let after = rest.position(|byte| *byte == b'\n').map(|at| excess + at);
            self.bytes
                .drain(..after.unwrap_or(self.bytes.len()).min(self.bytes.len()));
        }
        self.bytes.extend(record);
    }

    /// What is to be sent again, in whole records: of what was sent, `hand` among it, the last `missing`
    /// bytes have not arrived. Of `hand`, which follows the tail, only `taken` bytes were sent at all.
    pub(super) fn again(&self, hand: &[u8], taken: usize, missing: usize) -> Vec<u8> {
        let arrived = taken.saturating_sub(missing); // of `hand`
        let begin = hand[..arrived].iter().rposition(|byte| *byte == b'\n');
        let mut records = self.last(missing.saturating_sub(taken));
        records.extend_from_slice(&hand[begin.map_or(0, |newline| newline + 1)..]);
        records
    }

    /// The records that the last `count` bytes belong to, as far as they are still here.
    fn last(&self, count: usize) -> Vec<u8> {
        let first = self.bytes.len().saturating_sub(count);
        if first == self.bytes.len() {
            return Vec::new();
        }
        let before = self.bytes.range(..first).rposition(|byte| *byte == b'\n');
        let begin = before.map_or(0, |newline| newline + 1);
        self.bytes.range(begin..).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 1_000_000;

    #[track_caller]
    fn check(hand: &str, taken: usize, missing: usize, want: &str) {
        let mut tail = Tail::new(BYTES_MAX);
        tail.push(b"aaa\n");
        tail.push(b"bbb\n");
        let again = tail.again(hand.as_bytes(), taken, missing);
        assert_eq!(String::from_utf8(again).unwrap(), want);
    }

    #[test]
    fn what_has_not_arrived_is_sent_again_in_whole_records() {
        check("ccc\n", 0, 0, "ccc\n");
        check("ccc\n", 2, 0, "ccc\n"); // half of it has arrived
        check("ccc\n", 2, 2, "ccc\n");
        check("ccc\n", 2, 3, "bbb\nccc\n"); // the newline before it has not
        check("ccc\n", 0, 4, "bbb\nccc\n");
        check("ccc\n", 0, 5, "aaa\nbbb\nccc\n");
        check("ccc\n", 0, 99, "aaa\nbbb\nccc\n"); // more than is kept
        check("ccc\n", 4, 4, "ccc\n");
    }

    #[test]
    fn of_several_in_hand_those_that_arrived_are_not_sent_again() {
        check("ccc\nddd\n", 8, 4, "ddd\n");
        check("ccc\nddd\n", 8, 5, "ccc\nddd\n");
        check("ccc\nddd\n", 6, 2, "ddd\n");
        check("ccc\nddd\n", 6, 7, "bbb\nccc\nddd\n");
    }

    #[test]
    fn only_the_last_ones_are_kept() {
        let mut tail = Tail::new(BYTES_MAX);
        let record = [vec![b'x'; 99_999], vec![b'\n']].concat();
        for _ in 0..100 {
            tail.push(&record);
        }
        assert!(tail.bytes.len() <= BYTES_MAX);
        assert_eq!(tail.last(100_001).len(), 200_000);
        tail.push(&vec![b'y'; BYTES_MAX + 1]);
        assert!(tail.bytes.len() <= BYTES_MAX + 1);
    }
}
