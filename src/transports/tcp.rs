//! TCP: listen, refuse, connect.

use super::fullness::Capacity;
use super::listener::Listener;
use super::reason::Reason;
use super::{BACKLOG, BindOptions, Transport, endpoint};
use crate::sys;
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

/// Bytes between two looks at a connection's segments: a call in more than a thousand records of the usual size.
const LOOK_BYTES: usize = 256 << 10;

/// Sees how a connection's bytes are cut into segments, which tells whether its sender has Nagle's algorithm put
/// records together.
#[derive(Debug, Default)]
pub(super) struct SegmentWatch {
    /// Bytes since the last look.
    bytes: usize,
    /// Segments received until then.
    segments: u32,
}

impl SegmentWatch {
    /// Notes that so many bytes have been read; now and then, tells how many such connections hold.
    pub(super) fn note(&mut self, connection: &impl AsFd, bytes: usize) -> Option<Capacity> {
        self.bytes += bytes;
        if self.bytes < LOOK_BYTES {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let segments = sys::tcp_segments_received(connection.as_fd()).ok()?;
        let new = segments.wrapping_sub(self.segments) as usize;
        self.segments = segments;
        // There are none on a kernel that does not count them.
        bytes.checked_div(new).map(Capacity::of_segments)
    }
}

pub(super) fn connect(address: SocketAddr, nagle: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if !nagle {
        socket.set_tcp_nodelay(true)?;
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// What is known of a connection over which so many bytes have come, written so many at a time.
    fn watched(write: usize, bytes: usize) -> Option<Capacity> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sender.set_nodelay(true).unwrap();
        let mut receiver = listener.accept().unwrap().0;
        let mut watch = SegmentWatch::default();
        let mut piece = vec![b'x'; write];
        let mut known = None;
        for _ in 0..bytes / write {
            sender.write_all(&piece).unwrap();
            receiver.read_exact(&mut piece).unwrap();
            known = watch.note(&receiver, write).or(known);
        }
        known
    }

    #[test]
    fn segments_of_one_record_fill_a_connection_sooner_than_those_of_many() {
        assert!(watched(200, LOOK_BYTES - 200).is_none());
        let (bytes, records) = (20 * 200, 20);
        let alone = watched(200, LOOK_BYTES + 200).unwrap();
        assert!((0.45..0.55).contains(&alone.share(bytes, records)));
        let together = watched(4000, LOOK_BYTES + 4000).unwrap();
        assert!((0.02..0.03).contains(&together.share(bytes, records)));
    }
}
