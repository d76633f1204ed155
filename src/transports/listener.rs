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

/// The same in a stop. No fewer than a backlog holds by default (`net.core.somaxconn`): clients that
/// connect anew again and again are outrun, and would otherwise keep a TCP listener open for ever.
const LAST_TURN_ACCEPTS_MAX: usize = 4096;

/// Accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: ListeningSocket,
    /// Whether we have said that connections wait.
    has_warned: bool,
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
        let accepts_max = match cx.stopping {
            true => LAST_TURN_ACCEPTS_MAX,
            false => TURN_ACCEPTS_MAX,
        };
        for _ in 0..accepts_max {
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
        }
        Turn::Unfinished
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

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListeningSocket::Unix(socket) => socket.as_fd(),
            ListeningSocket::Tcp(socket) => socket.as_fd(),
        }
    }
}
