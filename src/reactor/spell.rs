//! A spell of failures of one thing: said once, tried again after growing pauses.
//!
//! Pure: the time comes as a parameter.

use crate::failure::Backoff;
use std::time::{Duration, Instant};

/// Whether something has failed lately, and when it is to be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spell {
    backoff: Option<Backoff>,
}

impl Spell {
    /// Tells whether it has failed the last time.
    pub(super) fn is_on(&self) -> bool {
        self.backoff.is_some()
    }

    /// When it is to be tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.backoff.map(|backoff| backoff.due)
    }

    /// Tells whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }

    /// Notes a failure; the first pause of the spell has this length. Tells whether it is the first, which is to be
    /// said.
    pub(super) fn fail(&mut self, pause: Duration, now: Instant) -> bool {
        let is_first = !self.is_on();
        self.backoff = Some(match self.backoff {
            None => Backoff::begin_with(pause, now),
            Some(backoff) => backoff.next(now),
        });
        is_first
    }

    /// Ends the spell. Tells whether there was one, so that its end is to be said.
    pub(super) fn end(&mut self) -> bool {
        self.backoff.take().is_some()
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
        let want = [100, 300, 900, 2700, 5000, 5000, 5000, 5000];
        for (number, milliseconds) in want.into_iter().enumerate() {
            assert_eq!(spell.fail(Backoff::FIRST, now), number == 0);
            let due = now + Duration::from_millis(milliseconds);
            assert_eq!(spell.deadline(), Some(due));
            assert!(spell.is_on() && !spell.is_due(now) && spell.is_due(due));
            now = due;
        }
        assert!(spell.end());
        assert!(
            spell.fail(Backoff::FIRST, now),
            "the next spell is said again"
        );
        assert_eq!(spell.deadline(), Some(now + Backoff::FIRST));
    }
}
