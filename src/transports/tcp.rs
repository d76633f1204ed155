//! TCP: listen, accept, connect.

use super::BACKLOG;
use super::listener::{Listener, ListeningSocket};
use super::reason::Reason;
use mio::net::TcpListener;
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

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

/// Takes nothing more from the peer: what is queued can still be read, and the close that follows resets
/// the connection.
///
/// Both directions are shut down in one step, under the socket's lock. What came before is acknowledged
/// by the FIN that goes out, and nothing that comes after is: it is answered with a reset
/// (`tcp_rcv_state_process` in the kernel's net/ipv4/tcp_input.c, FIN_WAIT with RCV_SHUTDOWN). So what the
/// peer's kernel holds for acknowledged is exactly what we read. The reset at the close has the peer's
/// next send fail; after a FIN alone, that send would succeed and be lost.
pub(super) fn refuse_more(connection: &impl AsFd) {
    let socket = SockRef::from(connection);
    // They fail only when the peer has reset the connection, which the next read tells.
    let _ = socket.shutdown(Shutdown::Both);
    let _ = socket.set_linger(Some(Duration::ZERO));
}

pub(super) fn connect(address: SocketAddr, nagle: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if !nagle {
        socket.set_tcp_nodelay(true)?;
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}
