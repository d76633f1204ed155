//! Keeps clients finding us, and our output: a path that was removed, moved or replaced is made anew.

use super::{Intake, Reactor, Stop, WATCH};
use crate::error::Error;
use crate::failure::{Answer, Call, Failure, Tries};
use crate::sink::Sink;
use crate::sys::PathWatch;
use crate::transports::{self, BindOptions, Bound};
use log::{error, warn};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How soon a path is looked at again that has just been made anew, or could not be, and how late.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How often paths are looked at of which nothing is told any more.
const PAUSE_BLIND: Duration = Duration::from_secs(5);

/// Word of the paths of our sockets, our FIFOs, and our output.
#[derive(Debug)]
pub(super) struct Paths {
    /// `None` where there is nothing to watch, or the system refuses.
    watch: Option<PathWatch>,
    /// Inotify has failed.
    is_blind: bool,
    /// When they are to be looked at: something was told, or could not be mended.
    due: Option<Instant>,
    /// Not before, so that whoever removes a path again and again does not keep us busy.
    not_before: Option<Instant>,
    pause: Duration,
}

impl Paths {
    /// Watches the paths of these intakes, if there are any. That of the output is told of
    /// [later](Self::watch_output).
    pub(super) fn watch(
        intakes: &[Intake],
        sink: &Sink,
        watch: io::Result<PathWatch>,
        registry: &Registry,
    ) -> Self {
        let mut paths = Self {
            watch: None,
            is_blind: false,
            due: None,
            not_before: None,
            pause: PAUSE_MIN,
        };
        if sink.file_at_path().is_some() || intakes.iter().any(|intake| intake.path.is_some()) {
            let opened = watch.and_then(|watch| {
                let fd = watch.as_fd().as_raw_fd();
                registry.register(&mut SourceFd(&fd), WATCH, Interest::READABLE)?;
                Ok(watch)
            });
            match opened {
                Ok(watch) => paths.watch = Some(watch),
                Err(e) => warn!(
                    "paths are not watched: {e}; one that is removed is not made anew before a restart, \
                     an output before SIGHUP"
                ),
            }
        }
        for intake in intakes {
            paths.add(intake);
        }
        paths
    }

    /// Watches this file, the output's, and the one before no more.
    pub(super) fn watch_output(&mut self, output: Option<(&File, &Path)>) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if let Err(e) = watch.follow(output)
            && let Some((_, path)) = output
        {
            warn!(
                "{} is not watched: {e}; if it is removed, records go on to the removed file until SIGHUP",
                path.display()
            );
        }
    }

    /// Has them looked at as soon as may be.
    pub(super) fn look_again(&mut self) {
        let now = Instant::now();
        let due = self.not_before.map_or(now, |then| then.max(now));
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn add(&mut self, intake: &Intake) {
        let (Some(watch), Some(path)) = (&self.watch, &intake.path) else {
            return;
        };
        if let Err(e) = watch.add(path.path())
            && path.is_intact()
        {
            warn!(
                "{} is not watched: {e}; if it is removed, it is not made anew before a restart",
                intake.endpoint
            );
        }
        // It may have gone before it was watched.
        if !path.is_intact() {
            self.due = Some(Instant::now());
        }
    }

    /// Has them looked at no more.
    pub(super) fn unwatch(&mut self) {
        self.watch = None;
        self.is_blind = false;
        self.due = None;
    }

    /// The descriptor that tells.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// When they are to be looked at next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Notes that something was told.
    fn hear(&mut self) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        let mut tries = Tries::default();
        loop {
            match watch
                .clear()
                .map_err(|e| (tries.answer(Call::Watch, &e), e))
            {
                Ok(()) | Err((Answer::NotReady, _)) => break,
                Err((Answer::Again, _)) => {}
                Err((_, e)) => {
                    let failure = Failure::new(Call::Watch, &e);
                    warn!(
                        "{failure}; paths are looked at every {} s instead",
                        PAUSE_BLIND.as_secs()
                    );
                    // Its descriptor is closed, and with that epoll forgets it.
                    self.watch = None;
                    self.is_blind = true;
                    break;
                }
            }
        }
        self.look_again();
    }

    /// Settles when to look again, after all paths have been looked at.
    fn settle(&mut self, all_is_well: bool) {
        let now = Instant::now();
        self.pause = if all_is_well {
            PAUSE_MIN
        } else {
            (self.pause * 2).min(PAUSE_MAX)
        };
        self.not_before = Some(now + self.pause);
        // One that was made anew may have gone again before it was watched.
        let must_look_again = !all_is_well || self.due.is_some();
        self.due = if must_look_again {
            Some(now + self.pause)
        } else {
            self.is_blind.then(|| now + PAUSE_BLIND)
        };
    }
}

impl Reactor {
    /// Makes paths anew that no longer lead to us, if this round was woken for that.
    pub(super) fn see_to_paths(&mut self) -> Result<(), Error> {
        if self.stop != Stop::No {
            return Ok(());
        }
        let was_told = self.events.iter().any(|event| event.token() == WATCH);
        // While the output takes nothing, the event loop tells nothing.
        if was_told || !self.outlet.is_open() {
            self.paths.hear();
        }
        if self.paths.due.is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        self.paths.due = None;
        let mut all_is_well = true;
        for index in 0..self.intakes.len() {
            let intake = &mut self.intakes[index];
            match &intake.path {
                Some(path) if !path.is_intact() => all_is_well &= self.bind_anew(index),
                Some(_) if std::mem::take(&mut intake.is_lost) => {
                    warn!("{}: its path leads to it again", intake.endpoint);
                }
                _ => {}
            }
        }
        if self.outlet.has_lost_its_name() {
            self.outlet.replace_removed();
        }
        self.paths.settle(all_is_well);
        Ok(())
    }

    /// Binds an endpoint anew at its path, and only then has the old one make way; what is queued there
    /// is read first. Tells whether it could.
    fn bind_anew(&mut self, index: usize) -> bool {
        let intake = &mut self.intakes[index];
        if let Some(path) = &mut intake.path {
            path.let_go();
        }
        let options = BindOptions {
            lock_tries: 1,
            ..self.settings.bind
        };
        let result = transports::bind(&intake.endpoint, &options).and_then(|bound| {
            let failed = |e| Error::new("watch", &intake.endpoint, e);
            let registered = (bound.source).register(self.poll.registry(), self.table.next_token());
            registered.map_err(failed).map(|()| bound)
        });
        let Bound {
            source, mut path, ..
        } = match result {
            Ok(bound) => bound,
            Err(e) => {
                if let Some(path) = &mut intake.path {
                    path.claim_again();
                }
                if !std::mem::replace(&mut intake.is_lost, true) {
                    error!("the path was removed, moved or replaced: {e}; trying again");
                }
                return false;
            }
        };
        warn!(
            "{}: its path was removed, moved or replaced, and is made anew",
            intake.endpoint
        );
        if let Some(path) = &mut path {
            path.keep();
        }
        self.table.retire(intake.token);
        intake.token = self.table.insert(source, index);
        intake.path = path;
        intake.is_lost = false;
        self.paths.add(intake);
        true
    }
}
