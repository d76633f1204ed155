//! The output's side of the event loop: what waits to be written, and what is done while the output
//! does not take it.

mod anew;

use super::spell::Spell;
use crate::batch::{Batch, Lines, Tally};
use crate::error::Error;
use crate::failure::Backoff;
use crate::sink::{Flush, Rotation, Sink, Standard, SyncPolicy};
use crate::sys::probes;
use log::{error, warn};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A batch that holds this much is written before the round ends.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// So many times in a row an output may say that it has room, and take nothing.
const FRUITLESS_MAX: u8 = 8;

/// The batch, the sink, and how they get on.
#[derive(Debug)]
pub(super) struct Outlet {
    batch: Batch,
    sink: Sink,
    state: State,
    /// The output is to be opened anew as soon as the batch is written, which is between two records.
    reopen_wanted: bool,
    /// It could not be opened anew.
    reopening: Spell,
    /// Since when its file has no name, and could not be made anew: what was written to it would be lost.
    nameless_since: Option<Instant>,
    /// A full file could not be moved.
    rotating: Spell,
    /// The sink is another one than when this was asked for last, and is to be watched.
    is_new: bool,
    /// Which of standard output and standard error are the output or have been: their offset in it is theirs.
    standard: Standard,
    /// How often in a row it has taken nothing, though it had said that it has room.
    fruitless: u8,
    /// How often a call has failed that was tried again.
    errors: u64,
    /// How long the pauses lasted that have ended.
    paused: Duration,
    rotation: Option<Rotation>,
    sync_policy: SyncPolicy,
    /// When what was written is to be synced.
    sync_due: Option<Instant>,
    /// Something was written since the last sync.
    is_unsynced: bool,
    /// The first sync that failed. A later one says nothing of what that one lost: the kernel has
    /// dropped the pages (`man 2 fsync`).
    sync_failure: Option<Error>,
    sync_errors: u64,
    /// The last sync has failed, which has been said.
    is_sync_failing: bool,
}

/// Whether the output takes bytes.
#[derive(Clone, Copy, Debug)]
enum State {
    /// As far as we know.
    Open,
    /// Not before it says so: a full pipe, socket or terminal.
    Full,
    /// It has refused them, and does not say when it takes some again: a full disk.
    Refusing(Backoff),
}

/// What a run amounts to on the output's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounters {
    /// How long the output refused bytes, so that nothing was read.
    pub paused: Duration,
    /// How often a sync failed.
    pub sync_errors: u64,
    /// How often another call failed that was tried again: a write, a reopen, a rotation.
    pub errors: u64,
}

impl Outlet {
    pub(super) fn new(sink: Sink, sync_policy: SyncPolicy, rotation: Option<Rotation>) -> Self {
        Self {
            batch: Batch::default(),
            standard: sink.standard(),
            sink,
            state: State::Open,
            reopen_wanted: false,
            reopening: Spell::default(),
            nameless_since: None,
            rotating: Spell::default(),
            is_new: true,
            fruitless: 0,
            errors: 0,
            paused: Duration::ZERO,
            rotation,
            sync_policy,
            sync_due: None,
            is_unsynced: false,
            sync_failure: None,
            sync_errors: 0,
            is_sync_failing: false,
        }
    }

    /// Makes it ready for the first record, and lets a file stay that was made.
    ///
    /// # Errors
    /// When it is to be emptied, and cannot be.
    pub(super) fn begin(&mut self, truncate: bool) -> Result<(), Error> {
        self.sink.begin(truncate)?;
        self.sink.keep();
        Ok(())
    }

