//! Connecting to a daemon, and waiting for one that is not there.

use crate::sys;
use crate::transports::{self, Endpoint};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// How often a daemon that is waited for is looked for.
const WAIT_STEP_NS: u64 = 10_000_000;

/// How to connect, and how long to wait for it.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) endpoint: Endpoint,
    pub(super) nagle: bool,
    pub(super) wait: Duration,
}

impl Connector {
    /// Until when a daemon is waited for that is missed now, on CLOCK_MONOTONIC.
    pub(super) fn deadline(&self) -> u64 {
        let wait_ns = u64::try_from(self.wait.as_nanos()).unwrap_or(u64::MAX);
        sys::monotonic_ns().saturating_add(wait_ns)
    }

    /// Connects, and tries again until the deadline while there is no daemon. The result is a `File`,
    /// for `write(2)` whatever the transport.
    ///
    /// # Errors
    /// When there is no daemon by then (not noticed for UDP), or it cannot be reached at all.
    pub(super) fn connect(&self, deadline: u64) -> io::Result<File> {
        loop {
            match self.try_once() {
                Err(e) if is_no_daemon(&e) && sys::monotonic_ns() < deadline => {
                    self.pause(deadline);
                }
                result => return result,
            }
        }
    }

    fn try_once(&self) -> io::Result<File> {
        let connection = transports::connect(&self.endpoint, self.nagle)?;
        beyond_the_standard_ones(connection).map(File::from)
    }

    /// Lets a moment pass.
    pub(super) fn pause(&self, deadline: u64) {
        sys::sleep_until(deadline.min(sys::monotonic_ns() + WAIT_STEP_NS));
    }
}

/// Moves a connection out of the place of a standard descriptor that we were started without, so that
/// what we print does not become a record, nor what we send our input.
fn beyond_the_standard_ones(connection: OwnedFd) -> io::Result<OwnedFd> {
    if connection.as_raw_fd() > 2 {
        return Ok(connection);
    }
    connection.try_clone() // F_DUPFD_CLOEXEC, from 3 on
}

/// Tells whether the error means that no daemon listens, so that one may still come.
pub(super) fn is_no_daemon(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    ) || sys::is_no_reader(error)
}

/// Tells whether the error means that the daemon we were connected to has gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    ) || is_no_daemon(error)
}
