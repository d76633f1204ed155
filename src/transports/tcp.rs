//! TCP: listen, refuse, connect.

use super::listener::Listener;
use super::reason::Reason;
use super::{BACKLOG, BindOptions, Transport, endpoint};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

pub(super) fn listen(
    address: SocketAddr,
    options: &BindOptions,
) -> Result<(Listener, SocketAddr), Reason> {
    let socket = socket(address)?;
    keep_alive(&socket)?;
    if !options.is_rehearsal {
        socket.listen(BACKLOG)?;
    }
    let Some(address) = socket.local_addr()?.as_socket() else {
        return Err(Reason::new("the kernel gave it no address"));
    };
    Ok((Listener::new(socket.into(), Transport::Tcp), address))
}

/// Has the kernel ask a silent peer whether it is still there, so that one that has vanished without a word (a
/// container that was frozen or unplugged) does not hold its place for ever: after a minute of silence, six times in a
/// row ten seconds apart. Connections inherit it from their listener (`man 7 tcp`).
pub(super) fn keep_alive(socket: &impl AsFd) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// A socket bound to this address, which refuses connections until it listens.
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = endpoint::socket(address, Type::STREAM)?;
    // Connections of an earlier daemon may linger in TIME_WAIT; on Linux this does not let two
    // processes listen on one port (`man 7 socket`).
    socket.set_reuse_address(true)?;
    socket.bind(&endpoint::canonical(address).into())?;
    Ok(socket)
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

/// Has the kernel acknowledge at once what has been read (TCP_QUICKACK, `man 7 tcp`). By itself it may take up to 40 ms
/// (`tcp_send_delayed_ack` in net/ipv4/tcp_output.c), for which a sender with Nagle's algorithm keeps back what it writes.
pub(super) fn acknowledge(connection: &impl AsFd) {
    // It fails only where there is nothing to acknowledge any more.
    let _ = SockRef::from(connection).set_tcp_quickack(true);
}

pub(super) fn connect(address: SocketAddr, nagle: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if !nagle {
        socket.set_tcp_nodelay(true)?;
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}
