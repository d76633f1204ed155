//! The output opened anew: after a rotation, ours or somebody else's, or when its file has lost its name.

use super::Outlet;
use crate::diagnostics;
use crate::error::Error;
use crate::failure::Backoff;
use crate::sink::{Moved, Sink, SyncPolicy};
use crate::sys::Stamp;
use log::{debug, error, info, warn};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How soon a rotation is tried again: nothing waits for it.
const ROTATION_PAUSE: Duration = Duration::from_secs(1);

impl Outlet {
    /// Tells whether the output has a path, at which it may be opened anew.
    pub(in crate::reactor) fn can_reopen(&self) -> bool {
        self.sink.has_path()
    }

    /// The file to be watched for the loss of its name, with its path, if it is another one than when this was
    /// asked for last.
    pub(in crate::reactor) fn take_new_file(&mut self) -> Option<Option<(&File, &Path)>> {
        std::mem::take(&mut self.is_new).then(|| self.sink.file_at_path())
    }

    /// Tells whether the output's file has lost its name, and is not being opened anew already.
    pub(in crate::reactor) fn has_lost_its_name(&self) -> bool {
        self.nameless_since.is_none() && self.sink.has_lost_its_name()
    }

    /// Makes an output anew whose file has lost its name: what is written to it goes with it.
    pub(in crate::reactor) fn replace_removed(&mut self) {
        if self.reopen_now()
            && let Some((_, path)) = self.sink.file_at_path()
        {
            warn!(
                "{}: the output was removed or replaced, and is made anew",
                path.display()
            );
        }
    }

    /// Opens the output anew, where it has been moved away: at once if the old one has taken the batch
    /// or refuses it, and otherwise as soon as it is written.
    pub(in crate::reactor) fn reopen(&mut self) {
        if self.may_change() {
            self.reopen_now();
        } else {
            self.reopen_wanted = true;
        }
    }

    /// The new one is opened before the old one is closed: if that fails, nothing has happened. Tells whether
    /// there is a new one.
    pub(super) fn reopen_now(&mut self) -> bool {
        self.reopen_wanted = false;
        match self.sink.reopen() {
            Ok(Some(sink)) => {
                let is_said = self.is_refusing();
                self.change_to(sink);
                if self.reopening.end() && !is_said {
                    warn!("the output has been opened anew at last");
                } else {
                    info!("the output has been opened anew");
                }
                return true;
            }
            Ok(None) => {
                self.nameless_since = None;
                self.reopening.end();
                info!("the output is where it was");
            }
            Err(e) => self.fail_to_reopen(&e),
        }
        false
    }

    /// Counts a reopen that failed, and says so once; once more, when the file has lost its name meanwhile: nothing is
    /// written to it any more.
    fn fail_to_reopen(&mut self, e: &Error) {
        self.errors += 1;
        let now = Instant::now();
        let is_news = self.reopening.fail(Backoff::FIRST, now);
        if self.sink.has_lost_its_name() {
            if self.nameless_since.is_none() {
                self.nameless_since = Some(now);
                error!(
                    "the output was removed or replaced: {e}; nothing is read until it can be made anew, \
                     which is tried again and again"
                );
            }
        } else if is_news {
            error!("{e}; records go on to where the old one is, and it is tried again");
        }
    }

    /// Goes on where the path of an output leads to by now that refuses bytes, if it can be opened there.
    pub(super) fn go_on_elsewhere(&mut self) {
        match self.sink.reopen() {
            Ok(Some(sink)) => {
                self.change_to(sink);
                self.reopening.end();
                warn!("the output's path leads to another file, and records go on there");
            }
            Ok(None) => {}
            Err(e) => debug!("{e}"), // that nothing is read is said already
        }
    }

    fn change_to(&mut self, mut sink: Sink) {
        // Where the old one has refused bytes, the line that it has in part goes to the new one.
        let half = self.batch.take_back_half_line();
        let half = &self.batch.rest()[..half];
        self.sink.cut_back(half);
        sink.go_on(half);
        if self.is_unsynced && self.sync_policy != SyncPolicy::Never {
            self.sync();
        }
        self.standard |= sink.standard();
        if self.standard.error {
            diagnostics::silence();
        }
        self.sink = sink;
        self.is_new = true;
        self.rotating.end();
        self.resume();
    }

    /// Moves a full file out of the way and goes on with a new one.
    pub(super) fn rotate_if_full(&mut self) {
        let Some(rotation) = self.rotation else {
            return;
        };
        if !self.sink.is_full(rotation.bytes) {
            self.rotating.end();
            return;
        }
        // While it cannot be opened anew, it has been moved already.
        if self.reopening.is_on() {
            return;
        }
        let now = Instant::now();
        if self.rotating.is_on() && !self.rotating.is_due(now) {
            return;
        }
        match self.sink.move_away(&rotation, Stamp::now().wall_ns) {
            Ok(Moved::Away | Moved::NotThere) => {
                if self.rotating.end() {
                    warn!("the output has been rotated at last");
                }
                self.reopen_now();
            }
            Err(e) => {
                self.errors += 1;
                if self.rotating.fail(ROTATION_PAUSE, now)
                    && let Some((_, path)) = self.sink.file_at_path()
                {
                    error!(
                        "{}; records go on to the same file, and it is tried again",
                        Error::new("rotate", path.display(), e)
                    );
                }
            }
        }
    }

    /// When something that has failed is to be tried again, and can be.
    pub(super) fn next_try(&self) -> Option<Instant> {
        if self.reopening.is_on() {
            return self.reopening.deadline().filter(|_| self.may_change());
        }
        let is_written = self.batch.rest().is_empty();
        self.rotating.deadline().filter(|_| is_written)
    }

    /// Tells whether the output may be opened anew now: between two records, or where the old one takes none.
    fn may_change(&self) -> bool {
        self.batch.rest().is_empty() || self.is_refusing()
    }

    /// Tries again what has failed, if it is time.
    pub(super) fn try_again(&mut self) {
        if self.next_try().is_none_or(|due| due > Instant::now()) {
            return;
        }
        if self.reopening.is_on() {
            self.reopen_now();
        } else {
            self.rotate_if_full();
        }
    }
}
