//! The five mechanisms, for the daemon that reads and the producer that writes.
//!
//! One file per mechanism holds what is particular to it: create, accept, connect, clean up. From a
//! descriptor on there are only two shapes, `stream` and `datagram`. Nothing here knows where
//! records go.

mod bound_path;
mod datagram;
mod endpoint;
mod fifo;
mod hints;
mod inherited;
mod listener;
mod pipe_size;
mod plug;
mod reason;
mod source;
mod stream;
mod tcp;
mod udp;
mod unix_path;
mod unixgram;
mod unixsock;

pub use bound_path::BoundPath;
pub use endpoint::{Endpoint, Transport};
pub use hints::Hints;
pub use inherited::adopt;
pub use source::{Source, Turn, TurnContext};
pub use unix_path::UnixAddress;

use crate::error::Error;
use crate::sys;
use socket2::Type;
use std::io;
use std::os::fd::OwnedFd;

/// How large the kernel's buffer of a pipe or a UDP socket shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferSize {
    /// As the kernel makes it.
    Default,
    /// The largest that the kernel allows, for UDP up to 4 MiB.
    Max,
    /// This many bytes.
    Bytes(usize),
}

/// What the user chose for all endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Permissions of the paths that we make; `None`: [`DEFAULT_MODE`], and a FIFO that is there
    /// already keeps its own.
    pub mode: Option<u32>,
    /// Who shall own the paths that we make, by number; `None`: we do.
    pub owner: Option<u32>,
    /// Their group, by number; `None`: ours.
    pub group: Option<u32>,
    /// Size of pipes and UDP receive buffers.
    pub buffer: BufferSize,
    /// Longest record, in bytes without the newline.
    pub record_bytes_max: usize,
    /// How often a folder is tried that another process keeps locked, with a pause of 10 ms.
    pub lock_tries: u32,
    /// Everything is done as for a start, but nobody is let in, and what was made is taken back when it is dropped.
    pub is_rehearsal: bool,
}

impl BindOptions {
    /// For the start, where nobody is served yet: up to 2 s.
    pub const LOCK_TRIES_AT_START: u32 = 200;

    /// For a check, which a start must not have to wait for: 50 ms.
    pub const LOCK_TRIES_OF_A_CHECK: u32 = 5;

    fn is_handed_over(&self) -> bool {
        self.owner.is_some() || self.group.is_some()
    }

    /// The permissions to begin with: before a path is handed over, nobody but us gets in.
    fn first_mode(&self) -> u32 {
        let mode = self.mode.unwrap_or(DEFAULT_MODE);
        match (self.is_rehearsal, self.is_handed_over()) {
            (true, _) => 0,
            (false, true) => mode & 0o600,
            (false, false) => mode,
        }
    }
}

/// Backlog of a listening socket: the kernel takes `net.core.somaxconn` for anything above
/// (`man 2 listen`).
const BACKLOG: i32 = i32::MAX;

/// Permissions of sockets and FIFOs unless told otherwise: the owner and the group.
pub const DEFAULT_MODE: u32 = 0o660;

/// An endpoint that is ready for the first client.
#[derive(Debug)]
pub struct Bound {
    /// Where the reactor reads.
    pub source: Source,
    /// The endpoint with the address that it got.
    pub endpoint: Endpoint,
    /// Where clients find it, if that is a path; a socket's is removed when this is dropped.
    pub path: Option<BoundPath>,
    /// Somebody else made it and keeps it: at a stop it is left as it is.
    pub is_inherited: bool,
}

impl Bound {
    /// Tells whether this endpoint is where another one is to be, by whatever name.
    pub fn is_at(&self, other: &Endpoint) -> bool {
        let path = self.path.as_ref().zip(other.path());
        self.endpoint.collides_with(other) || path.is_some_and(|(bound, path)| bound.is_at(path))
    }
}

/// Makes an endpoint ready for clients, or finds out whether it could be.
///
/// # Errors
/// When the address is in use or cannot be had.
pub fn bind(endpoint: &Endpoint, options: &BindOptions) -> Result<Bound, Error> {
    let bound = |source, endpoint, path| Bound {
        source,
        endpoint,
        path,
        is_inherited: false,
    };
    let result = match endpoint {
        Endpoint::Unixsock(address) => unixsock::listen(address, options)
            .map(|(listener, path)| bound(listener.into(), endpoint.clone(), path)),
        Endpoint::Unixgram(address) => unixgram::bind(address, options)
            .map(|(source, path)| bound(source.into(), endpoint.clone(), path)),
        Endpoint::Tcp(address) => tcp::listen(*address, options)
            .map(|(listener, address)| bound(listener.into(), Endpoint::Tcp(address), None)),
        Endpoint::Udp(address) => udp::bind(*address, options)
            .map(|(source, address)| bound(source.into(), Endpoint::Udp(address), None)),
        Endpoint::Fifo(path) => fifo::open(path, options)
            .map(|(fifo, path)| bound(fifo.into(), endpoint.clone(), Some(path))),
    };
    result.map_err(|reason| reason.of("bind", endpoint))
}

/// Connects a producer; what is written to the descriptor blocks until the transport takes it.
///
/// # Errors
/// When no daemon listens there (not noticed for UDP before something is sent), and what
/// `man 2 connect` and `man 2 open` list.
pub fn connect(endpoint: &Endpoint, nagle: bool) -> io::Result<OwnedFd> {
    match endpoint {
        Endpoint::Unixsock(address) => unix_path::connect(Type::STREAM, address),
        Endpoint::Unixgram(address) => unix_path::connect(Type::DGRAM, address),
        Endpoint::Tcp(address) => tcp::connect(*address, nagle),
        Endpoint::Udp(address) => udp::connect(*address),
        Endpoint::Fifo(path) => fifo::connect(path),
    }
}

/// The longest write that this transport carries whole, where the mechanism sets a limit that is known
/// beforehand.
pub fn write_bytes_max(transport: Transport) -> Option<usize> {
    match transport {
        // On a Unix datagram socket the sender's buffer decides (`man 7 unix`, SO_SNDBUF).
        Transport::Unixsock | Transport::Tcp | Transport::Unixgram => None,
        Transport::Udp => Some(udp::PAYLOAD_BYTES_MAX),
        // More could interleave with another writer's (`man 7 pipe`).
        Transport::Fifo => Some(sys::PIPE_BUF),
    }
}
