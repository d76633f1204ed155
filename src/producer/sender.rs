//! Sends records over one endpoint and counts them.

use super::connector::{Connector, is_gone, is_no_daemon};
use super::tail::{self, Tail};
use crate::error::Error;
use crate::sys;
use crate::transports::{self, Endpoint, Transport};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

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
    last_bytes: usize,
    /// Whether the daemon is known to have been there when something was sent. Only UDP leaves it open.
    is_confirmed: bool,
    /// Kept where a daemon may be waited for and the kernel tells later that records have not arrived.
    tail: Option<Tail>,
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
        let transport = connector.endpoint.transport();
        let tail = match transport {
            _ if connector.wait.is_zero() => None,
            Transport::Tcp => Some(Tail::new(tail::TCP_BYTES_MAX)),
            Transport::Udp => Some(Tail::new(tail::UDP_BYTES_MAX)),
            // What a send has taken, these keep until it is read or the daemon dies.
            Transport::Unixsock | Transport::Unixgram | Transport::Fifo => None,
        };
        Ok(Self {
            write_bytes_max: transports::write_bytes_max(transport),
            tail,
            connector,
            connection,
            sent: 0,
            bytes: 0,
            errors: 0,
            reconnects: 0,
            last_bytes: 0,
            is_confirmed: false,
        })
    }

    /// Sends a record with one `write(2)`. If the daemon has gone and may be waited for, connects anew
    /// and sends the record again, after those before it of which the kernel says that they did not arrive.
    ///
    /// # Errors
    /// When it did not go; it is counted then.
    pub(super) fn send(&mut self, record: &[u8]) -> Result<(), Failure> {
        if self.write_bytes_max.is_some_and(|max| record.len() > max) {
            return Err(self.refuse(record.len() as u64, self.write_bytes_max));
        }
        match self.write(record) {
            Ok(()) => {}
            Err((_, e)) if sys::is_message_too_long(&e) => {
                return Err(self.refuse(record.len() as u64, None));
            }
            Err((taken, e)) => self.recover(record, taken, e)?,
        }
        self.sent += 1;
        self.bytes += record.len() as u64;
        if let Some(tail) = &mut self.tail {
            tail.push(record);
        }
        Ok(())
    }

    /// Writes these records, each with one `write(2)`. An error comes with how many bytes were taken.
    fn write(&mut self, records: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut taken = 0;
        for record in records.split_inclusive(|byte| *byte == b'\n') {
            let end = taken + record.len();
            while taken < end {
                // Blocks until the transport has taken all. Only a signal can cut a stream's write short.
                match self.connection.write(&records[taken..end]) {
                    Ok(bytes) => taken += bytes,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err((taken, e)),
                }
            }
            self.confirm().map_err(|e| (taken, e))?;
            self.last_bytes = record.len();
        }
        Ok(())
    }

    /// Waits for a daemon, and sends it what did not arrive at the one that has gone and these records.
    fn recover(&mut self, records: &[u8], taken: usize, e: io::Error) -> Result<(), Failure> {
        let until = self.connector.deadline();
        let (mut taken, mut e, mut hand) = (taken, e, records.to_vec());
        loop {
            if let Some(tail) = &self.tail {
                hand = tail.again(&hand, taken, self.missing(taken));
                if hand.is_empty() {
                    return Ok(()); // the daemon has gone with all of it
                }
            } else if self.is_udp() && is_no_daemon(&e) {
                self.take_back();
            }
            if !is_gone(&e) || sys::monotonic_ns() >= until {
                return Err(self.give_up(records, &hand, e));
            }
            self.is_confirmed = false;
            self.reconnect(until)
                .map_err(|e| self.give_up(records, &hand, e))?;
            match self.write(&hand) {
                Ok(()) => return Ok(()),
                Err(failed) => (taken, e) = failed,
            }
        }
    }

    /// Counts what is in hand as not sent. Beside `records`, it was counted as sent before.
    fn give_up(&mut self, records: &[u8], hand: &[u8], e: io::Error) -> Failure {
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.sent -= lines(hand) - lines(records);
        self.bytes -= (hand.len() - records.len()) as u64;
        self.errors += lines(hand);
        Failure::Refused(e)
    }

    /// How many of the bytes that were sent last have not arrived, as far as the kernel knows; `taken` of
    /// them belong to what is in hand.
    fn missing(&self, taken: usize) -> usize {
        match (self.is_udp(), self.is_confirmed) {
            // UDP tells of a datagram that nobody received with the next call: the one before did not go.
            (true, true) => self.last_bytes,
            (true, false) => taken,
            (false, _) => sys::unacknowledged_bytes(self.connection.as_fd()).unwrap_or(0),
        }
    }

    /// Where a daemon may be waited for, makes sure that the first record that is sent to it arrives: UDP
    /// tells of one that nobody received, on loopback at once.
    fn confirm(&mut self) -> io::Result<()> {
        if self.is_udp() && !self.is_confirmed && !self.connector.wait.is_zero() {
            self.check()?;
            self.is_confirmed = true;
        }
        Ok(())
    }

    /// The error that the socket has not yet told of.
    fn check(&self) -> io::Result<()> {
        SockRef::from(&self.connection)
            .take_error()?
            .map_or(Ok(()), Err)
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

    /// The record before the one in hand did not go.
    fn take_back(&mut self) {
        self.sent = self.sent.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(self.last_bytes as u64);
        self.errors += 1;
    }

    /// Asks after the fate of the last records, where the transport tells, and sends them again where a
    /// daemon may be waited for.
    ///
    /// # Errors
    /// When they did not arrive.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let deadline = self.connector.deadline();
        while self.is_udp() || self.tail.is_some() {
            match self.check() {
                Ok(()) if self.is_on_its_way() && sys::monotonic_ns() < deadline => {
                    self.connector.pause(deadline);
                }
                Ok(()) => break,
                Err(e) if self.tail.is_some() => {
                    let recovered = self.recover(&[], 0, e);
                    recovered.map_err(|failure| self.error(&failure))?;
                }
                Err(e) => {
                    self.take_back();
                    return Err(self.error(&Failure::Refused(e)));
                }
            }
        }
        Ok(())
    }

    /// Tells whether the kernel holds bytes that may still be refused.
    fn is_on_its_way(&self) -> bool {
        !self.is_udp() && self.missing(0) > 0
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
