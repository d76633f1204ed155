//! What becomes of calls that fail in a way that may last: the source is left alone for a growing pause, which is
//! logged once; see [`crate::failure`].

use super::{Reactor, Stop};
use crate::failure::{Answer, Backoff, Call, Failure, Tries};
use crate::sys;
use crate::transports::Endpoint;
use log::warn;
use mio::Token;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long epoll is left alone that reports what it should not.
const FLOOD_PAUSE: Duration = Duration::from_millis(700);

/// Trouble that comes again so soon is not logged again.
const QUIET: Duration = Duration::from_secs(60);

/// A shorter trouble is not worth a line that it is over.
const WORTH_ITS_END: Duration = Duration::from_secs(1);

/// What an endpoint's sources fail at, for whoever reads the log.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// How many of them fail.
    failing: usize,
    /// Since when any does.
    since: Option<Instant>,
    /// When it was logged last, and whether that was this time.
    logged: Option<Instant>,
    is_logged: bool,
}

impl Trouble {
    /// Notes that one more source fails.
    fn begin(&mut self, now: Instant) {
        self.failing += 1;
        self.since.get_or_insert(now);
    }

    /// Tells whether the trouble is to be logged now.
    fn is_news(&mut self, now: Instant) -> bool {
        let is_news = !self.is_logged
            && (self.logged).is_none_or(|then| now.saturating_duration_since(then) >= QUIET);
        if is_news {
            self.logged = Some(now);
            self.is_logged = true;
        }
        is_news
    }

    /// Notes that one goes on, or is gone. Returns how long the trouble lasted, if it is over and that is worth a line.
    pub(super) fn end(&mut self, now: Instant) -> Option<Duration> {
        self.failing = self.failing.saturating_sub(1);
        if self.failing > 0 {
            return None;
        }
        let lasted = now.saturating_duration_since(self.since.take()?);
        let was_logged = std::mem::take(&mut self.is_logged);
        (was_logged && lasted >= WORTH_ITS_END).then_some(lasted)
    }
}

/// Logs that a trouble is over which has lasted so long, if that is worth a line.
pub(super) fn log_end(endpoint: &Endpoint, lasted: Option<Duration>) {
    if let Some(lasted) = lasted {
        warn!(
            "{endpoint}: it goes on, after {:.1} s",
            lasted.as_secs_f64()
        );
    }
}

/// How the wait for events gets on.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    tries: Tries,
    backoff: Option<Backoff>,
    /// The last wait has not told who is ready.
    is_blind: bool,
    /// Epoll reports sources that it could not be made to forget: it is asked only from time to time.
    pub(super) is_flooded: bool,
}

impl Waiting {
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Notes that a wait has told.
    pub(super) fn succeed(&mut self) {
        *self = Self {
            is_flooded: self.is_flooded,
            ..Self::default()
        };
    }
}

impl Reactor {
    /// Lets a source wait for what comes next. One that was left alone is watched again, and once it gets something its
    /// trouble is over.
    pub(super) fn go_on(&mut self, token: Token, found: bool) {
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        if !entry.is_watched {
            if let Err(e) = entry.source.register(self.poll.registry(), token) {
                return self.pause(token, Failure::new(Call::Register, &e), found);
            }
            entry.is_watched = true;
        }
        if entry.backoff.is_some() {
            self.end_trouble(token);
        }
    }

    /// Leaves a source alone for a while that fails, and longer each time in a row.
    pub(super) fn pause(&mut self, token: Token, failure: Failure, found: bool) {
        self.unwatch(token);
        let now = Instant::now();
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        let (intake, before) = (entry.intake, entry.backoff);
        let is_first_at_stop = entry.tries_at_stop == 1;
        self.table.pause(
            token,
            match before {
                None => Backoff::begin(now),
                // Two more tries in a stop, soon.
                Some(_) if is_first_at_stop => Backoff::begin(now),
                // The end of a FIFO is found again and again.
                Some(backoff) if found && failure.call != Call::Register => backoff.restart(now),
                Some(backoff) => backoff.next(now),
            },
        );
        let intake = &mut self.intakes[intake];
        if before.is_none() {
            intake.trouble.begin(now);
        }
        if intake.trouble.is_news(now) {
            let until = match failure.call {
                Call::Accept => "connections wait in the backlog until others are closed, and it",
                _ => "what was sent waits, and it",
            };
            warn!(
                "{}: {failure}; {until} is tried again and again",
                intake.endpoint
            );
        }
    }

