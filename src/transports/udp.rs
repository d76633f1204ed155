//! UDP: bind with a large receive buffer, connect.

use super::datagram::DatagramSource;
use super::reason::Reason;
use super::{BindOptions, BufferSize, Transport, endpoint};
use crate::sys;
use log::{info, warn};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// The largest payload: 65,535 bytes of IP packet less 20 of IP header and 8 of UDP header.
pub(super) const PAYLOAD_BYTES_MAX: usize = 65_507;

/// The receive buffer that `--buffer max` asks for; the kernel may grant less.
const RECEIVE_BUFFER_MAX: usize = 4 << 20;

pub(super) fn bind(
    address: SocketAddr,
    options: &BindOptions,
) -> Result<(DatagramSource, SocketAddr), Reason> {
    let socket = socket(address)?;
    if options.is_rehearsal {
        // What came in the moment before is lost, as without a daemon.
        refuse_more(&socket);
    }
    match options.buffer {
        BufferSize::Default => {}
        BufferSize::Max => {
            let got = set_receive_buffer(&socket, RECEIVE_BUFFER_MAX)?;
            info!("udp: receive buffer of {got} bytes");
        }
        BufferSize::Bytes(bytes) => {
            let got = set_receive_buffer(&socket, bytes)?;
            info!("udp: receive buffer of {got} bytes");
            if got < bytes {
                warn!(
                    "udp: the receive buffer is {got} bytes instead of {bytes}; \
                     raise net.core.rmem_max to {bytes}"
                );
            }
        }
    }
    let Some(address) = socket.local_addr()?.as_socket() else {
        return Err(Reason::new("the kernel gave it no address"));
    };
    Ok((DatagramSource::new(socket, Transport::Udp), address))
}

/// A socket bound to this address. Without SO_REUSEADDR, which would let another process share the
/// port and take our datagrams.
fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = endpoint::socket(address, Type::DGRAM)?;
    socket.bind(&endpoint::canonical(address).into())?;
    Ok(socket)
}

/// Asks for a receive buffer of so many bytes, above the system's limit if we may; returns what it
/// became.
fn set_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    if sys::force_receive_buffer(socket.as_fd(), bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    // The kernel doubles what is asked for, to make room for its own bookkeeping, and reports that
    // (`man 7 socket`).
    Ok(socket.recv_buffer_size()? / 2)
}

/// Takes nothing more: datagrams that come are answered with an error from now on, as if nobody had the
/// port, and what is queued can still be read.
///
/// UDP cannot be shut down for reading. But a socket that is connected gets what its peer sends and
/// nothing else (`compute_score` in the kernel's net/ipv4/udp.c), and its own address is a peer that nobody
/// else can be.
pub(super) fn refuse_more(socket: &Socket) {
    // What cannot be had is done without: datagrams are refused a moment later, by the close.
    let _ = socket
        .local_addr()
        .and_then(|address| socket.connect(&address));
}

pub(super) fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
