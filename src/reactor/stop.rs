//! A stop: what was sent before it is read and written, as far as the mechanisms know how to.

use super::{Reactor, SIGNALS};
use crate::diagnostics;
use crate::error::Error;
use crate::sys::Request;
use log::{debug, warn};
use std::time::Instant;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody has asked for one.
    No,
    /// What is queued is read and written, at most until then.
    Draining { until: Instant },
    /// No longer: the time is up, or the output refuses what is in hand.
    Undrained,
    /// At once, says a second signal.
    Now,
}

impl Stop {
    /// When it gives up.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Draining { until } => Some(until),
            Self::No | Self::Undrained | Self::Now => None,
        }
    }
}

impl Reactor {
    pub(super) fn is_done(&self) -> bool {
        match self.stop {
            Stop::No => false,
            Stop::Draining { .. } => self.table.is_empty() && self.outlet.is_open(),
            Stop::Undrained | Stop::Now => true,
        }
    }

    /// Takes the signals that came, if this round was woken by one.
    pub(super) fn see_to_signals(&mut self) -> Result<(), Error> {
        let was_told = self.events.iter().any(|event| event.token() == SIGNALS);
        if self.outlet.is_open() && !self.waiting.is_blind() && !was_told {
            return Ok(());
        }
        let (mut is_wanted, mut is_insisted) = (false, false);
        // Where they cannot be read at all, nothing can be done about it but at the next wait.
        while let Ok(Some(request)) = self.signals.take() {
            match request {
                Request::Reopen if self.outlet.can_reopen() => self.outlet.reopen(),
                // The terminal or the reader has gone; it may be told twice, by the kernel and by a shell.
                Request::Reopen | Request::StopInTime => is_wanted = true,
                // Two that are pending together are one wish.
                Request::Stop => (is_wanted, is_insisted) = (true, true),
            }
        }
        match self.stop {
            Stop::No if is_wanted => self.begin_stop()?,
            Stop::Draining { .. } | Stop::Undrained | Stop::Now if is_insisted => {
                warn!("a second signal: stopping before everything is drained");
                diagnostics::hurry();
                self.stop = Stop::Now;
            }
            Stop::No | Stop::Draining { .. } | Stop::Undrained | Stop::Now => {}
        }
        Ok(())
    }

    /// Lets no more in where that is possible, and has every source read to its end.
    fn begin_stop(&mut self) -> Result<(), Error> {
        debug!("a signal: draining");
        if self.outlet.has_lost_its_name() {
            self.outlet.replace_removed();
        }
        self.paths.unwatch();
        let now = Instant::now();
        for entry in self.table.iter_mut() {
            if !entry.is_inherited {
                entry.source.stop();
            }
            entry.backoff = entry.backoff.map(|backoff| backoff.restart(now));
        }
        if self.outlet.is_refusing() {
            self.flush_now()?;
            if self.outlet.is_refusing() {
                self.stop = Stop::Undrained;
                return Ok(());
            }
        }
        self.table.wake_all();
        self.stop = Stop::Draining {
            until: now + self.settings.drain_time_max,
        };
        Ok(())
    }

    /// Gives up when it has taken too long.
    pub(super) fn see_to_the_stops_deadline(&mut self) {
        if let Stop::Draining { until } = self.stop
            && until <= Instant::now()
        {
            warn!("the time for draining is up: leaving before everything is drained");
            self.stop = Stop::Undrained;
        }
    }
}
