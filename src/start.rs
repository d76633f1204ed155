//! The start: everything that the daemon needs before it serves, opened, bound and watched.
//!
//! `--check` is a rehearsal of it: the same steps, but nobody is let in, and what was made is taken back when this is
//! dropped. So is what a start that is refused has made.

use crate::config::Config;
use crate::diagnostics;
use crate::error::Error;
use crate::reactor::{Reactor, Settings};
use crate::sink::Sink;
use crate::sys::{PathWatch, Signals};
use crate::transports::{self, Bound, Endpoint};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A start that is under way.
#[derive(Debug)]
pub struct Start<'a> {
    config: &'a Config,
    signals: Signals,
    settings: Settings,
    watch: io::Result<PathWatch>,
    bound: Vec<Bound>,
}

impl<'a> Start<'a> {
    /// Takes over what concerns the process as a whole.
    ///
    /// # Errors
    /// When the system refuses a descriptor, or a limit.
    pub fn new(config: &'a Config) -> Result<Self, Error> {
        // First, so that a signal during the start waits for the loop instead of killing us half-way.
        let signals = Signals::new()
            .and_then(|signals| diagnostics::heed(signals.as_fd()).map(|()| signals))
            .map_err(|e| Error::new("take over", "signals", e))?;
        let settings = Settings {
            bind: config.bind,
            connections_max: config.raise_connections_max()?,
            stamping: config.stamping,
            half_line: config.half_line,
            drain_time_max: config.drain_time_max,
            linger: config.linger,
            sync_policy: config.sync_policy,
            rotation: config.rotation,
        };
        Ok(Self {
            config,
            signals,
            settings,
            // Before the sockets, so that the kernel lets go of those first when it ends a process that was killed:
            // to let go of this takes it some 15 ms, and what is sent meanwhile would be lost.
            watch: PathWatch::new(),
            bound: Vec::new(),
        })
    }

    /// Opens the output.
    ///
    /// # Errors
    /// When it cannot be opened for writing, or is another daemon's.
    pub fn open_output(&self) -> Result<Sink, Error> {
        let Config { output, bind, .. } = self.config;
        Sink::open(output, bind.record_bytes_max, bind.is_rehearsal)
    }

    /// Makes sure that what is asked for can be done with the output later.
    ///
    /// # Errors
    /// When it could not be rotated or emptied.
    pub fn check_output(&self, sink: &Sink) -> Result<(), Error> {
        if self.config.rotation.is_some() {
            sink.check_can_rotate()?;
        }
        if self.config.truncate {
            sink.check_can_empty()?;
        }
        Ok(())
    }

    /// Takes over a descriptor that was opened for us.
    ///
    /// # Errors
    /// When it cannot be served.
    pub fn adopt(&mut self, fd: OwnedFd) -> Result<&Endpoint, Error> {
        let bound = transports::adopt(fd, self.config.bind.record_bytes_max)?;
        self.bound.push(bound);
        Ok(&self.bound[self.bound.len() - 1].endpoint)
    }

    /// Binds an endpoint, unless one of ours is there already.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn bind(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        if let Some(other) = self.bound.iter().find(|bound| bound.is_at(endpoint)) {
            let reason = format!("it collides with {}", other.endpoint);
            return Err(Error::new("bind", endpoint, reason).advise("give each its own"));
        }
        self.bound
            .push(transports::bind(endpoint, &self.config.bind)?);
        Ok(())
    }

    /// The endpoints so far, with their real addresses.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.bound.iter().map(|bound| &bound.endpoint)
    }

    /// Makes the event loop of it all, and lets everything stay that was made.
    ///
    /// # Errors
    /// When the output cannot be emptied, or the system refuses a descriptor of the event loop.
    pub fn finish(self, sink: Sink) -> Result<Reactor, Error> {
        let mut reactor = Reactor::new(self.bound, sink, self.signals, self.watch, self.settings)?;
        if !self.config.bind.is_rehearsal {
            // Last, so that a daemon that cannot start empties nobody's file.
            reactor.begin(self.config.truncate)?;
        }
        Ok(reactor)
    }
}
