//! TCP: listen, accept, connect.

use super::BACKLOG;
use super::listener::{Listener, ListeningSocket};
use super::reason::Reason;
use mio::net::TcpListener;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;

pub(super) fn listen(address: SocketAddr) -> Result<(Listener, SocketAddr), Reason> {
    let socket = socket(address)?;
    socket.listen(BACKLOG)?;
    let socket = net::TcpListener::from(OwnedFd::from(socket));
    let address = socket.local_addr()?;
    let socket = TcpListener::from_std(socket);
    Ok((Listener::new(ListeningSocket::Tcp(socket)), address))
}

/// A socket bound to this address, which refuses connections until it listens.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    // Connections of an earlier daemon may linger in TIME_WAIT; on Linux this does not let two
    // processes listen on one port (`man 7 socket`).
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

pub(super) fn accept(listener: &TcpListener) -> io::Result<OwnedFd> {
    let (socket, _) = listener.accept()?;
    Ok(OwnedFd::from(net::TcpStream::from(socket)))
}

pub(super) fn connect(address: SocketAddr, nagle: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if !nagle {
        socket.set_tcp_nodelay(true)?;
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}
