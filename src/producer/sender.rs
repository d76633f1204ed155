//! Sends records over one endpoint and counts them.

use super::connector::{Connector, is_gone, is_no_daemon};
use crate::error::Error;
use crate::sys;
use crate::transports::{self, Endpoint, Transport};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, ErrorKind, Write};

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
    connector: Connector,
    connection: File,
    /// Longest record, newline included, where the mechanism sets a limit that is known beforehand.
    write_bytes_max: Option<usize>,
    sent: u64,
    bytes: u64,
    errors: u64,
    reconnects: u64,
    /// Length of the record that was sent last.
    last_bytes: u64,
    /// Whether the daemon is known to have been there when something was sent. Only UDP leaves it open.
    is_confirmed: bool,
    /// Records that were sent, did not arrive and were not sent again.
    lost: u64,
}

impl Sender {
    /// Connects, and waits for a daemon as long as the connector says.
    ///
    /// # Errors
    /// When there is none by then, or it cannot be reached at all.
    pub(super) fn connect(connector: Connector) -> Result<Self, Error> {
        let connection = connector
            .connect(connector.deadline())
            .map_err(|e| connect_error("connect to", &connector.endpoint, &e))?;
        Ok(Self {
            write_bytes_max: transports::write_bytes_max(connector.endpoint.transport()),
            connector,
            connection,
            sent: 0,
            bytes: 0,
            errors: 0,
            reconnects: 0,
            last_bytes: 0,
            is_confirmed: false,
            lost: 0,
        })
    }

    /// Sends a record with one `write(2)`. If the daemon has gone and may be waited for, connects anew
    /// and sends the record again.
    ///
    /// # Errors
    /// When it did not go; it is counted then.
    pub(super) fn send(&mut self, record: &[u8]) -> Result<(), Failure> {
        if self.write_bytes_max.is_some_and(|max| record.len() > max) {
            return Err(self.refuse(record.len() as u64, self.write_bytes_max));
        }
        let mut deadline = None;
        loop {
            // Blocks until the transport has taken all. Only a signal can cut a stream's write short.
            let written = self.connection.write_all(record);
            let e = match written.and_then(|()| self.confirm()) {
                Ok(()) => {
                    self.sent += 1;
                    self.last_bytes = record.len() as u64;
                    self.bytes += self.last_bytes;
                    return Ok(());
                }
                Err(e) if sys::is_message_too_long(&e) => {
                    return Err(self.refuse(record.len() as u64, None));
                }
                Err(e) => e,
            };
            let is_of_the_one_before = self.connector.wait.is_zero() || self.is_confirmed;
            if self.is_udp() && is_no_daemon(&e) && is_of_the_one_before {
                self.take_back();
            }
            self.is_confirmed = false;
            let until = *deadline.get_or_insert_with(|| self.connector.deadline());
            if !is_gone(&e) || sys::monotonic_ns() >= until {
                self.errors += 1;
                return Err(Failure::Refused(e));
            }
            self.reconnect(until).map_err(|e| {
                self.errors += 1;
                Failure::Refused(e)
            })?;
        }
    }

    /// Where a daemon may be waited for, makes sure that the first record that is sent to it arrives: UDP
    /// tells of one that nobody received, on loopback at once.
    fn confirm(&mut self) -> io::Result<()> {
        if self.is_udp() && !self.is_confirmed && !self.connector.wait.is_zero() {
            SockRef::from(&self.connection)
                .take_error()?
                .map_or(Ok(()), Err)?;
            self.is_confirmed = true;
        }
        Ok(())
    }

    /// A daemon that is about to end may still take the connection, so each try has its pause.
    fn reconnect(&mut self, until: u64) -> io::Result<()> {
        self.connector.pause(until);
        self.connection = self.connector.connect(until)?;
        self.reconnects += 1;
        Ok(())
    }

    fn is_udp(&self) -> bool {
        self.connector.endpoint.transport() == Transport::Udp
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
        self.lost += 1;
    }

    /// Asks after the fate of the last record, where the transport tells.
    ///
    /// # Errors
    /// When it did not arrive.
    pub(super) fn check_last(&mut self) -> Result<(), Error> {
        if !self.is_udp() {
            return Ok(());
        }
        match SockRef::from(&self.connection).take_error() {
            Ok(None) if self.lost == 0 => Ok(()),
            Ok(None) => Err(Error::new(
                "deliver",
                format!("all records to {}", self.connector.endpoint),
                format!("{} went to a daemon that had gone", self.lost),
            )
            .advise("choose another transport where that must not be")),
            Ok(Some(e)) | Err(e) => {
                self.take_back();
                Err(self.error(&Failure::Refused(e)))
            }
        }
    }

    /// The error to show for a record that was not sent.
    pub(super) fn error(&self, failure: &Failure) -> Error {
        match failure {
            Failure::Refused(e) => connect_error("send to", &self.connector.endpoint, e),
            Failure::TooLong { bytes, max } => {
                let limit = max.map_or("than its send buffer".to_owned(), |max| {
                    format!("than {max}")
                });
                Error::new(
                    "send to",
                    &self.connector.endpoint,
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
            reconnects,
            ..
        } = self;
        format!(
            "{{\"sent\":{sent},\"bytes\":{bytes},\"errors\":{errors},\"reconnects\":{reconnects},\"seconds\":{}.{:09}}}",
            nanoseconds / 1_000_000_000,
            nanoseconds % 1_000_000_000
        )
    }
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