    /// Where to append lines of this endpoint.
    pub(super) fn lines_of(&mut self, endpoint: usize) -> Lines<'_> {
        self.batch.lines_of(endpoint)
    }

    /// Tells whether the output takes bytes. While it does not, nothing is to be read, so that the
    /// transports press back on those who send.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open) && self.nameless_since.is_none()
    }

    pub(super) fn is_refusing(&self) -> bool {
        matches!(self.state, State::Refusing(_)) || self.nameless_since.is_some()
    }

    /// The descriptor that tells when the output takes bytes again, if it does.
    pub(super) fn readiness(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.state, State::Full).then(|| self.sink.as_fd())
    }

    /// Tells whether the batch holds enough to be written before the round ends.
    pub(super) fn is_due(&self) -> bool {
        self.batch.rest().len() >= BATCH_BYTES_MAX
    }

    /// When something is to be done here next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let retry = match self.state {
            State::Refusing(backoff) => Some(backoff.due),
            State::Open | State::Full => None,
        };
        let dues = [retry, self.sync_due, self.next_try()];
        dues.into_iter().flatten().min()
    }

    /// Writes what there is, unless it is too early to try again; calls `count` for what was written.
    ///
    /// # Errors
    /// When the output will never take it.
    pub(super) fn flush(&mut self, count: impl FnMut(usize, Tally)) -> Result<(), Error> {
        if let State::Refusing(backoff) = self.state
            && Instant::now() < backoff.due
        {
            return Ok(());
        }
        if self.nameless_since.is_some() {
            return Ok(()); // when it is made anew
        }
        self.flush_now(count)
    }

    /// Writes what there is. An output that has refused it is looked for anew first: its path may lead to
    /// another file by now.
    ///
    /// # Errors
    /// When the output will never take it.
    pub(super) fn flush_now(&mut self, mut count: impl FnMut(usize, Tally)) -> Result<(), Error> {
        if self.batch.rest().is_empty() {
            return Ok(());
        }
        if self.nameless_since.is_some() && !self.reopen_now() {
            return Ok(());
        }
        if self.is_refusing() && self.sink.is_elsewhere() {
            self.go_on_elsewhere();
        }
        let before = self.batch.rest().len();
        let is_retry = self.is_refusing();
        let flushed = self.sink.flush(&mut self.batch, is_retry);
        let is_progress = self.batch.rest().len() < before;
        if is_progress {
            self.note_unsynced();
        }
        match flushed? {
            Flush::Done => {
                self.fruitless = 0;
                let mut flushed = Tally::default();
                self.batch.settle(|endpoint, tally| {
                    flushed += tally;
                    count(endpoint, tally);
                });
                probes::batch_flushed(flushed.bytes, flushed.records);
                self.resume();
                self.rotate_if_full();
                if self.reopen_wanted {
                    self.reopen_now();
                }
            }
            Flush::NotReady => {
                self.fruitless = if is_progress {
                    0
                } else {
                    self.fruitless.saturating_add(1)
                };
                if self.fruitless < FRUITLESS_MAX {
                    self.resume();
                    self.state = State::Full;
                } else {
                    let refusal = Error::new(
                        "write",
                        "the output",
                        "it is full, and says that it has room",
                    );
                    self.pause(&refusal, false);
                }
            }
            Flush::Refused(e) => self.pause(&e, is_progress),
        }
        Ok(())
    }

    fn pause(&mut self, refusal: &Error, is_progress: bool) {
        let now = Instant::now();
        self.errors += 1;
        self.state = State::Refusing(match self.state {
            State::Refusing(backoff) if is_progress => backoff.restart(now),
            State::Refusing(backoff) => backoff.next(now),
            State::Open | State::Full => {
                warn!(
                    "{refusal}; nothing is read until it takes more, which is tried again and again"
                );
                Backoff::begin(now)
            }
        });
    }

    fn resume(&mut self) {
        let refusing = match self.state {
            State::Refusing(backoff) => Some(backoff.since),
            State::Open | State::Full => None,
        };
        if let Some(since) = self.nameless_since.take().or(refusing) {
            let lasted = since.elapsed();
            self.paused += lasted;
            warn!(
                "the output takes records again, after {:.1} s",
                lasted.as_secs_f64()
            );
        }
        self.state = State::Open;
    }

    fn note_unsynced(&mut self) {
        if !self.sink.can_sync() {
            return;
        }
        self.is_unsynced = true;
        match self.sync_policy {
            SyncPolicy::Never | SyncPolicy::Exit => {}
            SyncPolicy::Batch => self.sync(),
            SyncPolicy::Interval(interval) => {
                self.sync_due
                    .get_or_insert_with(|| Instant::now() + interval);
            }
        }
    }

    /// Does what is due: a sync, and what has failed and is tried again. Reads the clock only if there is any.
    pub(super) fn see_to_deadlines(&mut self) {
        if self.sync_due.is_some_and(|due| due <= Instant::now()) {
            self.sync();
        }
        self.try_again();
    }

    fn sync(&mut self) {
        self.sync_due = None;
        self.is_unsynced = false;
        let Err(e) = self.sink.sync() else {
            self.is_sync_failing = false;
            return;
        };
        if !std::mem::replace(&mut self.is_sync_failing, true) {
            error!("{e}; some of what was written may not survive a crash of the machine");
        }
        self.sync_errors += 1;
        self.sync_failure.get_or_insert(e);
    }

    /// Ends the output's part of a run: syncs if that is the policy, and counts what a refused batch
    /// has written. Returns how many records could not be written, and a failure that must not go
    /// unsaid.
    pub(super) fn end(
        &mut self,
        may_sync: bool,
        count: impl FnMut(usize, Tally),
    ) -> (usize, Option<Error>) {
        if may_sync && self.is_unsynced && self.sync_policy != SyncPolicy::Never {
            self.sync();
        }
        if let Some(since) = self.nameless_since {
            self.paused += since.elapsed();
        } else if let State::Refusing(backoff) = self.state {
            self.paused += backoff.since.elapsed();
        }
        self.batch.settle(count);
        let failure = self.sync_failure.take().or_else(|| self.sink.loss());
        (self.batch.lines_left(), failure)
    }

    /// Which of standard output and standard error are the output, or have been.
    pub(super) fn standard(&self) -> Standard {
        self.standard
    }

    pub(super) fn counters(&self) -> OutputCounters {
        OutputCounters {
            paused: self.paused,
            sync_errors: self.sync_errors,
            errors: self.errors,
        }
    }
}
