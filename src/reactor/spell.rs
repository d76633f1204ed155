//! A spell of failures of one thing: said once, tried again after growing pauses.
//!
//! Pure: the time comes as a parameter.

use std::time::{Duration, Instant};

/// How long the first pause is, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Whether something has failed lately, and when it is to be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spell {
    next: Option<(Instant, Duration)>,
}

impl Spell {
    /// Tells whether it has failed the last time.
    pub(super) fn is_on(&self) -> bool {
        self.next.is_some()
    }

    /// When it is to be tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.map(|(due, _)| due)
    }

    /// Tells whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }

    /// Notes a failure. Tells whether it is the first of the spell, which is to be said.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        let pause = self
            .next
            .map_or(FIRST, |(_, pause)| (pause * 2).min(LONGEST));
        let is_first = !self.is_on();
        self.next = Some((now + pause, pause));
        is_first
    }

    /// Ends the spell. Tells whether there was one, so that its end is to be said.
    pub(super) fn end(&mut self) -> bool {
        self.next.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_only_the_first_failure_is_said() {
        let mut spell = Spell::default();
        let mut now = Instant::now();
        assert!(!spell.is_on() && !spell.is_due(now) && !spell.end());
        let want = [100, 200, 400, 800, 1600, 3200, 5000, 5000];
        for (number, milliseconds) in want.into_iter().enumerate() {
            assert_eq!(spell.fail(now), number == 0);
            let due = now + Duration::from_millis(milliseconds);
            assert_eq!(spell.deadline(), Some(due));
            assert!(spell.is_on() && !spell.is_due(now) && spell.is_due(due));
            now = due;
        }
        assert!(spell.end());
        assert!(spell.fail(now), "the next spell is said again");
        assert_eq!(spell.deadline(), Some(now + FIRST));
    }
}
