//! One turn of one source, and what comes of how it ended.

use super::{Intake, Reactor, Stop, trouble};
use crate::failure::{Call, Failure};
use crate::record::{Clock, Recorder};
use crate::sys::{errno, probes};
use crate::transports::{Turn, TurnContext};
use mio::Token;
use std::io;
use std::time::Instant;

/// So many turns in a row that find nothing, though the kernel has called for them, are a failure like any other.
const FRUITLESS_MAX: u8 = 8;

impl Reactor {
    /// Gives one source its turn and acts on how it ended.
    pub(super) fn turn(&mut self, token: Token) {
        let stopping = self.stop != Stop::No;
        let room = (self.settings.connections_max).saturating_sub(self.table.connections());
        let Some(entry) = self.table.begin_turn(token) else {
            return; // closed earlier in this round
        };
        let intake = entry.intake;
        let Intake {
            endpoint, hints, ..
        } = &mut self.intakes[intake];
        let mut cx = TurnContext {
            registry: self.poll.registry(),
            token,
            scratch: &mut self.scratch,
            recorder: Recorder {
                source: endpoint.transport().name(),
                stamping: self.settings.stamping,
                stamp: None,
                clock: Clock::SYSTEM,
                lines: self.outlet.lines_of(intake),
            },
            endpoint,
            hints,
            accepted: &mut self.accepted,
            room,
            record_bytes_max: self.settings.bind.record_bytes_max,
            is_waiting: self.linger.is_waiting(),
            fill: self.linger.fill(),
            to_the_end: entry.hung_up || stopping,
            stopping,
            is_retry: entry.backoff.is_some(),
            found: false,
            bytes: 0,
            errors: 0,
        };
        let lines = &cx.recorder.lines;
        let (bytes, records) = (lines.bytes.len(), lines.records());
        let turn = if stopping && entry.is_inherited {
            entry.source.use_up(&mut cx) // what is still queued is for our successor
        } else {
            entry.source.turn(&mut cx)
        };
        (self.half_lines).settle(token, turn, &mut entry.source, &mut cx.recorder);
        let (found, errors, bytes_read) = (cx.found, cx.errors, cx.bytes);
        if self.linger.is_waiting() && entry.source.may_keep_back() {
            self.unreleased.push(token);
        }
        self.intakes[intake].counters.errors += errors;
        let lines = self.outlet.lines_of(intake);
        let (bytes, records) = (lines.bytes.len() - bytes, lines.records() - records);
        probes::batch_read(bytes, records);
        self.linger.note(intake, records, bytes_read);
        self.end_turn(token, turn, found);
        self.adopt(intake);
    }

    /// Ends a source where it stands: its unfinished line becomes a record.
    pub(super) fn finish(&mut self, token: Token) {
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        let mut recorder = Recorder {
            source: self.intakes[entry.intake].endpoint.transport().name(),
            stamping: self.settings.stamping,
            stamp: None,
            clock: Clock::SYSTEM,
            lines: self.outlet.lines_of(entry.intake),
        };
        entry.source.finish(&mut recorder);
        self.close(token);
    }

    /// Forgets a source; its descriptor is closed.
    pub(super) fn close(&mut self, token: Token) {
        if let Some(mut entry) = self.table.remove(token) {
            self.half_lines.forget(token);
            if entry.is_inherited && entry.is_watched {
                // It stays open elsewhere, and so would be reported for ever. If epoll refuses, so it is.
                let _ = entry.source.deregister(self.poll.registry());
            }
            let intake = &mut self.intakes[entry.intake];
            intake.counters.kernel_drops += entry.source.kernel_drops();
            if entry.backoff.is_some() {
                let lasted = intake.trouble.end(Instant::now());
                trouble::log_end(&intake.endpoint, lasted);
            }
        }
    }

    /// Takes over the connections that a listener has accepted.
    fn adopt(&mut self, intake: usize) {
        for mut source in std::mem::take(&mut self.accepted) {
            self.intakes[intake].counters.connections += 1;
            let watched = source.register(self.poll.registry(), self.table.next_token());
            let stopping = self.stop != Stop::No;
            if stopping {
                source.stop();
            }
            let token = self.table.insert(source, intake);
            if stopping {
                self.table.wake(token, false);
            }
            if let Err(e) = watched {
                self.table.set_unwatched(token);
                self.pause(token, Failure::new(Call::Register, &e), false);
            }
        }
    }

    /// Acts on how a turn ended that has got something from the kernel, or not.
    fn end_turn(&mut self, token: Token, turn: Turn, found: bool) {
        let Some(entry) = self.table.get_mut(token) else {
            return;
        };
        if found || self.waiting.is_blind() {
            entry.fruitless = 0;
        } else if turn == Turn::Drained {
            entry.fruitless = entry.fruitless.saturating_add(1);
        }
        match turn {
            // The kernel called for it, time and again: that there is nothing is not to be believed.
            Turn::Drained if entry.fruitless >= FRUITLESS_MAX => {
                let call = entry.source.call();
                let nothing = io::Error::from_raw_os_error(errno::EAGAIN);
                let failure = Turn::Failing(Failure::new(call, &nothing));
                self.end_turn(token, failure, found);
            }
            // In a stop, nothing is waited for: what is drained has ended.
            Turn::Drained if self.stop != Stop::No => self.finish(token),
            Turn::Drained => {
                entry.hung_up = false;
                self.go_on(token, found);
            }
            Turn::Unfinished => self.table.wake(token, false),
            Turn::Closed => self.close(token),
            Turn::Parked => {
                // It is no longer a failure that it waits for.
                self.end_trouble(token);
                self.unwatch(token);
                self.table.park(token);
            }
            Turn::Failing(failure) if self.must_leave(token, found) => self.leave(token, failure),
            Turn::Failing(failure) => self.pause(token, failure, found),
        }
    }
}
