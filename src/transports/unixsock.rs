//! Unix stream sockets: listen, accept, stop, connect.

use super::bound_path::BoundPath;
use super::listener::{Listener, ListeningSocket};
use super::reason::Reason;
use super::unix_path::{self, UnixAddress};
use super::{BACKLOG, BindOptions};
use mio::net::UnixListener;
use socket2::{SockRef, Type};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net;

pub(super) fn listen(
    address: &UnixAddress,
    options: &BindOptions,
) -> Result<(Listener, Option<BoundPath>), Reason> {
    let (socket, path) = unix_path::bind(Type::STREAM, address, options, |socket| {
        socket.listen(BACKLOG)
    })?;
    let socket = UnixListener::from_std(net::UnixListener::from(OwnedFd::from(socket)));
    Ok((Listener::new(ListeningSocket::Unix(socket)), path))
}

pub(super) fn accept(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (socket, _) = listener.accept()?;
    Ok(OwnedFd::from(net::UnixStream::from(socket)))
}

/// Refuses new connections; those in the backlog can still be accepted (`unix_stream_connect` and
/// `unix_accept` in the kernel's net/unix).
pub(super) fn stop(listener: &UnixListener) {
    // It cannot fail on an open socket.
    let _ = SockRef::from(listener).shutdown(Shutdown::Read);
}
