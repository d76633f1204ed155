//! The listening end of the two stream sockets.

use super::source::{Source, Turn, TurnContext};
use super::stream::Connection;
use super::{Transport, tcp};
use crate::failure::{Answer, Call, Failure};
use crate::sys;
use log::{debug, warn};
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections accepted in one turn.
const TURN_ACCEPTS_MAX: usize = 64;

/// What the longest backlog holds, `net.core.somaxconn`, where that cannot be read.
const BACKLOG_MAX: usize = 4096;

/// Accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    transport: Transport,
    /// Whether we have said that connections wait.
    has_warned: bool,
    /// Connections are to be given keepalive, since they do not inherit it.
    sets_keepalive: bool,
    /// accept4(2) is refused here, and accept(2) is not.
    is_plain: bool,
    /// It lets nobody in any more.
    is_shut: bool,
    /// In a stop, how many connections are still accepted: as many as a backlog holds, so that all that were in it
    /// when the stop began are among them. Those that come behind could keep a TCP listener open for ever.
    last_accepts: Option<usize>,
}

impl Listener {
    pub(super) fn new(socket: OwnedFd, transport: Transport) -> Self {
        Self {
            socket,
            transport,
            has_warned: false,
            sets_keepalive: false,
            is_plain: false,
            is_shut: false,
            last_accepts: None,
        }
    }

    /// Has each connection be given keepalive: a listener that is not ours is left as it is.
    pub(super) fn set_keepalive(&mut self, sets_keepalive: bool) {
        self.sets_keepalive = sets_keepalive;
    }

    fn accept(&mut self) -> io::Result<OwnedFd> {
        let listener = self.socket.as_fd();
        if self.is_plain {
            return sys::accept_plainly(listener);
        }
        match sys::accept(listener) {
            Err(refusal) if sys::is_lacking(&refusal) => {
                let plainly = sys::accept_plainly(listener);
                if plainly.as_ref().is_err_and(sys::is_lacking) {
                    return Err(refusal);
                }
                self.is_plain = true;
                warn!(
                    "{}: accept4 is refused ({refusal}); accept and fcntl serve as well",
                    self.transport
                );
                plainly
            }
            result => result,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let mut accepts = TURN_ACCEPTS_MAX;
        if cx.stopping {
            accepts = *self.last_accepts.get_or_insert_with(backlog_max);
        }
        let call = if self.is_shut {
            Call::LastAccept
        } else {
            Call::Accept
        };
        let mut tries = cx.tries();
        while accepts > 0 {
            if cx.room == 0 {
                return self.park();
            }
            match self.accept() {
                Ok(socket) => {
                    tries.succeed();
                    cx.found = true;
                    if self.sets_keepalive {
                        // It serves as well without.
                        let _ = tcp::keep_alive(&socket);
                    }
                    let connection = Connection::new(socket, self.transport, cx.record_bytes_max);
                    cx.accepted.push(Source::Connection(connection));
                    cx.room -= 1;
                }
                Err(e) => match cx.answer(&mut tries, call, &e) {
                    Answer::Again => {}
                    Answer::NotReady => return Turn::Drained,
                    Answer::Consumed => {
                        debug!(
                            "{}: a connection went before we took it: {e}",
                            self.transport
                        );
                    }
                    Answer::Ended => return Turn::Closed,
                    Answer::Pause | Answer::GiveUp => {
                        return Turn::Failing(Failure::new(call, &e));
                    }
                },
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

    fn park(&mut self) -> Turn {
        if !self.has_warned {
            self.has_warned = true;
            warn!(
                "{}: the connection limit is reached; connections wait in the backlog until others are closed",
                self.transport
            );
        }
        Turn::Parked
    }

    /// Refuses new connections, where those that wait already can still be accepted: a TCP listener that is shut down
    /// resets them, a Unix one does not (`unix_stream_connect` and `unix_accept` in the kernel's net/unix).
    pub(super) fn stop(&mut self) {
        if self.transport == Transport::Unixsock {
            // It cannot fail on an open socket.
            let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
            self.is_shut = true;
        }
    }
}

/// How many connections a backlog holds at most: one more than its length (`sk_acceptq_is_full` in the kernel's
/// include/net/sock.h).
fn backlog_max() -> usize {
    let length = sys::number_in("/proc/sys/net/core/somaxconn");
    length.unwrap_or(BACKLOG_MAX).saturating_add(1)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
