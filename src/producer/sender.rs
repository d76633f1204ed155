//! Sends records over one endpoint and counts them.

use crate::error::Error;
use crate::sys;
use crate::transports::{self, Endpoint, Transport};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// How often a daemon that is waited for is looked for.
const WAIT_STEP_NS: u64 = 10_000_000;

/// Why a record was not sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// The transport, or for a line we, cannot carry it whole.
    TooLong { bytes: u64, max: Option<usize> },
    /// The transport refused it.
    Refused(io::Error),
}

/// A connection to a daemon.
#[derive(Debug)]
pub(super) struct Sender {
    endpoint: Endpoint,
    /// A `File`, for `write(2)` whatever the transport.
    connection: File,
    /// Longest record, newline included, where the mechanism sets a limit that is known beforehand.
    write_bytes_max: Option<usize>,
    sent: u64,
    bytes: u64,
    errors: u64,
    /// Length of the record that was sent last.
    last_bytes: u64,
}

impl Sender {
    /// Connects, and tries again for as long as `wait` says while there is no daemon.
    ///
    /// # Errors
    /// When there is none by then, or it cannot be reached at all.
    pub(super) fn connect(endpoint: &Endpoint, nagle: bool, wait: Duration) -> Result<Self, Error> {
        let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let deadline = sys::monotonic_ns().saturating_add(wait_ns);
        loop {
            let connected = transports::connect(endpoint, nagle).and_then(|connection| {
                if !wait.is_zero() && endpoint.transport() == Transport::Udp {
                    probe(&connection)?;
                }
                Ok(connection)
            });
            let now = sys::monotonic_ns();
            match connected {
                Ok(connection) => {
                    let connection = beyond_the_standard_ones(connection)
                        .map_err(|e| connect_error("connect to", endpoint, &e))?;
                    return Ok(Self {
                        endpoint: endpoint.clone(),
                        connection: connection.into(),
                        write_bytes_max: transports::write_bytes_max(endpoint.transport()),
                        sent: 0,
                        bytes: 0,
                        errors: 0,
                        last_bytes: 0,
                    });
                }
                Err(e) if is_no_daemon(&e) && now < deadline => {
                    sys::sleep_until(deadline.min(now + WAIT_STEP_NS));
                }
                Err(e) => return Err(connect_error("connect to", endpoint, &e)),
            }
        }
    }

    /// Sends a record with one `write(2)`.
    ///
    /// # Errors
    /// When it did not go; it is counted then.
    pub(super) fn send(&mut self, record: &[u8]) -> Result<(), Failure> {
        if self.write_bytes_max.is_some_and(|max| record.len() > max) {
            return Err(self.refuse(record.len() as u64, self.write_bytes_max));
        }
        // Blocks until the transport has taken all. Only a signal can cut a stream's write short.
        match self.connection.write_all(record) {
            Ok(()) => {
                self.sent += 1;
                self.last_bytes = record.len() as u64;
                self.bytes += self.last_bytes;
                Ok(())
            }
            Err(e) if sys::is_message_too_long(&e) => Err(self.refuse(record.len() as u64, None)),
            Err(e) => {
                self.errors += 1;
                if self.endpoint.transport() == Transport::Udp && is_no_daemon(&e) {
                    self.take_back();
                }
                Err(Failure::Refused(e))
            }
        }
    }

    /// Counts a record that cannot go whole; without a `max`, the socket's send buffer said so.
    pub(super) fn refuse(&mut self, bytes: u64, max: Option<usize>) -> Failure {
        self.errors += 1;
        Failure::TooLong { bytes, max }
    }

    /// UDP tells of a datagram that nobody received with the next call: the one before did not go.
    fn take_back(&mut self) {
        self.sent = self.sent.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(self.last_bytes);
        self.errors += 1;
    }

    /// Asks after the fate of the last record, where the transport tells.
    ///
    /// # Errors
    /// When it did not arrive.
    pub(super) fn check_last(&mut self) -> Result<(), Error> {
        if self.endpoint.transport() != Transport::Udp {
            return Ok(());
        }
        match SockRef::from(&self.connection).take_error() {
            Ok(None) => Ok(()),
            Ok(Some(e)) | Err(e) => {
                self.take_back();
                Err(self.error(&Failure::Refused(e)))
            }
        }
    }

    /// The error to show for a record that was not sent.
    pub(super) fn error(&self, failure: &Failure) -> Error {
        match failure {
            Failure::Refused(e) => connect_error("send to", &self.endpoint, e),
            Failure::TooLong { bytes, max } => {
                let limit = max.map_or("than its send buffer".to_owned(), |max| {
                    format!("than {max}")
                });
                Error::new(
                    "send to",
                    &self.endpoint,
                    format!("a record of {bytes} bytes is longer {limit}, and cannot go whole"),
                )
                .advise("send smaller records, or over unixsock or tcp, up to the daemon's --max-record")
            }
        }
    }

    /// What was done, as a line of JSON.
    pub(super) fn report(&self, nanoseconds: u64) -> String {
        let Self {
            sent,
            bytes,
            errors,
            ..
        } = self;
        format!(
            "{{\"sent\":{sent},\"bytes\":{bytes},\"errors\":{errors},\"seconds\":{}.{:09}}}",
            nanoseconds / 1_000_000_000,
            nanoseconds % 1_000_000_000
        )
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

/// Sends an empty datagram, which daemons ignore, and learns whether anybody is there: on loopback
/// the answer is there when the call returns.
fn probe(socket: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.send(&[])?;
    socket.take_error()?.map_or(Ok(()), Err)
}

/// Tells whether the error means that no daemon listens, so that one may still come.
fn is_no_daemon(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    ) || sys::is_no_reader(error)
}

fn connect_error(verb: &'static str, endpoint: &Endpoint, error: &io::Error) -> Error {
    if is_no_daemon(error) {
        return Error::new(verb, endpoint, format!("no daemon listens there ({error})"))
            .advise(format!("start one: aggregator --ipc {endpoint}"));
    }
    let advice = match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => "the daemon is gone; start it again",
        ErrorKind::PermissionDenied => "ask its owner for a wider --socket-mode",
        _ => "see that the daemon's --ipc names the same address",
    };
    Error::new(verb, endpoint, error).advise(advice)
}
