//! The listening end of the two stream sockets.

use super::source::{Obstacle, Source, Turn, TurnContext};
use super::stream::Connection;
use super::{Transport, tcp, unixsock};
use crate::sys;
use log::{debug, warn};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections accepted in one turn.
const TURN_ACCEPTS_MAX: usize = 64;

/// What the longest backlog holds, `net.core.somaxconn`, where that cannot be read.
const BACKLOG_MAX: usize = 4096;

/// Accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: ListeningSocket,
    /// Whether we have said that connections wait.
    has_warned: bool,
    /// In a stop, how many connections are still accepted: as many as a backlog holds, so that all that were in it
    /// when the stop began are among them. Those that come behind could keep a TCP listener open for ever.
    last_accepts: Option<usize>,
}

#[derive(Debug)]
pub(super) enum ListeningSocket {
    Unix(mio::net::UnixListener),
    Tcp(mio::net::TcpListener),
}

impl Listener {
    pub(super) fn new(socket: ListeningSocket) -> Self {
        Self {
            socket,
            has_warned: false,
            last_accepts: None,
        }
    }

    fn transport(&self) -> Transport {
        match self.socket {
            ListeningSocket::Unix(_) => Transport::Unixsock,
            ListeningSocket::Tcp(_) => Transport::Tcp,
        }
    }

    fn accept(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            ListeningSocket::Unix(socket) => unixsock::accept(socket),
            ListeningSocket::Tcp(socket) => tcp::accept(socket),
        }
    }

    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let mut accepts = TURN_ACCEPTS_MAX;
        if cx.stopping {
            accepts = *self.last_accepts.get_or_insert_with(backlog_max);
        }
        while accepts > 0 {
            if cx.room == 0 {
                return self.park(Obstacle::Ours, &"the connection limit is reached");
            }
            match self.accept() {
                Ok(socket) => {
                    let connection = Connection::new(socket, self.transport(), cx.record_bytes_max);
                    cx.accepted.push(Source::Connection(connection));
                    cx.room -= 1;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Turn::Drained,
                Err(e) if sys::is_out_of_descriptors(&e) => return self.park(Obstacle::Ours, &e),
                Err(e) if sys::is_out_of_system_resources(&e) => {
                    return self.park(Obstacle::TheSystems, &e);
                }
                // Shut down by `stop`, and nobody waits any more (`unix_accept`).
                Err(e) if e.kind() == ErrorKind::InvalidInput => return Turn::Closed,
                // The error of one connection, which is gone (`man 2 accept`).
                Err(e) => debug!(
                    "{}: a connection went before we took it: {e}",
                    self.transport()
                ),
            }
            accepts -= 1;
            self.last_accepts = self.last_accepts.map(|_| accepts);
        }
        if cx.stopping {
            Turn::Closed
        } else {
            Turn::Unfinished
        }
    }

    fn park(&mut self, obstacle: Obstacle, reason: &dyn std::fmt::Display) -> Turn {
        if !self.has_warned {
            self.has_warned = true;
            warn!(
                "{}: {reason}; connections wait in the backlog until others are closed",
                self.transport()
            );
        }
        Turn::Parked(obstacle)
    }

    /// Refuses new connections, where those that wait already can still be accepted: a TCP listener
    /// that is shut down resets them, a Unix one does not.
    pub(super) fn stop(&self) {
        match &self.socket {
            ListeningSocket::Unix(socket) => unixsock::stop(socket),
            ListeningSocket::Tcp(_) => {}
        }
    }
}

/// How many connections a backlog holds at most: one more than its length (`sk_acceptq_is_full` in the kernel's
/// include/net/sock.h).
fn backlog_max() -> usize {
    let text = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let length = text.ok().and_then(|text| text.trim().parse().ok());
    length.unwrap_or(BACKLOG_MAX).saturating_add(1)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListeningSocket::Unix(socket) => socket.as_fd(),
            ListeningSocket::Tcp(socket) => socket.as_fd(),
        }
    }
}
