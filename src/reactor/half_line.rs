//! Half lines that no end will ever complete: of a FIFO that somebody keeps open.
//!
//! A connection has an end of its own; a FIFO that rsyslog or a service manager holds open has none, and what one
//! writer leaves in mid-line would become the beginning of another's record. So it becomes a record of its own
//! after some time.

use super::Reactor;
use crate::record::Recorder;
use crate::transports::{Source, Turn};
use mio::Token;
use std::time::{Duration, Instant};

/// The sources that hold half a line, and when its time is up.
#[derive(Debug)]
pub(super) struct HalfLines {
    /// `None`: never.
    time: Option<Duration>,
    pending: Vec<(Token, Instant)>,
}

impl HalfLines {
    pub(super) fn new(time: Option<Duration>) -> Self {
        Self {
            time,
            pending: Vec::new(),
        }
    }

    /// Notes how a source's turn has left it: with half a line that waits for its rest, from now on, or not.
    /// Reads the clock only if it has one.
    fn note(&mut self, token: Token, waits: bool, now: impl FnOnce() -> Instant) {
        if !self.pending.is_empty() {
            self.pending.retain(|(other, _)| *other != token);
        }
        if waits && let Some(time) = self.time {
            self.pending.push((token, now() + time));
        }
    }

    /// Forgets a source that has ended.
    pub(super) fn forget(&mut self, token: Token) {
        self.pending.retain(|(other, _)| *other != token);
    }

    /// Acts on how a source's turn has left it: what has waited for too long is ended.
    pub(super) fn settle(
        &mut self,
        token: Token,
        turn: Turn,
        source: &mut Source,
        recorder: &mut Recorder<'_>,
    ) {
        let mut waits = turn == Turn::Drained && source.has_half_line();
        if waits && self.is_due(token, Instant::now) {
            waits = !source.end_half_line(recorder);
        }
        self.note(token, waits, Instant::now);
    }

    /// When the next half line's time is up.
    fn deadline(&self) -> Option<Instant> {
        self.pending.iter().map(|(_, due)| *due).min()
    }

    /// Tells whether the time of this source's half line is up: nothing has come since it was noted. Reads the clock
    /// only if it has one.
    fn is_due(&self, token: Token, now: impl FnOnce() -> Instant) -> bool {
        let mut pending = self.pending.iter();
        let found = pending.find(|(other, _)| *other == token);
        found.is_some_and(|(_, due)| *due <= now())
    }

    /// The sources whose half line's time is up. Reads the clock only if there is half a line.
    fn due(&self, now: impl FnOnce() -> Instant) -> impl Iterator<Item = Token> {
        let now = (!self.pending.is_empty()).then(now);
        let is_due = move |due| now.is_some_and(|now| due <= now);
        (self.pending.iter()).filter_map(move |(token, due)| is_due(*due).then_some(*token))
    }
}

impl Reactor {
    /// When the next half line's time is up. While the output takes nothing, nothing is read, and so no half line is
    /// known to be left.
    pub(super) fn half_line_deadline(&self) -> Option<Instant> {
        (self.half_lines.deadline()).filter(|_| self.outlet.is_open())
    }

    /// Has the sources read to their end whose half line has waited for too long: its rest may have come.
    pub(super) fn see_to_half_lines(&mut self) {
        if self.outlet.is_open() {
            for token in self.half_lines.due(Instant::now) {
                self.table.wake(token, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    fn no_clock() -> Instant {
        panic!("the clock is read")
    }

    fn due(lines: &HalfLines, now: Instant) -> Vec<usize> {
        lines.due(|| now).map(|token| token.0).collect()
    }

    #[test]
    fn without_half_a_line_there_is_no_deadline_and_no_look_at_the_clock() {
        let mut lines = HalfLines::new(Some(TIME));
        lines.note(Token(7), false, no_clock);
        assert_eq!(lines.deadline(), None);
        assert_eq!(lines.due(no_clock).count(), 0);
        assert!(!lines.is_due(Token(7), no_clock));
    }

    #[test]
    fn never_is_never() {
        let mut lines = HalfLines::new(None);
        lines.note(Token(7), true, no_clock);
        assert_eq!(lines.deadline(), None);
        assert_eq!(lines.due(no_clock).count(), 0);
    }

    #[test]
    fn the_time_counts_from_the_last_bytes_and_for_each_source_by_itself() {
        let start = Instant::now();
        let mut lines = HalfLines::new(Some(TIME));
        lines.note(Token(7), true, || start);
        lines.note(Token(8), true, || start + TIME / 2);
        assert_eq!(lines.deadline(), Some(start + TIME));
        assert_eq!(
            due(&lines, start + TIME - Duration::from_nanos(1)),
            [0_usize; 0]
        );
        assert_eq!(due(&lines, start + TIME), [7]);
        assert!(lines.is_due(Token(7), || start + TIME));
        assert!(!lines.is_due(Token(8), || start + TIME));
        assert!(!lines.is_due(Token(9), no_clock));

        lines.note(Token(7), true, || start + TIME); // more of the same line
        assert_eq!(due(&lines, start + TIME + TIME / 2), [8]);
        lines.note(Token(8), false, no_clock); // its end
        assert_eq!(lines.deadline(), Some(start + 2 * TIME));
        lines.note(Token(7), false, no_clock);
        assert_eq!(lines.deadline(), None);
    }
}