    /// Ends the trouble of a source, if it has any.
    pub(super) fn end_trouble(&mut self, token: Token) {
        if self.table.unpause(token).is_none() {
            return;
        }
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        let intake = &mut self.intakes[entry.intake];
        log_end(&intake.endpoint, intake.trouble.end(Instant::now()));
    }

    pub(super) fn unwatch(&mut self, token: Token) {
        if let Some(entry) = self.table.get_mut(token)
            && entry.is_watched
        {
            let is_forgotten = entry.source.deregister(self.poll.registry()).is_ok();
            entry.is_watched = !is_forgotten;
            self.waiting.is_flooded |= !is_forgotten;
        }
    }

    /// Where epoll reports what it was to forget, keeps from asking it for a while: a signal ends that.
    pub(super) fn wait_out_a_flood(&mut self, timeout: Option<Duration>) {
        if std::mem::take(&mut self.waiting.is_flooded) {
            let pause = timeout.map_or(FLOOD_PAUSE, |timeout| timeout.min(FLOOD_PAUSE));
            // If it fails, so does the wait after it.
            let _ = sys::wait_for_inputs_or_output(&[self.signals.as_fd()], None, Some(pause));
        }
    }

    /// Tells whether a source whose call fails is not to be waited for any longer: at a stop, two more tries within
    /// half a second are enough.
    pub(super) fn must_leave(&mut self, token: Token, found: bool) -> bool {
        let Some(entry) = self.table.get_mut(token).filter(|_| self.stop != Stop::No) else {
            return false;
        };
        entry.tries_at_stop = if found { 0 } else { entry.tries_at_stop + 1 };
        entry.tries_at_stop > 2
    }

    /// Ends a source at a stop whose call fails. Only where a close of ours may help, that is waited for.
    pub(super) fn leave(&mut self, token: Token, failure: Failure) {
        let has_connections = self.table.connections() > 0;
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        if entry.source.is_listener() && has_connections {
            self.end_trouble(token);
            self.unwatch(token);
            return self.table.park(token);
        }
        let endpoint = &self.intakes[entry.intake].endpoint;
        warn!("{endpoint}: {failure}; what waits there is not read");
        self.is_undrained = true;
        self.finish(token);
    }

    /// Waits where epoll does not tell: for signals, or until it is time to try again. All sources get a turn then.
    pub(super) fn wait_blindly(&mut self, error: &io::Error, timeout: Option<Duration>) {
        if self.waiting.tries.answer(Call::Wait, error) == Answer::Again {
            return; // the next wait tells
        }
        self.waiting.is_blind = true;
        let now = Instant::now();
        let backoff = match self.waiting.backoff {
            None => {
                let failure = Failure::new(Call::Wait, error);
                warn!("{failure}; all sources are looked at from time to time instead");
                Backoff::begin(now)
            }
            Some(backoff) => backoff.next(now),
        };
        self.waiting.backoff = Some(backoff);
        let pause = backoff.due - now;
        let pause = timeout.map_or(pause, |timeout| timeout.min(pause));
        let inputs = [Some(self.signals.as_fd()), self.paths.fd()];
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        let readiness = self.outlet.readiness();
        if sys::wait_for_inputs_or_output(&inputs, readiness, Some(pause)).is_err() {
            sys::pause(pause.min(Backoff::FIRST));
        }
        self.table.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_logged_once_and_its_end_only_if_it_lasted() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut trouble = Trouble::default();
        trouble.begin(at(0));
        assert!(trouble.is_news(at(0)));
        trouble.begin(at(10));
        assert!(!trouble.is_news(at(10)));
        assert_eq!(trouble.end(at(500)), None);
        assert_eq!(trouble.end(at(900)), None, "too short");
        // Again, soon after: not logged before it has lasted.
        trouble.begin(at(1000));
        assert!(!trouble.is_news(at(1000)));
        assert!(!trouble.is_news(at(59_000)));
        assert!(trouble.is_news(at(61_000)));
        assert!(!trouble.is_news(at(200_000)));
        assert_eq!(trouble.end(at(201_000)), Some(Duration::from_secs(200)));
    }
}
